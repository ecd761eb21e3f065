"""Radau IIA collocation whose stages are solved by a preconditioned, accelerated iteration.

Near the minimum the only fast direction is r itself, of the known rate n_facing · mean; beside it
each student has one scalar, the curvature across its own direction.  The stage equations

    Y_j = y₀ + Δ Σ_k a_jk F(Y_k)

are therefore solved exactly in a diagonal of F′ (r: known; across student i: one number), and
what is left, a contraction or nearly so, by Anderson's acceleration.  No Jacobian is formed.

References
----------
E. Hairer & G. Wanner, Solving Ordinary Differential Equations II, §IV.5 and IV.8 (Radau IIA, the
error estimate); D. G. Anderson, J. ACM 12, 1965.
"""

from __future__ import annotations

from functools import cache
from math import sqrt
from typing import NamedTuple

import numpy as np

from flowkit.flows.compiled import compiled, vectorised
from flowkit.flows.coordinates import (
    LINEAR,
    POWER,
    System,
    Work,
    across,
    decode,
    directions,
    distance,
    front,
    growth,
    later,
    loss,
    magnified,
    scale,
    size,
    slopes,
)
from flowkit.flows.field import FULL, NEAR_ZERO, REACHED, RUNNING, STUCK, SWITCH, TURNED

Array = np.ndarray

ITERATIONS = 25
# Steps of a third of a decade: a fit or a plot wants the points, and the stages converge at once.
LONGEST = 0.767
# Cosines at which a student is counted as behind, and as facing again.
BEHIND, AHEAD = -0.97, -0.5
# Norms against their mean at which a student is no longer kept as a difference, and is again.
UNEVEN, EVEN = 0.01, 0.1
# Norms of all students together, against ‖v‖, from which on it is no longer early.
GROWN = 0.05
COLUMNS = 12
NOISE = 1e-15
# Tries of a step that trust the order of its error.
PATIENT = 3
CLOSE = 2e-3
TINY = 1e-300


class Tableau(NamedTuple):
    """Nodes c (s,), matrix a (s, s) and the interpolation weights of the nodes (0, c)."""

    c: Array
    a: Array
    left: Array
    barycentric: Array


@cache
def tableau(stages: int) -> Tableau:
    """Radau IIA: c are the zeros of P_s − P_{s−1} on [0, 1], a integrates through them exactly."""
    from numpy.polynomial import legendre

    difference = np.zeros(stages + 1)
    difference[stages], difference[stages - 1] = 1.0, -1.0
    x = np.sort(legendre.legroots(difference).real)
    for _ in range(3):  # Newton to the last digit
        x = x - legendre.legval(x, difference) / legendre.legval(x, legendre.legder(difference))
    x[-1] = 1.0
    c = 0.5 * (1 + x)
    values = legendre.legvander(x, stages - 1)
    integrals = np.column_stack(
        [
            legendre.legval(x, legendre.legint(np.eye(stages)[k], lbnd=-1.0)) / 2
            for k in range(stages)
        ]
    )
    a = np.linalg.solve(values.T, integrals.T).T
    at_left = np.linalg.solve(values.T, legendre.legvander(np.array([-1.0]), stages - 1)[0])
    nodes = np.concatenate([[0.0], c])
    gaps = nodes[:, None] - nodes[None, :] + np.eye(stages + 1)
    return Tableau(c, a, at_left, 1 / gaps.prod(axis=1))


@compiled
def _extrapolation(nodes: Tableau, ratio: float, out: Array) -> None:
    """Weights (s, s + 1) that carry the polynomial of the last step to the stages of the next."""
    stages = len(nodes.c)
    for j in range(stages):
        x = 1 + nodes.c[j] * ratio
        product = x
        for k in range(stages):
            product *= x - nodes.c[k]
        out[j, 0] = nodes.barycentric[0] * product / x
        for k in range(stages):
            out[j, k + 1] = nodes.barycentric[k + 1] * product / (x - nodes.c[k])


