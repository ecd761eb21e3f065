"""Loss, gradient and Hessian of phase retrieval from exactly given weights, in integers.

Weights are rational numbers and the loss is a polynomial, so the results are rationals, rounded
once.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import mpmath
import numpy as np

from flowkit.problems.exact import bits
from flowkit.problems.numbers import integers

Array = np.ndarray


def evaluate(
    quantity: str,
    students: Array,
    teacher: Array,
    scale: Fraction,
    samples: Array | None,
    digits: int | None,
) -> Array:
    """ "loss", "gradient" or "hessian" as doubles, or as mpmath numbers of so many digits."""
    rows, unit = integers(np.vstack([students, teacher]))
    inputs, shift = (None, Fraction(1)) if samples is None else integers(samples)
    system = QuadraticSystem(rows[:-1], rows[-1], scale.numerator, scale.denominator, inputs)
    values, denominator = getattr(system, quantity)()
    power = {"loss": 4, "gradient": 3, "hessian": 2}[quantity]
    factor = unit**power * shift**4 / denominator
    exact = [Fraction(x) * factor for x in np.ravel(values)]
    if digits is None:
        return np.array([float(x) for x in exact]).reshape(np.shape(values))
    numbers = np.empty(len(exact), dtype=object)
    numbers[:] = [_mpf(x, bits(digits)) for x in exact]
    return numbers.reshape(np.shape(values))


class QuadraticSystem:
    """The formulas over any exact or wide numbers: C = p/q, students and teacher in one unit.

    Entries are integers, or balls; results come with the denominator that they share.
    """

    def __init__(self, students: Array, teacher: Array, p: int, q: int, inputs: Any) -> None:
        self.w, self.v, self.p, self.q, self.x = students, teacher, p, q, inputs

    def loss(self) -> tuple[Any, int]:
        p, q = self.p, self.q
        if self.x is not None:
            error = self._misfit()
            return np.array((error * error).sum()), 4 * q * q * len(error)
        gram, inner = self.w.dot(self.w.T), self.w.dot(self.v)
        square = self.v.dot(self.v)
        trace = p * np.trace(gram) - q * square
        norm = p * p * (gram * gram).sum() - 2 * p * q * inner.dot(inner) + (q * square) ** 2
        return np.array(2 * norm + trace * trace), 4 * q * q

    def gradient(self) -> tuple[Any, int]:
        p, q = self.p, self.q
        if self.x is not None:
            inner = self.x.dot(self.w.T)
            return p * (self._misfit()[:, None] * inner).T.dot(self.x), q * q * len(inner)
        gram, inner = self.w.dot(self.w.T), self.w.dot(self.v)
        trace = p * np.trace(gram) - q * self.v.dot(self.v)
        turned = p * gram.dot(self.w) - q * np.outer(inner, self.v)
        return p * (2 * turned + trace * self.w), q * q

    def hessian(self) -> tuple[Any, int]:
        p, q, (n, d) = self.p, self.q, self.w.shape
        blocks = np.zeros((n, d, n, d), dtype=object)
        if self.x is not None:
            inner, error = self.x.dot(self.w.T), self._misfit()
            own = p * (error[:, None] * self.x).T.dot(self.x)
            for i in range(n):
                for j in range(n):
                    weight = 2 * p * p * inner[:, i] * inner[:, j]
                    blocks[i, :, j, :] = (weight[:, None] * self.x).T.dot(self.x)
                blocks[i, :, i, :] += own
            return blocks.reshape(n * d, n * d), q * q * len(inner)
        eye = np.array([[int(i == j) for j in range(d)] for i in range(d)], dtype=object)
        m = p * self.w.T.dot(self.w) - q * np.outer(self.v, self.v)
        own = p * (2 * m + np.trace(m) * eye)
        for i, a in enumerate(self.w):
            for j, b in enumerate(self.w):
                shape = a.dot(b) * eye + np.outer(a, b) + np.outer(b, a)
                blocks[i, :, j, :] = 2 * p * p * shape
            blocks[i, :, i, :] += own
        return blocks.reshape(n * d, n * d), q * q

    def _misfit(self) -> Any:
        """q xᵀMx."""
        inner, target = self.x.dot(self.w.T), self.x.dot(self.v)
        return self.p * (inner * inner).sum(axis=1) - self.q * target * target


def _mpf(x: Fraction, precision: int) -> Any:
    rounded = mpmath.libmp.from_rational(x.numerator, x.denominator, precision, "n")
    return mpmath.mp.make_mpf(rounded)
