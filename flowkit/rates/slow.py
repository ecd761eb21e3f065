"""Approaches t^-q, t^-2q, ... with unknown q on any grid: q is solved for, order by order."""

from __future__ import annotations

from collections.abc import Iterator

from flowkit.rates.tables import Mpf, Table, richardson

ORDERS = 7
STEPS = 25
SLOWEST, FASTEST = 0.01, 20.0


def free_power(u: list[Mpf], y: list[Mpf], noise: list[Mpf]) -> Iterator[tuple[str, Table]]:
    """Tables of y = L + w (c_0 + c_1 x + ...), w = exp(-q u), x = w or x = exp(-u).

    An entry of order k needs k + 2 points: q is such that both tables of k + 1 of them agree.
    """
    for method, whole in (("powers t^-q, t^-2q, ...", False), ("powers t^-q/t^k", True)):
        values, errors = [y], [noise]
        start = _start(u, y)
        for k in range(1, min(ORDERS, len(u) - 4) + 1):
            row, bounds = list[Mpf](), list[Mpf]()
            for end in range(len(u), len(u) - 3, -1):
                part = slice(end - k - 2, end)
                solved = _solve(u[part], y[part], noise[part], whole, start)
                if solved is None:
                    break
                start, value, bound = solved
                row.insert(0, value)
                bounds.insert(0, bound)
            if len(row) < 3:
                break
            values.append(row)
            errors.append(bounds)
        if len(values) > 1:
            yield method, Table(values, errors)


def _start(u: list[Mpf], y: list[Mpf]) -> Mpf:
    """q from the last two differences."""
    steps = [abs((b - a) / (d - c)) for a, b, c, d in zip(y, y[1:], u, u[1:], strict=False)][-2:]
    if not all(steps):
        return u[0].context.mpf(1)
    q = 2 * u[0].context.log(steps[0] / steps[1]) / (u[-1] - u[-3])
    return min(max(q, SLOWEST), FASTEST) * u[0].context.mpf(1)


def _pair(
    u: list[Mpf], y: list[Mpf], noise: list[Mpf], whole: bool, q: Mpf
) -> tuple[Mpf, Mpf, Mpf, Mpf]:
    """Limits without the first and without the last point, and bounds of their noise."""
    exp = q.context.exp
    w = [exp(-q * (v - u[-1])) for v in u]
    x = [exp(-(v - u[-1])) for v in u] if whole else w
    table = richardson(x, w, y, noise)
    k = len(u) - 2
    (before, last), bounds = table.values[k], table.noise[k]
    return last, before, bounds[1], bounds[0]


def _solve(
    u: list[Mpf], y: list[Mpf], noise: list[Mpf], whole: bool, start: Mpf
) -> tuple[Mpf, Mpf, Mpf] | None:
    """q by the secant method; q, the limit and a bound of its noise."""
    context = start.context
    q0, q1 = start, start * (1 + context.mpf(2) ** -20)
    last0, before0, *_ = _pair(u, y, noise, whole, q0)
    for _ in range(STEPS):
        last1, before1, noise1, noise0 = _pair(u, y, noise, whole, q1)
        f0, f1 = last0 - before0, last1 - before1
        if f1 == f0 or q1 == q0:
            return None
        share = (last1 - last0) / (f1 - f0)
        if abs(f1) <= (noise1 + noise0) / 100:
            return q1, last1 - share * f1, noise1 + abs(share) * (noise1 + noise0)
        step = -f1 * (q1 - q0) / (f1 - f0)
        bound = q1 / 2
        step = min(max(step, -bound), bound)
        q0, q1, last0, before0 = q1, q1 + step, last1, before1
        if not SLOWEST / 4 < q1 < 2 * FASTEST:
            return None
    return None
