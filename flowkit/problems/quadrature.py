"""The pair kernel of any smooth activation, by N-node Gauss–Hermite quadrature in balls.

With h_k the orthonormal Hermite polynomials and g_k(s) = Σ_i w_i h_k(x_i) σ(s x_i),

    K(p, c, q) = Σ_{k<N} g_k(√p) g_k(√q) (c/√(pq))^k:

σ(‖a‖ z) is replaced by the polynomial that agrees with it at the N nodes, and the expectation of
the product of two such polynomials is exact.  So the loss is still that of a network, never
negative, and zero where it should be; gradient and Hessian are the derivatives of this loss.
"""

from __future__ import annotations

from functools import lru_cache
from math import factorial
from typing import Any, NamedTuple

import flint
import numpy as np
from flint import arb, arb_mat

CHUNK = 64  # bits; nodes are computed for multiples of them
GUARD = 64

Row = list[arb]


class Expanded(NamedTuple):
    """A vector of squared norm p: a_k(p) = g_k(√p)/√p^k, k < N, and derivatives by p, one a row."""

    square: arb
    a: list[Row]


class QuadratureKernel:
    """K and its derivatives for a `Smooth` activation; see `flowkit.problems.gram.Kernel`.

    Parameters
    ----------
    activation : Smooth
    nodes : int
        N.
    """

    def __init__(self, activation: Any, nodes: int) -> None:
        from symbolic.lower import lower
        from symbolic.smooth import AT_ZERO, Z

        self.nodes = nodes
        forms = [activation.derivative(k) for k in range(AT_ZERO + 1)]
        self._sigma = [lower(forms[: k + 1], [Z], "arb") for k in range(3)]
        self._at_zero = lower([form.subs(Z, 0) for form in forms], [], "arb")

    def row(self, square: arb, order: int) -> Expanded:
        if square == 0:
            return Expanded(square, self._at_zero_norm(order))
        # The terms of the second derivative are of order 1, their sum of order s⁴.
        with flint.ctx.extraprec(3 * _smallness(square) + 8):
            return Expanded(square, self._expanded(square, order))

    def _expanded(self, square: arb, order: int) -> list[Row]:
        points, transform = hermite(self.nodes, -(-flint.ctx.prec // CHUNK) * CHUNK)
        s = square.sqrt()
        values = []
        for x in points:
            z = s * x
            values.append([arb(v) * z**k for k, v in enumerate(self._sigma[order](z))])
        # g, and its derivatives s g', s² g''.
        g = (arb_mat(values).transpose() * transform).tolist()
        scales = _powers(1 / s, self.nodes)
        rows = [list(g[0])]
        if order > 0:
            rows.append([(y - k * x) / 2 for k, (x, y) in enumerate(zip(*g[:2], strict=True))])
        if order > 1:
            triples = enumerate(zip(*g, strict=True))
            rows.append([(z - (2 * k + 1) * y + k * (k + 2) * x) / 4 for k, (x, y, z) in triples])
        return [
            [x * scale / square**j for x, scale in zip(row, scales, strict=True)]
            for j, row in enumerate(rows)
        ]

    def _at_zero_norm(self, order: int) -> list[Row]:
        """The limit for p → 0: σ⁽ᵏ⁾(0)/√k!; c is 0 there, so that k ≤ 2 says all."""
        values = [arb(x) for x in self._at_zero()]
        rest = [arb(0)] * (self.nodes - 3)
        return [
            [values[k + 2 * j] / (arb(factorial(k)).sqrt() * 2**j) for k in range(3)] + rest
            for j in range(order + 1)
        ]

    def own(self, a: Expanded, order: int) -> arb:
        p = a.square
        if order == 0:
            return self.value(a, a, p, arb(0))
        if order == 1:
            k_p, k_c, _ = self.first(a, a, p, arb(0))
            return 2 * k_p + k_c
        pp, pc, cc, pq, _, _ = self.second(a, a, p, arb(0))
        return 2 * pp + 2 * pq + 4 * pc + cc

    def value(self, a: Expanded, b: Expanded, dot: arb, wedge: arb) -> arb:
        return _summed(a.a[:1], b.a[:1], dot, 0)[0, 0]

    def first(self, a: Expanded, b: Expanded, dot: arb, wedge: arb) -> tuple[arb, ...]:
        plain = _summed(a.a[:2], b.a[:2], dot, 0)
        return plain[1, 0], _summed(a.a[:1], b.a[:1], dot, 1)[0, 0], plain[0, 1]

    def second(self, a: Expanded, b: Expanded, dot: arb, wedge: arb) -> tuple[arb, ...]:
        plain = _summed(a.a, b.a, dot, 0)
        once = _summed(a.a[:2], b.a[:2], dot, 1)
        twice = _summed(a.a[:1], b.a[:1], dot, 2)
        return plain[2, 0], once[1, 0], twice[0, 0], plain[1, 1], once[0, 1], plain[0, 2]


def _summed(a: list[Row], b: list[Row], dot: arb, times: int) -> arb_mat:
    """Σ_k a_k b_k (d/dc)^times c^k for all rows."""
    powers = _powers(dot, len(a[0]))
    if times == 1:
        powers = [arb(0), *(k * x for k, x in enumerate(powers[:-1], 1))]
    if times == 2:
        higher = (k * (k - 1) * x for k, x in enumerate(powers[:-2], 2))
        powers = [arb(0), arb(0), *higher]
    scaled = [[x * y for x, y in zip(row, powers, strict=True)] for row in b]
    return arb_mat(a) * arb_mat(scaled).transpose()


def _powers(x: arb, count: int) -> Row:
    result = [arb(1)]
    for _ in range(count - 1):
        result.append(result[-1] * x)
    return result


def _smallness(x: arb) -> int:
    """Bits by which a positive number is below 1."""
    mantissa, exponent = x.mid().man_exp()
    return max(0, -int(exponent) - int(mantissa).bit_length())


@lru_cache(maxsize=32)
def hermite(count: int, bits: int) -> tuple[Row, arb_mat]:
    """The N nodes x_i of Gauss–Hermite quadrature for N(0, 1), and the matrix w_i h_k(x_i), i by k.

    Newton's method from the eigenvalues of the Jacobi matrix; w_i = 1/Σ_{k<N} h_k(x_i)².
    """
    off = np.sqrt(np.arange(1, count))
    guesses = np.linalg.eigvalsh(np.diag(off, 1) + np.diag(off, -1))[(count + 1) // 2 :]
    with flint.ctx.workprec(bits + GUARD):
        roots = [arb(k).sqrt() for k in range(count + 1)]
        positive = [_root(arb(float(x)), roots, bits) for x in guesses]
        middle = [arb(0)] if count % 2 else []
        points = [-x for x in reversed(positive)] + middle + positive
        rows = []
        for x in points:
            h = _orthonormal(x, roots)[:-1]
            weight = 1 / sum((y * y for y in h), arb(0))
            rows.append([(weight * y).mid() for y in h])
    return points, arb_mat(rows)


def _root(x: arb, roots: Row, bits: int) -> arb:
    """The zero of h_N near x; h_N' = √N h_{N−1}."""
    while True:
        *_, before, last = _orthonormal(x, roots)
        step = (last / (roots[-1] * before)).mid()
        x = (x - step).mid()
        if abs(step) < x * arb(2) ** -(bits // 2 + GUARD // 2):
            return x


def _orthonormal(x: arb, roots: Row) -> Row:
    """h_0 … h_N at x, rounded: balls would grow where the recurrence does not."""
    values, before = [arb(1)], arb(0)
    for k in range(len(roots) - 1):
        after = ((x * values[-1] - roots[k] * before) / roots[k + 1]).mid()
        before = values[-1]
        values.append(after)
    return values
