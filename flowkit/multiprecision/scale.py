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
        Change of size 1 in each direction of the basis.
    """

    units: Array

    @classmethod
    def of(cls, jacobian: Array, field: float, size: float) -> GradientScale:
        """From V⁻¹ J V, ‖f‖ and ‖y‖."""
        with np.errstate(divide="ignore"):
            reach = field / np.sqrt((jacobian**2).sum(axis=0))
        return cls(np.minimum(size, reach))

    @property
    def directions(self) -> Array:
        return self.units

    def measure(self, inner: Array, outer: arb_mat, power: int, values: arb_mat) -> float:
        with np.errstate(over="ignore"):
            return float(np.ldexp(np.abs(inner / self.units).max(), power))


@dataclass(frozen=True)
class ComponentScale:
    """Every component counts relative to its own size at the end of the step (or, where that
    happens to be small, a hundredth of its largest size in the step).

    Attributes
    ----------
    floor : float
        No component counts as smaller.
    """

    floor: float

    @property
    def directions(self) -> None:
        return None

    def units(self, values: arb_mat) -> Array:
        """Sizes of the components, from stage values."""
        sizes = np.abs(doubles(values))
        return np.maximum(np.maximum(sizes[-1], 0.01 * sizes.max(axis=0)), self.floor)

    def measure(self, inner: Array, outer: arb_mat, power: int, values: arb_mat) -> float:
        with np.errstate(over="ignore"):
            sizes = np.abs(doubles(outer) / self.units(values)).max()
            return float(np.ldexp(sizes, power))


Scale = GradientScale | ComponentScale
