"""Xu & Du 2023: what a random W(0) looks like (Lemma 3), and why some W(0) must be excluded: the
corner case w_i = 0 (Appendix E.3).
"""

from __future__ import annotations

from functools import cache, partial
from math import log, pi
from typing import Any

import numpy as np

from flowkit.flows.flow import Flow
from flowkit.observation.collect import observables
from flowkit.problems.numbers import rational
from flowkit.problems.pairs import angles, polar
from flowkit.problems.teacher_student import TeacherStudent
from flowkit.verification.claim import Claim, Evidence, Measured, Prediction, Profile
from flowkit.verification.groups import CORNER, LEMMA_3
from flowkit.verification.papers.measures import frequency, whole_flow
from flowkit.verification.papers.xu_du import PAPER

Array = np.ndarray
CONFIDENCE = 0.999
SHAPES = ((2, 10), (4, 20), (10, 20))
DRAWS = {"quick": 200_000, "full": 1_000_000}
FEW, MANY = 10, 30  # dimensions between which failures are compared
PROBABILITY = "frequency of failures over their probability"
DECAY = "decay of failures per dimension over the exact one"
SURE = "frequency of failures, d = 400"


# --- Lemma 3 ----------------------------------------------------------------------------------


def good(rows: Array) -> Array:
    """Whether σ√d/2 ≤ ‖w‖ ≤ 2σ√d and π/3 ≤ θ ≤ 2π/3 for rows (…, d), σ = 1, v = e₁."""
    d = rows.shape[-1]
    norms = np.linalg.norm(rows, axis=-1)
    fits = (norms >= np.sqrt(d) / 2) & (norms <= 2 * np.sqrt(d))
    return np.asarray(fits & (np.abs(rows[..., 0]) <= 0.5 * norms))


def probability(n: int, d: int) -> float:
    """Of that event for n students: norm and direction of a Gaussian vector are independent."""
    from scipy.special import betainc
    from scipy.stats import chi2

    norm = float(chi2.cdf(4 * d, d) - chi2.cdf(d / 4, d))
    angle = float(betainc(0.5, (d - 1) / 2, 0.25))  # cos² θ ~ Beta(½, (d − 1)/2)
    return (norm * angle) ** n


def failures(n: int, d: int, draws: int) -> int:
    """How many of so many draws of n students fail, in blocks."""
    draw, count = np.random.default_rng(0), 0
    for start in range(0, draws, 2000):
        block = draw.standard_normal((min(2000, draws - start), n, d))
        count += int((~good(block).all(axis=1)).sum())
    return count


def interval(count: int, draws: int) -> tuple[float, float]:
    """Clopper and Pearson's, at 99.9 %."""
    _, low, high = frequency(count, draws, CONFIDENCE)
    return low, high


def measure_lemma_3(profile: Profile) -> Evidence:
    draws = DRAWS[profile.name]
    values = {}
    for n, d in SHAPES:
        count, fails = failures(n, d, draws), 1 - probability(n, d)
        low, high = interval(count, draws)
        at = count / draws
        note = f"{count} of {draws} draws fail, probability {fails:.6g}"
        error = max(high - at, at - low) / fails
        values[f"{PROBABILITY} · n = {n}, d = {d}"] = Measured(at / fails, error, note)
    values[DECAY] = _decay(draws)
    few = draws // 200
    count = failures(4, 400, few)
    low, high = interval(count, few)
    values[SURE] = Measured(count / few, high - count / few, f"{count} of {few} draws")
    runs = (
        f"{draws} draws of default_rng(0).standard_normal((n, d)) for every (n, d); decay: "
        f"{5 * draws} for n = 1, d = {FEW} and {MANY}; d = 400: {few}, n = 4",
    )
    return Evidence(values, partial(_draw_lemma_3, draws), runs)


