"""The linear systems of one step, in doubles:  (D ⊗ I − blockdiag(J_1, …, J_s)) x = r.

In the basis that they are written in, the J_k of a gradient flow are nearly diagonal, however
different their entries are in size.  Without the rest R_k of J_k the directions decouple into
systems D − diag_k(J_k,jj) of s unknowns each, P for short, and what is left, 1 − P⁻¹ R, is solved
by GMRES in a few iterations.  Where these do not come to an end, and for other flows, the whole
matrix is factorised.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np
from scipy.linalg import LinAlgError
from scipy.linalg.lapack import dgetrf, dgetrs

Array = np.ndarray

MOST = 40  # iterations of GMRES
DONE, ENOUGH = 2e-15, 1e-9  # residuals: no smaller one is sought; no larger one is taken
BREAKDOWN = 1e-6  # an operator that takes so much away from a residual is far from the identity
LARGEST = 8000  # unknowns of a matrix that is factorised (half a gigabyte)


class StageSystem:
    """(D ⊗ I − blockdiag(J_k)) x = r for one matrix and several right-hand sides.

    Parameters
    ----------
    D : ndarray, shape (s, s)
    jacobians : ndarray, shape (s, N, N)
    units : ndarray, shape (N,), or None
        What counts as 1 in each direction; None if the J_k are not nearly diagonal.

    Raises
    ------
    LinAlgError
        A singular matrix (here or in `solve`), or no convergence and too many unknowns.
    """

    def __init__(self, D: Array, jacobians: Array, units: Array | None = None) -> None:
        self.D, self.jacobians, self.units = D, jacobians, units
        if units is not None:
            diagonal = np.einsum("kjj->jk", jacobians)
            self.decoupled = np.linalg.inv(D - diagonal[:, None, :] * np.eye(len(D)))
            self.rest = jacobians * (units / units[:, None])
            np.einsum("kjj->kj", self.rest)[:] = 0.0

    def solve(self, right: Array) -> Array:
        """x, shape (s, N)."""
        if self.units is not None:
            start = self._alone(right / self.units)
            size = np.abs(start).max()  # its square may be too large for a double
            found = gmres(lambda z: z - self._alone(self._coupled(z)), start / size)
            if found is not None:
                return found * (self.units * size)
        return self._direct(right)

    def _alone(self, right: Array) -> Array:
        """P⁻¹ r, the directions each for itself."""
        return (self.decoupled @ right.T[:, :, None])[:, :, 0].T

    def _coupled(self, z: Array) -> Array:
        """R z, the stages each for itself."""
        return (self.rest @ z[:, :, None])[:, :, 0]

    def _direct(self, right: Array) -> Array:
        row_scale, lu, pivots = self._factors
        scaled = right.ravel() * row_scale
        return dgetrs(lu, pivots, scaled, trans=1)[0].reshape(right.shape)

    @cached_property
    def _factors(self) -> tuple[Array, Array, Array]:
        """Row scaling and LU factors of the whole matrix."""
        s, size = self.jacobians.shape[:2]
        if s * size > LARGEST:
            raise LinAlgError("the linear system is too large to be factorised")
        matrix = np.zeros((s, size, s, size))
        for i in range(size):
            matrix[:, i, :, i] = self.D
        for k in range(s):
            matrix[k, :, k, :] -= self.jacobians[k]
        square = matrix.reshape(s * size, s * size)
        row_scale = 1 / np.abs(square).max(axis=1)
        square *= row_scale[:, None]
        # The transpose is what LAPACK can overwrite without a copy.
        lu, pivots, failed = dgetrf(square.T, overwrite_a=1)
        if failed:
            raise LinAlgError("the linear system is singular")
        return row_scale, lu, pivots


def gmres(operator: Callable[[Array], Array], right: Array) -> Array | None:
    """x with operator(x) = right to rounding, or as close as ENOUGH; None if that fails.

    Generalised conjugate residuals, which are GMRES but for breakdowns, and those need an operator
    far from the identity.

    Reference: S. C. Eisenstat, H. C. Elman, M. H. Schultz, SIAM J. Numer. Anal. 20 (1983) 345–357.
    """
    x, residual = np.zeros(right.size), right.ravel()
    length = size = np.linalg.norm(residual)
    directions, images = np.empty((2, MOST, right.size))
    for k in range(MOST):
        if not size > DONE * length:
            break
        direction, image = residual, operator(residual.reshape(right.shape)).ravel()
        for _ in range(2):
            parts = images[:k] @ image
            image = image - parts @ images[:k]
            direction = direction - parts @ directions[:k]
        norm = np.linalg.norm(image)
        if not norm > BREAKDOWN * size:
            return None
        directions[k], images[k] = direction / norm, image / norm
        share = images[k] @ residual
        x += share * directions[k]
        residual = residual - share * images[k]
        size = np.linalg.norm(residual)
    found = x.reshape(right.shape)
    return found if np.linalg.norm(right - operator(found)) <= ENOUGH * length else None
