"""Gradient descent on quadratic students, in components along and across the teacher.

a_k is the component of w_k along v, b_k the one across (one of d − 1: the others alike), s = ‖v‖².
The paper's w^∥ is √s a, which changes no formula.
"""

from __future__ import annotations

import sympy as sp

from symbolic.derivation import Derived, Step, derivation
from symbolic.quadratic_loss import PAPER, W1, W2, S, V, quadratic_gradient

A1, A2, B1, B2 = sp.symbols("a_1 a_2 b_1 b_2", real=True)
ETA = sp.Symbol("eta", positive=True)
AXES = dict(zip((*W1, *W2, *V), (A1, B1, A2, B2, sp.sqrt(S), sp.S.Zero), strict=True))
N1, N2, DOT = A1**2 + B1**2, A2**2 + B2**2, A1 * A2 + B1 * B2  # ‖w_1‖², ‖w_2‖², w_1·w_2


@derivation(
    "quadratic-dynamics",
    "One step of gradient descent along and across the teacher, for one student and for several",
    f"{PAPER}, eq. (7), (8)",
)
def quadratic_dynamics() -> Derived:
    """w − η ∂F/∂w of eq. (6), by components: (7) and (8) hold as printed."""
    along, across = (descent(i) for i in (0, 1))
    alone = {A2: 0, B2: 0}
    single = 1 + 3 * ETA * (S - N1), 1 + ETA * (S - 3 * N1)
    parts = components()
    steps = (
        Step(
            "one student, along",
            "first component of w − η ∂F/∂w",
            along.subs(alone),
            A1 * single[0],
            reference=f"{PAPER}, eq. (7)",
        ),
        Step(
            "one student, across",
            "any other component",
            across.subs(alone),
            B1 * single[1],
            reference=f"{PAPER}, eq. (7)",
        ),
        Step(
            "several students, along",
            "w_1·w_2 = a_1a_2 + b_1b_2; the terms of w_2 are summed over all other students",
            along,
            parts[0] - parts[1],
            reference=f"{PAPER}, eq. (8)",
        ),
        Step(
            "several students, across",
            "the same of b_1",
            across,
            parts[2] - parts[3],
            reference=f"{PAPER}, eq. (8)",
        ),
    )
    return steps, sp.Matrix([parts[0] - parts[1], parts[2] - parts[3]])


def components() -> tuple[sp.Expr, sp.Expr, sp.Expr, sp.Expr]:
    """A, B, C, D of eq. (8): the update is A − B along and C − D across the teacher."""
    return (
        A1 * (1 + 3 * ETA * (S - N1)),
        ETA * (2 * DOT * A2 + N2 * A1),
        B1 * (1 + ETA * (S - 3 * N1)),
        ETA * (2 * DOT * B2 + N2 * B1),
    )


def descent(component: int) -> sp.Expr:
    """w_1 − η ∂F/∂w_1 along (0) or across (1) the teacher."""
    gradient = quadratic_gradient().result[component].subs(AXES)
    return (A1, B1)[component] - ETA * gradient
