"""Near the minimum: what is fast, what is slow, and the loss to leading and next order.

Lengths in units of ‖v‖.  w_i = h_i v̄ + b_i, b_i ⟂ v, φ_i = b_i/h_i of order ε; μ = mean and
κ = kink weight of the activation (½ and 1 for the ReLU, ½(1 + α²) and (1 − α)² for the leaky one).
"""

from __future__ import annotations

import sympy as sp

from symbolic.derivation import Derived, Step, derivation
from symbolic.gaussian import THETA
from symbolic.series import Coefficient
from symbolic.special import kink
from symbolic.toy_cases import KAPPA, MU, N, R, T, direction, pull

EPSILON = sp.Symbol("epsilon", positive=True)
H1, H2 = sp.symbols("h_1 h_2", positive=True)
PLANE = sp.symbols("x_1 y_1 x_2 y_2", real=True)  # φ_1 and φ_2
G = sp.Symbol("g", real=True)
LENGTHS = sp.symbols("delta_12 delta_1 delta_2", positive=True)  # ‖φ_1 − φ_2‖, ‖φ_1‖, ‖φ_2‖


def pair_form(h: sp.Expr, k: sp.Expr, length: sp.Expr) -> sp.Expr:
    """Leading order of a pair, ‖a‖‖b‖ s(θ)/2π: h k ‖φ_a − φ_b‖³/6π."""
    return h * k * length**3 / (6 * sp.pi)


def coupling_minimum() -> tuple[sp.Expr, sp.Expr]:
    """(r, L) where ½ μ r² + κ g r/n is least."""
    return -KAPPA * G / (N * MU), -(KAPPA**2) * G**2 / (2 * N**2 * MU)


@derivation(
    "slow-manifold",
    "L = κ F + F₄ + …: F of third order in the angles, F₄ of fourth, from r = Σ w_i − v, which "
    "follows them; in units of ‖v‖²",
)
def slow_manifold() -> Derived:
    """The result is (κ F, F₄) for two students, in their lengths ‖φ‖ and the pull g on r."""
    x1, y1, x2, y2 = PLANE
    a = sp.Matrix([1, EPSILON * x1, EPSILON * y1])
    b = sp.Matrix([1, EPSILON * x2, EPSILON * y2])
    sine = a.cross(b).dot(a.cross(b)) / (a.dot(a) * b.dot(b))
    norm = sp.sqrt(1 + EPSILON**2 * (x1**2 + y1**2))
    least, value = coupling_minimum()
    quadratic = MU * R**2 / 2 + KAPPA * G * R / N
    both, first, second = LENGTHS
    leading = KAPPA * (
        pair_form(H1, H2, both) - pair_form(H1, sp.S.One, first) - pair_form(H2, sp.S.One, second)
    )
    steps = (
        Step(
            "angle",
            "sin² θ of v + ε φ_1 and v + ε φ_2 is ε² ‖φ_1 − φ_2‖² …",
            Coefficient(sine, EPSILON, 2),
            (x1 - x2) ** 2 + (y1 - y2) ** 2,
        ),
        Step("no odd order", "… + O(ε⁴)", Coefficient(sine, EPSILON, 3), sp.S.Zero),
        Step("norm", "‖w_i‖ = h_i (1 + O(ε²))", Coefficient(norm, EPSILON, 1), sp.S.Zero),
        Step("kink", "s(θ) = θ³/3 …", Coefficient(kink(EPSILON), EPSILON, 3), sp.S.One / 3),
        Step("no fourth order", "… + O(θ⁵)", Coefficient(kink(EPSILON), EPSILON, 4), sp.S.Zero),
        Step(
            "pair",
            "so a pair is ‖a‖‖b‖ s(θ)/2π = h_1 h_2 ‖φ_1 − φ_2‖³/6π + O(ε⁵); for v, h = 1, φ = 0",
            Coefficient(H1 * H2 * kink(EPSILON * both) / (2 * sp.pi), EPSILON, 3),
            pair_form(H1, H2, both),
        ),
        Step(
            "leading order",
            "κ F, F = Σ_{i<j} h_i h_j ‖φ_i − φ_j‖³/6π − Σ_i h_i ‖φ_i‖³/6π, for two students",
            leading,
            KAPPA * (H1 * H2 * both**3 - H1 * first**3 - H2 * second**3) / (6 * sp.pi),
        ),
        Step(
            "r follows",
            "b_i = β_i + r/n, Σ β_i = 0: L(r) = ½ μ r² + κ g·r/n with g = Σ ∂F/∂b_i of second "
            "order is least where",
            sp.Subs(sp.Derivative(quadratic, R), R, least),
            sp.S.Zero,
        ),
        Step("next order", "F₄ is its least value", sp.Subs(quadratic, R, least), value),
    )
    return steps, sp.Tuple(leading, value)


