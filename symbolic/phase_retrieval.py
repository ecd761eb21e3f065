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


@dataclass(frozen=True)
class QuadraticExpressions:
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

    @cached_property
    def gradient(self) -> sp.Matrix:
        """Derivative of the loss by the students, shape (n, d)."""
        return self.students.applyfunc(lambda w: sp.diff(self.loss, w))

    @cached_property
    def hessian(self) -> sp.Matrix:
        """Second derivatives by w_11, …, w_nd (row-major)."""
        return self.gradient.reshape(len(self.gradient), 1).jacobian(list(self.students))

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {sp.latex(self.loss)}$"


def expressions(
    n: int, d: int, scale: Fraction, samples: Sequence[Sequence[Fraction]] | None = None
) -> QuadraticExpressions:
    """Loss, gradient and Hessian of n students in R^d; `samples` as exact numbers."""
    students = sp.Matrix(n, d, lambda i, j: sp.Symbol(f"w_{i + 1}_{j + 1}", real=True))
    teachers = sp.Matrix(1, d, lambda i, j: sp.Symbol(f"v_{i + 1}_{j + 1}", real=True))
    rational = sp.Rational(scale.numerator, scale.denominator)
    rows = None
    if samples is not None:
        rows = sp.Matrix(
            [[sp.Rational(x.numerator, x.denominator) for x in row] for row in samples]
        )
    return QuadraticExpressions(students, teachers, rational, rows)
