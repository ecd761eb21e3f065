"""`flowkit.descend`: from what a user asks for to a `Descent`, and on from one."""

from __future__ import annotations

from typing import Any

import numpy as np

from flowkit.descents.course import Course, spaced
from flowkit.descents.descent import Descent
from flowkit.descents.pair_walk import PairWalk
from flowkit.descents.plain_walk import PlainWalk
from flowkit.descents.walk import Walk
from flowkit.files import saver
from flowkit.flows.costs import checked_seconds
from flowkit.flows.prepare import positive
from flowkit.flows.progress import log_progress
from flowkit.problems.phase_retrieval import PhaseRetrieval
from flowkit.problems.symbolic_loss import SymbolicLoss
from flowkit.problems.teacher_student import TeacherStudent

MOST = 2**53  # iterations that a double can count


def descend(
    problem: Any,
    w0: Any,
    step_size: Any,
    steps: Any,
    *,
    iterations: Any = None,
    max_seconds: float = np.inf,
    checkpoint: Any = None,
    progress: bool | None = None,
) -> Descent:
    """Run gradient descent W ← W − η ∇L(W) from w0.

    Parameters
    ----------
    problem : TeacherStudent, PhaseRetrieval or SymbolicLoss
        What is learnt.
    w0 : array_like, shape (n, d), or (N,) for a SymbolicLoss
        State at iteration 0; no ReLU student may be zero.
    step_size : float
        η > 0.
    steps : int
        Number of iterations.
    iterations : array_like of int, optional
        Those at which the result is stored, increasing in [0, steps]; by default 0, twenty a
        decade, every power of ten among them, and `steps`.
    max_seconds : float
        Stop when the run has taken so long; the result is what was reached.
    checkpoint : path, optional
        Save the run there every half minute and at its end; `flowkit.resume` goes on from it.
    progress : bool, optional
        Show a bar; by default only on a terminal, and only if the run takes a while.

    Returns
    -------
    Descent

    Raises
    ------
    ValueError
        One line naming the argument and what is wrong with it.

    Notes
    -----
    (Leaky) ReLU students are iterated in the coordinates of their gradient flow, the residual
    r = Σ w − v beside them, in twice the digits of doubles (`flowkit.descents.pair_steps`): with
    one teacher the loss keeps its relative accuracy, however small it is and however many
    iterations there are.  Several teachers: the same iteration, but the loss is that of the
    students rounded to doubles.  Other problems: doubles throughout.  ``descent.loss_error`` says
    what is left.  Ctrl-C returns what was reached.
    """
    step_size, steps = positive(step_size, "step_size"), checked_steps(steps)
    grid = spaced(steps) if iterations is None else checked_iterations(iterations, steps)
    seconds = checked_seconds(max_seconds)
    walk = _walk(problem, w0, step_size)
    return _run(Course(walk, steps, grid), seconds, checkpoint, progress)


def go_on(
    saved: Descent, steps: Any, max_seconds: float, checkpoint: Any, progress: bool | None
) -> Descent:
    """`flowkit.resume` of a descent."""
    course = saved.course
    aim = course.steps if steps is None else checked_steps(steps)
    if aim < course.walk.iteration:
        raise ValueError(f"steps: the saved run has already done {course.walk.iteration}")
    seconds = checked_seconds(max_seconds)
    course.extend(aim)
    return _run(course, seconds, checkpoint, progress)


def checked_steps(value: Any) -> int:
    """A number of iterations; 1e8 is one too."""
    whole = isinstance(value, int | float | np.integer | np.floating) and value == np.floor(value)
    if isinstance(value, bool) or not whole or not 1 <= value <= MOST:
        raise ValueError(f"steps: must be a positive integer, got {value!r}")
    return int(value)


def checked_iterations(values: Any, steps: int) -> list[int]:
    """Iterations to store, increasing in [0, steps]."""
    try:
        numbers = np.atleast_1d(np.asarray(values, dtype=float))
    except (TypeError, ValueError):
        raise ValueError("iterations: expected a list of integers") from None
    if numbers.ndim != 1 or numbers.size == 0 or not (numbers == np.floor(numbers)).all():
        raise ValueError("iterations: expected a non-empty list of integers")
    if numbers.min() < 0 or numbers.max() > steps:
        raise ValueError(f"iterations: must lie in [0, steps] = [0, {steps}]")
    if (np.diff(numbers) <= 0).any():
        raise ValueError("iterations: must be strictly increasing")
    return [int(k) for k in numbers]


def _walk(problem: Any, w0: Any, step_size: float) -> Walk:
    if isinstance(problem, TeacherStudent) and problem.homogeneous:
        return PairWalk.of(problem, w0, step_size)
    if isinstance(problem, TeacherStudent | PhaseRetrieval | SymbolicLoss):
        return PlainWalk.of(problem, w0, step_size)
    known = "TeacherStudent, PhaseRetrieval or SymbolicLoss"
    raise ValueError(f"problem: expected a {known}, got {type(problem).__name__}")


def _run(course: Course, seconds: float, checkpoint: Any, progress: bool | None) -> Descent:
    save = saver(checkpoint, lambda: Descent(course.snapshot()).save(checkpoint))
    with log_progress(course.walk.step_size * course.steps, progress) as report:
        course.run(seconds, report, save)
    descent = Descent(course)
    if checkpoint is not None:
        descent.save(checkpoint)
    return descent
