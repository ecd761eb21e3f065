"""What the loss needs of a pair of neurons: kernel without cancellation, gradient, Hessian.

Every pair kernel here has the form K = A B [mean cos θ + kink_weight R(θ)], R(θ) = kink(θ)/2π.  The
cosine sums to ½ mean ‖r‖² with r = Σ w_i − Σ v_k, exactly; what is left is of third order in the
angles, so nothing of order one remains to cancel near a minimum.
"""

from __future__ import annotations

from fractions import Fraction

import sympy as sp

from symbolic.derivation import Derived, Step, derivation
from symbolic.gaussian import PHI, PRODUCT, THETA, A, B, radial_integral, relu_kernel
from symbolic.special import kink, sine_defect

ALPHA = sp.Symbol("alpha", nonnegative=True)
REMAINDER = kink(THETA) / (2 * sp.pi)
DOMAIN = {THETA: (sp.S.Zero, sp.pi), A: (sp.S.Zero, sp.Integer(3)), B: (sp.S.Zero, sp.Integer(3))}


@derivation(
    "split", "The ReLU kernel without cancellation: a bilinear part and one of third order in θ"
)
def split() -> Derived:
    """K = A B [½ cos θ + kink(θ)/2π] for the ReLU."""
    after = A * B * (sp.cos(THETA) / 2 + REMAINDER)
    x = sp.Symbol("x", real=True)
    steps = (
        Step(
            "splitting",
            "collect what is linear in b; s(θ) = sin θ − θ cos θ is named, since its textbook form "
            "cancels near θ = 0",
            relu_kernel().result,
            after,
            DOMAIN,
        ),
        Step("derivative of s", "product rule", sp.Derivative(kink(x), x), x * sp.sin(x)),
        Step("third order", "the first power left", sp.Limit(kink(x) / x**3, x, 0), sp.S.One / 3),
        Step(
            "mirror",
            "s(π − θ) = s(θ) + π cos θ: a pair that looks apart differs by a bilinear part",
            kink(sp.pi - THETA),
            kink(THETA) + sp.pi * sp.cos(THETA),
            DOMAIN,
        ),
    )
    return steps, after


@derivation("leaky-split", "The kernel of the leaky ReLU σ(z) = max(z, αz) from that of the ReLU")
def leaky_split() -> Derived:
    """σ(z) = α z + (1 − α)[z]₊ gives mean = ½(1 + α²) and kink weight (1 − α)²."""
    z = sp.Symbol("z", positive=True)
    dot = A * B * sp.cos(THETA)
    outside = A * B / (2 * sp.pi) * radial_integral()
    circle, half = (
        sp.Integral(PRODUCT, (PHI, low, high))
        for low, high in ((-sp.pi, sp.pi), (THETA - sp.pi / 2, THETA + sp.pi / 2))
    )
    expanded = ALPHA**2 * dot + ALPHA * (1 - ALPHA) * dot + (1 - ALPHA) ** 2 * split().result
    after = A * B * ((1 + ALPHA**2) / 2 * sp.cos(THETA) + (1 - ALPHA) ** 2 * REMAINDER)
    steps = (
        Step(
            "activation",
            "σ(z) = αz + (1 − α)[z]₊, at z > 0 and at −z",
            sp.Matrix([ALPHA * y + (1 - ALPHA) * sp.Max(y, 0) for y in (z, -z)]),
            sp.Matrix([z, -ALPHA * z]),
        ),
        Step("E (a·x)(b·x)", "over the whole circle", outside * circle, dot, DOMAIN),
        Step("E (a·x)[b·x]₊", "over the half circle b·x > 0", outside * half, dot / 2, DOMAIN),
        Step(
            "expand",
            "α² E(a·x)(b·x) + α(1 − α)(E(a·x)[b·x]₊ + E[a·x]₊(b·x)) + (1 − α)² E[a·x]₊[b·x]₊",
            expanded,
            after,
            DOMAIN,
        ),
    )
    return steps, after


def weights(alpha: Fraction) -> tuple[Fraction, Fraction]:
    """(mean, kink_weight) of max(z, αz), exact, read off the derived kernel."""
    kernel = sp.expand(leaky_split().result / (A * B))
    value = sp.Rational(alpha.numerator, alpha.denominator)
    mean = kernel.coeff(sp.cos(THETA)).subs(ALPHA, value)
    kink_weight = sp.factor(sp.expand(kernel.coeff(kink(THETA)) * 2 * sp.pi)).subs(ALPHA, value)
    return Fraction(int(mean.p), int(mean.q)), Fraction(int(kink_weight.p), int(kink_weight.q))


# a = A(1, 0, 0), b = B(cos θ, sin θ, 0): the frame (ā, n̄, everything orthogonal to both).
_A3 = sp.Matrix(sp.symbols("a1:4", real=True))
_B3 = sp.Matrix(sp.symbols("b1:4", real=True))
_FRAME = dict(zip(_A3, (A, 0, 0), strict=True)) | dict(
    zip(_B3, (B * sp.cos(THETA), B * sp.sin(THETA), 0), strict=True)
)


def _gradient(expr: sp.Expr, own: sp.Matrix, other: sp.Matrix) -> sp.Matrix:
    """Chain rule for expr(A, B, θ, components): ∂A = a/A, ∂θ = (cos θ a/A² − b/AB)/sin θ."""
    norm, factor = (A, B) if own is _A3 else (B, A)
    angle = -(other / (norm * factor) - sp.cos(THETA) * own / norm**2) / sp.sin(THETA)
    direct = sp.Matrix([sp.diff(expr, x) for x in own])
    return direct + sp.diff(expr, norm) * own / norm + sp.diff(expr, THETA) * angle


