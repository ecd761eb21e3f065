"""Figures of observables and phases."""

from __future__ import annotations

from typing import Any

import numpy as np

from flowkit.plots import style

Array = np.ndarray
SHADES = ("#f3e9d2", "#dcebf7", "#e3f2e1")
NAMES = ("phase 1", "phase 2", "phase 3")


def plot_observables(o: Any) -> Any:
    """Six panels against t."""
    with style() as plt:
        figure, axes = plt.subplots(2, 3, figsize=(11, 6), sharex=True)
        t = np.asarray(o.t, dtype=float)
        for panel, draw in zip(axes.ravel(), PANELS, strict=True):
            draw(panel, t, o)
        for panel in axes[1]:
            panel.set_xlabel("t")
    return figure


def plot_phases(phases: Any) -> Any:
    """Angles, norms, projections, H and loss against log t, the phases shaded."""
    with style() as plt:
        figure, axes = plt.subplots(5, 1, figsize=(7.5, 10), sharex=True)
        draw_phases(axes, phases)
    return figure


def draw_phases(axes: Any, phases: Any) -> None:
    """The same on five given axes."""
    o = phases.observables
    t = np.asarray(o.t, dtype=float)
    for panel, draw in zip(axes, (angles, norms, projections, excess, loss), strict=True):
        draw(panel, t, o)
        shade(panel, phases)
    for name, middle in zip(NAMES, _middles(phases), strict=True):
        if middle is not None:
            place = {"transform": axes[0].get_xaxis_transform(), "ha": "center", "va": "bottom"}
            axes[0].text(middle, 1.02, name, fontsize=9, **place)
    axes[-1].set_xlabel("t")


def shade(axes: Any, phases: Any) -> None:
    """Bands of the three phases."""
    for shade, (left, right) in zip(SHADES, _bands(phases), strict=True):
        if right > left:
            axes.axvspan(left, right, color=shade, zorder=0, linewidth=0)
    axes.set_xlim(*_range(phases))


def _range(phases: Any) -> tuple[float, float]:
    t = np.asarray(phases.observables.t, dtype=float)
    first = phases.T1 if np.isfinite(phases.T1) and phases.T1 > 0 else t[t > 0][0]
    return max(first / 100, t[t > 0][0]), t[-1]


def _bands(phases: Any) -> list[tuple[float, float]]:
    left, right = _range(phases)
    ends = (x if np.isfinite(x) else right for x in (phases.T1, phases.T2))
    one, two = (min(max(x, left), right) for x in ends)
    return [(left, one), (one, max(one, two)), (max(one, two), right)]


def _middles(phases: Any) -> list[float | None]:
    """Where the names of the phases stand: the geometric middle of wide enough bands."""
    left, right = _range(phases)
    wide = (right / left) ** 0.05
    return [float(np.sqrt(a * b)) if b > wide * a else None for a, b in _bands(phases)]


def angles(axes: Any, t: Array, o: Any) -> None:
    _lines(axes, t, o.theta, "θ")
    axes.set(yscale="log", ylabel="θᵢ")


def norms(axes: Any, t: Array, o: Any) -> None:
    _lines(axes, t, o.norms, "w")
    axes.set(yscale="log", ylabel="‖wᵢ‖")


def projections(axes: Any, t: Array, o: Any) -> None:
    _lines(axes, t, o.h, "h")
    axes.set(xscale="log", ylabel="hᵢ")


def excess(axes: Any, t: Array, o: Any) -> None:
    value = np.abs(np.asarray(o.H, dtype=float))
    axes.loglog(t, np.where(value > 0, value, np.nan), label="|H|")
    norm = np.asarray(o.r_norm, dtype=float)
    axes.loglog(t, np.where(norm > 0, norm, np.nan), "--", label="‖r‖")
    axes.set(ylabel="|H|, ‖r‖")
    axes.legend()


def loss(axes: Any, t: Array, o: Any) -> None:
    value = np.asarray(o.loss, dtype=float)
    axes.loglog(t, np.where(value > 0, value, np.nan), color="k")
    axes.set(ylabel="L")


def potential(axes: Any, t: Array, o: Any) -> None:
    value = np.asarray(o.Z, dtype=float)
    axes.loglog(t, np.where(value > 0, value, np.nan), label="Z")
    axes.set(ylabel="Z")
    beside = axes.twinx()
    beside.spines["right"].set_visible(True)
    beside.grid(False)
    beside.semilogx(t, np.asarray(o.kappa_max, dtype=float), color="C1", linewidth=1)
    beside.set_ylabel("κ_max", color="C1")
    beside.set_ylim(0, 1.05 * np.pi)


def ratio(axes: Any, t: Array, o: Any) -> None:
    axes.semilogx(t, np.asarray(o.gradient_ratio, dtype=float))
    axes.set(ylabel="‖∇L‖/L^⅔", ylim=(0, None))


def slope(axes: Any, t: Array, o: Any) -> None:
    axes.semilogx(t, np.asarray(o.local_slope, dtype=float))
    axes.set(ylabel="d ln L/d ln t")


PANELS = (angles, projections, excess, potential, ratio, slope)


def _lines(axes: Any, t: Array, columns: Any, name: str) -> None:
    """One line a student; a legend only if they are few."""
    values = np.asarray(columns, dtype=float)
    few = values.shape[1] <= 6
    for i, column in enumerate(values.T):
        label = f"{name}{i + 1}" if few else None
        axes.plot(t, np.where(column != 0, column, np.nan), label=label, linewidth=1.2)
    axes.set_xscale("log")
    if few:
        axes.legend(ncols=2)
