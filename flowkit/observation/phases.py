"""The three phases of Xu & Du, found in a run by the conditions that end them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from html import escape
from typing import Any

import numpy as np

from flowkit.descents.descent import Descent
from flowkit.descents.run import descend
from flowkit.flows.flow import Flow
from flowkit.observation.collect import observables
from flowkit.observation.result import Observables
from flowkit.problems.teacher_student import TeacherStudent

Array = np.ndarray

Quantity = Callable[[Observables], Array]

BISECTIONS = 60
AT_ONCE = 65  # iterations of a descent that are looked at together
NEARBY = 1e-4  # relative distance in time from which a slope is taken


@dataclass(frozen=True)
class Phases:
    """When the phases end, and what holds in them.

    Attributes
    ----------
    T1 : float
        From when on, to the end of the run, every θ_i ≤ `angle` and every h_i ≤ `ratio` h_j (all h
        positive) of the students that are not at zero; nan if that is not so at the end.
    T2 : float
        From when on |H| ≤ `residual` ‖v‖; nan if that is not so at the end.
    T1_error, T2_error : float
        By how much they may be off: from the error of a flow; of a descent, how long before they
        the last iteration lies that does not meet the condition.
    angle, residual, ratio : float
        The thresholds: ε₁; what is left of H/‖v‖; 2.
    status : {"three phases", "out of order", "not reached"}
    observables : Observables
        Along the run, for the figure.
    """

    run: Flow | Descent
    T1: float
    T2: float
    T1_error: float
    T2_error: float
    angle: float
    residual: float
    ratio: float

    @property
    def status(self) -> str:
        if not (np.isfinite(self.T1) and np.isfinite(self.T2)):
            return "not reached"
        return "three phases" if self.T1 < self.T2 else "out of order"

    @cached_property
    def observables(self) -> Observables:
        return observables(self.run)

    def plot(self) -> Any:
        """Angles, norms, projections, H and loss against log t, the phases shaded; the Figure."""
        from flowkit.observation.drawing import plot_phases

        return plot_phases(self)

    def _rows(self) -> list[tuple[str, str]]:
        conditions = (
            f"θ_i ≤ {self.angle:g}, h_i ≤ {self.ratio:g} h_j",
            f"|H| ≤ {self.residual:g} ‖v‖",
        )
        times = ((self.T1, self.T1_error), (self.T2, self.T2_error))
        return [
            (f"T{i} ({condition})", f"{value:.10g} ± {error:.0e}")
            for i, condition, (value, error) in zip((1, 2), conditions, times, strict=True)
        ]

    def __repr__(self) -> str:
        return f"<Phases T1={self.T1:.6g} T2={self.T2:.6g} {self.status}>"

    def _repr_html_(self) -> str:
        rows = [*self._rows(), ("status", self.status)]
        body = "".join(f"<tr><th>{escape(k)}</th><td>{escape(v)}</td></tr>" for k, v in rows)
        return f"<table>{body}</table>"


def phases(
    run: Flow | Descent, angle: float = 0.1, residual: float = 0.01, ratio: float = 2.0
) -> Phases:
    """Where Phase 1 and Phase 2 of a flow or a descent end.

    Parameters
    ----------
    run : Flow or Descent
        Of one ReLU teacher, in doubles.  A descent is run again between its stored iterations.
    angle : float
        ε₁ of the paper, in radians: Phase 1 ends when all θ_i are below it and the projections are
        balanced, h_i ≤ `ratio` h_j.
    residual : float
        Phase 2 ends when |H| has fallen to this share of ‖v‖.
    ratio : float
        Of the largest projection to the least that counts as balanced.

    Returns
    -------
    Phases

    Raises
    ------
    ValueError
        Another run, or thresholds that are not positive (`ratio`: above 1).

    Notes
    -----
    W. Xu & S. S. Du, arXiv 2302.10034, Theorems 4 and 5.  The paper sets T₁ and T₂ in advance, so
    small that its proofs go through; here what it proves about their ends is true from them on.
    Both are found by themselves: T₁ < T₂ is a finding, for small initialisations.  Between the
    steps of a flow a condition could fail for a moment unseen.
    """
    problem = getattr(run, "problem", None)
    single = isinstance(problem, TeacherStudent) and len(problem.teacher) == 1
    if not (isinstance(run, Flow | Descent) and single):
        raise ValueError("run: expected a Flow or a Descent of one teacher, in doubles")
    for name, value, least in (("angle", angle, 0), ("residual", residual, 0), ("ratio", ratio, 1)):
        number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
        if not (number and least < value < np.inf):
            raise ValueError(f"{name}: must be a finite number above {least}, got {value!r}")

    def unready(o: Observables) -> Array:
        with np.errstate(invalid="ignore"):
            return np.fmax(o.theta_max / angle, o.balance / ratio) - 1

    def left(o: Observables) -> Array:
        return np.abs(o.H) / (residual * o.states.length) - 1

    T1, T1_error = _since(run, unready, ("theta_max", "balance"))
    T2, T2_error = _since(run, left, ("H",))
    return Phases(run, T1, T2, T1_error, T2_error, angle, residual, ratio)


def _since(run: Flow | Descent, quantity: Quantity, names: tuple[str, ...]) -> tuple[float, float]:
    """From when on a quantity is not positive, and the error of that; nan if it ends positive."""
    o = observables(run)
    bad = np.flatnonzero(~(quantity(o) <= 0))
    if not len(bad):
        return float(o.t[0]), 0.0
    if bad[-1] == len(o) - 1:
        return np.nan, np.nan
    if isinstance(run, Descent):
        left, right = (int(run.iteration[k]) for k in (bad[-1], bad[-1] + 1))
        return _iteration(run, quantity, left, right) * run.step_size, run.step_size
    t = _crossing(run, quantity, float(o.t[bad[-1]]), float(o.t[bad[-1] + 1]))
    return t, _uncertainty(run, t, names)


def _crossing(flow: Flow, quantity: Quantity, left: float, right: float) -> float:
    """Where it becomes non-positive, by bisection."""
    for _ in range(BISECTIONS):
        middle = 0.5 * (left + right)
        if quantity(observables(flow, middle))[0] <= 0:
            right = middle
        else:
            left = middle
    return right


def _iteration(descent: Descent, quantity: Quantity, left: int, right: int) -> int:
    """The iteration after the last one at which it is positive, between these two."""
    while right - left > 1:
        between = np.unique(np.linspace(left, right, AT_ONCE).astype(int))
        again = descend(
            descent.problem,
            descent.w0,
            descent.step_size,
            right,
            iterations=between,
            progress=False,
        )
        if again.status == "interrupted":
            raise KeyboardInterrupt
        bad = np.flatnonzero(~(quantity(observables(again)) <= 0))
        left, right = int(between[bad[-1]]), int(between[bad[-1] + 1])
    return right


def _uncertainty(flow: Flow, t: float, names: tuple[str, ...]) -> float:
    """How far a crossing moves when a quantity moves by its error: the slowest of them."""
    around = observables(flow, [t * (1 - NEARBY), t])
    errors = [1e-15 * t]
    for name in names:
        before, now = around[name]
        slope = abs(now - before) / (NEARBY * t)
        error = around.error(name)[1]
        if slope > 0 and np.isfinite(error):
            errors.append(float(error / slope))
    return max(errors)
