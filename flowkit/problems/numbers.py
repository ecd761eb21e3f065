"""Numbers as the exact rationals that they are: 0.1 is a double, "0.1" is a tenth."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from fractions import Fraction
from math import lcm
from typing import Any

import numpy as np

Array = np.ndarray
LARGEST = 5000  # decimal exponent


def rational(x: Any) -> Fraction:
    """The exact value of a float, integer, decimal string, Fraction, mpmath or SymPy number.

    Raises
    ------
    ValueError, TypeError, OverflowError
        Not a finite real rational number.
    """
    if isinstance(x, str) and "/" not in x:
        try:
            x = Decimal(x)
        except InvalidOperation:
            raise ValueError(f"not a number: {x!r}") from None
    if isinstance(x, Decimal) and x.is_finite() and abs(x.adjusted()) > LARGEST:
        raise ValueError(f"outside 1e±{LARGEST}")
    if isinstance(x, float | str | Decimal | Fraction | int):
        return Fraction(x)
    if hasattr(x, "_mpf_"):
        sign, mantissa, exponent, _ = x._mpf_
        if not mantissa and exponent:
            raise ValueError("not finite")
        if abs(exponent) > 4 * LARGEST:
            raise ValueError(f"outside 1e±{LARGEST}")
        value = Fraction(int(mantissa)) * Fraction(2) ** int(exponent)
        return -value if sign else value
    if isinstance(x, np.integer):
        return Fraction(int(x))
    if isinstance(x, np.floating):
        return Fraction(float(x))
    if getattr(x, "is_Rational", False):
        return Fraction(int(x.p), int(x.q))
    raise TypeError(f"{x!r} is not a rational number")


def parallel(x: Array, y: Array) -> bool:
    """Whether two rows of Fractions lie on one line, exactly; a zero row lies on every one."""
    return bool((x @ x) * (y @ y) == (x @ y) ** 2)


def rationals(values: Any) -> Array:
    """An object array of Fractions."""
    source = np.asarray(values, dtype=object)
    result = np.empty(source.size, dtype=object)
    result[:] = [rational(x) for x in source.ravel()]
    return result.reshape(source.shape)


def integers(values: Array) -> tuple[Array, Fraction]:
    """Integers and a unit with values = integers · unit, exactly."""
    numbers = [rational(x) for x in np.ravel(values)]
    denominator = lcm(*(x.denominator for x in numbers))
    whole = np.empty(len(numbers), dtype=object)
    whole[:] = [x.numerator * (denominator // x.denominator) for x in numbers]
    return whole.reshape(np.shape(values)), Fraction(1, denominator)
