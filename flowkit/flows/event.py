"""What a flow reports beside its states."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Event:
    """Something that happened at time t, to one neuron (0-based) or to the flow (None)."""

    kind: str
    neuron: int | None
    t: float
    message: str
