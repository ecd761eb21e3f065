"""`flowkit.integrate`: from a problem and weights to a Flow."""

from __future__ import annotations

from typing import Any

import numpy as np

from flowkit.flows.field import Field
from flowkit.flows.flow import Flow
from flowkit.flows.frame import reduce
from flowkit.flows.progress import log_progress
from flowkit.flows.stepping import Path, solve
from flowkit.problems.pairs import polar
from flowkit.problems.teacher_student import TeacherStudent

Array = np.ndarray

METHODS = ("auto", "Radau")
FINEST = 1e-13
COARSER = 30.0
REACH = 1e100


def integrate(
    problem: TeacherStudent,
    w0: Any,
    t_max: float,
    *,
    rtol: float = 1e-10,
    t_eval: Any = None,
    method: str = "auto",
    precision: int | None = None,
    progress: bool | None = None,
) -> Flow:
    """Run the gradient flow dW/dt = −∇L(W) from W(0) = w0 to t_max.

    Parameters
    ----------
    problem : TeacherStudent
        What is learnt.
    w0 : array_like, shape (n, d)
        Students at t = 0, taken as exact; no row may be zero.
    t_max : float
        End of the run, > 0; 1e40 is cheap.
    rtol : float
        Tolerance, 1e-13 … 0.1.  For one teacher the relative error of the loss stays below
        1000 rtol at every t, save near degenerate starts; ``flow.loss_error`` estimates it.
    t_eval : array_like, optional
        Times, increasing in [0, t_max], at which the result is stored; by default where steps end.
    method : {"auto", "Radau"}
        SciPy's implicit Radau IIA of order 5.
    precision : int, optional
        Not available yet; double precision only.
    progress : bool, optional
        Show a bar in log t; by default only on a terminal, and only if the run takes a while.

    Returns
    -------
    Flow

    Raises
    ------
    ValueError
        One line naming the argument and what is wrong with it.

    Notes
    -----
    The flow is computed in the span of teachers and students, with equal students merged (they stay
    equal), in coordinates that keep relative accuracy: see `flowkit.flows.charts`.  A neuron that
    reaches zero norm is located, reported in ``flow.events``, left at zero for as long as zero
    holds it, and the run goes on.
    """
    if not isinstance(problem, TeacherStudent):
        raise ValueError(f"problem: expected a TeacherStudent, got {type(problem).__name__}")
    students = problem.students(w0, "w0")
    zero = np.flatnonzero(~students.any(axis=1))
    if zero.size:
        raise ValueError(f"w0: neuron {zero[0]} is zero, where the loss has no derivative")
    _check_norms(students, problem)
    t_max, rtol = _settings(t_max, rtol, method, precision)
    times = None if t_eval is None else _times(t_eval, t_max)

    rows, inverse, sizes = np.unique(students, axis=0, return_inverse=True, return_counts=True)
    members = [np.flatnonzero(inverse.ravel() == g).tolist() for g in range(len(rows))]
    frame, r, w = reduce(rows, problem.teacher, sizes)
    system = Field(frame.teachers, sizes.astype(float), *map(float, problem.weights))
    tolerance = step_tolerance(rtol)
    with log_progress(t_max, progress) as report:
        path = solve(system, r, w, t_max, tolerance, report)

    def coarse() -> Path:
        rough = solve(system, r, w, float(path.times[-1]), COARSER * tolerance)
        if rough.status == "interrupted":
            raise KeyboardInterrupt
        return rough

    return Flow(problem, students, t_max, rtol, path, frame, members, times, coarse)


def step_tolerance(rtol: float) -> float:
    """Tolerance of one step for a relative error `rtol` of the solution.

    Radau's error estimate is of order 3, its solution of order 5; the exponent 2/3 is that of
    Hairer & Wanner's RADAU5, the factor is measured (tests/test_accuracy.py).
    """
    return float(0.2 * rtol ** (2 / 3))


def _check_norms(students: Array, problem: TeacherStudent) -> None:
    """Beyond these ratios squares and products of norms leave the range of doubles."""
    teachers, _ = polar(problem.teacher)
    norms, _ = polar(students)
    for i, norm in enumerate(norms):
        if not teachers.max() / REACH <= norm <= teachers.max() * REACH:
            raise ValueError(
                f"w0: neuron {i} has norm {norm:.3g}; it must be within a factor {REACH:g} of the "
                f"teacher's {teachers.max():.3g}"
            )


def _settings(t_max: Any, rtol: Any, method: str, precision: Any) -> tuple[float, float]:
    t_max, rtol = _number(t_max, "t_max"), _number(rtol, "rtol")
    if not (0 < t_max < np.inf):
        raise ValueError(f"t_max: must be positive and finite, got {t_max}")
    if not (FINEST <= rtol <= 0.1):
        reason = "below what double precision can give" if rtol < FINEST else "not a tolerance"
        raise ValueError(f"rtol: {rtol:g} is {reason}; choose one in [{FINEST:g}, 0.1]")
    if method not in METHODS:
        raise ValueError(f"method: unknown {method!r}; known are {', '.join(METHODS)}")
    if precision is not None:
        raise ValueError("precision: only double precision is available in this version")
    return t_max, rtol


def _number(value: Any, name: str) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ValueError(f"{name}: expected a number, got {value!r}") from None


def _times(t_eval: Any, t_max: float) -> Array:
    try:
        times = np.atleast_1d(np.asarray(t_eval, dtype=float))
    except (TypeError, ValueError):
        raise ValueError("t_eval: expected an array of numbers") from None
    if times.ndim != 1 or times.size == 0 or not np.isfinite(times).all():
        raise ValueError("t_eval: expected a non-empty list of finite times")
    if times.min() < 0 or times.max() > t_max:
        raise ValueError(f"t_eval: must lie in [0, t_max] = [0, {t_max:g}]")
    if (np.diff(times) <= 0).any():
        raise ValueError("t_eval: must be strictly increasing")
    return times
