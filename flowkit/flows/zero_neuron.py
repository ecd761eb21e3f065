"""A neuron that reaches zero norm in finite time.

Near w_i = ρ u, ρ → 0, the others stand still and only the direction moves:

    ρ̇ = −γ(u) − m_i mean ρ,    u̇ = −∇γ(u)/ρ,    γ(u) = E σ(u·x) (f − f*) over the other neurons.

γ falls along the way, so the neuron arrives at zero if and only if the local minimum of γ that its
direction descends to is positive.  The norm alone decides nothing: neurons turn back from 1e-6.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from flowkit.flows.field import Field, directions

Array = np.ndarray

NEAR = 1e-9  # of ‖v‖: below this norm the others move less than rounding until the end


def slope(field: Field, r: Array, w: Array, u: Array) -> Array:
    """∇Φ(u) for unit rows u, Φ(w) = ‖w‖ γ(w/‖w‖): the pull of the students w and the teachers."""
    everything = directions(np.concatenate([w, field.teachers]))
    return field.mean * r + field.kink_weight * field.pull(directions(u), everything, field.signs)


def without(field: Field, r: Array, w: Array, i: int) -> tuple[Field, Array, Array]:
    """The same system with student group i taken out; r is that of the others."""
    rest = replace(field, sizes=np.delete(field.sizes, i))
    return rest, r - field.sizes[i] * w[i], np.delete(w, i, axis=0)


def time_to_zero(field: Field, r: Array, w: Array, i: int) -> float | None:
    """Time until group i is zero if it is on its way there, else None (it turns back)."""
    from scipy.integrate import solve_ivp

    rest = without(field, r, w, i)
    start = directions(w[i : i + 1])
    rho, u = start.norms[0], start.units[0]

    def local(_: float, state: Array) -> Array:
        """d(u, ln ρ, elapsed/ρ₀)/dσ with dσ = dt/ρ."""
        direction = state[:-2] / np.linalg.norm(state[:-2])
        pull = slope(*rest, direction[None, :])[0]
        gamma = direction @ pull
        return np.concatenate([gamma * direction - pull, [-gamma, np.exp(state[-2])]])

    def turns_back(_: float, state: Array) -> float:
        direction = state[:-2] / np.linalg.norm(state[:-2])
        return float(direction @ slope(*rest, direction[None, :])[0])

    def arrived(_: float, state: Array) -> float:
        return float(state[-2] + 40.0)

    turns_back.terminal = arrived.terminal = True  # type: ignore[attr-defined]
    if turns_back(0.0, np.append(u, [0.0, 0.0])) <= 0:
        return None
    horizon = 1e6 / np.linalg.norm(field.target)
    state = np.append(u, [0.0, 0.0])
    events = [turns_back, arrived]
    result = solve_ivp(
        local, (0, horizon), state, method="LSODA", rtol=1e-9, atol=1e-12, events=events
    )
    return float(rho * result.y[-1, -1]) if len(result.t_events[1]) else None


def dying(field: Field, r: Array, w: Array) -> tuple[int, float] | None:
    """The first student group that is about to be zero, and in what time."""
    norms = np.linalg.norm(w, axis=1)
    fates = []
    for i in np.flatnonzero(norms <= NEAR * np.linalg.norm(field.target)):
        remaining = time_to_zero(field, r, w, int(i))
        if remaining is not None:
            fates.append((remaining, int(i)))
    return min(fates)[::-1] if fates else None


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
