"""The flow of students with quadratic activation in balls."""

from __future__ import annotations

from typing import Any

import numpy as np
from flint import arb, arb_mat

from flowkit.problems.exact_quadratic import QuadraticSystem

Row = list[arb]


class MatrixSystem:
    """dw_k/dt = −∂F/∂w_k for n students in R^d, by the formulas of `exact_quadratic`.

    Parameters
    ----------
    teacher : list of arb
        v.
    samples : list of list of arb or None
        Inputs; None for the population.
    scale : Fraction
        C.
    n : int
        Number of students.
    """

    gradient_flow = True

    def __init__(self, teacher: Row, samples: list[Row] | None, scale: Any, n: int) -> None:
        self.teacher = np.array(teacher, dtype=object)
        self.samples = None if samples is None else np.array(samples, dtype=object)
        self.scale, self.n, self.d = scale, n, len(teacher)
        self.size = n * self.d

    def field(self, _t: arb, y: Row) -> Row:
        values, denominator = self._at(y).gradient()
        return [-x / denominator for x in values.ravel()]

    def jacobian(self, _t: arb, y: Row) -> arb_mat:
        values, denominator = self._at(y).hessian()
        return arb_mat(self.size, self.size, [-x / denominator for x in values.ravel()]).mid()

    def loss(self, y: Row) -> arb:
        """F."""
        value, denominator = self._at(y).loss()
        return (arb(value[()]) / denominator).mid()

    def _at(self, y: Row) -> QuadraticSystem:
        rows = np.array(y, dtype=object).reshape(self.n, self.d)
        p, q = self.scale.numerator, self.scale.denominator
        return QuadraticSystem(rows, self.teacher, p, q, self.samples)
