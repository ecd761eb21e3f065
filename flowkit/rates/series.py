"""The data of a fit: times, logarithms of the values, their accuracy, checked and cleaned."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
MIN_POINTS = 8
ROUNDING = 4e-16


def _log_values(y: Any) -> Array:
    """ln y as floats; -inf for 0, nan for negative; mpmath numbers may be far below 1e-308."""
    if np.ndim(y) == 1 and any(hasattr(v, "_mpf_") for v in y):
        import mpmath

        logs = [mpmath.log(v) if v > 0 else (-np.inf if v == 0 else np.nan) for v in y]
        return np.array(logs, dtype=float)
    array = _vector("y", y)
    if np.isinf(array).any():
        raise ValueError("y: contains inf")
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.log(array))


def _vector(name: str, values: Any) -> Array:
    try:
        array = np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        raise ValueError(f"{name}: must be numbers") from None
    if array.ndim != 1:
        raise ValueError(f"{name}: must be one-dimensional, got shape {array.shape}")
    return array


def _column(name: str, values: Any) -> Any:
    """Nonnegative numbers, one or one for each point."""
    array = _vector(name, [values] if np.ndim(values) == 0 else values)
    if np.isnan(array).any() or (array < 0).any():
        raise ValueError(f"{name}: contains NaN or negative numbers")
    return array[0] if np.ndim(values) == 0 else array


class Series(NamedTuple):
    t: Array
    log_y: Array
    sigma: Array
    slope: Array | None
    blind: bool
    note: str


def read(
    t: Any, y: Any, relative_error: Any, slope: Any, window: Any, positive: bool, digits: Any = None
) -> Series:
    """Check and clean the arguments; ``positive`` drops t = 0."""
    if digits is not None:
        if relative_error is not None:
            raise ValueError("digits: give either digits or relative_error")
        relative_error = 10.0 ** -_column("digits", digits)
    if y is None:
        if not hasattr(t, "loss"):
            raise ValueError("y: missing (only a flow object may stand alone)")
        flow, t, y = t, t.t, t.loss
        relative_error = flow.loss_error if relative_error is None else relative_error
        if slope is None and getattr(flow, "slope_is_exact", True):
            slope = flow.local_slope
    t, z = _vector("t", t), _log_values(y)
    if len(z) != len(t):
        raise ValueError(f"y: has {len(z)} elements but t has {len(t)}")
    columns = {"t": t, "y": z}
    for name, given in (("relative_error", relative_error), ("slope", slope)):
        if given is not None:
            array = _vector(name, np.full(len(t), given) if np.ndim(given) == 0 else given)
            if len(array) != len(t):
                name = name if digits is None else "digits"
                raise ValueError(f"{name}: has {len(array)} elements but t has {len(t)}")
            columns[name] = array
    if np.isnan(z).any():
        raise ValueError("y: contains NaN or negative values")
    if not np.isfinite(t).all() or (np.diff(t) <= 0).any() or (t < 0).any():
        raise ValueError("t: must be finite, nonnegative and strictly increasing")
    nonzero = int(np.flatnonzero(np.isfinite(z)).max(initial=-1)) + 1
    note = f"{len(z) - nonzero} trailing zeros of y dropped" if nonzero < len(z) else ""
    if not np.isfinite(z[:nonzero]).all():
        raise ValueError("y: contains zeros before its last positive value")
    keep = (np.arange(len(t)) < nonzero) & ((t > 0) | (not positive and slope is None))
    if window is not None:
        if np.shape(window) != (2,) or not window[0] < window[1]:
            raise ValueError("window: must be (t_lo, t_hi) with t_lo < t_hi")
        keep &= (t >= window[0]) & (t <= window[1])
    if keep.sum() < MIN_POINTS:
        raise ValueError(f"t: {keep.sum()} usable points, at least {MIN_POINTS} are needed")
    columns = {name: array[keep] for name, array in columns.items()}
    for name in ("relative_error", "slope"):
        if name in columns and not np.isfinite(columns[name]).all():
            raise ValueError(f"{name}: contains NaN or inf")
    sigma = np.abs(columns.get("relative_error", np.zeros(keep.sum())))
    z = columns["y"]
    with np.errstate(over="ignore"):  # subnormal y have lost digits; mpmath numbers have not
        lost = 0.0 if z.min() < -745 else 5e-324 * np.exp(np.minimum(-z, 744.0))
    sigma = np.maximum(sigma + lost, ROUNDING * np.maximum(1.0, np.abs(z) / 2))
    return Series(columns["t"], z, sigma, columns.get("slope"), relative_error is None, note)
