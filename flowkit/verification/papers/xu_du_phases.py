"""Xu & Du 2023: the three phases (Theorems 4 to 6), and what keeps Phase 3 going: the gradient
bound, smoothness, neurons that stay away from zero.

d = 50: Lemma 3 wants it large, and a flow runs in the span of teacher and students anyway.
"""

from __future__ import annotations

from functools import cache, partial
from itertools import product
from math import log
from typing import Any

import numpy as np

from flowkit.flows.flow import Flow
from flowkit.observation.collect import observables
from flowkit.observation.drawing import draw_phases
from flowkit.observation.phases import Phases, phases
from flowkit.observation.result import Observables
from flowkit.verification.claim import Claim, Derived, Evidence, Measured, Prediction, Profile
from flowkit.verification.groups import PHASE_3, PHASES
from flowkit.verification.papers.measures import (
    exponent,
    infima,
    known,
    last,
    plain,
    suprema,
    whole_flow,
)
from flowkit.verification.papers.xu_du import (
    EXPONENT,
    PAPER,
    mirror_law,
    random_students,
    residual_rate,
    start_name,
    symmetric_flow,
)

Array = np.ndarray
DIMENSION = 50
SMALL = (1e-3, 1e-6)
TINY = (1e-6, 1e-9)
END = 1e40
ORDER = "T₁/T₂"
BALANCE = "largest hᵢ/hⱼ from T₁ on"
LIMIT = "‖∇L‖/L^⅔ at the end, over √3 C^(−1/6)"
TOP = "largest eigenvalue of ∇²L over n/2, at nine times from T₂ on"
FLOOR = 1e-12


# --- runs -------------------------------------------------------------------------------------


@cache
def small_flow(n: int, sigma: float, seed: int) -> Flow:
    return whole_flow(*random_students(n, sigma, seed, DIMENSION), END)


@cache
def found_phases(n: int, sigma: float, seed: int) -> Phases:
    return phases(small_flow(n, sigma, seed))


def starts(profile: Profile) -> list[tuple[int, float, int]]:
    """(n, σ, seed) of every run; eight students need a σ yet smaller for their phases to part."""
    full = profile.name == "full"
    some = product((2, 3, 4) if full else (2, 4), SMALL, profile.seeds)
    return [*some, *((8, SMALL[-1], seed) for seed in (profile.seeds if full else ()))]


def runs(profile: Profile) -> tuple[str, ...]:
    return tuple(
        f"{start_name(start)}: W(0) = σ·default_rng(seed).standard_normal((n, {DIMENSION})), "
        f"v = e₁, t to {END:g}"
        for start in starts(profile)
    )


def collected(profile: Profile, measure: Any) -> dict[str, Measured]:
    """What `measure` says of every run, each name with that of the run."""
    return {
        f"{what} · {start_name(start)}": value
        for start in starts(profile)
        for what, value in measure(start).items()
    }


def whole_phases(start: tuple[int, float, int]) -> Phases:
    """Those of a run that has them."""
    found = found_phases(*start)
    if found.status == "not reached":
        raise ArithmeticError(f"{start_name(start)}: {found.status}")
    return found


# --- Phase 1 ----------------------------------------------------------------------------------


def measure_phase_1(profile: Profile) -> Evidence:
    values = collected(profile, _phase_1)
    for n, seed in sorted({(n, seed) for n, _, seed in starts(profile) if n < 8}):
        values[f"slope of ln T₁ in ln σ, σ → 0 · n = {n}, seed {seed}"] = _slope(n, seed)
    told = (*runs(profile), "slope: σ = 1e-6 and 1e-9, t to 1")
    return Evidence(values, partial(_draw_angles, starts(profile)), told)


