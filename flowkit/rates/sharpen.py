"""Fits of data with more digits than doubles: the table's answer, or that of the doubles as mpf."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import mpmath

from flowkit.rates.many_digits import Numbers, beyond_doubles, ordinary, right_digits
from flowkit.rates.results import ExponentialFit, Fit
from flowkit.rates.table_fits import Line, exponential_line, power_line

DOUBLES = 15  # digits; with no more than that the doubles answer
NARROWER = 0.1  # than the interval of the doubles, at least
INSIDE = 3.0  # half-widths of that interval in which the answer must lie


def sharpen(fit: Any, data: tuple[Any, ...], factor: float, tolerance: float) -> Any:
    """The fit at the precision of the data (t, y, digits, relative_error, window)."""
    given = beyond_doubles(*data)
    if given is None:
        return fit
    exponential = isinstance(fit, ExponentialFit)
    line = exponential_line(given) if exponential else power_line(given)
    if line is None or not _agrees(fit, line, exponential):
        return _as_mpf(fit)
    return _from_line(fit, line, given, factor, tolerance)


def _agrees(fit: Fit, line: Line, exponential: bool) -> bool:
    """The table gives more digits than doubles, which know more models and contradict nothing."""
    if line.digits <= DOUBLES:
        return False
    low, high = (float(v) for v in fit.interval)
    if not math.isfinite(high - low):
        return False
    slope, middle, half = float(line.slope), (high + low) / 2, (high - low) / 2
    slope = -slope if exponential else slope
    near = abs(slope - middle) <= INSIDE * half + 1e-14 * abs(middle)
    return near and float(line.slope_error) <= NARROWER * half


def _from_line(fit: Fit, line: Line, given: Numbers, factor: float, tolerance: float) -> Fit:
    mp = given.context
    slope, slope_error, level, level_error = (
        mp.make_mpf(x._mpf_) for x in (line.slope, line.slope_error, line.level, line.level_error)
    )
    slope_error, level_error = factor * slope_error, factor * level_error
    exponential = isinstance(fit, ExponentialFit)
    value = -slope if exponential else slope
    allowed = tolerance * abs(value) if exponential else tolerance
    ok = slope_error <= allowed
    correction = f"exp(-{line.power:.3g} t)" if exponential else "1/t"
    digits = right_digits(value, slope_error)
    return replace(
        fit, **{fit._value: ordinary(value)},
        interval=(ordinary(value - slope_error), ordinary(value + slope_error)),
        prefactor=ordinary(mp.exp(level)), log_prefactor=ordinary(level),
        prefactor_interval=(
            ordinary(mp.exp(level - level_error)), ordinary(mp.exp(level + level_error))
        ),
        window=line.window, n_points=line.points, status="converged" if ok else "undecided",
        correction=f"{correction} and its powers", digits=digits,
        message=f"limit of the local slope known to {float(slope_error):.0e}, {digits} digits",
    )  # fmt: skip


def _as_mpf(fit: Fit) -> Fit:
    """The same numbers as mpf; no more digits than the interval leaves."""
    name = fit._value
    value, low, high = (mpmath.mpf(v) for v in (getattr(fit, name), *fit.interval))
    first, second = (mpmath.mpf(v) for v in fit.prefactor_interval)
    return replace(
        fit, **{name: value}, interval=(low, high), prefactor=mpmath.mpf(fit.prefactor),
        log_prefactor=mpmath.mpf(fit.log_prefactor), prefactor_interval=(first, second),
        digits=min(15, right_digits(value, max(high - value, value - low))),
    )  # fmt: skip
