"""`flowkit.observables`: from a run, or weights, to its `Observables`."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from flowkit.descents.descent import Descent
from flowkit.descents.pair_walk import PairWalk
from flowkit.flows.flow import Flow
from flowkit.multiprecision.flow import PreciseFlow
from flowkit.observation.result import ROUNDING, Observables
from flowkit.observation.states import (
    States,
    of_descent,
    of_flow,
    of_precise_flow,
    of_weights,
)
from flowkit.problems.problem import Problem

Array = np.ndarray

SAFETY, PATTERNS = 3.0, 8
ROUGH = 10.0  # of a difference to a descent with simulated rounding


def observables(run: Any, t: Any = None) -> Observables:
    """What the papers look at along a run: θ_i, θ_ij, h_i, H, r, z_i, Z, κ_ij, ‖∇L‖/L^⅔ and more.

    Parameters
    ----------
    run : Flow, PreciseFlow or Descent
        Of a problem with teachers; angles and projections are those to the first.
    t : float or array_like, optional
        Times, in any order; by default those that the run has stored.  A descent has only those.

    Returns
    -------
    Observables
        Arrays by name, each with its error; small angles and residuals keep the relative accuracy
        of the run, which weights in doubles could not hold.

    Raises
    ------
    ValueError
        No run of students and a teacher, or t outside of it.

    Notes
    -----
    Definitions: W. Xu & S. S. Du, arXiv 2302.10034, preliminaries (h_i, θ_i, r), case study (z_i,
    κ_ij, Z).
    """
    if not hasattr(getattr(run, "problem", None), "teacher"):
        raise ValueError(f"run: expected a run of students and a teacher, got {run!r}")
    if isinstance(run, Flow):
        return _of_flow(run, t)
    if isinstance(run, PreciseFlow):
        return _of_precise_flow(run, t)
    if isinstance(run, Descent):
        return _of_descent(run, t)
    raise ValueError(f"run: expected a Flow, PreciseFlow or Descent, got {run!r}")


def observables_at(problem: Any, W: Any) -> Observables:
    """The same at given weights.

    Parameters
    ----------
    problem : TeacherStudent or PhaseRetrieval
    W : array_like, shape (n, d) or (m, n, d)
        One set of students, or several.

    Raises
    ------
    ValueError
        Wrong shape, not finite.
    """
    if not isinstance(problem, Problem):
        raise ValueError(f"problem: expected one with a teacher, got {problem!r}")
    try:
        stack = np.asarray(W, dtype=float)
    except (TypeError, ValueError):
        raise ValueError("W: expected an array of real numbers") from None
    whole = stack[None] if stack.ndim != 3 else stack
    if not len(whole):
        raise ValueError("W: no weights are given")
    states = of_weights(problem, np.array([problem.students(rows, "W") for rows in whole]))
    return Observables(problem, states, partial(_nudged, states, np.full(len(whole), ROUNDING)))


def _of_flow(flow: Flow, t: Any) -> Observables:
    if t is None:
        times, place = flow.t, None
    else:
        times, place = np.unique(_some(flow._inside(t)), return_inverse=True)
    states = of_flow(flow, times)
    return Observables(flow.problem, states.at(place), partial(_finer, flow, times, place))


def _finer(flow: Flow, times: Array, place: Any) -> tuple[list[States], float]:
    path, factor = flow.finer
    return [of_flow(flow, np.minimum(times, path.end), path).at(place)], factor


def _of_precise_flow(flow: PreciseFlow, t: Any) -> Observables:
    points = flow._points if t is None else flow._inside(_some(np.asarray(t, dtype=object)))
    states = of_precise_flow(flow, points)
    digits = flow._state_digits(points) if flow.certified else np.zeros(len(points))
    share = 10.0 ** -np.minimum(digits, 300.0)
    return Observables(flow.problem, states, partial(_nudged, states, share), flow._shown)


def _nudged(states: States, share: Array) -> tuple[list[States], float]:
    return [states.nudged(share, seed) for seed in range(PATTERNS)], SAFETY


def _of_descent(descent: Descent, t: Any) -> Observables:
    at = np.arange(len(descent.t))
    if t is not None:
        times = _some(np.asarray(t, dtype=float))
        at = np.searchsorted(descent.t, times * (1 - 1e-12))
        known = at < len(descent.t)
        known[known] &= np.isclose(descent.t[at[known]], times[known], rtol=1e-12, atol=0)
        if not known.all():
            raise ValueError(f"t: the descent has stored nothing at {times[~known][0]:.10g}")
    states = of_descent(descent, at, descent.course.walk)
    return Observables(descent.problem, states, partial(_rough, descent, at))


def _rough(descent: Descent, at: Array) -> tuple[list[States], float]:
    """Of the same descent with simulated rounding."""
    walk = descent.course.walk
    if not isinstance(walk, PairWalk):
        states = of_descent(descent, at, walk)
        share = np.minimum(descent.loss_error[at], 1.0)
        return [states.nudged(share, seed) for seed in range(PATTERNS)], SAFETY
    return [of_descent(descent, at, walk.rough(seed)) for seed in (1, 2)], ROUGH


def _some(t: Array) -> Array:
    """At least one time, flat."""
    if t.size == 0:
        raise ValueError("t: no time is given")
    return t.ravel()