def _chain_rule() -> tuple[Step, Step]:
    """The gradients of ‖a‖ and of the angle, in Cartesian coordinates."""
    a, b = _A3, _B3
    norms = sp.sqrt(a.dot(a)), sp.sqrt(b.dot(b))
    cosine = a.dot(b) / (norms[0] * norms[1])
    turned = -(b / (norms[0] * norms[1]) - cosine * a / a.dot(a))
    boxes = {x: (sp.S.One, sp.Integer(2)) for x in (*a, *b)}
    return (
        Step(
            "gradient of the norm",
            "∂‖a‖/∂a = ā, shown for one component",
            sp.Derivative(norms[0], a[0]),
            a[0] / norms[0],
            boxes,
        ),
        Step(
            "gradient of the cosine",
            "∂cos θ/∂a = (b̄ − cos θ ā)/A, so that ∂θ/∂a = −n̄/A, n̄ = unit(b̄ − cos θ ā); shown for "
            "one component",
            sp.Derivative(cosine, a[0]),
            -turned[0],
            boxes,
        ),
    )


@derivation(
    "pair-gradient",
    "Gradient of a pair's remainder A B R(θ): u is of third order, ā − b̄ of first",
    "Xu & Du 2023, eq. (3)",
)
def pair_gradient() -> Derived:
    """∂(A B R)/∂a = B [u(θ) ā + q(θ) (ā − b̄)]; the result is (u, q)."""
    u, q = sine_defect(THETA) / (2 * sp.pi), THETA / (2 * sp.pi)
    a, b = (sp.Matrix(x.subs(_FRAME)) for x in (_A3 / A, _B3 / B))
    stated = B * (u * a + q * (a - b))
    whole = sp.cos(THETA) / 2
    textbook = (B * sp.sin(THETA) * a - THETA * B * b) / (2 * sp.pi) + B * b / 2
    steps = (
        *_chain_rule(),
        Step(
            "remainder",
            "in the frame (ā, n̄, orthogonal), b̄ = (cos θ, sin θ, 0): ∂A R B ā − ∂θ R B n̄, "
            "against B [u ā + q (ā − b̄)] with u = (sin θ − θ)/2π, q = θ/2π",
            _gradient(A * B * REMAINDER, _A3, _B3).subs(_FRAME),
            stated,
            DOMAIN,
        ),
        Step(
            "whole kernel",
            "with the bilinear part ½ a·b: ∂K/∂a = ½ b + (‖b‖ sin θ ā − θ b)/2π",
            _gradient(A * B * (whole + REMAINDER), _A3, _B3).subs(_FRAME),
            textbook,
            DOMAIN,
        ),
    )
    return steps, sp.Tuple(u, q)


@derivation(
    "pair-hessian",
    "Second derivatives of a pair's remainder A B R(θ), and of the whole kernel; no Dirac delta",
    "Safran, Yehudai & Shamir 2021",
)
def pair_hessian() -> Derived:
    """Second derivatives of A B R(θ); the result is (ν, ω).

    ∂²/∂a∂a = (B/A) ν(θ) (I − āāᵀ + n̄n̄ᵀ),          n̄ = unit(b̄ − cos θ ā)
    ∂²/∂a∂b = −ω(θ) I + ν(θ) (f̄f̄ᵀ − ēēᵀ),            f̄, ē = unit(b̄ ± ā)
    """
    nu, omega = sp.sin(THETA) / (2 * sp.pi), THETA / (2 * sp.pi)
    gradient = _gradient(A * B * REMAINDER, _A3, _B3)
    a, n = sp.eye(3)[:, 0], sp.eye(3)[:, 1]
    b = sp.cos(THETA) * a + sp.sin(THETA) * n
    half = THETA / 2
    f = sp.cos(half) * a + sp.sin(half) * n
    e = -sp.sin(half) * a + sp.cos(half) * n
    own = B / A * nu * (sp.eye(3) - a * a.T + n * n.T)
    cross = -omega * sp.eye(3) + nu * (f * f.T - e * e.T)
    # unit(ū − cos θ w̄) and unit(w̄ − cos θ ū) for w = a, u = b.
    away, back = n, sp.sin(THETA) * a - sp.cos(THETA) * n
    h2 = ((sp.pi - THETA) * sp.eye(3) + back * b.T + away * a.T) / (2 * sp.pi)
    frame = "in the frame (ā, n̄, orthogonal)"
    steps = (
        *_chain_rule(),
        Step(
            "own block",
            f"differentiate the gradient by a, {frame}: (B/A) ν (I − āāᵀ + n̄n̄ᵀ) = h₁(a, b), "
            "ν = sin θ/2π; the bilinear part adds nothing",
            _second(gradient, _A3, _B3),
            own,
            DOMAIN,
        ),
        Step(
            "cross block",
            f"differentiate the gradient by b, {frame}: −ω I + ν (f̄f̄ᵀ − ēēᵀ), ω = θ/2π, f̄, ē = "
            "unit(b̄ ± ā)",
            _second(gradient, _B3, _A3),
            cross,
            DOMAIN,
        ),
        Step(
            "h₂",
            "½ I of the bilinear part and the cross block make h₂(a, b) = [(π − θ) I + n̄′ b̄ᵀ + "
            "n̄ āᵀ]/2π, n̄′ = unit(ā − cos θ b̄)",
            h2,
            sp.eye(3) / 2 + cross,
            DOMAIN,
        ),
    )
    return steps, sp.Tuple(nu, omega)


def _second(gradient: sp.Matrix, by: sp.Matrix, other: sp.Matrix) -> sp.Matrix:
    rows = [_gradient(entry, by, other).subs(_FRAME).T for entry in gradient]
    return sp.Matrix.vstack(*rows)
