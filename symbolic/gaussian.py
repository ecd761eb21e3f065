"""E [a·x]₊ [b·x]₊ for x ~ N(0, I), derived from the Gaussian integral itself.

Only the plane of a and b matters.  In polar coordinates of that plane, x = ρ(cos φ, sin φ),
a = A(1, 0), b = B(cos θ, sin θ), the expectation is a radial integral times an angular one.
The result is the arc-cosine kernel of order 1 (Cho & Saul 2009, eq. 6): derived, not put in.
"""

from math import factorial

import sympy as sp

from symbolic.derivation import Derived, Step, derivation

A, B = sp.symbols("A B", positive=True)
THETA = sp.Symbol("theta", real=True)
RHO = sp.Symbol("rho", nonnegative=True)
PHI = sp.Symbol("phi", real=True)

ANGLES = {THETA: (sp.S.Zero, sp.pi), PHI: (-sp.pi, sp.pi)}
BOTH = (THETA - sp.pi / 2, sp.pi / 2)  # where a·x and b·x are positive
PRODUCT = sp.cos(PHI) * sp.cos(PHI - THETA)  # of the cosines of ∠(x, a) and ∠(x, b)


@derivation(
    "relu-kernel",
    "The arc-cosine kernel of order 1: K(a, b) = E [a·x]₊[b·x]₊ for x ~ N(0, I)",
    "Cho & Saul 2009, eq. (6)",
)
def relu_kernel() -> Derived:
    """Derive K(a, b) = E [a·x]₊[b·x]₊ in A = ‖a‖, B = ‖b‖ and the angle θ ∈ [0, π]."""
    angular = (sp.sin(THETA) + (sp.pi - THETA) * sp.cos(THETA)) / 2
    kernel = A * B * (sp.sin(THETA) + (sp.pi - THETA) * sp.cos(THETA)) / (2 * sp.pi)
    steps = (
        *polar_steps(BOTH),
        Step(
            "product to sum",
            "2 cos x cos y = cos(x − y) + cos(x + y)",
            PRODUCT,
            (sp.cos(THETA) + sp.cos(2 * PHI - THETA)) / 2,
            ANGLES,
        ),
        Step(
            "angular integral",
            "of that sum; cos(2φ − θ) has the primitive ½ sin(2φ − θ)",
            sp.Integral(PRODUCT, (PHI, *BOTH)),
            angular,
            ANGLES,
        ),
        Step(
            "kernel",
            "radial integral times angular integral",
            A * B / (2 * sp.pi) * radial_integral() * angular,
            kernel,
            ANGLES,
        ),
    )
    return steps, sp.expand(kernel)


def radial_integral(power: int = 3) -> sp.Integral:
    """∫ ρ^power exp(−ρ²/2) dρ over ρ > 0."""
    return sp.Integral(RHO**power * sp.exp(-(RHO**2) / 2), (RHO, 0, sp.oo))


def polar_steps(bounds: tuple[sp.Expr, sp.Expr], order: int = 1) -> tuple[Step, Step]:
    """E (a·x)ⁿ(b·x)ⁿ over an angle: it separates, and the radial integral is 2ⁿ n!."""
    integrand = (A * RHO * sp.cos(PHI) * B * RHO * sp.cos(PHI - THETA)) ** order
    radial = radial_integral(2 * order + 1)
    density = sp.exp(-(RHO**2) / 2) / (2 * sp.pi)
    polar = ANGLES | {RHO: (sp.S.Zero, sp.Integer(5))}
    return (
        Step(
            "polar coordinates",
            "x = ρ(cos φ, sin φ), dx = ρ dρ dφ, a·x = Aρ cos φ, b·x = Bρ cos(φ − θ), both positive "
            f"for {_range(bounds)}; the integrand separates",
            sp.Integral(integrand * density * RHO, (RHO, 0, sp.oo), (PHI, *bounds)),
            (A * B) ** order / (2 * sp.pi) * radial * sp.Integral(PRODUCT**order, (PHI, *bounds)),
            polar,
        ),
        Step("radial integral", "by parts", radial, sp.Integer(2**order * factorial(order))),
    )


def _range(bounds: tuple[sp.Expr, sp.Expr]) -> str:
    low, high = (str(x).replace("theta", "θ").replace("pi", "π") for x in bounds)
    return f"{low} < φ < {high}".replace(" - ", " − ").replace("-", "−")
