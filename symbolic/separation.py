"""Why students cannot stay parallel across the teacher: the angle κ between tangential parts grows.

w_i = h_i v̄ + z_i, z_i ⟂ v.  Across v the flow is linear in the z_i with scalar coefficients, so
their directions turn in one another's planes.  μ, κ weights as in `toy_cases`; the angle is K here.
"""

from __future__ import annotations

import sympy as sp

from symbolic.derivation import Derived, Step, derivation
from symbolic.gaussian import THETA
from symbolic.pairs import pair_gradient
from symbolic.special import written_out
from symbolic.toy_cases import KAPPA, MU, V, pull

ANGLE = sp.Symbol("K", positive=True)
LENGTH_1, LENGTH_2 = sp.symbols("zeta_1 zeta_2", positive=True)  # ‖z_1‖, ‖z_2‖
THETA_12, THETA_1 = sp.symbols("theta_12 theta_1", positive=True)
ALPHA_1 = sp.Symbol("alpha_1", real=True)
OWN = sp.Symbol("M_11", real=True)
MIXED = sp.symbols("M_12 M_21", real=True)
ROWS = [sp.Matrix(sp.symbols(f"h_{i} x_{i} y_{i}", real=True)) for i in (1, 2)]
DOMAIN = {
    ANGLE: (sp.S.Zero, sp.pi),
    THETA_12: (sp.S.Zero, sp.pi),
    THETA_1: (sp.S.Zero, sp.pi),
}


def coupling() -> sp.Expr:
    """M_ij, by which z_j acts on z_i."""
    _, q = pair_gradient().result
    return -(MU - KAPPA * q.subs(THETA, THETA_12))


@derivation(
    "separation",
    "The angle K between the tangential parts z_1, z_2 of two students grows at the rate "
    "(μ − κ θ₁₂/2π)(‖z_1‖/‖z_2‖ + ‖z_2‖/‖z_1‖) sin K, for two students exactly; of more, so does "
    "the largest one up to π/2, at least at this rate",
    "sharpens Xu & Du 2023, Lemma 15; flowkit's own",
)
def separation() -> Derived:
    """The result is dK/dt."""
    steps = (*_across(), *_turning(), *_others())
    return steps, rate()


def rate() -> sp.Expr:
    """dK/dt of two students."""
    return -coupling() * (LENGTH_1 / LENGTH_2 + LENGTH_2 / LENGTH_1) * sp.sin(ANGLE)


def _across() -> tuple[Step, ...]:
    """The flow across v is linear in the z_i."""
    first, second = ROWS
    norms = sp.symbols("rho_1 rho_2", positive=True)
    teacher = sp.Matrix([1, 0, 0])
    residual = first + second - V * teacher
    students = pull(first / norms[0], norms[1], second / norms[1], THETA_12)
    force = students - pull(first / norms[0], V, teacher, THETA_1)
    velocity = (-MU * residual - KAPPA * force)[1]
    u, q = pair_gradient().result
    along = sp.expand(written_out(u + q))
    pairs = norms[1] * along.subs(THETA, THETA_12) - V * along.subs(THETA, THETA_1)
    own = -MU - KAPPA * pairs / norms[0]
    return (
        Step(
            "across the teacher",
            "dz_1/dt = M_11 z_1 + M_12 z_2, with the weights of the pairs at their angles; one "
            "component, the others are alike",
            velocity,
            own * first[1] + coupling() * second[1],
            DOMAIN,
        ),
        Step(
            "ReLU",
            "M_12 = −(π − θ₁₂)/2π: students push each other's z away",
            sp.Subs(coupling(), (MU, KAPPA), (sp.S.One / 2, sp.S.One)),
            -(sp.pi - THETA_12) / (2 * sp.pi),
            DOMAIN,
        ),
    )


def _turning() -> tuple[Step, ...]:
    """How the directions of two z turn."""
    z1 = LENGTH_1 * sp.Matrix([sp.cos(ALPHA_1), sp.sin(ALPHA_1)])
    z2 = LENGTH_2 * sp.Matrix([sp.cos(ALPHA_1 + ANGLE), sp.sin(ALPHA_1 + ANGLE)])
    m12, m21 = MIXED
    turns = [
        _wedge(z1, OWN * z1 + m12 * z2) / LENGTH_1**2,
        _wedge(z2, OWN * z2 + m21 * z1) / LENGTH_2**2,
    ]
    shares = (m12 * LENGTH_2 / LENGTH_1, -m21 * LENGTH_1 / LENGTH_2)
    turned = [share * sp.sin(ANGLE) for share in shares]
    ratio = LENGTH_1 / LENGTH_2 + LENGTH_2 / LENGTH_1
    return (
        Step(
            "turning",
            "z_1 ∧ dz_1/dt = ‖z_1‖² dα_1/dt: only the other student turns z_1",
            sp.Matrix(turns),
            sp.Matrix(turned),
            DOMAIN,
        ),
        Step(
            "angle between",
            "K = α_2 − α_1, and M_12 = M_21",
            sp.Subs(turned[1] - turned[0], (m12, m21), (coupling(), coupling())),
            rate(),
            DOMAIN,
        ),
        Step(
            "at least",
            "so dK/dt ≥ −2 M_12 sin K > 0 for 0 < K < π",
            ratio - 2,
            (LENGTH_1 - LENGTH_2) ** 2 / (LENGTH_1 * LENGTH_2),
        ),
        Step(
            "growth of tan",
            "d ln tan(K/2) = dK / sin K",
            sp.Derivative(sp.log(sp.tan(ANGLE / 2)), ANGLE),
            1 / sp.sin(ANGLE),
            DOMAIN,
        ),
    )


def _others() -> tuple[Step, ...]:
    """What a third student does to the angle of the widest pair."""
    wide, near, beta = sp.symbols("K_12 K_13 beta", positive=True)
    m13 = sp.Symbol("M_13", real=True)
    c12, c13, c23 = sp.symbols("c_12 c_13 c_23", real=True)
    first = sp.Matrix([1, 0, 0])
    second = sp.Matrix([sp.cos(wide), sp.sin(wide), 0])
    third = sp.Matrix([sp.cos(near), sp.sin(near) * sp.cos(beta), sp.sin(near) * sp.sin(beta)])
    pushed = m13 * (third - third.dot(first) * first)
    return (
        Step(
            "a third student",
            "in units of ‖z_3‖/‖z_1‖ it moves z̄_1 by M_13 (z̄_3 − cos K₁₃ z̄_1), and cos K₁₂ by "
            "M_13 (cos K₂₃ − cos K₁₃ cos K₁₂)",
            pushed.dot(second),
            m13 * sp.Subs(c23 - sp.cos(near) * sp.cos(wide), c23, second.dot(third)),
        ),
        Step(
            "widest pair",
            "if K₁₂ ≤ π/2 is the largest, cos K₂₃ ≥ cos K₁₂ ≥ 0: this is M_13 < 0 times two terms "
            "that are not negative, so K₁₂ grows all the more",
            c23 - c13 * c12,
            (c23 - c12) + c12 * (1 - c13),
        ),
    )


def _wedge(x: sp.Matrix, y: sp.Matrix) -> sp.Expr:
    return x[0] * y[1] - x[1] * y[0]
