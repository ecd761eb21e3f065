"""Methods behind one call: each yields accepted steps of a system and why it stopped."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple, Protocol

import numpy as np

from flowkit.flows import collocation
from flowkit.flows.field import FULL, REACHED, RUNNING, STUCK, WATCHED, Field, Steps, step_at
from flowkit.flows.pair_field import PairField

Array = np.ndarray

SCIPY = ("Radau", "BDF", "LSODA", "DOP853")
IN_TIME = ("Radau", "DOP853")
EXPLICIT = ("DOP853",)
METHODS = ("structured", *SCIPY)
CHUNK = 64
CHUNK_COST = 2e7  # pairs × coordinates a chunk of steps may visit, about a fifth of a second
FIRST = 1e-3
FIRST_CHANGE = 0.05  # of the student that changes fastest, in the first step
TINY_STEP = 1e-14
LEAP = 1e-7


class Tolerance(NamedTuple):
    """Of one step: its estimated error, the accuracy of its stages, and the number of stages."""

    step: float
    accuracy: float
    stages: int


class Stepper(Protocol):
    """Goes on from where it stopped."""

    @property
    def field(self) -> Field: ...

    @property
    def cost(self) -> dict[str, int]: ...

    def advance(
        self, t_end: float, near: float, watch: float, most: int = CHUNK
    ) -> tuple[int, Steps]: ...


def tolerance_for(rtol: float, method: str) -> Tolerance:
    """Step tolerances for a relative error of about rtol in the loss.

    The error estimate of s stages is of order s + 1, the solution of order 2s − 1; the factors are
    measured (tests/benchmarks/accuracy.py).
    """
    if method == "structured":
        stages = 5 if rtol > 1e-9 else 6
        step = 0.3 * rtol ** ((stages + 1) / (2 * stages - 1))
        return Tolerance(step, max(0.02 * rtol, 1e-13), stages)
    if method == "Radau":
        return Tolerance(0.2 * rtol ** (2 / 3), 0.0, 3)
    if method == "DOP853":
        return Tolerance(0.1 * rtol, 0.0, 12)
    return Tolerance(0.03 * rtol, 0.0, 0)


def make(method: str, field: Field, t: float, y: Array, rtol: float, t_end: float) -> Stepper:
    """A stepper of this method at (t, y)."""
    tolerance = tolerance_for(rtol, method)
    if method == "structured":
        assert isinstance(field, PairField)
        return Structured(field, t, y, tolerance)
    return SciPyStepper(method, field, t, y, tolerance, t_end)


def between(method: str, field: Field, known: Steps, times: Array, rtol: float) -> Steps:
    """The solution at `times`, each by steps from the known one before it.

    Multi-step methods are taken over by Radau.
    """
    single = method if method in EXPLICIT else "Radau"
    if method == "structured":
        assert isinstance(field, PairField)
        return _structured_at(field, known, times, tolerance_for(rtol, method))
    tolerance = tolerance_for(rtol, single)
    rows = [_one_at(single, field, known, float(t), tolerance) for t in times]
    return Steps(*(np.array(column) for column in zip(*rows, strict=True)))


def _structured_at(field: PairField, known: Steps, times: Array, tolerance: Tolerance) -> Steps:
    rows = []
    stepper = Structured(field, known.t[0], known.y[0], tolerance)
    for t in times:
        k = int(np.searchsorted(known.t, t, side="right")) - 1
        stepper.restart(known.t[k], known.y[k], t)
        code = FULL
        while code != REACHED:
            code, steps = stepper.advance(t, 0.0, np.inf)
            if code == STUCK:
                break
        if code == REACHED:
            rows.append(tuple(column[-1] for column in steps))
        elif stepper.close_to(t):
            rows.append(stepper.leap(t))
        else:
            finer = tolerance_for(tolerance.step, "Radau")
            rows.append(_one_at("Radau", field, known, float(t), finer))
    return Steps(*(np.array(column) for column in zip(*rows, strict=True)))


def _one_at(
    method: str, field: Field, known: Steps, t: float, tolerance: Tolerance
) -> tuple[Any, ...]:
    k = int(np.searchsorted(known.t, t, side="right")) - 1
    start = float(known.t[k])
    if start == t:
        return tuple(column[k] for column in known)
    stepper = SciPyStepper(method, field, start, known.y[k], tolerance, t, t - start)
    while True:
        code, steps = stepper.advance(t, 0.0, np.inf)
        if code == REACHED:
            return tuple(column[-1] for column in steps)
        if code == STUCK:
            raise ArithmeticError(f"no step succeeds towards t = {t:.6g}")


class Structured:
    """Radau IIA of 5 or 6 stages, implicit in one diagonal: `flowkit.flows.collocation`."""

    def __init__(self, field: PairField, t: float, y: Array, tolerance: Tolerance) -> None:
        self.field, self.tolerance = field.fresh(), tolerance
        self.system, self.work = self.field.system, self.field.work
        self.nodes = collocation.tableau(tolerance.stages)
        self.solver = collocation.solver(self.system, self.nodes)
        self.y = np.array(y, dtype=float)
        self.control = np.array([t, self._first(t), 0.0])
        self.counts = np.zeros(5, dtype=np.int64)
        neurons, dim = len(self.system.sizes), self.system.teachers.shape[1]
        pairs = 30.0 * tolerance.stages * neurons**2 * dim
        self.chunk = int(np.clip(CHUNK_COST / pairs, 1, CHUNK))

    def _first(self, t: float) -> float:
        """A first step in which no student changes much."""
        self.field.slopes(t, self.y)
        speed = np.abs(self.work.w_dot).max(axis=1)
        moving = speed > 0
        norms = self.work.norms[: len(speed)]
        shortest = (norms[moving] / speed[moving]).min(initial=np.inf)
        return float(min(FIRST, FIRST_CHANGE * shortest / self.field.pace(t)))

    def restart(self, t: float, y: Array, t_end: float) -> None:
        """Begin again at (t, y), with a step that reaches t_end if its error allows."""
        self.y[:] = y
        self.control[:] = t, self.field.distance(t, t_end), 0.0
        self.chunk = 4

    def advance(
        self, t_end: float, near: float, watch: float, most: int = CHUNK
    ) -> tuple[int, Steps]:
        m = min(self.chunk, most)
        steps = Steps(np.empty(m), np.empty((m, len(self.y))), np.empty(m), np.empty(m))
        trace = collocation.Trace(*steps, self.control, self.counts)
        step, accuracy, _ = self.tolerance
        stop = min(t_end, watch) if watch > self.control[0] else t_end
        arguments = (self.system, self.nodes, self.y, stop, step, accuracy, near)
        code = collocation.advance(*arguments, self.work, self.solver, trace)
        if code == REACHED and stop < t_end:
            code = WATCHED
        taken = int(self.counts[4])
        return int(code), Steps(*(x[:taken] for x in steps))

    def close_to(self, t: float) -> bool:
        """Whether nothing but a dying neuron moves between here and t."""
        start = float(self.control[0])
        return t - start <= LEAP * (self.system.tau + start)

    def leap(self, t: float) -> tuple[Any, ...]:
        """Straight on to t."""
        start = float(self.control[0])
        y = self.y + self.field.distance(start, t) * self.field.slopes(start, self.y)
        return tuple(column[0] for column in step_at(self.field, t, y))

    @property
    def cost(self) -> dict[str, int]:
        names = ("steps", "nfev", "rejected", "iterations")
        return dict(zip(names, map(int, self.counts), strict=False))


class SciPyStepper:
    """SciPy's Radau in t, BDF and LSODA in x, errors relative to the scale of the coordinates.

    In t the one stiff rate is constant, which a Newton iteration with the Jacobian of the step's
    start needs; in x steps are of constant size, which multi-step methods need.
    """

    def __init__(
        self,
        method: str,
        field: Field,
        t: float,
        y: Array,
        tolerance: Tolerance,
        t_end: float,
        first: float | None = None,
    ) -> None:
        from scipy import integrate

        self.field, self.tolerance, self.start = field.fresh(), tolerance, t
        self.method, self.in_time = method, method in IN_TIME
        self.t, self.y = t, np.array(y, dtype=float)
        self.steps = 0
        begin, end = (t, t_end) if self.in_time else (0.0, field.distance(t, t_end))
        self.end = end
        if first is None:
            first = min(end - begin, FIRST * (field.pace(t) if self.in_time else 1.0))
        settings = {"rtol": tolerance.step, "atol": self._bound()}
        if method not in EXPLICIT:
            settings["jac"] = self._jacobian
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.solver = getattr(integrate, method)(
                self._slopes, begin, self.y, end, first_step=first, **settings
            )
        # From here on `atol` alone is the tolerance: it follows the scale from step to step.
        self.solver.rtol = 0.0
        if method == "LSODA":
            self.solver._lsoda_solver._integrator.rtol = 0.0

    def _time(self, x: float) -> float:
        return x if self.in_time else self.field.later(self.start, x)

    def _slopes(self, x: float, y: Array) -> Array:
        t = self._time(x)
        out = self.field.slopes(t, y)
        return out / self.field.pace(t) if self.in_time else out

    def _jacobian(self, x: float, y: Array) -> Array:
        t = self._time(x)
        out = self.field.jacobian(t, y)
        return out / self.field.pace(t) if self.in_time else out

    def _bound(self) -> Array:
        step = self.tolerance.step
        return step * self.field.scale(self.t, self.y, step)

    def advance(
        self, t_end: float, near: float, watch: float, most: int = CHUNK
    ) -> tuple[int, Steps]:
        taken: list[tuple[float, Array, float, float]] = []
        code = RUNNING
        while code == RUNNING:
            code = self._step(taken, t_end, near, watch)
            if code == RUNNING and len(taken) == min(most, CHUNK):
                code = FULL
        columns = list(zip(*taken, strict=True)) or [[], [], [], []]
        shape = (len(taken), len(self.y))
        y = np.array(columns[1], dtype=float).reshape(shape)
        return code, Steps(
            np.array(columns[0], dtype=float), y, np.array(columns[2]), np.array(columns[3])
        )

    def _step(
        self,
        taken: list[tuple[float, Array, float, float]],
        t_end: float,
        near: float,
        watch: float,
    ) -> int:
        limit = self.field.limit()
        if not self.in_time:
            limit = self.field.distance(self.t, self.t + limit)
        message = self._take(max(limit, TINY_STEP * abs(self.solver.t)))
        if message:
            return STUCK
        self.steps += 1
        final = bool(abs(self.end - self.solver.t) <= 4 * np.spacing(self.end))
        self.t = t_end if final else self._time(self.solver.t)
        self.y = np.array(self.solver.y, dtype=float)
        taken.append((self.t, self.y, *self.field.measured(self.t, self.y)))
        self._set_bound(self._bound())
        if final:
            return REACHED
        code = self.field.look(self.t, near)
        if code == RUNNING and self.t >= watch:
            code = WATCHED
        return code

    def _take(self, limit: float) -> str | None:
        """One accepted step; a fresh Jacobian for Radau: steps grow by decades."""
        solver = self.solver
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            if hasattr(solver, "_lsoda_solver"):
                solver._lsoda_solver._integrator.max_step = limit
            solver.max_step = limit
            message = solver.step()
            if self.method == "Radau" and solver.status == "running":
                solver.J = solver.jac(solver.t, solver.y, solver.f)
                solver.current_jac, solver.LU_real, solver.LU_complex = True, None, None
        return str(message) if message else None

    def _set_bound(self, bound: Array) -> None:
        if hasattr(self.solver, "_lsoda_solver"):
            self.solver._lsoda_solver._integrator.atol = bound
        else:
            self.solver.atol = bound

    @property
    def cost(self) -> dict[str, int]:
        solver = self.solver
        return {"steps": self.steps, "nfev": solver.nfev, "njev": solver.njev, "nlu": solver.nlu}
