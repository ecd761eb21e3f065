"""How fast t²L of several quadratic students approaches its limit.

Relative corrections are m/(6C‖v‖²(m + 3)) ln t/t, from the second order of the slow manifold, c/t
from the origin of time, and, where the q_i differ (m ≥ 2), g t^{−6/(m + 3)}: it leads for m > 3,
and at m = 3 gives another ln t/t (m = 6, 9, … do in higher order).  Notation of
`symbolic.quadratic_rate`.
"""

from __future__ import annotations

import sympy as sp

from symbolic.derivation import Derived, Step, derivation
from symbolic.quadratic_loss import S
from symbolic.quadratic_rate import PROFILE, Q1, RATE_CONSTANT, TIME, M
from symbolic.quadratic_scale import C

X = sp.Symbol("x", real=True)
U, SPREAD, AMPLITUDE = sp.symbols("u V A", positive=True)

EXPONENT = 6 / (M + 3)  # of t^{−…} where the q_i differ
SPREAD_COEFFICIENT = -3 * (M + 9) / (M * (M + 3) * (M - 3))  # of V/u², m ≠ 3
LOG_COEFFICIENT = M / (6 * C * S * (M + 3))  # of ln t/t
_SMALL = {X: (0, sp.Rational(1, 4))}
_NOT_THREE = {M: (4, 9)}


@derivation(
    "quadratic-corrections",
    "t²L (32C²(m + 3))/(3m) = 1 + (m/(6C‖v‖²(m + 3))) ln t/t + c/t + g t^{−6/(m+3)} + …; c and g "
    "depend on W(0), g = 0 for m = 1",
    "quadratic-rate",
)
def quadratic_corrections() -> Derived:
    """Linearisation, solution of the reduced flow, and the next order of the slow manifold."""
    steps = (*_linear(), *_solution(), *_late(), *_second_order(), *_logarithm())
    return steps, sp.Tuple(LOG_COEFFICIENT, EXPONENT, SPREAD_COEFFICIENT)


def _linear() -> tuple[Step, Step]:
    """q_i = (q + x_i)/t: x_i as functions of ln t, x_i' = x_i + q − 4C(q + x_i)(q + x_i + T/3)."""
    q = PROFILE
    apart = X + q - 4 * C * (q + X) * (q + X + M * q / 3)
    together = X + q - 4 * C * (q + X) ** 2 * (1 + M / 3)
    return (
        Step(
            "differences",
            "q_i = (q + x_i)/t with Σx_i = 0, of q_i' = −4C q_i(q_i + T/3): "
            "x_i falls like t^{−3/(m + 3)}",
            sp.Subs(sp.Derivative(apart, X), X, 0),
            -3 / (M + 3),
        ),
        Step(
            "common part",
            "all x_i = x: x falls like 1/t, a shift of time",
            sp.Subs(sp.Derivative(together, X), X, 0),
            sp.Integer(-1),
        ),
    )


def _solution() -> tuple[Step, Step]:
    """The reduced flow solved, m = 2: 1/q_i = E(p_i + σ), dσ/dt = 4C/E."""
    first, second, sigma = sp.symbols("p_1 p_2 sigma", positive=True)
    growth = ((1 + sigma / first) * (1 + sigma / second)) ** sp.Rational(1, 3)
    q1, q2 = (1 / (growth * (p + sigma)) for p in (first, second))
    deviations = sp.symbols("delta_1:4", real=True)
    product = sp.Add(*(sp.log(1 + delta * X) / 3 for delta in deviations))
    small = _SMALL | dict.fromkeys(deviations, (-1, 1))
    return (
        Step(
            "solution of the reduced flow",
            "q_i = 1/(E(p_i + σ)), E = Π(1 + σ/p_i)^{1/3}, p_i = 1/q_i(0), σ' = 4C/E; q_1', m = 2",
            4 * C / growth * sp.Derivative(q1, sigma),
            -4 * C * q1 * (q1 + (q1 + q2) / 3),
        ),
        Step(
            "late growth",
            "p_i + σ = u + δ_i, Σδ_i = 0: E = A u^{m/3}(1 − V/(6u²) + …), V = Σδ_i²; second order "
            "of ln E in x = 1/u, m = 3",
            sp.Subs(sp.Derivative(product, X, X) / 2, X, 0),
            -sp.Add(*(delta**2 for delta in deviations)) / 6,
            small,
        ),
    )


