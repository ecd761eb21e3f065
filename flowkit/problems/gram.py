"""Loss, gradient and Hessian from a pair kernel K(p, c, q) of p = a·a, c = a·b, q = b·b, in balls.

L = ½ Σ c_a c_b K(a, b),      ∂K/∂a = 2K_p a + K_c b,
∂²K/∂a∂a = 2K_p I + 4K_pp aaᵀ + 2K_pc (abᵀ + baᵀ) + K_cc bbᵀ,
∂²K/∂a∂b = K_c I + 4K_pq abᵀ + 2K_pc aaᵀ + 2K_cq bbᵀ + K_cc baᵀ
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any, Protocol

import flint
from flint import arb, arb_mat

from flowkit.problems.exact import ball

Row = list[arb]


class Kernel(Protocol):
    """K and its derivatives in balls; `row` is what is computed once for each vector."""

    def row(self, square: arb, order: int) -> Any:
        """Whatever a vector of this squared norm needs for derivatives up to `order`."""

    def own(self, a: Any, order: int) -> arb:
        """k, k' or k'' of k(p) = K(p, p, p)."""

    def value(self, a: Any, b: Any, dot: arb, wedge: arb) -> arb:
        """K."""

    def first(self, a: Any, b: Any, dot: arb, wedge: arb) -> tuple[arb, ...]:
        """(K_p, K_c, K_q)."""

    def second(self, a: Any, b: Any, dot: arb, wedge: arb) -> tuple[arb, ...]:
        """(K_pp, K_pc, K_cc, K_pq, K_cq, K_qq)."""


class Vectors(Protocol):
    """Students, then teachers, with their scalar products and wedges."""

    @property
    def rows(self) -> list[Row]: ...
    def square(self, a: int) -> arb: ...
    def dot(self, a: int, b: int) -> arb: ...
    def wedge(self, a: int, b: int) -> arb: ...


@dataclass(frozen=True)
class ExactVectors:
    """Of integer rows times a unit; nothing cancels in the wedge."""

    integers: list[list[int]]
    unit: Fraction

    @cached_property
    def gram(self) -> Any:
        matrix = flint.fmpz_mat(self.integers)
        return matrix * matrix.transpose()

    @property
    def rows(self) -> list[Row]:
        unit = ball(self.unit)
        return [[x * unit for x in row] for row in self.integers]

    def square(self, a: int) -> arb:
        return arb(self.gram[a, a]) * ball(self.unit**2)

    def dot(self, a: int, b: int) -> arb:
        return arb(self.gram[a, b]) * ball(self.unit**2)

    def wedge(self, a: int, b: int) -> arb:
        square = self.gram[a, a] * self.gram[b, b] - self.gram[a, b] ** 2
        return arb(square).sqrt() * ball(self.unit**2)


@dataclass(frozen=True)
class RoundedVectors:
    """Of rows at the working precision; the wedge comes from sum and difference of the units."""

    rows: list[Row]

    @cached_property
    def squares(self) -> Row:
        return [_dot(row, row).mid() for row in self.rows]

    @cached_property
    def units(self) -> list[Row]:
        pairs = zip(self.rows, self.squares, strict=True)
        return [[x / p.sqrt() for x in row] if p != 0 else row for row, p in pairs]

    def square(self, a: int) -> arb:
        return self.squares[a]

    def dot(self, a: int, b: int) -> arb:
        return _dot(self.rows[a], self.rows[b]).mid()

    def wedge(self, a: int, b: int) -> arb:
        """‖a‖‖b‖ ‖ā − b̄‖ ‖ā + b̄‖/2."""
        x, y = self.units[a], self.units[b]
        minus = [p - q for p, q in zip(x, y, strict=True)]
        plus = [p + q for p, q in zip(x, y, strict=True)]
        sides = _dot(minus, minus).mid() * _dot(plus, plus).mid()
        return ((self.squares[a] * self.squares[b] * sides).mid().sqrt() / 2).mid()


