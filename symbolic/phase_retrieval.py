"""Population loss, gradient and Hessian of students with quadratic activation.

    F(W) = ¼ E (C Σ_k (w_k·x)² − (v·x)²)² = ¼ E (xᵀMx)²,   M = C Σ_k w_k w_kᵀ − v vᵀ.

The fourth moments of x ~ N(0, I) (`symbolic.gaussian_moments`) make it a polynomial:
F = ½ ‖M‖² + ¼ (tr M)².
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import sympy as sp

from symbolic.components import Components, students_and_teachers


@dataclass(frozen=True)
class QuadraticExpressions(Components):
    """The loss of n students in R^d written out in components.

    Attributes
    ----------
    students, teachers : sympy.Matrix
        Symbols of shape (n, d) and (1, d).
    scale : sympy.Rational
        C.
    samples : sympy.Matrix or None
        Inputs (N, d) as exact rationals; None for the population.
    loss, gradient, hessian
        A scalar, a Matrix (n, d), and a Matrix (n·d, n·d), derived on first use.
    """

    students: sp.Matrix
    teachers: sp.Matrix
    scale: sp.Rational
    samples: sp.Matrix | None = None

    @property
    def difference(self) -> sp.Matrix:
        """M = C Σ w wᵀ − v vᵀ, shape (d, d)."""
        return self.scale * self.students.T * self.students - self.teachers.T * self.teachers

    @cached_property
    def loss(self) -> sp.Expr:
        """½ ‖M‖² + ¼ (tr M)², or the mean of ¼ (xᵀMx)² over the samples."""
        m = self.difference
        if self.samples is None:
            return sp.Add(*(x**2 for x in m)) / 2 + m.trace() ** 2 / 4
        rows = [self.samples[i, :] for i in range(self.samples.rows)]
        return sp.Add(*((x * m * x.T)[0] ** 2 for x in rows)) / (4 * len(rows))


def expressions(
    n: int, d: int, scale: Fraction, samples: Sequence[Sequence[Fraction]] | None = None
) -> QuadraticExpressions:
    """Loss, gradient and Hessian of n students in R^d; `samples` as exact numbers."""
    students, teachers = students_and_teachers(n, 1, d)
    rational = sp.Rational(scale.numerator, scale.denominator)
    rows = None
    if samples is not None:
        rows = sp.Matrix(
            [[sp.Rational(x.numerator, x.denominator) for x in row] for row in samples]
        )
    return QuadraticExpressions(students, teachers, rational, rows)
