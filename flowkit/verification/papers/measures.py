"""Flows measured for a claim: exponents, rates, limits, deviations, each with its error."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf, nan
from typing import Any

import numpy as np

from flowkit.descents.descent import Descent
from flowkit.flows.flow import Flow
from flowkit.flows.run import integrate
from flowkit.observation.collect import observables
from flowkit.observation.result import Observables
from flowkit.problems.teacher_student import TeacherStudent
from flowkit.rates import fit_exponential, fit_power_law
from flowkit.verification.claim import Measured, base

Array = np.ndarray
Look = Callable[[Observables], tuple[Array, Array]]  # values and errors
PER_DECADE, CLOSER, LOOKS, MOST_LOOKS = 6, 17, 2, 12
SETTLED = 1e-12  # relative gain of a closer look that is none
SLOWEST = 0.98  # ratio of changes from decade to decade beyond which nothing is said to settle
SMALLEST = 1e-290  # a loss that still has all its digits


def half_width(value: float, interval: tuple[float, float]) -> float:
    """Largest distance from the value to an end of its interval."""
    return max(interval[1] - value, value - interval[0])


def limit(t: Array, y: Array, relative_error: Array) -> Measured:
    """y at the last time; its error is that of the data and what a power of t still has to go.

    That is the change over the last decade, or more if the decades before show a slow power.
    """
    one, ten, hundred = np.interp(np.log(t[-1] / [1, 10, 100]), np.log(t[1:]), y[1:])
    noise = abs(y[-1]) * relative_error[-1]
    change, before = abs(one - ten), abs(ten - hundred)
    shrinks = min(change / before, SLOWEST) if before > 2 * noise else 0.0
    left = change * max(1.0, shrinks / (1 - shrinks))
    return Measured(float(y[-1]), float(left + noise))


def cube(flow: Flow) -> Measured:
    """t³L at the end."""
    return limit(flow.t, flow.t**3 * flow.loss, flow.loss_error)


def exponent(flow: Flow | Descent) -> Measured:
    """Fitted exponent of the loss.

    Exact slopes help, but where they jitter by more than the error of the loss no fit explains
    both: then the losses alone decide.
    """
    fit = fit_power_law(flow)
    if not np.isfinite(fit.interval).all():
        fit = fit_power_law(flow.t, flow.loss, relative_error=flow.loss_error)
    note = "" if fit.status == "converged" else fit.message
    return Measured(fit.exponent, half_width(fit.exponent, fit.interval), note)


def rate(flow: Flow) -> Measured:
    """Fitted exponential rate of the loss, as long as it is above 1e-290 and has digits."""
    seen = np.isfinite(flow.loss_error) & (flow.loss > SMALLEST)
    t, loss, error = flow.t[seen], flow.loss[seen], flow.loss_error[seen]
    fit = fit_exponential(t, loss, relative_error=error)
    note = "" if fit.status == "converged" else fit.message
    return Measured(fit.rate, half_width(fit.rate, fit.interval), note)


def suprema(
    run: Flow, looks: Mapping[str, Look], begin: float = 0.0, end: float = inf
) -> dict[str, Measured]:
    """The largest value of each quantity between two times, by name.

    The dense output is looked at where steps end, several times a decade, and ever closer around
    the largest value; what the last look gained is part of the error.
    """
    times = _grid(run, begin, end)
    o = observables(run, times)
    return {name: _supremum(run, look, times, o) for name, look in looks.items()}


def _grid(run: Flow, begin: float, end: float) -> Array:
    last = min(end, run.path.end)
    first = max(begin, 1e-6 * last, float(run.t[run.t > 0][0]))
    if begin < first < last:
        first = float(run.t[run.t > begin][0])
    count = max(2, int(PER_DECADE * np.log10(last / first))) if last > first > 0 else 2
    inside = run.t[(run.t > begin) & (run.t < last)]
    return np.unique(np.concatenate([[begin, last], inside, np.geomspace(first, last, count)]))


def _supremum(run: Flow, look: Look, times: Array, o: Observables) -> Measured:
    value, error = -inf, nan
    for looks in range(MOST_LOOKS):
        values, errors = (x.reshape(len(x), -1) for x in look(o))
        flat = np.where(np.isnan(values), -inf, values)
        at, which = divmod(int(flat.argmax()), flat.shape[1])
        gain = max(float(flat[at, which]) - value, 0.0)
        if gain > 0:
            value, error = float(flat[at, which]), float(errors[at, which])
        if looks >= LOOKS and gain <= max(error, SETTLED * abs(value)):
            break
        around = times[max(at - 1, 0)], times[min(at + 1, len(times) - 1)]
        times = np.union1d(np.linspace(*around, CLOSER), times[at])
        o = observables(run, times)
    return Measured(value, error + gain)


def infima(
    run: Flow, looks: Mapping[str, Look], begin: float = 0.0, end: float = inf
) -> dict[str, Measured]:
    """The least values."""

    def negative(look: Look) -> Look:
        return lambda o: (-look(o)[0], look(o)[1])

    found = suprema(run, {name: negative(look) for name, look in looks.items()}, begin, end)
    return {name: Measured(-x.value, x.error) for name, x in found.items()}


def plain(name: str, scale: float = 1.0) -> Look:
    """An observable itself, times a number."""
    return lambda o: (scale * o[name], abs(scale) * o.error(name))


def last(values: Array, errors: Array) -> Measured:
    """The last of values that tend to a limit; its error, and the change over the last eighth."""
    drift = abs(float(values[-1] - values[7 * len(values) // 8]))
    return Measured(float(values[-1]), float(errors[-1]) + drift)


def slope(x: Array, y: Array) -> Measured:
    """Of ln y in ln x between the last two points; y (m, 2) holds values and relative errors.

    The error is that of the data, and the change of the slope to the two points before.
    """
    logs, at = np.log(np.abs(y[:, 0])), np.log(x)
    slopes = np.diff(logs) / np.diff(at)
    noise = (y[-1, 1] + y[-2, 1]) / abs(at[-1] - at[-2])
    return Measured(float(slopes[-1]), float(noise + abs(slopes[-1] - slopes[-2])))


def absent(values: Mapping[str, Measured], *names: str) -> tuple[str, ...]:
    """Those of the names that no run has a value for: laws that none of them follows."""
    measured = {base(name) for name in values}
    return tuple(name for name in names if name not in measured)


def known(value: Any) -> float:
    """A number that the theory must give."""
    if value is None:
        raise ArithmeticError("nothing is predicted")
    return float(value)


def worst(flow: Flow, deviation: Array) -> Measured:
    """Largest deviation over the run, with the error of the loss at that point."""
    at = int(np.argmax(deviation))
    return Measured(float(deviation[at]), float(flow.loss_error[at]))


def whole_flow(
    problem: TeacherStudent, w0: Any, t_max: float, t_eval: Any = None, rtol: float = 1e-10
) -> Flow:
    """The flow to t_max; a run that ends earlier is no evidence."""
    flow = integrate(problem, w0, t_max, t_eval=t_eval, rtol=rtol, progress=False)
    if flow.status == "interrupted":
        raise KeyboardInterrupt
    if flow.status != "finished":
        raise ArithmeticError(f"the run is {flow.status}: {flow.message}")
    return flow


def survivors(flow: Flow) -> int:
    """Students that are not at zero at the end."""
    return int(flow(flow.path.end).any(axis=1).sum())


def tried(measure: Callable[..., Measured], *arguments: Any) -> Measured:
    """What it gives; nothing, with the reason, where a run or a prediction is not to be had."""
    try:
        return measure(*arguments)
    except ArithmeticError as why:
        return Measured(nan, inf, str(why))


def frequency(hits: int, runs: int, confidence: float = 0.95) -> tuple[float, float, float]:
    """Share of hits and its interval (Clopper & Pearson, Biometrika 1934)."""
    from scipy.stats import binomtest

    low, high = binomtest(hits, runs).proportion_ci(confidence, method="exact")
    return hits / runs, float(low), float(high)
