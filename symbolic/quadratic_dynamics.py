"""Gradient descent on quadratic students, in components along and across the teacher.

a_k is the component of w_k along v, b_k the one across (one of d − 1: the others alike), s = ‖v‖².
The paper's w^∥ is √s a, which changes no formula.
"""

from __future__ import annotations

import sympy as sp

from symbolic.derivation import Derived, Step, derivation
from symbolic.quadratic_loss import DOTS, GRAM, PAPER, W1, W2, V, quadratic_gradient, quadratic_loss

A1, A2, B1, B2 = sp.symbols("a_1 a_2 b_1 b_2", real=True)
S, ETA, C = sp.symbols("s eta C", positive=True)
Q = sp.Symbol("q", positive=True)
AXES = dict(zip((*W1, *W2, *V), (A1, B1, A2, B2, sp.sqrt(S), sp.S.Zero), strict=True))
N1, N2, DOT = A1**2 + B1**2, A2**2 + B2**2, A1 * A2 + B1 * B2  # ‖w_1‖², ‖w_2‖², w_1·w_2


@derivation(
    "quadratic-dynamics",
    "One step of gradient descent along and across the teacher, for one student and for several",
    f"{PAPER}, eq. (7), (8)",
)
def quadratic_dynamics() -> Derived:
    """w − η ∂F/∂w of eq. (6), by components: (7) and (8) hold as printed."""
    along, across = (_descent(i) for i in (0, 1))
    alone = {A2: 0, B2: 0}
    single = 1 + 3 * ETA * (S - N1), 1 + ETA * (S - 3 * N1)
    parts = components()
    steps = (
        Step(
            "one student, along",
            "first component of w − η ∂F/∂w",
            along.subs(alone),
            A1 * single[0],
            reference=f"{PAPER}, eq. (7)",
        ),
        Step(
            "one student, across",
            "any other component",
            across.subs(alone),
            B1 * single[1],
            reference=f"{PAPER}, eq. (7)",
        ),
        Step(
            "several students, along",
            "w_1·w_2 = a_1a_2 + b_1b_2; the terms of w_2 are summed over all other students",
            along,
            parts[0] - parts[1],
            reference=f"{PAPER}, eq. (8)",
        ),
        Step(
            "several students, across",
            "the same of b_1",
            across,
            parts[2] - parts[3],
            reference=f"{PAPER}, eq. (8)",
        ),
    )
    return steps, sp.Matrix([parts[0] - parts[1], parts[2] - parts[3]])


def components() -> tuple[sp.Expr, sp.Expr, sp.Expr, sp.Expr]:
    """A, B, C, D of eq. (8): the update is A − B along and C − D across the teacher."""
    return (
        A1 * (1 + 3 * ETA * (S - N1)),
        ETA * (2 * DOT * A2 + N2 * A1),
        B1 * (1 + ETA * (S - 3 * N1)),
        ETA * (2 * DOT * B2 + N2 * B1),
    )


def _descent(component: int) -> sp.Expr:
    gradient = quadratic_gradient().result[component].subs(AXES)
    return (A1, B1)[component] - ETA * gradient


@derivation(
    "quadratic-components",
    "Components A to D of the update of several students: their sums, their signs, and the "
    "ratios θ = B/A and ϑ = D/C at the minimum",
    f"{PAPER}, eq. (8), (10), Lemma 3",
)
def quadratic_components() -> Derived:
    """A − B and C − D are the update; what (10) and Lemma 3 assume of them."""
    steps = (*_sums(), *_ratios_at_the_minimum(), *_growth())
    return steps, sp.Matrix(components())


def _sums() -> tuple[Step, ...]:
    big_a, big_b, big_c, big_d = components()
    return (
        Step(
            "update along",
            "A = a_1(1 + 3η(s − ‖w_1‖²)), B = η Σ_{j≠1}[2(w_j·w_1)a_j + ‖w_j‖²a_1]",
            _descent(0),
            big_a - big_b,
        ),
        Step(
            "update across",
            "C = b_1(1 + η(s − 3‖w_1‖²)), D = η Σ_{j≠1}[2(w_j·w_1)b_j + ‖w_j‖²b_1]",
            _descent(1),
            big_c - big_d,
        ),
        Step(
            "sign of B",
            "A has the sign of a_1 for small η, and B need not: "
            "a_1 B < 0 where 2a_2b_1b_2 is less than −a_1(3a_2² + b_2²), a_1 > 0",
            A1 * big_b,
            ETA * (A1**2 * (3 * A2**2 + B2**2) + 2 * A1 * A2 * B1 * B2),
        ),
    )


