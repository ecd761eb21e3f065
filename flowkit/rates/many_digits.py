"""Numbers of any precision: what was handed over, and how many of its digits are right.

Everything is computed in a private context; the precision of ``mpmath.mp`` is never touched.
"""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import pairwise
from typing import Any, NamedTuple

import mpmath
import numpy as np

Mpf = Any  # mpmath.mpf; of a private context inside, an ordinary one in results
DOUBLE = 53
EXTENDED = 64  # bits up to which doubles do
EXACT = 333  # bits that are used of integers and fractions
GUARD = 25  # digits of the working precision beyond those of the data


class Numbers(NamedTuple):
    """Points (t, y) in a context of their own, the errors of y, and its best relative accuracy."""

    context: Any
    t: list[Mpf]
    y: list[Mpf]
    noise: list[Mpf]
    digits: float


def ordinary(x: Any) -> Mpf:
    """An ordinary ``mpmath.mpf`` with all bits of a number of a private context."""
    return mpmath.mp.make_mpf(x._mpf_)


def bits(values: Any) -> int:
    """Bits that the numbers carry: 53 for floats, the longest mantissa of mpmath numbers."""
    mantissas = [int(v._mpf_[1]).bit_length() for v in values if hasattr(v, "_mpf_")]
    return max([DOUBLE, *mantissas])


def column(name: str, values: Any) -> list[Any]:
    """A one-dimensional list of whatever the elements are."""
    array = np.asarray(values, dtype=object)
    if array.ndim != 1:
        raise ValueError(f"{name}: must be one-dimensional, got shape {array.shape}")
    return list(array)


def convert(context: Any, name: str, value: Any) -> Mpf:
    """One finite real number in the context, all its bits kept."""
    try:
        if hasattr(value, "_mpf_"):
            x = context.make_mpf(value._mpf_)
        elif isinstance(value, (int, np.integer)):
            x = context.mpf(int(value))
        elif isinstance(value, Fraction):
            x = context.mpf(value.numerator) / value.denominator
        else:
            x = context.mpf(float(value))
    except (TypeError, ValueError):
        raise ValueError(f"{name}: must be real numbers") from None
    if not context.isfinite(x):
        raise ValueError(f"{name}: contains NaN or inf")
    return x


def accuracies(digits: Any, y: list[Any]) -> list[float]:
    """Right digits of every y; without ``digits`` all bits are believed."""
    known = DOUBLE if any(isinstance(v, (float, np.floating)) for v in y) else bits(y)
    if all(isinstance(v, (int, np.integer, Fraction)) for v in y):
        known = EXACT
    most = known * math.log10(2)
    if digits is None:
        return [most] * len(y)
    try:
        array = np.asarray(digits, dtype=float)
        array = np.full(len(y), array) if array.ndim == 0 else array
    except (TypeError, ValueError):
        raise ValueError("digits: must be numbers") from None
    if array.shape != (len(y),):
        raise ValueError(f"digits: has shape {array.shape} but y has {len(y)} elements")
    if np.isnan(array).any() or (array < 0).any():
        raise ValueError("digits: contains NaN or negative numbers")
    return [float(d) for d in np.minimum(array, most if known == DOUBLE else most + 3)]


def numbers(t: Any, y: Any, digits: Any, power: Any) -> Numbers:
    """Check and convert t, y; y becomes t**power * y.  t = 0 is dropped."""
    times, values = column("t", t), column("y", y)
    if len(values) != len(times):
        raise ValueError(f"y: has {len(values)} elements but t has {len(times)}")
    right = accuracies(digits, values)
    context = mpmath.MPContext()
    best = max(right, default=0.0)
    context.prec = int((best + GUARD) / math.log10(2)) + 1
    times = [convert(context, "t", v) for v in times]
    values = [convert(context, "y", v) for v in values]
    if any(b <= a for a, b in pairwise(times)) or (times and times[0] < 0):
        raise ValueError("t: must be nonnegative and strictly increasing")
    exponent = convert(context, "power", power)
    kept = [(a, b, d) for a, b, d in zip(times, values, right, strict=True) if a > 0]
    scaled = [b * a**exponent if exponent else b for a, b, _ in kept]
    errors = [abs(b) * context.mpf(10) ** -d for b, (*_, d) in zip(scaled, kept, strict=True)]
    return Numbers(context, [a for a, *_ in kept], scaled, errors, best)


def flow_digits(flow: Any) -> Any:
    """Right digits of the losses of a flow, None if it does not tell."""
    digits = getattr(flow, "loss_digits", None)
    return _from_errors(getattr(flow, "loss_error", None)) if digits is None else digits


def _from_errors(relative_error: Any) -> Any:
    if relative_error is None:
        return None
    with np.errstate(divide="ignore"):
        return np.maximum(0.0, -np.log10(np.abs(np.asarray(relative_error, dtype=float))))


def beyond_doubles(t: Any, y: Any, digits: Any, relative_error: Any, window: Any) -> Numbers | None:
    """The positive points in the window, if y has digits that doubles have not; checked before."""
    if y is None:
        digits = flow_digits(t) if digits is None and relative_error is None else digits
        t, y = t.t, t.loss
    values = column("y", y)
    if any(isinstance(v, (float, np.floating)) for v in values) or bits(values) <= EXTENDED:
        return None
    digits = _from_errors(relative_error) if digits is None else digits
    right = accuracies(digits, values)
    if max(right) * math.log2(10) <= EXTENDED:
        return None
    low, high = (0, math.inf) if window is None else window
    rows = zip(column("t", t), values, right, strict=True)
    kept = [row for row in rows if row[1] > 0 and low <= row[0] <= high]
    times, values, right = ([row[i] for row in kept] for i in range(3))
    return numbers(times, values, right, 0)


def right_digits(value: Mpf, error: Mpf) -> int:
    """Decimal digits of a value that an error leaves, never rounded up."""
    context = mpmath.MPContext()
    value, error = abs(context.make_mpf(value._mpf_)), context.make_mpf(error._mpf_)
    if not value or not context.isfinite(error) or error >= value:
        return 0
    if not error:
        return int(context.dps)
    return int(context.floor(context.log10(value / error)))


def text(value: Mpf, digits: int) -> str:
    """The value with so many digits, and no more."""
    return str(mpmath.nstr(value, max(1, digits), strip_zeros=False))
