"""`flowkit.verify`: measure claims, compare with the predictions, collect a report."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from math import nan
from multiprocessing import get_context
from typing import Any

from flowkit.verification.claim import (
    FAILS,
    HOLDS,
    PROFILES,
    UNDECIDED,
    Claim,
    Evidence,
    Measured,
)
from flowkit.verification.registry import find
from flowkit.verification.report import Report, Result, Row


def verify(
    claims: str | Iterable[str] | None = None,
    profile: str = "quick",
    jobs: int = 1,
    progress: bool | None = None,
) -> Report:
    """Check claims numerically.

    Parameters
    ----------
    claims : id or list of ids, optional
        By default all; see `flowkit.claims`.
    profile : {"quick", "full"}
        How many initialisations are run.
    jobs : int
        Processes.
    progress : bool, optional
        Show a bar; by default on a terminal only.

    Returns
    -------
    Report

    Raises
    ------
    ValueError
        Unknown claim or profile, jobs < 1.
    """
    chosen = find(claims)
    if profile not in PROFILES:
        raise ValueError(f"profile: unknown {profile!r}; known are {', '.join(PROFILES)}")
    if jobs < 1:
        raise ValueError(f"jobs: must be at least 1, got {jobs}")
    with claims_progress(len(chosen), progress) as advance:
        results = {}
        for result in _results(chosen, profile, min(jobs, len(chosen))):
            results[result.claim_id] = result
            advance(result.claim_id)
    return Report(tuple(results[claim.id] for claim in chosen), profile)


def check(claim: Claim, profile: str) -> Result:
    """Measure one claim and compare."""
    from flowkit.plots import svg

    began = time.perf_counter()
    try:
        evidence = claim.measure(PROFILES[profile])
    except Exception as problem:  # the other claims are still worth having
        lost = Measured(nan, nan, f"{type(problem).__name__}: {problem}")
        evidence = Evidence(dict.fromkeys(claim.predictions, lost))
    rows = []
    for name, measured in evidence.values.items():
        prediction = claim.prediction(name)
        rows.append(Row(name, prediction, measured, prediction.verdict(measured)))
    verdicts = {row.verdict for row in rows}
    verdict = next((v for v in (FAILS, UNDECIDED) if v in verdicts), HOLDS if rows else UNDECIDED)
    figure = svg(evidence.draw) if evidence.draw else ""
    seconds = time.perf_counter() - began
    identity = (claim.id, claim.statement, claim.source, profile)
    return Result(*identity, tuple(rows), verdict, seconds, figure)


def _results(claims: list[Claim], profile: str, jobs: int) -> Iterator[Result]:
    if jobs <= 1:
        yield from (check(claim, profile) for claim in claims)
        return
    # Leaving the block terminates the workers; Ctrl-C is the parent's affair.
    ignore = (signal.SIGINT, signal.SIG_IGN)
    with get_context("spawn").Pool(jobs, signal.signal, ignore) as pool:
        yield from pool.imap_unordered(partial(check, profile=profile), claims)


@contextmanager
def claims_progress(total: int, show: bool | None) -> Iterator[Any]:
    """A function that advances a bar on standard error by one claim."""
    if show is None:
        show = sys.stderr.isatty()
    if not show:
        yield lambda name: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("verifying", total=total)
        yield lambda name: bar.update(task, advance=1, description=name)
