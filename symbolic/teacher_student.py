"""Population loss, gradient and Hessian of teachers and students written out in components.

    L(W) = E ½ (Σ_i σ(w_i·x) − Σ_k σ(v_k·x))² = ½ Σ c_a c_b K(a, b),  c = +1 student, −1 teacher

with the pair kernel K of `symbolic.pairs`.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import sympy as sp

from symbolic.components import Components, students_and_teachers, wedge
from symbolic.gaussian import THETA
from symbolic.pairs import REMAINDER, pair_gradient, weights


@dataclass(frozen=True)
class Expressions(Components):
    """The population loss of n students in R^d written out in components.

    Attributes
    ----------
    students, teachers : sympy.Matrix
        Symbols of shape (n, d) and (k, d).
    mean, kink_weight : sympy.Rational
        Weights of the activation (see the module).
    loss, gradient, hessian
        A scalar, a Matrix (n, d), and a Matrix (n·d, n·d), derived on first use.
    """

    students: sp.Matrix
    teachers: sp.Matrix
    mean: sp.Rational
    kink_weight: sp.Rational

    @property
    def residual(self) -> sp.Matrix:
        """r = Σ w_i − Σ v_k, shape (1, d)."""
        ones = sp.ones(1, self.students.rows)
        return ones * self.students - sp.ones(1, self.teachers.rows) * self.teachers

    @cached_property
    def loss(self) -> sp.Expr:
        """½ mean ‖r‖² + kink_weight Σ_{a<b} c_a c_b ‖a‖‖b‖ R(θ_ab)."""
        signed = [(row, 1) for row in _rows(self.students)]
        signed += [(row, -1) for row in _rows(self.teachers)]
        total = self.mean * self.residual.dot(self.residual) / 2
        for i, (a, c) in enumerate(signed):
            for b, e in signed[i + 1 :]:
                pair = _norm(a) * _norm(b) * REMAINDER.subs(THETA, angle(a, b))
                total += self.kink_weight * c * e * pair
        return total

    @cached_property
    def gradient(self) -> sp.Matrix:
        """Row i is mean r + kink_weight Σ_b c_b ‖b‖ [u ā + q (ā − b̄)] at a = w_i."""
        u, q = pair_gradient().result
        rows = []
        for i, a in enumerate(_rows(self.students)):
            row = self.mean * self.residual
            others = [(b, 1) for j, b in enumerate(_rows(self.students)) if j != i]
            for b, c in others + [(v, -1) for v in _rows(self.teachers)]:
                at, a_, b_ = angle(a, b), a / _norm(a), b / _norm(b)
                pair = u.subs(THETA, at) * a_ + q.subs(THETA, at) * (a_ - b_)
                row += self.kink_weight * c * _norm(b) * pair
            rows.append(row)
        return sp.Matrix.vstack(*rows)


def expressions(n: int, k: int, d: int, alpha: Fraction) -> Expressions:
    """Loss, gradient and Hessian of n students and k teachers in R^d, slope α."""
    students, teachers = students_and_teachers(n, k, d)
    mean, kink_weight = (sp.Rational(x.numerator, x.denominator) for x in weights(alpha))
    return Expressions(students, teachers, mean, kink_weight)


def angle(a: sp.Matrix, b: sp.Matrix) -> sp.Expr:
    """∠(a, b) = atan2(‖a∧b‖, a·b), accurate where they are nearly parallel."""
    return sp.atan2(wedge(a, b), a.dot(b))


def _rows(matrix: sp.Matrix) -> list[sp.Matrix]:
    return [matrix[i, :] for i in range(matrix.rows)]


def _norm(a: sp.Matrix) -> sp.Expr:
    return sp.sqrt(a.dot(a))
