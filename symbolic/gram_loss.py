"""Population loss of teacher and students with any activation, from its pair kernel."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import sympy as sp

from symbolic.components import Components, students_and_teachers, wedge
from symbolic.gram import WEDGE, C, P, Q


@dataclass(frozen=True)
class GramExpressions(Components):
    """L = ½ Σ c_a c_b K(a·a, a·b, b·b) written out in components, c = 1 for students, −1 else.

    Attributes
    ----------
    students, teachers : sympy.Matrix
        Symbols of shape (n, d) and (k, d).
    kernel : sympy expression
        K in `symbolic.gram.P`, `C` and `Q`.
    loss, gradient, hessian
        A scalar, a Matrix (n, d), and a Matrix (n·d, n·d), derived on first use.
    """

    students: sp.Matrix
    teachers: sp.Matrix
    kernel: Any

    @cached_property
    def loss(self) -> sp.Expr:
        """½ Σ_a K(a, a) + Σ_{a<b} c_a c_b K(a, b)."""
        signed = [(self.students[i, :], 1) for i in range(self.students.rows)]
        signed += [(self.teachers[k, :], -1) for k in range(self.teachers.rows)]
        own = self.kernel.subs({C: P, Q: P}, simultaneous=True)
        total = sum((own.subs(P, a.dot(a)) / 2 for a, _ in signed), sp.S.Zero)
        for i, (a, c) in enumerate(signed):
            for b, e in signed[i + 1 :]:
                total += c * e * self._pair(a, b)
        return total

    def _pair(self, a: sp.Matrix, b: sp.Matrix) -> sp.Expr:
        """K, the wedge as a sum of squared minors."""
        kernel = self.kernel.subs(WEDGE, wedge(a, b))
        gram = {P: a.dot(a), C: a.dot(b), Q: b.dot(b)}
        return kernel.subs(gram, simultaneous=True)


def gram_expressions(n: int, k: int, d: int, kernel: Any) -> GramExpressions:
    """Loss, gradient and Hessian of n students and k teachers in R^d."""
    students, teachers = students_and_teachers(n, k, d)
    return GramExpressions(students, teachers, kernel)
