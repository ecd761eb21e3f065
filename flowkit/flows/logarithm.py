"""ln L, also where L itself is below the range of doubles."""

from __future__ import annotations

from math import log, log1p

import numpy as np

from flowkit.flows.coordinates import (
    LINEAR,
    System,
    decode,
    directions,
    loss,
    workspace,
)
from flowkit.flows.kernel import remainder

Array = np.ndarray
SMALL = 1e-250


def log_loss(system: System, y: Array, t: float) -> float:
    """ln L of the state y at t; −inf only if the loss is zero."""
    if system.mode == LINEAR:
        return _linear(system, y, t)
    value = _magnified(system, y, t, 1.0)
    if value > SMALL or system.power == 0:
        return log(value) if value > 0 else -np.inf
    # Near the minimum L is homogeneous: r → c² r, w across the axis → c × it give c³ L, up to
    # terms smaller by the angles, here about 1e-30.
    factor = (1 + t / system.tau) / 1e30
    value = _magnified(system, y, t, factor)
    return log(value) - 3 * log(factor) if value > 0 else -np.inf


def _magnified(system: System, y: Array, t: float, factor: float) -> float:
    work = workspace(system)
    decode(system, t, np.ascontiguousarray(y), factor, work.r, work.w)
    directions(system, work)
    return float(loss(system, work))


def _linear(system: System, y: Array, t: float) -> float:
    """½ mean ‖r‖² times one plus the share of the pairs, r as r̂ e^{−λ(t − start)}."""
    dim = system.teachers.shape[1]
    largest = float(np.abs(y[:dim]).max())
    if largest == 0:
        return -np.inf
    square = 0.5 * system.mean * float((y[:dim] / largest) @ (y[:dim] / largest))
    exponent = -(t - system.start) / system.tau
    work = workspace(system)
    decode(system, t, np.ascontiguousarray(y), 1.0, work.r, work.w)
    directions(system, work)
    mine = 0.5 * system.mean * float(work.r @ work.r)
    pairs = system.kink_weight * float(remainder(work.offsets, work.weights))
    share = pairs / mine if mine > SMALL else 0.0
    return 2 * log(largest) + log(square) + 2 * float(exponent) + log1p(share)