def _phase_1(start: tuple[int, float, int]) -> dict[str, Measured]:
    found, flow = found_phases(*start), small_flow(*start)
    initial = observables(flow, [0.0]).norms

    def falls(o: Observables) -> tuple[Array, Array]:
        return o.norms / initial, o.error("norms") / initial

    def grows(o: Observables) -> tuple[Array, Array]:
        age = np.where(o.t > 0, o.t, np.inf)[:, None]
        return (o.norms - initial) / age, o.error("norms") / age

    first = 1e-6 * found.T1  # before, the quotient is rounding
    return {
        **infima(flow, {"least ‖wᵢ(t)‖/‖wᵢ(0)‖ until T₁": falls}, 0.0, found.T1),
        **suprema(flow, {"largest (‖wᵢ(t)‖ − ‖wᵢ(0)‖)/(‖v‖t) until T₁": grows}, first, found.T1),
    }


def _slope(n: int, seed: int) -> Measured:
    """Of ln T₁ between two σ so small that T₁ is too."""
    ends = []
    for sigma in TINY:
        problem, w0 = random_students(n, sigma, seed, DIMENSION)
        ends.append(phases(whole_flow(problem, w0, 1.0)))
    large, small = TINY
    value = log(ends[0].T1 / ends[1].T1) / log(large / small)
    error = sum(end.T1_error / end.T1 for end in ends) / log(large / small)
    return Measured(value, error + FLOOR)


def _draw_angles(chosen: list[tuple[int, float, int]], figure: Any) -> None:
    left, right = figure.subplots(1, 2)
    for start in chosen:
        found, sigma = found_phases(*start), start[1]
        o = found.observables
        seen = (o.t > 0) & (o.t < 1e2)
        left.loglog(o.t[seen], o.theta_max[seen], label=start_name(start))
        left.plot(found.T1, found.angle, "k.")
        right.loglog(o.t[seen] / sigma, o.norms[seen].max(axis=1) / sigma)
    left.axhline(0.1, color="k", linestyle=":")
    left.set(xlabel="t", ylabel="largest θᵢ (dots: T₁)")
    right.set(xlabel="t/σ", ylabel="largest ‖wᵢ‖/σ")
    left.legend(fontsize=6)


# --- order of the phases, Phase 2 ---------------------------------------------------------------


def measure_order(profile: Profile) -> Evidence:
    drawn = f"figure: n = 4, σ = {SMALL[0]:g}, seed 0, t to 1e6"
    return Evidence(collected(profile, _order), _draw_three, (*runs(profile), drawn))


def _order(start: tuple[int, float, int]) -> dict[str, Measured]:
    found = found_phases(*start)
    value = found.T1 / found.T2
    error = value * (found.T1_error / found.T1 + found.T2_error / found.T2)
    return {ORDER: Measured(value, error)}


def _draw_three(figure: Any) -> None:
    figure.set_size_inches(9, 10)
    flow = whole_flow(*random_students(4, SMALL[0], 0, DIMENSION), 1e6)
    draw_phases(figure.subplots(5, 1, sharex=True), phases(flow))


def measure_phase_2(profile: Profile) -> Evidence:
    values = collected(profile, _phase_2)
    return Evidence(values, partial(_draw_balance, starts(profile)), runs(profile))


def _phase_2(start: tuple[int, float, int]) -> dict[str, Measured]:
    n, sigma, _ = start
    found = whole_phases(start)
    looks = {
        BALANCE: plain("balance"),
        "largest θᵢ/ε₁ from T₁ on": plain("theta_max", 1 / found.angle),
    }
    values = suprema(small_flow(*start), looks, found.T1)
    values["rate of H over n/2, T₁ to T₂"] = _rate_of_excess(found, n)
    if sigma == SMALL[-1]:
        scale = residual_rate(n) / log(1 / found.residual)
        values["(n/2)T₂ over ln(‖v‖/H(T₂))"] = Measured(scale * found.T2, scale * found.T2_error)
    return values


def _rate_of_excess(found: Phases, n: int) -> Measured:
    o = observables(found.run, [found.T1, found.T2])
    value = log(o.H[0] / o.H[1]) / (found.T2 - found.T1) / residual_rate(n)
    relative = float((o.error("H") / o.H).sum()) / log(o.H[0] / o.H[1])
    return Measured(value, abs(value) * (relative + FLOOR))


