"""Loss, gradient and Hessian of exactly given weights, certified by ball arithmetic.

Weights are rational numbers, so the Gram matrix is computed in integers without any rounding, and
the angle of even the most parallel pair is known to full relative accuracy.  What cancellation is
left between pairs is met by raising the precision until the ball is small enough.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import ceil, log2
from typing import Any

import flint
import mpmath
import numpy as np
from flint import arb

from flowkit.problems.numbers import integers
from flowkit.problems.pairs import pair_functions

GUARD = 32
# Doubles reach down to 2^-1074; no difference of cubes of them is smaller than this many bits.
CAP = 1 << 15
FLOAT_BITS = 60


def bits(digits: int) -> int:
    """Bits that hold `digits` decimal digits, ten guard digits included."""
    return ceil((digits + 10) * log2(10))


@dataclass(frozen=True)
class ExactSystem:
    """Students and teachers as integers times a unit.

    Attributes
    ----------
    rows : list of list of int
        Students, then teachers.
    unit : Fraction
        Every entry is ``rows[a][i] * unit``.
    n : int
        Number of students.
    mean, kink_weight : Fraction
        Weights of the activation.
    """

    rows: list[list[int]]
    unit: Fraction
    n: int
    mean: Any
    kink_weight: Any

    @classmethod
    def of(cls, students: Any, teachers: Any, mean: Any, kink_weight: Any) -> ExactSystem:
        """From arrays of rational numbers, taken as the exact numbers that they are."""
        rows, unit = integers(np.vstack([students, teachers]))
        return cls(rows.tolist(), unit, len(students), mean, kink_weight)

    @property
    def signs(self) -> list[int]:
        return [1] * self.n + [-1] * (len(self.rows) - self.n)

    @cached_property
    def gram(self) -> Any:
        matrix = flint.fmpz_mat(self.rows)
        return matrix * matrix.transpose()

    @cached_property
    def residual(self) -> list[int]:
        columns = zip(*self.rows, strict=True)
        return [sum(c * x for c, x in zip(self.signs, col, strict=True)) for col in columns]

    def norm(self, a: int) -> arb:
        return arb(self.gram[a, a]).sqrt()

    def angle(self, a: int, b: int) -> arb:
        """∠(a, b) from the exact wedge; an exact 0 or π where the rows are parallel."""
        dot = self.gram[a, b]
        wedge = self.gram[a, a] * self.gram[b, b] - dot * dot
        return arb.atan2(arb(wedge).sqrt(), arb(dot))

    def parallel(self, a: int, b: int) -> bool:
        return bool(self.gram[a, a] * self.gram[b, b] == self.gram[a, b] ** 2)

    def scaled(self, value: arb, power: int) -> arb:
        """Undo the integer scaling of a quantity of this degree in the weights."""
        return value * ball(self.unit**power)

    def loss(self) -> arb:
        remainder = pair_functions("arb").remainder
        total = ball(self.mean) / 2 * sum(x * x for x in self.residual)
        pairs = arb(0)
        for a in range(len(self.rows)):
            for b in range(a):
                sign = self.signs[a] * self.signs[b]
                pairs += sign * self.norm(a) * self.norm(b) * remainder(self.angle(a, b))[0]
        return self.scaled(total + ball(self.kink_weight) * pairs, 2)

    def gradient(self) -> list[arb]:
        """∂L/∂w_1, …, ∂L/∂w_n, row by row."""
        units = [[x / self.norm(a) for x in row] for a, row in enumerate(self.rows)]
        flat = []
        for i in range(self.n):
            pair = [arb(0)] * len(units[i])
            for b in range(len(self.rows)):
                if b == i or self.gram[b, b] == 0:
                    continue
                u, q = pair_functions("arb").gradient(self.angle(i, b))
                weight = self.signs[b] * self.norm(b)
                pair = [
                    p + weight * (u * x + q * (x - y))
                    for p, x, y in zip(pair, units[i], units[b], strict=True)
                ]
            rows = zip(self.residual, pair, strict=True)
            flat += [ball(self.mean) * r + ball(self.kink_weight) * p for r, p in rows]
        return [self.scaled(x, 1) for x in flat]

    def hessian(self) -> list[arb]:
        """Second derivatives, (n·d)² entries row by row."""
        d = len(self.rows[0])
        blocks = [[_identity(d, ball(self.mean)) for _ in range(self.n)] for _ in range(self.n)]
        for i in range(self.n):
            for b in range(len(self.rows)):
                if b != i:
                    own, cross = self._pair_blocks(i, b)
                    weight = ball(self.kink_weight)
                    blocks[i][i] += own * (weight * self.signs[b])
                    if b < self.n:
                        blocks[i][b] += cross * weight
        return [
            blocks[i][j][p, q]
            for i in range(self.n)
            for p in range(d)
            for j in range(self.n)
            for q in range(d)
        ]

    def _pair_blocks(self, a: int, b: int) -> tuple[Any, Any]:
        """Own block (B/A) ν (I − āāᵀ + n̄n̄ᵀ) and cross block −ω I + ν (f̄f̄ᵀ − ēēᵀ)."""
        d = len(self.rows[a])
        if self.gram[b, b] == 0:
            return flint.arb_mat(d, d), flint.arb_mat(d, d)
        theta = self.angle(a, b)
        nu, omega = pair_functions("arb").hessian(theta)
        if self.parallel(a, b):
            return flint.arb_mat(d, d), _identity(d, -omega)
        x = flint.arb_mat(d, 1, [y / self.norm(a) for y in self.rows[a]])
        y = flint.arb_mat(d, 1, [z / self.norm(b) for z in self.rows[b]])
        normal = (y - x * theta.cos()) / theta.sin()
        f, e = (y + x) / (2 * (theta / 2).cos()), (y - x) / (2 * (theta / 2).sin())
        own = _identity(d, arb(1)) - x * x.transpose() + normal * normal.transpose()
        cross = _identity(d, -omega) + (f * f.transpose() - e * e.transpose()) * nu
        return own * (nu * self.norm(b) / self.norm(a)), cross


def certify(evaluate: Callable[[], Sequence[arb]], target: int) -> list[arb]:
    """Raise the precision until the balls are below 2^-target of the largest entry.

    Entries that are still not separated from zero at the cap are zero: exact weights cannot cancel
    that far by accident.
    """
    precision = target + GUARD
    while True:
        with flint.ctx.workprec(precision):
            values = list(evaluate())
            size = max((x.abs_lower() for x in values), default=arb(0))
            radius = max((x.rad() for x in values), default=arb(0))
            if radius <= size * arb(2) ** -target:
                return values
            if precision >= CAP:
                return [arb(0)] * len(values)
        precision *= 2


def to_mpf(x: arb) -> Any:
    """The midpoint as an mpmath number, all its bits kept."""
    if not x.is_finite():
        return mpmath.mp.nan
    mantissa, exponent = x.mid().man_exp()
    return mpmath.mp.make_mpf(mpmath.libmp.from_man_exp(int(mantissa), int(exponent)))


def to_float(x: arb) -> float:
    """The midpoint rounded to a double; what is below the smallest double becomes zero."""
    return float(to_mpf(x))


def ball(x: Any) -> arb:
    """A rational at the working precision."""
    return arb(x.numerator) / x.denominator


def number(x: Any) -> arb:
    """What a lowered expression returned, as a ball; an integer if it is constant.

    Raises
    ------
    ValueError
        It has no real value.
    """
    result = arb(x)
    if not result.is_finite():
        raise ValueError("x: the expression has no finite real value there")
    return result


def _identity(d: int, value: arb) -> Any:
    return flint.arb_mat([[value if i == j else arb(0) for j in range(d)] for i in range(d)])
