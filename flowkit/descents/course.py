"""A descent and what is stored of it, run in short pieces: it can be watched and stopped."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from flowkit.descents.walk import DIVERGED, FAILED, RUNNING, ZERO, Row, Walk
from flowkit.flows.threads import single_thread

Array = np.ndarray

PIECE = 0.2  # seconds between looks at the clock
PER_DECADE = 20
STATUS = {ZERO: "zero neuron", DIVERGED: "diverged", FAILED: "failed"}


@dataclass
class Course:
    """Rows at the iterations in `grid`, as far as the walk has come; then one where it stands."""

    walk: Walk
    steps: int
    grid: list[int]
    rows: list[Row] = field(default_factory=list)
    status: str = "unfinished"
    message: str = "saved on the way"
    seconds: float = 0.0

    def run(
        self,
        limit: float = np.inf,
        report: Callable[..., None] | None = None,
        save: Callable[[], None] | None = None,
    ) -> None:
        """Go on until `steps`, or a limit of seconds."""
        began = time.monotonic()
        try:
            with single_thread():
                self.status, self.message = self._march(began + limit, report, save)
        except KeyboardInterrupt:
            self.status, self.message = "interrupted", f"interrupted at {self._where}"
        self._store_end()
        if self.status == "time limit":
            self.message = f"{limit:g} s spent by {self._where}"
        self.seconds += time.monotonic() - began

    def _march(
        self, end: float, report: Callable[..., None] | None, save: Callable[[], None] | None
    ) -> tuple[str, str]:
        count = 1
        wanted = set(self.grid)
        for target in sorted(k for k in wanted | {self.steps} if k > self._stored):
            while self.walk.iteration < target:
                began = time.monotonic()
                goal = self.walk.iteration + count
                code = self.walk.advance(min(goal, target))
                if code != RUNNING:
                    return STATUS[code], f"{self.walk.message}, at {self._where}"
                spent = time.monotonic() - began
                if goal <= target and spent < PIECE / 2:
                    count *= 2
                elif spent > PIECE:
                    count = max(1, count // 2)
                if save:
                    save()
                if report:
                    report(self.walk.step_size * self.walk.iteration)
                if time.monotonic() >= end and self.walk.iteration < self.steps:
                    return "time limit", ""
            if target in wanted:
                self.rows.append(self.walk.row())
        return "finished", f"reached iteration {self.steps}"

    def snapshot(self) -> Course:
        """What is stored, and where the walk stands."""
        return replace(self, rows=[*self.rows, self.walk.row()])

    def _store_end(self) -> None:
        """Where an early stop has come to, unless that is no number."""
        if self.status != "finished" and self._stored < self.walk.iteration:
            row = self.walk.row()
            if np.isfinite(row.loss) or not self.rows:
                self.rows.append(row)

    @property
    def _stored(self) -> int:
        return self.rows[-1].iteration if self.rows else -1

    @property
    def _where(self) -> str:
        return f"iteration {self.walk.iteration}"

    def extend(self, steps: int) -> None:
        """Aim at so many steps; what is stored becomes what a descent of this length stores."""
        known = self.grid if self.grid != spaced(self.steps) else []
        self.grid = sorted({*known, *(k for k in spaced(steps) if not known or k > self.steps)})
        self.steps = steps
        self.rows = [row for row in self.rows if row.iteration in set(self.grid)]


def spaced(steps: int) -> list[int]:
    """0, twenty iterations a decade, the powers of ten among them, and the last one."""
    decades = int(np.ceil(np.log10(steps) + 1e-9)) * PER_DECADE
    points = {round(10 ** (k / PER_DECADE)) for k in range(decades + 1)}
    return sorted({0, steps, *(k for k in points if k <= steps)})