@compiled
def _inverse(matrix: Array, out: Array) -> None:
    """Inverse of a small matrix by elimination with pivoting; `matrix` is overwritten."""
    count = len(matrix)
    for i in range(count):
        for j in range(count):
            out[i, j] = 1.0 if i == j else 0.0
    for k in range(count):
        best = k
        for i in range(k + 1, count):
            if abs(matrix[i, k]) > abs(matrix[best, k]):
                best = i
        if best != k:
            for j in range(count):
                matrix[k, j], matrix[best, j] = matrix[best, j], matrix[k, j]
                out[k, j], out[best, j] = out[best, j], out[k, j]
        factor = 1 / matrix[k, k]
        for j in range(count):
            matrix[k, j] *= factor
            out[k, j] *= factor
        for i in range(count):
            if i != k:
                factor = matrix[i, k]
                for j in range(count):
                    matrix[i, j] -= factor * matrix[k, j]
                    out[i, j] -= factor * out[k, j]


@vectorised
def _extrapolate(weights: Array, solve: Solver) -> None:
    stages, length = solve.stages.shape
    for j in range(stages):
        for p in range(length):
            solve.stages[j, p] = 0.0
        for k in range(stages + 1):
            for p in range(length):
                solve.stages[j, p] += weights[j, k] * solve.previous[k, p]


class Solver(NamedTuple):
    """Arrays of one integration: stages, slopes, the diagonal's inverses, Anderson's columns."""

    stages: Array
    slopes: Array
    image: Array
    inverses: Array
    start: Array
    scale: Array
    previous: Array
    moves: Array
    changes: Array
    residual: Array
    image_before: Array
    residual_before: Array
    noise: Array
    solved: Array
    judged: Array


def solver(system: System, nodes: Tableau) -> Solver:
    """Fresh arrays."""
    count, length, stages = len(system.sizes), size(system), len(nodes.c)
    return Solver(
        np.empty((stages, length)),
        np.empty((stages, length)),
        np.empty((stages, length)),
        np.empty((count + 2, stages, stages)),
        np.empty(length),
        np.ones(length),
        np.empty((stages + 1, length)),
        np.empty((COLUMNS, stages * length)),
        np.empty((COLUMNS, stages * length)),
        np.empty(stages * length),
        np.empty(stages * length),
        np.empty(stages * length),
        np.zeros(length),
        np.empty(length),
        np.empty(length),
    )


@compiled
def _noise(system: System, t: float, work: Work, out: Array) -> None:
    """Rounding of dy/dx: of g_i, 2ε Σ_b ‖b‖ (‖o_i‖² + ‖o_b‖²), times what multiplies it.

    It matters where pulls cancel on a student that is itself small, at a wide angle to the rest.
    """
    count, dim = work.w.shape
    s = growth(system, t)
    pace = NOISE * system.tau * (1.0 if system.mode == LINEAR else s)
    mass, spread = 0.0, 0.0
    for b in range(len(work.norms)):
        square = 0.0
        for p in range(dim):
            square += work.offsets[b, p] * work.offsets[b, p]
        mass += abs(work.weights[b])
        spread += abs(work.weights[b]) * square
    total = 0.0
    width = dim if system.mode == LINEAR else dim - 1
    along, at = dim, across(system)
    for i in range(count):
        square = 0.0
        for p in range(dim):
            square += work.offsets[i, p] * work.offsets[i, p]
        noise = pace * (mass * square + spread)
        total += system.sizes[i] * noise
        if i != system.pivot:
            if system.mode == POWER:
                out[along] = noise
                along += 1
            for p in range(at, at + width):
                out[p] = noise if system.mode == LINEAR else s * noise
            at += width
    for p in range(dim):
        out[p] = 0.0 if system.mode == LINEAR else s * s * total
    if system.early:
        out[0] = total


@compiled
def _balance(system: System, scales: Array) -> None:
    """Sizes for a mean square in which r, the students along and those across count alike.

    Left as they are, r would be a few components among those of all students, and count for little.
    """
    length, dim = len(scales), system.teachers.shape[1]
    others = length // dim - 1
    if others == 0:
        return
    parts = 3.0 if dim > 1 else 2.0
    for p in range(length):
        alone = p < dim and not (system.early and p == 0)
        scales[p] *= sqrt(parts * (1 if alone else others) / length)


