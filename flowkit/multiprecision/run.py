"""`flowkit.integrate(..., precision=digits)`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from math import ceil, inf, log2, log10
from typing import Any

import flint
import numpy as np
from flint import arb

from flowkit.files import saver
from flowkit.flows.costs import MAX_STEPS, checked_count, checked_seconds
from flowkit.flows.progress import log_progress
from flowkit.multiprecision.certify import Limits, certified, first_run
from flowkit.multiprecision.flow import PreciseFlow
from flowkit.multiprecision.log_time import log_time, time
from flowkit.multiprecision.march import Run
from flowkit.multiprecision.prepare import Prepared, prepared
from flowkit.problems.exact import ball
from flowkit.problems.numbers import rational, rationals
from flowkit.problems.problem import checked_digits

Array = np.ndarray
LATEST = 100  # log10 of the longest t_max
MOST_DIGITS = 1000
DOUBLE = 15  # digits of results as doubles


def integrate(
    problem: Any,
    w0: Any,
    t_max: Any,
    *,
    precision: int | None,
    rtol: float | None = None,
    t_eval: Any = None,
    certify: bool = True,
    max_steps: int = MAX_STEPS,
    max_seconds: float = inf,
    checkpoint: Any = None,
    progress: bool | None = None,
) -> PreciseFlow:
    """As `flowkit.integrate`, by Radau IIA in many digits; `precision` None: results as doubles."""
    digits = checked_digits(precision) or DOUBLE
    if digits > MOST_DIGITS:
        raise ValueError(f"precision: at most {MOST_DIGITS} digits in a flow, got {precision}")
    end_time = _time(t_max, "t_max")
    if not (end_time > 0 and float(end_time) <= 10.0**LATEST):
        raise ValueError(f"t_max: must lie in (0, 1e{LATEST}], got {t_max}")
    asked = _digits(rtol, digits)
    bits = ceil((3 * digits + 100 + 5 * log10(1 + float(end_time))) * log2(10))
    ready = prepared(problem, w0, bits)
    times = None if t_eval is None else _times(t_eval, end_time)
    flow = PreciseFlow(problem, ready, w0_exact(w0), end_time, precision, asked, times)
    flow.prepared_bits = bits
    flow.certify = certify
    limits = Limits(checked_count(max_steps), checked_seconds(max_seconds))
    return _go(flow, limits, checkpoint, progress)


def go_on(flow: PreciseFlow, t_max: Any, limits: Limits, checkpoint: Any, progress: Any) -> Any:
    """Continue a saved flow to t_max (None: to where it was meant to go)."""
    if t_max is not None:
        flow.t_max = _time(t_max, "t_max")
        if not float(flow.t_max) <= 10.0**LATEST or flow.t_max < rational(time(flow.run.end)):
            raise ValueError(f"t_max: the saved run has already reached {float(flow.t[-1]):.6g}")
    return _go(flow, limits, checkpoint, progress)


def _go(flow: PreciseFlow, limits: Limits, checkpoint: Any, progress: Any) -> PreciseFlow:
    with flint.ctx.workprec(flow.bits):
        end = log_time(ball(flow.t_max))
    limits.reporter = _reporter(flow.ready, float(flow.t_max), progress)
    limits.saver = saver(checkpoint, partial(_save, flow, checkpoint))
    flow.certificate = None
    flow.run = first_run(flow.ready, flow.digits_asked, end, limits, flow.run_or_none)
    if flow.certify and flow.run.status == "interrupted":
        flow.run.message += "; digits are not certified"
    elif flow.certify and flow.run.pieces:
        try:
            found = certified(flow.ready, flow.run, flow.digits_asked, limits)
            flow.run, flow.certificate = found
        except KeyboardInterrupt:
            flow.run.status = "interrupted"
            flow.run.message = "stopped by the user while digits were compared: not certified"
    flow.refresh()
    if checkpoint is not None:
        flow.save(checkpoint)
    return flow


def _reporter(ready: Prepared, t_max: float, progress: bool | None) -> Any:
    @contextmanager
    def reporter(name: str) -> Iterator[Any]:
        with log_progress(t_max, progress, name) as report:
            if report is None:
                yield None
                return
            loss = getattr(ready.system, "loss", None)

            def tell(x: arb, y: list[arb]) -> None:
                value = None if loss is None else float(loss(y))
                report(float(time(x)), value)

            yield tell

    return reporter


def _save(flow: PreciseFlow, checkpoint: Any, run: Run) -> None:
    flow.run = run
    flow.refresh()
    flow.save(checkpoint)


def w0_exact(w0: Any) -> Array:
    """The initial values as Fractions."""
    return rationals(np.atleast_1d(np.asarray(w0, dtype=object)))


def _digits(rtol: float | None, digits: int) -> float:
    """Digits that are asked for, at most those of the precision."""
    if rtol is None:
        return float(digits)
    try:
        value = float(rtol)
    except (TypeError, ValueError):
        raise ValueError(f"rtol: expected a number, got {rtol!r}") from None
    if not 0 < value <= 0.1:
        raise ValueError(f"rtol: {value:g} is not a tolerance; choose one in (0, 0.1]")
    if -log10(value) > digits + 1e-9:
        raise ValueError(f"rtol: {value:g} is below what precision={digits} can give")
    return -log10(value)


def _time(value: Any, name: str) -> Any:
    try:
        return rational(value)
    except (TypeError, ValueError, ArithmeticError):
        raise ValueError(f"{name}: expected a finite number, got {value!r}") from None


def _times(t_eval: Any, end: Any) -> list[Any]:
    values = np.atleast_1d(np.asarray(t_eval, dtype=object))
    if values.ndim != 1 or not values.size:
        raise ValueError("t_eval: expected a non-empty list of times")
    times = [_time(t, "t_eval") for t in values]
    if times[0] < 0 or times[-1] > end:
        raise ValueError(f"t_eval: must lie in [0, t_max] = [0, {float(end):g}]")
    if any(b <= a for a, b in pairwise(times)):
        raise ValueError("t_eval: must be strictly increasing")
    return times
