"""Adaptive steps of SciPy's Radau IIA (order 5) through charts and zero-neuron events.

E. Hairer & G. Wanner, Solving Ordinary Differential Equations II, §IV.8.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from flowkit.flows import zero_neuron
from flowkit.flows.charts import Chart, choose, initial
from flowkit.flows.field import Field

Array = np.ndarray
MAX_STEPS = 100_000
TINY_STEP = 1e-14


@dataclass
class Piece:
    """Accepted steps in one chart: times t and states y, and the original groups that are alive."""

    chart: Chart
    alive: list[int]
    t: list[float] = field(default_factory=list)
    y: list[Array] = field(default_factory=list)


@dataclass
class Path:
    """A solution as pieces in order of time; where two meet, the later one holds."""

    pieces: list[Piece]
    tolerance: float
    groups: int
    events: list[tuple[int, float]] = field(default_factory=list)  # group, time
    status: str = "finished"
    message: str = "reached t_max"
    steps: int = 0
    nfev: int = 0
    njev: int = 0
    nlu: int = 0

    @property
    def times(self) -> Array:
        """Every time at which a step ended, once."""
        return np.unique(np.concatenate([piece.t for piece in self.pieces]))

    def state(self, t: float) -> tuple[Field, Array, Array, list[int]]:
        """Field, r, w and living groups at any t in range.

        Between steps, the step that contains t is done again, shorter, so that the result is as
        accurate as the steps are; Radau's own interpolant is of lower order.
        """
        piece = next(p for p in reversed(self.pieces) if p.t[0] <= t)
        k = int(np.searchsorted(piece.t, t, side="right")) - 1
        y = piece.y[k]
        if piece.t[k] < t:
            y = advance(piece.chart, piece.t[k], y, t, self.tolerance)
        return (piece.chart.field, *piece.chart.decode(t, y), piece.alive)


def solver(
    chart: Chart, t: float, y: Array, t_end: float, tolerance: float, first_step: float | None = None
) -> Any:
    """SciPy's Radau on a chart, errors relative to the chart's own scale."""
    from scipy.integrate import Radau

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        radau = Radau(
            chart.velocity,
            t,
            y,
            t_end,
            rtol=tolerance,
            atol=_error_bound(chart, t, y, tolerance),
            jac=chart.jacobian,
            first_step=first_step,
        )
    # From here on `atol` alone is the tolerance: it follows the scale from step to step.
    radau.rtol = 0.0
    return radau


def advance(chart: Chart, t: float, y: Array, t_end: float, tolerance: float) -> Array:
    """The state at t_end, in one step if its error allows."""
    radau = solver(chart, t, y, t_end, tolerance, t_end - t)
    take_step(radau, chart)
    while radau.status == "running":
        radau.atol = _error_bound(chart, radau.t, radau.y, tolerance)
        take_step(radau, chart)
    return np.asarray(radau.y)


def _error_bound(chart: Chart, t: float, y: Array, tolerance: float) -> Array:
    return tolerance * chart.scale(t, y, tolerance, chart.field.loss(*chart.decode(t, y)))


def take_step(radau: Any, chart: Chart) -> str | None:
    """One accepted step with a fresh Jacobian: steps grow by decades, an old one misleads Newton."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        message = radau.step()
        if radau.status == "running":
            radau.J = radau.jac(radau.t, radau.y, radau.f)
            radau.current_jac, radau.LU_real, radau.LU_complex = True, None, None
    return str(message) if message else None


def solve(
    system: Field,
    r: Array,
    w: Array,
    t_max: float,
    tolerance: float,
    report: Callable[[float, float], None] | None = None,
) -> Path:
    """Integrate from t = 0; every stop is named in the path."""
    path = Path([], tolerance, len(w))
    try:
        for t, loss in march(path, system, r, w, t_max):
            if report:
                report(t, loss)
    except KeyboardInterrupt:
        last = path.pieces[-1].t[-1]
        path.status, path.message = "interrupted", f"interrupted at t = {last:.6g}"
    return path


def march(
    path: Path, system: Field, r: Array, w: Array, t_max: float
) -> Iterator[tuple[float, float]]:
    """Fill the path step by step; yields time and loss of each."""
    chart: Chart = initial(system, w)
    alive = list(range(len(w)))
    t = 0.0
    while True:
        piece = Piece(chart, list(alive), [t], [chart.encode(t, r, w)])
        path.pieces.append(piece)
        if t >= t_max or not alive:
            return
        radau = solver(chart, t, piece.y[0], t_max, path.tolerance)
        r_dot, w_dot = chart.field.velocity(r, w)
        change = None
        while change is None and radau.status == "running":
            # A step past zero would come out on the other side.
            radau.max_step = max(0.8 * zero_neuron.shrinking_time(w, w_dot), TINY_STEP * t)
            failure = take_step(radau, chart)
            if failure or path.steps >= MAX_STEPS:
                _stop(path, radau, failure, t)
                return
            path.steps += 1
            t = float(radau.t)
            piece.t.append(t)
            piece.y.append(radau.y)
            r, w = chart.decode(t, radau.y)
            r_dot, w_dot = chart.field.velocity(r, w)
            loss = chart.field.loss(r, w)
            radau.atol = path.tolerance * chart.scale(t, radau.y, path.tolerance, loss)
            yield t, loss
            change = _death(path, chart, alive, t, r, w)
            if change is None:
                other = choose(chart, t, r, w, r_dot, loss)
                change = None if other is chart else (other, t, r, w)
        _count(path, radau)
        if change is None:
            return
        chart, t, r, w = change


def _death(
    path: Path, chart: Chart, alive: list[int], t: float, r: Array, w: Array
) -> tuple[Chart, float, Array, Array] | None:
    """Chart, time and state after a neuron has reached zero; None if none is about to."""
    fate = zero_neuron.dying(chart.field, r, w)
    if fate is None:
        return None
    i, remaining = fate
    rest, r, w = zero_neuron.drop(chart.field, r, w, i, remaining)
    path.events.append((alive.pop(i), t + remaining))
    return initial(rest, w), t + remaining, r, w


def _count(path: Path, radau: Any) -> None:
    path.nfev += radau.nfev
    path.njev += radau.njev
    path.nlu += radau.nlu


def _stop(path: Path, radau: Any, failure: str | None, t: float) -> None:
    _count(path, radau)
    if failure:
        path.status, path.message = "failed", f"no step succeeds at t = {t:.6g}: {failure}"
    else:
        path.status, path.message = "step limit", f"{MAX_STEPS} steps taken by t = {t:.6g}"
