"""Coordinates in which a flow of teacher and students is smooth, and its velocity there.

With facing students (within 90° of v̄, roughly) and those behind, R(θ) = R(π − θ) − ½ cos θ turns
the loss into one where nothing of order one cancels, wherever the students point:

    L = ½ mean (‖r‖² + ‖b‖²) + odd r·b + kink_weight Σ_{a<b} c_a c_b ‖a‖‖b‖ R(∠ of their lines),
    r = Σ_facing w − Σ v,   b = Σ_behind w,   odd = mean − ½ kink_weight  (0 for the ReLU).

POWER   y = (S² r, students along the axis, S β),  S = 1 + t/τ,  against x = ln S.
        β: across the axis, w − mean of the centred students; w itself for the others.
        On the slow manifold r ~ t⁻², β ~ t⁻¹: y tends to a constant.
LINEAR  y = (r e^{λ(t − start)}, β in all directions), all students facing, against x = t/τ.
        While r decays by itself y tends to a constant: exponential convergence keeps its
        relative accuracy.

The mean comes from Σ w = Σ v + r, and r falls out of β̇ = mean g − g: left in ẇ, it would cancel
against the mean of g, of order n.  One centred student, the pivot, gives its part to Σ w = Σ v + r:
kept beside the others, its rounding errors would grow like t against a β ~ t⁻¹.
"""

from __future__ import annotations

from math import exp, expm1, log1p, sqrt
from typing import NamedTuple

import numpy as np

from flowkit.flows.compiled import compiled
from flowkit.flows.kernel import polar, pull, remainder

Array = np.ndarray

POWER, LINEAR = 0, 1
TINY = 1e-300
EPS = 2.0**-52
# Beyond it the scaled flow no longer depends on S, and S² r would leave the range of doubles.
FARTHEST = 1e100
# Below it the forcing of r, quadratic in r, is lost to underflow long after it stopped to matter.
FADED = 1e-140


class System(NamedTuple):
    """Groups of equal students, the teachers, and the coordinates in use.

    Attributes
    ----------
    sizes : (n,)
        m_i, how many equal students each group stands for.
    facing : (n,)
        +1, or −1 for a student behind.
    centred : (n,)
        1 for the students that the mean is taken of; 0 behind, and for those that are too small
        to be kept as a difference from it.
    held : (n,)
        1 for a student behind that is held on the axis: it only fades, and no longer turns.
    teachers : (k, D)
    mean, kink_weight : float
        Weights of the activation.
    mode, pivot : int
        POWER or LINEAR; the eliminated student, −1 if nobody faces the teacher.
    early : int
        1 while all students together are small: then r is what they leave of v, and y₀ is the
        pivot's part along the axis instead of S² r₀.
    power : float
        1, or 0 where S is left out (several teachers).
    tau, start : float
        Time scale of S; where LINEAR began.
    """

    sizes: Array
    facing: Array
    centred: Array
    held: Array
    teachers: Array
    mean: float
    kink_weight: float
    mode: int
    pivot: int
    early: int
    power: float
    tau: float
    start: float


def initial_system(teachers: Array, sizes: Array, weights: tuple[float, float]) -> System:
    """All students facing, POWER, without a pivot: see `pair_march.fitted`."""
    mean, kink_weight = weights
    sizes = np.asarray(sizes, dtype=float)
    tau = 1 / (sizes.sum() * mean)
    power = 1.0 if len(teachers) == 1 else 0.0
    ones = np.ones(len(sizes))
    return System(
        sizes,
        ones,
        ones,
        np.zeros(len(sizes)),
        np.array(teachers),
        mean,
        kink_weight,
        POWER,
        -1,
        0,
        power,
        tau,
        0.0,
    )


class Work(NamedTuple):
    """Arrays that the velocity fills: states, directions of students and teachers, pull, rates."""

    r: Array
    w: Array
    norms: Array
    units: Array
    offsets: Array
    flip: Array
    weights: Array
    g: Array
    stiffness: Array
    r_dot: Array
    w_dot: Array


