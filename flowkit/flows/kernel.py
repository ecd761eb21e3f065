"""Sums over pairs: the gradient and the value of Σ_{a<b} c_a c_b ‖a‖‖b‖ R(θ_ab).

A direction is stored as its offset from the first axis, o = ā − e₁, so that z = ‖o_a − o_b‖²/4 =
sin²(θ/2) keeps its accuracy when all directions are close to the axis.  Few neurons: differences
pair by pair.  Many: z from a Gram matrix of the offsets, with an error of rounding times ‖o‖².
Both cost about 5 to 10 ns a pair (tests/benchmarks/kernel.py).
"""

from __future__ import annotations

from math import pi, sqrt

import numpy as np

from flowkit.flows.compiled import COMPILED, compiled, vectorised
from flowkit.flows.pair_polynomials import ANGLE, DEFECT, REACH, REMAINDER

Array = np.ndarray

TERMS = len(ANGLE) - 1
TWO_PI = 2 * pi
# From so many neurons on, matrix products beat differences.
MANY = 16
SAFE = 1e-280
TINY = 1e-300


@compiled
def polar(vectors: Array, flip: Array, norms: Array, units: Array, offsets: Array) -> None:
    """Norms, unit rows times `flip` (±1), and their offsets from the first axis.

    Parameters
    ----------
    vectors, units, offsets : (N, D)
    flip, norms : (N,)
    """
    count, dim = vectors.shape
    for i in range(count):
        square = 0.0
        for p in range(dim):
            square += vectors[i, p] * vectors[i, p]
        factor = 1.0
        if not SAFE < square < 1 / SAFE:
            factor = 0.0
            for p in range(dim):
                factor = max(factor, abs(vectors[i, p]))
            square = 0.0
            for p in range(dim):
                ratio = vectors[i, p] / max(factor, TINY)
                square += ratio * ratio
        norms[i] = factor * sqrt(square)
        across = 0.0
        scale = flip[i] / max(norms[i], TINY)
        for p in range(dim):
            units[i, p] = scale * vectors[i, p]
            offsets[i, p] = units[i, p]
            if p > 0:
                across += units[i, p] * units[i, p]
        along = units[i, 0]
        offsets[i, 0] = -across / (1 + along) if along > 0 else along - 1


@vectorised
def _polynomials(z: Array, largest: float, angle: Array, defect: Array) -> None:
    """Those of the angle and the defect at min(z, 1 − z), two terms a pass."""
    count = len(z)
    terms = 0
    while terms < TERMS - 1 and REACH[terms] < largest:
        terms += 1
    terms += 1
    for j in range(count):
        angle[j] = ANGLE[terms]
        defect[j] = DEFECT[terms]
    if terms % 2 == 1:
        terms -= 1
        for j in range(count):
            x = min(z[j], 1 - z[j])
            angle[j] = angle[j] * x + ANGLE[terms]
            defect[j] = defect[j] * x + DEFECT[terms]
    for k in range(terms - 2, -1, -2):
        for j in range(count):
            x = min(z[j], 1 - z[j])
            angle[j] = (angle[j] * x + ANGLE[k + 1]) * x + ANGLE[k]
            defect[j] = (defect[j] * x + DEFECT[k + 1]) * x + DEFECT[k]


@vectorised
def angle_and_defect(z: Array, largest: float, angle: Array, defect: Array) -> None:
    """θ/2π and (sin θ − θ)/2π of the row z, entries at most `largest`."""
    count = len(z)
    _polynomials(z, largest, angle, defect)
    if largest <= 0.5:
        for j in range(count):
            root = sqrt(z[j])
            angle[j] *= root / TWO_PI
            defect[j] *= root * z[j] / TWO_PI
        return
    for j in range(count):
        x = min(z[j], 1 - z[j])
        root = sqrt(x)
        near = angle[j] * root
        far = pi - near
        wide = z[j] > 0.5
        small = defect[j] * root * x
        angle[j] = (far if wide else near) / TWO_PI
        defect[j] = (2 * root * sqrt(max(z[j], 1 - z[j])) - far if wide else small) / TWO_PI


@vectorised
def _remainder(z: float) -> float:
    """R(θ) = (sin θ − θ cos θ)/2π; opposite directions by R(θ) = R(π − θ) − ½ cos θ."""
    x = min(z, 1 - z)
    value = REMAINDER[TERMS]
    for k in range(TERMS - 1, -1, -1):
        value = value * x + REMAINDER[k]
    value *= x * sqrt(x) / TWO_PI
    return value - 0.5 * (1 - 2 * z) if z > 0.5 else value


@vectorised
def _weigh(angle: Array, defect: Array, weights: Array) -> tuple[float, float]:
    """Σ c‖b‖ u and Σ c‖b‖ q of a row; `angle` becomes c‖b‖ q."""
    own, turn = 0.0, 0.0
    for j in range(len(weights)):
        own += defect[j] * weights[j]
        angle[j] *= weights[j]
        turn += angle[j]
    return own, turn


