"""Rates at which residuals decay at a minimum of several teachers."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np

from flowkit.problems.teacher_student import TeacherStudent

Array = np.ndarray


def slowest_rate(problem: TeacherStudent, counts: list[int], dims: int, digits: int | None) -> Any:
    """The smallest eigenvalue of the Hessian at W = V, each teacher learnt by so many students.

    Only of the directions that a flow in `dims` dimensions has.  Equal students share what moves
    their sum u, du/dt = −count ∂L/∂u.
    """
    context = mpmath.MPContext()
    context.dps = (digits or 15) + 15
    teachers = _coordinates(problem, dims, context)
    reduced = TeacherStudent(teachers, problem.activation)
    hessian = reduced.hessian(teachers, precision=context.dps)
    sizes = [context.sqrt(n) for n in counts for _ in range(reduced.dimension)]
    rows = [
        [context.make_mpf(x._mpf_) * a * b for x, b in zip(row, sizes, strict=True)]
        for row, a in zip(hessian, sizes, strict=True)
    ]
    if digits is None:
        return float(np.linalg.eigvalsh(np.array(rows, dtype=float))[0])
    smallest = min(context.eigsy(context.matrix(rows), eigvals_only=True))
    return mpmath.mp.make_mpf(smallest._mpf_)


def _coordinates(problem: TeacherStudent, dims: int, context: Any) -> Array:
    """Teachers in their own span and, if the flow has more dimensions, one of those."""
    teachers = problem.exact_teacher
    k, d = teachers.shape
    if dims == d or np.linalg.matrix_rank(problem.teacher) < k:
        return teachers
    gram = (teachers @ teachers.T).tolist()
    exact = [[context.mpf(x.numerator) / x.denominator for x in row] for row in gram]
    rows = context.cholesky(context.matrix(exact)).tolist()
    return np.array([[*row, context.mpf(0)] if dims > k else row for row in rows], dtype=object)
