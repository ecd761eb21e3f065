"""E σ(a·x)σ(b·x) for σ(z) = erf(z/√2), by Price's theorem and one Gaussian integral."""

import sympy as sp

from symbolic.derivation import Derived, Step, derivation
from symbolic.gram import GRAM, C, P, Q

Z, U, V = sp.symbols("z u v", real=True)
M, M11, M22 = sp.symbols("m m_11 m_22", positive=True)
M12 = sp.Symbol("m_12", real=True)


@derivation(
    "erf-kernel",
    "The kernel of the error function: E erf(a·x/√2) erf(b·x/√2) for x ~ N(0, I)",
    "Williams 1997, Computing with infinite networks, eq. (11)",
)
def erf_kernel() -> Derived:
    """K = (2/π) asin(c/√((1 + p)(1 + q)))."""
    sigma, slope = sp.erf(Z / sp.sqrt(2)), sp.sqrt(2 / sp.pi) * sp.exp(-(Z**2) / 2)
    gram = sp.Matrix([[P, C], [C, Q]])
    form = (Q * U**2 - 2 * C * U * V + P * V**2) / (2 * gram.det())
    density = sp.exp(-form) / (2 * sp.pi * sp.sqrt(gram.det()))
    both = gram.inv() + sp.eye(2)
    pair = sp.Matrix([[U, V]])
    square = (pair * both * pair.T)[0] / 2
    determinant = (1 + P) * (1 + Q) - C**2
    kernel = 2 / sp.pi * sp.asin(C / sp.sqrt((1 + P) * (1 + Q)))
    points = GRAM | {U: (-2, 2), V: (-2, 2)}
    steps = (
        Step("slope", "differentiate σ", sp.Derivative(sigma, Z), slope),
        Step(
            "Price's theorem",
            "∂/∂c of the density of (u, v) = (a·x, b·x) is ∂²/∂u∂v: by parts, ∂K/∂c = E σ'(u)σ'(v)",
            sp.Derivative(density, C) / density,
            sp.Derivative(density, U, V) / density,
            points,
        ),
        Step(
            "one quadratic form",
            "σ'(u)σ'(v) is a Gaussian too: collect the exponents, M = G⁻¹ + I",
            form + (U**2 + V**2) / 2,
            square,
            points,
        ),
        *_gaussian_integral(),
        Step(
            "determinant",
            "det G · det(G⁻¹ + I) = det(I + G)",
            gram.det() * both.det(),
            determinant,
            GRAM,
        ),
        Step(
            "primitive",
            "∂K/∂c = E σ'(u)σ'(v) = (2/π)/√(det G · det M)",
            sp.Derivative(kernel, C),
            2 / (sp.pi * sp.sqrt(determinant)),
            GRAM,
        ),
        Step(
            "odd", "σ(−z) = −σ(z): for c = 0, K = E σ(u) E σ(v) = 0", sp.Subs(sigma, Z, -Z), -sigma
        ),
        Step("constant", "the primitive vanishes for c = 0, too", sp.Subs(kernel, C, 0), sp.S.Zero),
    )
    return steps, kernel


def _gaussian_integral() -> tuple[Step, ...]:
    """∫∫ exp(−½ zᵀMz) du dv = 2π/√det M, one variable after the other."""
    inner = sp.exp(-(M22 * V**2 + 2 * M12 * U * V) / 2)
    completed = sp.exp(-M22 * (V + M12 * U / M22) ** 2 / 2 + (M12 * U) ** 2 / (2 * M22))
    outer = sp.Integral(sp.exp(-M * U**2 / 2), (U, -sp.oo, sp.oo))
    return (
        Step("square", "complete it in v", inner, completed),
        Step("Gaussian integral", "in v with m = M₂₂", outer, sp.sqrt(2 * sp.pi / M)),
        Step(
            "both integrals, squared",
            "then in u, with what is left, m = M₁₁ − M₁₂²/M₂₂",
            2 * sp.pi / M22 * 2 * sp.pi / (M11 - M12**2 / M22),
            (2 * sp.pi) ** 2 / (M11 * M22 - M12**2),
            {M11: (2, 3), M22: (2, 3), M12: (-1, 1)},
        ),
    )
