"""Toy case 1 for t → ∞: series of the angle and of the loss, derived from its scalar equation."""

from __future__ import annotations

import sympy as sp

from symbolic.derivation import Derived, Step, derivation
from symbolic.gaussian import THETA
from symbolic.long_time import TAU
from symbolic.series import Coefficient, taylor
from symbolic.toy_cases import ACUTE, KAPPA, V, toy_1


@derivation(
    "toy-1-series",
    "Toy case 1 for t → ∞: θ = π y (1 − (2π²/3) y² + …), y = 1/κτ, and L; no logarithm",
)
def toy_1_series() -> Derived:
    """The result is (θ, L) to three terms each, in τ = t + t₀, κ and V."""
    speed, loss = toy_1().result
    ratio = 2 * THETA / sp.sin(2 * THETA)
    terms = [taylor(ratio, THETA, 4).coeff(THETA, k) for k in (0, 2, 4)]
    clock = sp.pi * (terms[0] / THETA - terms[1] * THETA - terms[2] * THETA**3 / 3)
    y = sp.Symbol("y", positive=True)
    first = -2 * sp.pi**2 / 3
    second = _second_coefficient(terms)
    angle = sp.pi * y * (1 + first * y**2 + second * y**4)
    unit = {KAPPA: sp.S.One, V: sp.S.One}
    levels = [taylor(loss.subs(unit), THETA, 7).coeff(THETA, k) for k in (3, 5, 7)]
    at_angle = sp.Subs(y * clock, THETA, angle)
    small = sp.Add(*(c * THETA**k for c, k in zip(levels, (3, 5, 7), strict=True)))
    falls = [taylor(small.subs(THETA, angle), y, 7).coeff(y, k) for k in (3, 5, 7)]
    series = KAPPA * V**2 * sp.Add(*(c * y**k for c, k in zip(falls, (3, 5, 7), strict=True)))
    late = {y: 1 / (KAPPA * TAU)}
    steps = (
        Step(
            "clock",
            "dt/dθ = −(π/κ) (2θ/sin 2θ)/θ²: times dθ/dt it is 1",
            sp.Mul(speed, -sp.pi / KAPPA * ratio / THETA**2, evaluate=False),
            sp.S.One,
            ACUTE,
        ),
        Step(
            "no logarithm",
            "2θ/sin 2θ is even: there is no term 1/θ to integrate",
            sp.Subs(ratio, THETA, -THETA),
            ratio,
            ACUTE,
        ),
        *(
            Step(
                f"term θ^{k}" if k else "first term",
                "of 2θ/sin 2θ",
                Coefficient(ratio, THETA, k),
                term,
            )
            for k, term in zip((0, 2, 4), terms, strict=True)
        ),
        Step(
            "time",
            "κτ with dκτ/dθ = −π (2θ/sin 2θ)/θ², to three terms",
            sp.Derivative(clock, THETA),
            -sp.pi * sp.Add(*(c * THETA ** (2 * k - 2) for k, c in enumerate(terms))),
        ),
        Step(
            "inverse",
            "y κτ(θ) = 1 at θ = θ(y): the powers y² and y⁴ vanish",
            sp.Matrix([Coefficient(at_angle, y, k) for k in (0, 2, 4)]),
            sp.Matrix([1, 0, 0]),
        ),
        Step(
            "loss of the angle",
            "L/κV² on r = 0",
            sp.Matrix([Coefficient(loss.subs(unit), THETA, k) for k in (3, 4, 5, 6, 7)]),
            sp.Matrix([levels[0], 0, levels[1], 0, levels[2]]),
        ),
        Step(
            "loss of time",
            "with θ(y)",
            sp.Matrix([Coefficient(sp.Subs(small, THETA, angle), y, k) for k in (3, 5, 7)]),
            sp.Matrix(falls),
        ),
        Step(
            "limit",
            "τ³L for κ = 1",
            sp.Limit(TAU**3 * series.subs(late).subs(KAPPA, 1), TAU, sp.oo),
            sp.pi**2 * V**2 / 6,
        ),
    )
    return steps, sp.Tuple(angle.subs(late), series.subs(late))


def _second_coefficient(terms: list[sp.Expr]) -> sp.Expr:
    """b in θ = π y (1 + a y² + b y⁴) from κτ = 1/y."""
    y, a, b = sp.symbols("y a b")
    angle = sp.pi * y * (1 + a * y**2 + b * y**4)
    clock = sp.pi * (1 / angle - terms[1] * angle - terms[2] * angle**3 / 3)
    series = taylor(y * clock, y, 4)
    first = sp.solve(series.coeff(y, 2), a)[0]
    return sp.solve(series.coeff(y, 4).subs(a, first), b)[0]
