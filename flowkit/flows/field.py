"""What a stepper asks of the coordinates that a flow is run in."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np

Array = np.ndarray

# Why a stepper returns.
RUNNING, REACHED, FULL, STUCK, NEAR_ZERO, WATCHED, TURNED, SWITCH = range(8)


class Steps(NamedTuple):
    """Accepted steps: t (m,), y (m, N), L (m,), ‖∇L‖ (m,)."""

    t: Array
    y: Array
    loss: Array
    gradient: Array


class Field(Protocol):
    """dy/dx against an independent variable x(t), and what is to be known of the state y at t.

    `system` says which coordinates these are, `tau` is their time scale.
    """

    system: Any

    @property
    def tau(self) -> float: ...

    @property
    def accurate(self) -> bool:
        """Whether L is relatively accurate; else the problem's own is, of the state at least."""

    def fresh(self) -> Field:
        """The same field, with work space of its own."""

    def slopes(self, t: float, y: Array) -> Array:
        """dy/dx (N,)."""

    def jacobian(self, t: float, y: Array) -> Array:
        """∂(dy/dx)/∂y (N, N)."""

    def scale(self, t: float, y: Array, tolerance: float) -> Array:
        """Sizes (N,) to which errors in y are relative; leaves the state to `limit`, `look`."""

    def measured(self, t: float, y: Array) -> tuple[float, float]:
        """L and ‖∇L‖."""

    def log_loss(self, t: float, y: Array) -> float:
        """ln L, also where L is below the range of doubles."""

    def rounding(self, t: float, y: Array) -> float:
        """Relative rounding error of L that two runs would share; 0 if there is none."""

    def students(self, t: float, y: Array) -> Array:
        """Students (N, D) in the frame of the flow."""

    def limit(self) -> float:
        """The longest next step, in t."""

    def look(self, t: float, near: float) -> int:
        """What the caller has to see to, or RUNNING."""

    def pace(self, t: float) -> float:
        """dt/dx."""

    def distance(self, t: float, t_end: float) -> float:
        """x(t_end) − x(t)."""

    def later(self, t: float, dx: float) -> float:
        """The time when x is larger by dx."""


def step_at(field: Field, t: float, y: Array) -> Steps:
    """One entry: the state y at t, its loss and ‖∇L‖."""
    value, gradient = field.measured(t, y)
    return Steps(np.array([t]), np.array([y]), np.array([value]), np.array([gradient]))
