"""The gradient flow of one student with quadratic activation, in closed form.

w = (a, b): a along the teacher, b ≥ 0 the length across; s = ‖v‖², output scale C.  Students that
are parallel at the start stay so and follow the same formulas with a² = Σa_k², b² = Σb_k².
"""

from __future__ import annotations

import sympy as sp

from symbolic.derivation import Derived, Step, derivation
from symbolic.quadratic_dynamics import A1, A2, AXES, B1, B2
from symbolic.quadratic_loss import DOTS, PAPER, S, quadratic_gradient, quadratic_loss
from symbolic.quadratic_scale import C
from symbolic.series import Coefficient

T, U = sp.symbols("t u", nonnegative=True)
Y = sp.Symbol("y", positive=True)
Z = sp.Symbol("z", positive=True)
# Where the flow starts: the ratio b/a and 1/(C a²).
KAPPA, START = sp.Symbol("kappa_0", nonnegative=True), sp.Symbol("y_0", positive=True)

FADING = KAPPA * sp.exp(-2 * C * S * T)  # b/a
OFFSET = START - (1 + 3 * KAPPA**2) / S
INVERSE = (1 + 3 * FADING**2) / S + OFFSET * sp.exp(-6 * C * S * T)  # 1/(C a²)

RATE = 4 * C * S
CONSTANT = S**2 * KAPPA**2  # of exp(−4Cst)
PARALLEL_RATE = 12 * C * S
PARALLEL_CONSTANT = 3 * S**4 * (START - 1 / S) ** 2 / 4  # of exp(−12Cst), κ_0 = 0
# The next terms, of exp(−10Cst) and exp(−18Cst).
LATER = 2 * S**3 * KAPPA**2 * OFFSET
PARALLEL_LATER = -3 * S**5 * (START - 1 / S) ** 3 / 2
_ALONG = 3 * C * (S - C * (A1**2 + B1**2)) * A1
_ACROSS = C * (S - 3 * C * (A1**2 + B1**2)) * B1
_SHORT = {T: (0, 1), C: (0, 2), S: (0, 2), KAPPA: (0, 2), START: (0, 3)}


@derivation(
    "quadratic-single",
    "One student: closed form of the flow; L ~ ‖v‖⁴κ_0² exp(−4C‖v‖²t), κ_0 = b(0)/a(0), and "
    "exp(−12C‖v‖²t) if w(0) is parallel to v",
    f"{PAPER}, eq. (7) as a flow",
)
def quadratic_single() -> Derived:
    """A linear equation for b/a, a Bernoulli equation for a, the loss, its rates."""
    steps = (*_velocities(), *_solution(), _check(), *_losses())
    return steps, _loss(*_at(sp.exp(-2 * C * S * T)))


def _velocities() -> tuple[Step, ...]:
    """The flow in a and b², from eq. (6) and the output scale."""
    one = {A2: 0, B2: 0, A1: sp.sqrt(C) * A1, B1: sp.sqrt(C) * B1}
    pulls = [
        -sp.sqrt(C) * g.subs(AXES).subs(one, simultaneous=True) for g in quadratic_gradient().result
    ]
    return (
        Step(
            "along the teacher",
            "a' = −√C ∂F/∂a at √C w",
            pulls[0],
            _ALONG,
            reference="quadratic-gradient, quadratic-scale",
        ),
        Step(
            "across the teacher",
            "(b²)' = 2bb': an equation in a and b²",
            2 * B1 * pulls[1],
            2 * C * (S - 3 * C * (A1**2 + B1**2)) * B1**2,
        ),
        Step(
            "ratio",
            "κ = b/a: κ' = (b'a − a'b)/a² = −2Cs κ",
            (_ACROSS * A1 - _ALONG * B1) / A1**2,
            -2 * C * S * B1 / A1,
        ),
        Step(
            "Bernoulli equation",
            "y = 1/(C a²): y' = −2a'/(C a³), linear in y, with κ² = b²/a²",
            -2 * _ALONG / (C * A1**3),
            -6 * C * S / (C * A1**2) + 6 * C * (1 + B1**2 / A1**2),
        ),
    )