def _draw_balance(chosen: list[tuple[int, float, int]], figure: Any) -> None:
    left, right = figure.subplots(1, 2)
    for start in chosen:
        o, late = since(start, 2)
        left.semilogx(o.t[late], o.balance[late], label=start_name(start))
        near = (o.t > 0) & (o.t < 30)
        scaled = residual_rate(start[0]) * o.t[near]
        right.semilogy(scaled, np.abs(o.H[near]))
    left.axhline(2, color="k", linestyle=":")
    left.set(xlabel="t", ylabel="max hᵢ / min hⱼ")
    s = np.linspace(0, 20, 50)
    right.semilogy(s, np.exp(-s), "k:", label="e⁻ⁿᵗᐟ²")
    right.set(xlabel="n t/2", ylabel="|H|", ylim=(1e-9, 2))
    left.legend(fontsize=6)
    right.legend()


# --- Phase 3 ----------------------------------------------------------------------------------


def measure_phase_3(profile: Profile) -> Evidence:
    values = collected(profile, _phase_3)
    return Evidence(values, partial(_draw_phase_3, starts(profile)), runs(profile))


def _phase_3(start: tuple[int, float, int]) -> dict[str, Measured]:
    flow, begin = small_flow(*start), whole_phases(start).T2
    balance = suprema(flow, {"largest hᵢ/hⱼ from T₂ on": plain("balance")}, begin)
    return {EXPONENT: exponent(flow), **balance}


def _draw_phase_3(chosen: list[tuple[int, float, int]], figure: Any) -> None:
    left, right = figure.subplots(1, 2)
    for start in chosen:
        o, late = since(start, 3)
        left.loglog(o.t[late], o.theta_max[late], label=start_name(start))
        right.semilogx(o.t[late], o.local_slope[late])
    left.set(xlabel="t", ylabel="largest θᵢ")
    right.set(xlabel="t", ylabel="d ln L/d ln t", ylim=(-8, 0.5))
    right.axhline(-3, color="k", linestyle=":")
    left.legend(fontsize=6)


def measure_gradient(profile: Profile) -> Evidence:
    toy = observables(symmetric_flow(1.0))
    values = {"lim ‖∇L‖/L^⅔, toy case 1": last(toy.gradient_ratio, toy.error("gradient_ratio"))}
    values |= collected(profile, _gradient)
    return Evidence(values, partial(_draw_gradient, starts(profile)), runs(profile))


def _gradient(start: tuple[int, float, int]) -> dict[str, Measured]:
    flow, begin = small_flow(*start), whole_phases(start).T2
    look = plain("gradient_ratio", float(start[0]))
    values = infima(flow, {"n ‖∇L‖/L^⅔, least from T₂ on": look}, begin)
    law = flow.problem.asymptotics(flow)
    if law.constant is None:
        return values | {LIMIT: Measured(np.nan, np.inf, law.reason)}
    o, scale = found_phases(*start).observables, 1 / gradient_limit(law.constant)
    end = last(scale * o.gradient_ratio, scale * o.error("gradient_ratio"))
    error = end.error + end.value * law.error / law.constant / 6
    return values | {LIMIT: Measured(end.value, error)}


def gradient_limit(constant: float) -> float:
    """Of ‖∇L‖/L^⅔ where L = C/t³: ‖∇L‖² = −dL/dt = 3C/t⁴."""
    return float(np.sqrt(3) * constant ** (-1 / 6))


def predict_gradient() -> dict[str, Prediction]:
    limit = gradient_limit(known(mirror_law(1.0).constant))
    return {
        "lim ‖∇L‖/L^⅔, toy case 1": Prediction(limit, 1e-6, text="√3 (π²/6)^(−1/6)"),
        "n ‖∇L‖/L^⅔, least from T₂ on": Prediction(1.0, 0.0, ">=", "poly(1/n, 1/‖v‖)"),
        LIMIT: Prediction(1.0, 1e-6),
    }


def _draw_gradient(chosen: list[tuple[int, float, int]], figure: Any) -> None:
    axes = figure.subplots()
    for start in chosen:
        o, late = since(start, 2)
        (line,) = axes.semilogx(o.t[late], o.gradient_ratio[late], label=start_name(start))
        flow = small_flow(*start)
        constant = flow.problem.asymptotics(flow).constant
        if constant is not None:
            limit = gradient_limit(constant)
            axes.axhline(limit, color=line.get_color(), linestyle=":", linewidth=1)
    axes.set(xlabel="t", ylabel="‖∇L‖/L^⅔ (dotted: √3 C^(−1/6))", ylim=(0, 4))
    axes.legend(fontsize=6)


