"""Who checks which claim next: long ones first, and one process compiles for all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from threading import Condition

from flowkit.verification.claim import Claim


@dataclass(frozen=True)
class Task:
    """Claims that share cached flows, for one process."""

    claims: tuple[Claim, ...]
    cost: float
    flows: bool


def grouped(claims: Iterable[Claim], profile: str) -> list[Task]:
    """Claims by what they share, the longest first."""
    groups: dict[str, list[Claim]] = {}
    for claim in claims:
        groups.setdefault(f"shares {claim.shares}" if claim.shares else claim.id, []).append(claim)
    tasks = [
        Task(
            tuple(group),
            sum(claim.seconds(profile) for claim in group),
            any(claim.flows for claim in group),
        )
        for group in groups.values()
    ]
    return sorted(tasks, key=lambda task: -task.cost)


class Tasks:
    """Tasks to be taken by several threads.

    The first to come takes one that runs flows, and compiles; until it has, the others take tasks
    that run none, or wait.
    """

    def __init__(self, tasks: list[Task]) -> None:
        self._left = list(tasks)
        self._changed = Condition()
        self._compiling = self._compiled = False

    def take(self) -> Task | None:
        """The next task; None when there are no more."""
        with self._changed:
            while self._left:
                task = self._next()
                if task is not None:
                    self._left.remove(task)
                    self._compiling |= task.flows
                    return task
                self._changed.wait()
            return None

    def _next(self) -> Task | None:
        if self._compiled:
            return self._left[0]
        wanted = not self._compiling  # of two kinds, the one that cannot run beside a compilation
        first = (task for task in self._left if task.flows == wanted)
        others = self._left[0] if wanted else None
        return next(first, others)

    def compiled(self, succeeded: bool = True) -> None:
        """Flows can be run without compiling; or whoever was to compile has not."""
        with self._changed:
            self._compiled |= succeeded
            self._compiling = False
            self._changed.notify_all()

    def close(self) -> None:
        """There are no more."""
        with self._changed:
            self._left.clear()
            self._changed.notify_all()
