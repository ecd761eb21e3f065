"""`flowkit.verify`: measure claims, compare with the predictions, collect a report."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from contextlib import closing
from typing import Any

from flowkit.verification.claim import PROFILES
from flowkit.verification.progress import claims_progress
from flowkit.verification.registry import find
from flowkit.verification.reports.report import Report
from flowkit.verification.reports.results import Result
from flowkit.verification.store import Store
from flowkit.verification.workers import check_here, check_in_processes


def verify(
    claims: str | Iterable[str] | None = None,
    profile: str = "quick",
    jobs: int | None = None,
    progress: bool | None = None,
    store: Any = None,
) -> Report:
    """Check claims numerically.

    Parameters
    ----------
    claims : id or list of ids, optional
        By default all; see `flowkit.claims`.
    profile : {"quick", "full"}
        How many initialisations are run.
    jobs : int, optional
        Processes; by default one for each core that may be used, but no more than claims. With
        one, claims are checked in this process.
    progress : bool, optional
        Show a bar; by default on a terminal only.
    store : path of a folder, optional
        Where report.html and report.json are written. Each claim is kept there as soon as it is
        done, and taken from there if the same verification is started again after an interruption.

    Returns
    -------
    Report

    Raises
    ------
    ValueError
        Unknown claim or profile, jobs < 1, a store that cannot be a folder.
    """
    chosen = find(claims)
    if profile not in PROFILES:
        raise ValueError(f"profile: unknown {profile!r}; known are {', '.join(PROFILES)}")
    if jobs is not None and jobs < 1:
        raise ValueError(f"jobs: must be at least 1, got {jobs}")
    kept = None if store is None else Store(store, profile)
    results: dict[str, Result] = kept.known(chosen) if kept else {}
    if results:
        count = f"{len(results)} of {len(chosen)} claims"
        print(f"flowkit: going on with {count} from {store}", file=sys.stderr, flush=True)
    left = {claim.id: claim for claim in chosen if claim.id not in results}
    workers = min(jobs or usable_cores(), len(left))
    todo = list(left.values())
    events = (
        check_in_processes(todo, profile, workers) if workers > 1 else check_here(todo, profile)
    )
    bar = claims_progress(len(chosen), len(results), progress)
    with closing(events), bar as watch:
        for event in events:
            watch(event)
            if isinstance(event, Result):
                results[event.claim_id] = event
                if kept:
                    kept.keep(left[event.claim_id], event)
    report = Report(tuple(results[claim.id] for claim in chosen), profile)
    if kept:
        kept.finish(report)
    return report


def usable_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
