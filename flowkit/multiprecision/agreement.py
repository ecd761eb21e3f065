"""How far two runs of one flow are apart, and how many digits that leaves of each number."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, log10

import numpy as np
from flint import arb

Array = np.ndarray
CROSSING = 0.5  # decades


@dataclass(frozen=True)
class Agreement:
    """A quantity, and how far two runs are apart in it: decimal logarithms, −inf for zero.

    Attributes
    ----------
    size, gap : ndarray, shape (k,) or (k, N)
    """

    size: Array
    gap: Array

    def digits(self, left: Array, right: Array, size: Array) -> Array:
        """Digits of a value of this size between two places.

        Its error is relative to its size as it is there; but where the value is smaller than at
        both, it may cross zero, and the error does not.
        """
        with np.errstate(invalid="ignore"):
            here = size - np.maximum(self.gap[left], self.gap[right])
            there = np.minimum(*(self.size[k] - self.gap[k] for k in (left, right)))
        crossing = size < np.minimum(self.size[left], self.size[right]) - CROSSING
        found = np.where(crossing, here, there)
        return np.where(np.isnan(found), np.inf, found)  # zero, and no gap


@dataclass(frozen=True)
class Certificate:
    """What two runs say where the steps of the finer one end.

    Attributes
    ----------
    x : ndarray, shape (k,)
        ln(1 + t), increasing.
    loss : Agreement or None
    state : Agreement
    """

    x: Array
    loss: Agreement | None
    state: Agreement

    def digits(self, what: Agreement, x: Array, size: Array, most: int) -> Array:
        """Decimal digits of values at x, at most `most`; none beyond the last place."""
        right = np.clip(np.searchsorted(self.x, x), 0, len(self.x) - 1)
        found = what.digits(np.maximum(right - 1, 0), right, size)
        found[x > self.x[-1] * (1 + 1e-15)] = 0
        return np.clip(np.floor(found), 0, most).astype(int)


def decade(x: arb) -> float:
    """log₁₀ |x|, −inf for 0."""
    mantissa, exponent = x.mid().man_exp()
    whole, shift = abs(int(mantissa)), max(0, int(mantissa).bit_length() - 60)
    if not whole:
        return -inf
    return log10(whole >> shift) + (shift + int(exponent)) * log10(2)
