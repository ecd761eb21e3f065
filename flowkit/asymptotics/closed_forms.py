"""Constants of the flows that have an exact solution, in balls, from exact weights."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from flint import arb

from flowkit.asymptotics.derived import balls, rational, residual_rate
from flowkit.problems.exact import ball

Array = np.ndarray


class Exponentials(NamedTuple):
    """L = Σ coefficient e^(−rate t) + …, the slowest first."""

    rates: list[Fraction]
    coefficients: list[arb]


def equal_students(w: Array, v: Array, count: int, mean: Any, kink_weight: Any) -> Exponentials:
    """`count` students equal to w, not parallel to v (Fractions).

    u = count · w follows count times the flow of one neuron, of which `symbolic.single_neuron`
    derives the limit of exp(2 mean t) L and the next term.
    """
    from symbolic.single_neuron import RHO_0, THETA_0, C, D, single_neuron, single_neuron_rate
    from symbolic.toy_cases import KAPPA, MU, V

    u = count * w
    square, dot = v @ v, u @ v
    length = ball(square).sqrt()
    across = ball(u @ u - dot * dot / square).sqrt()
    values = {MU: Fraction(mean), KAPPA: Fraction(kink_weight), V: length}
    start = values | {
        RHO_0: ball(u @ u).sqrt(),
        THETA_0: arb.atan2(across, ball(dot) / length),
    }
    _, _, of_start, shift = single_neuron().result
    (d,) = balls([of_start], start)
    (c,) = balls([shift], start | {D: d})
    leading, later = balls(single_neuron_rate().result, values | {D: d, C: c})
    slowest = 2 * residual_rate(count, mean)
    return Exponentials([slowest, 3 * slowest / 2], [leading, later])


def parallel_students(parts: list[Fraction], square: Fraction, mean: Any) -> Exponentials | str:
    """Students w_i = parts_i v, ‖v‖² = `square`; a sentence if they do not just fade or grow.

    With X = Σ facing − 1 and N = Σ opposite, and the slope of the activation 0 on the negative side
    or N = 0, L is the sum of toy case 2 for X and the facing, and for N and the opposite ones.
    """
    facing = [x for x in parts if x > 0]
    opposite = [-x for x in parts if x < 0]
    mean = Fraction(mean)
    if opposite and mean != Fraction(1, 2):
        return "with some opposite to the teacher, leaky students may reach zero and turn round"
    if len(set(opposite)) > 1:
        return "those opposite to the teacher are not equal: the smaller reach zero, and turn round"
    if not facing:
        return "none faces the teacher, and none ever will"
    missing = sum(facing) - 1
    if missing > 0 and min(facing) <= missing / len(facing):
        return "one shrinks to zero before their sum has come down to the teacher"
    grows, fades = (2 * residual_rate(len(part), mean) for part in (facing, opposite))
    squares = {grows: Fraction(missing) ** 2}
    if opposite:
        squares[fades] = squares.get(fades, Fraction(0)) + Fraction(sum(opposite)) ** 2
    kept = {rate: squares[rate] for rate in sorted(squares) if squares[rate]} or {
        grows: Fraction(0)
    }
    return Exponentials(list(kept), [_toy_2(x, square, mean) for x in kept.values()])


def _toy_2(gap: Fraction, square: Fraction, mean: Fraction) -> arb:
    """Its loss at t = 0 for H_0² = `gap`."""
    from symbolic.toy_cases import H_0, MU, T, V, toy_2

    start = toy_2().result.subs(T, 0)
    return ball(rational(start, {MU: mean, V**2: square, H_0**2: gap}))
