"""Loss and gradient of students with quadratic activation, in inner products of the neurons.

g_jk = w_j·w_k, h_k = v·w_k and s = ‖v‖² (v is w* in the paper).  Two students stand for K: further
ones enter as the second does.  Components, where there are any, are those of two dimensions.
"""

from __future__ import annotations

import sympy as sp

from symbolic.derivation import Derived, Step, derivation
from symbolic.gaussian_moments import quartic_moment
from symbolic.traces import named, trace

PAPER = "Wang & Abernethy"
W1, W2 = (sp.Matrix(sp.symbols(f"w_{k}1 w_{k}2", real=True)) for k in (1, 2))
V = sp.Matrix(sp.symbols("v_1:3", real=True))
G11, G12, G22, H1, H2 = sp.symbols("g_11 g_12 g_22 h_1 h_2", real=True)
S = sp.Symbol("s", positive=True)
GRAM = (G11, G12, G22, H1, H2, S)
DOTS = dict(
    zip(GRAM, (W1.dot(W1), W1.dot(W2), W2.dot(W2), V.dot(W1), V.dot(W2), V.dot(V)), strict=True)
)


def difference() -> sp.Matrix:
    """M = Σ w_k w_kᵀ − v vᵀ, in components."""
    return W1 * W1.T + W2 * W2.T - V * V.T


@derivation(
    "quadratic-loss",
    "F = ¼E(Σ(w_k·x)² − (v·x)²)² = ½‖M‖² + ¼(tr M)², M = Σ w_k w_kᵀ − v vᵀ, "
    "as a polynomial in g_jk = w_j·w_k, h_k = v·w_k, s = ‖v‖²",
    f"{PAPER}, eq. (2), population",
)
def quadratic_loss() -> Derived:
    """The loss of two students in inner products."""
    (u, _), (d, _), (g, _), (x, column) = (
        named(name, *shape)
        for name, shape in {"U": (3, 2), "D": (3, 3), "G": (3, 3), "x": (2, 1)}.items()
    )
    rows, signs = sp.Matrix([W1.T, W2.T, V.T]), sp.diag(1, 1, -1)
    gram = sp.Matrix([[G11, G12, H1], [G12, G22, H2], [H1, H2, S]])
    vectors = {u: rows, d: signs, x: column, g: rows * rows.T}
    products = {d: signs, g: gram}
    m, entries = named("M", 3, 3)
    symmetric = {m: sp.Matrix(3, 3, lambda i, j: entries[min(i, j), max(i, j)])}
    square = G11**2 + 2 * G12**2 + G22**2 - 2 * H1**2 - 2 * H2**2 + S**2
    loss = square / 2 + (G11 + G22 - S) ** 2 / 4
    steps = (
        Step(
            "quadratic form",
            "the error is xᵀMx with M = w_1w_1ᵀ + w_2w_2ᵀ − v vᵀ = UᵀDU, "
            "rows of U: w_1, w_2, v; D = diag(1, 1, −1)",
            W1.dot(column) ** 2 + W2.dot(column) ** 2 - V.dot(column) ** 2,
            trace(x.T * u.T * d * u * x, vectors),
        ),
        Step(
            "expectation",
            "¼E (xᵀMx)² = ½‖M‖² + ¼(tr M)², here for d = 3",
            quartic_moment().result / 4,
            trace(m * m, symmetric) / 2 + trace(m, symmetric) ** 2 / 4,
            reference="quartic-moment",
        ),
        Step(
            "matrix of inner products",
            "‖M‖² = tr(UᵀDU UᵀDU) with G = UUᵀ; in the same way tr M = tr(DG)",
            trace(u.T * d * u * u.T * d * u, vectors),
            trace(d * g * d * g, vectors),
        ),
        Step(
            "norm of M",
            "Σ_jk g_jk² − 2Σ_k h_k² + s², sums over all students",
            trace(d * g * d * g, products),
            square,
        ),
        Step(
            "loss",
            "F = ½ tr(DGDG) + ¼(tr DG)², with the inner products in G",
            trace(d * g * d * g, products) / 2 + trace(d * g, products) ** 2 / 4,
            loss,
        ),
    )
    return steps, loss


@derivation(
    "quadratic-gradient",
    "∂F/∂w_k = (3‖w_k‖² − ‖v‖²)w_k − 2(v·w_k)v + Σ_{j≠k}[2(w_j·w_k)w_j + ‖w_j‖²w_k]",
    f"{PAPER}, eq. (6)",
)
def quadratic_gradient() -> Derived:
    """Eq. (6) from the loss in inner products, by the chain rule."""
    loss = quadratic_loss().result
    slopes = [(3 * G11 + G22 - S) / 2, 2 * G12, -2 * H1]
    products = (DOTS[G11], DOTS[G12], DOTS[H1])
    printed = (3 * G11 - S) * W1 - 2 * H1 * V + (2 * G12 * W2 + G22 * W1)
    gradient = printed.subs(DOTS)
    m = difference()
    steps = (
        Step(
            "inner products",
            "derivatives of g_11, g_12, h_1 by w_1, as rows: 2w_1, w_2, v",
            sp.Matrix([[sp.Derivative(p, w) for w in W1] for p in products]),
            sp.Matrix([2 * W1.T, W2.T, V.T]),
        ),
        Step(
            "slopes",
            "derivatives of F by g_11, g_12, h_1",
            sp.Matrix([sp.Derivative(loss, p) for p in (G11, G12, H1)]),
            sp.Matrix(slopes),
        ),
        Step(
            "chain rule",
            "∂F/∂w_1 = 2 F_{g_11} w_1 + F_{g_12} w_2 + F_{h_1} v",
            2 * slopes[0] * W1 + slopes[1] * W2 + slopes[2] * V,
            printed,
            reference=f"{PAPER}, eq. (6)",
        ),
        Step(
            "as a product",
            "∂F/∂w_1 = (2M + (tr M) I) w_1; first component",
            gradient[0],
            2 * m[0, :].dot(W1) + m.trace() * W1[0],
        ),
        Step(
            "derivative in components",
            "∂F/∂w_11 of F = ½‖M‖² + ¼(tr M)² written out",
            sp.Derivative(sp.Add(*(x**2 for x in m)) / 2 + m.trace() ** 2 / 4, W1[0]),
            gradient[0],
        ),
    )
    return steps, gradient
