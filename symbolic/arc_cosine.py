"""E σ(a·x)σ(b·x) for σ = 1 and z² on the half-line z > 0: arc-cosine kernels of order 0 and 2.

As for the ReLU in `symbolic.gaussian`, in polar coordinates of the plane of a and b.
"""

import sympy as sp

from symbolic.derivation import Derived, Step, derivation
from symbolic.gaussian import PHI, RHO, THETA, A, B
from symbolic.gram import GRAM, WEDGE, C, P, Q

ANGLES = {THETA: (sp.S.Zero, sp.pi), PHI: (-sp.pi, sp.pi)}
POLAR = ANGLES | {RHO: (sp.S.Zero, sp.Integer(5)), A: (0, 3), B: (0, 3)}
GAUSS = sp.exp(-(RHO**2) / 2)
ANGLE = sp.atan2(WEDGE, C)


@derivation(
    "arccos-0",
    "The arc-cosine kernel of order 0: E [a·x > 0][b·x > 0] for x ~ N(0, I)",
    "Cho & Saul 2009, eq. (1), n = 0",
)
def arccos_0() -> Derived:
    """K = (π − θ)/2π."""
    angular = sp.pi - THETA
    kernel = angular / (2 * sp.pi)
    steps = (
        *_polar(0, sp.S.One, -GAUSS, sp.S.One),
        _over_wedge(PHI, angular),
        Step("kernel", "K = (1/2π) · radial · angular", 1 * angular / (2 * sp.pi), kernel, POLAR),
        *_in_gram_variables(),
    )
    return steps, kernel.subs(THETA, ANGLE)


@derivation(
    "arccos-2",
    "The arc-cosine kernel of order 2: E [a·x]₊²[b·x]₊² for x ~ N(0, I)",
    "Cho & Saul 2009, eq. (1), n = 2",
)
def arccos_2() -> Derived:
    """K = ‖a‖²‖b‖² (3 sin θ cos θ + (π − θ)(1 + 2 cos²θ))/2π."""
    product = sp.cos(PHI) ** 2 * sp.cos(PHI - THETA) ** 2
    cosines = (sp.cos(2 * PHI) + sp.cos(2 * PHI - 2 * THETA)) / 4
    cosines += (2 + sp.cos(2 * THETA) + sp.cos(4 * PHI - 2 * THETA)) / 8
    primitive = (sp.sin(2 * PHI) + sp.sin(2 * PHI - 2 * THETA)) / 8
    primitive += (2 + sp.cos(2 * THETA)) * PHI / 8 + sp.sin(4 * PHI - 2 * THETA) / 32
    angular = 3 * sp.sin(THETA) * sp.cos(THETA)
    angular += (sp.pi - THETA) * (1 + 2 * sp.cos(THETA) ** 2)
    kernel = A**2 * B**2 * angular / (2 * sp.pi)
    gram = 3 * C * WEDGE + (sp.pi - ANGLE) * (P * Q + 2 * C**2)
    steps = (
        *_polar(2, product, -(RHO**4 + 4 * RHO**2 + 8) * GAUSS, sp.Integer(8)),
        Step(
            "product to sum", "cos²x = (1 + cos 2x)/2, then cos x cos y", product, cosines, ANGLES
        ),
        Step("angular primitive", "differentiate", sp.Derivative(primitive, PHI), cosines, ANGLES),
        _over_wedge(primitive, angular / 8),
        Step(
            "kernel",
            "K = (A²B²/2π) · radial · angular",
            A**2 * B**2 / (2 * sp.pi) * 8 * (angular / 8),
            kernel,
            POLAR,
        ),
        *_in_gram_variables(),
        Step(
            "kernel in Gram variables",
            "insert them",
            (P * Q * angular).subs({sp.sin(THETA): WEDGE / sp.sqrt(P * Q), THETA: ANGLE}),
            gram,
            GRAM,
        ),
    )
    return steps, gram / (2 * sp.pi)


def _polar(order: int, angular: sp.Expr, primitive: sp.Expr, radial: sp.Expr) -> tuple[Step, ...]:
    """The integrand separates, and its radial part is integrated."""
    u, v = A * RHO * sp.cos(PHI), B * RHO * sp.cos(PHI - THETA)
    power = RHO ** (2 * order + 1) * GAUSS
    limits = sp.limit(primitive, RHO, sp.oo) - primitive.subs(RHO, 0)
    return (
        Step(
            "polar coordinates",
            "x = ρ(cos φ, sin φ), dx = ρ dρ dφ; the integrand separates",
            u**order * v**order * GAUSS / (2 * sp.pi) * RHO,
            (A * B) ** order / (2 * sp.pi) * power * angular,
            POLAR,
        ),
        Step("radial primitive", "differentiate", sp.Derivative(primitive, RHO), power, POLAR),
        Step("radial integral", "from 0 to ∞", limits, radial),
    )


def _over_wedge(primitive: sp.Expr, value: sp.Expr) -> Step:
    limits = primitive.subs(PHI, sp.pi / 2) - primitive.subs(PHI, THETA - sp.pi / 2)
    rule = "a·x > 0 and b·x > 0 for θ − π/2 < φ < π/2"
    return Step("angular integral", rule, limits, value, ANGLES)


def _in_gram_variables() -> tuple[Step, ...]:
    """θ = atan2(√(pq − c²), c) by p = A², c = AB cos θ, q = B²."""
    norm = sp.sqrt(P * Q)
    return (
        Step("cosine", "c = AB cos θ, p = A², q = B²", sp.cos(ANGLE), C / norm, GRAM),
        Step("sine", "the wedge is AB sin θ", sp.sin(ANGLE), WEDGE / norm, GRAM),
    )
