"""Radau IIA with any number of stages, at any precision.

Nodes c are the zeros of P_s − P_{s−1} (shifted Legendre polynomials), the last of them 1; the
method is collocation at them.  Reference: E. Hairer & G. Wanner, Solving Ordinary Differential
Equations II, 2nd ed., IV.5 (coefficients), II.7 of volume I (collocation).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import flint
import numpy as np
from flint import arb, arb_mat

GUARD = 64
TAIL = 4  # last Legendre coefficients that a step looks at


@dataclass(frozen=True, eq=False)
class Tableau:
    """Coefficients of s stages, each correct to the precision asked for.

    Attributes
    ----------
    c : list of arb
        Nodes, increasing, in (0, 1], the last one 1.
    A : arb_mat, shape (s, s)
        a_ij = ∫_0^{c_i} ℓ_j: the Runge–Kutta matrix; its last row is b.
    D : arb_mat, shape (s, s)
        Inverse of A: p'(c) = D (p(c) − p(0)) for polynomials p of degree s.
    tail : arb_mat, shape (TAIL, s)
        The highest Legendre coefficients of the collocation polynomial, from p(c) − p(0); the
        highest comes last.
    bary : list of arb
        Barycentric weights of the nodes (0, c_1, …, c_s).
    """

    c: list[arb]
    A: arb_mat
    D: arb_mat
    tail: arb_mat
    bary: list[arb]

    @property
    def b(self) -> list[arb]:
        """Weights: those of the Radau quadrature."""
        return self.A.tolist()[-1]

    def values_at(self, points: list[arb]) -> arb_mat:
        """Matrix (len(points), s + 1): the collocation polynomial at points from its nodes.

        The first barycentric form: the second one is unstable outside the nodes, where guesses lie.
        """
        nodes = [arb(0), *self.c]
        rows = []
        for x in points:
            gaps = [x - node for node in nodes]
            hit = [i for i, gap in enumerate(gaps) if gap.contains(0)]
            if hit:
                rows.append([arb(int(i == hit[0])) for i in range(len(nodes))])
                continue
            product = arb(1)
            for gap in gaps:
                product *= gap
            rows.append([product * w / gap for w, gap in zip(self.bary, gaps, strict=True)])
        return arb_mat(rows).mid()


@lru_cache(maxsize=32)
def tableau(stages: int, bits: int) -> Tableau:
    """The coefficients of s stages, correct to `bits`."""
    with flint.ctx.workprec(bits + GUARD + 4 * stages):
        c = [_node(stages, guess) for guess in _guesses(stages)] + [arb(1)]
        nodes = [arb(0), *c]
        bary = []
        for i, x in enumerate(nodes):
            product = arb(1)
            for j, y in enumerate(nodes):
                if j != i:
                    product *= x - y
            bary.append(1 / product)
        D = _differentiation(nodes, bary)
        legendre = arb_mat([_legendre(stages, 2 * x - 1) for x in nodes]).inv()
        rows = legendre.tolist()[-TAIL:]
        tail = arb_mat([row[1:] for row in rows])
        A = D.inv()
    with flint.ctx.workprec(bits):
        return Tableau([_rounded(x) for x in c], _round(A), _round(D), _round(tail), bary)


def _round(matrix: arb_mat) -> arb_mat:
    return arb_mat([[_rounded(x) for x in row] for row in matrix.tolist()])


def _rounded(x: arb) -> arb:
    return (+x).mid()


def _guesses(stages: int) -> np.ndarray:
    from scipy.special import roots_jacobi

    return np.empty(0) if stages == 1 else (1 + roots_jacobi(stages - 1, 1, 0)[0]) / 2


def _node(stages: int, guess: float) -> arb:
    """Newton's method for P_s − P_{s−1}, divided by x − 1, from a double."""
    x = 2 * arb(float(guess)) - 1
    needed = flint.ctx.prec
    known = 40
    while True:
        values = _legendre(stages, x)
        p, q = values[-1], values[-2]
        before = values[-3] if stages > 1 else arb(0)
        # (1 − x²) P_n' = n (P_{n−1} − x P_n)
        scale = 1 - x * x
        slope = (stages * (q - x * p) - (stages - 1) * (before - x * q)) / scale
        gap = p - q
        x = (x - gap / (slope - gap / (x - 1))).mid()
        if known > needed:
            return (1 + x) / 2
        known = 2 * known - 8


def _legendre(degree: int, x: arb) -> list[arb]:
    """P_0 … P_degree."""
    values = [arb(1), x]
    for k in range(1, degree):
        values.append(((2 * k + 1) * x * values[k] - k * values[k - 1]) / (k + 1))
    return values[: degree + 1]


def _differentiation(nodes: list[arb], bary: list[arb]) -> arb_mat:
    """Rows c_i, columns c_j of the barycentric differentiation matrix on (0, c_1, …, c_s)."""
    rows = []
    for i, x in enumerate(nodes):
        row = [bary[j] / bary[i] / (x - y) if j != i else arb(0) for j, y in enumerate(nodes)]
        row[i] = -sum(row, arb(0))
        rows.append(row[1:])
    return arb_mat(rows[1:])
