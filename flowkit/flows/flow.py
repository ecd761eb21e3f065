"""The result of a run: states at any time, losses with their errors, events, and its file."""

from __future__ import annotations

import html
import json
from dataclasses import asdict
from functools import cached_property
from math import floor, log, log10
from pathlib import Path as FilePath
from typing import Any, NamedTuple

import numpy as np

from flowkit.flows import storage
from flowkit.flows.event import Event
from flowkit.flows.field import Steps
from flowkit.flows.march import Limits
from flowkit.flows.path import Path, Piece
from flowkit.flows.prepare import FINEST
from flowkit.flows.setting import Setting
from flowkit.flows.steppers import tolerance_for

Array = np.ndarray
# Rounding along the way and in the loss formula; no estimate goes below it.
FLOOR = 2e-14
PROBES = 32
PER_DECADE = 3
FINER = 30.0
PATIENCE = 5.0  # seconds, and ten times those of the run: what the finer run may take


def significant(value: float, relative_error: float) -> str:
    """The digits of `value` that its error leaves, no more."""
    digits = 1 if relative_error >= 0.1 else min(15, floor(-log10(relative_error)))
    return f"{value:.{digits - 1}e}"


def log_slope(t: Array, gradient_norm: Array, loss: Array) -> Array:
    """−t ‖∇L‖²/L, the quotient first: ‖∇L‖² underflows before L does; nan where L is zero."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(loss > 0, -t * (gradient_norm / loss) * gradient_norm, np.nan)


class Finer(NamedTuple):
    """A second run, and the share of a difference to it that is the error of the first."""

    path: Path
    factor: float


class Sample:
    """A flow at increasing times: students, losses, ‖∇L‖, in the user's units."""

    def __init__(self, flow: Flow, times: Array, path: Path | None = None) -> None:
        self.setting, self.problem = flow.setting, flow.problem
        self._parts = (path or flow.path).sample(times)

    @cached_property
    def w(self) -> Array:
        rows = [
            self.setting.students(piece, t, y)
            for piece, steps in self._parts
            for t, y in zip(steps.t, steps.y, strict=True)
        ]
        return np.array(rows).reshape(-1, *self.setting.w0.shape)

    @cached_property
    def loss(self) -> Array:
        parts = [
            steps.loss * self.setting.unit**2 if piece.field.accurate else self._exact(piece, steps)
            for piece, steps in self._parts
        ]
        return np.concatenate(parts) if parts else np.array([])

    @cached_property
    def log_loss(self) -> Array:
        parts = []
        for piece, steps in self._parts:
            if piece.field.accurate:
                rows = zip(steps.t, steps.y, strict=True)
                logs = np.array([piece.field.log_loss(t, y) for t, y in rows])
                parts.append(logs + 2 * log(self.setting.unit))
            else:
                with np.errstate(divide="ignore"):
                    parts.append(np.log(self._exact(piece, steps)))
        return np.concatenate(parts) if parts else np.array([])

    def _exact(self, piece: Piece, steps: Steps) -> Array:
        """Losses of the states, by the problem."""
        rows = zip(steps.t, steps.y, strict=True)
        return np.array([self.problem.loss(self.setting.students(piece, t, y)) for t, y in rows])

    @cached_property
    def gradient_norm(self) -> Array:
        return self._column("gradient") * self.setting.unit

    def _column(self, name: str) -> Array:
        parts = [getattr(steps, name) for _, steps in self._parts]
        return np.concatenate(parts) if parts else np.array([])