def workspace(system: System) -> Work:
    """Fresh arrays, the teachers' part filled in."""
    count = len(system.sizes)
    k, dim = system.teachers.shape
    total = count + k
    flip = np.ones(total)
    flip[:count] = system.facing
    units, offsets = np.empty((total, dim)), np.empty((total, dim))
    norms, weights = np.empty(total), np.empty(total)
    polar(system.teachers, flip[count:], norms[count:], units[count:], offsets[count:])
    weights[count:] = -norms[count:]
    return Work(
        np.zeros(dim),
        np.zeros((count, dim)),
        norms,
        units,
        offsets,
        flip,
        weights,
        np.empty((count, dim)),
        np.empty(count),
        np.zeros(dim),
        np.zeros((count, dim)),
    )


@compiled
def size(system: System) -> int:
    """Length of y."""
    count, dim = len(system.sizes), system.teachers.shape[1]
    others = count - 1 if system.pivot >= 0 else count
    return dim + others * dim


@compiled
def across(system: System) -> int:
    """Where the part across the axis begins in y."""
    dim = system.teachers.shape[1]
    if system.mode == LINEAR:
        return dim
    others = len(system.sizes) - 1 if system.pivot >= 0 else len(system.sizes)
    return dim + others


@compiled
def front(system: System) -> float:
    """Number of facing students, equal ones counted."""
    total = 0.0
    for i in range(len(system.sizes)):
        if system.facing[i] > 0:
            total += system.sizes[i]
    return total


@compiled
def middle(system: System) -> float:
    """Number of centred students; 1 if there are none."""
    total = 0.0
    for i in range(len(system.sizes)):
        total += system.sizes[i] * system.centred[i]
    return max(total, 1.0)


@compiled
def _mean(system: System, r: float, p: int) -> float:
    """The mean in direction p if all facing students are centred."""
    total = r
    for k in range(len(system.teachers)):
        total += system.teachers[k, p]
    return total / middle(system)


@compiled
def growth(system: System, t: float) -> float:
    """S, no further than it matters."""
    return min(1 + t / system.tau, FARTHEST) if system.power > 0 else 1.0


@compiled
def magnified(system: System, t: float) -> float:
    """S over its cap: how much larger the picture is in which the velocity is evaluated."""
    whole = 1 + t / system.tau if system.power > 0 and system.mode == POWER else 1.0
    return max(whole / FARTHEST, 1.0)


@compiled
def decay(system: System, t: float) -> float:
    """e^{−λ(t − start)}, λ = n mean = 1/τ."""
    return exp(-(t - system.start) / system.tau)


@compiled
def encode(system: System, t: float, r: Array, w: Array, y: Array) -> None:
    """y of the state (r, w)."""
    count, dim = w.shape
    pivot = system.pivot
    if system.mode == LINEAR:
        for p in range(dim):
            y[p] = r[p] / decay(system, t)
            mean = _mean(system, r[p], p)
            k = dim + p
            for i in range(count):
                if i != pivot:
                    y[k] = w[i, p] - mean
                    k += dim
        return
    s = growth(system, t)
    for p in range(dim):
        y[p] = s * s * r[p]
        mean = _mean(system, r[p], p)
        for i in range(count):
            if system.facing[i] > 0:
                mean -= system.sizes[i] * (1 - system.centred[i]) * w[i, p] / middle(system)
        k = dim if p == 0 else across(system) + p - 1
        for i in range(count):
            if i != pivot:
                y[k] = w[i, 0] if p == 0 else s * (w[i, p] - system.centred[i] * mean)
                k += 1 if p == 0 else dim - 1
    if system.early:
        y[0] = w[pivot, 0]


@compiled
def decode(system: System, t: float, y: Array, stretch: float, r: Array, w: Array) -> None:
    """(r, w) of y; POWER: at S `stretch` times smaller, a magnified picture of the same state."""
    count, dim = w.shape
    pivot = system.pivot
    if system.mode == LINEAR:
        for p in range(dim):
            r[p] = decay(system, t) * y[p]
            mean = _mean(system, r[p], p)
            last = 0.0
            k = dim + p
            for i in range(count):
                if i != pivot:
                    w[i, p] = mean + y[k]
                    last -= system.sizes[i] * y[k]
                    k += dim
            w[pivot, p] = mean + last / system.sizes[pivot]
        return
    s = (1 + t / system.tau if system.power > 0 else 1.0) / stretch
    for p in range(dim):
        r[p] = y[p] / s / s
        if p == 0:
            _decode_along(system, y, r, w)
            continue
        mean = _mean(system, r[p], p)
        last = 0.0
        k = across(system) + p - 1
        for i in range(count):
            if i != pivot:
                w[i, p] = y[k] / s
                k += dim - 1
                if system.centred[i] > 0:
                    last -= system.sizes[i] * w[i, p]
                elif system.facing[i] > 0:
                    mean -= system.sizes[i] * w[i, p] / middle(system)
        for i in range(count):
            if i == pivot:
                w[i, p] = mean + last / system.sizes[i]
            elif system.centred[i] > 0:
                w[i, p] += mean


