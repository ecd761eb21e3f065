"""From a problem and weights to a Flow in double precision, and on from one."""

from __future__ import annotations

from typing import Any

import numpy as np

from flowkit.files import saver
from flowkit.flows.costs import MAX_STEPS, checked_count, checked_seconds
from flowkit.flows.flow import Flow
from flowkit.flows.march import Limits
from flowkit.flows.path import Path
from flowkit.flows.prepare import (
    checked_method,
    checked_times,
    checked_tolerance,
    positive,
    prepared,
)
from flowkit.flows.progress import log_progress
from flowkit.flows.setting import Setting
from flowkit.flows.stops import Stop, gradient_stop, loss_stop, user_stops
from flowkit.problems.phase_retrieval import PhaseRetrieval
from flowkit.problems.teacher_student import TeacherStudent

Array = np.ndarray


def integrate(
    problem: TeacherStudent | PhaseRetrieval,
    w0: Any,
    t_max: float,
    *,
    rtol: float = 1e-10,
    t_eval: Any = None,
    method: str = "auto",
    events: Any = None,
    stop_loss: float | None = None,
    stop_gradient: float | None = None,
    max_steps: int = MAX_STEPS,
    max_seconds: float = np.inf,
    checkpoint: Any = None,
    progress: bool | None = None,
) -> Flow:
    """`flowkit.integrate` in double precision."""
    t_max, rtol = positive(t_max, "t_max"), checked_tolerance(rtol)
    times = None if t_eval is None else checked_times(t_eval, t_max)
    setting = prepared(problem, w0, t_max, rtol, checked_method(method))
    stops = _stops(setting, events, stop_loss, stop_gradient)
    limits = Limits(checked_count(max_steps), checked_seconds(max_seconds), stops)
    return _run(setting, setting.path(rtol), limits, times, checkpoint, progress)


def go_on(
    saved: Flow,
    t_max: float | None,
    max_steps: int,
    max_seconds: float,
    checkpoint: Any,
    progress: bool | None,
) -> Flow:
    """`flowkit.resume` in double precision."""
    setting, path = saved.setting, saved.path
    if t_max is not None:
        setting.t_max = positive(t_max, "t_max")
        if setting.t_max < path.end:
            raise ValueError(f"t_max: the saved run has already reached {path.end:.6g}")
    limits = Limits(checked_count(max_steps), checked_seconds(max_seconds))
    return _run(setting, path, limits, None, checkpoint, progress)


def _run(
    setting: Setting,
    path: Path,
    limits: Limits,
    times: Array | None,
    checkpoint: Any,
    progress: bool | None,
) -> Flow:
    save = saver(checkpoint, lambda: Flow(setting, path).checkpoint(checkpoint))
    with log_progress(setting.t_max, progress) as report:
        setting.march(path, limits, report, save)
    flow = Flow(setting, path, times)
    if checkpoint is not None:
        flow.checkpoint(checkpoint)
    return flow


def _stops(
    setting: Setting, events: Any, stop_loss: float | None, stop_gradient: float | None
) -> list[Stop]:
    def students(t: float, path: Path) -> Array:
        piece, y = path.at(t)
        return setting.students(piece, t, y)

    stops = user_stops(events, students)
    if stop_loss is not None:
        stops.append(loss_stop(positive(stop_loss, "stop_loss") / setting.unit**2))
    if stop_gradient is not None:
        stops.append(gradient_stop(positive(stop_gradient, "stop_gradient") / setting.unit))
    return stops
