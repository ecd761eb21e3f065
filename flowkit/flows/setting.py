"""What a run is of: problem, start, end, tolerance, method; and how to run it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from flowkit.flows.field import Field
from flowkit.flows.march import Limits, March, Report
from flowkit.flows.path import Path, Piece

Array = np.ndarray


@dataclass
class Setting(ABC):
    """A flow in the coordinates in which it is run.

    Attributes
    ----------
    w0 : (n, d)
        Students at t = 0.
    method : str
        Never "auto".
    """

    kind: ClassVar[str]

    problem: Any
    w0: Array
    t_max: float
    rtol: float
    method: str

    def path(self, rtol: float) -> Path:
        """An empty path at this tolerance."""
        return Path(self.method, rtol)

    def march(
        self,
        path: Path,
        limits: Limits | None = None,
        report: Report | None = None,
        save: Callable[[], None] | None = None,
        t_max: float | None = None,
    ) -> Path:
        """Run, or go on with, a path."""
        march = self.marcher(path, self.t_max if t_max is None else t_max)
        march.limits = limits or Limits()
        march.report, march.save = report, save
        return march.run()

    @abstractmethod
    def marcher(self, path: Path, t_max: float) -> March:
        """What fills the path."""

    @abstractmethod
    def students(self, piece: Piece, t: float, y: Array) -> Array:
        """Students (n, d) in the user's coordinates; a neuron at zero has a zero row."""

    @property
    def unit(self) -> float:
        """Length, in the user's, of the unit in which L and ‖∇L‖ of steps are given."""
        return 1.0

    @property
    @abstractmethod
    def members(self) -> list[list[int]]:
        """Students of each group that is followed as one."""

    @property
    @abstractmethod
    def dimension(self) -> int:
        """Of the space that the flow is followed in."""

    @abstractmethod
    def pack(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """As arrays and plain data, without what the base class knows."""

    @classmethod
    @abstractmethod
    def unpack(cls, arrays: dict[str, Array], plain: dict[str, Any], known: dict[str, Any]) -> Any:
        """From what `pack` gave and the rest: `known`."""

    @abstractmethod
    def pack_field(self, field: Field) -> tuple[dict[str, Array], dict[str, Any]]:
        """Coordinates as arrays and plain data."""

    @abstractmethod
    def unpack_field(self, arrays: dict[str, Array], plain: dict[str, Any]) -> Field:
        """From what `pack_field` gave."""