@compiled
def _prepare(
    system: System, nodes: Tableau, times: Array, dx: float, own: Array, solve: Solver
) -> None:
    """Inverses of I − Δ a diag(L): r, each student across the axis, those behind along it."""
    stages = len(nodes.c)
    matrix = np.empty((stages, stages))
    fast = front(system) * system.mean * system.tau
    behind = 1 - fast  # τ is 1/(n mean)
    for i in range(len(own) + 2):
        for k in range(stages):
            if i == len(own) + 1:
                rate = -behind * growth(system, times[k])
            elif i > 0:
                rate = own[i - 1]
            elif system.mode == LINEAR:
                rate = 0.0
            else:
                rate = 2 * system.power - fast * growth(system, times[k])
            for j in range(stages):
                matrix[j, k] = -dx * nodes.a[j, k] * rate
            matrix[k, k] += 1.0
        _inverse(matrix, solve.inverses[i])


@vectorised
def _pass(inverse: Array, image: Array, p: int, column: Array) -> None:
    """The stages of component p through an inverse."""
    stages = len(column)
    for j in range(stages):
        column[j] = image[j, p]
    for j in range(stages):
        total = 0.0
        for k in range(stages):
            total += inverse[j, k] * column[k]
        image[j, p] = total


@vectorised
def _update(
    system: System, nodes: Tableau, times: Array, dx: float, own: Array, solve: Solver
) -> None:
    """image = (I − Δ a L)⁻¹ [y₀ + Δ a F(Y) − Y], by which the stages are to change."""
    stages, length = solve.stages.shape
    count, dim = len(system.sizes), system.teachers.shape[1]
    # What is left over, y₀ + Δ a F(Y) − Y, passes through the inverse.
    for j in range(stages):
        for p in range(length):
            solve.image[j, p] = solve.start[p] - solve.stages[j, p]
        for k in range(stages):
            factor = dx * nodes.a[j, k]
            for p in range(length):
                solve.image[j, p] += factor * solve.slopes[k, p]
    column = np.empty(stages)
    if system.mode == POWER:
        for p in range(1 if system.early else 0, dim):
            _pass(solve.inverses[0], solve.image, p, column)
    width = dim - 1 if system.mode == POWER else dim
    along, first = dim - 1, across(system)
    for i in range(count):
        if i == system.pivot:
            continue
        along += 1
        if own[i] < 0:
            for p in range(first, first + width):
                _pass(solve.inverses[i + 1], solve.image, p, column)
            if system.facing[i] < 0:
                _pass(solve.inverses[count + 1], solve.image, along, column)
        first += width


@vectorised
def copy(x: Array, y: Array) -> None:
    """y = x."""
    for p in range(len(x)):
        y[p] = x[p]


