"""Second derivatives of the loss of quadratic students, and their spectrum at the minimum.

Notation of `symbolic.quadratic_loss`: students w_1, w_2 and teacher v in two dimensions.
"""

from __future__ import annotations

import sympy as sp

from symbolic.derivation import Derived, Step, derivation
from symbolic.quadratic_loss import PAPER, W1, W2, S, V, quadratic_gradient

PHI, BETA = sp.symbols("phi beta", real=True)
# q = (cos φ, sin φ) and p ⟂ q: how students share the teacher, and how not.
Q, P = sp.Matrix([sp.cos(PHI), sp.sin(PHI)]), sp.Matrix([-sp.sin(PHI), sp.cos(PHI)])
_MIX = sp.cos(BETA) * Q + sp.sin(BETA) * P
_EYE = sp.eye(2)
_SHAPE = 2 * (V.dot(V) * _EYE + 2 * V * V.T)


@derivation(
    "quadratic-hessian",
    "∂²F/∂w_j∂w_k = δ_jk(2M + (tr M) I) + 2(w_j·w_k) I + 2w_j w_kᵀ + 2w_k w_jᵀ; at W = v qᵀ, "
    "‖q‖ = 1: eigenvalues 6‖v‖² (once), 2‖v‖² (d − 1 times), 0 (d(K − 1) times)",
    f"{PAPER}, Hessian of eq. (9)",
)
def quadratic_hessian() -> Derived:
    """Blocks of the Hessian from eq. (6), then its eigenvectors at the minimum."""
    own, cross = _blocks()
    steps = (*_block_steps(own, cross), *_minimum(own, cross), *_spectrum(), _lemma_4())
    return steps, sp.Tuple(6 * S, 2 * S, sp.S.Zero)


def _blocks() -> tuple[sp.Matrix, sp.Matrix]:
    """∂²F/∂w_1∂w_1 and ∂²F/∂w_1∂w_2."""
    own = (3 * W1.dot(W1) + W2.dot(W2) - V.dot(V)) * _EYE
    own += 6 * W1 * W1.T + 2 * W2 * W2.T - 2 * V * V.T
    return own, 2 * W1.dot(W2) * _EYE + 2 * W1 * W2.T + 2 * W2 * W1.T


def _block_steps(own: sp.Matrix, cross: sp.Matrix) -> tuple[Step, Step]:
    gradient = quadratic_gradient().result
    return (
        Step(
            "block of one student",
            "(3‖w_1‖² + Σ_{j≠1}‖w_j‖² − ‖v‖²) I + 6w_1w_1ᵀ + 2Σ_{j≠1} w_jw_jᵀ − 2v vᵀ, which is "
            "2M + (tr M) I + 2‖w_1‖² I + 4w_1w_1ᵀ; first column",
            sp.Matrix([sp.Derivative(gradient[0], w) for w in W1]),
            own[:, 0],
        ),
        Step(
            "block of two students",
            "2(w_1·w_2) I + 2w_1w_2ᵀ + 2w_2w_1ᵀ; first column",
            sp.Matrix([sp.Derivative(gradient[0], w) for w in W2]),
            cross[:, 0],
        ),
    )


def _minimum(own: sp.Matrix, cross: sp.Matrix) -> tuple[Step, Step]:
    at = dict(zip((*W1, *W2), (*Q[0] * V, *Q[1] * V), strict=True))
    return (
        Step(
            "one student at the minimum",
            "w_1 = cos φ v, w_2 = sin φ v, M = 0: the block is q_1² B, B = 2(‖v‖² I + 2v vᵀ); "
            "first column",
            own.subs(at)[:, 0].applyfunc(lambda x: sp.collect(x, (V[0] ** 2, V[0] * V[1]))),
            Q[0] ** 2 * _SHAPE[:, 0],
        ),
        Step(
            "two students at the minimum",
            "the block is q_1 q_2 B: the Hessian is qqᵀ ⊗ B; first column",
            cross.subs(at)[:, 0],
            Q[0] * Q[1] * _SHAPE[:, 0],
        ),
    )


def _spectrum() -> tuple[Step, ...]:
    normal = sp.Matrix([-V[1], V[0]])
    return (
        Step("along the teacher", "B v = 6‖v‖² v", _SHAPE * V, 6 * V.dot(V) * V),
        Step(
            "across the teacher",
            "B u = 2‖v‖² u for each of the d − 1 directions u ⟂ v",
            _SHAPE * normal,
            2 * V.dot(V) * normal,
        ),
        Step(
            "students together and against each other",
            "q·(cos β q + sin β p): qqᵀ has eigenvalue 1 at q and 0 at the K − 1 directions p ⟂ q, "
            "so that u qᵀ has the eigenvalues of B, each u pᵀ eigenvalue 0",
            Q.dot(_MIX),
            sp.cos(BETA),
        ),
    )


def _lemma_4() -> Step:
    u = sp.Matrix(sp.symbols("u_1:3", real=True))
    return Step(
        "no strong convexity",
        "the form at Δ = u(cos β q + sin β p)ᵀ: it holds ‖Δq‖² = cos² β ‖u‖², for which the proof "
        "of Lemma 4, (a) in (16), puts ‖Δ‖² = ‖u‖²; at β = π/2 the form is 0",
        sp.cos(BETA) ** 2 * (u.T * _SHAPE * u)[0],
        sp.cos(BETA) ** 2 * (2 * V.dot(V) * u.dot(u) + 4 * V.dot(u) ** 2),
        reference=f"{PAPER}, Lemma 4",
    )
