"""Fourth moments of x ~ N(0, I): of quadratic forms, of two matrices, of vectors.

All follow from three integrals, E x_i² = 1, E x_i⁴ = 3, E x_i² x_j² = 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import sympy as sp

from symbolic.derivation import Derived, Step, derivation
from symbolic.traces import named, trace

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
    _, general = named("M", 3, 3)
    matrix = sp.Matrix(3, 3, lambda i, j: general[min(i, j), max(i, j)])
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


def _two_forms() -> Step:
    (a, entries_a), (b, entries_b) = named("A"), named("B")
    at = {a: entries_a, b: entries_b}
    plus, minus = (2 * trace(m * m, at) + trace(m, at) ** 2 for m in (a + b, a - b))
    return Step(
        "two quadratic forms",
        "E (xᵀAx)(xᵀBx) = ¼[E (xᵀ(A + B)x)² − E (xᵀ(A − B)x)²] for A = Aᵀ, B = Bᵀ, "
        "and E (xᵀMx)² = 2 tr M² + (tr M)²",
        (plus - minus) / 4,
        2 * trace(a * b, at) + trace(a, at) * trace(b, at),
        reference="quartic-moment",
    )


def _any_matrix() -> Step:
    a, entries = named("A")
    at = {a: entries}
    symmetric = (a + a.T) / 2
    return Step(
        "a matrix that is not symmetric",
        "xᵀAx = xᵀMx with M = ½(A + Aᵀ)",
        2 * trace(symmetric * symmetric, at) + trace(symmetric, at) ** 2,
        trace(a * a.T, at) + trace(a * a, at) + trace(a, at) ** 2,
    )


def _lemma_6() -> tuple[Step, Step]:
    (v, entries_v), (w, entries_w) = named("V"), named("W")
    at = {v: entries_v, w: entries_w}
    forms = Step(
        "two matrices",
        "‖xᵀV‖² = xᵀAx with A = VVᵀ, ‖xᵀW‖² = xᵀBx with B = WWᵀ; the result is ‖V‖²‖W‖² + 2‖VᵀW‖²",
        2 * trace(v * v.T * w * w.T, at) + trace(v * v.T, at) * trace(w * w.T, at),
        trace(v.T * v, at) * trace(w.T * w, at) + 2 * trace(v.T * w * w.T * v, at),
        reference=f"{LEMMA_6}, first line",
    )
    mixed = Step(
        "a product of two matrices",
        "A = WVᵀ: ‖A‖² = ‖WVᵀ‖², tr A² = tr(WᵀVWᵀV), tr A = tr WᵀV",
        trace(w * v.T * v * w.T, at) + trace(w * v.T * w * v.T, at) + trace(w * v.T, at) ** 2,
        trace(w.T * v, at) ** 2 + trace(w.T * v * w.T * v, at) + trace(w * v.T * v * w.T, at),
        reference=f"{LEMMA_6}, second line",
    )
    return forms, mixed


def _vectors() -> tuple[Step, ...]:
    (u, column_u), (v, column_v) = named("u", 2, 1), named("v", 2, 1)
    at = {u: column_u, v: column_v}
    square = column_v.dot(column_v) * column_u.dot(column_u) + 2 * column_u.dot(column_v) ** 2
    half = sp.Matrix([sp.Derivative(square, x) / 2 for x in column_v])
    linear = 2 * column_u.dot(column_v) * column_u + column_u.dot(column_u) * column_v
    return (
        Step(
            "squares of two components",
            "A = uuᵀ, B = vvᵀ: E (x·u)²(x·v)² = 2(u·v)² + ‖u‖²‖v‖²",
            2 * trace(u * u.T * v * v.T, at) + trace(u * u.T, at) * trace(v * v.T, at),
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
            linear.subs(dict(zip(column_v, column_u, strict=True)), simultaneous=True),
            3 * column_u.dot(column_u) * column_u,
            reference="Wang & Abernethy, below eq. (6)",
        ),
    )


def _moment(indices: Sequence[int], even: dict[tuple[int, ...], int]) -> int:
    """E of a product of four components."""
    counts = sorted((indices.count(i) for i in set(indices)), reverse=True)
    return even.get(tuple(counts), 0)
