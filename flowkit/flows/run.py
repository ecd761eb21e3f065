"""`flowkit.integrate`: from a problem and weights to a Flow; `flowkit.resume` goes on with one."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path as FilePath
from typing import Any

import numpy as np

from flowkit.flows.flow import Flow, load
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

MAX_STEPS = 20_000
SAVE_EVERY = 30.0  # seconds between checkpoints


def integrate(
    problem: TeacherStudent | PhaseRetrieval,
    w0: Any,
    t_max: float,
    *,
    rtol: float = 1e-10,
    t_eval: Any = None,
    method: str = "auto",
    precision: int | None = None,
    events: Any = None,
    stop_loss: float | None = None,
    stop_gradient: float | None = None,
    max_steps: int = MAX_STEPS,
    max_seconds: float = np.inf,
    checkpoint: Any = None,
    progress: bool | None = None,
) -> Flow:
    """Run the gradient flow dW/dt = −∇L(W) from W(0) = w0 to t_max.

    Parameters
    ----------
    problem : TeacherStudent or PhaseRetrieval
        What is learnt.
    w0 : array_like, shape (n, d)
        Students at t = 0, taken as exact; no ReLU student may be zero.
    t_max : float
        End of the run, > 0; 1e100 costs little more than 1e12.
    rtol : float
        Tolerance, 1e-13 … 0.1.  For one teacher the relative error of the loss is of this order at
        every t, and below 1000 rtol; ``flow.loss_error`` estimates it.
    t_eval : array_like, optional
        Times, increasing in [0, t_max], at which the result is stored; by default where steps end.
    method : {"auto", "structured", "Radau", "BDF", "LSODA", "DOP853"}
        "structured": our Radau IIA of 5 or 6 stages, implicit only where the flow is stiff; no
        Newton matrix; for ReLU students.  The others are SciPy's, on the same coordinates, with a
        dense one (DOP853 is explicit).  "auto" takes "structured" for one ReLU teacher, "Radau" for
        several (up to n·d = 400) and for quadratic activation, "DOP853" for one quadratic student.
    precision : int, optional
        Not available yet; double precision only.
    events : callable or list of callables, optional
        ``event(t, w) -> float``, w of shape (n, d): zeros are located and listed in
        ``flow.events``.  Attributes ``terminal`` and ``direction`` as in
        `scipy.integrate.solve_ivp`.
    stop_loss, stop_gradient : float, optional
        Stop where the loss, or ‖∇L‖, has fallen to this value.
    max_steps : int
        Stop after so many accepted steps.
    max_seconds : float
        Stop when so much time has been spent; the result is what was reached.
    checkpoint : path, optional
        Save the run there every half minute and at its end; `flowkit.resume` goes on from it.
    progress : bool, optional
        Show a bar in log t; by default only on a terminal, and only if the run takes a while.

    Returns
    -------
    Flow

    Raises
    ------
    ValueError
        One line naming the argument and what is wrong with it.

    Notes
    -----
    The flow is computed in the span of teachers and students, with equal students merged (they stay
    equal), in coordinates that keep relative accuracy: see `flowkit.flows.coordinates`.  A neuron
    that reaches zero norm is located, reported in ``flow.events``, left at zero for as long as zero
    holds it, and the run goes on.  Ctrl-C returns what was reached.
    """
    t_max, rtol = positive(t_max, "t_max"), checked_tolerance(rtol)
    if precision is not None:
        raise ValueError("precision: only double precision is available in this version")
    times = None if t_eval is None else checked_times(t_eval, t_max)
    setting = prepared(problem, w0, t_max, rtol, checked_method(method))
    stops = _stops(setting, events, stop_loss, stop_gradient)
    limits = Limits(_count(max_steps), _patience(max_seconds), stops)
    return _run(setting, setting.path(rtol), limits, times, checkpoint, progress)


def resume(
    file: Any,
    t_max: float | None = None,
    *,
    max_steps: int = MAX_STEPS,
    max_seconds: float = np.inf,
    checkpoint: Any = None,
    progress: bool | None = None,
) -> Flow:
    """Go on with a saved run (a checkpoint, or an interrupted `Flow.save`) to t_max.

    Parameters
    ----------
    file : path
        Written by ``integrate(..., checkpoint=file)`` or `Flow.save`.
    t_max : float, optional
        A new end; by default the one that the run was meant to reach.
    max_steps, max_seconds, checkpoint, progress
        As for `integrate`; steps are counted from the beginning of the run.

    Raises
    ------
    ValueError
        No such file, not a flowkit run, altered, or t_max before its end.
    """
    saved = load(file)
    setting, path = saved.setting, saved.path
    if t_max is not None:
        setting.t_max = positive(t_max, "t_max")
        if setting.t_max < path.end:
            raise ValueError(f"t_max: the saved run has already reached {path.end:.6g}")
    limits = Limits(_count(max_steps), _patience(max_seconds))
    return _run(setting, path, limits, None, checkpoint, progress)


def _run(
    setting: Setting,
    path: Path,
    limits: Limits,
    times: Array | None,
    checkpoint: Any,
    progress: bool | None,
) -> Flow:
    save = _saver(setting, path, checkpoint)
    with log_progress(setting.t_max, progress) as report:
        setting.march(path, limits, report, save)
    flow = Flow(setting, path, times)
    if checkpoint is not None:
        flow.checkpoint(checkpoint)
    return flow


def _saver(setting: Setting, path: Path, checkpoint: Any) -> Callable[[], None] | None:
    if checkpoint is None:
        return None
    Flow.writable(FilePath(checkpoint))
    last = time.monotonic()

    def save() -> None:
        nonlocal last
        if time.monotonic() - last > SAVE_EVERY:
            Flow(setting, path).checkpoint(checkpoint)
            last = time.monotonic()

    return save


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


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"max_steps: must be a positive integer, got {value!r}")
    return int(value)


def _patience(value: Any) -> float:
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        raise ValueError(f"max_seconds: expected a number, got {value!r}") from None
    if not seconds > 0:
        raise ValueError(f"max_seconds: must be positive, got {value}")
    return seconds