def _decay(draws: int) -> Measured:
    """−d ln P(failure)/dd between two dimensions, n = 1, over that of the exact probabilities."""
    counts = [failures(1, d, 5 * draws) for d in (FEW, MANY)]
    ends = [interval(count, 5 * draws) for count in counts]
    exact = log((1 - probability(1, FEW)) / (1 - probability(1, MANY)))
    found = log(counts[0] / counts[1])
    error = sum(log(high / low) for low, high in ends) / 2
    return Measured(found / exact, error / exact, f"{counts[1]} failures at d = {MANY}")


def _draw_lemma_3(draws: int, figure: Any) -> None:
    left, right = figure.subplots(1, 2)
    w = np.random.default_rng(0).standard_normal((2000, 50))
    norms = np.linalg.norm(w, axis=1) / np.sqrt(50)
    left.plot(norms, np.arccos(w[:, 0] / (norms * np.sqrt(50))), ".", markersize=2)
    left.axvline(0.5, color="k", linestyle=":")
    left.axvline(2, color="k", linestyle=":")
    for bound in (pi / 3, 2 * pi / 3):
        left.axhline(bound, color="k", linestyle=":")
    left.set(xlabel="‖w‖/(σ√d), d = 50", ylabel="θ", xlim=(0, 2.2), ylim=(0, pi))
    dimensions = np.arange(4, 61)
    right.semilogy(dimensions, [1 - probability(1, int(d)) for d in dimensions], label="exact")
    for d in (FEW, 20, MANY):
        count = failures(1, d, draws)
        low, high = interval(count, draws)
        right.plot([d, d], [max(low, 1e-7), high], "C1", linewidth=2)
    right.set(xlabel="d", ylabel="P(failure), n = 1; bars: 99.9 % intervals")
    right.legend()


# --- w_i = 0 ----------------------------------------------------------------------------------

START = 0
REMAINING = (1e-5, 1e-6)
SPEED = "‖w‖/(t* − t) over γ(u)"
EVENT = "students that reach zero"
GAP = "slope along u plus slope along −u, over its prediction"


def corner_problem() -> tuple[TeacherStudent, Array]:
    """A start from which a student reaches zero."""
    w0 = 0.1 * np.random.default_rng(START).standard_normal((4, 6))
    return TeacherStudent(np.eye(6)[0]), w0


@cache
def corner_flow() -> Flow:
    return whole_flow(*corner_problem(), 1e6)


def kernel_slope(u: Array, others: Array, teacher: Array) -> float:
    """γ(u) = Σ K(u, w_j) − K(u, v), by the derived kernel: the slope of L at w = 0 along u."""
    norms, units = polar(np.vstack([u, others, teacher]))
    (pairs,) = _kernel()(1.0, norms[1:], angles(units[:1], units[1:])[0])
    return float(pairs[:-1].sum() - pairs[-1])


@cache
def _kernel() -> Any:
    from symbolic.gaussian import THETA, A, B
    from symbolic.lower import lower
    from symbolic.pairs import split

    return lower([split().result], [A, B, THETA])


def measure_corner(profile: Profile) -> Evidence:
    problem, _ = corner_problem()
    flow = corner_flow()
    events = [event for event in flow.events if event.kind == "zero-neuron"]
    values = {EVENT: Measured(float(len(events)), 0.0, "; ".join(e.message for e in events))}
    if not events:
        return Evidence(values | {SPEED: _nothing(), GAP: _nothing()})
    event = events[0]
    dead = np.arange(len(flow.w0)) == event.neuron
    others = flow(event.t)[~dead]
    direction = flow(event.t - REMAINING[-1])[dead][0]
    slope = kernel_slope(direction, others, problem.teacher[0])
    speeds = [_speed(flow, event, remaining) / slope for remaining in REMAINING]
    values[SPEED] = Measured(speeds[-1], 2 * abs(speeds[0] - speeds[1]) + 1e-9)
    values[GAP] = _kink(problem, others, direction)
    runs = ("W(0) = 0.1·default_rng(0).standard_normal((4, 6)), v = e₁, t to 1e6",)
    return Evidence(values, partial(_draw_corner, flow, event), runs)


