"""From step to step: step size, working precision, basis; every stop has a name."""

from __future__ import annotations

import time as clock
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import groupby
from math import ceil, inf, log2

import flint
import numpy as np
from flint import arb, arb_mat

from flowkit.flows.costs import MAX_STEPS
from flowkit.flows.threads import single_thread
from flowkit.multiprecision.log_time import LogTime, Row, System, time
from flowkit.multiprecision.scale import ComponentScale, GradientScale, Scale, reach
from flowkit.multiprecision.stages import Basis, Stages, StepError, doubles, magnitude
from flowkit.multiprecision.tableau import TAIL, Tableau, tableau

GUARD_DIGITS = 14
JACOBIAN_BITS = 90
CHUNK = 64  # bits; the working precision is a multiple
# Bits by which a component, or what is left of a loss, may fall below the largest component.
SMALLEST, LOWEST = 600, 900
SHORTEST = 1e-14  # a step, relative to x: shorter ones are taken as a singularity
FIRST = 1e-60
RECENT = 12  # steps that tell a blow-up from a singularity
SAFETY, SHRINK, GROW = 0.9, 0.3, 4.0
FAR = 1e-6  # a guess that is off by more makes Newton's method slow

Array = np.ndarray


@dataclass(frozen=True)
class Piece:
    """The collocation polynomial of one step: its values at (0, c_1, …, c_s)."""

    x: arb
    h: arb
    end: arb
    values: arb_mat
    table: Tableau
    bits: int

    def at(self, points: list[arb]) -> arb_mat:
        """Values at x in the step, or beyond it for a guess; one a row."""
        inside = [((p - self.x) / self.h).mid() for p in points]
        return (self.table.values_at(inside) * self.values).mid()


@dataclass(frozen=True)
class Settings:
    """How accurately a run is made.

    Attributes
    ----------
    stages : int
    digits : float
        −log10 of the tolerance of a step.
    cap : int
        Bits that the working precision may grow to.
    """

    stages: int
    digits: float
    cap: int

    @property
    def base(self) -> int:
        return ceil((self.digits + GUARD_DIGITS) * log2(10))


@dataclass
class Run:
    """What has been computed, and what it took."""

    settings: Settings
    start: Row
    pieces: list[Piece] = field(default_factory=list)
    bits: int = CHUNK
    status: str = "unfinished"
    message: str = "saved on the way"
    rejected: int = 0
    evaluations: int = 0
    seconds: float = 0.0
    floored: float = inf  # x from which on the working precision no longer follows the loss

    @property
    def end(self) -> arb:
        return self.pieces[-1].end if self.pieces else arb(0)

    @property
    def last(self) -> Row:
        return self.pieces[-1].values.tolist()[-1] if self.pieces else self.start

    def at(self, points: list[arb]) -> list[Row]:
        """y at increasing x; beyond the end, where the last polynomial leads."""
        rows: list[Row] = []
        with flint.ctx.workprec(self.bits):
            for piece, inside in groupby(points, self._piece):
                here = list(inside)
                rows += [self.start] * len(here) if piece is None else piece.at(here).tolist()
        return rows

    def _piece(self, x: arb) -> Piece | None:
        """The step that x lies in."""
        if not self.pieces:
            return None
        first = bisect_left(self.pieces, x, key=lambda piece: piece.end)
        return self.pieces[min(first, len(self.pieces) - 1)]


Guess = Callable[[list[arb]], arb_mat]
Report = Callable[[arb, Row], None]


