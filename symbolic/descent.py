"""Gradient descent with a step η on toy case 1: the rate and its constant stay, a logarithm comes.

In units of ‖v‖, on w₁ + w₂ = v, which descent keeps as the flow does; κ = kink weight.
"""

from __future__ import annotations

import sympy as sp

from symbolic.derivation import Derived, Step, derivation
from symbolic.gaussian import THETA
from symbolic.series import Coefficient
from symbolic.toy_cases import ACUTE, KAPPA, PAPER, V, toy_1

ETA = sp.Symbol("eta", positive=True)
B = sp.Symbol("b", positive=True)
TIME = sp.Symbol("t", positive=True)


def pace() -> sp.Expr:
    """What 1/b grows by in one step, to leading order."""
    return 2 * KAPPA * ETA / sp.pi


@derivation(
    "toy-1-descent",
    "Toy case 1 by gradient descent with step η, t = ηk: w₁ and w₂ keep their rate, and t³L = "
    "π²/6κ² (1 − 3η ln t/t + …), in units of ‖v‖²; the flow has no such logarithm",
    f"sharpens {PAPER}, toy case 1, for descent; flowkit's own",
)
def toy_1_descent() -> Derived:
    """The result is (1/b, coefficient of ln t/t in t³L, lim t³L)."""
    turning, loss = (form.subs(V, 1) for form in toy_1().result)
    height = sp.tan(THETA) / 2
    ratio = 1 / (1 - ETA * KAPPA * sp.atan(2 * B) / sp.pi)  # of 1/b after a step to before
    inverse = 2 * KAPPA / sp.pi * (TIME + ETA * sp.log(TIME))
    limit = sp.pi**2 / (6 * KAPPA**2)
    leading = 4 * KAPPA / (3 * sp.pi)
    share = sp.Symbol("x", positive=True)  # η ln t/t
    steps = (
        Step(
            "flow",
            "b = ½ tan θ, of toy-1: db/dt = −κ b arctan(2b)/π",
            sp.Derivative(height, THETA) * turning,
            -KAPPA * height * THETA / sp.pi,
            ACUTE,
        ),
        Step(
            "descent",
            "b ← b − η κ b arctan(2b)/π, so 1/b grows by 2κη/π …",
            Coefficient(ratio, B, 1),
            pace(),
        ),
        Step(
            "next order",
            "… + (2κη/π)² b + O(b²)",
            Coefficient(ratio, B, 2),
            pace() ** 2,
        ),
        Step(
            "sum",
            "1/b = 2κ/π (t + η ln t) + O(1) solves this up to O(ln t/t²) a step",
            ETA * sp.Derivative(inverse, TIME),
            pace() + pace() ** 2 / (2 * KAPPA * TIME / sp.pi),
        ),
        Step(
            "loss",
            "L = 4κ b³/3π + …",
            Coefficient(loss.subs(THETA, sp.atan(2 * B)), B, 3),
            leading,
        ),
        Step(
            "limit",
            "t³L at b = π/2κt",
            sp.Subs(TIME**3 * leading * B**3, B, sp.pi / (2 * KAPPA * TIME)),
            limit,
        ),
        Step(
            "logarithm",
            "and (1 + η ln t/t)⁻³ = 1 − 3 η ln t/t + …",
            Coefficient(limit * (1 + share) ** -3, share, 1),
            -3 * limit,
        ),
    )
    return steps, sp.Tuple(inverse, -3 * ETA * limit, limit)