def measure_regularity(profile: Profile) -> Evidence:
    values = collected(profile, _regularity)
    return Evidence(values, partial(_draw_regularity, starts(profile)), runs(profile))


def _regularity(start: tuple[int, float, int]) -> dict[str, Measured]:
    n, flow, begin = start[0], small_flow(*start), whole_phases(start).T2
    norms = plain("norms", float(n))
    curved = _curvature(start)
    top, wrong = (x / residual_rate(n) for x in (curved.hessian_max, curved.error("hessian_max")))
    at = int(np.argmax(top))
    return {
        **infima(flow, {"n‖wᵢ‖/‖v‖, least from T₂ on": norms}, begin),
        **suprema(flow, {"n‖wᵢ‖/‖v‖, largest from T₂ on": norms}, begin),
        TOP: Measured(float(top[at]), float(wrong[at])),
        "largest eigenvalue of ∇²L over n/2, at the end": last(top, wrong),
    }


def since(start: tuple[int, float, int], phase: int) -> tuple[Observables, Array]:
    """Observables of the run, and which of its stored times lie in a phase or later, to draw."""
    found = whole_phases(start)
    return found.observables, found.observables.t >= (found.T1 if phase == 2 else found.T2)


@cache
def _curvature(start: tuple[int, float, int]) -> Observables:
    """At a few times of Phase 3."""
    return observables(small_flow(*start), np.geomspace(found_phases(*start).T2, 1e12, 9))


def _draw_regularity(chosen: list[tuple[int, float, int]], figure: Any) -> None:
    left, right = figure.subplots(1, 2)
    for start in chosen:
        o = found_phases(*start).observables
        seen = (o.t > 1e-6) & (o.t < 1e12)
        t, norms = o.t[seen], start[0] * o.norms[seen]
        (line,) = left.loglog(t, norms.min(axis=1), label=start_name(start))
        left.loglog(t, norms.max(axis=1), "--", color=line.get_color())
        curved = _curvature(start)
        right.loglog(curved.t, curved.hessian_max, color=line.get_color())
        low = curved.hessian_min
        right.loglog(curved.t, np.where(low > 0, low, np.nan), "--", color=line.get_color())
    for bound in (0.25, 4):
        left.axhline(bound, color="k", linestyle=":")
    left.set(xlabel="t", ylabel="n‖wᵢ‖/‖v‖, least and largest")
    right.set(xlabel="t", ylabel="largest and least eigenvalue of ∇²L")
    left.legend(fontsize=6)


# --- claims -----------------------------------------------------------------------------------

