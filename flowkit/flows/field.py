"""The gradient field in a frame, with the residual r given beside the students.

    ẇ_i = −mean r − kink_weight g_i,      g_i = Σ_b c_b ‖b‖ [u(θ) ā + q(θ) (ā − b̄)],  a = w_i
    ṙ   = −mean n r − kink_weight Σ m_i g_i

u, q, R, ν, ω are the derived pair functions.  Unit vectors are stored as their difference from the
first axis, (−versine, sine part), so ā − b̄ keeps its accuracy when both are close to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from flowkit.problems.pairs import lengths, pair_functions, polar

Array = np.ndarray
EPS = float(np.finfo(float).eps)


class Directions(NamedTuple):
    """Norms (N,), unit rows (N, D) and their offsets from the first axis (N, D)."""

    norms: Array
    units: Array
    offsets: Array


def directions(vectors: Array) -> Directions:
    """Polar form of the rows; offset₀ = cos − 1 without cancellation."""
    norms, units = polar(vectors)
    offsets = units.copy()
    square = np.einsum("ij,ij->i", units[:, 1:], units[:, 1:])
    along = units[:, 0]
    if (along > 0).all():
        offsets[:, 0] = -square / (1 + along)
    else:
        offsets[:, 0] = np.where(along > 0, -square / (1 + np.abs(along)), along - 1)
    return Directions(norms, units, offsets)


def pair_angles(left: Array, right: Array) -> Array:
    """Angles from offsets; adding the axis back only to the sum keeps the difference exact."""
    if left.shape[0] * right.size > 1 << 20:
        return np.concatenate([pair_angles(row[None, :], right) for row in left])
    minus, plus = _chords(left, right)
    return 2 * np.arctan2(lengths(minus), lengths(plus))


def _chords(left: Array, right: Array) -> tuple[Array, Array]:
    """y − x and y + x of all pairs of unit vectors, (N, M, D)."""
    minus = right - left[:, None, :]
    plus = right + left[:, None, :]
    plus[..., 0] += 2
    return minus, plus


@dataclass(frozen=True)
class Field:
    """Gradient field of N groups of equal students.

    Attributes
    ----------
    teachers : (k, D)
        In the frame.
    sizes : (N,)
        m_i, how many equal students each group stands for; equal neurons stay equal.
    mean, kink_weight : float
        Weights of the activation.
    """

    teachers: Array
    sizes: Array
    mean: float
    kink_weight: float

    @cached_property
    def signs(self) -> Array:
        """c_b of students and teachers, (N + k,)."""
        return np.concatenate([self.sizes, -np.ones(len(self.teachers))])

    @cached_property
    def n(self) -> float:
        """Number of students, equal ones counted."""
        return float(self.sizes.sum())

    @cached_property
    def target(self) -> Array:
        """Σ v_k, (D,)."""
        return self.teachers.sum(axis=0)

    @property
    def shape(self) -> tuple[int, int]:
        """(N, D) of the students."""
        return len(self.sizes), self.teachers.shape[1]

    @property
    def rate(self) -> float:
        """Decay rate n·mean of the residual, the one fast direction near the minimum."""
        return self.n * self.mean

    def pull(self, at: Directions, sources: Directions) -> Array:
        """g at the points `at`: the sum over students and teachers of c_b ‖b‖ [u ā + q (ā − b̄)]."""
        theta = pair_angles(at.offsets, sources.offsets)
        u, q = pair_functions("numpy").gradient(theta)
        weight = self.signs * sources.norms
        q = q * weight
        return (
            (u @ weight)[:, None] * at.units
            + q.sum(axis=1)[:, None] * at.offsets
            - q @ sources.offsets
        )

    def remainder_gradient(self, w: Array) -> Array:
        """g_i, shape (N, D)."""
        everything = directions(np.concatenate([w, self.teachers]))
        students = Directions(*(x[: len(w)] for x in everything))
        return self.pull(students, everything)

    def velocity(self, r: Array, w: Array) -> tuple[Array, Array]:
        """(ṙ, ẇ)."""
        g = self.kink_weight * self.remainder_gradient(w)
        return -self.rate * r - self.sizes @ g, -self.mean * r - g

    def consistent(self, r: Array, w: Array) -> Array:
        """w with Σ m_i w_i = Σ v + r to the last digit; each gives way in proportion to ‖w_i‖².

        The two are integrated side by side, and r is the accurate one.
        """
        gap = self.target + r - self.sizes @ w
        if np.linalg.norm(gap) <= 4 * EPS * np.linalg.norm(self.target):
            return w
        square = np.einsum("ij,ij->i", w, w)
        return w + np.outer(square / (self.sizes @ square), gap)

    def loss(self, r: Array, w: Array) -> float:
        """½ mean ‖r‖² + kink_weight Σ_{a<b} c_a c_b ‖a‖‖b‖ R(θ_ab)."""
        everything = directions(np.concatenate([w, self.teachers]))
        theta = pair_angles(everything.offsets, everything.offsets)
        (remainder,) = pair_functions("numpy").remainder(theta)
        weight = self.signs * everything.norms
        pairs = 0.5 * float(weight @ remainder @ weight)
        return 0.5 * self.mean * float(r @ r) + self.kink_weight * pairs

    def remainder_hessian(self, w: Array) -> Array:
        """kink_weight ∂g_i/∂w_j, shape (N, D, N, D).

        The corner entries of f̄f̄ᵀ − ēēᵀ − I and of I − āāᵀ are formed from parts across the axis:
        along it they are of second order in the angles.
        """
        everything = directions(np.concatenate([w, self.teachers]))
        count, dim = w.shape
        a = Directions(*(x[:count] for x in everything))
        minus, plus = _chords(a.offsets, everything.offsets)
        chord, span = lengths(minus), lengths(plus)
        e = minus / np.where(chord > 0, chord, 1.0)[..., None]
        f = plus / np.where(span > 0, span, 1.0)[..., None]
        theta = 2 * np.arctan2(chord, span)
        nu, _ = pair_functions("numpy").hessian(theta)
        u, _ = pair_functions("numpy").gradient(theta)
        normal = 0.5 * (chord[..., None] * f + span[..., None] * e)
        ratio = everything.norms / a.norms[:, None]
        weight = self.signs * ratio * nu
        own = np.einsum("ib,ibp,ibq->ipq", weight, normal, normal)
        own += weight.sum(axis=1)[:, None, None] * _tangent(a)
        shape = np.einsum("ibp,ibq->ibpq", f, f) - np.einsum("ibp,ibq->ibpq", e, e)
        shape -= np.eye(dim)
        shape[..., 0, 0] = -np.einsum("ibp,ibp->ib", f[..., 1:], f[..., 1:]) - e[..., 0] ** 2
        # −ω I + ν (f̄f̄ᵀ − ēēᵀ) = u I + ν (f̄f̄ᵀ − ēēᵀ − I), as u = ν − ω.
        cross = nu[..., None, None] * shape + u[..., None, None] * np.eye(dim)
        cross = cross[:, :count] * self.sizes[:, None, None]
        blocks = cross.transpose(0, 2, 1, 3).copy()
        index = np.arange(count)
        blocks[index, :, index, :] = own
        return self.kink_weight * blocks


def _tangent(a: Directions) -> Array:
    """I − āāᵀ, shape (N, D, D)."""
    projector = np.eye(a.units.shape[1]) - np.einsum("ip,iq->ipq", a.units, a.units)
    projector[:, 0, 0] = np.einsum("ip,ip->i", a.units[:, 1:], a.units[:, 1:])
    return projector
