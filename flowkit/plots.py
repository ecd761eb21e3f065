"""Figures, on matplotlib; loaded only when something is drawn."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

STYLE: Any = {
    "font.size": 9,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "svg.hashsalt": "flowkit",
    "figure.constrained_layout.use": True,
}


@contextmanager
def style() -> Iterator[Any]:
    """pyplot, in our style."""
    import matplotlib
    import matplotlib.pyplot as plt

    with matplotlib.rc_context(STYLE):
        yield plt
        # A notebook makes pyplot interactive at the first figure; leaving the style would undo it.
        interactive = matplotlib.is_interactive()
    matplotlib.interactive(interactive)


def svg(draw: Callable[[Any], None]) -> str:
    """Let `draw` fill a figure and return it as SVG text."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9, 3.4))
        draw(figure)
        out = io.StringIO()
        FigureCanvasSVG(figure)
        figure.savefig(out, format="svg", metadata={"Date": None})
    return out.getvalue()


def plot_flow(flow: Any, ax: Any = None) -> Any:
    """Loss against t on logarithmic axes, its error as a band, events as vertical lines."""
    with style() as plt:
        if ax is None:
            _, ax = plt.subplots(figsize=(6, 4))
        seen = (flow.t > 0) & (flow.loss > 0)
        t, loss, error = flow.t[seen], flow.loss[seen], np.minimum(flow.loss_error[seen], 0.99)
        ax.loglog(t, loss, label="L(t)")
        ax.fill_between(t, loss * (1 - error), loss * (1 + error), alpha=0.3)
        for event in flow.events:
            ax.axvline(event.t, color="C3", linestyle="--", linewidth=1)
            text = f" {event.kind} {event.neuron}"
            ax.text(event.t, loss.min(), text, rotation=90, va="bottom", ha="right", fontsize=7)
        ax.set(xlabel="t", ylabel="L", title=f"{flow.problem.activation}, {flow.status}")
        ax.legend()
    return ax


def plot_descent(descent: Any, ax: Any = None) -> Any:
    """Loss of a descent against iterations on logarithmic axes."""
    with style() as plt:
        if ax is None:
            _, ax = plt.subplots(figsize=(6, 4))
        seen = (descent.iteration > 0) & (descent.loss > 0) & np.isfinite(descent.loss)
        label = f"η = {descent.step_size:g}"
        ax.loglog(descent.iteration[seen], descent.loss[seen], label=label)
        ax.set(xlabel="iteration", ylabel="L", title=descent.status)
        ax.legend()
    return ax


def plot_precise(flow: Any, ax: Any = None) -> Any:
    """Loss of a flow in many digits against t, and on the right the digits that are certain."""
    import mpmath

    with style() as plt:
        if ax is None:
            _, ax = plt.subplots(figsize=(6, 4))
        seen = [i for i, (t, v) in enumerate(zip(flow.t, flow.loss, strict=True)) if t > 0 < v]
        t = flow.t[seen].astype(float)
        exponents = np.array([float(mpmath.log10(v)) for v in flow.loss[seen]])
        ax.semilogx(t, exponents, label="log₁₀ L")
        ax.set(
            xlabel="t", ylabel="log₁₀ L", title=f"{flow.status}, in {flow.precision or 15} digits"
        )
        if flow.certified:
            beside = ax.twinx()
            beside.spines["right"].set_visible(True)
            beside.grid(False)
            beside.step(t, flow.loss_digits[seen], where="mid", color="C1", linewidth=1)
            beside.set_ylabel("certified digits of L", color="C1")
            beside.set_ylim(0, 1.2 * max(1, flow.loss_digits[seen].max()))
    return ax


def plot_components(flow: Any, ax: Any = None) -> Any:
    """Components of a solution against t, each in units of its size if they differ much."""
    with style() as plt:
        if ax is None:
            _, ax = plt.subplots(figsize=(6, 4))
        times = flow.t.astype(float)
        even = np.linspace(0, times[-1], 400)
        fine = np.unique(np.concatenate([even, times]))  # steps are short where much happens
        values = flow(fine).astype(float)
        largest = np.abs(values).max(axis=0)
        alike = largest.max() < 10 * largest.min()
        for name, column, size in zip(flow.problem.variables, values.T, largest, strict=True):
            if alike or size == 0:
                ax.plot(fine, column, label=str(name))
            else:
                ax.plot(fine, column / size, label=f"{name} / {size:.2g}")
        ax.set(xlabel="t", title=flow.status)
        ax.legend()
    return ax