@compiled
def _decode_along(system: System, y: Array, r: Array, w: Array) -> None:
    """Parts along the axis; the pivot's is what Σ w = Σ v + r leaves, or, early, r is."""
    target = _mean(system, 0.0, 0) * middle(system)
    others = 0.0
    k = w.shape[1]
    for i in range(len(w)):
        if i != system.pivot:
            w[i, 0] = y[k]
            k += 1
            if system.facing[i] > 0:
                others += system.sizes[i] * w[i, 0]
    if system.early:
        w[system.pivot, 0] = y[0]
        r[0] = others + system.sizes[system.pivot] * y[0] - target
    elif system.pivot >= 0:
        w[system.pivot, 0] = (target + r[0] - others) / system.sizes[system.pivot]


@compiled
def directions(system: System, work: Work) -> None:
    """Norms, directions and pair weights of the students in `work.w`."""
    count = len(system.sizes)
    polar(work.w, work.flip, work.norms, work.units, work.offsets)
    for i in range(count):
        work.weights[i] = system.sizes[i] * work.norms[i]


@compiled
def _behind(system: System, work: Work, p: int) -> float:
    """b_p, the sum over the students behind."""
    total = 0.0
    for i in range(len(system.sizes)):
        if system.facing[i] < 0:
            total += system.sizes[i] * work.w[i, p]
    return total


@compiled
def velocity(system: System, work: Work) -> None:
    """ṙ and ẇ from r, w and g: ẇ = −mean (its side's sum) − odd (the other's) − kink_weight g."""
    count, dim = work.w.shape
    odd = system.mean - 0.5 * system.kink_weight
    facing = front(system)
    for p in range(dim):
        work.r_dot[p] = 0.0
        behind = _behind(system, work, p)
        near = -system.mean * work.r[p] - odd * behind
        far = -odd * work.r[p] - system.mean * behind
        for i in range(count):
            rest = system.kink_weight * system.facing[i] * work.g[i, p]
            work.w_dot[i, p] = (near if system.facing[i] > 0 else far) - rest
            if system.held[i] > 0 and p > 0:
                work.w_dot[i, p] = 0.0
            if system.facing[i] > 0:
                work.r_dot[p] -= system.sizes[i] * rest
        work.r_dot[p] += facing * near


@compiled
def loss(system: System, work: Work) -> float:
    """L of the state in `work`, whose directions are known."""
    odd = system.mean - 0.5 * system.kink_weight
    value = 0.0
    for p in range(len(work.r)):
        behind = _behind(system, work, p)
        r = work.r[p]
        value += 0.5 * system.mean * (r * r + behind * behind) + odd * r * behind
    return value + system.kink_weight * remainder(work.offsets, work.weights)


@compiled
def slopes(system: System, t: float, y: Array, work: Work, out: Array) -> None:
    """dy/dx, x = ln S (POWER) or t/τ (LINEAR); leaves ṙ, ẇ at t in `work`."""
    decode(system, t, y, magnified(system, t), work.r, work.w)
    directions(system, work)
    pull(work.units, work.offsets, work.weights, work.g, work.stiffness)
    combine(system, t, y, work, out)


@compiled
def combine(system: System, t: float, y: Array, work: Work, out: Array) -> None:
    """dy/dx from r, w and g in `work`; linear in (y, r, w, g)."""
    velocity(system, work)
    if system.mode == LINEAR:
        _combine_linear(system, t, work, out)
    else:
        _combine_power(system, t, y, work, out)


@compiled
def _mean_pull(system: System, work: Work, p: int) -> float:
    """Mean over the centred students of g."""
    total = 0.0
    for i in range(len(system.sizes)):
        total += system.sizes[i] * system.centred[i] * work.g[i, p]
    return total / middle(system)


