"""What output scale and teacher norm change for quadratic students: units, and nothing else.

Notation of `symbolic.quadratic_dynamics`; first component, along the teacher, of vectors.
"""

from __future__ import annotations

import sympy as sp

from symbolic.derivation import Derived, Step, derivation
from symbolic.quadratic_dynamics import A1, A2, AXES, B1, B2, ETA
from symbolic.quadratic_loss import DOTS, GRAM, PAPER, S, quadratic_gradient, quadratic_loss

C, UNIT = sp.symbols("C varsigma", positive=True)


@derivation(
    "quadratic-scale",
    "Output scale C: F_C(W; v) = F(√C W; v); descent with step η is descent on F with step Cη, "
    "the flow that of F at time Ct. F(ςW; ςv) = ς⁴F(W; v), at time ς²t",
    f"{PAPER}, eq. (13)",
)
def quadratic_scale() -> Derived:
    """The loss with output scale C, its gradient, a step on it; then ‖v‖."""
    g11, g12, g22, h1, h2, _ = GRAM
    scaled = (C**2 * (g11**2 + 2 * g12**2 + g22**2) - 2 * C * (h1**2 + h2**2) + S**2) / 2
    scaled += (C * (g11 + g22) - S) ** 2 / 4
    return (*_output_scale(scaled), *_teacher()), scaled


def _output_scale(scaled: sp.Expr) -> tuple[Step, ...]:
    g11, g12, g22, h1, h2, _ = GRAM
    factors = dict.fromkeys((g11, g12, g22), C) | dict.fromkeys((h1, h2), sp.sqrt(C))
    at = {symbol: factor * symbol for symbol, factor in factors.items()}
    pull = quadratic_gradient().result[0].subs(AXES)
    grown = pull.subs({w: sp.sqrt(C) * w for w in (A1, A2, B1, B2)}, simultaneous=True)
    written = scaled.subs(DOTS).subs(AXES)
    return (
        Step(
            "weights of the scaled objective",
            "M = C Σ w_k w_kᵀ − v vᵀ: g_jk → C g_jk, h_k → √C h_k in the loss",
            quadratic_loss().result.subs(at, simultaneous=True),
            scaled,
        ),
        Step(
            "gradient of the scaled objective",
            "∂F_C/∂w_1 = √C ∂F/∂w_1 at √C W",
            sp.Derivative(written, A1),
            sp.sqrt(C) * grown,
        ),
        Step(
            "descent",
            "√C(w_1 − η ∂F_C/∂w_1) is the step Cη on F from √C w_1. "
            "As velocities: √C W(t) is the flow of F at time Ct",
            sp.sqrt(C) * (A1 - ETA * sp.diff(written, A1)),
            sp.sqrt(C) * A1 - C * ETA * grown,
        ),
    )


def _teacher() -> tuple[Step, Step]:
    loss = quadratic_loss().result
    pull = quadratic_gradient().result[0].subs(AXES)
    grown = {w: UNIT * w for w in (A1, A2, B1, B2)} | {S: UNIT**2 * S}
    return (
        Step(
            "loss in units of the teacher",
            "W → ςW, v → ςv: every inner product by ς²",
            loss.subs({symbol: UNIT**2 * symbol for symbol in GRAM}, simultaneous=True),
            UNIT**4 * loss,
        ),
        Step(
            "time in units of the teacher",
            "∂F/∂w_1 grows by ς³: ςU(ς²t) is the flow for ςv if U is that for v",
            pull.subs(grown, simultaneous=True),
            UNIT**3 * pull,
        ),
    )
