"""What a descent needs of a kind of problem: iterations, and what is stored of a state."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, NamedTuple

import numpy as np

Array = np.ndarray

RUNNING, ZERO, DIVERGED, FAILED = 0, 1, 2, 4
GROWTH = 1e3  # of the weights, at which a descent has diverged; of the loss, the square of it
ULP = 2.0**-52
ROUNDING = 4 * ULP  # of each pull and slope, where rounding errors are simulated


class Row(NamedTuple):
    """A state at a stored iteration, in the coordinates of the walk."""

    iteration: int
    loss: float
    gradient: float
    arrays: dict[str, Array]


class Walk(ABC):
    """Gradient descent of one kind of problem, always at the end of some iteration.

    Attributes
    ----------
    problem, step_size
    w0 : (n, d) or (N,)
        Students at iteration 0.
    message : str
        Why it cannot go on.
    """

    kind: ClassVar[str]

    problem: Any
    w0: Array
    step_size: float
    message: str = ""

    @property
    @abstractmethod
    def iteration(self) -> int:
        """Iterations done."""

    @abstractmethod
    def advance(self, target: int) -> int:
        """Go on until so many iterations are done; RUNNING, or what stopped it before."""

    @abstractmethod
    def row(self) -> Row:
        """The state reached."""

    @abstractmethod
    def students(self, row: Row) -> Array:
        """Students of a row, shape of `w0`."""

    @abstractmethod
    def rough(self, seed: int) -> Walk:
        """The same from the start, with simulated rounding errors."""

    @abstractmethod
    def rounding(self, row: Row) -> float:
        """Relative error of the loss of a row that the rounding of its state alone leaves."""

    @property
    @abstractmethod
    def size(self) -> dict[str, Any]:
        """For `stats`."""

    @abstractmethod
    def pack(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """State and setting as arrays and plain data; the problem, w0 and step size are known."""

    @classmethod
    @abstractmethod
    def unpack(
        cls,
        problem: Any,
        w0: Array,
        step_size: float,
        arrays: dict[str, Array],
        plain: dict[str, Any],
    ) -> Walk:
        """From what `pack` gave."""


def sensitivity(problem: Any, w: Array, loss: float) -> float:
    """Largest relative change of the loss when the weights are rounded, of a few tries."""
    if not loss > 0:
        return 0.0
    random = np.random.default_rng(0)
    worst = 0.0
    for _ in range(3):
        near = w * (1 + ULP * random.uniform(-1, 1, w.shape))
        worst = max(worst, abs(problem.loss(near) / loss - 1))
    return float(3 * worst)
