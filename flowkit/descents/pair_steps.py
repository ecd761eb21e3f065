"""Iterations w ← w + η ẇ, r ← r + η ṙ in the frame, compiled.

The residual r is a state beside the students, as in `flowkit.flows.coordinates`, and nothing of
order one cancels in ṙ, ẇ.  States are unevaluated sums of two doubles: each iteration rounds at
1e-32 of a weight and 1e-16 of its change, so 10⁸ of them leave no trace.

References
----------
T. J. Dekker, Numer. Math. 18, 1971; D. E. Knuth, The Art of Computer Programming 2, §4.2.2 (sums
with their rounding errors).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from flowkit.flows.collocation import AHEAD, BEHIND
from flowkit.flows.compiled import COMPILED, compiled, vectorised
from flowkit.flows.coordinates import System, Work, velocity
from flowkit.flows.kernel import MANY, angle_and_defect, polar, pull

Array = np.ndarray

RUNNING, ZERO, DIVERGED, TURNED = 0, 1, 2, 3
MODULUS = 2147483647  # of S. K. Park & K. W. Miller's generator, Comm. ACM 31, 1988


class Rest(NamedTuple):
    """What a state holds beside `Work`: low parts of r (D,) and w (N, D), and two integers.

    `counter` (2,) is the number of iterations done and the state of the random numbers.
    """

    r: Array
    w: Array
    counter: Array


@compiled
def _add(high: Array, low: Array, change: Array, factor: float) -> None:
    """high + low += factor · change, high being the rounded sum."""
    for p in range(len(high)):
        y = factor * change[p] + low[p]
        total = high[p] + y
        part = total - high[p]
        low[p] = (high[p] - (total - part)) + (y - part)
        high[p] = total


@compiled
def _turn(system: System, work: Work, rest: Rest) -> None:
    """Students that have turned round change sides; r sums those that face the teacher."""
    for i in range(len(system.sizes)):
        side = work.flip[i]
        if _turned(side, work.units[i, 0]):
            _add(work.r, rest.r, work.w[i], -side * system.sizes[i])
            _add(work.r, rest.r, rest.w[i], -side * system.sizes[i])
            system.facing[i] = -side
            work.flip[i] = -side


@compiled
def _turned(side: float, along: float) -> bool:
    """Whether a student on this side, its unit vector times that side being `along` v̄, left it."""
    return side * along < BEHIND if side > 0 else side * along > AHEAD


@compiled
def _judge(
    flip: Array,
    norms: Array,
    units: Array,
    sizes: Array,
    weights: Array,
    single: bool,
    bound: float,
) -> int:
    """What has become of the students; fills their weights."""
    total, turned, zero = 0.0, False, False
    for i in range(len(sizes)):
        zero = zero or norms[i] == 0
        weights[i] = sizes[i] * norms[i]
        total += norms[i]
        turned = turned or (single and _turned(flip[i], units[i, 0]))
    if zero:
        return ZERO
    if not total < bound:  # (or not a number)
        return DIVERGED
    return TURNED if turned else RUNNING


@vectorised
def _pull_once(units: Array, offsets: Array, weights: Array, g: Array, scratch: Array) -> None:
    """`kernel.pull` of few neurons, looking at each pair once.

    Rows of `scratch`: sin²(θ/2), θ/2π and (sin θ − θ)/2π of all pairs.
    """
    count, dim = g.shape
    z, angle, defect = scratch[0], scratch[1], scratch[2]
    largest = 0.0
    m = 0
    for i in range(count):
        for j in range(i + 1, len(offsets)):
            square = 0.0
            for p in range(dim):
                gap = offsets[i, p] - offsets[j, p]
                square += gap * gap
            z[m] = min(0.25 * square, 1.0)
            largest = max(largest, z[m])
            m += 1
    angle_and_defect(z, largest, angle, defect)
    g[:] = 0.0
    m = 0
    for i in range(count):
        own = 0.0
        for j in range(i + 1, len(offsets)):
            own += weights[j] * defect[m]
            for p in range(dim):
                gap = angle[m] * (offsets[i, p] - offsets[j, p])
                g[i, p] += weights[j] * gap
                if j < count:
                    g[j, p] += weights[i] * (defect[m] * units[j, p] - gap)
            m += 1
        for p in range(dim):
            g[i, p] += own * units[i, p]


@compiled
def _blur(values: Array, relative: float, absolute: float, counter: Array) -> None:
    """Random errors of at most `relative` of each value, and `absolute`."""
    for p in range(len(values)):
        counter[1] = 16807 * counter[1] % MODULUS
        random = 2.0 * counter[1] / MODULUS - 1
        values[p] += random * (relative * abs(values[p]) + absolute)


@compiled
def iterate(
    system: System,
    work: Work,
    rest: Rest,
    step_size: float,
    target: int,
    bound: float,
    relative: float,
    absolute: float,
) -> int:
    """Iterations until `target` of them are done, or something stops them.

    `work` is left with ṙ, ẇ and directions at the end; with directions only where it was stopped.

    Parameters
    ----------
    bound : float
        Sum of all norms at which the descent has diverged.
    relative, absolute : float
        Random errors added to the pulls and slopes; zero for none.
    """
    # Taken out of their tuples once: each time costs as much as a sum over a few pairs.
    flip, norms, weights = work.flip, work.norms, work.weights
    w, units, offsets = work.w, work.units, work.offsets
    sizes, counter, single = system.sizes, rest.counter, len(system.teachers) == 1
    flat, low, change = w.reshape(w.size), rest.w.reshape(w.size), work.w_dot.reshape(w.size)
    r, r_low, r_dot, g, stiffness = work.r, rest.r, work.r_dot, work.g, work.stiffness
    count, total = len(sizes), len(offsets)
    few = total < MANY and COMPILED
    scratch = np.empty((3, count * (2 * total - count - 1) // 2))
    while True:
        polar(w, flip, norms, units, offsets)
        code = _judge(flip, norms, units, sizes, weights, single, bound)
        if code == TURNED:
            _turn(system, work, rest)
            continue
        if code != RUNNING:
            return code
        done = counter[0] >= target
        if few:
            _pull_once(units, offsets, weights, g, scratch)
        else:
            pull(units, offsets, weights, g, stiffness)
        if relative > 0 and not done:
            _blur(g.reshape(g.size), relative, absolute, counter)
        velocity(system, work)
        if done:
            return RUNNING
        if relative > 0:
            _blur(r_dot, relative, 0.0, counter)
            _blur(change, relative, 0.0, counter)
        _add(r, r_low, r_dot, step_size)
        _add(flat, low, change, step_size)
        counter[0] += 1
