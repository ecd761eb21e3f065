"""A flow in many digits: states, losses, derivatives, and how many digits of them are certain."""

from __future__ import annotations

import html
import json
from functools import cached_property
from math import ceil, log, log10
from pathlib import Path
from typing import Any

import flint
import mpmath
import numpy as np
from flint import arb
from mpmath.libmp import to_str

from flowkit.flows.event import Event
from flowkit.multiprecision.agreement import Agreement, Certificate, decade
from flowkit.multiprecision.log_time import log_time, time
from flowkit.multiprecision.march import Piece, Run
from flowkit.multiprecision.prepare import Prepared
from flowkit.problems.exact import ball, to_float, to_mpf
from flowkit.problems.numbers import rational

Array = np.ndarray
SPARE = 15  # digits kept beyond those asked for
PER_DECADE = 3  # times at which a result is given
BEYOND = 3  # digits that may be claimed beyond those asked for
STOPS = ("blow-up", "singularity", "undefined")


class PreciseFlow:
    """A flow on [0, t_max] in many digits.

    Numbers are mpmath's; they carry more bits than digits are certain, so look at `loss_digits` and
    `w_digits`, or let `text` print.

    Attributes
    ----------
    t : (m,) object array of mpf
        `t_eval`, or where steps end and between, at least 3 a decade.
    w : (m, …) object array of mpf
        States at `t`, each of the shape of w0; `y` is another name for it.
    certified : bool
        Whether a second run (other stages, a finer tolerance, more bits) has been made.
    status : str
        "finished", or the cause of an early stop: "blow-up", "singularity", "undefined",
        "interrupted", "step limit", "time limit".
    message : str
        The same in words, with the last good t.
    problem, w0, t_max, precision
        What was asked for.
    """

    run: Run

    def __init__(
        self,
        problem: Any,
        ready: Prepared,
        w0: Array,
        t_max: Any,
        precision: int | None,
        digits: float,
        t_eval: list[Any] | None = None,
    ) -> None:
        self.problem, self.ready, self.w0 = problem, ready, w0
        self.t_max, self.precision, self.digits_asked = t_max, precision, digits
        self.t_eval = t_eval
        self.run_or_none: Run | None = None
        self.certificate: Certificate | None = None
        self.prepared_bits = 0
        self.certify = True

    def refresh(self) -> None:
        """Forget what was derived from an earlier state of the run."""
        self.run_or_none = self.run
        for name in ("_points", "t", "w", "loss", "gradient"):
            self.__dict__.pop(name, None)

    @property
    def bits(self) -> int:
        """Bits that numbers of the user are rounded to; the run itself may use more."""
        return ceil((self.digits_asked + SPARE + 3 * log10(1 + float(self.t_max))) * 3.33) + 200

    @property
    def certified(self) -> bool:
        return self.certificate is not None

    @property
    def status(self) -> str:
        return self.run.status

    @property
    def message(self) -> str:
        return self.run.message

    @cached_property
    def _points(self) -> list[arb]:
        """x = ln(1 + t) at `t`."""
        if self.t_eval is None:
            return [arb(0), *(x for piece in self.run.pieces for x in _between(piece))]
        with flint.ctx.workprec(self.bits):
            points = [log_time(ball(t)) for t in self.t_eval]
        return [x for x in points if x <= self.run.end]

    @cached_property
    def t(self) -> Array:
        with flint.ctx.workprec(self.bits):
            if self.t_eval is None:
                values = [time(x) for x in self._points[:-1]]
                whole = self.run.status == "finished"
                values.append(ball(self.t_max) if whole else time(self._points[-1]))
            else:
                values = [ball(t) for t in self.t_eval[: len(self._points)]]
        return self._numbers(values)

    @cached_property
    def w(self) -> Array:
        return self._states(self._points)

    @property
    def y(self) -> Array:
        """The same as `w`."""
        return self.w

    @cached_property
    def loss(self) -> Array:
        """L at `t`, shape (m,).

        Raises
        ------
        AttributeError
            A `VectorField` has no loss.
        """
        return self._losses(self._points)

    @cached_property
    def gradient(self) -> Array:
        """∇L at `t`, shape (m, …); of a `VectorField`, −f."""
        return self._gradients(self._points)

    @property
    def gradient_norm(self) -> Array:
        """‖∇L‖ at `t`, shape (m,)."""
        with flint.ctx.workprec(self.run.bits):
            states = zip(self._points, self._at(self._points), strict=True)
            return self._numbers([self._norm(x, y) for x, y in states])

    @property
    def local_slope(self) -> Array:
        """d ln L / d ln t = −t ‖∇L‖²/L at `t`, shape (m,), exact; nan where L is zero."""
        with flint.ctx.workprec(self.run.bits):
            values = []
            for x, y in zip(self._points, self._at(self._points), strict=True):
                loss = self._loss(y)
                slope = -time(x) * self._norm(x, y) ** 2 / loss if loss != 0 else arb.nan()
                values.append(slope.mid())
            return self._numbers(values)

    def _loss(self, y: list[arb]) -> arb:
        if not hasattr(self.ready.system, "loss"):
            raise AttributeError("a VectorField has no loss")
        return self.ready.system.loss(y)

    def _norm(self, x: arb, y: list[arb]) -> arb:
        """‖∇L‖ in the state y at ln(1 + t) = x, every student counted."""
        velocity = self.ready.weights(self.ready.system.field(time(x), y))
        return sum((v * v for v in velocity.ravel()), arb(0)).sqrt().mid()

    def hessian(self, t: Any) -> Array:
        """∂²L/∂w∂w at time t (of a `VectorField`: −∂f/∂y), by the problem, from the state there."""
        if hasattr(self.problem, "hessian"):
            return self.problem.hessian(self(t), precision=self._shown)
        return -self.problem.jacobian(t, self(t), precision=self._shown)

    @property
    def _shown(self) -> int:
        return self.precision or 15

    @property
    def loss_digits(self) -> Array | None:
        """Decimal digits of `loss` that two runs agree on, shape (m,); None without a second."""
        if self.certificate is None:
            return None
        return self._loss_digits(self._points)

    @property
    def w_digits(self) -> Array | None:
        """Digits of each number of `w`, shape (m, …); None without a second run."""
        if self.certificate is None:
            return None
        if not self._points:
            return np.zeros((0, *self._shape), dtype=int)
        known = self.ready.spread(self.certificate.state)
        sizes = np.array([decade(x) for x in self._balls(self._points)])
        sizes = sizes.reshape(len(self._points), -1)
        x = self._floats(self._points)
        return self.certificate.digits(known, x, sizes, self._most).reshape(-1, *self._shape)

    def _loss_digits(self, points: list[arb]) -> Array:
        assert self.certificate is not None and self.certificate.loss is not None
        with flint.ctx.workprec(self.run.bits):
            sizes = np.array([decade(self._loss(y)) for y in self._at(points)])
        return self.certificate.digits(
            self.certificate.loss, self._floats(points), sizes, self._most
        )

    def _state_digits(self, points: list[arb]) -> Array:
        """Digits of the largest component."""
        assert self.certificate is not None
        known = self.certificate.state
        largest = Agreement(known.size.max(axis=1), known.gap.max(axis=1))
        sizes = np.array([max(map(decade, row)) for row in self._at(points)])
        return self.certificate.digits(largest, self._floats(points), sizes, self._most)

    @property
    def _most(self) -> int:
        """No more digits are claimed, whatever two runs agree on."""
        return 15 if self.precision is None else ceil(self.digits_asked) + BEYOND

    @staticmethod
    def _floats(points: list[arb]) -> Array:
        return np.array([float(x) for x in points])

    @property
    def loss_error(self) -> Array:
        """Relative error of `loss` that the digits imply, as doubles; nan without a second run."""
        digits = self.loss_digits
        if digits is None:
            return np.full(len(self._points), np.nan)
        return np.where(digits > 0, 10.0 ** -np.minimum(digits, 300).astype(float), np.inf)

    @property
    def _shape(self) -> tuple[int, ...]:
        return self.ready.shape

    @property
    def events(self) -> list[Event]:
        """A stop before t_max that is the solution's own doing."""
        if self.status not in STOPS:
            return []
        return [Event(self.status, None, float(time(self.run.end)), self.message)]

    @property
    def stats(self) -> dict[str, Any]:
        """Cost and settings of the run (the finer one of two)."""
        run = self.run
        return {
            "method": "Radau IIA",
            "stages": run.settings.stages,
            "tolerance_digits": run.settings.digits,
            "bits": run.bits,
            "steps": len(run.pieces),
            "rejected": run.rejected,
            "nfev": run.evaluations,
            "seconds": run.seconds,
            "certified": self.certified,
        }

    def __call__(self, t: Any) -> Array:
        """State at time t, or at each of an array of times; as accurate as `w`."""
        states = self._states(self._inside(t))
        return states[0] if np.ndim(t) == 0 else states

    def loss_at(self, t: Any) -> Any:
        """L at time t, or at each of an array of times."""
        values = self._losses(self._inside(t))
        return values[0] if np.ndim(t) == 0 else values

    def gradient_at(self, t: Any) -> Array:
        """∇L at time t, or at each of an array of times."""
        values = self._gradients(self._inside(t))
        return values[0] if np.ndim(t) == 0 else values

    def digits_at(self, t: Any) -> Any:
        """Certified digits of L at time t (of the largest component if there is no loss)."""
        if self.certificate is None:
            return None
        points = self._inside(t)
        of_loss = self.certificate.loss is not None
        found = self._loss_digits(points) if of_loss else self._state_digits(points)
        return int(found[0]) if np.ndim(t) == 0 else found

    def _inside(self, t: Any) -> list[arb]:
        try:
            times = [rational(x) for x in np.atleast_1d(np.asarray(t, dtype=object)).ravel()]
        except (TypeError, ValueError, ArithmeticError):
            raise ValueError("t: expected a number or an array of numbers") from None
        with flint.ctx.workprec(self.bits):
            points = [log_time(ball(x)) for x in times]
            last = self.run.end
            limit = last * (1 + arb(2) ** -100)
            if any(x < 0 or x > limit for x in points):
                end = float(time(last))
                raise ValueError(f"t: must lie in [0, {end:.6g}], where the run has been")
            return [min(x, last) for x in points]

    def _at(self, points: list[arb]) -> list[list[arb]]:
        """States of the system, at points in any order."""
        order = sorted(range(len(points)), key=lambda i: points[i])
        rows = self.run.at([points[i] for i in order])
        states: list[list[arb]] = [[]] * len(points)
        for i, row in zip(order, rows, strict=True):
            states[i] = row
        return states

    def _balls(self, points: list[arb]) -> list[arb]:
        """All numbers of w, one after the other."""
        with flint.ctx.workprec(self.run.bits):
            rows = [self.ready.weights(y).ravel() for y in self._at(points)]
        return [x for row in rows for x in row]

    def _states(self, points: list[arb]) -> Array:
        return self._numbers(self._balls(points)).reshape(len(points), *self._shape)

    def _losses(self, points: list[arb]) -> Array:
        with flint.ctx.workprec(self.run.bits):
            return self._numbers([self._loss(y) for y in self._at(points)])

    def _gradients(self, points: list[arb]) -> Array:
        with flint.ctx.workprec(self.run.bits):
            flat = []
            for x, y in zip(points, self._at(points), strict=True):
                velocity = self.ready.system.field(time(x), y)
                flat += [-v for v in self.ready.weights(velocity).ravel()]
        return self._numbers(flat).reshape(len(points), *self._shape)

    def _numbers(self, values: list[arb]) -> Array:
        """As mpmath numbers of all their bits, or doubles if no precision was asked for."""
        convert = to_float if self.precision is None else to_mpf
        result = np.empty(len(values), dtype=float if self.precision is None else object)
        result[:] = [convert(x) for x in values]
        return result

    def text(self, i: int) -> str:
        """The loss at t[i] with the digits that are certain, no more."""
        digits = self.loss_digits
        if digits is None:
            return f"{_shown(self.loss[i], self._shown)} (not certified)"
        return _shown(self.loss[i], min(int(digits[i]), self._shown))

    def to_dict(self) -> dict[str, Any]:
        """Plain lists for JSON; numbers are strings of the digits that are certain."""
        count, shown = len(self._points), self._shown
        state = self.w_digits
        digits = np.full(self.w.shape, shown) if state is None else np.minimum(state, shown)
        pairs = zip(self.w.ravel(), digits.ravel(), strict=True)
        states = np.array([_shown(x, int(k)) for x, k in pairs], dtype=object)
        result: dict[str, Any] = {"t": [_shown(t, shown) for t in self.t]}
        if hasattr(self.ready.system, "loss"):
            known = self.loss_digits
            kept = np.full(count, shown) if known is None else np.minimum(known, shown)
            result["loss"] = [_shown(x, int(k)) for x, k in zip(self.loss, kept, strict=True)]
            result["loss_digits"] = None if known is None else known.tolist()
        return result | {
            "w": states.reshape(self.w.shape).tolist(),
            "status": self.status,
            "message": self.message,
            "certified": self.certified,
            "events": [vars(event) for event in self.events],
            "stats": self.stats,
        }

    def save(self, file: Any) -> None:
        """Write a file that `flowkit.load` reads; complete or not at all."""
        from flowkit.multiprecision.storage import write

        write(Path(file), self)

    def plot(self, ax: Any = None) -> Any:
        """Loss against t, log-log, or the components of a `VectorField`; returns the Axes."""
        from flowkit.plots import plot_components, plot_precise

        return (plot_precise if hasattr(self.ready.system, "loss") else plot_components)(self, ax)

    @property
    def accuracy(self) -> str:
        """How many digits are certain, in words."""
        if self.certificate is None:
            return "not certified: one run only"
        if not self._points:
            return "no time of t_eval was reached"
        of_loss = self.certificate.loss is not None
        digits = (self._loss_digits if of_loss else self._state_digits)(self._points)
        what = "loss" if of_loss else "state"
        return f"digits of the {what} on which two runs agree: {digits.min()} … {digits.max()}"

    def _summary(self) -> dict[str, str]:
        rows = {
            "problem": repr(self.problem),
            "time": f"0 … {float(time(self.run.end)):.6g}",
            "status": f"{self.status}: {self.message}",
        }
        if hasattr(self.ready.system, "loss") and self._points:
            rows["final loss"] = self.text(-1)
        rows["digits"] = self.accuracy
        cost = {k: self.stats[k] for k in ("stages", "bits", "steps", "nfev")}
        return rows | {"cost": json.dumps(cost)}

    def __repr__(self) -> str:
        rows = self._summary()
        loss = f" loss={rows['final loss']}" if "final loss" in rows else ""
        return f"<PreciseFlow t={rows['time']}{loss} ({rows['digits']}) {self.status}>"

    def _repr_html_(self) -> str:
        cells = "".join(
            f"<tr><th style='text-align:left'>{k}</th>"
            f"<td style='text-align:left'>{html.escape(v)}</td></tr>"
            for k, v in self._summary().items()
        )
        return f"<table>{cells}</table>"


def _between(piece: Piece) -> list[arb]:
    """The end of a step, and before it as many points as make PER_DECADE."""
    count = max(1, ceil(float(piece.end - piece.x) * PER_DECADE / log(10)))
    inner = [(piece.x + (piece.end - piece.x) * k / count).mid() for k in range(1, count)]
    return [*inner, piece.end]


def _shown(x: Any, digits: int) -> str:
    """So many digits of a number, as text."""
    number = mpmath.mpf(x) if isinstance(x, float) else x
    if digits < 1:
        return "0" if number == 0 else f"unknown, about {to_str(number._mpf_, 1)}"
    return str(to_str(number._mpf_, digits, strip_zeros=False, min_fixed=-4, max_fixed=16))
