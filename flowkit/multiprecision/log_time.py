"""Logarithmic time x = ln(1 + t): a flow that slows down like 1/t takes steps of equal length."""

from __future__ import annotations

from typing import Any, Protocol

from flint import arb, arb_mat

Row = list[arb]


class System(Protocol):
    """dy/dt = f(t, y) in balls, at whatever the working precision is when it is called.

    Attributes
    ----------
    size : int
        N, the number of components.
    gradient_flow : bool
        f = −∇L: digits are then counted relative to the distance that is left to go.
    """

    size: int
    gradient_flow: bool

    def field(self, t: arb, y: Row) -> Row: ...
    def jacobian(self, t: arb, y: Row) -> arb_mat: ...


class LogTime:
    """dy/dx = (1 + t) f(t, y)."""

    def __init__(self, system: System) -> None:
        self.system, self.size = system, system.size

    def field(self, x: arb, y: Row) -> Row:
        pace = x.exp()
        return [pace * v for v in self.system.field(pace - 1, y)]

    def jacobian(self, x: arb, y: Row) -> arb_mat:
        pace = x.exp()
        return self.system.jacobian(pace - 1, y) * pace


def log_time(t: Any) -> arb:
    """x of t."""
    return arb(t).log1p().mid()


def time(x: arb) -> arb:
    """t of x."""
    return x.expm1().mid()
