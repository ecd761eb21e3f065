"""Coordinates in which the flow is smooth for an implicit integrator.

PowerChart    (S² r, h, S b) with S = 1 + t/τ.  On the slow manifold r ~ t⁻², b ~ t⁻¹, so the scaled
              state tends to a constant and steps grow in proportion to t, as in log time.
LinearChart   r = e^{−λ(t−t₀)} r̂ and w_i = (Σ v + r)/n + β_i, one β eliminated.  While r decays by
              itself, r̂ tends to a constant: exponential convergence keeps its relative accuracy.

Both describe the same flow exactly; `choose` picks the one that is smooth at the moment.  The
independent variable stays t: in log time the one stiff rate, n/2, becomes t n/2 and changes
within a step, which a Newton iteration with a frozen Jacobian pays for (docs/design.md has the
measurement).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from flowkit.flows.field import Field
from flowkit.problems.pairs import polar

Array = np.ndarray
EPS = float(np.finfo(float).eps)
TINY = 1e-300
# Below this the forcing of r, quadratic in r, is lost to underflow long after it stopped to matter.
FADED = 1e-140


class Chart(Protocol):
    """State vector y(t) ↔ residual r (D,) and students w (N, D) of one field."""

    @property
    def field(self) -> Field: ...
    @property
    def pivot(self) -> int: ...
    def longest_step(self, loss: float) -> float: ...
    def encode(self, t: float, r: Array, w: Array) -> Array: ...
    def decode(self, t: float, y: Array) -> tuple[Array, Array]: ...
    def velocity(self, t: float, y: Array) -> Array: ...
    def jacobian(self, t: float, y: Array) -> Array: ...
    def scale(self, t: float, y: Array, rtol: float, loss: float) -> Array: ...


@dataclass(frozen=True)
class PowerChart:
    """y = (S² r, students along the axis, S × all but one student across it).

    The part of student `pivot` across the axis is what r leaves: b_p = (r + Σ v − Σ m_i b_i)/m_p.
    Kept as a state of its own, its rounding errors would grow like t against b ~ t⁻¹.  With several
    teachers S = 1.
    """

    field: Field
    pivot: int

    @property
    def tau(self) -> float:
        """Time scale 1/(n mean) of S = 1 + t/τ."""
        return 1 / self.field.rate

    def longest_step(self, loss: float) -> float:
        """No limit but accuracy."""
        return float("inf")

    @cached_property
    def _exponents(self) -> Array:
        """Power of S on each entry of y."""
        count, dim = self.field.shape
        single = float(len(self.field.teachers) == 1)
        across = np.full((count - 1) * (dim - 1), single)
        return np.concatenate([np.full(dim, 2 * single), np.zeros(count), across])

    @cached_property
    def _others(self) -> Array:
        return np.delete(np.arange(len(self.field.sizes)), self.pivot)

    def _powers(self, t: float) -> Array:
        return (1 + t / self.tau) ** self._exponents

    def encode(self, t: float, r: Array, w: Array) -> Array:
        return self._powers(t) * np.concatenate([r, w[:, 0], w[self._others, 1:].ravel()])

    def decode(self, t: float, y: Array) -> tuple[Array, Array]:
        field, (count, dim) = self.field, self.field.shape
        state = y / self._powers(t)
        r = state[:dim]
        across = state[dim + count :].reshape(count - 1, dim - 1)
        rest = r[1:] + field.target[1:] - field.sizes[self._others] @ across
        w = np.empty((count, dim))
        w[:, 0] = state[dim : dim + count]
        w[self._others, 1:] = across
        w[self.pivot, 1:] = rest / field.sizes[self.pivot]
        return r, w

    def velocity(self, t: float, y: Array) -> Array:
        r_dot, w_dot = self.field.velocity(*self.decode(t, y))
        rates = np.concatenate([r_dot, w_dot[:, 0], w_dot[self._others, 1:].ravel()])
        return self._powers(t) * rates + self._exponents / (self.tau + t) * y

    @cached_property
    def _columns(self) -> tuple[Array, Array]:
        """Which entries of (r, w) are states, and the derivative of (r, w) by the states."""
        count, dim = self.field.shape
        index = dim + np.arange(count * dim).reshape(count, dim)
        across = index[self._others, 1:].ravel()
        states = np.concatenate([np.arange(dim), index[:, 0], across])
        columns = np.zeros((dim * (count + 1), len(states)))
        columns[states, np.arange(len(states))] = 1.0
        size = self.field.sizes[self.pivot]
        for p in range(1, dim):
            row = columns[index[self.pivot, p]]
            row[p] = 1.0 / size
            row[dim + count + p - 1 :: dim - 1] = -self.field.sizes[self._others] / size
        return states, columns

    def jacobian(self, t: float, y: Array) -> Array:
        field, (count, dim) = self.field, self.field.shape
        states, columns = self._columns
        _, w = self.decode(t, y)
        blocks = field.remainder_hessian(w)
        full = np.zeros((dim * (count + 1),) * 2)
        full[:dim, :dim] = -field.rate * np.eye(dim)
        full[dim:, :dim] = -field.mean * np.tile(np.eye(dim), (count, 1))
        full[:dim, dim:] = -np.einsum("i,ipjq->pjq", field.sizes, blocks).reshape(dim, -1)
        full[dim:, dim:] = -blocks.reshape(count * dim, count * dim)
        powers = self._powers(t)
        reduced = powers[:, None] * (full[states] @ columns) / powers
        reduced[np.diag_indices(len(reduced))] += self._exponents / (self.tau + t)
        return reduced

    def scale(self, t: float, y: Array, rtol: float, loss: float) -> Array:
        """Sizes to which errors are relative: √L for r, each student's norm along the axis, and
        across it that norm times the largest angle."""
        r, w = self.decode(t, y)
        norms, units = polar(w)
        if len(self.field.teachers) > 1:
            largest, residual = 1.0, float(np.linalg.norm(self.field.teachers))
        else:
            largest = np.linalg.norm(units[:, 1:], axis=1).max(initial=0.0)
            residual = 2 * np.sqrt(max(loss, 0.0))
        across = np.repeat(norms[self._others] * largest, w.shape[1] - 1)
        sizes = np.concatenate([np.full(len(r), residual), norms, across])
        return self._powers(t) * np.maximum(sizes, TINY)


@dataclass(frozen=True)
class LinearChart:
    """y = (r̂, all β but that of student `pivot`); one teacher."""

    field: Field
    pivot: int
    start: float

    @cached_property
    def _others(self) -> Array:
        return np.delete(np.arange(len(self.field.sizes)), self.pivot)

    def longest_step(self, loss: float) -> float:
        """Accuracy sets no limit here; a plot or a fit wants some points."""
        return 2 / self.field.rate if loss > 0 else float("inf")

    def _decay(self, t: float) -> float:
        return float(np.exp(-self.field.rate * (t - self.start)))

    def encode(self, t: float, r: Array, w: Array) -> Array:
        field = self.field
        rest = w - (field.target + r) / field.n
        rest = rest - field.sizes @ rest / field.n
        return np.concatenate([r / self._decay(t), rest[self._others].ravel()])

    def decode(self, t: float, y: Array) -> tuple[Array, Array]:
        field, (count, dim) = self.field, self.field.shape
        r = self._decay(t) * y[:dim]
        rest = y[dim:].reshape(count - 1, dim)
        last = -(field.sizes[self._others] @ rest) / field.sizes[self.pivot]
        return r, (field.target + r) / field.n + np.insert(rest, self.pivot, last, axis=0)

    def velocity(self, t: float, y: Array) -> Array:
        field = self.field
        _, w = self.decode(t, y)
        g = field.kink_weight * field.remainder_gradient(w)
        total, decay = field.sizes @ g, self._decay(t)
        r_dot = -total / decay if decay > FADED else np.zeros_like(total)
        rest = (total / field.n - g)[self._others]
        return np.concatenate([r_dot, rest.ravel()])

    def jacobian(self, t: float, y: Array) -> Array:
        field, (count, dim), decay = self.field, self.field.shape, self._decay(t)
        _, w = self.decode(t, y)
        blocks = field.remainder_hessian(w)
        ratio = field.sizes[self._others] / field.sizes[self.pivot]
        by_r = decay / field.n * blocks.sum(axis=2)
        by_rest = blocks[:, :, self._others]
        by_rest = by_rest - blocks[:, :, [self.pivot]] * ratio[:, None]
        columns = np.concatenate([by_r[:, :, None], by_rest], axis=2)
        columns = columns.reshape(count, dim, count * dim)
        total = np.einsum("i,ipj->pj", field.sizes, columns)
        top = -total / decay if decay > FADED else 0 * total
        rest = (total / field.n - columns)[self._others]
        return np.vstack([top, rest.reshape((count - 1) * dim, count * dim)])

    def scale(self, t: float, y: Array, rtol: float, loss: float) -> Array:
        """‖r̂‖; the students' size along the axis; across it the size of β, not below rounding."""
        _, w = self.decode(t, y)
        count, dim = self.field.shape
        rest = y[dim:].reshape(count - 1, dim)
        across = np.linalg.norm(rest[:, 1:], axis=1).max(initial=0.0)
        noise = 10 * EPS / rtol * np.linalg.norm(w[:, 1:], axis=1).max(initial=0.0)
        student = np.full(rest.shape, max(across, noise))
        student[:, 0] = np.abs(w).max()
        sizes = np.concatenate([np.full(dim, np.linalg.norm(y[:dim])), student.ravel()])
        return np.maximum(sizes, TINY)


def initial(field: Field, w: Array) -> PowerChart:
    """The chart to begin with; the pivot is the largest group of students."""
    return PowerChart(field, int(np.argmax(field.sizes * np.linalg.norm(w, axis=1))))


def choose(chart: Chart, t: float, r: Array, w: Array, r_dot: Array, loss: float) -> Chart:
    """The chart to go on with: linear while r decays by itself and makes up the loss."""
    field = chart.field
    if len(field.teachers) > 1 or loss <= TINY:
        return chart
    decay = field.rate * r
    forcing = np.linalg.norm(r_dot + decay) / max(float(np.linalg.norm(decay)), TINY)
    share = 0.5 * field.mean * (r @ r) / loss
    if isinstance(chart, PowerChart) and forcing < 0.05 and share > 0.5:
        return LinearChart(field, chart.pivot, t)
    if isinstance(chart, LinearChart) and not (forcing < 0.2 and share > 0.2):
        return initial(field, w)
    return chart
