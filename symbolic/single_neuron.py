"""One ReLU neuron learning another: the gradient flow in closed form, and how fast its loss falls.

In polar coordinates about the teacher v, w = ρ(cos θ, sin θ), two combinations of ρ and θ obey
equations that anyone can solve.
"""

from __future__ import annotations

import sympy as sp

from symbolic.derivation import Derived, Step, derivation
from symbolic.gaussian import THETA
from symbolic.series import Coefficient
from symbolic.special import kink
from symbolic.toy_cases import RHO, T, V, direction, pull

THETA_0 = sp.Symbol("theta_0", positive=True)
RHO_0 = sp.Symbol("rho_0", positive=True)
D, COT = sp.Symbol("D", positive=True), sp.Symbol("c", real=True)
ANGLES = {THETA: (sp.S.Zero, sp.pi), THETA_0: (sp.S.Zero, sp.pi)}
HALF = sp.Rational(1, 2)


def velocity() -> sp.Matrix:
    """−∂L/∂w of one ReLU student at ρ(cos θ, sin θ), Cartesian."""
    residual = RHO * direction(THETA) - sp.Matrix([V, 0])
    return -HALF * residual + pull(direction(THETA), V, sp.Matrix([1, 0]), THETA)


@derivation(
    "single-neuron",
    "One student: cot θ = cot θ₀ + D V (exp(t/2) − 1)/π and ρ = (π − θ) exp(−t/2)/(D sin θ), "
    "D = (π − θ₀)/(ρ₀ sin θ₀)",
    "the rate exp(−Ω(t)): Xu & Du 2023, introduction",
)
def single_neuron() -> Derived:
    """The result is (θ(t), ρ(t)), for 0 < θ₀ < π."""
    along, across = direction(THETA), sp.Matrix([-sp.sin(THETA), sp.cos(THETA)])
    radial = -RHO / 2 + V / (2 * sp.pi) * (sp.sin(THETA) + (sp.pi - THETA) * sp.cos(THETA))
    angular = -V * (sp.pi - THETA) * sp.sin(THETA) / (2 * sp.pi * RHO)
    combined = RHO * sp.sin(THETA) / (sp.pi - THETA)
    decayed = sp.exp(-T / 2) / D
    norm = (sp.pi - THETA) * decayed / sp.sin(THETA)
    cotangent = COT + D * V / sp.pi * (sp.exp(T / 2) - 1)
    start = (sp.pi - THETA_0) / (RHO_0 * sp.sin(THETA_0))
    solution = sp.atan2(1, cotangent)  # in (0, π)
    steps = (
        Step("radial velocity", "dρ/dt = w̄·dw/dt", along.dot(velocity()), radial, ANGLES),
        Step(
            "angular velocity", "dθ/dt = ē·dw/dt/ρ", across.dot(velocity()) / RHO, angular, ANGLES
        ),
        Step(
            "first combination",
            "y = ρ sin θ/(π − θ): dy/dt = ∂y/∂ρ dρ/dt + ∂y/∂θ dθ/dt = −y/2",
            sp.Derivative(combined, RHO) * radial + sp.Derivative(combined, THETA) * angular,
            -combined / 2,
            ANGLES,
        ),
        Step(
            "its solution",
            "y = exp(−t/2)/D satisfies dy/dt = −y/2",
            sp.Derivative(decayed, T),
            -decayed / 2,
        ),
        Step(
            "D", "from y(0)", sp.Subs(1 / combined, (RHO, THETA), (RHO_0, THETA_0)), start, ANGLES
        ),
        Step("norm", "ρ = y (π − θ)/sin θ: it gives back y", sp.Subs(combined, RHO, norm), decayed),
        Step(
            "second combination",
            "d cot θ/dt with that norm: θ drops out",
            (sp.Derivative(sp.cot(THETA), THETA) * angular).subs(RHO, norm),
            D * V / (2 * sp.pi) * sp.exp(T / 2),
            ANGLES,
        ),
        Step(
            "angle",
            "cot θ = c + D V (exp(t/2) − 1)/π satisfies it, c = cot θ₀",
            sp.Derivative(cotangent, T),
            D * V / (2 * sp.pi) * sp.exp(T / 2),
        ),
        Step("start", "at t = 0", sp.Subs(cotangent, T, 0), COT),
    )
    values = {D: start, COT: sp.cot(THETA_0)}
    angle = solution.subs(values)
    return steps, sp.Tuple(angle, norm.subs(values | {THETA: angle}))


@derivation(
    "single-neuron-rate",
    "One student: exp(t) L tends to ¼ (V² (C + a/π)² + π²)/D², a = π/V, C = D − a cot θ₀",
)
def single_neuron_rate() -> Derived:
    """The result is lim exp(t) L in V, D and C; time enters as ε = exp(−t/2)."""
    epsilon = sp.Symbol("epsilon", positive=True)
    c = sp.Symbol("C", real=True)
    a = sp.pi / V
    tangent = a * epsilon / (D - c * epsilon)
    angle = sp.atan(tangent)
    height = (sp.pi - angle) * epsilon / D  # ρ sin θ
    width = height / tangent
    limit = (V**2 * (c + a / sp.pi) ** 2 + sp.pi**2) / (4 * D**2)
    along = -V * (c + a / sp.pi) / D
    steps = (
        Step(
            "small angle",
            "tan θ = a ε/(D − C ε), ε = exp(−t/2)",
            Coefficient(angle, epsilon, 1),
            a / D,
        ),
        Step(
            "across",
            "ρ sin θ = (π − θ) ε/D, first order in ε",
            Coefficient(height, epsilon, 1),
            sp.pi / D,
        ),
        Step("along", "ρ cos θ tends to V", Coefficient(width, epsilon, 0), V),
        Step("along, first order", "ρ cos θ − V", Coefficient(width, epsilon, 1), along),
        Step(
            "the pair is of third order",
            "−ρ V s(θ)/2π adds nothing to ¼ ‖r‖² at second order",
            Coefficient(kink(angle) * height / sp.sin(angle), epsilon, 2),
            sp.S.Zero,
        ),
        Step(
            "limit",
            "¼ ‖r‖² with r = ε (along, across)",
            (along**2 + (sp.pi / D) ** 2) / 4,
            limit,
        ),
    )
    return steps, limit