def _nothing() -> Measured:
    return Measured(float("nan"), float("inf"), "no student reached zero")


def _speed(flow: Flow, event: Any, remaining: float) -> float:
    """‖w‖/(t* − t); the norm still has all of its digits."""
    o = observables(flow, event.t - remaining)
    return float(o.norms[0, event.neuron]) / (event.t - float(o.t[0]))


def _kink(problem: TeacherStudent, others: Array, direction: Array) -> Measured:
    """Second difference of L at w = 0, from losses of 60 digits, over its limit."""
    from fractions import Fraction

    unit = direction / np.linalg.norm(direction)
    step = Fraction(1, 10**15)
    exact = np.array([[Fraction(float(x)) for x in row] for row in others], dtype=object)
    small = np.array([Fraction(float(x)) * step for x in unit], dtype=object)
    points = [np.vstack([exact, small]), np.vstack([exact, -small]), exact]
    there, back, here = (rational(problem.loss(point, precision=60)) for point in points)
    second = there + back - 2 * here
    predicted = sum(kernel_slope(sign * unit, others, problem.teacher[0]) for sign in (1, -1))
    return Measured(float(second / step) / predicted, 1e-11)


def _draw_corner(flow: Flow, event: Any, figure: Any) -> None:
    left, right = figure.subplots(1, 2)
    o = observables(flow, np.linspace(0, 30, 400))
    left.semilogy(o.t, np.where(o.norms > 0, o.norms, np.nan))
    left.set(xlabel="t", ylabel="‖wᵢ‖")
    near = event.t - np.geomspace(1e-8, 1, 60)
    norms = observables(flow, near[::-1]).norms[::-1, event.neuron]
    right.loglog(event.t - near, norms)
    right.set(xlabel="t* − t", ylabel=f"‖w‖ of student {event.neuron}")


CLAIMS = (
    Claim(
        "xu-du/initialisation",
        "At W(0) ~ N(0, σ²I), with high probability σ√d/2 ≤ ‖wᵢ‖ ≤ 2σ√d and π/3 ≤ θᵢ ≤ 2π/3 for "
        "all i; the probability is exact here, and failures fall exponentially with d, at the rate "
        "½ ln(4/3) for large d",
        f"{PAPER}, Lemma 3; intervals of Clopper and Pearson, 99.9 %",
        {
            PROBABILITY: Prediction(1.0, 0.08, text="chi-square and beta distribution"),
            DECAY: Prediction(1.0, 0.05),
            SURE: Prediction(0.0, 0.02, "<=", "none"),
        },
        measure_lemma_3,
        LEMMA_3,
        r"P\left(\frac{\sigma\sqrt d}{2} \le \|w_i(0)\| \le 2\sigma\sqrt d, \; "
        r"\frac{\pi}{3} \le \theta_i(0) \le \frac{2\pi}{3} \; \forall i\right) \ge 1 - \delta",
    ),
    Claim(
        "xu-du/zero-neuron",
        "Without assumptions on W(0) a student may reach wᵢ = 0 in finite time t*, where L has no "
        "derivative: ‖w‖ ~ γ(u)(t* − t), and the slopes of L along u and −u do not cancel",
        f"{PAPER}, Appendix E.3; γ(u) = Σ K(u, w_j) − K(u, v) is flowkit's own (split)",
        {
            EVENT: Prediction(1.0, 0.0, ">=", "at least one"),
            SPEED: Prediction(1.0, 1e-4),
            GAP: Prediction(1.0, 1e-9, text="Σ E |u·x| [w_j·x]₊ − E |u·x| [v·x]₊"),
        },
        measure_corner,
        CORNER,
        r"\frac{d\|w\|}{dt} = -\gamma(u) - \frac12 \|w\|, \qquad "
        r"\gamma(u) = \sum_j K(u, w_j) - K(u, v)",
    ),
)
