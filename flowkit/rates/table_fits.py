"""Straight lines plus corrections at many digits: ln y = c + p u + a_1 x + a_2 x**2 + ...

x = exp(-q u) with u = ln t, q = 1 for power laws, u = t and q solved for if exponential.  Quotients
of divided differences in x, of ln y by those of u, are free of c and of a_1, a_2, ..., and tend to
p.  An answer is given only if its error is far below what doubles can tell, and if changes fall
faster from order to order than a wrong power would let them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from flowkit.rates.limits import all_selections
from flowkit.rates.many_digits import Mpf, Numbers, ordinary, right_digits
from flowkit.rates.tables import Entry, Table, entries, quotients, richardson

MIN_POINTS = 6
DECADE, FALL = math.log(10) * (1 - 1e-9), 5.0  # of t, if a power law; of ln y, if exponential
FAST = 1.5  # slowest rate, in units of q, at which changes of a right model fall
ROUNDS = 12  # of the search for q
TRIED = 12  # orders up to which q is solved for


class Line(NamedTuple):
    """p and ln C as ordinary mpf with bounds of their errors."""

    slope: Mpf
    slope_error: Mpf
    level: Mpf
    level_error: Mpf
    window: tuple[float, float]
    points: int
    power: float  # q

    @property
    def digits(self) -> int:
        return right_digits(self.slope, self.slope_error)


class _Choice(NamedTuple):
    entry: Entry
    points: list[int]
    x: list[Mpf]
    power: Mpf


def power_line(given: Numbers) -> Line | None:
    """p and ln C of y = C t**p (1 + a_1/t + ...), None if that is not clearly what y does."""
    context = given.context
    u = [context.log(t) for t in given.t]
    z, noise = _logarithms(given)
    one, chosen = context.mpf(1), list[_Choice | None]()
    for points in all_selections(given, u, MIN_POINTS):
        first, last = points[0], points[-1]
        if u[last] - u[first] > DECADE and z[first] - z[last] > math.log(2):
            chosen.append(_chosen(u, z, noise, points, one))
    return _line(given, u, z, noise, [c for c in chosen if c is not None])


def exponential_line(given: Numbers) -> Line | None:
    """-r and ln C of y = C exp(-r t) (1 + a_1 exp(-q t) + ...), None if that is not clear."""
    u, (z, noise) = given.t, _logarithms(given)
    found = list[_Choice]()
    for points in _spread(len(u)):
        if z[points[0]] - z[points[-1]] < FALL:
            continue
        for power in _powers([u[i] for i in points], [z[i] for i in points]):
            choice = _chosen(u, z, noise, points, power)
            if choice is not None:
                found.append(choice)
    return _line(given, u, z, noise, found)


def _logarithms(given: Numbers) -> tuple[list[Mpf], list[Mpf]]:
    """ln y, and what the errors of y make of it."""
    z = [given.context.log(y) for y in given.y]
    rounding = given.context.mpf(2) ** (4 - given.context.prec)
    rows = zip(given.y, given.noise, z, strict=True)
    return z, [e / y + rounding * max(1, abs(v)) for y, e, v in rows]


def _chosen(
    u: list[Mpf], z: list[Mpf], noise: list[Mpf], points: list[int], power: Mpf
) -> _Choice | None:
    """The best entry of one table of p, if the model is clearly right there."""
    v = [u[i] for i in points]
    x = [power.context.exp(-power * (w - v[-1])) for w in v]
    table = _slopes(x, v, [z[i] for i in points], [noise[i] for i in points])
    found = [e for e in entries(v, table, first=1) if e.rate > FAST * power]
    best = min(found, key=lambda e: e.error, default=None)
    return None if best is None else _Choice(best, points, x, power)


def _slopes(x: list[Mpf], u: list[Mpf], z: list[Mpf], noise: list[Mpf]) -> Table:
    """Estimates of p; constants do not matter, so u is moved away from 0."""
    return quotients(x, z, [v - u[0] + 1 for v in u], noise)


def _line(
    given: Numbers, u: list[Mpf], z: list[Mpf], noise: list[Mpf], found: list[_Choice]
) -> Line | None:
    """The narrowest, widened to what others say as surely; then ln C with the same corrections."""
    if not found:
        return None
    best = min(found, key=lambda c: c.entry.error)
    slope, error = best.entry.value, best.entry.error
    for other in found:
        distance = abs(other.entry.value - slope)
        if distance > error + other.entry.error:
            error = max(error, distance)
    rest = [z[i] - slope * u[i] for i in best.points]
    bounds = [noise[i] + error * abs(u[i]) for i in best.points]
    v = [u[i] for i in best.points]
    levels = entries(v, richardson(best.x, best.x, rest, bounds))
    level = min(levels, key=lambda e: e.error, default=None)
    if level is None:
        return None
    window = (float(given.t[best.points[0]]), float(given.t[best.points[-1]]))
    return Line(
        ordinary(slope), ordinary(error), ordinary(level.value), ordinary(level.error),
        window, len(best.points), float(best.power),
    )  # fmt: skip


def _spread(n: int) -> Iterator[list[int]]:
    """Points of the tables of an exponential: every 1st, 2nd, 3rd, 5th, ... from the end."""
    for stride in (1, 2, 3, 5, 8, 13, 21, 34):
        points = list(range(n - 1, -1, -stride))[:24][::-1]
        if len(points) >= MIN_POINTS:
            yield points


def _powers(u: list[Mpf], z: list[Mpf]) -> list[Mpf]:
    """Candidates for q: solved for at the highest order that settles."""
    context = u[0].context
    slopes = [(b - a) / (d - c) for a, b, c, d in zip(z, z[1:], u, u[1:], strict=False)]
    steps = [abs(b - a) for a, b in pairwise(slopes)]
    span = u[-1] - u[0]
    found = [1 / (u[-1] - u[-2])]
    if not steps[-1] or not steps[0]:
        return found
    q = context.log(steps[0] / steps[-1]) / span
    if q * span < 1:
        return found
    for order in range(2, min(TRIED, len(u) - 2) + 1):
        solved = _solved(u[-order - 2 :], z[-order - 2 :], q)
        if solved is None:
            break
        q = solved
    return [q, *found]


def _solved(u: list[Mpf], z: list[Mpf], q: Mpf) -> Mpf | None:
    """q such that the tables without the first and without the last point agree."""

    def gap(power: Mpf) -> Mpf:
        x = [power.context.exp(-power * (w - u[-1])) for w in u]
        table = _slopes(x, u, z, [0 * w for w in u])
        before, last = table.values[len(u) - 2]
        return last - before

    q1 = q * (1 + q.context.mpf(2) ** -16)
    f0, f1 = gap(q), gap(q1)
    for _ in range(ROUNDS):
        if f1 == f0:
            break
        step = -f1 * (q1 - q) / (f1 - f0)
        if abs(step) > q1 / 2:
            return None
        q, q1, f0 = q1, q1 + step, f1
        f1 = gap(q1)
        if abs(step) < q1 * q.context.mpf(10) ** (-q.context.dps + 10):
            break
    return q1
