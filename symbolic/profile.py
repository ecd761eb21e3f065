"""The energy of the slow manifold, whose critical points are self-similar profiles.

Near the minimum students are w_i = h_i v + b_i, b_i ⟂ v, ‖v‖ = 1, with Σ h_i = 1 and small
φ_i = b_i/h_i.  Angles are ‖φ_i − φ_j‖ to leading order; of the pair remainder their cube is left:

    P = Σ_{a<b} c_a c_b ‖φ_a − φ_b‖³/6π,   weights c = (h_1 … h_n, −1 of the teacher at φ = 0).

What is left of the residual across v follows g = Σ_i ∂P/∂b_i, r = −kink_weight g/(n mean), at the
fast rate n mean.  Eliminated, it leaves on Σ β_i = 0 the gradient flow of F + F₄, homogeneous of
degrees 3 and 4; L = F + F₄ up to fifth order.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import sympy as sp

from symbolic.gaussian import THETA
from symbolic.pairs import REMAINDER
from symbolic.slow_manifold import G, coupling_minimum
from symbolic.special import written_out
from symbolic.toy_cases import KAPPA, MU, N

RHO = sp.Symbol("rho", nonnegative=True)
SQUARE = sp.Symbol("q", nonnegative=True)  # ‖Σ_i ∂F/∂b_i‖²
FOURTH = coupling_minimum()[1].subs({KAPPA: 1, G**2: SQUARE})
PAIR = written_out(REMAINDER).series(THETA, 0, 4).removeO().subs(THETA, RHO)


def pair_forms() -> tuple[sp.Expr, sp.Expr, sp.Expr]:
    """f(ρ) of a pair, f′/ρ, and ρ (f′/ρ)′.

    The gradient of f(‖x‖) is (f′/ρ) x, its Hessian (f′/ρ) I + ρ (f′/ρ)′ x̄x̄ᵀ.
    """
    slope = sp.cancel(sp.diff(PAIR, RHO) / RHO)
    return PAIR, slope, sp.cancel(RHO * sp.diff(slope, RHO))


@dataclass(frozen=True)
class ProfileExpressions:
    """F and F₄ of n students in m dimensions across v, ‖v‖ = 1.

    Attributes
    ----------
    h : tuple of sympy.Symbol
    b : sympy.Matrix, shape (n, m)
    mean, kink_weight : sympy.Symbol
        Weights of the activation (`symbolic.pairs.weights`).
    """

    h: tuple[sp.Symbol, ...]
    b: sp.Matrix
    mean: sp.Symbol
    kink_weight: sp.Symbol

    @cached_property
    def energy(self) -> sp.Expr:
        """F, homogeneous of degree 3 in b."""
        rows = [self.b[i, :] / h for i, h in enumerate(self.h)] + [sp.zeros(1, self.b.cols)]
        total = sp.S.Zero
        for (x, c), (y, e) in combinations(zip(rows, (*self.h, -1), strict=True), 2):
            difference = x - y
            total += c * e * PAIR.subs(RHO, sp.sqrt(difference.dot(difference)))
        return self.kink_weight * total

    @cached_property
    def force(self) -> sp.Matrix:
        """Σ_i ∂F/∂b_i, shape (1, m): what drives the residual."""
        columns = [self.b[:, p] for p in range(self.b.cols)]
        return sp.Matrix([[sp.Add(*(sp.diff(self.energy, x) for x in c)) for c in columns]])

    @cached_property
    def fourth(self) -> sp.Expr:
        """F₄, what the residual adds: see `slow-manifold`."""
        return FOURTH.subs({SQUARE: self.force.dot(self.force), N: len(self.h), MU: self.mean})

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {sp.latex(self.energy)}$"


def expressions(n: int, m: int) -> ProfileExpressions:
    """F and F₄ in symbols."""
    h = tuple(sp.Symbol(f"h_{i + 1}", positive=True) for i in range(n))
    b = sp.Matrix(n, m, lambda i, j: sp.Symbol(f"b_{i + 1}_{j + 1}", real=True))
    return ProfileExpressions(h, b, MU, KAPPA)
