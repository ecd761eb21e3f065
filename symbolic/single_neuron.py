"""One neuron learning another: the gradient flow in closed form, and how fast its loss falls.

In polar coordinates about the teacher v, w = ρ(cos θ, sin θ), two combinations of ρ and θ obey
equations that anyone can solve.  μ = mean and κ = kink weight of the activation (½, 1: the ReLU).
"""

from __future__ import annotations

import sympy as sp

from symbolic.derivation import Derived, Step, derivation
from symbolic.gaussian import THETA
from symbolic.series import Coefficient
from symbolic.special import kink
from symbolic.toy_cases import KAPPA, MU, RHO, T, V, direction, pull

THETA_0 = sp.Symbol("theta_0", positive=True)
RHO_0 = sp.Symbol("rho_0", positive=True)
D, C = sp.Symbol("D", positive=True), sp.Symbol("C", real=True)
ANGLES = {
    THETA: (sp.S.Zero, sp.pi),
    THETA_0: (sp.S.Zero, sp.pi),
    MU: (sp.S.Half, sp.S.One),
    KAPPA: (sp.S.Zero, sp.S.One),
}


def weight(angle: sp.Expr) -> sp.Expr:
    """A(θ) = μ − κθ/2π, positive for θ < π: how much of the teacher a student at θ sees."""
    return MU - KAPPA * angle / (2 * sp.pi)


def velocity() -> sp.Matrix:
    """−∂L/∂w of one student at ρ(cos θ, sin θ), Cartesian."""
    residual = RHO * direction(THETA) - sp.Matrix([V, 0])
    return -MU * residual + KAPPA * pull(direction(THETA), V, sp.Matrix([1, 0]), THETA)


@derivation(
    "single-neuron",
    "One student: cot θ = (V/μ) (D exp(μt) − C) and ρ = A(θ) exp(−μt)/(D sin θ), A = μ − κθ/2π; "
    "the ReLU has μ = ½, κ = 1",
    "the rate exp(−Ω(t)): Xu & Du 2023, introduction",
)
def single_neuron() -> Derived:
    """The result is (θ, ρ, D, C) for 0 < θ₀ < π; ρ in θ, C in D."""
    along, across = direction(THETA), sp.Matrix([-sp.sin(THETA), sp.cos(THETA)])
    a = weight(THETA)
    radial = -MU * RHO + V * (a * sp.cos(THETA) + KAPPA * sp.sin(THETA) / (2 * sp.pi))
    angular = -V * a * sp.sin(THETA) / RHO
    combined = RHO * sp.sin(THETA) / a
    decayed = sp.exp(-MU * T) / D
    norm = a * decayed / sp.sin(THETA)
    cotangent = V / MU * (D * sp.exp(MU * T) - C)
    start = weight(THETA_0) / (RHO_0 * sp.sin(THETA_0))
    shift = D - MU * sp.cot(THETA_0) / V
    steps = (
        Step("radial velocity", "dρ/dt = w̄·dw/dt", along.dot(velocity()), radial, ANGLES),
        Step(
            "angular velocity", "dθ/dt = ē·dw/dt/ρ", across.dot(velocity()) / RHO, angular, ANGLES
        ),
        Step(
            "first combination",
            "y = ρ sin θ/A: dy/dt = ∂y/∂ρ dρ/dt + ∂y/∂θ dθ/dt = −μ y",
            sp.Derivative(combined, RHO) * radial + sp.Derivative(combined, THETA) * angular,
            -MU * combined,
            ANGLES,
        ),
        Step(
            "its solution",
            "y = exp(−μt)/D satisfies dy/dt = −μ y",
            sp.Derivative(decayed, T),
            -MU * decayed,
        ),
        Step(
            "D",
            "from y(0)",
            sp.Subs(1 / combined, (RHO, THETA), (RHO_0, THETA_0)),
            start,
            ANGLES,
        ),
        Step(
            "norm",
            "ρ = y A/sin θ: it gives back y",
            sp.Subs(combined, RHO, norm),
            decayed,
            ANGLES,
        ),
        Step(
            "second combination",
            "d cot θ/dt with that norm: θ drops out",
            sp.Derivative(sp.cot(THETA), THETA) * angular.subs(RHO, norm),
            D * V * sp.exp(MU * T),
            ANGLES,
        ),
        Step(
            "angle",
            "cot θ = (V/μ) (D exp(μt) − C) satisfies it",
            sp.Derivative(cotangent, T),
            D * V * sp.exp(MU * T),
        ),
        Step(
            "C",
            "from cot θ₀",
            sp.Subs(cotangent, (T, C), (0, shift)),
            sp.cot(THETA_0),
            ANGLES,
        ),
        Step(
            "ReLU",
            "μ = ½, κ = 1: A = (π − θ)/2π",
            sp.Subs(a, (MU, KAPPA), (sp.S.Half, 1)),
            (sp.pi - THETA) / (2 * sp.pi),
            ANGLES,
        ),
    )
    return steps, sp.Tuple(sp.atan2(1, cotangent), norm, start, shift)


