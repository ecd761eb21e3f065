"""Teacher and students of positively homogeneous neurons, as steppers see them."""

from __future__ import annotations

import numpy as np

from flowkit.flows import coordinates
from flowkit.flows.cluster_field import clusters
from flowkit.flows.collocation import look, measured, shrinking_time
from flowkit.flows.coordinates import LINEAR, System
from flowkit.flows.field import RUNNING, SWITCH
from flowkit.flows.jacobian import jacobian
from flowkit.flows.kernel import polar, remainder
from flowkit.flows.logarithm import log_loss

Array = np.ndarray
ROUNDING = 1e-15


class PairField:
    """`flowkit.flows.field.Field` of a `System`; `work` holds the state last looked at."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.work = coordinates.workspace(system)
        self.value = np.nan

    @property
    def accurate(self) -> bool:
        """Several teachers: not between them."""
        return len(self.system.teachers) == 1

    def fresh(self) -> PairField:
        return PairField(self.system)

    @property
    def tau(self) -> float:
        return self.system.tau

    def slopes(self, t: float, y: Array) -> Array:
        out = np.zeros(len(y))
        if len(self.system.sizes):
            coordinates.slopes(self.system, t, np.ascontiguousarray(y), self.work, out)
        return out

    def jacobian(self, t: float, y: Array) -> Array:
        return jacobian(self.system, t, np.ascontiguousarray(y), self.work)

    def scale(self, t: float, y: Array, tolerance: float) -> Array:
        out = np.empty(len(y))
        self.slopes(t, y)
        self.value = float(coordinates.loss(self.system, self.work))
        coordinates.scale(self.system, t, y, self.work, self.value, out)
        # While the students are small, the rounding of what moves them is not.
        return np.maximum(out, ROUNDING / tolerance if self.system.early else 0.0)

    def measured(self, t: float, y: Array) -> tuple[float, float]:
        if not len(self.system.sizes):
            return self._without_students(), 0.0
        self.slopes(t, y)
        self.value = float(coordinates.loss(self.system, self.work))
        value, gradient = measured(self.system, t, self.work, self.value)
        return float(value), float(gradient)

    def _without_students(self) -> float:
        """½ E (Σ σ(v·x))²."""
        teachers = self.system.teachers
        k, dim = teachers.shape
        norms, units, offsets = np.empty(k), np.empty((k, dim)), np.empty((k, dim))
        polar(teachers, np.ones(k), norms, units, offsets)
        total = teachers.sum(axis=0)
        linear = 0.5 * self.system.mean * float(total @ total)
        return linear + self.system.kink_weight * float(remainder(offsets, norms))

    def log_loss(self, t: float, y: Array) -> float:
        if not len(self.system.sizes):
            return float(np.log(self._without_students()))
        return log_loss(self.system, y, t)

    def rounding(self, t: float, y: Array) -> float:
        return 0.0

    def students(self, t: float, y: Array) -> Array:
        return self.state(t, y)[1]

    def state(self, t: float, y: Array) -> tuple[Array, Array]:
        """r (D,) and students (N, D) of y."""
        dim = self.system.teachers.shape[1]
        r, w = np.zeros(dim), np.zeros((len(self.system.sizes), dim))
        coordinates.decode(self.system, t, np.ascontiguousarray(y), 1.0, r, w)
        return r, w

    def limit(self) -> float:
        limit = 0.8 * float(shrinking_time(self.system, self.work))
        return min(limit, 2 * self.tau) if self.system.mode == LINEAR and self.value > 0 else limit

    def look(self, t: float, near: float) -> int:
        code = int(look(self.system, self.work, near, self.value))
        close = code == RUNNING and clusters(self.system, self.work.w, t) is not None
        return SWITCH if close else code

    def pace(self, t: float) -> float:
        return float(coordinates.pace(self.system, t))

    def distance(self, t: float, t_end: float) -> float:
        return float(coordinates.distance(self.system, t, t_end))

    def later(self, t: float, dx: float) -> float:
        return float(coordinates.later(self.system, t, dx))
