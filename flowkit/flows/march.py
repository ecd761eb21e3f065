"""From a start to t_max through pieces: coordinates change, things happen on the way, stops."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from flowkit.flows.field import REACHED, STUCK, Field, Steps, step_at
from flowkit.flows.path import Path, Piece
from flowkit.flows.steppers import Stepper, make
from flowkit.flows.stops import Stop, first_stop
from flowkit.flows.threads import single_thread

Array = np.ndarray

Report = Callable[[float, float, float], None]


class Start(NamedTuple):
    """Where a piece begins: coordinates, time, state, and the groups of students that are alive.

    `method` if another than the run's suits it better.
    """

    field: Field
    t: float
    y: Array
    alive: list[int]
    method: str = ""


@dataclass
class Limits:
    """When to stop before t_max."""

    steps: int = 20_000
    seconds: float = np.inf
    stops: list[Stop] = field(default_factory=list)


@dataclass
class March(ABC):
    """Fills a path piece by piece; subclasses know the coordinates and what may happen."""

    path: Path
    t_max: float
    limits: Limits = field(default_factory=Limits)
    report: Report | None = None
    save: Callable[[], None] | None = None
    began: float = field(default_factory=time.monotonic)

    @abstractmethod
    def begin(self) -> Start:
        """The start at t = 0."""

    @abstractmethod
    def see_to(self, code: int, piece: Piece, stepper: Stepper) -> Start | None:
        """What the last step calls for: other coordinates, a neuron less or more; or nothing."""

    def watch(self, piece: Piece) -> float:
        """The time up to which nothing has to be looked at."""
        return np.inf

    def near(self, stepper: Stepper | None) -> float:
        """Norm of a student below which it has to be looked at."""
        return 0.0

    def run(self) -> Path:
        """From t = 0, or from where the path ends."""
        if not self.path.pieces:
            return self._go(self.begin())
        piece, t = self.path.pieces[-1], self.path.end
        self.path.status, self.path.message = "finished", "reached t_max"
        return self._go(Start(piece.field, t, piece.steps.y[-1], piece.alive, piece.method))

    def _go(self, start: Start | None) -> Path:
        try:
            with single_thread():
                while start is not None:
                    start = self._piece(start)
        except KeyboardInterrupt:
            self._stop("interrupted", f"interrupted at t = {self.path.end:.6g}")
        self.path.seconds += time.monotonic() - self.began
        return self.path

    def _piece(self, start: Start) -> Start | None:
        """Steps in one set of coordinates; returns where the next piece starts."""
        coordinates, t, y, alive, method = start
        method = method or self.path.method
        piece = Piece(coordinates, alive, method, step_at(coordinates, t, y))
        self.path.pieces.append(piece)
        if not alive:
            self._stand_still(piece)
            return None
        if t >= self.t_max:
            return None
        stepper = make(method, coordinates, t, y, self.path.rtol, self.t_max)
        try:
            return self._steps(piece, stepper)
        finally:
            for name, value in stepper.cost.items():
                self.path.cost[name] = self.path.cost.get(name, 0) + value

    def _steps(self, piece: Piece, stepper: Stepper) -> Start | None:
        near = self.near(None)
        while True:
            most = max(1, self.limits.steps - self._taken(stepper))
            code, steps = stepper.advance(self.t_max, near, self.watch(piece), most)
            known = len(piece.t)
            piece.extend(steps)
            if len(steps.t):
                self._say(steps)
            stop = first_stop(self.limits.stops, self.path, piece, known)
            if stop is not None:
                self._stop(*stop)
                return None
            change = self.see_to(code, piece, stepper)
            if change is not None:
                return change
            if code == REACHED:
                return None
            if code == STUCK:
                self._stop("failed", f"no step succeeds at t = {self.path.end:.6g}")
                return None
            if self._exhausted(stepper):
                return None
            near = self.near(stepper)

    def _stand_still(self, piece: Piece) -> None:
        """All neurons are at zero: the state stays as it is until t_max."""
        if piece.t[-1] < self.t_max:
            last = piece.steps
            same = (x[-1:] for x in last[1:])
            piece.extend(Steps(np.array([self.t_max]), *same))

    def _say(self, steps: Steps) -> None:
        if self.report:
            t, value, slope = (float(x[-1]) for x in (steps.t, steps.loss, steps.gradient))
            self.report(t, value, -t * slope * slope / value if value > 0 else np.nan)
        if self.save:
            self.save()

    def _taken(self, stepper: Stepper) -> int:
        """Steps so far."""
        return int(self.path.cost.get("steps", 0) + stepper.cost["steps"])

    def _exhausted(self, stepper: Stepper) -> bool:
        taken, t = self._taken(stepper), self.path.end
        if taken >= self.limits.steps:
            self._stop("step limit", f"{taken} steps taken by t = {t:.6g}")
        elif time.monotonic() - self.began >= self.limits.seconds:
            self._stop("time limit", f"{self.limits.seconds:g} s spent by t = {t:.6g}")
        else:
            return False
        return True

    def _stop(self, status: str, message: str) -> None:
        self.path.status, self.path.message = status, message