def _late() -> tuple[Step, ...]:
    power = M / 3
    time = AMPLITUDE / (4 * C)
    time *= U ** (power + 1) / (power + 1) - SPREAD * U ** (power - 1) / (6 * (power - 1))
    # x = V/u²
    scale = 1 - X * (M + 3) / (6 * (M - 3))
    loss = ((M + 3 * X) / 2 + (M + X) ** 2 / 6) / (1 - X / 6) ** 2
    relative = loss * scale**2 * (PROFILE**2) / RATE_CONSTANT
    return (
        Step(
            "time",
            "dt = E dσ/(4C): t grows like u^{(m + 3)/3}, so that V/u² falls like t^{−6/(m + 3)}",
            sp.Derivative(time, U),
            AMPLITUDE / (4 * C) * U**power * (1 - SPREAD / (6 * U**2)),
            _NOT_THREE,
        ),
        Step(
            "time for m = 3",
            "the same for m = 3: a logarithm, −(AV/(24C)) ln t/t in t²L",
            sp.Derivative(AMPLITUDE / (4 * C) * (U**2 / 2 - SPREAD * sp.log(U) / 6), U),
            AMPLITUDE / (4 * C) * U * (1 - SPREAD / (6 * U**2)),
        ),
        Step(
            "effect on the loss",
            "T = (m + x)/(Eu), Σq_i² = (m + 3x)/(Eu)², x = V/u²: derivative of t²L/limit at x = 0",
            sp.Subs(sp.Derivative(relative, X), X, 0),
            SPREAD_COEFFICIENT,
            _NOT_THREE,
        ),
    )


def _slow() -> sp.Expr:
    """ρ on the slow manifold to second order, all q_i = q_1."""
    return -M * Q1 / 3 - 2 * M * (M + 3) * Q1**2 / (27 * S)


def _second_order() -> tuple[Step, ...]:
    rho = _slow()
    along = -2 * C * (S + rho) * (3 * rho + M * Q1)
    across = -2 * C * Q1 * (2 * Q1 + rho + M * Q1)
    loss = (rho**2 + M * Q1**2) / 2 + (rho + M * Q1) ** 2 / 4
    speed = 4 * C * (M + 3) / 3
    return (
        Step(
            "second order of ρ",
            "ρ = −mq/3 − 2m(m + 3)q²/(27s) + …: ρ' = −2C(s + ρ)(3ρ + mq) and (dρ/dq) q' agree to "
            "this order, c = 0, all q_i = q",
            sp.Limit((along - sp.diff(rho, Q1) * across) / Q1**2, Q1, sp.S.Zero),
            sp.S.Zero,
        ),
        Step(
            "no effect on the loss itself",
            "∂L/∂ρ = 0 at −T/3: L = m(m + 3)q²/6 + O(q⁴)",
            sp.Limit((loss - M * (M + 3) * Q1**2 / 6) / Q1**3, Q1, sp.S.Zero),
            sp.S.Zero,
        ),
        Step(
            "effect on the speed",
            "(1/q)' = 4C(m + 3)/3 − (4Cm(m + 3)/(27s)) q + …",
            sp.Limit((-across / Q1**2 - speed) / Q1, Q1, sp.S.Zero),
            -4 * C * M * (M + 3) / (27 * S),
        ),
    )


def _logarithm() -> tuple[Step, Step]:
    speed, loss_of_speed = 4 * C * (M + 3) / 3, 4 * C * M * (M + 3) / (27 * S)
    inverse = speed * TIME - M * sp.log(TIME) / (9 * S)
    return (
        Step(
            "1/q as a function of t",
            "q ~ 3/(4C(m + 3)t) in the second term: 1/q = 4C(m + 3)t/3 − (m/(9s)) ln t + const",
            sp.Derivative(inverse, TIME),
            speed - loss_of_speed * PROFILE / TIME,
        ),
        Step(
            "logarithm in the loss",
            "limit of (t²L/limit − 1) t/ln t, t²L ∝ t²q²",
            sp.Limit(((speed * TIME / inverse) ** 2 - 1) * TIME / sp.log(TIME), TIME, sp.oo),
            LOG_COEFFICIENT,
        ),
    )
