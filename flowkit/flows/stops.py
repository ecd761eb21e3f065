"""Events that a user asks for, and where a run stops for them.

A stop is a scalar function of the flow; its zeros are located between accepted steps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import log
from typing import Any

import numpy as np

from flowkit.flows.field import step_at
from flowkit.flows.path import Happening, Path, Piece

Array = np.ndarray
TINY = 1e-300


@dataclass
class Stop:
    """value(t, path) changes sign at the event.

    Attributes
    ----------
    kind : str
        What the event is called.
    value : callable
        Scalar function of a time and the path.
    terminal : int
        Stop at so many events; 0: never.
    direction : float
        As in `scipy.integrate.solve_ivp`: only rising (> 0) or falling (< 0) zeros.
    status : str
        Status of a run that it stops.
    """

    kind: str
    value: Callable[[float, Path], float]
    terminal: int = 0
    direction: float = 0.0
    status: str = "event"
    last: float | None = None
    seen: int = 0


def loss_stop(value: float) -> Stop:
    """Stop where the loss has fallen to `value`."""

    def excess(t: float, path: Path) -> float:
        piece, y = path.at(t)
        return piece.field.log_loss(t, y) - log(value)

    return Stop("loss", excess, 1, -1.0, "loss reached")


def gradient_stop(value: float) -> Stop:
    """Stop where ‖∇L‖ has fallen to `value`."""

    def excess(t: float, path: Path) -> float:
        ((_, steps),) = path.sample(np.array([t]))
        norm = float(steps.gradient[0])
        return log(max(norm, TINY)) - log(value)

    return Stop("gradient", excess, 1, -1.0, "gradient reached")


def user_stops(events: Any, students: Callable[[float, Path], Array]) -> list[Stop]:
    """Stops from functions event(t, w) with SciPy's attributes `terminal` and `direction`."""
    if events is None:
        return []
    if not callable(events) and not isinstance(events, list | tuple):
        raise ValueError(f"events: expected functions of (t, w), got {events!r}")
    listed = [events] if callable(events) else list(events)
    stops = []
    for i, event in enumerate(listed):
        if not callable(event):
            raise ValueError(f"events: entry {i} is not a function of (t, w)")

        def value(t: float, path: Path, event: Any = event) -> float:
            try:
                return float(event(t, students(t, path)))
            except (TypeError, ValueError) as problem:
                raise ValueError(f"events: event(t, w) gave no number ({problem})") from None

        name = getattr(event, "__name__", "event")
        terminal = int(getattr(event, "terminal", 0) or 0)
        direction = float(getattr(event, "direction", 0) or 0)
        stops.append(Stop(f"event {i}" if name == "<lambda>" else name, value, terminal, direction))
    return stops


def first_stop(stops: list[Stop], path: Path, piece: Piece, known: int) -> tuple[str, str] | None:
    """Look for zeros in the steps of `piece` from index `known` on; record them in the path.

    At a terminal one the piece is cut there; returns the status and message of the stop.
    """
    if not stops:
        return None
    for stop in stops:
        if stop.last is None:
            stop.last = stop.value(float(piece.t[0]), path)
            if stop.status != "event" and stop.last <= 0:
                _cut(path, piece, float(piece.t[0]))
                return stop.status, f"{stop.kind} reached at t = {piece.t[0]:.8g}"
    for k in range(max(known, 1), len(piece.t)):
        found = []
        for stop in stops:
            before, stop.last = stop.last, stop.value(float(piece.t[k]), path)
            if _crosses(before, stop.last, stop.direction):
                found.append((_zero(stop, path, float(piece.t[k - 1]), float(piece.t[k])), stop))
        for t, stop in sorted(found, key=lambda pair: pair[0]):
            stop.seen += 1
            path.events.append(Happening(stop.kind, None, t, f"{stop.kind} at t = {t:.8g}"))
            if stop.terminal and stop.seen >= stop.terminal:
                _cut(path, piece, t)
                return stop.status, f"{stop.kind} reached at t = {t:.8g}"
    return None


def _crosses(before: float | None, after: float, direction: float) -> bool:
    assert before is not None
    rising = before <= 0 <= after and before != after
    falling = before >= 0 >= after and before != after
    if before == 0:  # it was counted when it got there
        return False
    return rising if direction > 0 else falling if direction < 0 else rising or falling


def _zero(stop: Stop, path: Path, low: float, high: float) -> float:
    from scipy.optimize import brentq

    ends = stop.value(low, path), stop.value(high, path)
    if ends[1] == 0 or ends[0] * ends[1] > 0:
        return high
    return float(brentq(lambda t: stop.value(t, path), low, high, xtol=1e-300, rtol=4e-15))


def _cut(path: Path, piece: Piece, t: float) -> None:
    """End the piece at t."""
    _, y = path.at(t)
    piece.keep(int(np.searchsorted(piece.t, t)))
    piece.extend(step_at(piece.field, t, y))
