"""What every gradient flow of teacher and students obeys: energy, scaling, the span."""

from __future__ import annotations

import sympy as sp

from symbolic.derivation import Derived, Step, derivation
from symbolic.gaussian import THETA, A, B
from symbolic.pairs import DOMAIN, REMAINDER

S = sp.Symbol("s", positive=True)
T = sp.Symbol("t", positive=True)


@derivation(
    "energy-identity",
    "Along a gradient flow dL/dt = −‖∇L‖², so the local slope d ln L/d ln t is −t‖∇L‖²/L",
)
def energy_identity() -> Derived:
    """The result is the local slope, in t, L and g = ‖∇L‖²; shown for two weights."""
    loss = sp.Function("L")
    paths = [sp.Function(name)(T) for name in ("w_1", "w_2")]
    speeds, slopes = sp.symbols("u_1 u_2", real=True), sp.symbols("p_1 p_2", real=True)
    square = slopes[0] ** 2 + slopes[1] ** 2
    value, norm = sp.symbols("L g", positive=True)
    steps = (
        Step(
            "chain rule",
            "dL/dt = Σ ∂L/∂w_i dw_i/dt",
            sp.Derivative(loss(*paths), T),
            sp.Add(*(sp.Derivative(loss(*paths), w) * sp.Derivative(w, T) for w in paths)),
        ),
        Step(
            "flow",
            "with u_i = dw_i/dt and p_i = ∂L/∂w_i, the flow is u_i = −p_i",
            sp.Subs(
                sp.Add(*(u * p for u, p in zip(speeds, slopes, strict=True))),
                speeds,
                [-p for p in slopes],
            ),
            -square,
        ),
        Step(
            "logarithms",
            "d ln L/d ln t = t d ln L/dt",
            T * sp.Derivative(sp.log(loss(T)), T),
            T / loss(T) * sp.Derivative(loss(T), T),
        ),
    )
    return steps, -T * norm / value


@derivation(
    "teacher-scaling",
    "With teachers s v and initial weights s w(0) the flow is s w(t); the loss takes s²",
)
def teacher_scaling() -> Derived:
    """The result is the pair kernel of s a and s b."""
    kernel = A * B * (sp.cos(THETA) / 2 + REMAINDER)
    larger = (A, B), (S * A, S * B)
    w = sp.Function("w")(T)
    r, v = sp.symbols("r v", real=True)
    steps = (
        Step(
            "loss",
            "norms take s, angles keep; so every K(a, b) of the loss takes s²",
            sp.Subs(kernel, *larger),
            S**2 * kernel,
            DOMAIN,
        ),
        Step(
            "gradient along ā",
            "it takes s only: the flow is homogeneous of degree 1",
            sp.Subs(sp.Derivative(kernel, A), *larger),
            S * sp.Derivative(kernel, A),
            DOMAIN,
        ),
        Step(
            "gradient along n̄",
            "the same for −(1/A) ∂K/∂θ",
            sp.Subs(-sp.Derivative(kernel, THETA) / A, *larger),
            -S * sp.Derivative(kernel, THETA) / A,
            DOMAIN,
        ),
        Step(
            "residual",
            "r = Σ w_i − Σ v_k takes s",
            sp.Subs(r - v, (r, v), (S * r, S * v)),
            S * (r - v),
        ),
        Step(
            "flow",
            "so s w(t) obeys the scaled equation, at the same t",
            sp.Derivative(S * w, T),
            S * sp.Derivative(w, T),
        ),
    )
    return steps, S**2 * kernel


@derivation(
    "span-reduction",
    "The flow stays in the span of teachers and initial students, and only their inner products "
    "count: min(d, n + k) dimensions are enough",
)
def span_reduction() -> Derived:
    """The result is the part of a pair's gradient along ē, a unit vector: 2 K_p a·ē + K_c b·ē."""
    a, b = (sp.symbols(f"{name}1:4", real=True) for name in "ab")
    by_p, by_c = sp.symbols("K_p K_c", real=True)
    phi = sp.Symbol("phi", real=True)
    turn = sp.Matrix([[sp.cos(phi), -sp.sin(phi)], [sp.sin(phi), sp.cos(phi)]])
    planar = sp.Matrix(a[:2]), sp.Matrix(b[:2])
    square = sp.Add(*(x**2 for x in a))
    inner = sp.Add(*(x * y for x, y in zip(a, b, strict=True)))
    part = 2 * by_p * a[2] + by_c * b[2]
    steps = (
        Step(
            "rotation",
            "L depends on inner products only, and those keep: (Q a)·(Q b) = a·b",
            (turn * planar[0]).dot(turn * planar[1]),
            planar[0].dot(planar[1]),
        ),
        Step(
            "gradient of a pair",
            "K(p, c), p = a·a, c = a·b, K_p and K_c its derivatives: the part along ē = (0, 0, 1)",
            by_p * sp.Derivative(square, a[2]) + by_c * sp.Derivative(inner, a[2]),
            part,
        ),
        Step(
            "outside the span",
            "if neither a nor b has a part along ē, neither has the velocity: it stays so",
            sp.Subs(part, (a[2], b[2]), (0, 0)),
            sp.S.Zero,
        ),
    )
    return steps, part
