"""Figures, on matplotlib; loaded only when something is drawn."""

from __future__ import annotations

import io
from collections.abc import Callable
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
    import matplotlib
    import matplotlib.pyplot as plt

    with matplotlib.rc_context(STYLE):
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
