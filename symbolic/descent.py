"""Gradient descent with a step η near the minimum: rate and constant stay, a logarithm comes.

In units of ‖v‖; κ = kink weight.
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
    "descent",
    "Gradient descent with step η, t = ηk, on the slow manifold: along a profile b = β u, and "
    "t³L = C (1 − 3η ln t/t + …) with the C that the flow has",
    "sharpens Xu & Du 2023, Theorem 1; flowkit's own",
)
def profile_descent() -> Derived:
    """The result is (1/u, coefficient of ln t/t in t³L/C)."""
    u, share = sp.symbols("u x", positive=True)  # x: η ln t/t
    constant = sp.Symbol("C", positive=True)
    growth = 1 / (1 - ETA * u)  # of 1/u in one step
    inverse = TIME + ETA * sp.log(TIME)
    steps = (
        Step(
            "flow",
            "F is of third order and ∇F(β) = β (self-similar), so b = β u has du/dt = −u²: u = 1/t",
            sp.Derivative(1 / TIME, TIME),
            -((1 / TIME) ** 2),
        ),
        Step("descent", "u becomes u − η u², so 1/u grows by η …", Coefficient(growth, u, 1), ETA),
        Step("next order", "… + η² u + O(u²)", Coefficient(growth, u, 2), ETA**2),
        Step(
            "sum",
            "1/u = t + η ln t + O(1) solves this up to O(ln t/t²) a step",
            ETA * sp.Derivative(inverse, TIME),
            ETA + ETA**2 / TIME,
        ),
        Step(
            "logarithm",
            "L = C u³, and (1 + η ln t/t)⁻³ = 1 − 3 η ln t/t + …",
            Coefficient(constant * (1 + share) ** -3, share, 1),
            -3 * constant,
        ),
    )
    return steps, sp.Tuple(inverse, -3 * ETA)


@derivation(
    "toy-1-descent",
    "Toy case 1 by gradient descent with step η, t = ηk, on w₁ + w₂ = v, which it keeps: "
    "t³L = π²/6κ² (1 − 3η ln t/t + …), in units of ‖v‖²; the flow has no such logarithm",
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
            "b becomes b − η κ b arctan(2b)/π, so 1/b grows by 2κη/π …",
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
