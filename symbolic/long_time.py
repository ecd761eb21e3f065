"""How the loss falls for t → ∞: exponents, constants, and what comes next.

A gradient flow dx/dt = −∇F(x) with F homogeneous of degree p > 2 tends to x = β τ^{−1/(p−2)}; for
one ReLU teacher p = 3 (`symbolic.slow_manifold`).  τ = t + t₀; the time t₀ depends on the flow.
"""

from __future__ import annotations

import sympy as sp

from symbolic.derivation import Derived, Step, derivation
from symbolic.slow_manifold import H1, H2, coupling_minimum, reduced_flow
from symbolic.toy_cases import KAPPA, MU, N, V

P = sp.Symbol("p", positive=True)
T, TAU = sp.symbols("t tau", positive=True)
BETA = sp.Symbol("beta", positive=True)
LAMBDA = sp.Symbol("lambda", real=True)
LARGE_P = {P: (sp.Integer(3), sp.Integer(6))}
X, Y = sp.symbols("x y", positive=True)


def homogeneous() -> sp.Expr:
    """x^p f(y/x): every function of two variables of degree p."""
    return X**P * sp.Function("f")(Y / X)


@derivation(
    "power-law",
    "The gradient flow of F, homogeneous of degree p > 2, has the solution x = β τ⁻ᵐ, "
    "m = 1/(p − 2), if m β = ∇F(β); along it F falls with the exponent −p/(p − 2)",
)
def power_law() -> Derived:
    """The result is the exponent of the loss, −p/(p − 2)."""
    form, m = homogeneous(), 1 / (P - 2)
    s = sp.Symbol("s", positive=True)
    scaled = {X: s * X, Y: s * Y}
    power = sp.Symbol("m", positive=True)
    exponent = -P / (P - 2)
    steps = (
        Step(
            "gradient",
            "∇F is of degree p − 1, shown for two variables, F = x^p f(y/x)",
            sp.diff(form, X).subs(scaled, simultaneous=True).doit(),
            s ** (P - 1) * sp.diff(form, X).doit(),
        ),
        Step(
            "Euler's identity",
            "x·∇F = p F",
            X * sp.diff(form, X) + Y * sp.diff(form, Y),
            P * form,
        ),
        Step(
            "velocity",
            "of x = β τ⁻ᵐ",
            sp.Derivative(BETA * TAU**-power, TAU),
            -power * BETA * TAU ** (-power - 1),
        ),
        Step(
            "degrees",
            "−∇F(x) is −τ to the power −m(p − 1), times ∇F(β) = m β: the same power",
            m * (P - 1),
            m + 1,
            LARGE_P,
        ),
        Step(
            "exponent",
            "F(x) = F(β) times τ to the power −m p",
            sp.Subs(-power * P, power, m),
            exponent,
            LARGE_P,
        ),
        Step("ReLU", "p = 3", sp.Subs(exponent, P, 3), sp.Integer(-3)),
        Step("quadratic activation", "p = 4", sp.Subs(exponent, P, 4), sp.Integer(-2)),
    )
    return steps, exponent


@derivation(
    "self-similar",
    "p = 3: the profile β = ∇F(β) is a critical point of F − ½‖β‖², t³L tends to F(β) = ⅓‖β‖², and "
    "D²F(β) says how fast",
)
def self_similar() -> Derived:
    """The result is the power of t with which a deviation of the shape decays, 1 − λ."""
    form = homogeneous().subs(P, 3)
    gradient = [sp.diff(form, z) for z in (X, Y)]
    s, deviation = sp.Symbol("s", real=True), sp.Symbol("delta_0", positive=True)
    shape = deviation * sp.exp((1 - LAMBDA) * s)
    f_x, f_y = gradient
    rotated = sp.Matrix([-Y, X])
    hessian = sp.hessian((X**2 + Y**2) ** sp.Rational(3, 2), (X, Y))
    steps = (
        Step(
            "constant",
            "Euler: F(β) = ⅓ β·∇F(β), and ∇F(β) = β makes it ⅓ ‖β‖²; for F = x³ f(y/x)",
            (X * f_x + Y * f_y) / 3,
            form,
        ),
        Step(
            "time shift",
            "D²F β = 2 ∇F(β) = 2 β: the eigenvalue λ = 2, from t → t + t₀; Euler for ∇F",
            sp.Matrix([X * sp.diff(f_x, z) + Y * sp.diff(f_y, z) for z in (X, Y)]),
            2 * sp.Matrix(gradient),
        ),
        Step(
            "rotations",
            "F depends on lengths only: D²F J β = J ∇F(β) = J β, J a right angle about v: λ = 1, "
            "which changes no length; shown for F = ‖β‖³, ∇F = 3‖β‖β",
            hessian * rotated,
            3 * sp.sqrt(X**2 + Y**2) * rotated,
        ),
        Step(
            "deviation",
            "x = (β + δ)/t, s = ln t: dδ/ds = δ − D²F δ, along an eigenvector (1 − λ) δ",
            sp.Derivative(shape, s),
            (1 - LAMBDA) * shape,
        ),
        Step(
            "powers",
            "at first order F changes along β only (λ = 2), since ∇F(β) = β: t³L − F(β) falls "
            "like 1/t, and like the squares of the other deviations",
            shape.subs(s, sp.log(T)),
            deviation * T ** (1 - LAMBDA),
        ),
    )
    return steps, 1 - LAMBDA


