"""E [a·x]₊ [b·x]₊ for x ~ N(0, I), derived from the Gaussian integral itself.

Only the plane of a and b matters.  In polar coordinates of that plane, x = ρ(cos φ, sin φ),
a = A(1, 0), b = B(cos θ, sin θ), the expectation is a radial integral times an angular one.
The result is the arc-cosine kernel of order 1 (Cho & Saul 2009, eq. 6): derived, not put in.
"""

import sympy as sp

from symbolic.derivation import Derived, Step, derivation

A, B = sp.symbols("A B", positive=True)
THETA = sp.Symbol("theta", real=True)
RHO = sp.Symbol("rho", nonnegative=True)
PHI = sp.Symbol("phi", real=True)


@derivation(
    "relu-kernel",
    "The arc-cosine kernel of order 1: K(a, b) = E [a·x]₊[b·x]₊ for x ~ N(0, I)",
    "Cho & Saul 2009, eq. (6)",
)
def relu_kernel() -> Derived:
    """Derive K(a, b) = E [a·x]₊[b·x]₊ in A = ‖a‖, B = ‖b‖ and the angle θ ∈ [0, π]."""
    density = sp.exp(-(RHO**2) / 2) / (2 * sp.pi)
    radial = RHO**3 * sp.exp(-(RHO**2) / 2)
    radial_primitive = -(RHO**2 + 2) * sp.exp(-(RHO**2) / 2)
    radial_value = sp.limit(radial_primitive, RHO, sp.oo) - radial_primitive.subs(RHO, 0)

    angular = sp.cos(PHI) * sp.cos(PHI - THETA)
    sum_form = (sp.cos(THETA) + sp.cos(2 * PHI - THETA)) / 2
    angular_primitive = PHI * sp.cos(THETA) / 2 + sp.sin(2 * PHI - THETA) / 4
    # [cos φ]₊[cos(φ − θ)]₊ vanishes outside θ − π/2 < φ < π/2.
    low, high = THETA - sp.pi / 2, sp.pi / 2
    bounds = angular_primitive.subs(PHI, high) - angular_primitive.subs(PHI, low)
    angular_value = ((sp.pi - THETA) * sp.cos(THETA) + sp.sin(THETA)) / 2

    kernel = A * B * radial_value * angular_value / (2 * sp.pi)
    integrand = A * RHO * sp.cos(PHI) * B * RHO * sp.cos(PHI - THETA) * density * RHO
    angles = {THETA: (sp.S.Zero, sp.pi), PHI: (-sp.pi, sp.pi)}
    polar = angles | {RHO: (sp.S.Zero, sp.Integer(5)), A: (0, 3), B: (0, 3)}
    steps = (
        Step(
            "polar coordinates",
            "x = ρ(cos φ, sin φ), dx = ρ dρ dφ; the integrand separates",
            integrand,
            A * B / (2 * sp.pi) * radial * angular,
            polar,
        ),
        Step(
            "radial primitive",
            "differentiate",
            sp.Derivative(radial_primitive, RHO),
            radial,
            {RHO: (sp.S.Zero, sp.Integer(5))},
        ),
        Step("radial integral", "from 0 to ∞", radial_value, sp.Integer(2)),
        Step("product to sum", "cos x cos y", angular, sum_form, angles),
        Step(
            "angular primitive",
            "differentiate",
            sp.Derivative(angular_primitive, PHI),
            sum_form,
            angles,
        ),
        Step(
            "angular integral",
            "both factors are positive for θ − π/2 < φ < π/2",
            bounds,
            angular_value,
            angles,
        ),
        Step(
            "kernel",
            "K = (A B / 2π) · radial · angular",
            kernel,
            A * B * (sp.sin(THETA) + (sp.pi - THETA) * sp.cos(THETA)) / (2 * sp.pi),
            polar,
        ),
    )
    return steps, sp.expand(kernel)
