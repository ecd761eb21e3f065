"""The limit of y(t) for t -> infinity, with as many digits as the data and the approach give."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple

from flowkit.rates.limit_result import Limit
from flowkit.rates.many_digits import Mpf, Numbers, flow_digits, numbers, ordinary, right_digits
from flowkit.rates.slow import free_power
from flowkit.rates.tables import Entry, Table, entries, epsilon, richardson

MIN_POINTS = 4
LONGEST = 36  # points of a table
RATIOS = (1.0, 1.2, 1.5, 2.0, 3.0, 5.0, 10.0)  # between successive points of a table, at least
EVEN = 1e-3  # a grid whose steps differ by less is geometric; what they differ by is noise
GAIN = 1e-5  # of the approach seen; free powers that leave more may be fitting 1/log t
FREE_SELECTIONS = 4  # the widest only: solving for q takes time
LOST = 1e3  # a late point whose relative accuracy is that much worse may be left out
NEAR = 100  # an error that much above the accuracy of the data: nothing else is tried


class Choice(NamedTuple):
    """An entry, where it stands, and how far it can be trusted."""

    entry: Entry
    table: Table
    points: list[int]
    method: str


def extrapolate(t: Any, y: Any = None, *, digits: Any = None, power: Any = 0) -> Limit:
    """The limit of t**power * y for t -> infinity, at the precision of the data.

    Parameters
    ----------
    t : (n,) array_like or flow
        Times, strictly increasing, n >= 4; taken as exact; t = 0 is dropped.  A flow object
        (arrays ``t``, ``loss`` and ``loss_digits`` or ``loss_error``) stands for t, y and digits.
    y : (n,) array_like
        Real numbers: floats, mpmath numbers of any precision, integers, fractions.
    digits : float or (n,) array_like, optional
        Right decimal digits of y.  Without it all digits that y carries are believed.
    power : int, float, Fraction or mpf
        ``extrapolate(flow, power=3)`` is the limit of t**3 * loss.

    Returns
    -------
    Limit
        ``value``, ``error`` and the number ``digits`` that are believed, 0 if none.

    Raises
    ------
    ValueError
        Names the offending argument.

    Notes
    -----
    Tables are made of several selections of points, the last ones of all, or successive ones by
    at least a factor of 1.2, 1.5, 2, 3, 5, 10 apart:

    * Richardson, for y = L + c_1/t + c_2/t**2 + ...;
    * if that leaves digits of the data unused, on a geometric grid Levin's u transformation, the
      first of Sidi's d transformations, for y = L + t**-q (c_0 + c_1/t + ...) with any q, and
      Wynn's epsilon algorithm, for sums of powers t**-q with any q and of log(t) t**-q; on other
      grids, powers t**-q, t**-2q, ... with a q that is solved for.

    Errors (`flowkit.rates.tables`) bound what errors of the data do, continue the changes that
    are left, and contain what other tables say as surely.  They are calibrated on approaches with
    known limits (tests/test_limits.py), not proved: what starts after the last point, or hides
    below the errors of the data, cannot be seen.

    References
    ----------
    C. Brezinski and M. Redivo Zaglia, Extrapolation Methods, North-Holland, 1991.
    A. Sidi, Practical Extrapolation Methods, Cambridge University Press, 2003.
    """
    if y is None:
        if not hasattr(t, "loss"):
            raise ValueError("y: missing (only a flow object may stand alone)")
        flow, t, y = t, t.t, t.loss
        digits = flow_digits(flow) if digits is None else digits
    given = numbers(t, y, digits, power)
    if len(given.t) < MIN_POINTS:
        raise ValueError(f"t: {len(given.t)} positive points, at least {MIN_POINTS} are needed")
    u = [given.context.log(v) for v in given.t]
    choices = list(_simple(given, u))
    goal = NEAR * max(given.noise[-MIN_POINTS:])
    if not any(c.entry.error <= goal for c in choices):
        choices += _flexible(given, u)
    return _decide(given, choices)


def selections(u: list[Mpf], shortest: int = MIN_POINTS) -> list[list[int]]:
    """Points of the tables, all ending at the last one; the most widely spaced first."""
    found = list[list[int]]()
    for ratio in sorted(RATIOS, reverse=True):
        step = u[0].context.log(ratio) * (1 - 1e-9)
        chosen = [len(u) - 1]
        for i in range(len(u) - 2, -1, -1):
            if u[chosen[-1]] - u[i] >= step and len(chosen) < LONGEST:
                chosen.append(i)
        chosen.reverse()
        if len(chosen) >= shortest and chosen not in found:
            found.append(chosen)
    return found


def all_selections(given: Numbers, u: list[Mpf], shortest: int = MIN_POINTS) -> list[list[int]]:
    """The same, and those that end where y is still known to nearly its best digits."""
    relative = [e / abs(y) if y else e for e, y in zip(given.noise, given.y, strict=True)]
    best = LOST * min(relative)
    end = 1 + max(i for i, e in enumerate(relative) if e <= best)
    found = selections(u, shortest)
    return found + [p for p in selections(u[:end], shortest) if p not in found]


def _at(values: list[Mpf], points: list[int]) -> list[Mpf]:
    return [values[i] for i in points]


def best_entry(found: list[Entry]) -> Entry | None:
    return min(found, key=lambda e: e.error, default=None)


def _choices(
    u: list[Mpf], points: list[int], tables: dict[str, Table], free: bool
) -> Iterator[Choice]:
    for method, table in tables.items():
        v = _at(u, points[-len(table.values[0]) :])
        entry = best_entry(entries(v, table, free=free))
        if entry is None:
            continue
        if not free or entry.error < GAIN * abs(table.values[0][0] - entry.value):
            yield Choice(entry, table, points, method)


def _simple(given: Numbers, u: list[Mpf]) -> Iterator[Choice]:
    """Richardson extrapolation in 1/t."""
    for points in all_selections(given, u):
        x = [1 / t for t in _at(given.t, points)]
        y, noise = _at(given.y, points), _at(given.noise, points)
        yield from _choices(u, points, {"Richardson, 1/t": richardson(x, x, y, noise)}, False)


def _flexible(given: Numbers, u: list[Mpf]) -> Iterator[Choice]:
    """What needs no known powers: on geometric grids two transformations, else one fitted power."""
    found = all_selections(given, u)
    even = [points for points in found if _unevenness(_at(u, points)) < EVEN]
    for points in even:
        v, y, noise = _at(u, points), _at(given.y, points), _at(given.noise, points)
        noise = _with_unevenness(v, y, noise)
        tables = {"epsilon": epsilon(y, noise)}
        if all(b != a for a, b in pairwise(y)):
            tables["Levin u, t^-q/t^k"] = _levin(_at(given.t, points), y, noise)
        yield from _choices(u, points, tables, True)
    if even:
        return
    for points in found[:FREE_SELECTIONS]:
        v, y, noise = _at(u, points), _at(given.y, points), _at(given.noise, points)
        for method, table in free_power(v, y, noise):
            yield from _choices(u, points, {method: table}, True)


def _unevenness(u: list[Mpf]) -> float:
    """The largest distance of the points from even steps, in steps."""
    step = (u[-1] - u[0]) / (len(u) - 1)
    return float(max(abs(v - u[0] - i * step) for i, v in enumerate(u)) / step)


def _with_unevenness(u: list[Mpf], y: list[Mpf], noise: list[Mpf]) -> list[Mpf]:
    """Errors of y as a sequence on the exactly even grid."""
    step = (u[-1] - u[0]) / (len(u) - 1)
    slopes = [abs(b - a) / step for a, b in pairwise(y)]
    slopes.insert(0, slopes[0])
    rows = enumerate(zip(u, noise, slopes, strict=True))
    return [e + s * abs(v - u[0] - i * step) for i, (v, e, s) in rows]


def _levin(t: list[Mpf], y: list[Mpf], noise: list[Mpf]) -> Table:
    """y - L is a power series in 1/t times the difference to the point before.

    The weights of a limit sum to 1, so an error of that difference counts times y - L.
    """
    w = [b - a for a, b in pairwise(y)]
    curved = w[-1] - w[-2]
    limit = y[-1] - w[-1] ** 2 / curved if curved else y[-1]
    rows = zip(y[1:], noise[1:], noise, w, strict=False)
    errors = [e + abs(v - limit) * (e + before) / abs(d) for v, e, before, d in rows]
    return richardson([1 / v for v in t[1:]], w, y[1:], errors)


def _decide(given: Numbers, choices: list[Choice]) -> Limit:
    """The narrowest choice, widened to what others say as surely."""
    if not choices:
        return _nothing(given)
    best = min(choices, key=lambda c: c.entry.error)
    value, error = best.entry.value, best.entry.error
    for other in choices:
        distance = abs(other.entry.value - value)
        if distance > other.entry.error + best.entry.error:
            error = max(error, distance)
    points = best.points[-len(best.table.values[0]) :]
    rows = [_row(best.table, len(points) - 1 - i) for i in range(len(points))]
    return Limit(
        value=ordinary(value), error=ordinary(error), digits=right_digits(value, error),
        method=best.method, order=best.entry.order,
        t=tuple(ordinary(v) for v in _at(given.t, points)), table=rows,
        noise=ordinary(best.entry.noise), data_digits=given.digits,
    )  # fmt: skip


def _row(table: Table, left_out: int) -> list[Mpf]:
    """All orders from the points without the last ones."""
    return [ordinary(column[-1 - left_out]) for column in table.values if len(column) > left_out]


def _nothing(given: Numbers) -> Limit:
    """No table settles."""
    infinite = given.context.inf
    return Limit(
        value=ordinary(given.y[-1]), error=ordinary(infinite), digits=0, method="last value",
        order=0, t=tuple(ordinary(v) for v in given.t[-1:]), table=[[ordinary(given.y[-1])]],
        noise=ordinary(given.noise[-1]), data_digits=given.digits,
    )  # fmt: skip
