"""Adaptive steps of SciPy's Radau IIA (order 5) through charts and zero-neuron events.

E. Hairer & G. Wanner, Solving Ordinary Differential Equations II, §IV.8.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from flowkit.flows import zero_neuron
from flowkit.flows.charts import Chart, choose, initial
from flowkit.flows.field import Field
from flowkit.flows.threads import single_thread

Array = np.ndarray
MAX_STEPS = 20_000
TINY_STEP = 1e-14
WATCH = 1.1  # growth of t between looks at whether zero still holds a dead neuron


@dataclass
class Piece:
    """Accepted steps in one chart: times t and states y, and the original groups that are alive."""

    chart: Chart
    alive: list[int]
    t: list[float] = field(default_factory=list)
    y: list[Array] = field(default_factory=list)


class Start(NamedTuple):
    """Where a piece begins: chart, time, state, and the original groups that are alive."""

    chart: Chart
    t: float
    r: Array
    w: Array
    alive: list[int]


@dataclass
class Path:
    """A solution as pieces in order of time; where two meet, the later one holds."""

    pieces: list[Piece]
    tolerance: float
    events: list[tuple[str, int, float]] = field(default_factory=list)  # kind, group, time
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
            with single_thread():
                y = advance(piece.chart, piece.t[k], y, t, self.tolerance)
        r, w = piece.chart.decode(t, y)
        return piece.chart.field, r, piece.chart.field.consistent(r, w), piece.alive


def solver(
    chart: Chart,
    t: float,
    y: Array,
    t_end: float,
    tolerance: float,
    first_step: float | None = None,
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
    """One accepted step, fresh Jacobian: steps grow by decades, an old one misleads Newton."""
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
    march = March(system, Path([], tolerance), t_max)
    try:
        with single_thread():
            for t, loss in march.run(r, w):
                if report:
                    report(t, loss)
    except KeyboardInterrupt:
        last = march.path.pieces[-1].t[-1]
        march.path.status, march.path.message = "interrupted", f"interrupted at t = {last:.6g}"
    return march.path


@dataclass
class March:
    """Fills a path piece by piece: a new one begins where the chart or the living groups change."""

    system: Field
    path: Path
    t_max: float
    watched: float = 0.0

    def run(self, r: Array, w: Array) -> Iterator[tuple[float, float]]:
        """Yield time and loss of each accepted step."""
        alive = list(range(len(w)))
        start: Start | None = Start(initial(self.system, w), 0.0, r, w, alive)
        while start is not None:
            start = yield from self._piece(start)

    def _piece(self, start: Start) -> Generator[tuple[float, float], None, Start | None]:
        """Steps in one chart; returns where the next piece starts."""
        chart, t, r, w, alive = start
        piece = Piece(chart, alive, [t], [chart.encode(t, r, w)])
        self.path.pieces.append(piece)
        if t >= self.t_max or not alive:
            self._extend(piece)
            return None
        radau = solver(chart, t, piece.y[0], self.t_max, self.path.tolerance)
        try:
            return (yield from self._steps(radau, start, piece))
        finally:
            self.path.nfev += radau.nfev
            self.path.njev += radau.njev
            self.path.nlu += radau.nlu

    def _steps(
        self, radau: Any, start: Start, piece: Piece
    ) -> Generator[tuple[float, float], None, Start | None]:
        chart, t, r, w, alive = start
        r_dot, w_dot = chart.field.velocity(r, w)
        loss = chart.field.loss(r, w)
        change = None
        while change is None and radau.status == "running":
            # A step past zero would come out on the other side.
            limit = min(0.8 * zero_neuron.shrinking_time(w, w_dot), chart.longest_step(loss))
            radau.max_step = max(limit, TINY_STEP * t)
            failure = take_step(radau, chart)
            if failure or self.path.steps >= MAX_STEPS:
                self._stop(failure, t)
                return None
            self.path.steps += 1
            t = float(radau.t)
            piece.t.append(t)
            piece.y.append(radau.y)
            r, w = chart.decode(t, radau.y)
            r_dot, w_dot = chart.field.velocity(r, w)
            loss = chart.field.loss(r, w)
            radau.atol = self.path.tolerance * chart.scale(t, radau.y, self.path.tolerance, loss)
            yield t, loss
            change = self._release(piece) or self._death(Start(chart, t, r, w, alive))
            faded = zero_neuron.fading(chart.field, r, w) if change is None else None
            if faded is not None:
                self._unresolved(alive[faded], t)
                return None
            if change is None:
                other = choose(chart, t, r, w, r_dot, loss)
                change = None if other is chart else Start(other, t, r, w, alive)
        return change

    def _extend(self, piece: Piece) -> None:
        """All neurons are at zero: the state stays as it is until t_max."""
        if piece.t[-1] < self.t_max:
            piece.t.append(self.t_max)
            piece.y.append(piece.y[-1])

    def _death(self, at: Start) -> Start | None:
        """The start without a neuron that reaches zero now; None if none does."""
        fate = zero_neuron.dying(at.chart.field, at.r, at.w)
        if fate is None:
            return None
        i, remaining = fate
        rest, r, w = zero_neuron.drop(at.chart.field, at.r, at.w, i, remaining)
        t = self.watched = at.t + remaining
        self.path.events.append(("zero-neuron", at.alive[i], t))
        return Start(initial(rest, w), t, r, w, at.alive[:i] + at.alive[i + 1 :])

    def _release(self, piece: Piece) -> Start | None:
        """The start with the dead neurons back if zero no longer holds them; else None.

        Looked at whenever t has grown by WATCH since the last look, then located by bisection.
        """
        t, dead = piece.t[-1], self._dead(piece)
        if not dead or t < WATCH * self.watched:
            return None
        before, self.watched = max(self.watched, piece.t[0]), t
        if self._weakest(t)[0] >= 0:
            return None
        low, high = before, t
        while high - low > 1e-9 * high:
            middle = 0.5 * (low + high)
            low, high = (middle, high) if self._weakest(middle)[0] >= 0 else (low, middle)
        field, r, w, alive = self.path.state(high)
        keep = int(np.searchsorted(piece.t, high))
        piece.t, piece.y = piece.t[:keep], piece.y[:keep]
        self.watched = high
        self.path.events += [("released-neuron", group, high) for group in dead]
        back = zero_neuron.release(field, r, w, self.system.sizes[dead], self._weakest(high)[1])
        return Start(initial(back[0], back[2]), high, back[1], back[2], alive + dead)

    def _dead(self, piece: Piece) -> list[int]:
        return [g for g in range(len(self.system.sizes)) if g not in piece.alive]

    def _weakest(self, t: float) -> tuple[float, Array]:
        field, r, w, _ = self.path.state(t)
        return zero_neuron.weakest(field, r, w)

    def _unresolved(self, group: int, t: float) -> None:
        self.path.events.append(("fading-neuron", group, t))
        self.path.status = "unresolved"
        self.path.message = f"a neuron fades: double precision cannot follow it beyond t = {t:.6g}"

    def _stop(self, failure: str | None, t: float) -> None:
        if failure:
            self.path.status = "failed"
            self.path.message = f"no step succeeds at t = {t:.6g}: {failure}"
        else:
            self.path.status = "step limit"
            self.path.message = f"{MAX_STEPS} steps taken by t = {t:.6g}"