def _ratios_at_the_minimum() -> tuple[Step, Step]:
    big_a, big_b, big_c, big_d = components()
    rest = sp.sqrt(1 - Q**2)
    shares = {A1: Q * sp.sqrt(S), A2: rest * sp.sqrt(S)}
    domain = {Q: (sp.S.Zero, sp.S.One), ETA: (sp.S.Zero, sp.Rational(1, 10))}
    theta, vartheta = 3 * ETA * S * (1 - Q**2), ETA * S * (1 - 3 * Q**2)
    # b across the flat directions: Σ q_k b_k = 0.
    slow = {B2: -Q * B1 / rest}
    ratio = sp.limit(sp.cancel((big_d / big_c).subs(slow).subs(shares)), B1, 0)
    return (
        Step(
            "θ at the minimum",
            "w_k = q_k v, Σ_k q_k² = 1: A ≠ w_k unless q_k = 1; for η s = 10⁻³, K = 10 equal shares "
            "θ is 2.7·10⁻³, for which the text has 10⁻⁴",
            (big_b / big_a).subs({B1: 0, B2: 0}).subs(shares),
            theta / (1 + theta),
            domain,
            reference=f"{PAPER}, eq. (10)",
        ),
        Step(
            "ϑ at the minimum",
            "the slow part has Σ_k q_k b_k = 0; limit b → 0 of D/C",
            ratio,
            vartheta / (1 + vartheta),
            domain,
            reference=f"{PAPER}, eq. (10)",
        ),
    )


def _growth() -> tuple[Step, Step]:
    n, th, vt = sp.symbols("n theta vartheta", positive=True)
    along, across = 3 * ETA * (S - n), ETA * (S - 3 * n)
    return (
        Step(
            "growth of the ratio",
            "a/b grows by (1 + x)/(1 + y) ≥ (1 + x)(1 − y), x = 3η(s − n), y = η(s − 3n), "
            "n = ‖w_k‖²; printed with (3s − n)(s − n), which is larger by 8n(s − n): a weaker bound",
            (1 + along) * (1 - across),
            1 + 2 * ETA * S - 3 * ETA**2 * (S - n) * (S - 3 * n),
            reference=f"{PAPER}, proof of Lemma 3",
        ),
        Step(
            "cross terms",
            "(1 − θ)/(1 + ϑ) ≥ (1 − θ)(1 − ϑ); ψ is printed with −θϑ: a weaker bound",
            (1 - th) * (1 - vt),
            1 - th - vt + th * vt,
            reference=f"{PAPER}, Lemma 3",
        ),
    )


@derivation(
    "quadratic-scale",
    "Output scale C: F_C(W; v) = F(√C W; v); descent with step η is descent on F with step Cη, "
    "the flow that of F at time Ct. F(ςW; ςv) = ς⁴F(W; v), at time ς²t",
    f"{PAPER}, eq. (13)",
)
def quadratic_scale() -> Derived:
    """What C and ‖v‖ change: units of weights, time and loss only."""
    loss = quadratic_loss().result
    g11, g12, g22, h1, h2, s = GRAM
    scaled = (C**2 * (g11**2 + 2 * g12**2 + g22**2) - 2 * C * (h1**2 + h2**2) + s**2) / 2
    scaled += (C * (g11 + g22) - s) ** 2 / 4
    wider = dict.fromkeys((g11, g12, g22), C) | dict.fromkeys((h1, h2), sp.sqrt(C))
    at = {symbol: factor * symbol for symbol, factor in wider.items()}
    unit = sp.Symbol("varsigma", positive=True)
    gradient = quadratic_gradient().result
    grown = {w: sp.sqrt(C) * w for w in (*W1, *W2)}
    all_grown = {w: unit * w for w in (*W1, *W2, *V)}
    steps = (
        Step(
            "weights of the scaled objective",
            "M = C Σ w_k w_kᵀ − v vᵀ: g_jk → C g_jk, h_k → √C h_k in the loss",
            loss.subs(at, simultaneous=True),
            scaled,
        ),
        Step(
            "gradient of the scaled objective",
            "chain rule: ∂F_C/∂w_1 = √C ∂F/∂w_1 at √C W; first component",
            sp.Derivative(scaled.subs(DOTS), W1[0]),
            sp.sqrt(C) * gradient[0].subs(grown, simultaneous=True),
        ),
        Step(
            "descent",
            "√C (w_1 − η ∂F_C/∂w_1) is a step Cη on F from √C w_1; first component. "
            "With dW/dt in place of the step: √C W(t) is the flow of F at time Ct",
            sp.sqrt(C) * (W1[0] - ETA * sp.diff(scaled.subs(DOTS), W1[0])),
            sp.sqrt(C) * W1[0] - C * ETA * gradient[0].subs(grown, simultaneous=True),
        ),
        Step(
            "loss in units of the teacher",
            "W → ςW, v → ςv: every inner product by ς²",
            loss.subs({symbol: unit**2 * symbol for symbol in GRAM}, simultaneous=True),
            unit**4 * loss,
        ),
        Step(
            "time in units of the teacher",
            "ς U(ς²t) has velocity −ς³ ∂F/∂U = −∂F/∂W at ςU, ςv; first component",
            gradient[0].subs(all_grown, simultaneous=True),
            unit**3 * gradient[0],
        ),
    )
    return steps, scaled
