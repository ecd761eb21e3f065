"""Descent of any problem with a gradient, in doubles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from flowkit.descents.walk import (
    DIVERGED,
    FAILED,
    GROWTH,
    ROUNDING,
    RUNNING,
    ZERO,
    Row,
    Walk,
    sensitivity,
)
from flowkit.problems.problem import Problem
from flowkit.problems.symbolic_loss import SymbolicLoss, checked_point

Array = np.ndarray


class PlainWalk(Walk):
    """State: the weights."""

    kind: ClassVar[str] = "plain"

    def __init__(self, problem: Any, w0: Array, step_size: float, rounding: float = 0.0) -> None:
        self.problem, self.w0, self.step_size = problem, w0, step_size
        self._roughness, self._random = rounding, np.random.default_rng(0)
        self._now = (0, w0)
        size = float(np.linalg.norm(w0))
        if isinstance(problem, Problem):
            size += float(np.linalg.norm(problem.teacher))
        self.bound = GROWTH * max(size, 1.0 if isinstance(problem, SymbolicLoss) else 0.0)

    @classmethod
    def of(cls, problem: Any, w0: Any, step_size: float) -> PlainWalk:
        if isinstance(problem, SymbolicLoss):
            start = checked_point(w0, "w0", len(problem.variables)).astype(float)
        else:
            start = problem.students(w0, "w0")
            if hasattr(problem, "check_differentiable"):
                problem.check_differentiable(start, "w0")
        return cls(problem, start, step_size)

    @property
    def iteration(self) -> int:
        return self._now[0]

    def advance(self, target: int) -> int:
        while self.iteration < target:
            code = self._step()
            if code != RUNNING:
                return code
        return RUNNING

    def _step(self) -> int:
        iteration, w = self._now
        if not np.linalg.norm(w) < self.bound:
            self.message = f"the weights have grown {GROWTH:g} times"
            return DIVERGED
        try:
            slope = self._gradient(w)
        except ValueError as problem:
            self.message = " ".join(str(problem).split())
            return FAILED if w.ndim == 1 or w.any(axis=1).all() else ZERO
        if self._roughness:
            slope = slope * (1 + self._roughness * self._random.uniform(-1, 1, w.shape))
            w = w * (1 + self._roughness * self._random.uniform(-1, 1, w.shape))
        self._now = (iteration + 1, w - self.step_size * slope)
        return RUNNING

    def _gradient(self, w: Array) -> Array:
        """In doubles where there is a formula in doubles, else by balls."""
        if isinstance(self.problem, Problem):
            value, bound = self.problem._gradient(w)
            if np.isfinite(bound):
                return value
        return self.problem.gradient(w)

    def row(self) -> Row:
        iteration, w = self._now
        value = _or_nan(lambda: float(self.problem.loss(w)))
        gradient = _or_nan(lambda: float(np.linalg.norm(self._gradient(w))))
        return Row(iteration, value, gradient, {"w": w})

    def students(self, row: Row) -> Array:
        return row.arrays["w"]

    def rough(self, seed: int) -> PlainWalk:
        other = PlainWalk(self.problem, self.w0, self.step_size, ROUNDING)
        other._random = np.random.default_rng(seed)
        return other

    def rounding(self, row: Row) -> float:
        return sensitivity(self.problem, row.arrays["w"], row.loss)

    @property
    def size(self) -> dict[str, Any]:
        return {"method": "plain", "dimension": self.w0.shape[-1], "groups": len(self.w0)}

    def pack(self) -> tuple[dict[str, Array], dict[str, Any]]:
        iteration, w = self._now
        return {"state_w": w}, {"count": iteration}

    @classmethod
    def unpack(
        cls,
        problem: Any,
        w0: Array,
        step_size: float,
        arrays: dict[str, Array],
        plain: dict[str, Any],
    ) -> PlainWalk:
        walk = cls(problem, w0, step_size)
        walk._now = (plain["count"], arrays["state_w"])
        return walk


def _or_nan(evaluate: Callable[[], float]) -> float:
    """A value, nan where it does not exist."""
    try:
        return evaluate()
    except ValueError:
        return np.nan
