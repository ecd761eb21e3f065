"""What a run may cost: checked arguments."""

from __future__ import annotations

from typing import Any

import numpy as np

MAX_STEPS = 20_000


def checked_count(value: Any) -> int:
    """A number of steps."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"max_steps: must be a positive integer, got {value!r}")
    return int(value)


def checked_seconds(value: Any) -> float:
    """A time limit."""
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        raise ValueError(f"max_seconds: expected a number, got {value!r}") from None
    if not seconds > 0:
        raise ValueError(f"max_seconds: must be positive, got {value}")
    return seconds
