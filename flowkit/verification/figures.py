"""Figures of a report: how a loss falls, and how near its law is."""

from __future__ import annotations

from typing import Any

import numpy as np

from flowkit.flows.flow import Flow


def draw_power_laws(runs: dict[str, Flow], constant: float | None, figure: Any) -> None:
    """Loss, and t³L, against t."""
    left, right = figure.subplots(1, 2)
    for name, flow in runs.items():
        seen = flow.t > 1e-2
        t, loss = flow.t[seen], flow.loss[seen]
        left.loglog(t, loss, label=name)
        right.semilogx(t, t**3 * loss, label=name)
    t = np.geomspace(1e2, max(flow.t[-1] for flow in runs.values()), 50)
    level = constant or 1.0
    left.loglog(t, 30 * level * t**-3.0, "k:", label="slope −3")
    if constant is not None:
        right.axhline(constant, color="k", linestyle=":", label="predicted limit")
    left.set(xlabel="t", ylabel="L")
    right.set(xlabel="t", ylabel="t³ L", ylim=(0, None))
    left.legend()
    right.legend()


def draw_exponentials(runs: dict[str, tuple[Flow, float]], figure: Any) -> None:
    """Loss against t, and its rate from point to point."""
    left, right = figure.subplots(1, 2)
    for name, (flow, predicted) in runs.items():
        seen = flow.loss > 1e-300
        t, log = flow.t[seen], np.log(flow.loss[seen])
        left.semilogy(t, flow.loss[seen], label=name)
        right.plot(0.5 * (t[1:] + t[:-1]), -np.diff(log) / np.diff(t), label=name)
        right.axhline(predicted, color="k", linestyle=":", label="predicted rate")
    top = 1.25 * max(predicted for _, predicted in runs.values())
    left.set(xlabel="t", ylabel="L")
    right.set(xlabel="t", ylabel="−d ln L / dt", ylim=(0, top))
    left.legend()
    right.legend()
