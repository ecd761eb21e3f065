"""Asymptotic decay rates, with honest intervals, from one computed run.

``fit_power_law`` finds p in y ~ C t**p, ``fit_exponential`` finds r in y ~ C exp(-r t) and
``fit_rate`` says which of the two it is.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flowkit.rates.extrapolation import (
    EXPONENTIAL_MODELS,
    POWER_MODELS,
    Estimate,
    Points,
    correction_text,
    estimate,
)
from flowkit.rates.results import ExponentialFit, Fit, PowerLawFit, RateDecision
from flowkit.rates.series import Series, read
from flowkit.rates.sharpen import sharpen

Array = NDArray[np.float64]
UNDECIDED = 3.0  # further factor on the interval of undecided fits


def _level_factor(level: float) -> float:
    if not 0 < level < 1:
        raise ValueError("level: must lie between 0 and 1")
    return NormalDist().inv_cdf((1 + level) / 2) / NormalDist().inv_cdf(0.975)


def _common(
    found: Estimate, given: Series, factor: float, ok: bool, reason: str
) -> tuple[Array, dict[str, Any]]:
    """Interval of p and the fields both results share."""
    mid, first = found.best.value, found.best.first
    fall = given.log_y[first] - given.log_y[-1]
    factor *= 1.0 if ok else UNDECIDED
    ends = mid + factor * np.array([found.lower - mid, found.upper - mid])
    if fall < math.log(2):  # a plateau tells nothing about what follows
        ends, reason = np.array([[-np.inf] * 2, [np.inf] * 2]), "y does not even halve (plateau?)"
    with np.errstate(over="ignore"):
        prefactor, interval = float(np.exp(mid[1])), np.exp(ends[:, 1])
    return ends[:, 0], {
        "prefactor": prefactor,
        "prefactor_interval": (float(interval[0]), float(interval[1])),
        "log_prefactor": float(mid[1]),
        "window": (float(given.t[first]), float(given.t[-1])),
        "n_points": len(given.t) - first,
        "status": "converged" if ok else "undecided",
        "message": "; ".join(filter(None, [reason, given.note])),
        "t": given.t,
        "log_y": given.log_y,
    }


def fit_power_law(
    t: Any,
    y: Any = None,
    *,
    relative_error: ArrayLike | None = None,
    digits: ArrayLike | None = None,
    slope: ArrayLike | None = None,
    window: tuple[float, float] | None = None,
    level: float = 0.95,
    tolerance: float = 2e-3,
) -> PowerLawFit:
    """Exponent p and prefactor C of y ~ C t**p for t -> infinity.

    Parameters
    ----------
    t : (n,) array_like or flow
        Times, strictly increasing; t = 0 is dropped.  A flow object (arrays ``t``, ``loss``,
        ``loss_error``, ``local_slope``, perhaps ``loss_digits``) stands for t, y,
        relative_error, slope and digits.
    y : (n,) array_like
        Positive values, n >= 8; mpmath numbers are allowed.  Trailing zeros are dropped.
    relative_error : float or (n,) array_like, optional
        Relative accuracy of y, taken as a bound.  Without it the residuals are used, which
        cannot show an error that itself grows like ln t: give it if you know it.
    digits : float or (n,) array_like, optional
        The same as the number of right decimal digits.
    slope : (n,) array_like, optional
        Exact d ln y / d ln t, fitted together with y.
    window : (t_lo, t_hi), optional
        Use all of these points instead of an automatic window.
    level : float
        The half-widths are calibrated for 0.95 and scaled like normal quantiles for others.
    tolerance : float
        Largest half-width of the exponent that counts as converged.

    Returns
    -------
    PowerLawFit
        "converged" if the half-width is at most `tolerance` and within the window y halves and
        t grows by a decade; else "undecided" with an interval three times as wide.  Its numbers
        are ``mpmath.mpf`` if y has more digits than doubles.

    Raises
    ------
    ValueError
        Names the offending argument.

    Notes
    -----
    The interval covers corrections 1/t, log t/t, their squares and up to three powers t^-q, and
    what resembles them.  An approach like 1/log t is slower than every t^-q: its interval may
    be too narrow by a small factor.  A regime that starts after the last point cannot be seen.

    Numbers y of more than 19 digits are also put into tables of divided differences that are
    free of 1/t, 1/t^2, ..., at their own precision.  The answer of a table is returned if it has
    more than 15 digits, changes in the table fall as fast as only those corrections let them, and
    the doubles do not contradict; else the answer of the doubles.

    References
    ----------
    C. Brezinski and M. Redivo Zaglia, Extrapolation Methods, North-Holland, 1991.
    """
    given = read(t, y, relative_error, slope, window, positive=True, digits=digits)
    factor, exact = _level_factor(level), (t, y, digits, relative_error, window)
    x, s, sigma = np.log(given.t), given.slope, given.sigma
    slope_sigma = sigma if s is None else sigma * np.maximum(1, np.abs(s))
    data = Points(x, given.log_y, sigma, s, slope_sigma, given.blind)
    found = estimate(data, POWER_MODELS, math.log(10), window is not None)
    first, half = found.best.first, factor * float(found.upper[0] - found.lower[0]) / 2
    ok, reason = True, f"limit of the local slope known to {half:.0e}"
    if x[-1] - x[first] < math.log(10) * (1 - 1e-9):
        ok, reason = False, "run too short: less than one decade of t"
    elif given.log_y[first] - given.log_y[-1] < math.log(2) or not half <= tolerance:
        local = np.gradient(given.log_y, x) if s is None else s
        drift = abs(local[-1] - np.interp(x[-1] - math.log(10), x, local))
        ok, reason = False, f"run too short: the local slope still drifts by {drift:.0e} per decade"
        reason += f" and its limit is uncertain by {half:.0e}"
    (low, high), common = _common(found, given, factor, ok, reason)
    fit = PowerLawFit(
        exponent=float(found.best.value[0]), interval=(float(low), float(high)),
        correction=correction_text(found.best, True), **common,
    )  # fmt: skip
    result: PowerLawFit = sharpen(fit, exact, factor, tolerance)
    return result


def fit_exponential(
    t: Any,
    y: Any = None,
    *,
    relative_error: ArrayLike | None = None,
    digits: ArrayLike | None = None,
    slope: ArrayLike | None = None,
    window: tuple[float, float] | None = None,
    level: float = 0.95,
    tolerance: float = 2e-3,
) -> ExponentialFit:
    """Rate r and prefactor C of y ~ C exp(-r t) for t -> infinity.

    Parameters are those of `fit_power_law`, except that t = 0 is kept unless `slope` is given
    and that `tolerance` is relative to the rate.

    Returns
    -------
    ExponentialFit
        "converged" if the half-width is at most `tolerance` times the rate and y falls by e**5
        or more within the window; else "undecided" with an interval three times as wide.

    Raises
    ------
    ValueError
        Names the offending argument.

    Notes
    -----
    Corrections are up to three terms exp(-q t), exp(-2 q t), ... with free q.  Algebraic factors
    such as t**-1.5 are not modelled; they widen the interval.
    """
    given = read(t, y, relative_error, slope, window, positive=False, digits=digits)
    factor, exact = _level_factor(level), (t, y, digits, relative_error, window)
    s, slope_sigma = given.slope, given.sigma
    if s is not None:
        s, slope_sigma = s / given.t, given.sigma * np.maximum(1, np.abs(s)) / given.t
    data = Points(given.t, given.log_y, given.sigma, s, slope_sigma, given.blind)
    found = estimate(data, EXPONENTIAL_MODELS, 0.0, window is not None)
    rate, half = -float(found.best.value[0]), factor * float(found.upper[0] - found.lower[0]) / 2
    fall = given.log_y[found.best.first] - given.log_y[-1]
    ok, reason = True, f"limit of the local rate known to {half:.0e}"
    if fall < 5:
        ok, reason = False, f"y falls only by a factor {math.exp(fall):.3g} within the window"
    elif not half <= tolerance * rate:
        ok, reason = False, "not exponential, or run too short: rate uncertain by "
        reason += f"{half / max(abs(rate), 1e-300):.0e} of its value"
    (low, high), common = _common(found, given, factor, ok, reason)
    fit = ExponentialFit(
        rate=rate, interval=(-float(high), -float(low)),
        correction=correction_text(found.best, False), **common,
    )  # fmt: skip
    result: ExponentialFit = sharpen(fit, exact, factor, tolerance)
    return result


def _half_width(fit: Fit) -> float:
    return float((fit.interval[1] - fit.interval[0]) / 2)


def fit_rate(t: Any, y: Any = None, **keywords: Any) -> RateDecision:
    """Decide whether y decays like a power of t or exponentially.

    Parameters are those of `fit_power_law`.

    Returns
    -------
    RateDecision
        A law is chosen only if its fit is converged and its relative half-width is at most a
        tenth of that of the other law.

    Raises
    ------
    ValueError
        Names the offending argument.
    """
    power, exponential = fit_power_law(t, y, **keywords), fit_exponential(t, y, **keywords)
    fits: dict[str, Fit] = {"power law": power, "exponential": exponential}
    values = {"power law": power.exponent, "exponential": exponential.rate}
    widths = {
        kind: min(1.0, _half_width(fit) / max(abs(float(values[kind])), 1e-300))
        for kind, fit in fits.items()
    }
    kind, other = sorted(widths, key=lambda name: widths[name])
    confidence = 1 - widths[kind] / widths[other]
    if fits[kind].status != "converged" or confidence < 0.9:
        kind, confidence = "undecided", 0.0
        message = f"power law: {power.message}; exponential: {exponential.message}"
    else:
        message = (
            f"relative uncertainty {widths[kind]:.0e} as {kind}, {widths[other]:.0e} as {other}"
        )
    return RateDecision(kind, confidence, power, exponential, message)
