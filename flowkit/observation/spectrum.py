"""Extreme eigenvalues of the Hessian along a run, however small beside the largest."""

from __future__ import annotations

from fractions import Fraction
from math import ceil, log10
from typing import Any

import flint
import numpy as np
from flint import acb_mat, arb, arb_mat

from flowkit.problems.exact import ball, to_mpf
from flowkit.problems.numbers import rational
from flowkit.problems.teacher_student import TeacherStudent

Array = np.ndarray
LARGEST = 120  # unknowns; eigenvalues take their cube in balls
SPARE = 25  # digits beyond those that cancel


def extremes(problem: Any, rows: Array, teachers: Array, loss: Any, digits: int) -> Array:
    """(smallest, largest) eigenvalue of ∂²L/∂w∂w at students `rows` (n, D), as balls.

    On the slow manifold the eigenvalues lie between L and 1, in units of the teacher: so many
    digits are kept.
    """
    alive = rows[[any(row) for row in rows.tolist()]]
    if alive.size > LARGEST:
        raise ValueError(f"hessian: {alive.size} unknowns are too many, at most {LARGEST}")
    size = float(abs(loss)) / float(sum(x * x for x in teachers[0]))
    lost = max(0.0, -log10(size)) if size > 0 else 320.0
    digits = ceil(digits + lost + SPARE)
    local = TeacherStudent(_fractions(teachers), problem.activation)
    matrix = local.hessian(_fractions(alive), precision=digits)
    with flint.ctx.workprec(ceil(digits * 3.33)):
        entries = [[ball(rational(x)) for x in row] for row in matrix]
        found = acb_mat(arb_mat(entries)).eig(algorithm="approx")
        values = sorted((x.real.mid() for x in found), key=to_mpf)
    return np.array([values[0], values[-1]], dtype=object)


def _fractions(rows: Array) -> Array:
    exact = [[_fraction(x) for x in row] for row in rows.tolist()]
    return np.array(exact, dtype=object)


def _fraction(x: Any) -> Fraction:
    return rational(to_mpf(x)) if isinstance(x, arb) else rational(x)
