"""Population loss, gradient and Hessian of teacher and students, from the pair kernel.

    L(W) = E ½ (Σ_i σ(w_i·x) − Σ_k σ(v_k·x))² = ½ Σ c_a c_b K(a, b),  c = +1 student, −1 teacher

Every pair kernel here has the form K = A B [mean cos θ + kink_weight R(θ)], R(θ) = kink(θ)/2π.  The
cosine sums to ½ mean ‖r‖² with r = Σ w_i − Σ v_k, exactly; what is left is of third order in the
angles, so nothing of order one remains to cancel near a minimum.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import sympy as sp

from symbolic.derivation import Derived, Step, derivation
from symbolic.gaussian import THETA, A, B, relu_kernel
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
    step = Step(
        "splitting", "collect the multiple of cos θ that is linear", relu_kernel().result, after
    )
    return (step,), after


@derivation("leaky-split", "The kernel of the leaky ReLU from that of the ReLU")
def leaky_split() -> Derived:
    """σ(z) = α z + (1 − α)[z]₊ gives mean = ½(1 + α²) and kink weight (1 − α)²."""
    dot = A * B * sp.cos(THETA)
    relu = split().result
    # E (a·x)(b·x) = a·b and E (a·x)[b·x]₊ = ½ a·b, the odd part being all that survives.
    expanded = ALPHA**2 * dot + 2 * ALPHA * (1 - ALPHA) * dot / 2 + (1 - ALPHA) ** 2 * relu
    after = A * B * ((1 + ALPHA**2) / 2 * sp.cos(THETA) + (1 - ALPHA) ** 2 * REMAINDER)
    step = Step(
        "leaky ReLU", "σ(z) = αz + (1 − α)[z]₊, expand the product", sp.expand(expanded), after
    )
    return (step,), after


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
    """Chain rule for expr(A, B, θ, components): ∂A = a/A, −sin θ ∂θ = b/AB − cos θ a/A²."""
    norm, factor = (A, B) if own is _A3 else (B, A)
    angle = -(other / (norm * factor) - sp.cos(THETA) * own / norm**2) / sp.sin(THETA)
    direct = sp.Matrix([sp.diff(expr, x) for x in own])
    return direct + sp.diff(expr, norm) * own / norm + sp.diff(expr, THETA) * angle


@derivation("pair-gradient", "Gradient of the pair remainder; u is of third order, ā − b̄ of first")
def pair_gradient() -> Derived:
    """∂(A B R)/∂a = B [u(θ) ā + q(θ) (ā − b̄)]; the result is (u, q)."""
    u, q = sine_defect(THETA) / (2 * sp.pi), THETA / (2 * sp.pi)
    derived = _gradient(A * B * REMAINDER, _A3, _B3).subs(_FRAME)
    stated = B * sp.Matrix([u + q * (1 - sp.cos(THETA)), -q * sp.sin(THETA), 0])
    names = ("along ā", "along n̄", "orthogonal")
    steps = tuple(
        Step(name, "differentiate A B R(θ) by a", derived[i], stated[i], DOMAIN)
        for i, name in enumerate(names)
    )
    return steps, sp.Tuple(u, q)


@derivation(
    "pair-hessian",
    "Hessian of the pair remainder in the frame (ā, n̄, orthogonal), no Dirac delta",
)
def pair_hessian() -> Derived:
    """Second derivatives of A B R(θ); the result is (ν, ω).

    ∂²/∂a∂a = (B/A) ν(θ) (I − āāᵀ + n̄n̄ᵀ),          n̄ = unit(b̄ − cos θ ā)
    ∂²/∂a∂b = −ω(θ) I + ν(θ) (f̄f̄ᵀ − ēēᵀ),            f̄, ē = unit(b̄ ± ā)
    """
    nu, omega = sp.sin(THETA) / (2 * sp.pi), THETA / (2 * sp.pi)
    gradient = _gradient(A * B * REMAINDER, _A3, _B3)
    a, n = sp.eye(3)[:, 0], sp.eye(3)[:, 1]
    half = THETA / 2
    f = sp.cos(half) * a + sp.sin(half) * n
    e = -sp.sin(half) * a + sp.cos(half) * n
    own = B / A * nu * (sp.eye(3) - a * a.T + n * n.T)
    cross = -omega * sp.eye(3) + nu * (f * f.T - e * e.T)
    steps = []
    for kind, stated, variable, other in (("own", own, _A3, _B3), ("cross", cross, _B3, _A3)):
        for i in range(3):
            derived = _gradient(gradient[i], variable, other).subs(_FRAME)
            for j in range(3):
                name = f"{kind} block, entry {i + 1}{j + 1}"
                rule = f"differentiate by {'a' if kind == 'own' else 'b'}"
                steps.append(Step(name, rule, derived[j], stated[i, j], DOMAIN))
    return tuple(steps), sp.Tuple(nu, omega)


@dataclass(frozen=True)
class Expressions:
    """The population loss of n students in R^d written out in components.

    Attributes
    ----------
    students, teachers : sympy.Matrix
        Symbols of shape (n, d) and (k, d).
    mean, kink_weight : sympy.Rational
        Weights of the activation (see the module).
    loss, gradient, hessian
        A scalar, a Matrix (n, d), and a Matrix (n·d, n·d), derived on first use.
    """

    students: sp.Matrix
    teachers: sp.Matrix
    mean: sp.Rational
    kink_weight: sp.Rational

    @property
    def residual(self) -> sp.Matrix:
        """r = Σ w_i − Σ v_k, shape (1, d)."""
        ones = sp.ones(1, self.students.rows)
        return ones * self.students - sp.ones(1, self.teachers.rows) * self.teachers

    @cached_property
    def loss(self) -> sp.Expr:
        """½ mean ‖r‖² + kink_weight Σ_{a<b} c_a c_b ‖a‖‖b‖ R(θ_ab)."""
        signed = [(row, 1) for row in _rows(self.students)]
        signed += [(row, -1) for row in _rows(self.teachers)]
        total = self.mean * self.residual.dot(self.residual) / 2
        for i, (a, c) in enumerate(signed):
            for b, e in signed[i + 1 :]:
                pair = _norm(a) * _norm(b) * REMAINDER.subs(THETA, angle(a, b))
                total += self.kink_weight * c * e * pair
        return total

    @cached_property
    def gradient(self) -> sp.Matrix:
        """Row i is mean r + kink_weight Σ_b c_b ‖b‖ [u ā + q (ā − b̄)] at a = w_i."""
        u, q = pair_gradient().result
        rows = []
        for i, a in enumerate(_rows(self.students)):
            row = self.mean * self.residual
            others = [(b, 1) for j, b in enumerate(_rows(self.students)) if j != i]
            for b, c in others + [(v, -1) for v in _rows(self.teachers)]:
                at, a_, b_ = angle(a, b), a / _norm(a), b / _norm(b)
                pair = u.subs(THETA, at) * a_ + q.subs(THETA, at) * (a_ - b_)
                row += self.kink_weight * c * _norm(b) * pair
            rows.append(row)
        return sp.Matrix.vstack(*rows)

    @cached_property
    def hessian(self) -> sp.Matrix:
        """Second derivatives by w_11, …, w_nd (row-major)."""
        return self.gradient.reshape(len(self.gradient), 1).jacobian(list(self.students))

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {sp.latex(self.loss)}$"


def expressions(n: int, k: int, d: int, alpha: Fraction) -> Expressions:
    """Loss, gradient and Hessian of n students and k teachers in R^d, slope α."""
    students = sp.Matrix(n, d, lambda i, j: sp.Symbol(f"w_{i + 1}_{j + 1}", real=True))
    teachers = sp.Matrix(k, d, lambda i, j: sp.Symbol(f"v_{i + 1}_{j + 1}", real=True))
    mean, kink_weight = (sp.Rational(x.numerator, x.denominator) for x in weights(alpha))
    return Expressions(students, teachers, mean, kink_weight)


def angle(a: sp.Matrix, b: sp.Matrix) -> sp.Expr:
    """∠(a, b) = atan2(‖a∧b‖, a·b), the wedge as a sum of squared minors (nothing cancels)."""
    indices = range(len(a))
    minors = [(a[i] * b[j] - a[j] * b[i]) ** 2 for i in indices for j in indices if i < j]
    return sp.atan2(sp.sqrt(sp.Add(*minors)), a.dot(b))


def _rows(matrix: sp.Matrix) -> list[sp.Matrix]:
    return [matrix[i, :] for i in range(matrix.rows)]


def _norm(a: sp.Matrix) -> sp.Expr:
    return sp.sqrt(a.dot(a))
