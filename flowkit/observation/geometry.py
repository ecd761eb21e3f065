"""Lengths and angles of rows, in doubles or in balls, small angles to full relative accuracy."""

from __future__ import annotations

from typing import Any

import numpy as np
from flint import arb

Array = np.ndarray


def _exact(x: Array) -> bool:
    return x.dtype == object


_root = np.frompyfunc(lambda x: x.mid().sqrt().mid(), 1, 1)
_cube_root = np.frompyfunc(lambda x: x.mid().root(3).mid(), 1, 1)
_atan2 = np.frompyfunc(lambda y, x: arb.atan2(y.mid(), x.mid()).mid(), 2, 1)
_middle = np.frompyfunc(lambda x: x.mid() if isinstance(x, arb) else arb(x), 1, 1)


def tidy(x: Array) -> Array:
    """Balls without their radii; doubles as they are."""
    return _middle(x) if _exact(x) else x


def root(x: Array) -> Array:
    """√x."""
    return _root(tidy(x)) if _exact(x) else np.sqrt(x)


def cube_root(x: Array) -> Array:
    """∛x, x ≥ 0."""
    return _cube_root(x) if _exact(x) else np.cbrt(x)


def arctan2(y: Array, x: Array) -> Array:
    """∠ of (x, y)."""
    return _atan2(tidy(y), tidy(x)) if _exact(y) else np.arctan2(y, x)


def lengths(x: Array) -> Array:
    """Norms (…) of rows (…, p), no matter how small they are."""
    if _exact(x):
        return root((x * x).sum(axis=-1)) if x.shape[-1] else tidy(np.full(x.shape[:-1], 0, object))
    largest = np.abs(x).max(axis=-1, initial=0.0)
    scaled = x / np.where(largest > 0, largest, 1.0)[..., None]
    return np.asarray(largest * np.sqrt((scaled * scaled).sum(axis=-1)))


def directions(along: Array, across: Array) -> tuple[Array, Array]:
    """Unit rows (n, 1 + p) of students, and what they differ by from the axis in front of them.

    The difference from e₁, −s²/(1 + c) for a row (c, s), keeps its relative accuracy near the axis.
    A zero row stays zero.
    """
    whole = np.concatenate([along[:, None], across], axis=1)
    norms = lengths(whole)
    units = tidy(whole / np.where(norms > 0, norms, 1)[:, None])
    cosine = units[:, 0]
    square = tidy((units[:, 1:] ** 2).sum(axis=1) + 0 * cosine)
    front = cosine > 0
    offsets = units.copy()
    offsets[:, 0] = np.where(front, -square / (1 + np.where(front, cosine, 0)), cosine - 1)
    return units, tidy(offsets)


def pair_angles(units: Array, offsets: Array) -> Array:
    """(n, n) angles between unit rows, 2 atan2(‖x − y‖, ‖x + y‖) (Kahan 2006, §12)."""
    apart = lengths(offsets[:, None] - offsets[None])
    together = lengths(units[:, None] + units[None])
    return np.asarray(2 * arctan2(apart, together))


def angles_of(rows: Array) -> Array:
    """(n, n) angles between rows (n, p); nan with a zero row, and on the diagonal 0."""
    norms = lengths(rows)
    units = tidy(rows / np.where(norms > 0, norms, 1)[:, None])
    found = pair_angles(units, units)
    gone = np.array([not x > 0 for x in norms])
    found[gone] = nan_like(found)
    found[:, gone] = nan_like(found)
    return found


def nan_like(x: Array) -> Any:
    """Not a number, of the same kind."""
    return arb.nan() if _exact(x) else np.nan
