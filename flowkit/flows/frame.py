"""Exact reduction to the span of teachers and students, the first axis along the first teacher.

Near the minimum a student is w = h v̄ + b with ‖b‖ ≪ h.  Stored in input coordinates, b is lost to
the rounding of h v̄; stored as (h, b) it keeps its own relative accuracy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flowkit.problems.pairs import residual

Array = np.ndarray


@dataclass(frozen=True)
class Frame:
    """Orthonormal rows (D, d), the first v̄₁, D = min(d, n + k), and teachers in it (k, D)."""

    basis: Array
    teachers: Array

    def lift(self, vectors: Array) -> Array:
        """Coordinates (…, D) back to inputs (…, d)."""
        return vectors @ self.basis


def reduce(students: Array, teachers: Array, sizes: Array) -> tuple[Frame, Array, Array]:
    """Frame of the flow, its residual r (D,) and its students (N, D), `sizes` equal ones a row.

    The flow stays in the span, and along v̄ and across it every vector keeps its relative accuracy:
    r is summed exactly from the given doubles, and the projections are compensated.
    """
    n, k = len(students), len(teachers)
    r = residual(np.repeat(students, sizes, axis=0), teachers)
    axis = teachers[0] / np.linalg.norm(teachers[0])
    vectors = np.vstack([teachers[1:], students, r[None, :]])
    along, across = project(vectors, teachers[0])
    rows = complement(axis, across[: n + k - 1])
    coordinates = np.column_stack([along, across @ rows.T])
    first = np.zeros((1, 1 + len(rows)))
    first[0, 0] = np.linalg.norm(teachers[0])
    frame = Frame(np.vstack([axis, rows]), np.vstack([first, coordinates[: k - 1]]))
    return frame, coordinates[-1], coordinates[k - 1 : -1]


def complement(axis: Array, vectors: Array) -> Array:
    """Orthonormal rows orthogonal to `axis` that span `vectors`."""
    d = len(axis)
    if np.count_nonzero(axis) == 1 and d - 1 <= len(vectors):
        return np.delete(np.eye(d), np.flatnonzero(axis)[0], axis=0)
    if d - 1 <= len(vectors):
        return np.linalg.qr(axis[:, None], mode="complete")[0][:, 1:].T
    return np.linalg.qr(np.vstack([axis, vectors]).T)[0][:, 1:].T


def project(vectors: Array, axis: Array) -> tuple[Array, Array]:
    """Components (N,) along `axis` and the rest (N, d), each to full relative accuracy.

    The rest of a nearly parallel vector is a difference of nearly equal numbers, so c·axis is
    subtracted with its rounding error (T. J. Dekker, Numer. Math. 18, 1971), and once more.
    """
    square = axis @ axis
    coefficient = vectors @ axis / square
    product, error = two_product(coefficient[:, None], axis[None, :])
    rest = (vectors - product) - error
    correction = rest @ axis / square
    rest = rest - correction[:, None] * axis
    return (coefficient + correction) * np.linalg.norm(axis), rest


def two_product(x: Array, y: Array) -> tuple[Array, Array]:
    """fl(x y) and the rounding error x y − fl(x y), exactly."""
    product = x * y
    x_high, x_low = _halves(x)
    y_high, y_low = _halves(y)
    error = ((x_high * y_high - product) + x_high * y_low + x_low * y_high) + x_low * y_low
    return product, error


def _halves(x: Array) -> tuple[Array, Array]:
    shifted = x * 134217729.0  # 2^27 + 1
    high = shifted - (shifted - x)
    return high, x - high
