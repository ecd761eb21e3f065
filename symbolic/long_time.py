"""How the loss falls for t → ∞: exponents, constants, and what comes next.

A gradient flow dx/dt = −∇F(x) with F homogeneous of degree p > 2 tends to x = β τ^{−1/(p−2)}; for
one ReLU teacher p = 3 (`symbolic.slow_manifold`).  τ = t + t₀; the time t₀ depends on the flow.
"""

from __future__ import annotations

import sympy as sp

from symbolic.derivation import Derived, Step, derivation
from symbolic.gaussian import THETA
from symbolic.series import Coefficient, taylor
from symbolic.slow_manifold import coupling_minimum, reduced_flow
from symbolic.toy_cases import KAPPA, MU, N, V, toy_1

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
        Step("exponent", "F(x) = F(β) times τ to the power −m p", -m * P, exponent, LARGE_P),
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
    h1, h2 = sp.symbols("h_1 h_2", positive=True)
    h = sp.Symbol("h", positive=True)
    velocity = reduced_flow().result
    coefficient = KAPPA / (2 * sp.pi * h * (1 - h))
    unit = {h: (sp.S.Zero, sp.S.One)}
    profile = 1 / coefficient
    form = KAPPA * BETA**3 / (3 * sp.pi * h * (1 - h))
    lengths = [BETA / (h * (1 - h)), BETA / h, BETA / (1 - h)]
    pairs = h * (1 - h) * lengths[0] ** 3 - h * lengths[1] ** 3 - (1 - h) * lengths[2] ** 3
    limit = sp.Rational(8, 3) * sp.pi**2 * h1**2 * h2**2 * V**2 / KAPPA**2
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
            sp.Subs(limit, (h1, h2, KAPPA), (sp.S.Half, sp.S.Half, 1)),
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
            {THETA: (sp.S.Zero, sp.pi / 2)},
        ),
        Step(
            "no logarithm",
            "2θ/sin 2θ is even: there is no term 1/θ to integrate",
            sp.Subs(ratio, THETA, -THETA),
            ratio,
            {THETA: (sp.S.Zero, sp.pi / 2)},
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