class Flow:
    """A gradient flow on [0, t_max].

    Attributes
    ----------
    t : (m,) array
        `t_eval`, or the times of the steps and others between them, at least 3 a decade.
    status : str
        "finished", or the cause of an early stop: "loss reached", "gradient reached", "event",
        "interrupted", "step limit", "time limit", "failed".
    message : str
        The same in words.
    problem, w0, t_max, rtol
        What was asked for.
    """

    def __init__(
        self,
        setting: Setting,
        path: Path,
        t_eval: Array | None = None,
        errors: tuple[Array, Array] | None = None,
    ) -> None:
        self.setting, self.path = setting, path
        self.problem, self.w0 = setting.problem, setting.w0
        self.t_max, self.rtol = setting.t_max, setting.rtol
        times = path.between(PER_DECADE) if t_eval is None else t_eval
        self.t = times[times <= path.end]
        self.status, self.message = path.status, path.message
        self._saved_errors = errors

    @cached_property
    def _sample(self) -> Sample:
        return Sample(self, self.t)

    @property
    def w(self) -> Array:
        """Students at `t`, shape (m, n, d); a neuron at zero has a zero row."""
        return self._sample.w

    @property
    def loss(self) -> Array:
        """L at `t`, shape (m,); accurate relatively, see `loss_error`."""
        return self._sample.loss

    @property
    def log_loss(self) -> Array:
        """ln L at `t`, shape (m,), also where L itself is below 1e-308."""
        return self._sample.log_loss

    @property
    def gradient_norm(self) -> Array:
        """‖∇L‖ at `t`, shape (m,)."""
        return self._sample.gradient_norm

    @property
    def local_slope(self) -> Array:
        """d ln L / d ln t = −t ‖∇L‖²/L at `t`, exact, no differencing; nan where L underflows."""
        return log_slope(self.t, self.gradient_norm, self.loss)

    @cached_property
    def loss_error(self) -> Array:
        """Estimated relative error of `loss`, shape (m,); computed on first use.

        The flow is run again with a tolerance 30 times finer and the two losses are compared: the
        difference is the error of this run, up to a thirtieth.
        """
        return self._error_at(self.t)

    def _error_at(self, t: Array) -> Array:
        probes, errors = self._errors
        if len(probes) == 0:
            return np.full(len(t), FLOOR)
        found = np.interp(np.log1p(t), np.log1p(probes), errors)
        return np.where(t >= self.path.lost, np.inf, found)

    @cached_property
    def _errors(self) -> tuple[Array, Array]:
        if self._saved_errors is not None:
            return self._saved_errors
        times = self.path.times
        probes = times[np.unique(np.linspace(0, len(times) - 1, PROBES).astype(int))]
        errors = self._difference(probes, self.finer.path) * self.finer.factor
        errors = np.maximum(errors, self._rounding(probes))
        # A difference may pass through zero between two runs: neighbours speak for each other.
        padded = np.pad(errors, 1, mode="edge")
        around = 0.3 * np.maximum(padded[:-2], padded[2:])
        widest = np.maximum(np.maximum(errors, around), FLOOR)
        widest[0] = FLOOR  # both runs start from the same state
        return probes, widest

    @cached_property
    def finer(self) -> Finer:
        """The flow again with another tolerance; made on first use."""
        # Where nothing finer can be had, a coarser run tells: its error is the difference.
        factor = 1 / FINER if self.rtol >= FINER * FINEST / 10 else FINER
        steps = max(Limits().steps, 10 * self.stats["steps"])
        limits = Limits(steps, 10 * self.path.seconds + PATIENCE)
        path = self.setting.path(self.rtol * factor)
        other = self.setting.march(path, limits, t_max=self.path.end)
        if other.status == "interrupted":
            raise KeyboardInterrupt
        return Finer(other, min(1.0, 3 / factor))

    def _rounding(self, t: Array) -> Array:
        """Relative rounding of the loss, inf where it leaves no digit."""
        errors = [
            piece.field.rounding(x, y)
            for piece, steps in Sample(self, t)._parts
            for x, y in zip(steps.t, steps.y, strict=True)
        ]
        return np.array([x if x < 1 else np.inf for x in errors])

    def _difference(self, t: Array, other: Path) -> Array:
        """Relative difference of the losses of this run and another, by their logarithms."""
        difference = np.full(len(t), np.inf)
        reached = t <= other.end
        here = Sample(self, t[reached]).log_loss
        there = np.array([self._log_loss_of(other, float(x)) for x in t[reached]])
        with np.errstate(invalid="ignore", over="ignore"):
            gap = np.abs(np.expm1(np.where(here == there, 0.0, here - there)))  # both may be −inf
        difference[reached] = np.where(np.isnan(gap), np.inf, gap)
        return difference

    def _log_loss_of(self, other: Path, t: float) -> float:
        """ln L of another run; nan where it cannot be had."""
        try:
            return float(Sample(self, np.array([t]), other).log_loss[0])
        except ArithmeticError:
            return float("nan")

    @cached_property
    def events(self) -> list[Event]:
        """What happened on the way, in order of time."""
        listed = []
        for what in self.path.events:
            if what.group is None:
                listed.append(Event(what.kind, None, what.t, what.message))
                continue
            for neuron in self.setting.members[what.group]:
                message = f"neuron {neuron} {what.message}"
                listed.append(Event(what.kind, neuron, what.t, message))
        return sorted(listed, key=lambda event: event.t)

    @property
    def stats(self) -> dict[str, Any]:
        """Cost and settings of the run."""
        path = self.path
        tolerance = tolerance_for(path.rtol, path.method)
        return {
            "method": path.method,
            "rtol": self.rtol,
            "stages": tolerance.stages,
            "step_tolerance": tolerance.step,
            "steps": sum(len(piece.t) - 1 for piece in path.pieces),
            "nfev": path.cost.get("nfev", 0),
            "njev": path.cost.get("njev", 0),
            "nlu": path.cost.get("nlu", 0),
            "rejected": path.cost.get("rejected", 0),
            "dimension": self.setting.dimension,
            "groups": len(self.setting.members),
        }

    def __call__(self, t: Any) -> Array:
        """Students at time t: (n, d) for a scalar, (len(t), n, d) for an array."""
        return self._at(t, "w")

    def loss_at(self, t: Any) -> Any:
        """L at time t, a float for a scalar, else an array of its shape."""
        value = self._at(t, "loss")
        return float(value) if np.ndim(t) == 0 else value

    def slope_at(self, t: Any) -> Any:
        """d ln L / d ln t at time t."""
        return log_slope(np.asarray(t), self._at(t, "gradient_norm"), self._at(t, "loss"))

    def _at(self, t: Any, quantity: str) -> Array:
        times = self._inside(t)
        ordered, inverse = np.unique(times.ravel(), return_inverse=True)
        values = getattr(Sample(self, ordered), quantity)[inverse.ravel()]
        return values.reshape(times.shape + values.shape[1:])

    def _inside(self, t: Any) -> Array:
        try:
            times = np.asarray(t, dtype=float)
        except (TypeError, ValueError):
            raise ValueError("t: expected a number or an array of numbers") from None
        last = self.path.end
        if times.size and not (times.min() >= 0 and times.max() <= last):
            raise ValueError(f"t: must lie in [0, {last:.6g}], where the run has been")
        return times

    def save(self, file: Any) -> None:
        """Write a netCDF file that `flowkit.load` reads; complete or not at all."""
        probes, errors = self._errors
        known = {
            "t": self.t,
            "w": self.w,
            "loss": self.loss,
            "loss_error": self.loss_error,
            "local_slope": self.local_slope,
            "error_times": probes,
            "errors": errors,
        }
        storage.write(FilePath(file), self.setting, self.path, known)

    def checkpoint(self, file: Any) -> None:
        """Write what `flowkit.resume` needs to go on; `flowkit.load` reads it too.

        Unlike `save` it does not estimate errors, which would take another run.
        """
        storage.write(FilePath(file), self.setting, self.path, {})

    def to_dict(self) -> dict[str, Any]:
        """Plain lists for JSON, as the command line's ``--json`` writes."""
        return {
            "t": self.t.tolist(),
            "loss": self.loss.tolist(),
            "loss_error": self.loss_error.tolist(),
            "w": self.w.tolist(),
            "status": self.status,
            "message": self.message,
            "events": [asdict(event) for event in self.events],
            "stats": self.stats,
        }

    def plot(self, ax: Any = None) -> Any:
        """Loss against t, log-log, with events marked; returns the matplotlib Axes."""
        from flowkit.plots import plot_flow

        return plot_flow(self, ax)

    @property
    def _last(self) -> tuple[float, float]:
        """Loss where the run ended, and its relative error."""
        end = self.path.end
        return float(self.loss_at(end)), float(self._error_at(np.array([end]))[0])

    def __repr__(self) -> str:
        n, d = self.w0.shape
        return (
            f"<Flow n={n} d={d} t=0…{self.path.end:.6g} loss={significant(*self._last)} "
            f"(relative error {self._last[1]:.0e}) {self.status}>"
        )

    def _repr_html_(self) -> str:
        rows = {
            "problem": repr(self.problem),
            "students": f"{self.w0.shape[0]} in {self.w0.shape[1]} dimensions",
            "time": f"0 … {self.path.end:.6g}",
            "final loss": f"{significant(*self._last)} (relative error {self._last[1]:.0e})",
            "status": f"{self.status}: {self.message}",
            "events": "; ".join(f"t = {e.t:.8g}: {e.message}" for e in self.events) or "none",
            "cost": json.dumps({k: self.stats[k] for k in ("method", "steps", "nfev")}),
        }
        cells = "".join(
            f"<tr><th style='text-align:left'>{k}</th>"
            f"<td style='text-align:left'>{html.escape(v)}</td></tr>"
            for k, v in rows.items()
        )
        return f"<table>{cells}</table>"


def load(file: Any) -> Flow:
    """Read a run written by `Flow.save`; it can be evaluated at any t as before.

    Raises
    ------
    ValueError
        No such file, not a flowkit run, truncated or altered.
    """
    setting, path, arrays = storage.read(FilePath(file))
    if "errors" not in arrays:
        return Flow(setting, path)
    return Flow(setting, path, arrays["t"], (arrays["error_times"], arrays["errors"]))
