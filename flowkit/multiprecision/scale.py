"""In what units an error counts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from flint import arb_mat

from flowkit.multiprecision.stages import doubles

Array = np.ndarray


@dataclass(frozen=True)
class GradientScale:
    """A gradient flow near its end: an error e counts by what it changes, ‖J e‖ against ‖f‖.

    Attributes
    ----------
    units : ndarray, shape (N,)
        Change of size 1 in each direction of the basis, in units of 2^power.
    power : int
    """

    units: Array
    power: int

    @property
    def directions(self) -> Array:
        return self.units

    def measure(self, inner: Array, outer: arb_mat, power: int, values: arb_mat) -> float:
        with np.errstate(over="ignore"):
            return float(np.ldexp(np.abs(inner / self.units).max(), power - self.power))


@dataclass(frozen=True)
class ComponentScale:
    """Every component counts relative to its own size at the end of the step (or, where that
    happens to be small, a hundredth of its largest size in the step).

    Attributes
    ----------
    floor : float
        No component counts as smaller, in units of 2^power.
    power : int
    """

    floor: float
    power: int

    @property
    def directions(self) -> None:
        return None

    def units(self, values: arb_mat) -> Array:
        """Sizes of the components, from stage values."""
        sizes = np.abs(doubles(values, -self.power))
        return np.maximum(np.maximum(sizes[-1], 0.01 * sizes.max(axis=0)), self.floor)

    def measure(self, inner: Array, outer: arb_mat, power: int, values: arb_mat) -> float:
        with np.errstate(over="ignore"):
            sizes = np.abs(doubles(outer) / self.units(values)).max()
            return float(np.ldexp(sizes, power - self.power))


Scale = GradientScale | ComponentScale


def reach(jacobian: Array, force: float, size: float) -> Array:
    """How far y must move in each direction to change f by ‖f‖, at most ‖y‖."""
    if force == 0:
        return np.full(len(jacobian), size)
    with np.errstate(divide="ignore"):
        return np.minimum(size, force / np.sqrt((jacobian**2).sum(axis=0)))
