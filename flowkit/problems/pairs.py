"""The pair functions of `symbolic.pairs`, lowered once each, and pair angles."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from math import fsum
from typing import Any, NamedTuple

import numpy as np

SAFE = 1e-280  # squares beyond this range are scaled first
BLOCK = 1 << 21  # doubles held at once when pair differences are formed

Array = np.ndarray


class PairFunctions(NamedTuple):
    """Callables of the angle θ; see `symbolic.pairs` for what each multiplies."""

    remainder: Callable[[Any], list[Any]]  # [R]
    gradient: Callable[[Any], list[Any]]  # [u, q]
    hessian: Callable[[Any], list[Any]]  # [ν, ω]


@cache
def pair_functions(arithmetic: str) -> PairFunctions:
    """Lower R, (u, q) and (ν, ω) to "numpy" or "arb"."""
    from symbolic import pairs as source
    from symbolic.gaussian import THETA
    from symbolic.lower import lower

    forms = ([source.REMAINDER], source.pair_gradient().result, source.pair_hessian().result)
    return PairFunctions(*(lower(form, [THETA], arithmetic) for form in forms))


def polar(vectors: Array) -> tuple[Array, Array]:
    """Norms (N,) and unit rows (N, d); a zero row keeps norm 0 and unit 0.  Never overflows."""
    square = np.einsum("ij,ij->i", vectors, vectors)
    if square.size and square.min() > SAFE and square.max() < 1 / SAFE:
        norms = np.sqrt(square)
        return norms, vectors / norms[:, None]
    largest = np.abs(vectors).max(axis=1, initial=0.0)
    scaled = vectors / np.where(largest > 0, largest, 1.0)[:, None]
    norms = np.sqrt(np.einsum("ij,ij->i", scaled, scaled))
    units = scaled / np.where(norms > 0, norms, 1.0)[:, None]
    return norms * largest, units


def residual(students: Array, teachers: Array) -> Array:
    """r = Σ w_i − Σ v_k, shape (d,), each entry the exact sum rounded once."""
    everything = np.vstack([students, -teachers])
    used = np.flatnonzero(everything.any(axis=0))
    r = np.zeros(everything.shape[1])
    r[used] = [fsum(column) for column in everything.T[used].tolist()]
    return r


def angles(left: Array, right: Array) -> Array:
    """Angles (N, M) between unit rows, 2 atan2(‖x − y‖, ‖x + y‖): accurate near 0 and near π.

    Reference: W. Kahan, "How futile are mindless assessments of roundoff", 2006, §12.
    """
    rows = max(1, BLOCK // max(1, right.size))
    parts = []
    for start in range(0, len(left), rows):
        x = left[start : start + rows, None, :]
        parts.append(2 * np.arctan2(lengths(x - right), lengths(x + right)))
    return np.concatenate(parts)


def lengths(x: Array) -> Array:
    """Norms (N, M) of vectors (N, M, d)."""
    return np.sqrt(np.einsum("ijk,ijk->ij", x, x))
