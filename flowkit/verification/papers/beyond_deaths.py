"""Large initialisations: students that reach zero in finite time, how often, and what follows."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, partial
from math import log

import numpy as np

from flowkit.flows.flow import Flow
from flowkit.verification.claim import Claim, Derived, Evidence, Measured, Prediction, Profile
from flowkit.verification.groups import BEYOND
from flowkit.verification.papers.beyond import full, laws, predict_laws
from flowkit.verification.papers.figures import draw_deaths
from flowkit.verification.papers.measures import absent, frequency, tried, whole_flow
from flowkit.verification.papers.starts import (
    EARLIER,
    Start,
    alone,
    finished,
    gaussian,
    normal,
    teacher,
)
from flowkit.verification.papers.xu_du import RATE

NONE_SMALL = "runs with a death, σ ≤ 0.01"
SHARE_SMALL = "share of runs with a death, σ ≤ 0.01"
SOME = "runs with a death"
TIME = "time of death beside a long student"

NEURONS = (4, 8, 16)
SMALL = 1e-2  # the largest σ at which none of these is to die
SOON = 1e4  # deaths come before the others have settled
MANY = (50, 20, 1e-2)  # n, d, σ

Cell = tuple[int, float]


def deaths(flow: Flow) -> list[float]:
    """When students reach zero."""
    return [event.t for event in flow.events if event.kind == "zero-neuron"]


@cache
def dies(n: int, sigma: float, seed: int, d: int = 0) -> bool:
    """Whether a student reaches zero; the run is not kept.  d = n + 2 unless it is given."""
    w0 = normal(n, sigma, seed)
    if d:
        w0 = sigma * np.random.default_rng(seed).standard_normal((n, d))
    return bool(deaths(whole_flow(teacher(d or n + 2), w0, SOON)))


def seeds(profile: Profile) -> dict[Cell, range]:
    """How many starts there are of each n and σ."""
    if full(profile):
        return {(n, s): range(30) for n in NEURONS for s in (1e-4, 1e-3, SMALL, 0.1, 1.0)}
    few = {(n, s): range(7) for n in NEURONS for s in (1e-3, SMALL)}
    return few | {(4, 0.1): range(1), (4, 1.0): range(1)}


def count(cell: Cell, which: range) -> tuple[int, int]:
    """Runs with a death, and all of them."""
    return sum(dies(*cell, seed) for seed in which), len(which)


def share(counts: Sequence[tuple[int, int]]) -> Measured:
    """Of runs with a death; its error is the farther end of the exact interval."""
    value, low, high = frequency(*np.sum(counts, axis=0).tolist())
    return Measured(value, max(value - low, high - value), shown(*np.sum(counts, axis=0).tolist()))


def shown(hits: int, runs: int) -> str:
    """Such as "6 of 30, 8 … 39 %"."""
    _, low, high = frequency(hits, runs)
    return f"{hits} of {runs}, {100 * low:.2g} … {100 * high:.2g} %"


def followed(profile: Profile, cells: dict[Cell, range]) -> list[Start]:
    """The first runs of each n and σ in which a student dies, to go on with."""
    found = []
    for cell, which in cells.items():
        dying = [seed for seed in which if dies(*cell, seed)]
        found += [gaussian(*cell, seed, EARLIER) for seed in dying[:3]]
    return found if full(profile) else found[:1]


def first_death(flow: Flow) -> Measured:
    """With the relative error that the run has in its loss."""
    (t,) = deaths(flow)
    return Measured(t, t * float(flow.loss_error.max()))


def measure_deaths(profile: Profile) -> Evidence:
    cells = seeds(profile)
    counts = {cell: count(cell, which) for cell, which in cells.items()}
    small = [x for (_, sigma), x in counts.items() if sigma <= SMALL]
    hits = sum(x for x, _ in small)
    pressed = alone("zero")
    values = {
        NONE_SMALL: Measured(hits, 0.0),
        SHARE_SMALL: share(small),
        **{
            f"{SOME} · n = {n}, σ = {sigma:g}": Measured(x, 0.0, shown(x, runs))
            for (n, sigma), (x, runs) in counts.items()
            if sigma == 1
        },
        TIME: tried(lambda: first_death(pressed.flow)),
    }
    if full(profile):
        many = sum(dies(n := MANY[0], MANY[2], seed, MANY[1]) for seed in range(30))
        values[f"{SOME} · n = {n}, d = {MANY[1]}, σ = {MANY[2]:g}"] = Measured(
            many, 0.0, shown(many, 30)
        )
    starts = followed(profile, cells)
    values |= laws([*starts, pressed])
    runs = told(counts, starts, pressed)
    return Evidence(values, drawn(counts, starts), runs, absent(values, RATE))


def drawn(counts: dict[Cell, tuple[int, int]], starts: list[Start]) -> partial[None]:
    """Shares by n, and up to six of the runs that go on."""
    points: dict[int, list[tuple[float, float, float, float]]] = {}
    for (n, sigma), found in counts.items():
        points.setdefault(n, []).append((sigma, *frequency(*found)))
    traced = [(x.name, x.flow) for x in finished(starts[:: max(1, len(starts) // 6)])]
    return partial(draw_deaths, points, traced)


def told(
    counts: dict[Cell, tuple[int, int]], starts: list[Start], pressed: Start
) -> tuple[str, ...]:
    """What was run, and what was counted."""
    weights = "W(0) = σ default_rng(seed).standard_normal((n, d)), v = e₁"
    return (
        f"{weights}, d = n + 2, seeds from 0, to t = {SOON:g}; runs with a death, 95 % interval: "
        + "; ".join(f"n = {n}, σ = {s:g}: {shown(*found)}" for (n, s), found in counts.items()),
        f"after deaths, to t = {EARLIER:g}: " + "; ".join(x.name for x in starts),
        f"{pressed.name}: v = e₁, W(0) = {pressed.w0.tolist()}, to t = {pressed.t_max:g}",
    )


def time_of_death() -> float:
    """Along v all Σh − 1 = R falls like e^(−nt/2), every h at −R/2: h(t) = h(0) − R₀ (1 − …)/n."""
    start = alone("zero")
    h = start.w0[:, 0]
    n, excess = len(h), h.sum() - 1
    return -2 / n * log(1 - n * h.min() / excess)


def predict_deaths() -> dict[str, Prediction]:
    return predict_laws() | {
        NONE_SMALL: Prediction(0.0, 0.0, text="never"),
        SHARE_SMALL: Prediction(0.0, 0.1, text="never"),
        SOME: Prediction(1.0, 0.0, ">=", "it happens"),
        TIME: Prediction(time_of_death(), 1e-8, text="finite"),
    }


CLAIMS = (
    Claim(
        "beyond/large-initialisations",
        "Students of a large initialisation reach zero in finite time, none with σ ≤ 0.01 and "
        "n ≤ 16 does; the others go on: L ~ t⁻³ if two or more are left, exponential if one is",
        "Xu & Du 2023, Corollary on norms that stay away from zero (small initialisations), and "
        "Appendix E.3, where assumptions are needed; frequencies are flowkit's own",
        Derived(predict_deaths),
        measure_deaths,
        BEYOND,
        r"\|w_i(t^*)\| = 0, \quad t^* < \infty",
    ),
)