CLAIMS = (
    Claim(
        "xu-du/phase-order",
        "From small random W(0) the students first turn to the teacher, then grow: T₁, from which "
        "on θᵢ ≤ 0.1 and hᵢ ≤ 2hⱼ, comes before T₂, when H = ‖v‖ − Σhᵢ has fallen to 0.01‖v‖",
        f"{PAPER}, technical overview and Theorems 4, 5; T₁, T₂ as `flowkit.phases` finds them",
        {ORDER: Prediction(1.0, 0.0, "<=", "T₁ < T₂")},
        measure_order,
        PHASES,
        r"\max_i \theta_i(T_1) \le \epsilon_1,\quad h_i(T_1) \le 2 h_j(T_1),\quad "
        r"H(T_2) \le 0.01 \, \|v\|,\quad T_1 < T_2",
    ),
    Claim(
        "xu-du/phase-1",
        "Until T₁ no norm falls below half of what it was, and none grows faster than ½‖v‖t; while "
        "all are small the flow does not change if W and t are scaled together, so T₁ ∝ σ",
        f"{PAPER}, Theorem 4; T₁ ∝ σ for σ → 0 is flowkit's own",
        {
            "least ‖wᵢ(t)‖/‖wᵢ(0)‖ until T₁": Prediction(0.5, 0.0, ">=", "½"),
            "largest (‖wᵢ(t)‖ − ‖wᵢ(0)‖)/(‖v‖t) until T₁": Prediction(0.5, 1e-9, "<=", "½"),
            "slope of ln T₁ in ln σ, σ → 0": Prediction(1.0, 1e-3),
        },
        measure_phase_1,
        PHASES,
        r"\frac12 \|w_i(0)\| \le \|w_i(t)\| \le \|w_i(0)\| + \frac12 \|v\| t "
        r"\quad (t \le T_1), \qquad T_1 \propto \sigma",
    ),
    Claim(
        "xu-du/phase-2",
        "Between T₁ and T₂, and after, projections stay balanced and angles do not grow again; H "
        "decays like exp(−nt/2), so that T₂ → (2/n) ln(‖v‖/H(T₂)) for σ → 0",
        f"{PAPER}, Theorem 5; the sharp rate is flowkit's own (fast-rates)",
        {
            BALANCE: Prediction(2.0, 1e-9, "<=", "hᵢ ≤ 2hⱼ"),
            "largest θᵢ/ε₁ from T₁ on": Prediction(1.0, 1e-6, "<="),
            "rate of H over n/2, T₁ to T₂": Prediction(1.0, 0.01, text="exponential"),
            "(n/2)T₂ over ln(‖v‖/H(T₂))": Prediction(1.0, 1e-3),
        },
        measure_phase_2,
        PHASES,
        r"h_i \le 2 h_j,\quad \theta_i \le \epsilon_1 \quad (t \ge T_1), \qquad "
        r"\frac{dH}{dt} = -\frac n2 H + O(\theta^2)",
    ),
    Claim(
        "xu-du/phase-3",
        "From T₂ on the loss falls like t⁻³, and projections stay balanced",
        f"{PAPER}, Theorem 6, for the gradient flow",
        {
            EXPONENT: Prediction(-3.0, 1e-3, text="t⁻³"),
            "largest hᵢ/hⱼ from T₂ on": Prediction(2.0, 0.0, "<=", "hᵢ ≤ 2hⱼ"),
        },
        measure_phase_3,
        PHASES,
        r"L(t) = O(t^{-3}), \qquad h_i \le 2 h_j \quad (t \ge T_2)",
    ),
    Claim(
        "xu-du/gradient-bound",
        "In Phase 3 the gradient is at least of order L^⅔; in fact ‖∇L‖/L^⅔ → √3 C^(−1/6), "
        "C = lim t³L",
        f"{PAPER}, Theorem 7 (improved gradient lower bound); the limit is flowkit's own",
        Derived(predict_gradient),
        measure_gradient,
        PHASE_3,
        r"\|\nabla L\| \ge \mathrm{poly}(1/n, 1/\|v\|) \, L^{2/3}, \qquad "
        r"\frac{\|\nabla L\|}{L^{2/3}} \to \sqrt 3 \, C^{-1/6}",
    ),
    Claim(
        "xu-du/regularity",
        "In Phase 3 every ‖wᵢ‖ stays between ‖v‖/4n and 4‖v‖/n, so that L is smooth along the "
        "flow: the largest eigenvalue of its Hessian is bounded, and tends to n/2",
        f"{PAPER}, Theorem 6, Lemmas 21, 22 and Corollary 23; the limit n/2 is flowkit's own",
        {
            "n‖wᵢ‖/‖v‖, least from T₂ on": Prediction(0.25, 0.0, ">="),
            "n‖wᵢ‖/‖v‖, largest from T₂ on": Prediction(4.0, 0.0, "<="),
            "largest eigenvalue of ∇²L over n/2, at nine times from T₂ on": Prediction(
                2.0, 0.0, "<=", "bounded"
            ),
            "largest eigenvalue of ∇²L over n/2, at the end": Prediction(1.0, 1e-9, text="n/2"),
        },
        measure_regularity,
        PHASE_3,
        r"\frac{\|v\|}{4n} \le \|w_i(t)\| \le \frac{4\|v\|}{n}, \qquad "
        r"\lambda_{\max}(\nabla^2 L) \to \frac n2",
    ),
)
