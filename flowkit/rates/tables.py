"""Extrapolation tables, and how far their entries are to be believed.

An entry of order k is found from k + 1 successive points.  What is known of its error is

* noise: the sum of the sizes of its weights times the errors of the data, a bound;
* order: the change since the order before;
* remainder: the change d since the last point was left out, continued: with d1 the change before
  that, differences d/Δu fall at the rate g = ln(d1 Δu / (d Δu1)) / Δu, and d/(g Δu) remains.

The remainder is what tells a wrong model: t^-q left in a table of other powers falls at the rate
q in every order, where a right model falls faster and faster.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any, NamedTuple

Mpf = Any
SAFETY = 8  # factor on changes
FREE = 16  # the same where powers are free, or known ones do not make changes fall fast
NOISE = 2  # factor on the bound of the noise
SPARE = 10  # one more entry of a column is asked for with every that many points
LOOK = 6  # entries of a column that are looked at
SLOWEST = 0.01  # rates below that are not distinguished from standing still


class Table(NamedTuple):
    """``values[k][i]`` of order k from points i..i+k (epsilon: i..i+2k), ``noise`` likewise."""

    values: list[list[Mpf]]
    noise: list[list[Mpf]]


class Entry(NamedTuple):
    """A value, its believed error, the part of that which is noise, its order and rate."""

    value: Mpf
    error: Mpf
    noise: Mpf
    order: int
    rate: float  # at which changes fall with u; inf if they are noise


def quotients(x: list[Mpf], top: list[Mpf], bottom: list[Mpf], noise: list[Mpf]) -> Table:
    """Quotients of divided differences in x, Sidi's W-algorithm.

    With top = y/w and bottom = 1/w they are the limit of y = L + w (c_0 + c_1 x + ...); w = x is
    Richardson extrapolation.  ``noise`` bounds the errors of top.
    """
    values, errors = list[list[Mpf]](), list[list[Mpf]]()
    for k in range(len(x)):
        if k:
            gaps = [x[i + k] - x[i] for i in range(len(x) - k)]
            top = [(top[i + 1] - top[i]) / gap for i, gap in enumerate(gaps)]
            bottom = [(bottom[i + 1] - bottom[i]) / gap for i, gap in enumerate(gaps)]
            noise = [(noise[i + 1] + noise[i]) / abs(gap) for i, gap in enumerate(gaps)]
        if not all(bottom):
            break
        values.append([a / b for a, b in zip(top, bottom, strict=True)])
        errors.append([e / abs(b) for e, b in zip(noise, bottom, strict=True)])
    return Table(values, errors)


def richardson(x: list[Mpf], w: list[Mpf], y: list[Mpf], noise: list[Mpf]) -> Table:
    """The limits of y = L + w (c_0 + c_1 x + ...)."""
    pairs = zip(y, noise, w, strict=True)
    parts = [(a / b, e / abs(b)) for a, e, b in pairs]
    return quotients(x, [a for a, _ in parts], [1 / b for b in w], [e for _, e in parts])


def _epsilon(y: list[Mpf]) -> list[list[Mpf]]:
    """Even columns of Wynn's epsilon algorithm."""
    before, now, even = [0 * v for v in y] + [0 * y[0]], y, [y]
    while len(now) > 1:
        gaps = [b - a for a, b in pairwise(now)]
        if not all(gaps):
            break
        before, now = now, [before[i + 1] + 1 / gap for i, gap in enumerate(gaps)]
        if len(now) % 2 == len(y) % 2:
            even.append(now)
    return even


def epsilon(y: list[Mpf], noise: list[Mpf]) -> Table:
    """Shanks transformation: sums of exponentials in the index, whatever their rates.

    The noise is the largest change among perturbed copies of the data.
    """
    values = _epsilon(y)
    errors = [[0 * v for v in row] for row in values]
    for period in (1, 2, 3):
        signs = [(-1) ** (i // period) for i in range(len(y))]
        other = _epsilon([v + s * e for v, s, e in zip(y, signs, noise, strict=True)])
        values, errors = values[: len(other)], errors[: len(other)]
        for k, row in enumerate(values):
            for i, v in enumerate(row):
                errors[k][i] = max(errors[k][i], abs(other[k][i] - v), noise[i + 2 * k])
    return Table(values, errors)


def entries(u: list[Mpf], table: Table, first: int = 0, free: bool = False) -> list[Entry]:
    """The last entries of the orders above 0, with their errors.

    ``first`` is the lowest order that means something; ``free``: powers are free, so an entry
    depends on the data in a curved way, and agreement is more easily an accident.
    """
    found, points, seen = list[Entry](), len(table.values[0]), math.inf
    for k in range(1, len(table.values)):
        column, bounds = table.values[k], table.noise[k]
        if len(column) < 3 + (0 if free else points // SPARE):
            break
        change, rate = _remainder(u, column, bounds)
        if rate == math.inf:  # changes are noise: a drift seen in the order before may go on
            change = max(change, change / (u[-1] - u[-2]) / max(seen, SLOWEST))
            rate = seen
        seen = rate
        noise = 2 * NOISE * max(bounds[-3:]) if free else NOISE * bounds[-1]
        if k > first:
            change = max(change, abs(column[-1] - table.values[k - 1][-1]))
        if rate > SLOWEST:
            doubt = (FREE if free or rate < k / 2 else SAFETY) * (1 + 1 / rate)
            found.append(Entry(column[-1], doubt * change + noise, noise, k, rate))
    return found


def _remainder(u: list[Mpf], values: list[Mpf], noise: list[Mpf]) -> tuple[Mpf, float]:
    """What the changes along a column leave to come, and the rate at which they fall.

    A last change that is smaller than those before let expect may be an accident.
    """
    log = u[0].context.log
    changes = [abs(b - a) for a, b in pairwise(values[-LOOK:])]
    widths = [b - a for a, b in pairwise(u[-len(changes) - 1 :])]
    middles = [(b + a) / 2 for a, b in pairwise(u[-len(changes) - 1 :])]
    last = changes[-1]
    if len(changes) > 2 and changes[-3] > changes[-2]:
        last = max(last, changes[-2] ** 2 / changes[-3])
    if last <= noise[-1] + noise[-2]:
        return last, math.inf
    if not all(changes):
        return last, 0.0
    slope = last / widths[-1]
    earlier = list(zip(changes, widths, middles, strict=True))[:-1]
    rate = min(float(log(d / w / slope) / (middles[-1] - m)) for d, w, m in earlier)
    return (max(last, slope / rate) if rate > SLOWEST else last), rate
