"""One claim: measure it, compare with the predictions. Whatever breaks leaves it undecided."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from math import nan
from typing import Any

from flowkit.verification.claim import (
    FAILS,
    HOLDS,
    PROFILES,
    UNDECIDED,
    Claim,
    Evidence,
    Measured,
    Prediction,
    base,
)
from flowkit.verification.reports.results import Result, Row

UNKNOWN = Prediction(nan, nan)


def prepare(claim: Claim) -> None:
    """Compile what flows need, so that no claim is charged for it."""
    if claim.flows:
        from flowkit.flows.pair_setting import warm_up

        with suppress(Exception):  # the claim will say what is wrong
            warm_up()


def check(claim: Claim, profile: str) -> Result:
    """Measure one claim and compare."""
    began = time.perf_counter()
    try:
        evidence = claim.measure(PROFILES[profile])
        rows = tuple(compare(claim, evidence))
        figure, notes = drawn(evidence)
    except Exception as problem:  # the other claims are still worth having
        return lost(claim, profile, describe(problem), time.perf_counter() - began)
    seconds = time.perf_counter() - began
    runs = tuple(map(str, evidence.runs))
    return result(claim, profile, rows, seconds, figure=figure, notes=notes, runs=runs)


def compare(claim: Claim, evidence: Evidence) -> Iterator[Row]:
    """A row for each value, and for each prediction that has none."""
    for name, raw in evidence.values.items():
        measured = Measured(float(raw.value), float(raw.error), str(raw.note))
        if base(name) in claim.predictions:
            prediction = claim.prediction(name)
            yield Row(name, prediction, measured, prediction.verdict(measured))
        else:
            unknown = Measured(measured.value, measured.error, "nothing is predicted")
            yield Row(name, UNKNOWN, unknown, UNDECIDED)
    used = {base(name) for name in evidence.values}
    for name in claim.predictions:
        if name not in used and name not in evidence.omits:
            yield Row(name, claim.predictions[name], Measured(nan, nan, "not measured"), UNDECIDED)


def drawn(evidence: Evidence) -> tuple[str, tuple[str, ...]]:
    """The figure as SVG, and what prevented it."""
    from flowkit.plots import svg

    try:
        return (svg(evidence.draw) if evidence.draw else ""), ()
    except Exception as problem:  # the numbers are what counts
        return "", (f"the figure could not be drawn: {describe(problem)}",)


def lost(claim: Claim, profile: str, why: str, seconds: float = 0.0) -> Result:
    """Undecided in every prediction, for one reason."""
    measured = Measured(nan, nan, why)
    try:
        predictions = dict(claim.predictions)
    except Exception:  # they may be what is broken
        predictions = {}
    rows = [Row(name, known, measured, UNDECIDED) for name, known in predictions.items()]
    rows = rows or [Row("predictions", UNKNOWN, measured, UNDECIDED)]
    return result(claim, profile, tuple(rows), seconds)


def result(
    claim: Claim, profile: str, rows: tuple[Row, ...], seconds: float, **more: Any
) -> Result:
    """With the verdict of all rows together."""
    verdicts = {row.verdict for row in rows}
    verdict = next((v for v in (FAILS, UNDECIDED) if v in verdicts), HOLDS if rows else UNDECIDED)
    said = {name: getattr(claim, name) for name in ("statement", "source", "group", "formula")}
    came_out: dict[str, Any] = {"rows": rows, "verdict": verdict, "seconds": seconds}
    return Result(claim_id=claim.id, profile=profile, **said, **came_out, **more)


def describe(problem: BaseException) -> str:
    """In one line."""
    return " ".join(f"{type(problem).__name__}: {problem}".split())
