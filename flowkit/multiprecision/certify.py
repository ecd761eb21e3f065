"""Two runs of one flow, and the digits on which they agree."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, inf, log2
from typing import Any

import flint
import numpy as np
from flint import arb, arb_mat

from flowkit.multiprecision.march import MAX_STEPS, March, Report, Run, Settings
from flowkit.multiprecision.prepare import Prepared

Array = np.ndarray
ROUNDS = 3  # runs beyond the second, if digits are missing
MORE_STAGES, MORE_DIGITS = 4, 3.0
ROOM = 400  # bits for losses that fall exponentially


@dataclass(frozen=True)
class Certificate:
    """Digits on which two runs agree, where the steps of the finer one end.

    Attributes
    ----------
    x : ndarray, shape (k,)
        ln(1 + t), increasing.
    loss : ndarray of int, shape (k,), or None
    state : ndarray of int, shape (k, N)
        Of each component, relative to its own size.
    norm : ndarray of int, shape (k,)
        Of the largest component.
    """

    x: Array
    loss: Array | None
    state: Array
    norm: Array

    def at(self, x: Array, digits: Array) -> Array:
        """The fewer digits of the two neighbours among `x`; none beyond the last."""
        right = np.clip(np.searchsorted(self.x, x), 0, len(self.x) - 1)
        left = np.maximum(right - 1, 0)
        found = np.minimum(digits[left], digits[right])
        beyond = x > self.x[-1] * (1 + 1e-15)
        found[beyond] = 0
        return found


def stages_for(digits: float) -> int:
    """How many stages pay for a tolerance of so many digits.

    About one for each digit: steps then take the solution as far as the last polynomial can be
    extrapolated, from where Newton's method still starts well.
    """
    return max(5, round(0.8 * digits) + 4)


def settings_for(digits: float, end: arb) -> Settings:
    """Stages and precision for a tolerance of so many digits, up to x = end."""
    base = Settings(stages_for(digits), digits, 0)
    cap = base.base + ceil(3 * float(end) * log2(2.72)) + ceil(digits * log2(10)) + ROOM
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
        check = _marched(prepared, Run(finer, prepared.start), run.end, limits, run, "check")
        if check.status != "finished":
            # The finer run did not come as far: it confirms the other one up to where it came.
            if check.status in ("interrupted", "time limit", "step limit"):
                run.status, run.message = check.status, f"{check.message} (while checking)"
            return run, certificate(prepared, run, check, check.end)
        check.status, check.message = run.status, run.message
        found = certificate(prepared, check, run, run.end)
        missing = _missing(found, digits, min(run.floored, check.floored))
        run = check
        # Close to a singularity digits are missing, however small the tolerance.
        if missing <= 0 or run.status != "finished":
            break
        wanted += missing
    return run, found


def _missing(found: Certificate, digits: float, floored: float) -> float:
    """Digits that are still to be gained where they can be."""
    agreed = found.norm if found.loss is None else found.loss
    within = agreed[found.x < floored]
    return digits - float(within.min(initial=10**6))


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
    losses, states, norms = [], [], []
    with flint.ctx.workprec(max(fine.bits, coarse.bits)):
        most = int(fine.settings.digits) + 10
        for a, b in zip(fine.at(points), coarse.at(points), strict=True):
            states.append([agreement(p, q, most) for p, q in zip(a, b, strict=True)])
            size = max(abs(p) for p in a)
            gap = max(abs(p - q).mid() for p, q in zip(a, b, strict=True))
            norms.append(agreement(size, size + gap, most))
            if loss is not None:
                losses.append(agreement(loss(a), loss(b), most))
    return Certificate(
        np.array([float(x) for x in points]),
        None if loss is None else _cautious(np.array(losses)),
        np.array(states),
        _cautious(np.array(norms)),
    )


def agreement(a: arb, b: arb, most: int) -> int:
    """Decimal digits on which two numbers agree, at most `most`."""
    gap = abs(a - b).mid()
    if gap == 0:
        return most
    size = abs(a).mid()
    if size == 0:
        return 0
    digits = float((size / gap).log()) / float(np.log(10))
    return int(min(most, max(0, np.floor(digits))))


def _cautious(digits: Array) -> Array:
    """Two runs may agree by accident at one time: their neighbours there speak too."""
    padded = np.pad(digits, 1, mode="edge")
    return np.minimum(digits, np.minimum(padded[:-2], padded[2:]) + 3)
