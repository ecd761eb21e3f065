"""Two runs of one flow, and how far they are apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import ceil, inf, log2
from typing import Any

import flint
import numpy as np
from flint import arb, arb_mat

from flowkit.flows.costs import MAX_STEPS
from flowkit.multiprecision.agreement import Agreement, Certificate, decade
from flowkit.multiprecision.log_time import time
from flowkit.multiprecision.march import March, Report, Run, Settings
from flowkit.multiprecision.prepare import Prepared

Array = np.ndarray
ROUNDS = 3  # runs beyond the second, if digits are missing
MORE_STAGES, MORE_DIGITS = 4, 3.0
SLOWER, PATIENCE = 5, 10.0  # what a check may take: times the run, and seconds
ROOM = 400  # bits for losses that fall exponentially


def stages_for(digits: float) -> int:
    """How many stages pay for a tolerance of so many digits.

    About one for each digit: steps then take the solution as far as the last polynomial can be
    extrapolated, from where Newton's method still starts well.
    """
    return max(5, round(0.8 * digits) + 4)


def settings_for(digits: float, end: arb) -> Settings:
    """Stages and precision for a tolerance of so many digits, up to x = end."""
    base = Settings(stages_for(digits), digits, 0)
    cap = base.base + ceil(4 * float(end) * log2(2.72)) + ceil(digits * log2(10)) + ROOM
    return Settings(base.stages, digits, cap)


@dataclass
class Limits:
    """What a run may cost, and whom to tell about it."""

    max_steps: int = MAX_STEPS
    max_seconds: float = inf
    reporter: Callable[[str], Any] | None = None  # name of the run → context of a Report
    saver: Callable[[Run], None] | None = None


def first_run(prepared: Prepared, digits: float, end: arb, limits: Limits, run: Run | None) -> Run:
    """A run to x = end, or one that goes on."""
    run = run or Run(settings_for(digits, end), prepared.start)
    return _marched(prepared, run, end, limits, None, "run")


def certified(
    prepared: Prepared, run: Run, digits: float, limits: Limits
) -> tuple[Run, Certificate]:
    """Repeat a run with other stages, a finer tolerance and more bits, until two agree.

    Returns the finest run and its agreement with the one before; fewer digits than asked for are
    agreed on where the loss is lost below the working precision, or where a limit was met.
    """
    wanted = run.settings.digits
    for _ in range(1 + ROUNDS):
        wanted += MORE_DIGITS
        finer = settings_for(wanted, run.end)
        if finer.stages - run.settings.stages < MORE_STAGES:
            finer = Settings(run.settings.stages + MORE_STAGES, wanted, finer.cap)
        patience = min(limits.max_seconds, SLOWER * run.seconds + PATIENCE)
        allowed = replace(limits, max_seconds=patience)
        check = _marched(prepared, Run(finer, prepared.start), run.end, allowed, run, "check")
        if check.status != "finished":
            # The finer run did not come as far: it confirms the other one up to where it came.
            if check.status in ("interrupted", "time limit", "step limit"):
                run.status, run.message = check.status, f"{check.message} (while checking)"
            else:
                where = float(time(check.end))
                run.message += f"; the check came to t = {where:.6g}, beyond no digit is certain"
            return run, certificate(prepared, run, check, check.end)
        check.status, check.message = run.status, run.message
        found = certificate(prepared, check, run, run.end)
        floored = min(run.floored, check.floored)
        run, missing = check, _missing(found, digits, floored)
        # Close to a singularity digits are missing, however small the tolerance.
        if missing <= 0 or run.status != "finished":
            break
        wanted += missing
    return run, found


def _missing(found: Certificate, digits: float, end: float) -> float:
    """Digits that are still to be gained before x = end, where the loss is not lost."""
    with np.errstate(invalid="ignore"):
        if found.loss is None:
            left = found.state.size.max(axis=1) - found.state.gap.max(axis=1)
        else:
            left = found.loss.size - found.loss.gap
    left = np.where(np.isnan(left), np.inf, left)
    return digits - float(left[found.x < end].min(initial=np.inf))


def _marched(
    prepared: Prepared, run: Run, end: arb, limits: Limits, guide: Run | None, name: str
) -> Run:
    guess = None if guide is None else lambda points: arb_mat(guide.at(points))
    march = March(prepared.system, run, end, guess, limits.max_steps, limits.max_seconds)
    if limits.reporter is None:
        return march.go()
    with limits.reporter(name) as report:
        march.report = _told(prepared, run, report, limits.saver if guide is None else None)
        return march.go()


def _told(prepared: Prepared, run: Run, report: Any, saver: Any) -> Report | None:
    if report is None and saver is None:
        return None

    def tell(x: arb, y: list[arb]) -> None:
        if report is not None:
            report(x, y)
        if saver is not None:
            saver(run)

    return tell


def certificate(prepared: Prepared, fine: Run, coarse: Run, end: arb) -> Certificate:
    """Compare two runs where the steps of the first end, up to x = end."""
    points = [arb(0), *(piece.end for piece in fine.pieces if piece.end <= end)]
    loss = getattr(prepared.system, "loss", None)
    losses, states = [], []
    with flint.ctx.workprec(max(fine.bits, coarse.bits)):
        for a, b in zip(fine.at(points), coarse.at(points), strict=True):
            states.append([(decade(p), decade(p - q)) for p, q in zip(a, b, strict=True)])
            if loss is not None:
                losses.append((decade(loss(a)), decade(loss(a) - loss(b))))
    x = np.array([float(p) for p in points])
    state, of_loss = np.array(states), np.array(losses)
    return Certificate(
        x,
        None if loss is None else Agreement(of_loss[:, 0], of_loss[:, 1]),
        Agreement(state[:, :, 0], state[:, :, 1]),
    )
