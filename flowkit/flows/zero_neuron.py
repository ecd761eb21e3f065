"""A neuron that reaches zero norm in finite time.

Near w_i = ρ u, ρ → 0, the others stand still and only the direction moves:

    ρ̇ = −γ(u) − m_i mean ρ,    u̇ = −∇γ(u)/ρ,    γ(u) = E σ(u·x) (f − f*) over the other neurons.

γ falls along the way, so the neuron arrives at zero if and only if the local minimum of γ that its
direction descends to is positive.  The norm alone decides nothing: neurons turn back from 1e-6.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from flowkit.flows.field import Field, directions
from flowkit.problems.pairs import polar

Array = np.ndarray

NEAR = 1e-9  # of ‖v‖: below this norm the others move less than rounding until the end
TINY = 1e-300
ROUNDING = 1e-13


def slope(field: Field, r: Array, w: Array, u: Array) -> Array:
    """∇Φ(u) for unit rows u, Φ(w) = ‖w‖ γ(w/‖w‖): the pull of the students w and the teachers.

    Behind v̄, where the pulls nearly cancel, it is taken from the mirrored direction: with
    σ(z) = ½(1 + α) z + ½(1 − α)|z|, only the first part is odd, so Φ(w) − Φ(−w) = ½(1 + α)² r·w.
    """
    everything = directions(np.concatenate([w, field.teachers]))
    side = np.where(u[:, :1] < 0, -1.0, 1.0)
    pull = field.pull(directions(side * u), everything)
    odd = 2 * field.mean - 0.5 * field.kink_weight
    front = field.mean * r + field.kink_weight * pull
    return np.asarray(side * front + np.where(side < 0, odd, 0.0) * r)


def without(field: Field, r: Array, w: Array, i: int) -> tuple[Field, Array, Array]:
    """The same system with student group i taken out; r is that of the others."""
    rest = replace(field, sizes=np.delete(field.sizes, i))
    return rest, r - field.sizes[i] * w[i], np.delete(w, i, axis=0)


def time_to_zero(field: Field, r: Array, w: Array, i: int) -> float | None:
    """Time until group i is zero if it is on its way there, else None (it turns back)."""
    from scipy.integrate import solve_ivp

    rest = without(field, r, w, i)
    start = directions(w[i : i + 1])

    def pulls(state: Array) -> tuple[float, Array]:
        """γ and ∇γ along the sphere."""
        u = state[:-2] / np.linalg.norm(state[:-2])
        pull = slope(*rest, u[None, :])[0]
        gamma = float(u @ pull)
        return gamma, pull - gamma * u

    def local(_: float, state: Array) -> Array:
        """d(u, ln ρ, elapsed/ρ₀)/dσ with dσ = dt/ρ."""
        gamma, tangent = pulls(state)
        return np.concatenate([-tangent, [-gamma, np.exp(state[-2])]])

    def turns_back(_: float, state: Array) -> float:
        return pulls(state)[0]

    def settled(_: float, state: Array) -> float:
        """Positive until the direction has come to rest against the speed of the fall."""
        gamma, tangent = pulls(state)
        return float(np.linalg.norm(tangent) - 1e-6 * abs(gamma))

    turns_back.terminal = settled.terminal = True  # type: ignore[attr-defined]
    state: Array = np.append(start.units[0], [0.0, 0.0])
    if turns_back(0.0, state) <= 0:
        return None
    if settled(0.0, state) > 0:
        horizon = 1e12 / np.linalg.norm(field.target)
        events = [turns_back, settled]
        result = solve_ivp(
            local, (0, horizon), state, method="LSODA", rtol=1e-9, atol=1e-12, events=events
        )
        state = result.y[:, -1]
        if not len(result.t_events[1]):
            return None
    # From here on the fall is straight, at the speed γ.
    return float(start.norms[0] * (state[-1] + np.exp(state[-2]) / pulls(state)[0]))


def dying(field: Field, r: Array, w: Array) -> tuple[int, float] | None:
    """The first student group that is about to be zero, and in what time."""
    norms = np.linalg.norm(w, axis=1)
    fates = []
    for i in np.flatnonzero(norms <= NEAR * np.linalg.norm(field.target)):
        remaining = time_to_zero(field, r, w, int(i))
        if remaining is not None:
            fates.append((remaining, int(i)))
    return min(fates)[::-1] if fates else None


def fading(field: Field, r: Array, w: Array) -> int | None:
    """A student group that fades without reaching zero: opposite to v̄, and γ = 0 to rounding.

    Once all the others face v̄, ẇ = −mean w is the difference of two numbers of order one.
    """
    norms, units = polar(w)
    size = np.linalg.norm(field.target)
    for i in np.flatnonzero(norms <= NEAR * size):
        rest, r_rest, w_rest = without(field, r, w, int(i))
        gamma = units[i] @ slope(rest, r_rest, w_rest, units[i : i + 1])[0]
        across = np.linalg.norm(w[i, 1:])
        if max(abs(gamma), across) < ROUNDING * size:
            return int(i)
    return None


def drop(field: Field, r: Array, w: Array, i: int, remaining: float) -> tuple[Field, Array, Array]:
    """State of the others when group i has arrived at zero, `remaining` later."""
    _, w_dot = field.velocity(r, w)
    rest, r_rest, w_rest = without(field, r, w, i)
    moved = np.delete(w_dot, i, axis=0) * remaining
    return rest, r_rest + rest.sizes @ moved, w_rest + moved


def shrinking_time(w: Array, w_dot: Array) -> float:
    """Shortest ρ/|ρ̇| over the students that shrink; inf if none does."""
    square = np.einsum("ij,ij->i", w, w)
    inward = -np.einsum("ij,ij->i", w, w_dot)
    shrinks = inward > 0
    return float((square[shrinks] / inward[shrinks]).min(initial=np.inf))


def release(field: Field, r: Array, w: Array, sizes: Array, u: Array) -> tuple[Field, Array, Array]:
    """The system with groups of these sizes back, just off zero in direction u."""
    new = np.tile(NEAR * np.linalg.norm(field.target) * u, (len(sizes), 1))
    back = replace(field, sizes=np.concatenate([field.sizes, sizes]))
    return back, r + sizes @ new, np.vstack([w, new])


def weakest(field: Field, r: Array, w: Array) -> tuple[float, Array]:
    """Smallest γ over directions, and where: a neuron at zero leaves it once this is negative.

    On either side of v̄ the search starts from the best of v̄, every student and −r, in tangent
    coordinates scaled by the largest angle: near the minimum of the loss γ is small, and may change
    sign, only within that angle of ±v̄.
    """
    from scipy.optimize import minimize

    _, units = polar(w)
    spread = max(np.linalg.norm(units[:, 1:], axis=1).max(initial=0.0), TINY)
    tilted = np.vstack([units, -r / max(np.linalg.norm(r), TINY)])
    best = (np.inf, np.zeros(w.shape[1]))
    for side in (1.0, -1.0):
        facing = tilted[side * tilted[:, 0] > 0.1]
        starts = np.vstack(
            [np.zeros(w.shape[1] - 1), facing[:, 1:] / np.abs(facing[:, :1]) / spread]
        )

        def directed(x: Array, side: float = side) -> Array:
            u = np.column_stack([np.full(len(x), side), spread * x])
            return np.asarray(u / np.linalg.norm(u, axis=1)[:, None])

        u = directed(starts)
        values = np.einsum("ij,ij->i", slope(field, r, w, u), u)
        scale = max(np.abs(values).max(), TINY)

        def gamma(x: Array, scale: float = scale, directed: Any = directed) -> tuple[float, Array]:
            u = directed(x[None, :])
            pull = slope(field, r, w, u)[0]
            value = float(pull @ u[0])
            tangent = (pull - value * u[0])[1:] * abs(u[0, 0])
            return value / scale, spread * tangent / scale

        lowest = int(np.argmin(values))
        value, at = float(values[lowest]), u[lowest]
        if w.shape[1] > 1:
            found = minimize(gamma, starts[lowest], jac=True, options={"maxiter": 50})
            value, at = float(found.fun * scale), directed(found.x[None, :])[0]
        if value < best[0]:
            best = (value, at)
    return best
