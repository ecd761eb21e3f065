"""A solution in pieces, each in one set of coordinates, and its state at any time."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from flowkit.flows.field import Field, Steps
from flowkit.flows.steppers import between
from flowkit.flows.threads import single_thread

Array = np.ndarray


@dataclass
class Piece:
    """Accepted steps in one set of coordinates: times (m,), states (m, N), losses, ‖∇L‖.

    `alive` are the groups of students that are not at zero.
    """

    field: Field
    alive: list[int]
    method: str
    steps: Steps

    @property
    def t(self) -> Array:
        return self.steps.t

    def at(self, times: Array, rtol: float) -> Steps:
        """The solution at these times; known steps are not done again."""
        k = np.searchsorted(self.t, times, side="right") - 1
        new = self.t[k] != times
        steps = Steps(*(column[k] for column in self.steps))
        if not self.alive:
            return steps._replace(t=times)
        if new.any():
            with single_thread():
                found = between(self.method, self.field, self.steps, times[new], rtol)
            for column, values in zip(steps, found, strict=True):
                column[new] = values
        return steps

    def keep(self, count: int) -> None:
        """Forget all but the first steps."""
        self.steps = Steps(*(x[:count] for x in self.steps))

    def extend(self, steps: Steps) -> None:
        """Append accepted steps."""
        pairs = zip(self.steps, steps, strict=True)
        self.steps = Steps(*(np.concatenate(pair) for pair in pairs))


@dataclass
class Happening:
    """An event: what, to which group of students (or None), when."""

    kind: str
    group: int | None
    t: float
    message: str = ""


@dataclass
class Path:
    """Pieces in order of time; where two meet, the later one holds.

    `watched` is when a dead neuron was last looked at; from `lost` on the loss has no digits;
    `seconds` is what the run has taken.
    """

    method: str
    rtol: float
    pieces: list[Piece] = field(default_factory=list)
    events: list[Happening] = field(default_factory=list)
    status: str = "finished"
    message: str = "reached t_max"
    cost: dict[str, int] = field(default_factory=dict)
    watched: float = 0.0
    lost: float = np.inf
    seconds: float = 0.0

    @property
    def end(self) -> float:
        """Where the run has come to."""
        return float(self.pieces[-1].t[-1])

    @property
    def times(self) -> Array:
        """Every time at which a step ended, once."""
        return np.unique(np.concatenate([piece.t for piece in self.pieces]))

    def between(self, per_decade: int) -> Array:
        """`times`, with points put between them where there are fewer than so many a decade."""
        parts = [self.times]
        for piece in self.pieces:
            tau = piece.field.tau
            x = np.log1p(piece.t / tau)
            counts = np.ceil(np.diff(x) * per_decade / np.log(10)).astype(int)
            for k in np.flatnonzero(counts > 1):
                inner = np.linspace(x[k], x[k + 1], counts[k] + 1)[1:-1]
                parts.append(tau * np.expm1(inner))
        times = np.unique(np.concatenate(parts))
        return times[times <= self.end]

    def sample(self, times: Array) -> list[tuple[Piece, Steps]]:
        """The solution at increasing times, piece by piece."""
        begins = np.array([piece.t[0] for piece in self.pieces])
        which = np.searchsorted(begins, times, side="right") - 1
        parts = []
        for k in np.unique(which):
            piece = self.pieces[k]
            parts.append((piece, piece.at(times[which == k], self.rtol)))
        return parts

    def at(self, t: float) -> tuple[Piece, Array]:
        """The piece that holds at t, and y there."""
        ((piece, steps),) = self.sample(np.array([t]))
        return piece, steps.y[0]