@dataclass(frozen=True)
class GramLoss:
    """The formulas, for students that may stand for several equal ones.

    Attributes
    ----------
    kernel : Kernel
    signs : list of int
        How many students each row stands for, −1 for a teacher.
    n : int
        Number of rows that are students; derivatives are those of one student of each row.
    """

    kernel: Kernel
    signs: list[int]
    n: int

    def loss(self, at: Vectors) -> arb:
        """L."""
        rows = self._rows(at, 0)
        total = arb(0)
        for sign, a in zip(self.signs, rows, strict=True):
            total += sign * sign * self.kernel.own(a, 0) / 2
        for i, j in self._pairs(len(rows)):
            value = self.kernel.value(rows[i], rows[j], at.dot(i, j), at.wedge(i, j))
            total += self.signs[i] * self.signs[j] * value
        return total

    def gradient(self, at: Vectors) -> arb_mat:
        """∂L/∂w, one row for each student."""
        rows, signs = self._rows(at, 1), self.signs
        weights = [[arb(0)] * len(rows) for _ in range(self.n)]
        for i in range(self.n):
            weights[i][i] += signs[i] * self.kernel.own(rows[i], 1)
        for i, j in self._pairs(self.n):
            p, c, q = self.kernel.first(rows[i], rows[j], at.dot(i, j), at.wedge(i, j))
            weights[i][i] += 2 * signs[j] * p
            weights[i][j] += signs[j] * c
            if j < self.n:
                weights[j][j] += 2 * signs[i] * q
                weights[j][i] += signs[i] * c
        return arb_mat(weights) * arb_mat(at.rows)

    def hessian(self, at: Vectors) -> arb_mat:
        """Derivative of `gradient` by all students, (n·d)²."""
        rows, signs, n = self._rows(at, 2), self.signs, self.n
        vectors = [arb_mat([row]) for row in at.rows]
        d = vectors[0].ncols()
        blocks = [[arb_mat(d, d) for _ in range(n)] for _ in range(n)]
        for i, v in enumerate(vectors[:n]):
            slope, bend = (self.kernel.own(rows[i], k) for k in (1, 2))
            blocks[i][i] += (v.transpose() * v * (2 * bend) + _identity(d, slope)) * signs[i]
        for i, j in self._pairs(n):
            pair = rows[i], rows[j], at.dot(i, j), at.wedge(i, j)
            first, second = self.kernel.first(*pair), self.kernel.second(*pair)
            own, other, cross = _blocks(vectors[i], vectors[j], first, second)
            blocks[i][i] += own * signs[j]
            if j < n:
                blocks[j][j] += other * signs[i]
                blocks[i][j] += cross * signs[j]
                blocks[j][i] += cross.transpose() * signs[i]
        return arb_mat(
            [[x for b in strip for x in b.tolist()[p]] for strip in blocks for p in range(d)]
        )

    def _rows(self, at: Vectors, order: int) -> list[Any]:
        return [self.kernel.row(at.square(a), order) for a in range(len(self.signs))]

    def _pairs(self, limit: int) -> Iterator[tuple[int, int]]:
        """i < j, i below the limit."""
        return ((i, j) for j in range(len(self.signs)) for i in range(min(j, limit)))


def _blocks(a: arb_mat, b: arb_mat, first: Any, second: Any) -> tuple[arb_mat, arb_mat, arb_mat]:
    """∂²K/∂a∂a, ∂²K/∂b∂b and ∂²K/∂a∂b."""
    (p, c, q), (pp, pc, cc, pq, cq, qq) = first, second
    both = arb_mat([a.entries(), b.entries()])
    shapes = (
        (2 * p, [[4 * pp, 2 * pc], [2 * pc, cc]]),
        (2 * q, [[cc, 2 * cq], [2 * cq, 4 * qq]]),
        (c, [[2 * pc, 4 * pq], [cc, 2 * cq]]),
    )
    own, other, cross = (
        both.transpose() * arb_mat(shape) * both + _identity(a.ncols(), diagonal)
        for diagonal, shape in shapes
    )
    return own, other, cross


def _identity(d: int, value: Any) -> arb_mat:
    return arb_mat([[arb(value) if i == j else arb(0) for j in range(d)] for i in range(d)])


def _dot(x: Row, y: Row) -> arb:
    return sum((p * q for p, q in zip(x, y, strict=True)), arb(0))
