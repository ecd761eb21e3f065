"""Methods behind one call: each yields accepted steps of a system and why it stopped."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple, Protocol

import numpy as np

from flowkit.flows import collocation
from flowkit.flows.collocation import FULL, REACHED, RUNNING, STUCK, WATCHED
from flowkit.flows.coordinates import (
    LINEAR,
    System,
    distance,
    later,
    loss,
    pace,
    scale,
    slopes,
    workspace,
)
from flowkit.flows.jacobian import jacobian

Array = np.ndarray

SCIPY = ("Radau", "BDF", "LSODA")
METHODS = ("structured", *SCIPY)
CHUNK = 64
CHUNK_COST = 2e7  # pairs × coordinates a chunk of steps may visit, about a fifth of a second
FIRST = 1e-3
FIRST_CHANGE = 0.05  # of the student that changes fastest, in the first step
TINY_STEP = 1e-14
LEAP = 1e-7
ROUNDING = 1e-15


class Tolerance(NamedTuple):
    """Of one step: its estimated error, the accuracy of its stages, and the number of stages."""

    step: float
    accuracy: float
    stages: int


class Steps(NamedTuple):
    """Accepted steps: t (m,), y (m, N), L (m,), ‖∇L‖ (m,)."""

    t: Array
    y: Array
    loss: Array
    gradient: Array


def step_at(system: System, t: float, y: Array) -> Steps:
    """One entry: the state y at t, its loss and ‖∇L‖."""
    work = workspace(system)
    slopes(system, t, y, work, np.empty(len(y)))
    value, gradient = collocation.measured(system, t, work, loss(system, work))
    return Steps(np.array([t]), np.array([y]), np.array([value]), np.array([gradient]))


class Stepper(Protocol):
    """Goes on from where it stopped."""

    work: Any

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
    return Tolerance(0.03 * rtol, 0.0, 0)


def make(method: str, system: System, t: float, y: Array, rtol: float, t_end: float) -> Stepper:
    """A stepper of this method at (t, y)."""
    tolerance = tolerance_for(rtol, method)
    if method == "structured":
        return Structured(system, t, y, tolerance)
    return SciPyStepper(method, system, t, y, tolerance, t_end)


def between(method: str, system: System, known: Steps, times: Array, rtol: float) -> Steps:
    """The solution at `times`, each by steps from the known one before it.

    Multi-step methods are taken over by Radau.
    """
    if method == "structured":
        return _structured_at(system, known, times, tolerance_for(rtol, method))
    tolerance = tolerance_for(rtol, "Radau")
    rows = [_radau_at(system, known, float(t), tolerance) for t in times]
    return Steps(*(np.array(column) for column in zip(*rows, strict=True)))


def _structured_at(system: System, known: Steps, times: Array, tolerance: Tolerance) -> Steps:
    rows = []
    stepper = Structured(system, known.t[0], known.y[0], tolerance)
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
            rows.append(_radau_at(system, known, float(t), tolerance_for(tolerance.step, "Radau")))
    return Steps(*(np.array(column) for column in zip(*rows, strict=True)))


def _radau_at(system: System, known: Steps, t: float, tolerance: Tolerance) -> tuple[Any, ...]:
    k = int(np.searchsorted(known.t, t, side="right")) - 1
    start = float(known.t[k])
    if start == t:
        return tuple(column[k] for column in known)
    stepper = SciPyStepper("Radau", system, start, known.y[k], tolerance, t, t - start)
    while True:
        code, steps = stepper.advance(t, 0.0, np.inf)
        if code == REACHED:
            return tuple(column[-1] for column in steps)
        if code == STUCK:
            raise ArithmeticError(f"no step succeeds towards t = {t:.6g}")


class Structured:
    """Radau IIA of 5 or 6 stages, implicit in one diagonal: `flowkit.flows.collocation`."""

    def __init__(self, system: System, t: float, y: Array, tolerance: Tolerance) -> None:
        self.system, self.tolerance = system, tolerance
        self.work = workspace(system)
        self.nodes = collocation.tableau(tolerance.stages)
        self.solver = collocation.solver(system, self.nodes)
        self.y = np.array(y, dtype=float)
        self.control = np.array([t, self._first(t), 0.0])
        self.counts = np.zeros(5, dtype=np.int64)
        neurons, dim = len(system.sizes), system.teachers.shape[1]
        pairs = 30.0 * tolerance.stages * neurons**2 * dim
        self.chunk = int(np.clip(CHUNK_COST / pairs, 1, CHUNK))

    def _first(self, t: float) -> float:
        """A first step in which no student changes much."""
        slopes(self.system, t, self.y, self.work, np.empty(len(self.y)))
        speed = np.abs(self.work.w_dot).max(axis=1)
        moving = speed > 0
        norms = self.work.norms[: len(speed)]
        shortest = (norms[moving] / speed[moving]).min(initial=np.inf)
        return float(min(FIRST, FIRST_CHANGE * shortest / pace(self.system, t)))

    def restart(self, t: float, y: Array, t_end: float) -> None:
        """Begin again at (t, y), with a step that reaches t_end if its error allows."""
        self.y[:] = y
        self.control[:] = t, distance(self.system, t, t_end), 0.0
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
        start, out = float(self.control[0]), np.empty(len(self.y))
        slopes(self.system, start, self.y, self.work, out)
        y = self.y + float(distance(self.system, start, t)) * out
        return tuple(column[0] for column in step_at(self.system, t, y))

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
        system: System,
        t: float,
        y: Array,
        tolerance: Tolerance,
        t_end: float,
        first: float | None = None,
    ) -> None:
        from scipy import integrate

        self.system, self.tolerance, self.start = system, tolerance, t
        self.in_time = method == "Radau"
        self.work = workspace(system)
        self.t, self.y = t, np.array(y, dtype=float)
        self.steps = 0
        begin, end = (t, t_end) if self.in_time else (0.0, distance(system, t, t_end))
        if first is None:
            first = min(end - begin, FIRST * (pace(system, t) if self.in_time else 1.0))
        settings = {"rtol": tolerance.step, "atol": self._bound(), "jac": self._jacobian}
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
        return x if self.in_time else float(later(self.system, self.start, x))

    def _slopes(self, x: float, y: Array) -> Array:
        out = np.empty(len(y))
        t = self._time(x)
        slopes(self.system, t, np.ascontiguousarray(y), self.work, out)
        return out / pace(self.system, t) if self.in_time else out

    def _jacobian(self, x: float, y: Array) -> Array:
        t = self._time(x)
        out = jacobian(self.system, t, np.ascontiguousarray(y), self.work)
        return out / pace(self.system, t) if self.in_time else out

    def _bound(self) -> Array:
        out = np.empty(len(self.y))
        slopes(self.system, self.t, self.y, self.work, out)
        self.value = float(loss(self.system, self.work))
        scale(self.system, self.t, self.y, self.work, self.value, out)
        # While the students are small, the rounding of what moves them is not.
        return np.maximum(self.tolerance.step * out, ROUNDING if self.system.early else 0.0)

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
        limit = 0.8 * float(collocation.shrinking_time(self.system, self.work))
        if self.system.mode == LINEAR and self.value > 0:
            limit = min(limit, 2 * self.system.tau)
        if not self.in_time:
            limit = float(distance(self.system, self.t, self.t + limit))
        message = self._take(max(limit, TINY_STEP * abs(self.solver.t)))
        if message:
            return STUCK
        self.steps += 1
        final = self.solver.status == "finished"
        self.t = t_end if final else self._time(self.solver.t)
        self.y = np.array(self.solver.y, dtype=float)
        self._set_bound(self._bound())
        measured = collocation.measured(self.system, self.t, self.work, self.value)
        taken.append((self.t, self.y, *measured))
        if final:
            return REACHED
        code = int(collocation.look(self.system, self.work, near, self.value))
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
            if self.in_time and solver.status == "running":
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
