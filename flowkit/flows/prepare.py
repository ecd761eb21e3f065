"""From what a user asks for to a setting: the checks of `flowkit.integrate`."""

from __future__ import annotations

from typing import Any

import numpy as np

from flowkit.flows.matrix_setting import MatrixSetting
from flowkit.flows.pair_setting import PairSetting
from flowkit.flows.setting import Setting
from flowkit.flows.steppers import METHODS
from flowkit.problems.phase_retrieval import PhaseRetrieval
from flowkit.problems.teacher_student import TeacherStudent

Array = np.ndarray

FINEST = 1e-13
SETTINGS: dict[type, type[PairSetting] | type[MatrixSetting]] = {
    TeacherStudent: PairSetting,
    PhaseRetrieval: MatrixSetting,
}


def prepared(problem: Any, w0: Any, t_max: float, rtol: float, method: str) -> Setting:
    """The setting of a flow of this kind of problem."""
    kind = next((SETTINGS[cls] for cls in type(problem).__mro__ if cls in SETTINGS), None)
    if kind is None:
        known = " or ".join(cls.__name__ for cls in SETTINGS)
        raise ValueError(f"problem: expected a {known}, got {type(problem).__name__}")
    return kind.of(problem, w0, t_max, rtol, method)


def checked_method(method: Any) -> str:
    """A known method."""
    if method != "auto" and method not in METHODS:
        known = ", ".join(("auto", *METHODS))
        raise ValueError(f"method: unknown {method!r}; known are {known}")
    return str(method)


def checked_tolerance(rtol: Any) -> float:
    """A relative tolerance that double precision can give."""
    value = number(rtol, "rtol")
    if not (FINEST <= value <= 0.1):
        reason = "below what double precision can give" if value < FINEST else "not a tolerance"
        raise ValueError(f"rtol: {value:g} is {reason}; choose one in [{FINEST:g}, 0.1]")
    return value


def positive(value: Any, name: str) -> float:
    """A positive finite number."""
    result = number(value, name)
    if not (0 < result < np.inf):
        raise ValueError(f"{name}: must be positive and finite, got {result}")
    return result


def number(value: Any, name: str) -> float:
    """A float."""
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ValueError(f"{name}: expected a number, got {value!r}") from None


def checked_times(t_eval: Any, t_max: float) -> Array:
    """Output times, increasing in [0, t_max]."""
    try:
        times = np.atleast_1d(np.asarray(t_eval, dtype=float))
    except (TypeError, ValueError):
        raise ValueError("t_eval: expected an array of numbers") from None
    if times.ndim != 1 or times.size == 0 or not np.isfinite(times).all():
        raise ValueError("t_eval: expected a non-empty list of finite times")
    if times.min() < 0 or times.max() > t_max:
        raise ValueError(f"t_eval: must lie in [0, t_max] = [0, {t_max:g}]")
    if (np.diff(times) <= 0).any():
        raise ValueError("t_eval: must be strictly increasing")
    return times
