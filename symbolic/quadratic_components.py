"""The splitting of the update of several quadratic students that the paper's estimates rest on.

Notation of `symbolic.quadratic_dynamics`.
"""

from __future__ import annotations

import sympy as sp

from symbolic.derivation import Derived, Step, derivation
from symbolic.quadratic_dynamics import A1, A2, B1, B2, ETA, components, descent
from symbolic.quadratic_loss import PAPER, S

Q = sp.Symbol("q", positive=True)


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
            descent(0),
            big_a - big_b,
        ),
        Step(
            "update across",
            "C = b_1(1 + η(s − 3‖w_1‖²)), D = η Σ_{j≠1}[2(w_j·w_1)b_j + ‖w_j‖²b_1]",
            descent(1),
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
            "w_k = q_k v, Σ_k q_k² = 1; for ηs = 10⁻³, K = 10, equal q_k it is 2.7·10⁻³, where the "
            "text has 10⁻⁴",
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
            "n = ‖w_k‖²; printed with (3s − n)(s − n), larger by 8n(s − n): a weaker bound",
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