@dataclass
class March:
    """Run dy/dt = f(t, y) on in x = ln(1 + t)."""

    system: System
    run: Run
    end: arb
    guess: Guess | None = None
    max_steps: int = MAX_STEPS
    max_seconds: float = inf
    report: Report | None = None

    def go(self) -> Run:
        """March to the end, or to a stop with a name."""
        began = clock.monotonic() - self.run.seconds
        try:
            with single_thread():
                self._loop(began)
        except KeyboardInterrupt:
            self._stop("interrupted", "stopped by the user")
        self.run.seconds = clock.monotonic() - began
        return self.run

    def _stop(self, status: str, message: str) -> None:
        self.run.status, self.run.message = status, message

    def _loop(self, began: float) -> None:
        run, settings = self.run, self.run.settings
        run.bits = max(run.bits, _rounded_up(settings.base))
        self.field = LogTime(self.system)
        self.power = magnitude(arb_mat([run.start])) or 0
        basis = Basis.standard(self.system.size)
        with flint.ctx.workprec(run.bits):
            h = run.pieces[-1].h if run.pieces else self._first_step()
        while run.end < self.end:
            if len(run.pieces) >= self.max_steps:
                return self._stop("step limit", f"{self.max_steps} steps are used up")
            if clock.monotonic() - began > self.max_seconds:
                return self._stop("time limit", f"{self.max_seconds:g} s are used up")
            with flint.ctx.workprec(run.bits), np.errstate(all="ignore"):
                if h < (run.end * SHORTEST if run.pieces else FIRST):
                    return self._stop(*self._diagnosis())
                try:
                    basis, h = self._step(basis, h)
                except (StepError, ZeroDivisionError, OverflowError, ValueError) as problem:
                    run.rejected += 1
                    self.trouble = str(problem)
                    h = (h * SHRINK).mid()
            if self.report is not None:
                self.report(run.end, run.last)
        self._stop("finished", "reached t_max")

    trouble = ""

    def _first_step(self) -> arb:
        y = self.run.start
        try:
            speed = magnitude(arb_mat([self.field.field(arb(0), y)]).mid())
        except (StepError, ZeroDivisionError) as problem:
            self.trouble = str(problem)
            return arb(0)
        size = magnitude(arb_mat([y]))
        h = arb("0.02") if speed is None or size is None else arb(2) ** (size - speed - 6)
        return min(h, arb("0.1"), self.end / 4).mid()

    def _diagnosis(self) -> tuple[str, str]:
        """Why steps have become too short to go on."""
        run = self.run
        t = float(time(run.end))
        if not run.pieces:
            reason = self.trouble or "no step is short enough"
            return "undefined", f"the right-hand side cannot be followed from t = 0: {reason}"
        ends = [piece.values.tolist()[-1] for piece in run.pieces[-RECENT:]]
        rise = np.diff([np.abs(doubles(arb_mat([y]), -self.power)).max() for y in ends])
        # Steps shrink: what still rises by as much in each has no limit.
        if len(rise) > 1 and rise[-1] > 0.2 * abs(rise[0]):
            return "blow-up", f"the solution grows without bound at t = {t:.15g}"
        known = self.system.explain(run.last) if hasattr(self.system, "explain") else None
        if known is not None:
            return "singularity", f"{known} at t = {t:.15g}"
        reason = f" ({self.trouble})" if "finite" in self.trouble else ""
        return "singularity", f"the solution cannot be continued beyond t = {t:.15g}{reason}"

    def _step(self, basis: Basis, h: arb) -> tuple[Basis, arb]:
        """Try one step; the basis and the next step length."""
        run, settings = self.run, self.run.settings
        bits = run.bits
        table = tableau(settings.stages, bits)
        x, y = run.end, run.last
        last = bool(x + 1.0001 * h >= self.end)
        if last:
            h = (self.end - x).mid()
        basis, scale = self._frame(x, y, basis)
        # Doubles of what is left after cancellation: the digits of the tolerance are not needed.
        low = bits - settings.base + JACOBIAN_BITS if self.system.gradient_flow else bits
        stages = Stages(self.field, table, x, h, y, basis, self.guess is not None, low)
        tolerance = 10.0**-settings.digits
        values = self._solved(stages, scale, tolerance / 30)
        if values is None:
            return basis, (h * max(SHRINK, min(0.7, self._within_reach(stages)))).mid()
        error = self._tail(values, stages.start, table, basis, scale)
        factor = SAFETY * (tolerance / error) ** (1 / (settings.stages + 1)) if error else GROW
        if not error <= tolerance:
            run.rejected += 1
            return basis, (h * max(SHRINK, factor)).mid()
        factor = min(factor, self._within_reach(stages))
        end = self.end if last else (x + h).mid()
        piece = Piece(x, h, end, arb_mat([y, *values.tolist()]), table, bits)
        run.pieces.append(piece)
        return basis, (h * min(GROW, max(SHRINK, factor))).mid()

    def _solved(self, stages: Stages, scale: Scale, tolerance: float) -> arb_mat | None:
        y = stages.start.tolist()[0]
        try:
            return stages.solve(self._guessed(stages.x, y), scale, tolerance)
        except StepError as problem:
            self.run.rejected += 1
            self.trouble = str(problem)
            return None
        finally:
            self.run.evaluations += stages.evaluations

    def _within_reach(self, stages: Stages) -> float:
        """The factor of h at which the guess, an extrapolation, would have been good."""
        if self.guess is not None or not self.run.pieces or stages.surprise == 0:
            return SHRINK if self.guess is not None and stages.surprise > 1 else GROW
        return (FAR / stages.surprise) ** (1 / (self.run.settings.stages + 1))

    def _guessed(self, points: list[arb], y: Row) -> arb_mat:
        if self.guess is not None:
            return self.guess(points)
        if self.run.pieces:
            return self.run.pieces[-1].at(points)
        return arb_mat([y] * len(points))

    def _frame(self, x: arb, y: Row, basis: Basis) -> tuple[Basis, Scale]:
        """Basis and units of errors; the working precision rises to what they need.

        Sizes are counted in units of the first state.
        """
        jacobian, power = self.field.jacobian(x, y), self.power
        values, speeds = (
            np.abs(doubles(arb_mat([v]), -power))[0] for v in (y, self.field.field(x, y))
        )
        lost = self.run.settings.cap - self.run.settings.base
        if not self.system.gradient_flow:
            floor = max(1.0, float(values.max())) * 2.0 ** -min(lost, SMALLEST)
            units = np.maximum(values, speeds)
            units = np.where(units > 0, np.maximum(units, floor), max(values.max(), floor))
            basis = basis.follow(jacobian, units)
            self._raise_precision(_rounding(basis, jacobian, values) / units)
            return basis, ComponentScale(floor, power)
        basis = basis.follow(jacobian)
        inner = basis.of(jacobian)
        size, least = float(values.max()), 2.0**-LOWEST
        rates = np.maximum(np.sqrt((inner**2).sum(axis=0)), 1.0)
        stiffness = max(np.abs(inner).max(), 1.0)
        rounding = size * stiffness / rates
        units = reach(inner, float(speeds.max()), max(size, least))
        floors = np.maximum(rounding * 2.0 ** -min(lost, LOWEST), least)
        if (units < floors).any():
            self.run.floored = min(self.run.floored, float(x))
        units = np.maximum(units, floors)
        # Once more the stiffness: without it, digits are lost from t = 1e50 on (measured).
        self._raise_precision(stiffness * rounding / units)
        return basis, GradientScale(units, power)

    def _raise_precision(self, lost: Array) -> None:
        """Bits for what cancels, beside those of the tolerance."""
        most = float(lost[np.isfinite(lost)].max(initial=1.0))
        needed = self.run.settings.base + ceil(log2(max(1.0, most)))
        if needed > self.run.bits:
            self.run.bits = min(_rounded_up(needed), self.run.settings.cap)

    def _tail(
        self, values: arb_mat, start: arb_mat, table: Tableau, basis: Basis, scale: Scale
    ) -> float:
        """The error of the polynomial: its last Legendre coefficient, or what the ones before it
        let expect if that is larger."""
        outer = (table.tail * (values - start)).mid()
        inner = (outer * basis.inverse.transpose()).mid()
        power = magnitude(inner)
        if power is None:
            return 0.0
        sizes = []
        scaled = doubles(inner, -power)
        rows = outer.tolist()
        for k in range(TAIL):
            row = arb_mat([rows[k]]) * arb(2) ** -power
            sizes.append(scale.measure(scaled[k : k + 1], row, power, values))
        expected = [sizes[-1]]
        if sizes[-3] > 0:
            expected.append(sizes[-2] * min(1.0, sizes[-2] / sizes[-3]))
        return max(expected)


def _rounding(basis: Basis, jacobian: arb_mat, values: Array) -> Array:
    """What rounding the terms of the field does to each component: fast directions damp it."""
    terms = np.abs(doubles(jacobian)) @ values
    rates = np.maximum(np.abs(np.diag(basis.of(jacobian))), 1.0)
    return np.abs(doubles(basis.columns)) @ (np.abs(doubles(basis.inverse)) @ terms / rates)


def _rounded_up(bits: int) -> int:
    return -(-bits // CHUNK) * CHUNK