@vectorised
def _norm(x: Array, scales: Array) -> float:
    """Root mean square of x times `scales`, stages of the same scale side by side."""
    length = len(scales)
    total = 0.0
    for j in range(len(x) // length):
        for p in range(length):
            ratio = x[j * length + p] * scales[p]
            total += ratio * ratio
    return sqrt(total / len(x))


@vectorised
def _dot(x: Array, y: Array, scales: Array) -> float:
    length = len(scales)
    total = 0.0
    for j in range(len(x) // length):
        for p in range(length):
            total += (x[j * length + p] * scales[p]) * (y[j * length + p] * scales[p])
    return total


@vectorised
def _axpy(factor: float, x: Array, y: Array) -> None:
    for p in range(len(x)):
        y[p] += factor * x[p]


@compiled
def _solve_stages(
    system: System,
    nodes: Tableau,
    times: Array,
    dx: float,
    own: Array,
    accuracy: float,
    work: Work,
    solve: Solver,
) -> int:
    """Iterate the stages to `accuracy`; the number of iterations, or −1."""
    stages, length = solve.stages.shape
    flat = solve.stages.reshape(stages * length)
    image = solve.image.reshape(stages * length)
    columns = 0
    best = 1e300
    for iteration in range(ITERATIONS):
        for j in range(stages):
            slopes(system, times[j], solve.stages[j], work, solve.slopes[j])
        _update(system, nodes, times, dx, own, solve)
        copy(image, solve.residual)
        error = _norm(solve.residual, solve.solved)
        if not error < 1e12:
            return -1
        if error <= accuracy:
            _axpy(1.0, solve.residual, flat)
            return iteration + 1
        if iteration > 8 and error > best:
            return -1
        if iteration % 4 == 3:
            best = error
        if iteration > 0:
            if columns == COLUMNS:
                columns = 0
            # The pair (change of residual, change of iterate), orthonormal to those before it.
            change, move = solve.changes[columns], solve.moves[columns]
            copy(solve.residual, change)
            _axpy(-1.0, solve.residual_before, change)
            copy(flat, move)
            _axpy(-1.0, solve.image_before, move)
            before = _norm(change, solve.solved)
            for k in range(columns):
                overlap = _dot(solve.changes[k], change, solve.solved)
                _axpy(-overlap, solve.changes[k], change)
                _axpy(-overlap, solve.moves[k], move)
            length_now = sqrt(_dot(change, change, solve.solved))
            if length_now > 1e-10 * before and length_now > 0:
                _axpy(1 / length_now - 1, change, change)
                _axpy(1 / length_now - 1, move, move)
                columns += 1
        copy(solve.residual, solve.residual_before)
        copy(flat, solve.image_before)
        for k in range(columns):
            overlap = _dot(solve.changes[k], solve.residual_before, solve.solved)
            _axpy(-overlap, solve.changes[k], solve.residual)
            _axpy(-overlap, solve.moves[k], flat)
        _axpy(1.0, solve.residual, flat)
    return -1


class Trace(NamedTuple):
    """Accepted steps: time, y, loss, ‖∇L‖; and what the next call goes on from.

    `control` holds t, the next dx, the last dx (0: no polynomial to extrapolate); `counts` holds
    steps, evaluations, rejected steps, iterations.
    """

    t: Array
    y: Array
    loss: Array
    gradient: Array
    control: Array
    counts: Array


@compiled
def _own_rates(system: System, t: float, work: Work, own: Array) -> None:
    """Rate at which a student settles across its own direction, for x; never positive.

    The curvature is between one (orthogonal to the pair) and two (in its plane) times this sum.
    Those behind also decay together, by themselves.
    """
    pace = system.tau * (1.0 if system.mode == LINEAR else growth(system, t))
    behind = 1 / system.tau - front(system) * system.mean
    for i in range(len(own)):
        rate = 1.5 * system.kink_weight * max(work.stiffness[i], 0.0) / max(work.norms[i], TINY)
        if system.held[i] > 0:
            rate = 0.0
        if system.facing[i] < 0:
            rate += behind
        own[i] = min(0.0, system.power - pace * rate)


@compiled
def shrinking_time(system: System, work: Work) -> float:
    """Shortest ρ/|ρ̇| over the students that shrink; a step past zero would come out beyond it."""
    shortest = np.inf
    for i in range(len(system.sizes)):
        inward = 0.0
        for p in range(work.w.shape[1]):
            inward -= work.flip[i] * work.units[i, p] * work.w_dot[i, p]
        if inward > 0:
            shortest = min(shortest, work.norms[i] / inward)
    return shortest


@compiled
def gradient_norm(system: System, work: Work) -> float:
    """‖∇L‖ of the state in `work`."""
    largest, total = 0.0, 0.0
    for i in range(len(system.sizes)):
        for p in range(work.w.shape[1]):
            largest = max(largest, abs(work.w_dot[i, p]))
    for i in range(len(system.sizes)):
        for p in range(work.w.shape[1]):
            part = work.w_dot[i, p] / max(largest, TINY)
            total += system.sizes[i] * part * part
    return largest * sqrt(total)


@compiled
def measured(system: System, t: float, work: Work, value: float) -> tuple[float, float]:
    """L and ‖∇L‖ at t, `value` being L of `work`: beyond FARTHEST that is a magnified picture."""
    beyond = magnified(system, t)
    gradient = gradient_norm(system, work) / beyond / beyond
    return value / beyond / beyond / beyond, gradient


@compiled
def _step_error(
    system: System,
    nodes: Tableau,
    dx: float,
    own: Array,
    damped: float,
    first: Array,
    solve: Solver,
) -> float:
    """Δ/(s + 1) times the defect of the polynomial at the left end, damped where F is fast."""
    stages, length = solve.stages.shape
    count, dim = len(system.sizes), system.teachers.shape[1]
    part = dx / (stages + 1)
    defect = solve.residual_before  # free after the stages
    for p in range(length):
        defect[p] = part * first[p]
    for k in range(stages):
        for p in range(length):
            defect[p] -= part * nodes.left[k] * solve.slopes[k, p]
    for p in range(dim):
        defect[p] *= damped
    width = dim - 1 if system.mode == POWER else dim
    at = across(system)
    for i in range(count):
        if i != system.pivot:
            for p in range(at, at + width):
                defect[p] *= 1 / (1 - part * own[i])
            at += width
    return _norm(defect[:length], solve.judged)


@compiled
def look(system: System, work: Work, near: float, value: float) -> int:
    """What the caller has to see to: a student near zero, one turned round, unfit coordinates."""
    count, dim = work.w.shape
    usual, together = 0.0, 0.0
    for i in range(count):
        usual += work.norms[i] / count
        together += work.weights[i]
    if system.early and together > GROWN * work.norms[count]:
        return TURNED
    for i in range(count):
        if work.norms[i] < near:
            return NEAR_ZERO
    if len(system.teachers) > 1:
        return RUNNING
    for i in range(count):
        if system.centred[i] > 0 and work.norms[i] < 0.5 * UNEVEN * usual:
            return TURNED
        if system.facing[i] > system.centred[i] and work.norms[i] > EVEN * usual:
            return TURNED
    for i in range(count):
        cosine = work.flip[i] * work.units[i, 0]
        if (cosine < BEHIND and system.facing[i] > 0) or (cosine > AHEAD and system.facing[i] < 0):
            return TURNED
    forcing, fast, square = 0.0, 0.0, 0.0
    rate = 1 / system.tau
    for p in range(dim):
        decay = rate * work.r[p]
        forcing += (work.r_dot[p] + decay) * (work.r_dot[p] + decay)
        fast += decay * decay
        square += work.r[p] * work.r[p]
    share = 0.5 * system.mean * square
    if system.mode == LINEAR:
        alone = forcing < 1e-2 * fast and share > 0.5 * value
        return RUNNING if alone or value <= TINY or fast <= TINY else SWITCH
    # (While all are small, r is v itself, and LINEAR is no option.)
    alone = forcing < 1e-6 * fast and share > 0.999 * value and not system.early
    for i in range(count):
        alone = alone and system.centred[i] > 0
    return SWITCH if alone and value > TINY else RUNNING


@compiled
def _crossing(before: Array, after: Array) -> float:
    """In a plane: the part of the step after which two directions first cross, 1 if none do.

    There the pull has a kink (θ|θ|), over which no step keeps its order.  Crossings within the
    first CLOSE of the step count as its start.
    """
    first = 1.0
    for a in range(len(before)):
        for b in range(a):
            old = before[a, 0] * before[b, 1] - before[a, 1] * before[b, 0]
            new = after[a, 0] * after[b, 1] - after[a, 1] * after[b, 0]
            size = max(abs(after[a, 1]), abs(after[b, 1]))
            if (old > 0) != (new > 0) and min(abs(old), abs(new)) > 1e-12 * size:
                part = old / (old - new)
                if part > CLOSE:
                    first = min(first, part)
    return first


@compiled
def advance(
    system: System,
    nodes: Tableau,
    y: Array,
    t_end: float,
    tolerance: float,
    accuracy: float,
    near: float,
    work: Work,
    solve: Solver,
    trace: Trace,
) -> int:
    """Accepted steps from trace.control[0] until something is to be looked at; y is overwritten.

    Parameters
    ----------
    tolerance, accuracy : float
        Of a step's error and of its stages, in units of the scale.
    near : float
        Norm below which a student is to be looked at.
    """
    stages, length = solve.stages.shape
    dim = work.w.shape[1]
    order = stages + 1
    t, dx, last = trace.control[0], trace.control[1], trace.control[2]
    times, weights = np.empty(stages), np.empty((stages, stages + 1))
    own, first = np.empty(len(system.sizes)), np.empty(length)
    begin = np.empty(work.units.shape)
    slopes(system, t, y, work, first)
    value = loss(system, work)
    code = RUNNING
    taken = 0
    while code == RUNNING:
        scale(system, t, y, work, value, solve.scale)
        _balance(system, solve.scale)
        _noise(system, t, work, solve.noise)
        limit = 0.8 * shrinking_time(system, work)
        if system.mode == LINEAR and value > 0:
            limit = min(limit, 2 * system.tau)
        remaining = distance(system, t, t_end)
        failures, tries = 0, 0
        if dim == 2:
            copy(work.units.reshape(work.units.size), begin.reshape(begin.size))
        while True:
            dx = min(dx, distance(system, t, t + limit))
            if system.mode == POWER and system.power > 0:
                dx = min(dx, LONGEST)
            final = dx >= 0.999 * remaining
            if final:
                dx = remaining
            elif dx > 0.5 * remaining:
                dx = 0.5 * remaining
            if not later(system, t, dx) > t or failures > 60:
                code = STUCK
                break
            for j in range(stages):
                times[j] = later(system, t, nodes.c[j] * dx)
            if final:
                times[stages - 1] = t_end
            _own_rates(system, t, work, own)
            copy(y, solve.start)
            if last > 0 and dx < 4 * last:
                _extrapolation(nodes, dx / last, weights)
                _extrapolate(weights, solve)
            else:
                for j in range(stages):
                    copy(y, solve.stages[j])
            _prepare(system, nodes, times, dx, own, solve)
            damped = 1.0
            if system.mode == POWER:
                rate = front(system) * system.mean * system.tau * growth(system, t)
                damped = 1 / (1 + dx / order * rate)
            for p in range(length):
                noise = dx * solve.noise[p] * (damped if p < dim else 1.0)
                solve.solved[p] = 1 / (solve.scale[p] + noise / accuracy)
                solve.judged[p] = 1 / (solve.scale[p] + noise / tolerance)
            done = _solve_stages(system, nodes, times, dx, own, accuracy, work, solve)
            trace.counts[3] += abs(done)
            trace.counts[1] += stages * (done if done > 0 else ITERATIONS)
            if done < 0:
                dx *= 0.3
                last = last if failures == 0 else 0.0
                failures += 1
                trace.counts[2] += 1
                # `work` has moved to a stage; the rates and limits are those of the start.
                slopes(system, t, y, work, first)
                continue
            error = _step_error(system, nodes, dx, own, damped, first, solve) / tolerance
            factor = 0.9 * max(error, 1e-12) ** (-1 / order)
            if error > 1:
                # An error that does not fall as the order says is none of this step's.
                dx *= max(0.1, factor if failures < PATIENT else min(factor, 0.3))
                failures += 1
                trace.counts[2] += 1
                slopes(system, t, y, work, first)
                continue
            if dim == 2 and tries < 6:
                decode(system, times[stages - 1], solve.stages[stages - 1], 1.0, work.r, work.w)
                directions(system, work)
                part = _crossing(begin, work.units)
                slopes(system, t, y, work, first)
                if part < 1 - CLOSE:
                    dx *= part
                    tries += 1
                    continue
            break
        if code == STUCK:
            break
        copy(y, solve.previous[0])
        for j in range(stages):
            copy(solve.stages[j], solve.previous[j + 1])
        copy(solve.stages[stages - 1], y)
        t = times[stages - 1]
        last = dx
        growing = 4.0 if done < 8 else (1.5 if done < 12 else 0.8)
        dx *= min(factor, growing)
        slopes(system, t, y, work, first)
        value = loss(system, work)
        trace.counts[0] += 1
        trace.counts[1] += 1
        trace.t[taken] = t
        copy(y, trace.y[taken])
        trace.loss[taken], trace.gradient[taken] = measured(system, t, work, value)
        taken += 1
        if final:
            code = REACHED
        else:
            code = look(system, work, near, value)
            if code == RUNNING and taken == len(trace.t):
                code = FULL
    trace.control[0], trace.control[1], trace.control[2] = t, dx, last
    trace.counts[4] = taken
    return code
