"""Students with quadratic activation: coordinates in which the flow keeps its relative accuracy.

The loss and the velocity know the students X (m, D) only through M = C XᵀX − v vᵀ:

    F = ¼ ⟨M, 𝒢(M)⟩,   Ẋ = −C X G,   G = 𝒢(M),   Ṁ = −C (G P + P G),   P = M + v vᵀ,

𝒢(M) = 2 M + tr M · I for the population, the mean of (xᵀMx) x xᵀ for samples.  With X = (a, B)
along and across v̄, M consists of ρ = C‖a‖² − ‖v‖², c = C aᵀB and Q = C BᵀB.  Near the minimum ρ
and c are small differences of large numbers, so they are states beside X:

    NEAR     y = (S ρ, S c, a, S^½ R),   S = 1 + t/τ;   M ~ 1/t, R ~ t^−½: y tends to a constant.
    DIRECT   y = X, as long as ρ is of the size of ‖v‖².

R is the part of B that a is orthogonal to; the rest of B is said by c, the length of a by ρ.  With
e = a/‖a‖, P = I − e eᵀ, G₀ the first row of G across, G′ the rest:

    Ṙ = P Ḃ + Ṗ B = −C R G′ + (R G₀) cᵀ/‖a‖² + (C/‖a‖) e (RᵀR G₀)ᵀ,

in which nothing is fast: only ρ and c are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import expm1, log, log1p, sqrt
from typing import NamedTuple

import numpy as np

from flowkit.flows.coordinates import FARTHEST
from flowkit.flows.field import RUNNING, SWITCH, TURNED

Array = np.ndarray

TINY = 1e-300
# |ρ| against ‖v‖² at which NEAR begins, and ends.
CLOSE, APART = 0.5, 0.8
ROUNDING = 1e-15
# Of G: what is left of its first row is the error of a step.
SLAVED = 1e-6
# Below it M is zero: its squares have long left the range of doubles.
GONE = 1e-290
# Of ‖B‖: how small R is still followed relatively.
FINEST = 1e-4


@dataclass(frozen=True)
class MatrixSystem:
    """Coordinates of a phase-retrieval flow.

    Attributes
    ----------
    count, dim : int
        m students, after mixing, in D dimensions.
    square : float
        ‖v‖².
    scale : float
        C.
    samples : (N, D) array or None
        Inputs in the frame, for the empirical loss.
    near : bool
        NEAR or DIRECT.
    """

    count: int
    dim: int
    square: float
    scale: float
    samples: Array | None
    near: bool

    @property
    def tau(self) -> float:
        """Time scale of S."""
        return 1 / (self.scale * self.square)

    def pull(self, m: Array) -> Array:
        """𝒢(M), for M (…, D, D)."""
        if self.samples is None:
            trace = np.trace(m, axis1=-2, axis2=-1)[..., None, None]
            return np.asarray(2 * m + trace * np.eye(self.dim))
        x = self.samples
        misfit = np.einsum("...si,si->...s", x @ m, x)
        return np.asarray((x.T * misfit[..., None, :]) @ x / len(x))

    def loss(self, m: Array) -> float:
        """F."""
        if self.samples is None:
            return 0.5 * float(np.sum(m * m)) + 0.25 * float(np.trace(m)) ** 2
        misfit = np.einsum("si,si->s", self.samples @ m, self.samples)
        return 0.25 * float(misfit @ misfit) / len(misfit)


class State(NamedTuple):
    """ρ, c (D−1,), a (m,), B (m, D−1)."""

    rho: float
    c: Array
    a: Array
    b: Array

    def spanned(self) -> tuple[Array, Array]:
        """e = a/‖a‖ and R."""
        e = self.a / max(float(np.linalg.norm(self.a)), TINY)
        return e, self.b - np.outer(e, e @ self.b)


def consistent(system: MatrixSystem, raw: State) -> State:
    """The state of which `raw` holds R in place of B, and a of any length."""
    e, rest = raw.spanned()
    length = sqrt(max(system.square + raw.rho, 0.0) / system.scale)
    turned = raw.c / (system.scale * max(length, TINY))
    return State(raw.rho, raw.c, length * e, rest + np.outer(e, turned))


def difference(system: MatrixSystem, state: State) -> Array:
    """M."""
    m = np.empty((system.dim, system.dim))
    m[0, 0], m[0, 1:], m[1:, 0] = state.rho, state.c, state.c
    m[1:, 1:] = system.scale * state.b.T @ state.b
    return m


class MatrixField:
    """`flowkit.flows.field.Field` of a `MatrixSystem`."""

    def __init__(self, system: MatrixSystem) -> None:
        self.system = system
        self.rho, self.largest, self.stuck = np.inf, np.inf, False

    accurate = True

    def fresh(self) -> MatrixField:
        return MatrixField(self.system)

    @property
    def tau(self) -> float:
        return self.system.tau

    def growth(self, t: float) -> float:
        """S, no further than it matters."""
        return min(1 + t / self.tau, FARTHEST)

    def beyond(self, t: float) -> float:
        """S over its cap: how much larger the picture is in which the velocity is evaluated."""
        return max((1 + t / self.tau) / FARTHEST, 1.0) if self.system.near else 1.0

    def encode(self, t: float, state: State) -> Array:
        """y of a state."""
        s = self.growth(t)
        if not self.system.near:
            return np.column_stack([state.a, state.b]).ravel()
        rest = state.spanned()[1]
        return np.concatenate([[s * state.rho], s * state.c, state.a, sqrt(s) * rest.ravel()])

    def split(self, y: Array, s: float) -> State:
        """y taken apart, NEAR."""
        m, d = self.system.count, self.system.dim
        b = y[d + m :].reshape(m, d - 1) / sqrt(s)
        return State(float(y[0]) / s, y[1:d] / s, y[d : d + m], b)

    def state(self, t: float, y: Array) -> State:
        """State of y, in the magnified picture if t is beyond reach."""
        system = self.system
        if system.near:
            return consistent(system, self.split(y, self.growth(t)))
        x = y.reshape(system.count, system.dim)
        a, b = x[:, 0], x[:, 1:]
        return State(system.scale * float(a @ a) - system.square, system.scale * a @ b, a, b)

    def rounding(self, t: float, y: Array) -> float:
        """Of xᵀMx, which vanish without M where the samples do not determine it."""
        x = self.system.samples
        if x is None:
            return 0.0
        m = difference(self.system, self.state(t, y))
        misfit = np.abs(np.einsum("si,si->s", x @ m, x))
        noise = ROUNDING * float(np.abs(m).max()) * np.einsum("si,si->s", x, x)
        total = float(misfit @ misfit)
        return float((misfit + noise) @ noise) / total if total > 0 else float(noise.any())

    def students(self, t: float, y: Array) -> Array:
        state = self.state(t, y)
        return np.column_stack([state.a, state.b / sqrt(self.beyond(t))])

    def slopes(self, t: float, y: Array) -> Array:
        system = self.system
        state = self.state(t, y)
        g = system.pull(difference(system, state))
        c = system.scale
        if not system.near:
            x = y.reshape(system.count, system.dim)
            return self.pace(t) * (-c * x @ g).ravel()
        s = self.growth(t)
        pace = system.tau * s
        along, turn, across = g[0, 0], g[0, 1:], g[1:, 1:]
        alpha = system.square + state.rho
        q = c * state.b.T @ state.b
        rho_dot = -2 * c * (along * alpha + turn @ state.c)
        c_dot = -c * (along * state.c + q @ turn + alpha * turn + across @ state.c)
        a_dot = -c * (along * state.a + state.b @ turn)
        length = float(np.linalg.norm(state.a))
        e, rest = state.spanned()
        forced = rest @ turn
        r_dot = -c * rest @ across + np.outer(forced, state.c) / length**2
        r_dot += c / length * np.outer(e, forced @ rest)
        d, m = system.dim, system.count
        out = np.concatenate(
            [[pace * s * rho_dot], pace * s * c_dot, pace * a_dot, pace * sqrt(s) * r_dot.ravel()]
        )
        out[:d] += y[:d]
        out[d + m :] += 0.5 * sqrt(s) * rest.ravel()  # what a spans would grow, unused
        return np.asarray(out)

    def jacobian(self, t: float, y: Array) -> Array:
        """The velocity along every unit vector at once: it is a polynomial in the state."""
        if not self.system.near:
            return self.pace(t) * self._direct(y)
        system, s = self.system, self.growth(t)
        d, m, c = system.dim, system.count, system.scale
        raw, state = self.split(y, s), self.state(t, y)
        unit = np.eye(len(y))
        unit[:, :d] /= s
        unit[:, d + m :] /= sqrt(s)
        d_rho, d_c, d_a = unit[:, 0], unit[:, 1:d], unit[:, d : d + m]
        d_rest = unit[:, d + m :].reshape(-1, m, d - 1)
        # consistent()
        length = float(np.linalg.norm(state.a))
        e, rest = state.spanned()
        d_e = (d_a - np.outer(d_a @ e, e)) / float(np.linalg.norm(raw.a))
        d_length = d_rho / (2 * c * length)
        d_rest = d_rest - _outer(e, np.einsum("i,nip->np", e, d_rest) + d_e @ raw.b)
        d_rest -= _outer(d_e, e @ raw.b)
        turned = state.c / (c * length)
        d_turned = d_c / (c * length) - np.outer(d_length / length, turned)
        d_b = d_rest + _outer(d_e, turned) + _outer(e, d_turned)
        d_a = length * d_e + np.outer(d_length, e)
        # difference(), pull()
        half = c * np.einsum("nip,iq->npq", d_b, state.b)
        d_m = np.empty((len(y), d, d))
        d_m[:, 0, 0], d_m[:, 0, 1:], d_m[:, 1:, 0] = d_rho, d_c, d_c
        d_m[:, 1:, 1:] = half + half.transpose(0, 2, 1)
        g, d_g = system.pull(difference(system, state)), system.pull(d_m)
        along, turn, across = g[0, 0], g[0, 1:], g[1:, 1:]
        d_along, d_turn, d_across = d_g[:, 0, 0], d_g[:, 0, 1:], d_g[:, 1:, 1:]
        # slopes()
        alpha, q = system.square + state.rho, c * state.b.T @ state.b
        rho_dot = d_along * alpha + along * d_rho + d_turn @ state.c + d_c @ turn
        c_dot = np.outer(d_along, state.c) + along * d_c + d_turn @ q + d_m[:, 1:, 1:] @ turn
        c_dot += np.outer(d_rho, turn) + alpha * d_turn + d_c @ across + d_across @ state.c
        a_dot = np.outer(d_along, state.a) + along * d_a + d_b @ turn + d_turn @ state.b.T
        forced, d_forced = rest @ turn, d_rest @ turn + d_turn @ rest.T
        r_dot = d_rest @ across + np.einsum("iq,nqp->nip", rest, d_across)
        part = _outer(d_forced, state.c) + _outer(forced, d_c)
        part -= 2 / length * np.einsum("n,i,p->nip", d_length, forced, state.c)
        r_dot -= part / (c * length**2)
        back = forced @ rest
        d_back = d_forced @ rest + np.einsum("i,nip->np", forced, d_rest)
        part = _outer(d_e, back) + _outer(e, d_back)
        r_dot -= (part - np.einsum("n,i,p->nip", d_length / length, e, back)) / length
        pace = -c * system.tau * s
        columns = [2 * s * rho_dot[:, None], s * c_dot, a_dot]
        out = pace * np.hstack([*columns, sqrt(s) * r_dot.reshape(len(y), -1)])
        out[:d, :d] += np.eye(d)
        out[:, d + m :] += 0.5 * sqrt(s) * d_rest.reshape(len(y), -1)
        return np.asarray(out.T)

    def _direct(self, y: Array) -> Array:
        system = self.system
        x = y.reshape(system.count, system.dim)
        d_x = np.eye(len(y)).reshape(-1, system.count, system.dim)
        half = system.scale * np.einsum("nip,iq->npq", d_x, x)
        g = system.pull(difference(system, self.state(0.0, y)))
        d_g = system.pull(half + half.transpose(0, 2, 1))
        columns = d_x @ g + np.einsum("iq,nqp->nip", x, d_g)
        return np.asarray(-system.scale * columns.reshape(len(y), -1).T)

    def scale(self, t: float, y: Array, tolerance: float) -> Array:
        """M: √L.  a: its norm.  R: its own, or a little of B's.  DIRECT: norms of a and of B."""
        system, s = self.system, self.growth(t)
        state = self.state(t, y)
        self.rho = state.rho
        length = float(np.linalg.norm(state.a))
        whole = float(np.linalg.norm(state.b))
        if not system.near:
            rows = np.full((system.count, system.dim), max(whole, TINY))
            rows[:, 0] = max(length, TINY)
            self.stuck = length == 0 and self._still(state, whole)
            return rows.ravel()
        m = difference(system, state)
        self.largest = float(np.abs(m).max())
        residual = self.largest * sqrt(system.loss(m / max(self.largest, TINY)))
        residual = max(residual, ROUNDING * self.largest / tolerance)
        free = max(float(np.linalg.norm(state.spanned()[1])), FINEST * whole)
        d, count = system.dim, system.count
        sizes = np.empty(len(y))
        sizes[:d], sizes[d : d + count] = s * residual, length
        sizes[d + count :] = sqrt(s) * free
        return np.maximum(sizes, TINY)

    def _still(self, state: State, whole: float) -> bool:
        """Whether what moves students orthogonal to the teacher, which they stay, is rounding."""
        system, x = self.system, np.column_stack([state.a, state.b])
        move = float(np.linalg.norm(x @ system.pull(difference(system, state))))
        return move <= ROUNDING * whole * (system.scale * whole**2 + system.square)

    def measured(self, t: float, y: Array) -> tuple[float, float]:
        """In the magnified picture M is `beyond` times larger: L ~ M², ‖∇L‖ ~ M^(3/2)."""
        system, state = self.system, self.state(t, y)
        m = difference(system, state)
        g = system.pull(m)
        if system.near:  # on the slow manifold G₀ is of second order: below errors it is nothing
            row = g[0]
            row[np.abs(row) < SLAVED * np.abs(g).max()] = 0.0
            g[:, 0] = row
        x = np.column_stack([state.a, state.b])
        gradient = system.scale * float(np.linalg.norm(x @ g))
        beyond = self.beyond(t)
        return system.loss(m) / beyond / beyond, gradient / beyond / sqrt(beyond)

    def log_loss(self, t: float, y: Array) -> float:
        m = difference(self.system, self.state(t, y))
        largest = float(np.abs(m).max())
        if largest == 0:
            return -np.inf
        value = self.system.loss(m / largest)
        if value == 0:
            return -np.inf
        return log(value) + 2 * log(largest) - 2 * log(self.beyond(t))

    def limit(self) -> float:
        return np.inf

    def look(self, t: float, near: float) -> int:
        if self.stuck or (self.system.near and self.largest < GONE):
            return SWITCH
        apart = abs(self.rho) / self.system.square
        return TURNED if (apart > APART if self.system.near else apart < CLOSE) else RUNNING

    def turned(self, t: float, y: Array) -> tuple[MatrixField, Array]:
        """The other coordinates, and y in them."""
        other = MatrixField(replace(self.system, near=not self.system.near))
        return other, other.encode(t, self.state(t, y))

    def arrived(self, t: float, y: Array) -> Array:
        """y where it stays: at the minimum itself, or at a critical point."""
        if not self.system.near:
            return y
        state = self.state(t, y)
        return self.encode(t, State(0.0, 0 * state.c, state.a, 0 * state.b))

    def pace(self, t: float) -> float:
        return self.tau + t

    def distance(self, t: float, t_end: float) -> float:
        return log1p((t_end - t) / (self.tau + t))

    def later(self, t: float, dx: float) -> float:
        return t + (self.tau + t) * expm1(dx)


def _outer(x: Array, y: Array) -> Array:
    """x_i y_p, one of them for each of many directions n: (N, m, D−1)."""
    if x.ndim == 1:
        return np.einsum("i,np->nip", x, y)
    return np.einsum("ni,p->nip", x, y)
