"""The three phases of Xu & Du, found in a flow by the conditions that end them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from html import escape
from typing import Any

import numpy as np

from flowkit.flows.flow import Flow
from flowkit.observation.result import Observables, observables

Array = np.ndarray

BISECTIONS = 60


@dataclass(frozen=True)
class Phases:
    """When the phases end, and what holds in them.

    Attributes
    ----------
    T1 : float
        First time at which every θ_i ≤ `angle` and every h_i ≤ `ratio` h_j (all h positive); nan if
        there is none.
    T2 : float
        First time at which |H| ≤ `residual` ‖v‖; nan if there is none.
    T1_error, T2_error : float
        By how much they may be off, from the error of the flow.
    angle, residual, ratio : float
        The thresholds: ε₁; what is left of H/‖v‖; 2.
    status : {"three phases", "out of order", "too short"}
    observables : Observables
        Along the flow, for the figure.
    """

    flow: Flow
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
            return "too short"
        return "three phases" if self.T1 < self.T2 else "out of order"

    @cached_property
    def observables(self) -> Observables:
        return observables(self.flow)

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


def phases(flow: Flow, angle: float = 0.1, residual: float = 0.01, ratio: float = 2.0) -> Phases:
    """Where Phase 1 and Phase 2 of a flow end.

    Parameters
    ----------
    flow : Flow
        Of one ReLU teacher, in doubles.
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
    small that its proofs go through; here they are when what it proves about their ends comes true.
    Both are found by themselves: T₁ < T₂ is a finding, for small initialisations.
    """
    if not isinstance(flow, Flow) or len(getattr(flow.problem, "teacher", ())) != 1:
        raise ValueError("flow: expected a Flow of one teacher, in doubles")
    for name, value, least in (("angle", angle, 0), ("residual", residual, 0), ("ratio", ratio, 1)):
        if not least < value < np.inf:
            raise ValueError(f"{name}: must be finite and above {least}, got {value}")

    def unready(o: Observables) -> Array:
        with np.errstate(invalid="ignore"):
            return np.fmax(o.theta_max / angle, o.balance / ratio) - 1

    def left(o: Observables) -> Array:
        return np.abs(o.H) / (residual * o.states.length) - 1

    T1, T1_error = _first(flow, unready, ("theta_max", "balance"))
    T2, T2_error = _first(flow, left, ("H",))
    return Phases(flow, T1, T2, T1_error, T2_error, angle, residual, ratio)


def _first(
    flow: Flow, quantity: Callable[[Observables], Array], names: tuple[str, ...]
) -> tuple[float, float]:
    """The first time at which a quantity is not positive, and its error; nan if there is none."""
    o = observables(flow)
    good = np.flatnonzero(quantity(o) <= 0)
    if not len(good):
        return np.nan, np.nan
    if good[0] == 0:
        return float(o.t[0]), 0.0
    left, right = o.t[good[0] - 1], o.t[good[0]]
    for _ in range(BISECTIONS):
        middle = 0.5 * (left + right)
        if quantity(observables(flow, middle))[0] <= 0:
            right = middle
        else:
            left = middle
    return float(right), _uncertainty(flow, float(right), names)


def _uncertainty(flow: Flow, t: float, names: tuple[str, ...]) -> float:
    """How far a crossing moves when a quantity moves by its error: the slowest of them."""
    around = observables(flow, [t * (1 - 1e-4), t])
    errors = [1e-15 * t]
    for name in names:
        before, now = around[name]
        slope = abs(now - before) / (1e-4 * t)
        error = around.error(name)[1]
        if slope > 0 and np.isfinite(error):
            errors.append(float(error / slope))
    return max(errors)
