"""A neuron that reaches zero norm in finite time.

Near w_i = ρ u, ρ → 0, the others stand still and only the direction moves:

    ρ̇ = −γ(u) − m_i mean ρ,    u̇ = −∇γ(u)/ρ,    γ(u) = E σ(u·x) (f − f*) over the other neurons.

γ falls along the way, so the neuron arrives at zero if and only if the local minimum of γ that its
direction descends to is positive.  The norm alone decides nothing: neurons turn back from 1e-6.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from flowkit.flows.coordinates import System, Work, directions, workspace
from flowkit.flows.kernel import polar, pull_few
from flowkit.problems import pairs

Array = np.ndarray

NEAR = 1e-9  # of ‖v‖: below this norm the others move less than rounding until the end
TINY = 1e-300
EPS = 2.0**-52
# A neuron behind that fades without reaching zero is given up when it is this small against √L.
FORGOTTEN = 1e-18
RANGE = 1e-145  # of ‖v‖: below it squares leave the range of doubles
DRIVEN = 1e-3  # of its norm: pulls below it do not decide what becomes of a fading neuron
LOST = 30.0  # times the rounding of the pulls on it
STARTS = 64  # directions of students that a search for the smallest γ looks at
MOST = 3000  # evaluations of the pull in the search for the end of a fall
SOON = 1e-4  # of the time in which r decays
TOGETHER = 1.001  # of the time left: neurons that were released as equals die as equals


class Others:
    """The pull of a system on a neuron at zero."""

    def __init__(self, system: System, r: Array, w: Array) -> None:
        self.system, self.r = system, r
        work = workspace(system)
        work.w[:] = w
        directions(system, work)
        self.units = work.units
        self.offsets, self.weights = work.offsets, work.weights
        self.behind = (system.sizes * (system.facing < 0)) @ w

    def slope(self, u: Array) -> Array:
        """∇Φ(u) (M, D) for unit rows u, Φ(w) = ‖w‖ γ(w/‖w‖).

        A direction that looks away from v̄ is taken from its mirror image, Φ(w) − Φ(−w) being
        linear: there the pulls nearly cancel.
        """
        system = self.system
        side, units, offsets = _lines(u)
        count, dim = u.shape
        g, stiffness = np.empty((count, dim)), np.empty(count)
        everything = np.vstack([offsets, self.offsets])
        weights = np.concatenate([np.zeros(count), self.weights])
        pull_few(np.vstack([units, self.units]), everything, weights, g, stiffness)
        odd = system.mean - 0.5 * system.kink_weight
        near = system.mean * self.r + odd * self.behind
        far = odd * self.r + system.mean * self.behind
        linear = np.where(side[:, None] > 0, near, far)
        return np.asarray(linear + side[:, None] * system.kink_weight * g)

    def rounding(self, u: Array) -> Array:
        """Rounding (M,) of the pull in directions u (M, D), of any length."""
        _, _, offsets = _lines(u)
        mass = np.abs(self.weights)
        wide = np.einsum("ij,ij->i", offsets, offsets)
        spread = mass @ np.einsum("ij,ij->i", self.offsets, self.offsets)
        return np.asarray(EPS * (mass.sum() * wide + spread))


def _lines(u: Array) -> tuple[Array, Array, Array]:
    """±1 for directions u (M, D) that face v̄ or not, their facing ends, the offsets of those."""
    side = np.where(u[:, 0] < 0, -1.0, 1.0)
    count, dim = u.shape
    norms, units, offsets = np.empty(count), np.empty((count, dim)), np.empty((count, dim))
    polar(np.ascontiguousarray(u), side, norms, units, offsets)
    return side, units, offsets


def without(
    system: System, r: Array, w: Array, out: int | list[int]
) -> tuple[System, Array, Array]:
    """The same system with student groups taken out; r is that of the others."""
    i = np.atleast_1d(out)
    rest = system._replace(
        sizes=np.delete(system.sizes, i),
        facing=np.delete(system.facing, i),
        centred=np.delete(system.centred, i),
        held=np.delete(system.held, i),
        pivot=-1,
    )
    part = (system.sizes[i] * (system.facing[i] > 0)) @ w[i]
    return rest, r - part, np.delete(w, i, axis=0)


def time_to_zero(system: System, r: Array, w: Array, w_dot: Array, i: int) -> float | None:
    """Time until group i is zero if it is on its way there, else None (it turns back)."""
    from scipy.integrate import solve_ivp

    rest = Others(*without(system, r, w, i))
    (norm,), (unit,) = pairs.polar(w[i : i + 1])
    calls = 0

    def pulls(state: Array) -> tuple[float, Array]:
        """γ and ∇γ along the sphere."""
        u = state[:-2] / np.linalg.norm(state[:-2])
        pull = rest.slope(u[None, :])[0]
        gamma = float(u @ pull)
        return gamma, pull - gamma * u

    def local(_: float, state: Array) -> Array:
        """d(u, ln ρ, elapsed/ρ₀)/dσ with dσ = dt/ρ."""
        nonlocal calls
        calls += 1
        if calls > MOST:
            raise ValueError("the pull is rounding")
        gamma, tangent = pulls(state)
        return np.concatenate([-tangent, [-gamma, np.exp(state[-2])]])

    def turns_back(_: float, state: Array) -> float:
        return pulls(state)[0]

    def settled(_: float, state: Array) -> float:
        """Positive until the direction has come to rest against the speed of the fall."""
        gamma, tangent = pulls(state)
        return float(np.linalg.norm(tangent) - 1e-6 * abs(gamma))

    patience = SOON / _pace(system, r, w, w_dot, i)

    def lasts(_: float, state: Array) -> float:
        """Positive once the others have had time to move: it is too early to tell."""
        return float(norm * state[-1] - patience)

    for event in (turns_back, settled, lasts):
        event.terminal = True  # type: ignore[attr-defined]
    state: Array = np.append(unit, [0.0, 0.0])
    if turns_back(0.0, state) <= 0:
        return None
    if settled(0.0, state) > 0:
        horizon = 1e12 / np.linalg.norm(system.teachers)
        events = [turns_back, settled, lasts]
        try:
            result = solve_ivp(
                local, (0, horizon), state, method="LSODA", rtol=1e-9, atol=1e-12, events=events
            )
        except ValueError:  # γ is rounding: no end, or an event that cannot be bracketed
            return None
        state = result.y[:, -1]
        if not len(result.t_events[1]):
            return None
    # From here on the fall is straight, at the speed γ.
    gamma = pulls(state)[0]
    if not gamma > TINY:
        return None
    fade = system.sizes[i] * system.mean
    elapsed = norm * state[-1] + np.log1p(fade * norm * np.exp(state[-2]) / gamma) / fade
    return float(elapsed) if elapsed < patience else None


def _pace(system: System, r: Array, w: Array, w_dot: Array, i: int) -> float:
    """Relative rate, at least TINY, at which the residual and the angles of the others change."""
    fastest = float(system.sizes.sum() * system.mean)
    if len(system.teachers) > 1:
        return fastest
    _, rest, others = without(system, r, w, i)
    speeds = np.delete(w_dot, i, axis=0)
    drift = (np.delete(system.sizes * (system.facing > 0), i)) @ speeds
    rates = [
        np.abs(speed).max(initial=0.0) / size
        for speed, size in ((drift, np.abs(rest).max()), (speeds[:, 1:], _widest(others)))
        if size > 0
    ]
    return min(fastest, max(rates, default=fastest) + TINY)


def _widest(w: Array) -> float:
    return float(np.abs(w[:, 1:]).max(initial=0.0))


def dying(system: System, r: Array, w: Array, w_dot: Array) -> tuple[list[int], float] | None:
    """The student groups that are about to be zero first, together, and in what time."""
    near = NEAR * np.linalg.norm(system.teachers)
    fates = []
    for i in np.flatnonzero(np.abs(w).max(axis=1) <= near):
        remaining = time_to_zero(system, r, w, w_dot, int(i))
        if remaining is not None:
            fates.append((remaining, int(i)))
    if not fates:
        return None
    first = min(fates)[0]
    return [i for remaining, i in fates if remaining <= TOGETHER * first], first


def fading(
    system: System, r: Array, w: Array, w_dot: Array, loss: float
) -> tuple[int, bool] | None:
    """A student group too small to matter that never reaches zero; and whether it was lost.

    Opposite to v̄ and once all the others face v̄, ẇ = −mean w: it decays like an exponential, until
    it does not count against √L.  It is lost before that if the pulls on it cancel to rounding.
    """
    size = np.abs(w).max(axis=1)
    small = (system.facing < 0) & (size < FORGOTTEN * np.sqrt(max(loss, 0.0)))
    rounding = LOST * _rounding(system, r, w)
    lost = size < np.maximum(rounding, RANGE * np.linalg.norm(system.teachers))
    # One that is driven by more than its own decay and rounding is only beginning.
    lost &= np.abs(w_dot).max(axis=1) <= size + rounding
    found = np.flatnonzero(small | lost)
    return (int(found[0]), not small[found[0]]) if found.size else None


def held(system: System, work: Work) -> Array:
    """1 for the students behind that only fade by now, (n,): their direction no longer matters.

    Within the angle of the others it changes the loss by its norm, relatively, below rounding.  And
    it is stiff: it turns at the rate of the angle over the norm, by pulls that cancel.
    """
    tilt = np.linalg.norm(work.offsets, axis=1)
    count = len(system.sizes)
    norms, facing = work.norms[:count], system.facing > 0
    widest = tilt[:count][facing].max(initial=0.0)
    slight = (norms < EPS * work.norms[count]) & (tilt[:count] <= max(widest, EPS))
    driven = system.kink_weight * np.abs(work.g[:, 0]) > DRIVEN * norms
    return (~facing & slight & ~driven).astype(float)


def _rounding(system: System, r: Array, w: Array) -> Array:
    """Rounding of the pull on each student."""
    return Others(system, r, w).rounding(w / np.abs(w).max(axis=1)[:, None])


def drop(
    system: System, r: Array, w: Array, w_dot: Array, out: list[int], remaining: float
) -> tuple[System, Array, Array]:
    """State of the others when these groups have arrived at zero, `remaining` later."""
    rest, r_rest, w_rest = without(system, r, w, out)
    moved = np.delete(w_dot, out, axis=0) * remaining
    facing = rest.sizes * (rest.facing > 0)
    return rest, r_rest + facing @ moved, w_rest + moved


def release(
    system: System, r: Array, w: Array, sizes: Array, gamma: float, u: Array
) -> tuple[System, Array, Array]:
    """The system with groups of these sizes back, just off zero in direction u, γ(u) < 0."""
    norm = min(1e-12 * float(np.linalg.norm(system.teachers)), -1e-4 * gamma)
    new = np.tile(norm * u, (len(sizes), 1))
    side = 1.0 if u[0] > 0 or len(system.teachers) > 1 else -1.0
    back = system._replace(
        sizes=np.concatenate([system.sizes, sizes]),
        facing=np.concatenate([system.facing, np.full(len(sizes), side)]),
        centred=np.concatenate([system.centred, np.zeros(len(sizes))]),
        held=np.concatenate([system.held, np.zeros(len(sizes))]),
        pivot=-1,
    )
    return back, r + (sizes @ new if side > 0 else 0.0), np.vstack([w, new])


def weakest(system: System, r: Array, w: Array) -> tuple[float, Array]:
    """Smallest γ over directions (raised by its rounding), and where.

    A neuron at zero leaves it once this is negative.

    On either side of v̄ the search starts from the best of v̄, the students (64 of many) and −r, in
    tangent coordinates scaled by the largest angle: near the minimum of the loss γ is small, and
    may change sign, only within that angle of ±v̄.
    """
    from scipy.optimize import minimize

    others = Others(system, r, w)
    units = others.units[: len(w)] * system.facing[:, None]
    spread = max(np.linalg.norm(units[:, 1:], axis=1).max(initial=0.0), TINY) if len(w) else 1.0
    some = units[:: max(1, len(units) // STARTS)]
    tilted = np.vstack([some, -r / max(np.linalg.norm(r), TINY)])
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
        values = np.einsum("ij,ij->i", others.slope(u), u)
        scale = max(np.abs(values).max(), TINY)

        def gamma(x: Array, scale: float = scale, directed: Any = directed) -> tuple[float, Array]:
            u = directed(x[None, :])
            pull = others.slope(u)[0]
            value = float(pull @ u[0])
            tangent = (pull - value * u[0])[1:] * abs(u[0, 0])
            return value / scale, spread * tangent / scale

        lowest = int(np.argmin(values))
        value, at = float(values[lowest]), u[lowest]
        if w.shape[1] > 1:
            found = minimize(gamma, starts[lowest], jac=True, options={"maxiter": 50})
            value, at = float(found.fun * scale), directed(found.x[None, :])[0]
        value += 30 * others.rounding(at[None, :])[0]
        if value < best[0]:
            best = (value, at)
    return best
