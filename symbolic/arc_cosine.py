"""E σ(a·x)σ(b·x) for σ = 1 and z² on the half-line z > 0: arc-cosine kernels of order 0 and 2.

As for the ReLU in `symbolic.gaussian`, in polar coordinates of the plane of a and b.
"""

import sympy as sp

from symbolic.derivation import Derived, Step, derivation
from symbolic.gaussian import ANGLES, BOTH, PHI, PRODUCT, THETA, A, B, polar_steps, radial_integral
from symbolic.gram import GRAM, WEDGE, C, P, Q

ANGLE = sp.atan2(WEDGE, C)


@derivation(
    "arccos-0",
    "The arc-cosine kernel of order 0: E [a·x > 0][b·x > 0] for x ~ N(0, I)",
    "Cho & Saul 2009, eq. (1), n = 0",
)
def arccos_0() -> Derived:
    """K = (π − θ)/2π."""
    kernel = (sp.pi - THETA) / (2 * sp.pi)
    steps = (
        *polar_steps(BOTH, 0),
        Step(
            "kernel",
            "radial integral times the angle where both are positive",
            radial_integral(1) * sp.Integral(1, (PHI, *BOTH)) / (2 * sp.pi),
            kernel,
            ANGLES,
        ),
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
    cosines = (sp.cos(2 * PHI) + sp.cos(2 * PHI - 2 * THETA)) / 4
    cosines += (2 + sp.cos(2 * THETA) + sp.cos(4 * PHI - 2 * THETA)) / 8
    angular = 3 * sp.sin(THETA) * sp.cos(THETA)
    angular += (sp.pi - THETA) * (1 + 2 * sp.cos(THETA) ** 2)
    kernel = A**2 * B**2 * angular / (2 * sp.pi)
    gram = (3 * C * WEDGE + (sp.pi - ANGLE) * (P * Q + 2 * C**2)) / (2 * sp.pi)
    steps = (
        *polar_steps(BOTH, 2),
        Step(
            "product to sum",
            "cos²x = (1 + cos 2x)/2, then cos x cos y",
            PRODUCT**2,
            cosines,
            ANGLES,
        ),
        Step(
            "angular integral",
            "of that sum, term by term",
            sp.Integral(cosines, (PHI, *BOTH)),
            angular / 8,
            ANGLES,
        ),
        Step(
            "kernel",
            "radial integral times angular integral",
            A**2 * B**2 / (2 * sp.pi) * radial_integral(5) * angular / 8,
            kernel,
            ANGLES,
        ),
        *_in_gram_variables(),
        Step(
            "kernel in Gram variables",
            "insert them, A²B² = pq",
            sp.Subs(P * Q * angular / (2 * sp.pi), THETA, ANGLE),
            gram,
            GRAM,
        ),
    )
    return steps, gram


def _in_gram_variables() -> tuple[Step, ...]:
    """θ = atan2(√(pq − c²), c) by p = A², c = AB cos θ, q = B²."""
    norm = sp.sqrt(P * Q)
    return (
        Step(
            "cosine",
            "c = AB cos θ, p = A², q = B²",
            sp.Subs(sp.cos(THETA), THETA, ANGLE),
            C / norm,
            GRAM,
        ),
        Step(
            "sine",
            "the wedge of a and b is AB sin θ",
            sp.Subs(sp.sin(THETA), THETA, ANGLE),
            WEDGE / norm,
            GRAM,
        ),
    )