@derivation(
    "fast-rates",
    "Near the minimum only r is fast: dr/dt = −n μ r + O(θ²), at the rate n/2 for the ReLU",
)
def fast_rates() -> Derived:
    """The result is the rate of r, n μ."""
    own, other = direction(sp.S.Zero), direction(EPSILON * THETA)
    acting = pull(own, H1, other, EPSILON * THETA)
    i = sp.Symbol("i", integer=True)
    decay = sp.exp(-N * MU * T)
    steps = (
        Step(
            "pairs along",
            "the gradient of a pair at the angle ε θ is of third order along ā …",
            Coefficient(acting[0], EPSILON, 2),
            sp.S.Zero,
        ),
        Step(
            "pairs across",
            "… and of second order across",
            sp.Matrix([Coefficient(acting[1], EPSILON, k) for k in (1, 2)]),
            sp.Matrix([0, -H1 * THETA**2 / (2 * sp.pi)]),
        ),
        Step(
            "sum",
            "dw_i/dt = −μ r + O(θ²), so dr/dt = −Σ_i μ r + O(θ²)",
            -sp.Sum(MU * R, (i, 1, N)),
            -N * MU * R,
        ),
        Step("decay", "at the rate n μ", sp.Derivative(decay, T), -N * MU * decay),
        Step("ReLU", "μ = ½", sp.Subs(N * MU, MU, sp.S.One / 2), N / 2),
    )
    return steps, N * MU


@derivation(
    "reduced-flow",
    "On the slow manifold h_i tend to constants and the β_i follow the gradient flow of κ F on "
    "Σ β_i = 0",
)
def reduced_flow() -> Derived:
    """The result is the velocity of β_1 = −β_2 for two students in a plane."""
    b1, b2 = sp.symbols("b_1 b_2", positive=True)  # φ_1 = b_1/h_1, φ_2 = −b_2/h_2
    form = KAPPA * (
        pair_form(H1, H2, b1 / H1 + b2 / H2)
        - pair_form(H1, sp.S.One, b1 / H1)
        - pair_form(H2, sp.S.One, b2 / H2)
    )
    small = {b1: EPSILON * b1, b2: EPSILON * b2}
    by_b = [sp.diff(form, b) for b in (b1, b2)]
    forces, mean = sp.symbols("f_1:4", real=True), sp.Symbol("m", real=True)
    beta = sp.Symbol("beta", positive=True)
    together = sp.symbols("h", positive=True)
    balanced = {b1: beta, b2: beta, H1: together, H2: 1 - together}
    velocity = -KAPPA * beta**2 / (2 * sp.pi * together * (1 - together))
    steps = (
        Step(
            "degree two",
            "db/dt = −∂(κF)/∂b is of second order in ε: b ~ 1/t",
            sp.Matrix([f.subs(small, simultaneous=True) for f in by_b]),
            EPSILON**2 * sp.Matrix(by_b),
        ),
        Step(
            "h freezes",
            "dh_i/dt = −∂(κF)/∂h_i is of third order, t⁻³, whose integral converges",
            sp.diff(form, H1).subs(small, simultaneous=True),
            EPSILON**3 * sp.diff(form, H1),
        ),
        Step(
            "constraint",
            "r follows at once, so that only what keeps Σ β_i = 0 acts: forces f_i less their mean "
            "m (three students)",
            sp.Subs(sp.Add(*(f - mean for f in forces)), mean, sp.Add(*forces) / 3),
            sp.S.Zero,
        ),
        Step(
            "two students",
            "β_1 = −β_2 = β and h_1 + h_2 = 1: dβ/dt = −½ (∂/∂b_1 + ∂/∂b_2) κF",
            -((by_b[0] + by_b[1]) / 2).subs(balanced),
            velocity,
            {together: (sp.S.Zero, sp.S.One)},
        ),
    )
    return steps, velocity