@derivation(
    "two-neurons",
    "Two students, not equal: t³L tends to (8π²/3) (h₁h₂)² ‖v‖²/κ², h₁ + h₂ = 1; κ = (1 − α)² for "
    "slope α",
)
def two_neurons() -> Derived:
    """The result is the limit of t³L in h₁, h₂, κ and V = ‖v‖."""
    h = sp.Symbol("h", positive=True)
    velocity = reduced_flow().result
    coefficient = KAPPA / (2 * sp.pi * h * (1 - h))
    unit = {h: (sp.S.Zero, sp.S.One)}
    profile = 1 / coefficient
    form = KAPPA * BETA**3 / (3 * sp.pi * h * (1 - h))
    lengths = [BETA / (h * (1 - h)), BETA / h, BETA / (1 - h)]
    pairs = h * (1 - h) * lengths[0] ** 3 - h * lengths[1] ** 3 - (1 - h) * lengths[2] ** 3
    limit = sp.Rational(8, 3) * sp.pi**2 * H1**2 * H2**2 * V**2 / KAPPA**2
    steps = (
        Step(
            "loss",
            "‖φ_1 − φ_2‖ = β/h₁h₂, ‖φ_i‖ = β/h_i with h₁ = h, h₂ = 1 − h",
            KAPPA * pairs / (6 * sp.pi),
            form,
            unit,
        ),
        Step(
            "flow",
            "β_1 = −β_2 = β: each feels half of the slope of L, as in the derivation reduced-flow",
            -sp.Derivative(form, BETA) / 2,
            velocity,
            unit,
        ),
        Step(
            "solution",
            "β = 2π h₁h₂/(κ τ)",
            sp.Derivative(profile / TAU, TAU),
            -coefficient * (profile / TAU) ** 2,
            unit,
        ),
        Step(
            "limit",
            "τ³ L in units of ‖v‖²",
            sp.Subs(form, BETA, profile),
            sp.Rational(8, 3) * sp.pi**2 * h**2 * (1 - h) ** 2 / KAPPA**2,
            unit,
        ),
        Step(
            "leaky ReLU",
            "κ = (1 − α)²: the factor (1 − α)⁻⁴",
            sp.Subs(1 / KAPPA**2, KAPPA, (1 - sp.Symbol("alpha", real=True)) ** 2),
            (1 - sp.Symbol("alpha", real=True)) ** -4,
        ),
        Step(
            "mirror images",
            "toy case 1, h₁ = h₂ = ½, κ = 1: π²‖v‖²/6",
            sp.Subs(limit, (H1, H2, KAPPA), (sp.S.Half, sp.S.Half, 1)),
            sp.pi**2 * V**2 / 6,
        ),
    )
    return steps, limit


@derivation(
    "log-correction",
    "Three or more students: t³L = F(β) − 4 F₄(β) ln t/t + c/t + …, F₄ = −κ²‖g‖²/(2n²μ)",
)
def log_correction() -> Derived:
    """The result is the coefficient of ln t/t, −4 F₄, in units of ‖v‖²; c depends on the flow."""
    s = sp.Symbol("s", positive=True)
    q, fourth, start = sp.symbols("q F_4 delta_0", real=True)
    radial = (start - q * s) * sp.exp(-s)
    _, value = coupling_minimum()
    coefficient = -4 * value
    steps = (
        Step(
            "resonance",
            "x = (β + δ)/t, s = ln t: ∇F₄ is of degree 3, so along β/‖β‖, where λ = 2, "
            "dδ/ds = −δ − q exp(−s), q = ∇F₄(β)·β/‖β‖",
            sp.Derivative(radial, s),
            -radial - q * sp.exp(-s),
        ),
        Step(
            "logarithm",
            "exp(−s) is its own solution: δ = (δ_0 − q ln t)/t",
            sp.Subs(radial, s, sp.log(T)),
            (start - q * sp.log(T)) / T,
        ),
        Step(
            "Euler's identity",
            "F₄ is of degree 4, and F changes by β·δ: ‖β‖ q = β·∇F₄(β) = 4 F₄(β)",
            sp.Subs(sp.Derivative(fourth * X**4, X) * X, X, 1),
            4 * fourth,
        ),
        Step(
            "coefficient",
            "−‖β‖ q = −4 F₄; zero for two students, where r = 0 is invariant",
            sp.Subs(-4 * fourth, fourth, value),
            2 * KAPPA**2 * sp.Symbol("g", real=True) ** 2 / (N**2 * MU),
        ),
    )
    return steps, coefficient
