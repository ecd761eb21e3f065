"""Students with quadratic activation learning one teacher: phase retrieval."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from flowkit.problems.problem import Problem, checked_count, checked_matrix, checked_teacher

Array = np.ndarray

EPS = float(np.finfo(float).eps)


class PhaseRetrieval(Problem):
    """F(W) = ¼ E (C Σ_k (w_k·x)² − (v·x)²)², x ~ N(0, I_d) or the mean over samples.

    Parameters
    ----------
    teacher : array_like, shape (d,)
        v (w* in the paper); finite and not zero.  Flows need norms within [1e-60, 1e60].
    output_scale : float
        C ≥ 1 in the paper; any positive number.
    samples : array_like, shape (N, d), optional
        Inputs x_1 … x_N: the empirical loss; the population's without.

    References
    ----------
    J.-K. Wang & J. Abernethy, "Understanding how over-parametrization leads to acceleration", eq.
    (3)–(6).
    """

    def __init__(self, teacher: Any, output_scale: float = 1, samples: Any = None) -> None:
        self.teacher, self.exact_teacher = checked_teacher(teacher)
        if len(self.teacher) > 1:
            raise ValueError(f"teacher: expected one, got {len(self.teacher)}")
        try:
            self.output_scale = float(output_scale)
        except (TypeError, ValueError):
            raise ValueError(f"output_scale: expected a number, got {output_scale!r}") from None
        if isinstance(output_scale, bool) or not 1e-60 <= self.output_scale <= 1e60:
            raise ValueError(f"output_scale: must lie in [1e-60, 1e60], got {output_scale!r}")
        self.samples: Array | None = None
        if samples is not None:
            self.samples = checked_matrix(samples, "samples")
            if self.samples.shape[1] != self.dimension:
                shape = self.samples.shape
                raise ValueError(f"samples: expected shape (N, {self.dimension}), got {shape}")
            if not self.samples.any():
                raise ValueError("samples: all are zero")

    @property
    def activation(self) -> str:
        """ "quadratic"."""
        return "quadratic"

    def __repr__(self) -> str:
        kind = "population" if self.samples is None else f"{len(self.samples)} samples"
        scale = f", output_scale={self.output_scale:g}" if self.output_scale != 1 else ""
        return f"PhaseRetrieval(teacher={self.teacher[0].tolist()}{scale}; {kind})"

    def expressions(self, n: int) -> Any:
        """The SymPy loss, gradient, Hessian, a `phase_retrieval.QuadraticExpressions`."""
        from symbolic.phase_retrieval import expressions

        rows = None
        if self.samples is not None:
            rows = [[Fraction(x) for x in row] for row in self.samples.tolist()]
        return expressions(checked_count(n), self.dimension, Fraction(self.output_scale), rows)

    def _loss(self, students: Array) -> tuple[float, float]:
        c, size = self.output_scale, self._size(students)
        if self.samples is not None:
            error, rounding = self._misfit(students)
            value = float(error @ error) / (4 * len(error))
            spread = np.abs(error) + rounding
            return value, float(spread @ rounding) / len(error)
        # In the span of students and teacher M is no larger than (n + 1)².
        vectors = np.vstack([students, self.teacher])
        if vectors.shape[1] > len(vectors):
            vectors = vectors @ np.linalg.qr(vectors.T)[0]
        m = c * vectors[:-1].T @ vectors[:-1] - np.outer(vectors[-1], vectors[-1])
        norm, trace = float(np.linalg.norm(m)), float(np.trace(m))
        slack = 8 * (len(vectors) + 4) * EPS * size
        bound = (norm + abs(trace) * np.sqrt(len(m)) + slack * len(m)) * slack
        return 0.5 * norm**2 + 0.25 * trace**2, bound

    def _gradient(self, students: Array) -> tuple[Array, float]:
        c, count = self.output_scale, len(students)
        length = float(np.linalg.norm(students))
        if self.samples is not None:
            error, rounding = self._misfit(students)
            inner = self.samples @ students.T
            value = c / len(error) * (error[:, None] * inner).T @ self.samples
            sizes = np.linalg.norm(self.samples, axis=1)
            spread = rounding + 4 * EPS * len(sizes) * np.abs(error)
            return value, c * length * float(spread @ sizes**2) / len(sizes)
        v = self.teacher[0]
        trace = c * float(np.sum(students**2)) - float(v @ v)
        turned = 2 * (c * (students @ students.T) @ students - np.outer(students @ v, v))
        bound = 8 * (count + 4) * EPS * c * self._size(students) * length
        return c * (turned + trace * students), bound

    def _hessian(self, students: Array) -> tuple[Array, float]:
        c, (n, d) = self.output_scale, students.shape
        eye = np.eye(d)
        if self.samples is not None:
            error, rounding = self._misfit(students)
            inner = self.samples @ students.T
            own = (error[:, None] * self.samples).T @ self.samples
            cross = np.einsum("si,sj,sp,sq->ipjq", inner, inner, self.samples, self.samples)
            blocks = 2 * c * cross
            for i in range(n):
                blocks[i, :, i, :] += own
            square = np.sum(self.samples**2, axis=1)
            total = rounding + 8 * EPS * (np.abs(error) + c * square * np.sum(students**2))
            bound = c * n * float(square @ total) / len(error)
            return (c / len(error) * blocks).reshape(n * d, n * d), bound
        v = self.teacher[0]
        m = c * students.T @ students - np.outer(v, v)
        gram = students @ students.T
        blocks = np.einsum("ij,pq->ipjq", gram, eye)
        blocks += np.einsum("ip,jq->ipjq", students, students)
        blocks += np.einsum("jp,iq->ipjq", students, students)
        blocks *= 2 * c * c
        for i in range(n):
            blocks[i, :, i, :] += c * (2 * m + np.trace(m) * eye)
        bound = 16 * (n + d) * EPS * c * self._size(students) * np.sqrt(n)
        return blocks.reshape(n * d, n * d), bound

    def _size(self, students: Array) -> float:
        """C Σ ‖w‖² + ‖v‖², what M is the difference of."""
        v = self.teacher[0]
        return self.output_scale * float(np.sum(students**2)) + float(v @ v)

    def _misfit(self, students: Array) -> tuple[Array, Array]:
        """xᵀMx of the samples, and bounds on its rounding."""
        assert self.samples is not None
        inner, target = self.samples @ students.T, self.samples @ self.teacher[0]
        error = self.output_scale * np.sum(inner**2, axis=1) - target**2
        square = np.sum(self.samples**2, axis=1)
        steps = self.dimension + len(students) + 4
        return error, 2 * steps * EPS * square * self._size(students)

    def _exact(self, students: Array, quantity: str, digits: int | None) -> Array:
        from flowkit.problems.exact_quadratic import evaluate

        scale = Fraction(self.output_scale)
        return evaluate(quantity, students, self.exact_teacher[0], scale, self.samples, digits)
