"""A loss of students written out in components, with its derivatives."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property

import sympy as sp


class Components(ABC):
    """Loss, gradient and Hessian of students, a Matrix (n, d) of symbols; derived on first use."""

    students: sp.Matrix

    @property
    @abstractmethod
    def loss(self) -> sp.Expr:
        """A scalar."""

    @cached_property
    def gradient(self) -> sp.Matrix:
        """Derivative of the loss by the students, shape (n, d)."""
        return self.students.applyfunc(lambda w: sp.diff(self.loss, w))

    @cached_property
    def hessian(self) -> sp.Matrix:
        """Second derivatives by w_11, …, w_nd (row-major), shape (n·d, n·d)."""
        return self.gradient.reshape(len(self.gradient), 1).jacobian(list(self.students))

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {sp.latex(self.loss)}$"


def students_and_teachers(n: int, k: int, d: int) -> tuple[sp.Matrix, sp.Matrix]:
    """Symbols w_i_j and v_k_j, shapes (n, d) and (k, d)."""
    students = sp.Matrix(n, d, lambda i, j: sp.Symbol(f"w_{i + 1}_{j + 1}", real=True))
    teachers = sp.Matrix(k, d, lambda i, j: sp.Symbol(f"v_{i + 1}_{j + 1}", real=True))
    return students, teachers


def wedge(a: sp.Matrix, b: sp.Matrix) -> sp.Expr:
    """‖a∧b‖ as the root of a sum of squared minors: nothing cancels."""
    indices = range(len(a))
    minors = [(a[i] * b[j] - a[j] * b[i]) ** 2 for i in indices for j in indices if i < j]
    return sp.sqrt(sp.Add(*minors))