def solution() -> tuple[sp.Expr, sp.Expr]:
    """(θ, ρ) in θ₀, ρ₀, t, V, μ and κ."""
    angle, norm, start, shift = single_neuron().result
    composed = angle.subs(C, shift).subs(D, start)
    return composed, norm.subs(D, start).subs(THETA, composed)


@derivation(
    "single-neuron-rate",
    "One student: exp(2μt) L tends to ½ μ [(V C + κ/2π)² + μ²]/D², D and C of single-neuron, with "
    "a correction of the order exp(−μt)",
)
def single_neuron_rate() -> Derived:
    """The result is the limit and the coefficient of exp(−μt) after it, in V, D, C, μ, κ."""
    epsilon = sp.Symbol("epsilon", positive=True)
    tangent = MU * epsilon / (V * (D - C * epsilon))
    angle = sp.atan(tangent)
    height = weight(angle) * epsilon / D  # ρ sin θ
    width = height / tangent
    along = -(V * C + KAPPA / (2 * sp.pi)) / D
    limit = MU / 2 * ((V * C + KAPPA / (2 * sp.pi)) ** 2 + MU**2) / D**2
    later = -2 * KAPPA * MU**3 / (3 * sp.pi * V * D**3)
    bend = -KAPPA * MU / (2 * sp.pi * V * D**2)  # of ρ sin θ, second order
    first, second, third = sp.symbols("y_1 y_2 s_3", real=True)
    values = (first, second, third), (MU / D, bend, (MU / (V * D)) ** 3 / 3)
    steps = (
        Step(
            "small angle",
            "tan θ = μ ε/(V (D − C ε)), ε = exp(−μt)",
            Coefficient(angle, epsilon, 1),
            MU / (V * D),
        ),
        Step("across", "ρ sin θ = A ε/D", Coefficient(height, epsilon, 1), MU / D),
        Step("along", "ρ cos θ tends to V", Coefficient(width, epsilon, 0), V),
        Step("along, first order", "ρ cos θ − V", Coefficient(width, epsilon, 1), along),
        Step(
            "second order",
            "of ρ cos θ − V and of ρ sin θ",
            sp.Matrix([Coefficient(width, epsilon, 2), Coefficient(height, epsilon, 2)]),
            sp.Matrix([0, bend]),
        ),
        Step(
            "pair",
            "−κ ρ V s(θ)/2π adds nothing to ½ μ ‖r‖² at second order, s(θ) = θ³/3 at third",
            Coefficient(kink(angle), epsilon, 3),
            (MU / (V * D)) ** 3 / 3,
        ),
        Step(
            "limit",
            "½ μ ‖r‖² with r = ε (along, across)",
            MU * (along**2 + (MU / D) ** 2) / 2,
            limit,
        ),
        Step(
            "next term",
            "of third order: μ times the orders 1 and 2 across, and the pair with ρ = V",
            sp.Subs(MU * first * second - KAPPA * V**2 / (2 * sp.pi) * third, *values),
            later,
        ),
    )
    return steps, sp.Tuple(limit, later)
