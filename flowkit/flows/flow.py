"""The result of a run: states at any time, losses with their errors, events, and its file."""

from __future__ import annotations

import html
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from math import floor, log10
from pathlib import Path as FilePath
from typing import Any

import numpy as np

from flowkit.flows import storage
from flowkit.flows.frame import Frame
from flowkit.flows.stepping import Path
from flowkit.problems.teacher_student import TeacherStudent

Array = np.ndarray
# Rounding in the loss formula itself; no estimate goes below it.
FLOOR = 1e-14
PROBES = 32
WHAT = {
    "fading-neuron": "neuron {} fades towards zero, opposite to the teacher",
    "zero-neuron": "neuron {} reached zero norm",
    "released-neuron": "neuron {} leaves zero: a direction has turned downhill",
}


@dataclass(frozen=True)
class Event:
    """Something that happened at time t to one neuron (0-based)."""

    kind: str
    neuron: int
    t: float
    message: str


def significant(value: float, relative_error: float) -> str:
    """The digits of `value` that its error leaves, no more."""
    digits = 1 if relative_error >= 0.1 else min(15, floor(-log10(relative_error)))
    return f"{value:.{digits - 1}e}"


def log_slope(t: Array, gradient_norm: Array, loss: Array) -> Array:
    """−t ‖∇L‖²/L, the quotient first: ‖∇L‖² underflows before L does; nan where L is zero."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return -t * (gradient_norm / loss) * gradient_norm


class Flow:
    """A gradient flow on [0, t_max].

    Attributes
    ----------
    t : (m,) array
        Times of the steps, or `t_eval`.
    status : str
        "finished", or the cause of an early stop: "interrupted", "unresolved", "step limit",
        "failed".
    message : str
        The same in words.
    events : list of Event
        Such as ``kind="zero-neuron", neuron=2, t=12.2``.
    stats : dict
        Steps, evaluations, method, tolerance.
    problem, w0, t_max, rtol
        What was asked for.
    """

    def __init__(
        self,
        problem: TeacherStudent,
        w0: Array,
        t_max: float,
        rtol: float,
        path: Path,
        frame: Frame,
        members: list[list[int]],
        t_eval: Array | None = None,
        coarse: Callable[[], Path] | None = None,
        errors: tuple[Array, Array] = (np.array([]), np.array([])),
    ) -> None:
        self.problem, self.w0, self.t_max, self.rtol = problem, w0, t_max, rtol
        self.path, self.frame, self.members = path, frame, members
        self.t = path.times if t_eval is None else t_eval[t_eval <= path.times[-1]]
        self.status, self.message = path.status, path.message
        self._coarse, self._known_errors = coarse, errors
        self._states = [path.state(t) for t in self.t]

    @cached_property
    def w(self) -> Array:
        """Students at `t`, shape (m, n, d); a neuron at zero has a zero row."""
        states = [self._students(*state) for state in self._states]
        return np.array(states).reshape(-1, *self.w0.shape)

    @cached_property
    def loss(self) -> Array:
        """L at `t`, shape (m,); accurate relatively, see `loss_error`."""
        return np.array([self._loss(*state) for state in self._states])

    @cached_property
    def gradient_norm(self) -> Array:
        """‖∇L‖ at `t`, shape (m,)."""
        return np.array([self._gradient_norm(*state) for state in self._states])

    @property
    def local_slope(self) -> Array:
        """d ln L / d ln t = −t ‖∇L‖²/L at `t`, exact, no differencing; nan where L underflows."""
        return log_slope(self.t, self.gradient_norm, self.loss)

    @cached_property
    def loss_error(self) -> Array:
        """Estimated relative error of `loss`, shape (m,); computed on first use.

        The flow is run again with 30 times the tolerance; a tenth of the difference between the two
        is taken (the errors are proportional to the tolerance, so 1/30 would be the expectation).
        """
        return self._error_at(self.t)

    def _error_at(self, t: Array) -> Array:
        probes, errors = self._errors
        if len(probes) == 0:
            return np.full(len(t), FLOOR)
        return np.asarray(np.interp(np.log1p(t), np.log1p(probes), errors))

    @cached_property
    def _errors(self) -> tuple[Array, Array]:
        if self._coarse is None:
            return self._known_errors
        coarse = self._coarse()
        times = coarse.times[coarse.times <= self.path.times[-1]]
        pick = np.unique(np.linspace(0, len(times) - 1, PROBES).astype(int))
        errors = []
        for t in times[pick]:
            here, there = self.path.state(t), coarse.state(t)
            fine, rough = self._loss(*here), self._loss(*there)
            negative = len(here[0].teachers) == 1 and here[0].loss(*here[1:3]) < 0
            difference = abs(rough - fine) / fine / 10 if fine > 0 else 0.0
            errors.append(np.inf if negative else difference)
        # A difference may pass through zero between two runs: neighbours speak for each other.
        padded = np.pad(np.array(errors), 1, mode="edge")
        widest = np.max([FLOOR + 0 * padded[1:-1], padded[:-2], padded[1:-1], padded[2:]], axis=0)
        widest[0] = FLOOR  # both runs start from the same state
        return times[pick], widest

    @cached_property
    def events(self) -> list[Event]:
        """What happened on the way, in order of time."""
        return [
            Event(kind, neuron, t, WHAT[kind].format(neuron))
            for kind, group, t in self.path.events
            for neuron in self.members[group]
        ]

    @property
    def stats(self) -> dict[str, Any]:
        """Cost and settings of the run."""
        path = self.path
        return {
            "method": "Radau",
            "rtol": self.rtol,
            "step_tolerance": path.tolerance,
            "steps": path.steps,
            "nfev": path.nfev,
            "njev": path.njev,
            "nlu": path.nlu,
            "dimension": int(self.frame.basis.shape[0]),
            "groups": len(self.members),
        }

    def __call__(self, t: Any) -> Array:
        """Students at time t: (n, d) for a scalar, (len(t), n, d) for an array."""
        return self._at(t, self._students)

    def loss_at(self, t: Any) -> Any:
        """L at time t, a float for a scalar, else an array of its shape."""
        value = self._at(t, self._loss)
        return float(value) if np.ndim(t) == 0 else value

    def slope_at(self, t: Any) -> Any:
        """d ln L / d ln t at time t."""
        return log_slope(np.asarray(t), self._at(t, self._gradient_norm), self._at(t, self._loss))

    def _at(self, t: Any, quantity: Callable[..., Any]) -> Array:
        try:
            times = np.asarray(t, dtype=float)
        except (TypeError, ValueError):
            raise ValueError("t: expected a number or an array of numbers") from None
        last = float(self.path.times[-1])
        if times.size and not (times.min() >= 0 and times.max() <= last):
            raise ValueError(f"t: must lie in [0, {last:.6g}], where the run has been")
        values = np.array([quantity(*self.path.state(x)) for x in times.ravel()])
        return values.reshape(times.shape + values.shape[1:])

    def _students(self, field: Any, r: Array, w: Array, alive: list[int]) -> Array:
        full = np.zeros(self.w0.shape)
        lifted = self.frame.lift(w)
        for row, group in enumerate(alive):
            full[self.members[group]] = lifted[row]
        return full

    def _loss(self, field: Any, r: Array, w: Array, alive: list[int]) -> float:
        if len(field.teachers) > 1:
            return float(self.problem.loss(self._students(field, r, w, alive)))
        value = float(field.loss(r, w))
        # Negative is rounding, of a state that carries no more digits: `loss_error` is infinite.
        return value if value >= 0 else float(self.problem.loss(self._students(field, r, w, alive)))

    def _gradient_norm(self, field: Any, r: Array, w: Array, alive: list[int]) -> float:
        _, w_dot = field.velocity(r, w)
        return float(np.sqrt(field.sizes @ np.einsum("ij,ij->i", w_dot, w_dot)))

    def save(self, file: Any) -> None:
        """Write a netCDF file that `flowkit.load` reads; complete or not at all."""
        arrays, meta = storage.pack(self.path)
        probes, errors = self._errors
        arrays |= {
            "t": self.t,
            "w": self.w,
            "loss": self.loss,
            "loss_error": self.loss_error,
            "local_slope": self.local_slope,
            "w0": self.w0,
            "teacher": self.problem.teacher,
            "basis": self.frame.basis,
            "frame_teachers": self.frame.teachers,
            "error_times": probes,
            "errors": errors,
        }
        activation = str(self.problem.activation)
        meta |= {"activation": activation, "t_max": self.t_max, "rtol": self.rtol}
        storage.save(FilePath(file), arrays, meta | {"members": self.members})

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
        end = self.path.times[-1:]
        return self._loss(*self.path.state(end[0])), float(self._error_at(end)[0])

    def __repr__(self) -> str:
        n, d = self.w0.shape
        return (
            f"<Flow n={n} d={d} t=0…{self.path.times[-1]:.6g} loss={significant(*self._last)} "
            f"(relative error {self._last[1]:.0e}) {self.status}>"
        )

    def _repr_html_(self) -> str:
        rows = {
            "problem": repr(self.problem),
            "students": f"{self.w0.shape[0]} in {self.w0.shape[1]} dimensions",
            "time": f"0 … {self.path.times[-1]:.6g}",
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
    arrays, meta = storage.load(FilePath(file))
    problem = TeacherStudent(arrays["teacher"], meta["activation"])
    mean, kink_weight = map(float, problem.weights)
    path = storage.unpack(arrays, meta, (mean, kink_weight))
    frame = Frame(arrays["basis"], arrays["frame_teachers"])
    settings = (meta["t_max"], meta["rtol"], path, frame, meta["members"], arrays["t"])
    errors = (arrays["error_times"], arrays["errors"])
    return Flow(problem, arrays["w0"], *settings, errors=errors)
