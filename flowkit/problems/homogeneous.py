"""Students with a positively homogeneous activation, (leaky) ReLU: pair angles, nothing cancels."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from flowkit.problems.pairs import angles, pair_functions, polar, residual
from flowkit.problems.problem import checked_count
from symbolic.activations import LeakyReLU, ReLU

Array = np.ndarray

EPS = float(np.finfo(float).eps)


class HomogeneousForm:
    """How the loss of `TeacherStudent` is evaluated for such an activation."""

    def __init__(self, teacher: Array, exact_teacher: Array, activation: ReLU | LeakyReLU) -> None:
        self.teacher, self.exact_teacher = teacher, exact_teacher
        self.activation = activation

    @cached_property
    def weights(self) -> tuple[Any, Any]:
        """(mean, kink_weight) of L = ½ mean ‖r‖² + kink_weight Σ_{a<b} c_a c_b ‖a‖‖b‖ R(θ)."""
        from symbolic.pairs import weights

        return weights(self.activation.alpha)

    def expressions(self, n: int) -> Any:
        """The SymPy loss, gradient, Hessian of n students, a `teacher_student.Expressions`."""
        from symbolic.teacher_student import expressions

        k, d = self.teacher.shape
        return expressions(checked_count(n), k, d, self.activation.alpha)

    def check_differentiable(self, students: Array, name: str) -> None:
        """No student may be zero."""
        zero = [i for i, row in enumerate(students) if not any(row)]
        if zero:
            raise ValueError(f"{name}: neuron {zero[0]} is zero, where the loss has no derivative")

    def quadrature_error(self, students: Array) -> tuple[float, float]:
        """The kernel is exact."""
        return 0.0, 0.0

    def exact(self, students: Array, quantity: str, digits: int | None) -> Array:
        from flowkit.problems import exact

        system = exact.ExactSystem.of(students, self.exact_teacher, *self.weights)
        evaluate = getattr(system, quantity)
        scalar = quantity == "loss"
        target = exact.FLOAT_BITS if digits is None else exact.bits(digits)
        values = exact.certify((lambda: [evaluate()]) if scalar else evaluate, target)
        convert = exact.to_float if digits is None else exact.to_mpf
        result = np.array([convert(x) for x in values], float if digits is None else object)
        return result.reshape(()) if scalar else result

    def _geometry(self, students: Array) -> tuple[Array, Array, Array, Array]:
        """Signs, norms and unit rows of students and teachers, and the angles students × all."""
        vectors = np.vstack([students, self.teacher])
        signs = np.repeat([1.0, -1.0], [len(students), len(self.teacher)])
        norms, units = polar(vectors)
        return signs, norms, units, angles(units, units)

    def loss(self, students: Array) -> tuple[float, float]:
        """The loss and a bound on its rounding error."""
        mean, kink_weight = map(float, self.weights)
        signs, norms, _, theta = self._geometry(students)
        (remainder,) = pair_functions("numpy").remainder(theta)
        scale = np.outer(norms, norms)
        np.fill_diagonal(scale, 0.0)
        r = residual(students, self.teacher)
        square = 0.5 * mean * float(r @ r)
        value = square + 0.5 * kink_weight * float(signs @ (scale * remainder) @ signs)
        # θ carries an error of 8 units in the last place of 1; R' ≤ θ²/2π.
        spread = float((scale * (4 * np.abs(remainder) + 8 * theta**2 + 64 * EPS)).sum())
        return value, EPS * (8 * square + kink_weight * spread)

    def gradient(self, students: Array) -> tuple[Array, float]:
        mean, kink_weight = map(float, self.weights)
        signs, norms, units, theta = self._geometry(students)
        n = len(students)
        u, q = pair_functions("numpy").gradient(theta[:n])
        weight = signs * norms
        np.fill_diagonal(u, 0.0)
        np.fill_diagonal(q, 0.0)
        total = ((u + q) @ weight)[:, None] * units[:n] - (q * weight) @ units
        value = mean * residual(students, self.teacher) + kink_weight * total
        spread = float((np.abs(u) + q + 1) @ norms @ np.ones(n))
        return value, 8 * EPS * (kink_weight * spread)

    def hessian(self, students: Array) -> tuple[Array, float]:
        mean, kink_weight = map(float, self.weights)
        signs, norms, units, theta = self._geometry(students)
        n, d = students.shape
        nu, omega = pair_functions("numpy").hessian(theta[:n])
        eye = np.eye(d)
        blocks = np.empty((n, d, n, d))
        ratio = norms[None, :] / norms[:n, None]
        spread = 0.0
        for i in range(n):
            own = np.zeros((d, d))
            for b in range(len(signs)):
                normal, f, e = frame(units[i], units[b])
                if b != i:
                    shape = eye - np.outer(units[i], units[i]) + np.outer(normal, normal)
                    own += signs[b] * ratio[i, b] * nu[i, b] * shape
                    spread += ratio[i, b]
                if b < n:
                    cross = nu[i, b] * (np.outer(f, f) - np.outer(e, e)) - omega[i, b] * eye
                    blocks[i, :, b, :] = mean * eye + kink_weight * cross
            blocks[i, :, i, :] = mean * eye + kink_weight * own
        return blocks.reshape(n * d, n * d), 4 * EPS * (spread + n * n)


def frame(x: Array, y: Array) -> tuple[Array, Array, Array]:
    """(n̄, f̄, ē) of two unit vectors: unit(y − cos θ x), unit(y + x), unit(y − x); 0 if parallel."""
    minus, plus = y - x, y + x
    chord, span = np.linalg.norm(minus), np.linalg.norm(plus)
    e = minus / chord if chord > 0 else 0 * x
    f = plus / span if span > 0 else 0 * x
    return 0.5 * (chord * f + span * e) if chord > 0 and span > 0 else 0 * x, f, e
