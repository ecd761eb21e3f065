"""From a problem and weights to a path: checks, reduction to the span, units, the run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from math import frexp
from typing import Any

import numpy as np

from flowkit.flows.compiled import announced
from flowkit.flows.frame import Frame, reduce
from flowkit.flows.march import DENSE, Limits, March, Report, initial_system
from flowkit.flows.path import Path
from flowkit.flows.steppers import METHODS
from flowkit.problems.pairs import polar
from flowkit.problems.teacher_student import TeacherStudent

Array = np.ndarray

FINEST = 1e-13
REACH = 1e250
SMALLEST = 1e-150  # of ‖v‖, for the largest student


@dataclass
class Setting:
    """A flow in the coordinates in which it is run.

    Attributes
    ----------
    frame : Frame
        Orthonormal basis of the span; lengths are in units of `unit`, a power of two near ‖v‖.
    members : list of list of int
        Equal students, which stay equal, form one group.
    """

    problem: TeacherStudent
    w0: Array
    t_max: float
    rtol: float
    method: str
    frame: Frame
    unit: float
    members: list[list[int]]
    r: Array = field(repr=False)
    w: Array = field(repr=False)

    @classmethod
    def of(
        cls, problem: TeacherStudent, w0: Array, t_max: float, rtol: float, method: str
    ) -> Setting:
        """Reduce to the span and choose the method if that is "auto"."""
        equal: dict[bytes, list[int]] = {}
        for i, row in enumerate(w0 + 0.0):  # −0.0 is 0.0
            equal.setdefault(row.tobytes(), []).append(i)
        members = list(equal.values())
        rows = w0[[group[0] for group in members]]
        sizes = np.array([len(group) for group in members])
        unit = 2.0 ** frexp(float(polar(problem.teacher)[0].max()))[1]
        frame, r, w = reduce(rows / unit, problem.teacher / unit, sizes)
        if method == "auto":
            # Several teachers: all directions are fast, and a Newton matrix pays.
            dense = len(problem.teacher) > 1 and w.size <= DENSE
            method = "Radau" if dense else "structured"
        return cls(problem, w0, t_max, rtol, method, frame, unit, members, r, w)

    def path(self, rtol: float) -> Path:
        """An empty path at this tolerance."""
        return Path(self.method, rtol)

    def march(
        self,
        path: Path,
        limits: Limits | None = None,
        report: Report | None = None,
        save: Callable[[], None] | None = None,
        t_max: float | None = None,
    ) -> Path:
        """Run, or go on with, a path."""
        warm_up()
        sizes = np.array([len(group) for group in self.members], dtype=float)
        weights = tuple(map(float, self.problem.weights))
        whole = initial_system(self.frame.teachers, sizes, weights)  # type: ignore[arg-type]
        end = self.t_max if t_max is None else t_max
        march = March(whole, path, end, limits or Limits(), report, save)
        return march.resume() if path.pieces else march.run(self.r, self.w)

    def students(self, w: Array, alive: list[int]) -> Array:
        """Students (n, d) in the user's coordinates; a neuron at zero has a zero row."""
        full = np.zeros(self.w0.shape)
        lifted = self.frame.lift(w * self.unit)
        for row, group in enumerate(alive):
            full[self.members[group]] = lifted[row]
        return full


@cache
def warm_up() -> None:
    """Compile, or load what was compiled before, on the smallest of flows; once per process."""
    teachers, w = np.array([[1.0, 0.0]]), np.array([[1.0, 0.1], [1.0, -0.2]])
    system = initial_system(teachers, np.ones(2), (0.5, 1.0))
    path = Path("structured", 1e-6)
    with announced():
        March(system, path, 1e-3).run(w.sum(axis=0) - teachers[0], w)


def checked_start(problem: Any, w0: Any) -> Array:
    """Students to start from, (n, d)."""
    if not isinstance(problem, TeacherStudent):
        raise ValueError(f"problem: expected a TeacherStudent, got {type(problem).__name__}")
    students = problem.students(w0, "w0")
    zero = np.flatnonzero(~students.any(axis=1))
    if zero.size:
        raise ValueError(f"w0: neuron {zero[0]} is zero, where the loss has no derivative")
    teachers, _ = polar(problem.teacher)
    norms, _ = polar(students)
    largest = float(teachers.max())
    for i, norm in enumerate(norms):
        if not 1 / REACH <= norm / largest <= REACH:
            raise ValueError(
                f"w0: neuron {i} has norm {norm:.3g}; it must be within a factor {REACH:g} of the "
                f"teacher's {largest:.3g}"
            )
    if norms.max() < SMALLEST * largest:
        raise ValueError(
            f"w0: all neurons are smaller than {norms.max():.3g}; one must be at least "
            f"{SMALLEST:g} of the teacher's {largest:.3g}"
        )
    return students


def checked_method(method: Any) -> str:
    """A known method."""
    if method != "auto" and method not in METHODS:
        known = ", ".join(("auto", *METHODS))
        raise ValueError(f"method: unknown {method!r}; known are {known}")
    return str(method)


def checked_tolerance(rtol: Any) -> float:
    """A relative tolerance that double precision can give."""
    value = number(rtol, "rtol")
    if not (FINEST <= value <= 0.1):
        reason = "below what double precision can give" if value < FINEST else "not a tolerance"
        raise ValueError(f"rtol: {value:g} is {reason}; choose one in [{FINEST:g}, 0.1]")
    return value


def positive(value: Any, name: str) -> float:
    """A positive finite number."""
    result = number(value, name)
    if not (0 < result < np.inf):
        raise ValueError(f"{name}: must be positive and finite, got {result}")
    return result


def number(value: Any, name: str) -> float:
    """A float."""
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ValueError(f"{name}: expected a number, got {value!r}") from None


def checked_times(t_eval: Any, t_max: float) -> Array:
    """Output times, increasing in [0, t_max]."""
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