def _solution() -> tuple[Step, ...]:
    source = 6 * C * (1 + FADING**2) * sp.exp(6 * C * S * T)
    grown = (sp.exp(6 * C * S * T) - 1) / S + 3 * KAPPA**2 * (sp.exp(2 * C * S * T) - 1) / S
    return (
        Step(
            "ratio as a function of t",
            "κ' = −2Cs κ, κ(0) = κ_0",
            sp.Derivative(FADING, T),
            -2 * C * S * FADING,
        ),
        Step(
            "integrating factor",
            "(y exp(6Cst))' = 6C(1 + κ²) exp(6Cst), from 0 to t",
            sp.Integral(sp.expand(source.subs(T, U)), (U, 0, T)),
            grown,
            _SHORT,
        ),
        Step(
            "1/(C a²)",
            "y = exp(−6Cst)(y_0 + integral)",
            sp.exp(-6 * C * S * T) * (START + grown),
            INVERSE,
            _SHORT,
        ),
    )


def _check() -> Step:
    return Step(
        "check",
        "y put into y' = −6Cs y + 6C(1 + κ²)",
        sp.Derivative(INVERSE, T),
        -6 * C * S * INVERSE + 6 * C * (1 + FADING**2),
        _SHORT,
    )


def _loss(ratio: sp.Expr, shortage: sp.Expr, inverse: sp.Expr) -> sp.Expr:
    """L in κ = b/a, r = s y − 1 and y."""
    terms = (shortage**2 + 2 * ratio**2 + ratio**4) / 2 + (ratio**2 - shortage) ** 2 / 4
    return terms / inverse**2


def _at(fade: sp.Expr, offset: sp.Expr = OFFSET) -> tuple[sp.Expr, sp.Expr, sp.Expr]:
    """κ, r and y where exp(−2Cst) = fade."""
    ratio, rest = KAPPA * fade, offset * fade**3
    return ratio, 3 * ratio**2 + S * rest, (1 + 3 * ratio**2) / S + rest


def _losses() -> tuple[Step, ...]:
    ratio, shortage = sp.symbols("kappa r", nonnegative=True)
    one = {A2: 0, B2: 0, A1: sp.sqrt(1 / Y), B1: ratio / sp.sqrt(Y), S: (1 + shortage) / Y}
    plain = quadratic_loss().result.subs(DOTS).subs(AXES).subs(one, simultaneous=True)
    beta = sp.Symbol("beta", real=True)
    late = _loss(*_at(Z, beta))
    return (
        Step(
            "loss",
            "F at C a² = 1/y, C b² = κ²/y, s = (1 + r)/y",
            plain,
            _loss(ratio, shortage, Y),
        ),
        Step(
            "distance from the minimum",
            "r = s y − 1 = (s − C a²)/(C a²) without its cancellation, z = exp(−2Cst), "
            "β = y_0 − (1 + 3κ_0²)/s",
            S * _at(Z, beta)[2] - 1,
            _at(Z, beta)[1],
        ),
        Step(
            "rate",
            "L exp(4Cst) = L/z² for t → ∞, z → 0: twice the eigenvalue 2Cs of the Hessian",
            sp.Limit(late / Z**2, Z, sp.S.Zero),
            CONSTANT,
        ),
        Step(
            "rate of a parallel start",
            "κ_0 = 0, β = y_0 − 1/s: L exp(12Cst) = L/z⁶, twice the eigenvalue 6Cs",
            sp.Limit(late.subs({KAPPA: 0, beta: START - 1 / S}) / Z**6, Z, sp.S.Zero),
            PARALLEL_CONSTANT,
        ),
        Step(
            "next terms",
            "z⁴ cancels; of z⁵, and of z⁹ for a parallel start",
            sp.Matrix(
                [
                    *(Coefficient(late, Z, k).subs(beta, OFFSET) for k in (4, 5)),
                    Coefficient(late.subs({KAPPA: 0, beta: OFFSET.subs(KAPPA, 0)}), Z, 9),
                ]
            ),
            sp.Matrix([0, LATER, PARALLEL_LATER]),
        ),
    )
