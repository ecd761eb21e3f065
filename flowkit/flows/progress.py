"""A progress bar that is linear in log t."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import log1p

PATIENCE = 1.0  # seconds before a bar appears


@contextmanager
def log_progress(
    t_max: float, show: bool | None, name: str = ""
) -> Iterator[Callable[..., None] | None]:
    """A reporter (t, loss, slope) that draws a bar on standard error, or None if not wanted.

    `show` None means: on a terminal only.  Loss and slope may be left out.
    """
    if show is None:
        show = sys.stderr.isatty()
    if not show:
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    bar = Progress(*columns, console=Console(stderr=True), transient=True)
    task = bar.add_task("t = 0", total=log1p(t_max))
    began = time.monotonic()

    def report(t: float, loss: float | None = None, slope: float | None = None) -> None:
        if time.monotonic() - began > PATIENCE:
            bar.start()
        text = f"{name}  t = {t:.2e}".lstrip()
        text += f"  L = {loss:.2e}" if loss is not None else ""
        text += f"  slope {slope:.2f}" if slope is not None else ""
        bar.update(task, completed=log1p(t), description=text)

    try:
        yield report
    finally:
        bar.stop()
