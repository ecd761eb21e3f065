"""A bar on standard error: how many claims are done, which are under way, since when."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from flowkit.verification.reports.results import Result

Watch = Callable[["str | Result"], None]


@contextmanager
def claims_progress(total: int, done: int, show: bool | None) -> Iterator[Watch]:
    """A function that is told of each claim that begins (its id) or finishes (its result)."""
    if show is None:
        show = sys.stderr.isatty()
    if not show:
        yield lambda event: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    running: dict[str, None] = {}
    text = TextColumn("{task.description}", markup=False)
    columns = (BarColumn(bar_width=30), MofNCompleteColumn(), TimeElapsedColumn(), text)
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total, completed=done)

        def watch(event: str | Result) -> None:
            if isinstance(event, str):
                running[event] = None
            else:
                running.pop(event.claim_id, None)
                bar.advance(task)
            bar.update(task, description=", ".join(running))

        yield watch