@vectorised
def pull_few(units: Array, offsets: Array, weights: Array, g: Array, stiffness: Array) -> None:
    total, dim = offsets.shape
    z, angle, defect = np.empty(total), np.empty(total), np.empty(total)
    for i in range(len(g)):
        largest = 0.0
        for j in range(total):
            square = 0.0
            for p in range(dim):
                gap = offsets[i, p] - offsets[j, p]
                square += gap * gap
            z[j] = min(0.25 * square, 1.0)
            largest = max(largest, z[j])
        angle_and_defect(z, largest, angle, defect)
        own, turn = _weigh(angle, defect, weights)
        stiffness[i] = own + turn
        for p in range(dim):
            sideways = 0.0
            for j in range(total):
                sideways += angle[j] * (offsets[i, p] - offsets[j, p])
            g[i, p] = own * units[i, p] + sideways


@vectorised
def _pull_many(units: Array, offsets: Array, weights: Array, g: Array, stiffness: Array) -> None:
    total, dim = offsets.shape
    count = len(g)
    gram = np.dot(offsets[:count], offsets.T)
    square = np.empty(total)
    widest = 0.0
    for j in range(total):
        square[j] = 0.0
        for p in range(dim):
            square[j] += offsets[j, p] * offsets[j, p]
        widest = max(widest, square[j])
    z, defect = np.empty(total), np.empty(total)
    for i in range(count):
        for j in range(total):
            z[j] = min(max(0.25 * (square[i] + square[j] - 2 * gram[i, j]), 0.0), 1.0)
        z[i] = 0.0
        largest = min(0.25 * (sqrt(square[i]) + sqrt(widest)) ** 2, 1.0)
        angle = gram[i]  # overwritten row by row
        angle_and_defect(z, largest, angle, defect)
        own, turn = _weigh(angle, defect, weights)
        stiffness[i] = own + turn
        for p in range(dim):
            g[i, p] = own * units[i, p] + turn * offsets[i, p]
    back = np.dot(gram, offsets)
    for i in range(count):
        for p in range(dim):
            g[i, p] -= back[i, p]


@vectorised
def compiled_pull(units: Array, offsets: Array, weights: Array, g: Array, stiffness: Array) -> None:
    if len(offsets) < MANY:
        pull_few(units, offsets, weights, g, stiffness)
    else:
        _pull_many(units, offsets, weights, g, stiffness)


@vectorised
def compiled_remainder(offsets: Array, weights: Array) -> float:
    total, dim = offsets.shape
    value = 0.0
    for i in range(total):
        row = 0.0
        for j in range(i):
            square = 0.0
            for p in range(dim):
                gap = offsets[i, p] - offsets[j, p]
                square += gap * gap
            row += weights[j] * _remainder(min(0.25 * square, 1.0))
        value += weights[i] * row
    return value


def _half_chords(left: Array, right: Array) -> Array:
    """z of all pairs."""
    gap = left[:, None, :] - right[None, :, :]
    return np.minimum(0.25 * np.einsum("ijp,ijp->ij", gap, gap), 1.0)


def _evaluate(polynomial: Array, z: Array) -> Array:
    value = np.full(z.shape, polynomial[-1])
    for coefficient in polynomial[-2::-1]:
        value = value * z + coefficient
    return value


def _numpy_pull(units: Array, offsets: Array, weights: Array, g: Array, stiffness: Array) -> None:
    count = len(g)
    rows = max(1, (1 << 20) // offsets.size)
    for i in range(0, count, rows):
        at = slice(i, min(i + rows, count))
        z = _half_chords(offsets[at], offsets)
        x = np.minimum(z, 1 - z)
        root = np.sqrt(x)
        near = _evaluate(ANGLE, x) * root
        angle = np.where(z > 0.5, pi - near, near)
        wide = 2 * root * np.sqrt(1 - x) - angle
        defect = np.where(z > 0.5, wide, _evaluate(DEFECT, x) * root * x) / TWO_PI
        angle = angle * weights / TWO_PI
        own = defect @ weights
        stiffness[at] = own + angle.sum(axis=1)
        gap = offsets[at, None, :] - offsets[None, :, :]
        g[at] = own[:, None] * units[at] + np.einsum("ij,ijp->ip", angle, gap)


def _numpy_remainder(offsets: Array, weights: Array) -> float:
    z = _half_chords(offsets, offsets)
    x = np.minimum(z, 1 - z)
    value = _evaluate(REMAINDER, x) * x * np.sqrt(x) / TWO_PI
    value -= np.where(z > 0.5, 0.5 * (1 - 2 * z), 0.0)
    return float(0.5 * weights @ value @ weights)


# pull(units, offsets, weights, g, stiffness): for the first len(g) of N neurons of weights c_b ‖b‖,
# g_i = Σ_b c_b ‖b‖ [u ā + q (ā − b̄)], and stiffness_i = Σ_b c_b ‖b‖ ν(θ_ib), ν = u + q.
pull = compiled_pull if COMPILED else _numpy_pull
# remainder(offsets, weights): Σ_{a<b} c_a c_b ‖a‖‖b‖ R(θ_ab).
remainder = compiled_remainder if COMPILED else _numpy_remainder
