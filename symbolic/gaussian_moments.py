"""Fourth moments of x ~ N(0, I): of quadratic forms, of two matrices, of vectors.

All follow from three integrals, E x_i² = 1, E x_i⁴ = 3, E x_i² x_j² = 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import sympy as sp

from symbolic.derivation import Derived, Step, derivation

X, Y = sp.symbols("x y", real=True)
LEMMA_6 = "Wang & Abernethy, Lemma 6"


@derivation("quartic-moment", "E (xᵀMx)² = 2‖M‖² + (tr M)² for x ~ N(0, I) and M = Mᵀ")
def quartic_moment() -> Derived:
    """E (xᵀMx)² = 2 ‖M‖² + (tr M)² for x ~ N(0, I) and M = Mᵀ, entry by entry for d = 3."""
    line = (-sp.oo, sp.oo)
    density = sp.exp(-(X**2) / 2) / sp.sqrt(2 * sp.pi)
    second, fourth = (sp.Integral(X**k * density, (X, *line)) for k in (2, 4))
    plane = sp.exp(-(X**2 + Y**2) / 2) / (2 * sp.pi)
    mixed = sp.Integral(X**2 * Y**2 * plane, (X, *line), (Y, *line))
    matrix = _symmetric("M", 3)
    moments = {(4,): 3, (2, 2): 1}
    expanded = sp.Add(
        *(
            matrix[a, b] * matrix[c, e] * _moment((a, b, c, e), moments)
            for a, b, c, e in product(range(3), repeat=4)
        )
    )
    result = square_moment(matrix)
    steps = (
        Step("second moment", "Gaussian integral", second, sp.Integer(1)),
        Step("fourth moment", "Gaussian integral", fourth, sp.Integer(3)),
        Step("mixed moment", "Gaussian integral, two components", mixed, sp.Integer(1)),
        Step(
            "expectation",
            "expand (xᵀMx)², here for d = 3; odd moments vanish, E x_i² x_j² = 1, E x_i⁴ = 3",
            expanded,
            result,
        ),
    )
    return steps, result


@derivation(
    "gaussian-moments",
    "E ‖xᵀV‖²‖xᵀW‖² = ‖V‖²‖W‖² + 2‖VᵀW‖² and "
    "E (xᵀWVᵀx)² = (tr WᵀV)² + tr(WᵀVWᵀV) + ‖WVᵀ‖² for x ~ N(0, I)",
    LEMMA_6,
)
def gaussian_moments() -> Derived:
    """Lemma 6, and the moments of vectors behind eq. (6), from E (xᵀMx)²; shown for d = r = 2."""
    first, second = _lemma_6()
    steps = (_two_forms(), _any_matrix(), first, second, *_vectors())
    return steps, sp.Tuple(first.after.doit(), second.after.doit())


def square_moment(matrix: sp.Matrix) -> sp.Expr:
    """E (xᵀMx)² of a symmetric M."""
    return 2 * sp.Add(*(x**2 for x in matrix)) + matrix.trace() ** 2


def trace(*factors: Any) -> sp.Expr:
    """The trace of a product of matrices, which prints as such."""
    return sp.Trace(sp.MatMul(*map(sp.ImmutableMatrix, factors), evaluate=False))


def _two_forms() -> Step:
    a, b = _symmetric("A", 2), _symmetric("B", 2)
    return Step(
        "two quadratic forms",
        "E (xᵀAx)(xᵀBx) = ¼[E (xᵀ(A + B)x)² − E (xᵀ(A − B)x)²] for A = Aᵀ, B = Bᵀ, "
        "and E (xᵀMx)² = 2‖M‖² + (tr M)²",
        (square_moment(a + b) - square_moment(a - b)) / 4,
        2 * trace(a, b) + a.trace() * b.trace(),
        reference="quartic-moment",
    )


def _any_matrix() -> Step:
    a = _general("A", 2)
    return Step(
        "a matrix that is not symmetric",
        "xᵀAx = xᵀMx with M = ½(A + Aᵀ)",
        square_moment((a + a.T) / 2),
        trace(a, a.T) + trace(a, a) + a.trace() ** 2,
    )


def _lemma_6() -> tuple[Step, Step]:
    v, w = _general("V", 2), _general("W", 2)
    forms = Step(
        "two matrices",
        "‖xᵀV‖² = xᵀAx with A = VVᵀ, ‖xᵀW‖² = xᵀBx with B = WWᵀ; 2 tr(AB) = 2‖VᵀW‖²",
        2 * trace(v, v.T, w, w.T) + trace(v, v.T) * trace(w, w.T),
        trace(v.T, v) * trace(w.T, w) + 2 * trace(v.T, w, w.T, v),
        reference=f"{LEMMA_6}, first line",
    )
    mixed = Step(
        "a product of two matrices",
        "A = WVᵀ: tr A = tr WᵀV, tr A² = tr(WᵀVWᵀV), ‖A‖² = ‖WVᵀ‖²",
        trace(w, v.T, v, w.T) + trace(w, v.T, w, v.T) + trace(w, v.T) ** 2,
        trace(w.T, v) ** 2 + trace(w.T, v, w.T, v) + trace(w, v.T, v, w.T),
        reference=f"{LEMMA_6}, second line",
    )
    return forms, mixed


def _vectors() -> tuple[Step, ...]:
    u, v = (sp.Matrix(sp.symbols(f"{name}_1:3", real=True)) for name in "uv")
    square = v.dot(v) * u.dot(u) + 2 * u.dot(v) ** 2
    half = sp.Matrix([sp.Derivative(square, x) / 2 for x in v])
    linear = 2 * u.dot(v) * u + u.dot(u) * v
    return (
        Step(
            "squares of two components",
            "A = uuᵀ, B = vvᵀ: E (x·u)²(x·v)²",
            2 * trace(u, u.T, v, v.T) + trace(u, u.T) * trace(v, v.T),
            square,
        ),
        Step(
            "a vector",
            "half the derivative by v: E (x·u)²(x·v)x = 2(u·v)u + ‖u‖²v",
            half,
            linear,
            reference="Wang & Abernethy, below eq. (6)",
        ),
        Step(
            "a cube",
            "v = u: E (x·u)³x = 3‖u‖²u",
            linear.subs(dict(zip(v, u, strict=True)), simultaneous=True),
            3 * u.dot(u) * u,
            reference="Wang & Abernethy, below eq. (6)",
        ),
    )


def _general(name: str, size: int) -> sp.Matrix:
    return sp.Matrix(size, size, lambda i, j: sp.Symbol(f"{name}_{i + 1}{j + 1}", real=True))


def _symmetric(name: str, size: int) -> sp.Matrix:
    matrix = _general(name, size)
    return sp.Matrix(size, size, lambda i, j: matrix[min(i, j), max(i, j)])


def _moment(indices: Sequence[int], even: dict[tuple[int, ...], int]) -> int:
    """E of a product of four components."""
    counts = sorted((indices.count(i) for i in set(indices)), reverse=True)
    return even.get(tuple(counts), 0)