@compiled
def _combine_linear(system: System, t: float, work: Work, out: Array) -> None:
    count, dim = work.w.shape
    fading = decay(system, t)
    inverse = middle(system) / fading if fading > FADED else 0.0
    factor = system.tau * system.kink_weight
    for p in range(dim):
        mean = _mean_pull(system, work, p)
        out[p] = -factor * inverse * mean
        k = dim + p
        for i in range(count):
            if i != system.pivot:
                out[k] = factor * (mean - work.g[i, p])
                k += dim


@compiled
def _combine_power(system: System, t: float, y: Array, work: Work, out: Array) -> None:
    count, dim = work.w.shape
    s = growth(system, t)
    pace = system.tau * s
    k = dim
    for i in range(count):
        if i != system.pivot:
            out[k] = pace * work.w_dot[i, 0]
            k += 1
    for p in range(dim):
        out[p] = pace * s * s * work.r_dot[p] + 2 * system.power * y[p]
        if p == 0:
            if system.early:
                out[0] = pace * work.w_dot[system.pivot, 0]
            continue
        mean = _mean_pull(system, work, p)
        k = across(system) + p - 1
        for i in range(count):
            if i != system.pivot:
                rate = work.w_dot[i, p]
                if system.centred[i] > 0:  # ẇ less its mean, in which r cancels
                    rate = system.kink_weight * (mean - work.g[i, p])
                out[k] = pace * s * rate + system.power * y[k]
                k += dim - 1


@compiled
def later(system: System, t: float, dx: float) -> float:
    """The time when x is larger by dx."""
    if system.mode == LINEAR or system.power == 0:
        return t + system.tau * dx
    return t + (system.tau + t) * expm1(dx)


@compiled
def distance(system: System, t: float, t_end: float) -> float:
    """x(t_end) − x(t)."""
    if system.mode == LINEAR or system.power == 0:
        return (t_end - t) / system.tau
    return log1p((t_end - t) / (system.tau + t))


@compiled
def pace(system: System, t: float) -> float:
    """dt/dx."""
    if system.mode == LINEAR or system.power == 0:
        return system.tau
    return system.tau + t


@compiled
def scale(system: System, t: float, y: Array, work: Work, value: float, out: Array) -> None:
    """Sizes to which errors in y are relative, for the state in `work` with loss `value`.

    r: √L.  A student: its norm along the axis; across it that norm times the largest angle.
    LINEAR: ‖r̂‖; along the axis the largest norm; across it the size of β, or its rounding.
    """
    count, dim = work.w.shape
    pivot = system.pivot
    widest, largest = 0.0, 0.0
    for i in range(count):
        square = 0.0
        for p in range(1, dim):
            square += work.units[i, p] * work.units[i, p]
        widest = max(widest, sqrt(square))
        largest = max(largest, work.norms[i])
    square = 0.0
    if system.mode == LINEAR:
        rest_size, rounding = 0.0, 0.0
        for p in range(dim):
            square += y[p] * y[p]
        k = dim
        for i in range(count):
            rest = 0.0
            if i != pivot:
                for p in range(1, dim):
                    rest += y[k + p] * y[k + p]
                k += dim
            rest_size = max(rest_size, sqrt(rest))
            rounding = max(rounding, EPS * work.norms[i] * widest)
        rest_size = max(rest_size, 1e6 * rounding)
        for p in range(dim):
            out[p] = max(sqrt(square), TINY)
            k = dim + p
            for i in range(count):
                if i != pivot:
                    out[k] = max(largest if p == 0 else rest_size, TINY)
                    k += dim
        return
    s = growth(system, t)
    residual = 2 * sqrt(max(value, 0.0))
    if len(system.teachers) > 1:
        widest = 1.0
        for k in range(len(system.teachers)):
            square += work.norms[count + k] * work.norms[count + k]
        residual = max(residual, sqrt(square))
    for p in range(dim):
        out[p] = max(s * s * residual, TINY)
    if system.early:
        out[0] = work.norms[system.pivot]
    along, k = dim, across(system)
    for i in range(count):
        if i != pivot:
            out[along] = max(work.norms[i], TINY)
            along += 1
            for _ in range(1, dim):
                out[k] = max(s * work.norms[i] * widest, TINY)
                k += 1
