"""Several teachers, each learnt by the students around it: coordinates of relative accuracy.

Student i of teacher K is w_i = c_i v̄_K + β_i, β_i ⟂ v_K; r_K = Σ_i w_i − v_K, ρ_K its part along
v̄_K.  A neuron a of another cluster feels of this one, with h(a, b) = (‖b‖ sin θ ā − θ b)/2π,

    Σ_i h(a, w_i) − h(a, v_K) = ρ_K h(a, v̄_K) + J r_K⊥ + Σ_i [h(a, w_i) − h(a, c_i v̄_K) − J β_i],

J = ∂h/∂b at v̄_K: every term is of second order in the angles, and none is a difference of larger
ones.  Within a cluster the angles are small already.

POWER        y = (S² r_K, c_i, S β_i of all students but the longest of each cluster), S = 1 + t/τ.
EXPONENTIAL  one student a teacher: y = e^{λ(t − start)} r_K, λ the slowest rate of the minimum;
             it comes to rest.

The loss is the line integral of its gradient from the minimum below, where c_i/Σc_i is the same.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from math import exp, expm1, log, log1p, pi, sqrt
from typing import NamedTuple

import numpy as np

from flowkit.flows.coordinates import (
    FARTHEST,
    System,
    directions,
    initial_system,
    workspace,
)
from flowkit.flows.field import RUNNING, TURNED
from flowkit.flows.jacobian import curvature
from flowkit.problems.pairs import pair_functions

Array = np.ndarray

TINY = 1e-300
# ‖r_K‖/‖v_K‖, and angles to the own teacher over the room that it has, up to which students are
# clusters, and stay clusters.
CLOSE, APART = 0.3, 0.5
# Sine of the angle between two teachers below which they cannot be told apart so.
DISTINCT = 0.01
# Norm of a student against its teacher's, below which it is no part of a cluster.
SMALL = 1e-3
# EXPONENTIAL: longest step in 1/λ, and λ (t − start) by which the loss has left the doubles.
FOLDS, VANISHED = 5.0, 350.0
# λ (t − start) from which on y, only rounding of its slowest mode left to move it, stands still.
SETTLED = 1e4
# S² from which on the Jacobian is taken from differences of slopes, and up to what length of y.
LATE, FEW, STEP = 1e12, 300, 1e-6
NODES, WEIGHTS = np.polynomial.legendre.leggauss(10)


@dataclass(frozen=True)
class ClusterSystem:
    """Clusters and their coordinates.

    Attributes
    ----------
    teachers : (k, D)
    sizes : (n,)
        How many equal students each row stands for.
    owner : (n,) of int
        The teacher of each student.
    mean, kink_weight : float
        Weights of the activation.
    rate, start : float
        λ and where EXPONENTIAL began; λ = 0 is POWER.
    """

    teachers: Array
    sizes: Array
    owner: Array
    mean: float
    kink_weight: float
    rate: float
    start: float

    @property
    def tau(self) -> float:
        """Time scale."""
        return 1 / (float(self.sizes.sum()) * self.mean)

    @cached_property
    def lengths(self) -> Array:
        """‖v_K‖."""
        return np.linalg.norm(self.teachers, axis=1)

    @cached_property
    def units(self) -> Array:
        """v̄_K."""
        return self.teachers / self.lengths[:, None]

    @cached_property
    def room(self) -> float:
        """Smallest sine between the lines of two teachers."""
        cosines = self.units @ self.units.T
        np.fill_diagonal(cosines, 0.0)
        return sqrt(max(1 - float(np.abs(cosines).max()) ** 2, 0.0))

    @cached_property
    def member(self) -> Array:
        """(k, n): m_i where student i is of teacher K, else 0."""
        return (self.owner == np.arange(len(self.teachers))[:, None]) * self.sizes

    @cached_property
    def bases(self) -> Array:
        """(k, D − 1, D): orthonormal rows orthogonal to each v̄_K."""
        return np.array([np.linalg.qr(v[:, None], mode="complete")[0][:, 1:].T for v in self.units])

    @cached_property
    def pivots(self) -> Array:
        """The student of each teacher that r_K stands for: the one that is most of it."""
        return np.array([int(np.argmax(row)) for row in self.member])

    @cached_property
    def others(self) -> Array:
        """Students whose c and β are kept."""
        return np.setdiff1d(np.arange(len(self.owner)), self.pivots)

    @cached_property
    def matrix(self) -> Array:
        """(n D, n D): (r, c, β) of a change of the students."""
        others = self.others
        k, dim = self.teachers.shape
        n = len(self.owner)
        sums = np.einsum("kn,pq->kpnq", self.member, np.eye(dim)).reshape(k * dim, n * dim)
        along, across = np.zeros((len(others), n, dim)), np.zeros((len(others), dim - 1, n, dim))
        for row, i in enumerate(others):
            along[row, i] = self.units[self.owner[i]]
            across[row, :, i] = self.bases[self.owner[i]]
        return np.vstack([sums, along.reshape(-1, n * dim), across.reshape(-1, n * dim)])

    @cached_property
    def powers(self) -> Array:
        """Of S, by which the entries of (r, c, β) are scaled."""
        k, dim = self.teachers.shape
        count = len(self.others)
        return np.concatenate([np.full(k * dim, 2.0), np.zeros(count), np.ones(count * (dim - 1))])


class State(NamedTuple):
    """r (k, D), c (n,), β (n, D)."""

    r: Array
    c: Array
    beta: Array


def state_of(system: ClusterSystem, w: Array) -> State:
    """From students; only as exact as they are."""
    r = system.member @ w - system.teachers
    axis = system.units[system.owner]
    c = np.einsum("ij,ij->i", w, axis)
    return State(r, c, w - c[:, None] * axis)


class Shape(NamedTuple):
    """Directions ā (n, D), how they lie to their own axis, and to all teachers.

    `offset` is ā less the axis, `fall` c/‖w‖ − 1.  To teachers (n, k): p the cosine, `side` v̄ less
    p ā, s its length (1 for the own teacher, which is not `apart`).
    """

    a: Array
    norms: Array
    offset: Array
    fall: Array
    apart: Array
    p: Array
    s: Array
    theta: Array
    side: Array


def shape(system: ClusterSystem, state: State) -> Shape:
    """How students lie."""
    _, c, beta = state
    axis = system.units[system.owner]
    norms = np.hypot(c, np.linalg.norm(beta, axis=1))
    fall = -np.einsum("ij,ij->i", beta, beta) / (norms * (norms + c))
    offset = beta / norms[:, None] + fall[:, None] * axis
    a = axis + offset
    p = a @ system.units.T
    side = system.units[None] - p[:, :, None] * a[:, None]
    s = np.linalg.norm(side, axis=2)
    apart = system.owner[:, None] != np.arange(len(system.units))
    return Shape(a, norms, offset, fall, apart, p, np.where(apart, s, 1.0), np.arctan2(s, p), side)


def pull(system: ClusterSystem, state: State) -> Array:
    """g (n, D): the gradient of student i is mean Σ_K r_K + kink_weight g_i."""
    at = shape(system, state)
    far = _teachers(system, state, at) + _students(system, state, at)
    return np.asarray(_own(system, at) + far / (2 * pi))


def _own(system: ClusterSystem, at: Shape) -> Array:
    """Of the own cluster, its teacher last."""
    own, offset = system.owner, at.offset
    gap = np.concatenate([offset[:, None] - offset[None], offset[:, None]], axis=1)
    half = 0.5 * np.linalg.norm(gap, axis=2)
    u, q = pair_functions("numpy").gradient(2 * np.arcsin(np.minimum(half, 1.0)))
    weight = np.where(own[:, None] == own[None], system.sizes * at.norms, 0.0)
    weight = np.column_stack([weight, -system.lengths[own]])
    g = np.einsum("ij,ij->i", weight, u)[:, None] * at.a
    return np.asarray(g + np.einsum("ij,ijp->ip", weight * q, gap))


def _teachers(system: ClusterSystem, state: State, at: Shape) -> Array:
    """2π times ρ_K h(a, v̄_K) + J r_K⊥ of the other clusters."""
    v = system.units
    rho = np.einsum("kp,kp->k", state.r, v)
    across = state.r - rho[:, None] * v
    dp, ds = at.a @ across.T, np.einsum("ikp,kp->ik", at.side, across) / at.s
    along = np.where(at.apart, rho * at.s + ds, 0.0).sum(axis=1)
    back = np.where(at.apart, rho * at.theta + at.p * ds - at.s * dp, 0.0) @ v
    return np.asarray(along[:, None] * at.a - np.where(at.apart, at.theta, 0.0) @ across - back)


def _students(system: ClusterSystem, state: State, at: Shape) -> Array:
    """2π times the second order of each student of the other clusters."""
    own, c, beta = system.owner, state.c, state.beta
    s, p, apart, side = at.s[:, own], at.p[:, own], at.apart[:, own], at.side[:, own]
    dp = at.a @ beta.T
    inner = np.einsum("ijp,jp->ij", side, beta)
    ds, square = inner / s, np.einsum("jp,jp->j", beta, beta) - dp**2
    # s′ − s of the student against c v̄, less its first order; then θ′ − θ likewise.
    whole = np.sqrt(np.maximum((c * s) ** 2 + 2 * c * inner + square, 0.0)) + c * s
    longer = (2 * c * inner + square) / whole
    e_s = (s * square - longer * inner) / (s * whole)
    bend = (p * ds - s * dp) / c
    turn = np.arcsin(np.clip((c * bend + e_s * p) / at.norms, -1.0, 1.0))
    defect = 2 * pi * pair_functions("numpy").gradient(turn)[0]  # sin − identity
    e_theta = bend * at.fall + e_s * p / at.norms - defect
    weight = np.where(apart, system.sizes, 0.0)
    along = np.einsum("ij,ij->i", weight, e_s)[:, None] * at.a
    return np.asarray(along - (weight * turn) @ beta - (weight * e_theta * c) @ system.units[own])


def clusters(pairs: System, w: Array, t: float) -> ClusterSystem | None:
    """The clusters that students w (n, D) form around several teachers; None if they do not."""
    if len(pairs.teachers) == 1 or not len(w):
        return None
    owner = np.zeros(len(w), dtype=int)
    weights = (pairs.mean, pairs.kink_weight)
    system = ClusterSystem(pairs.teachers, pairs.sizes, owner, *weights, 0.0, t)
    if system.room < DISTINCT or not w.any(axis=1).all():
        return None
    owner = np.argmax(w @ system.units.T, axis=1)
    system = replace(system, owner=owner)
    r, c, beta = state_of(system, w)
    fits = (np.linalg.norm(r, axis=1) <= CLOSE * system.lengths).all()
    fits &= (np.linalg.norm(beta, axis=1) <= CLOSE * system.room * c).all()
    fits &= (c > SMALL * system.lengths[owner]).all()
    if not fits or len(np.unique(owner)) < len(system.teachers):
        return None
    return system


def settled(system: ClusterSystem, w: Array) -> ClusterField:
    """The field of these clusters; EXPONENTIAL if every teacher has one student."""
    if len(system.owner) > len(system.teachers):
        return ClusterField(system)
    best = (system.lengths[system.owner] / system.sizes)[:, None] * system.units[system.owner]
    field = ClusterField(replace(system, rate=TINY))
    rates = np.linalg.eigvals(field.curvature(best)).real
    return ClusterField(replace(system, rate=max(float(rates.min()), TINY)))


class ClusterField:
    """`flowkit.flows.field.Field` of a `ClusterSystem`."""

    def __init__(self, system: ClusterSystem) -> None:
        self.system = system
        self.turned, self.seen = False, False

    accurate = True

    def fresh(self) -> ClusterField:
        return ClusterField(self.system)

    @property
    def tau(self) -> float:
        return self.system.tau

    def scales(self, t: float) -> Array:
        """y over (r, c, β), no further than it matters."""
        system = self.system
        if system.rate:
            stretch = min(exp(min(system.rate * (t - system.start), 600.0)), FARTHEST)
            return np.full(len(self.system.powers), stretch)
        return np.asarray(min(1 + t / self.tau, FARTHEST) ** self.system.powers)

    def beyond(self, t: float) -> float:
        """ln of how much larger the picture is in which the velocity is evaluated."""
        system = self.system
        if system.rate:
            return max(system.rate * (t - system.start) - log(FARTHEST), 0.0)
        return max(log1p(t / self.tau) - log(FARTHEST), 0.0)

    def encode(self, t: float, state: State) -> Array:
        """y of a state."""
        others, owner = self.system.others, self.system.owner
        across = [self.system.bases[owner[i]] @ state.beta[i] for i in others]
        parts = [state.r.ravel(), state.c[others], np.ravel(across)]
        return self.scales(t) * np.concatenate(parts)

    def state(self, t: float, y: Array) -> State:
        """(r, c, β) of y, in the magnified picture if t is beyond reach."""
        system, others = self.system, self.system.others
        z = y / self.scales(t)
        (k, dim), n = system.teachers.shape, len(system.owner)
        r = z[: k * dim].reshape(k, dim)
        c, beta = np.zeros(n), np.zeros((n, dim))
        c[others] = z[k * dim : k * dim + len(others)]
        rest = z[k * dim + len(others) :].reshape(len(others), dim - 1)
        for row, i in enumerate(others):
            beta[i] = rest[row] @ system.bases[system.owner[i]]
        rho = np.einsum("kp,kp->k", r, system.units)
        pivots = self.system.pivots
        missing = system.lengths + rho - system.member @ c
        c[pivots] = missing / system.sizes[pivots]
        missing = r - rho[:, None] * system.units - system.member @ beta
        beta[pivots] = missing / system.sizes[pivots, None]
        return State(r, c, beta)

    def rounding(self, t: float, y: Array) -> float:
        return 0.0

    def students(self, t: float, y: Array) -> Array:
        _, c, beta = self.state(t, y)
        return np.asarray(c[:, None] * self.system.units[self.system.owner] + beta)

    def residual(self, t: float, y: Array) -> Array:
        """r = Σ_K r_K (D,)."""
        return np.asarray(self.state(t, y).r.sum(axis=0))

    def velocity(self, state: State) -> Array:
        """ẇ (n, D)."""
        system = self.system
        move = system.mean * state.r.sum(axis=0) + system.kink_weight * pull(system, state)
        return np.asarray(-move)

    def _settled(self, t: float) -> bool:
        return self.system.rate * (t - self.system.start) > SETTLED

    def slopes(self, t: float, y: Array) -> Array:
        if self._settled(t):
            return np.zeros(len(y))
        move = self.system.matrix @ self.velocity(self.state(t, y)).ravel()
        return np.asarray(self._near_pace(t) * self.scales(t) * move + self._growth() * y)

    def _near_pace(self, t: float) -> float:
        """dt/dx in the picture in which the velocity is evaluated."""
        return self.tau if self.system.rate else min(self.tau + t, self.tau * FARTHEST)

    def _growth(self) -> Array:
        """d ln(scales)/dx."""
        rate = self.system.rate
        return np.full(len(self.system.powers), rate * self.tau) if rate else self.system.powers

    def curvature(self, w: Array) -> Array:
        """−∂ẇ/∂w at students w, as a map of (r, c, β)."""
        system = self.system
        n, dim = w.shape
        weights = (system.mean, system.kink_weight)
        pairs = initial_system(system.teachers, system.sizes, weights)
        work, blocks = workspace(pairs), np.empty((n, dim, n, dim))
        work.w[:] = w
        directions(pairs, work)
        curvature(pairs, work, blocks)
        blocks *= system.kink_weight
        mean = system.mean * np.multiply.outer(np.ones(n), system.sizes)
        blocks += np.einsum("ij,pq->ipjq", mean, np.eye(dim))
        flat = blocks.reshape(n * dim, n * dim)
        return np.asarray(self.system.matrix @ np.linalg.solve(self.system.matrix.T, flat.T).T)

    def jacobian(self, t: float, y: Array) -> Array:
        scales = self.scales(t)
        if self._settled(t):
            return np.zeros((len(y), len(y)))
        if not self.system.rate and scales.max() > LATE and len(y) <= FEW:
            return self._differences(t, y)
        inner = -self.curvature(self.students(t, y))
        out = self._near_pace(t) * scales[:, None] * inner / scales[None, :]
        return np.asarray(out + np.diag(self._growth()))

    def _differences(self, t: float, y: Array) -> Array:
        """The Jacobian from slopes, which keep their relative accuracy where curvatures cancel."""
        sizes, before = self.fresh().scale(t, y, 1.0), self.slopes(t, y)
        out = np.empty((len(y), len(y)))
        for j, size in enumerate(STEP * sizes):
            moved = y.copy()
            moved[j] += size
            out[:, j] = (self.slopes(t, moved) - before) / (moved[j] - y[j])
        return out

    def scale(self, t: float, y: Array, tolerance: float) -> Array:
        """r: 2 √L; c: norms; β: norms times the largest angle.  EXPONENTIAL: the whole."""
        system, state = self.system, self.state(t, y)
        norms = np.hypot(state.c, np.linalg.norm(state.beta, axis=1))
        angles = np.linalg.norm(state.beta, axis=1) / norms
        apart = np.linalg.norm(state.r, axis=1) > APART * system.lengths
        small = state.c < 0.5 * SMALL * system.lengths[system.owner]
        self.turned = bool(apart.any() or small.any() or (angles > APART * system.room).any())
        if system.rate:
            self.seen = system.rate * (t - system.start) < VANISHED
            return np.full(len(y), max(float(np.linalg.norm(y)), TINY))
        others, (k, dim) = self.system.others, system.teachers.shape
        widest = max(float(angles.max()), TINY)
        sizes = np.concatenate(
            [
                np.full(k * dim, 2 * sqrt(max(self._loss(state), 0.0))),
                norms[others],
                np.repeat(norms[others] * widest, dim - 1),
            ]
        )
        return np.maximum(self.scales(t) * sizes, TINY)

    def _loss(self, state: State) -> float:
        """∫ ⟨∇L, δ⟩ along the line from the minimum."""
        system = self.system
        r, c, beta = state
        axis, own = system.units[system.owner], system.owner
        rho = np.einsum("kp,kp->k", r, system.units)
        excess = (rho / (system.lengths + rho))[own] * c
        change = excess[:, None] * axis + beta
        total = 0.0
        for node, weight in zip(NODES, WEIGHTS, strict=True):
            s = 0.5 * (1 + node)
            at = State(s * r, c - (1 - s) * excess, s * beta)
            gradient = -self.velocity(at)
            total += 0.5 * weight * float(system.sizes @ np.einsum("ij,ij->i", gradient, change))
        return total

    def measured(self, t: float, y: Array) -> tuple[float, float]:
        state, beyond = self.state(t, y), self.beyond(t)
        move = self.velocity(state)
        largest = max(float(np.abs(move).max()), TINY)
        square = np.einsum("ij,ij->i", move / largest, move / largest)
        norm = largest * sqrt(float(self.system.sizes @ square))
        if self.system.rate:  # L ~ δ²
            return self._loss(state) * exp(-2 * beyond), norm * exp(-beyond)
        return self._loss(state) * exp(-3 * beyond), norm * exp(-2 * beyond)

    def log_loss(self, t: float, y: Array) -> float:
        value = self._loss(self.state(t, y))
        power = 2 if self.system.rate else 3
        return log(value) - power * self.beyond(t) if value > 0 else -np.inf

    def limit(self) -> float:
        """While there is a loss to see, a fit or a plot wants its points."""
        return FOLDS / self.system.rate if self.seen else np.inf

    def look(self, t: float, near: float) -> int:
        return TURNED if self.turned else RUNNING

    def pace(self, t: float) -> float:
        return self.tau if self.system.rate else self.tau + t

    def distance(self, t: float, t_end: float) -> float:
        if self.system.rate:
            return (t_end - t) / self.tau
        return log1p((t_end - t) / (self.tau + t))

    def later(self, t: float, dx: float) -> float:
        return t + (self.tau * dx if self.system.rate else (self.tau + t) * expm1(dx))
