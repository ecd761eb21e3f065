"""Figures of a report: how a loss falls, and how near its law is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from flowkit.flows.flow import Flow
from flowkit.verification.claim import Measured


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


def draw_levels(runs: Sequence[tuple[str, Flow, float]], figure: Any) -> None:
    """(kind, flow, constant): loss, and t³L over the constant, against t; kinds by colour."""
    left, right = figure.subplots(1, 2)
    colour = colours([kind for kind, _, _ in runs])
    for kind, flow, constant in runs:
        seen = (flow.t > 1e-2) & (flow.loss > 0)
        t, loss = flow.t[seen], flow.loss[seen]
        left.loglog(t, loss, color=colour[kind], linewidth=1)
        right.semilogx(t, t**3 * loss / constant, color=colour[kind], linewidth=1)
    guide_line(left, [flow for _, flow, _ in runs])
    right.axhline(1, color="k", linestyle=":", label="predicted limit")
    left.set(xlabel="t", ylabel="L")
    right.set(xlabel="t", ylabel="t³L over its predicted limit", ylim=(0, 2))
    name_colours(left, colour)
    right.legend()


def draw_exponents(
    runs: Sequence[tuple[str, float, Flow, Measured]], lone: Sequence[Flow], figure: Any
) -> None:
    """(kind, σ, flow, exponent): loss against t, and how far the exponent is from −3."""
    left, right = figure.subplots(1, 2)
    colour = colours([kind for kind, _, _, _ in runs])
    for kind, sigma, flow, found in runs:
        seen = (flow.t > 1e-2) & (flow.loss > 0)
        left.loglog(flow.t[seen], flow.loss[seen], color=colour[kind], linewidth=1)
        gap = max(abs(found.value + 3), found.error)
        right.loglog(sigma, gap, "o", color=colour[kind], markersize=4)
    for flow in lone:
        seen = (flow.t > 1e-2) & (flow.loss > 1e-100)
        left.loglog(flow.t[seen], flow.loss[seen], "k--", linewidth=1)
    guide_line(left, [flow for _, _, flow, _ in runs])
    left.set(xlabel="t", ylabel="L", title="dashed: one student left")
    right.set(xlabel="σ", ylabel="|exponent + 3|, error included", ylim=(1e-15, 1e-2))
    right.axhline(1e-3, color="0.6", linestyle="--", label="tolerance")
    name_colours(left, colour)
    right.legend()


def draw_deaths(
    counts: dict[int, list[tuple[float, float, float, float]]],
    traced: Sequence[tuple[str, Flow]],
    figure: Any,
) -> None:
    """By n: (σ, share of runs with a death, its interval); and losses with deaths marked."""
    left, right = figure.subplots(1, 2)
    for i, (n, points) in enumerate(counts.items()):
        sigma, share, low, high = np.array(points).T
        x = sigma * 1.12**i
        bars = np.array([share - low, high - share])
        left.errorbar(x, share, bars, fmt="o-", capsize=3, linewidth=1, label=f"n = {n}")
    left.set(xscale="log", xlabel="σ", ylabel="share of runs with a death", ylim=(-0.03, 1.03))
    left.legend()
    for i, (name, flow) in enumerate(traced):
        seen = (flow.t > 1e-2) & (flow.t < 1e5)
        right.loglog(flow.t[seen], flow.loss[seen], color=f"C{i}", linewidth=1, label=name)
        times = [event.t for event in flow.events if event.kind == "zero-neuron"]
        right.loglog(times, flow.loss_at(times), "x", color=f"C{i}")
    right.set(xlabel="t", ylabel="L", title="×: a student reaches zero")
    right.legend()


def draw_teachers(
    powers: Sequence[tuple[str, Flow]],
    exponentials: Sequence[tuple[str, Flow, float]],
    figure: Any,
) -> None:
    """Losses of n > k students on logarithmic axes, those of n = k, with their rates, on one."""
    left, right = figure.subplots(1, 2)
    colour = colours([kind for kind, _ in powers])
    for kind, flow in powers:
        seen = flow.t > 1e-1
        left.loglog(flow.t[seen], flow.loss[seen], color=colour[kind], linewidth=1)
    guide_line(left, [flow for _, flow in powers])
    shade = colours([kind for kind, _, _ in exponentials])
    for kind, flow, rate in exponentials:
        seen = flow.loss > 1e-80
        right.semilogy(flow.t[seen], flow.loss[seen], color=shade[kind], linewidth=1)
        t = flow.t[seen][[0, -1]]
        right.semilogy(t, 1e3 * np.exp(-rate * t), color=shade[kind], linestyle=":")
    left.set(xlabel="t", ylabel="L")
    right.set(xlabel="t", ylabel="L", title="dotted: predicted rate")
    name_colours(left, colour)
    name_colours(right, shade)


def colours(kinds: Sequence[str]) -> dict[str, str]:
    """A colour for each kind."""
    return {kind: f"C{i % 10}" for i, kind in enumerate(dict.fromkeys(kinds))}


def name_colours(axes: Any, colour: dict[str, str]) -> None:
    """A legend with one line for each kind, besides what is labelled already."""
    for kind, shade in colour.items():
        axes.plot([], [], color=shade, label=kind)
    axes.legend()


def guide_line(axes: Any, flows: Sequence[Flow]) -> None:
    """Slope −3, above the losses of these flows."""
    if not flows:
        return
    t = np.geomspace(1e2, max(flow.t[-1] for flow in flows), 50)
    top = max(flow.loss[-1] * flow.t[-1] ** 3 for flow in flows)
    axes.loglog(t, 1e3 * top * t**-3.0, "k:", label="slope −3")
