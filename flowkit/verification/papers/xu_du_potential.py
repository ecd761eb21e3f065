"""Xu & Du 2023: the potential Z (Lemma 31), why tangential parts do not collapse (Lemmas 15, 27 to
29, Corollary 30), and how the constant of Theorem 12 depends on κ_max(0).
"""

from __future__ import annotations

from functools import cache, partial
from itertools import pairwise, product
from math import pi
from typing import Any

import numpy as np

from flowkit.flows.flow import Flow
from flowkit.observation.collect import observables
from flowkit.observation.result import Observables
from flowkit.problems.teacher_student import TeacherStudent
from flowkit.verification.claim import Claim, Derived, Evidence, Measured, Prediction, Profile
from flowkit.verification.groups import LOWER, POTENTIAL, SEPARATION
from flowkit.verification.papers.measures import (
    Look,
    infima,
    known,
    last,
    slope,
    suprema,
    whole_flow,
)
from flowkit.verification.papers.xu_du import (
    PAPER,
    exponential_flow,
    leading_angle,
    mirror_law,
    random_flow,
    random_run,
    start_name,
    symmetric_flow,
)

Array = np.ndarray
RATE = "−dZ/dt over n(n − 1) max(Σ‖wᵢ‖, ½‖v‖) θ²_max, largest"
PROFILE = "tZ at the end over Σ‖βᵢ − βⱼ‖"
GROWTH = "growth of ln tan(κ_max/2) over its predicted growth"
AT_LEAST = "growth of ln tan(κ_max/2) over ∫ (π − θᵢⱼ)/π dt"
SMALL = (0.01, 0.001)
KAPPA_STAYS = "least κ_max(t) over min(κ_max(0), π/2)"
Z_STAYS = "least Z over maxᵢ‖zᵢ‖ sin(½min(κ_max(0), π/2))"
BISECTIONS = 50
NEAREST = 1e-12
NODES, WEIGHTS = np.polynomial.legendre.leggauss(8)


def starts(profile: Profile) -> list[tuple[int, float, int]]:
    """(n, σ, seed): so small that no student dies."""
    return list(product((2, 3, 4), SMALL, profile.seeds))


@cache
def seen(n: int, sigma: float, seed: int) -> Observables:
    """Along a random flow."""
    return observables(random_flow(n, sigma, seed))


# --- Z ----------------------------------------------------------------------------------------


def measure_potential(profile: Profile) -> Evidence:
    toy = observables(symmetric_flow(1.0))
    scaled = toy.t * toy.Z
    rate, errors = _shrinking(toy)
    values = {
        "lim tZ/‖v‖, toy case 1": last(scaled, toy.t * toy.error("Z")),
        "lim −dZ/dt over n²‖v‖θ²_max, toy case 1": last(rate, errors),
        "Z, toy cases 2 and 3": _vanishing(),
    }
    for start in starts(profile):
        flow, o, which = random_flow(*start), seen(*start), f" · {start_name(start)}"
        values |= suprema(flow, {RATE + which: _bounded})
        exponents = o.t * o.Z_rate / o.Z
        errors = np.abs(exponents) * (o.error("Z") / o.Z + o.error("Z_rate") / np.abs(o.Z_rate))
        values["exponent of Z" + which] = last(exponents, errors)
        values[PROFILE + which] = _beside_profile(flow, o)
    runs = tuple(map(random_run, starts(profile)))
    return Evidence(values, partial(_draw_potential, starts(profile)), runs)


def _shrinking(o: Observables) -> tuple[Array, Array]:
    """−dZ/dt over n²‖v‖θ²_max."""
    n = o.theta.shape[1]
    scale = n**2 * float(o.states.length) * o.theta_max**2
    errors = (o.error("Z_rate") + 2 * np.abs(o.Z_rate) * o.error("theta_max") / o.theta_max) / scale
    return -o.Z_rate / scale, errors


def _bounded(o: Observables) -> tuple[Array, Array]:
    """The same over (1 − 1/n) max(Σ‖wᵢ‖/‖v‖, ½): what the pull of pairs can be by their angles."""
    n, length = o.theta.shape[1], float(o.states.length)
    scale = (1 - 1 / n) * np.maximum(o.norms.sum(axis=1) / length, 0.5)
    values, errors = _shrinking(o)
    relative = o.error("norms").sum(axis=1) / o.norms.sum(axis=1)
    return values / scale, (errors + np.abs(values) * relative) / scale


def _beside_profile(flow: Flow, o: Observables) -> Measured:
    """Of tZ at the end to the potential of the profile that the theory gives."""
    law = flow.problem.asymptotics(flow)
    if law.constant is None:
        return Measured(np.nan, np.inf, law.reason)
    beta = np.asarray(law.profile, dtype=float)
    gaps = [np.linalg.norm(beta[i] - beta[j]) for i in range(len(beta)) for j in range(i)]
    limit = float(o.states.length) * float(sum(gaps))
    return last(o.t * o.Z / limit, o.t * o.error("Z") / limit)


def _vanishing() -> Measured:
    sizes = [np.abs(observables(exponential_flow(kind)).Z) for kind in ("parallel", "equal")]
    return Measured(float(max(size.max() for size in sizes)), 0.0)


def predict_potential() -> dict[str, Prediction]:
    """θ = π/t and Z = 2b = ‖v‖ θ in toy case 1 (toy-1-series)."""
    angle = leading_angle()
    return {
        "lim tZ/‖v‖, toy case 1": Prediction(angle, 1e-8, text="π"),
        "lim −dZ/dt over n²‖v‖θ²_max, toy case 1": Prediction(
            angle / (2 * angle) ** 2, 1e-8, text="1/4π"
        ),
        "Z, toy cases 2 and 3": Prediction(0.0, 0.0, text="0"),
        RATE: Prediction(2 / pi, 0.0, "<=", "2/π"),
        PROFILE: Prediction(1.0, 1e-6),
        "exponent of Z": Prediction(-1.0, 1e-3, ">=", "Z = Ω(1/t)"),
    }


def _draw_potential(chosen: list[tuple[int, float, int]], figure: Any) -> None:
    left, right = figure.subplots(1, 2)
    for start in chosen:
        o = seen(*start)
        late = o.t > 1e-2
        left.loglog(o.t[late], o.Z[late], label=start_name(start))
        right.semilogx(o.t[late], _shrinking(o)[0][late])
    left.set(xlabel="t", ylabel="Z")
    right.axhline(1 / (4 * pi), color="k", linestyle=":", label="1/4π, toy case 1")
    right.set(xlabel="t", ylabel="−dZ/dt over n²‖v‖θ²_max", ylim=(0, 0.1))
    left.legend(fontsize=6)
    right.legend()


# --- separation -------------------------------------------------------------------------------


@cache
def close_flow(n: int, seed: int) -> Flow:
    """Students whose tangential parts lie within 1e-6 of each other, at different heights."""
    draw = np.random.default_rng(seed)
    heights, sizes = 0.1 * draw.uniform(0.5, 1.5, (2, n))
    angles = 1e-6 * np.linspace(0, 1, n)
    w0 = np.column_stack([heights, sizes * np.cos(angles), sizes * np.sin(angles)])
    return whole_flow(TeacherStudent([1.0, 0.0, 0.0]), w0, 1e6, rtol=1e-13)


def close_starts(profile: Profile) -> list[tuple[int, int]]:
    return [(n, seed) for n in (2, 3, 4) for seed in profile.seeds]


def measure_separation(profile: Profile) -> Evidence:
    values = {}
    for n, seed in close_starts(profile):
        what = GROWTH if n == 2 else AT_LEAST
        values[f"{what} · n = {n}, seed {seed}"] = _growth(close_flow(n, seed), exact=n == 2)
    runs = tuple(
        f"n = {n}, seed {seed}: h_i, ‖z_i‖ = 0.1·default_rng(seed).uniform(0.5, 1.5, (2, n)), "
        "angles of z_i 1e-6·linspace(0, 1, n), v = e₁, t to 1e6"
        for n, seed in close_starts(profile)
    )
    return Evidence(values, partial(_draw_separation, close_starts(profile)), runs)


def _growth(flow: Flow, exact: bool) -> Measured:
    """Of ln tan(κ_max/2), until κ_max is π/2, over the integral of the derived rate."""
    o = observables(flow)
    beyond = np.flatnonzero(o.kappa_max > pi / 2)
    last_step = int(beyond[0]) if len(beyond) else len(o) - 1
    left, right = float(o.t[last_step - 1]), float(o.t[last_step])
    for _ in range(BISECTIONS if len(beyond) else 0):
        middle = (left + right) / 2
        close = observables(flow, middle).kappa_max[0] <= pi / 2
        left, right = (middle, right) if close else (left, middle)
    end = left if len(beyond) else right
    # Where a z passes near zero, κ turns at once: the parts shrink towards the end.
    sums = [
        sum(_integral(flow, a, b, exact) for a, b in pairwise(end - np.append(parts, 0.0)))
        for parts in (np.geomspace(end, NEAREST * end, count) for count in (100, 150))
    ]
    ends = observables(flow, [0.0, end])
    growth = float(np.diff(np.log(np.tan(ends.kappa_max / 2)))[0])
    errors = float((ends.error("kappa_max") / np.sin(ends.kappa_max)).sum())
    error = (errors + growth / sums[1] * abs(sums[1] - sums[0])) / sums[1]
    note = f"ln tan(κ/2) grows by {growth:.3f} until t = {end:.6g}"
    return Measured(growth / sums[1], error, note)


def _integral(flow: Flow, a: float, b: float, exact: bool) -> float:
    """∫ of what is derived for d ln tan(κ/2)/dt, over one step."""
    o = observables(flow, a + (b - a) * (1 + NODES) / 2)
    return float((b - a) / 2 * WEIGHTS @ derived_rate(o, exact))


def derived_rate(o: Observables, exact: bool) -> Array:
    """Of ln tan(κ_max/2): (π − θᵢⱼ)/2π (‖z_i‖/‖z_j‖ + ‖z_j‖/‖z_i‖), or its least value."""
    function = separation_rate()
    n = o.kappa.shape[1]
    rates = []
    for k in range(len(o)):
        i, j = np.unravel_index(int(np.nanargmax(np.triu(o.kappa[k], 1))), (n, n))
        first, second = (o.z_norms[k, i], o.z_norms[k, j]) if exact else (1.0, 1.0)
        (value,) = function(o.pair_theta[k, i, j], first, second)
        rates.append(float(value))
    return np.array(rates)


@cache
def separation_rate() -> Any:
    """(dK/dt)/sin K of the derivation, lowered."""
    import sympy as sp

    from symbolic.lower import lower
    from symbolic.separation import ANGLE, LENGTH_1, LENGTH_2, THETA_12, rate
    from symbolic.toy_cases import KAPPA, MU

    relu = sp.expand(rate() / sp.sin(ANGLE)).subs({MU: sp.Rational(1, 2), KAPPA: 1})
    return lower([relu], [THETA_12, LENGTH_1, LENGTH_2])


def _draw_separation(chosen: list[tuple[int, int]], figure: Any) -> None:
    left, right = figure.subplots(1, 2)
    for n, seed in chosen:
        o = observables(close_flow(n, seed))
        near = (o.t > 0) & (o.t < 100)
        left.semilogy(o.t[near], o.kappa_max[near], label=f"n = {n}, seed {seed}")
        right.loglog(o.t[1:], o.z_norms[1:].max(axis=1), label=f"n = {n}, seed {seed}")
    left.set(xlabel="t", ylabel="κ_max")
    right.set(xlabel="t", ylabel="largest ‖zᵢ‖")
    left.legend(fontsize=6)


def measure_collapse(profile: Profile) -> Evidence:
    flows = {start_name(start): random_flow(*start) for start in starts(profile)}
    flows |= {
        f"close, n = {n}, seed {seed}": close_flow(n, seed) for n, seed in close_starts(profile)
    }
    values: dict[str, Measured] = {}
    for name, flow in flows.items():
        first = observables(flow, [0.0])
        looks = collapsing(min(float(first.kappa_max[0]), pi / 2))
        values |= infima(flow, {f"{what} · {name}": look for what, look in looks.items()})
    runs = tuple(map(random_run, starts(profile)))
    close = "close: as in xu-du/separation"
    return Evidence(values, partial(_draw_collapse, starts(profile)), (*runs, close))


def collapsing(floor: float) -> dict[str, Look]:
    """What must not fall too low, `floor` = min(κ_max(0), π/2)."""

    def angle(o: Observables) -> tuple[Array, Array]:
        return o.kappa_max / floor, o.error("kappa_max") / floor

    def potential(o: Observables) -> tuple[Array, Array]:
        widest = o.z_norms.max(axis=1)
        ratio = o.Z / (widest * np.sin(floor / 2))
        return ratio, ratio * (o.error("Z") / o.Z + o.error("z_norms").max(axis=1) / widest)

    def late(o: Observables) -> tuple[Array, Array]:
        return (1 + o.t) * o.Z / o.states.length, (1 + o.t) * o.error("Z") / o.states.length

    return {KAPPA_STAYS: angle, Z_STAYS: potential, "least (1 + t) Z/‖v‖": late}


def _draw_collapse(chosen: list[tuple[int, float, int]], figure: Any) -> None:
    left, right = figure.subplots(1, 2)
    for start in chosen:
        o = seen(*start)
        late = o.t > 1e-2
        left.semilogx(o.t[late], o.kappa_max[late], label=start_name(start))
        right.semilogx(o.t[late], (o.Z / o.z_norms.max(axis=1))[late])
    left.axhline(pi / 2, color="k", linestyle=":")
    left.set(xlabel="t", ylabel="κ_max", ylim=(0, 3.3))
    right.set(xlabel="t", ylabel="Z / maxᵢ‖zᵢ‖", ylim=(0, None))
    left.legend(fontsize=6)


# --- the constant of Theorem 12 -----------------------------------------------------------------

KAPPAS = {
    "quick": (1e-2, 1e-3, 1e-4, 1e-5, 1e-6),
    "full": tuple(10.0 ** -np.arange(1, 8.5, 0.5)),
}
DELAY = "exponent of the delay t₀ in κ_max(0)"
VANISHING = "exponent of inf t³L in κ_max(0)"
CUBE = "exponent in κ_max(0) of L at twice the time where t³L is least"
GENERIC = "exponent of inf t³L in κ_max(0), students of different lengths"


@cache
def narrow_flow(kappa: float, ratio: float) -> Flow:
    """Two students whose z have the angle κ; the second is `ratio` times as long."""
    tilted = [[0.1, 0.1, 0.05 * kappa], [0.1, 0.1, -0.05 * kappa]]
    w0 = np.array(tilted) * [[1.0], [ratio]]
    return whole_flow(TeacherStudent([1.0, 0.0, 0.0]), w0, 1e4 / kappa)


def lowest(flow: Flow) -> tuple[float, float, float]:
    """inf over t ≥ 1 of t³L, its relative error, and L at twice that time."""
    late = flow.t >= 1
    values = flow.t[late] ** 3 * flow.loss[late]
    at = int(np.argmin(values))
    plateau = flow.loss_at(min(2 * flow.t[late][at], flow.t[-1]))
    return float(values[at]), float(flow.loss_error[late][at]), float(plateau)


def delay(flow: Flow, kappa: float) -> tuple[float, float]:
    """t₀ of L = C/(t + t₀)³ well after it, and its relative error."""
    t = 100 / kappa
    constant = known(mirror_law(1.0).constant)
    value = (constant / flow.loss_at(t)) ** (1 / 3) - t
    error = float(flow._error_at(np.array([t]))[0])
    return value, error * t / abs(value)


def measure_constant(profile: Profile) -> Evidence:
    kappas = np.array(KAPPAS[profile.name])
    flows = [narrow_flow(float(kappa), 1.0) for kappa in kappas]
    uneven = [narrow_flow(float(kappa), 1.2) for kappa in kappas]
    small = kappas <= 1e-3
    delays = np.array([delay(f, k) for f, k in zip(flows, kappas, strict=True)])
    lows, others = (np.array([lowest(f) for f in some]) for some in (flows, uneven))
    values = {
        VANISHING: slope(kappas, lows),
        CUBE: slope(kappas, lows[:, [2, 1]]),
        GENERIC: slope(kappas[small], others[small]),
        DELAY: slope(kappas[small], delays[small]),
    }
    runs = (
        "w₁, w₂ = (0.1, 0.1, ±κ/20), v = e₁, t to 10⁴/κ, κ = "
        + ", ".join(f"{k:g}" for k in kappas),
        "the same with w₂ longer by 1.2",
    )
    return Evidence(values, partial(_draw_constant, kappas, lows, others, delays), runs)


def _draw_constant(kappas: Array, lows: Array, others: Array, delays: Array, figure: Any) -> None:
    left, right = figure.subplots(1, 2)
    left.loglog(kappas, lows[:, 0], "o-", label="equal lengths")
    left.loglog(kappas, others[:, 0], "s-", label="lengths 1 : 1.2")
    top = lows[0, 0]
    left.loglog(kappas, top * (kappas / kappas[0]) ** 3, "k:", label="κ³")
    left.loglog(kappas, top * (kappas / kappas[0]) ** 6, "k--", label="κ⁶ (the paper)")
    left.set(xlabel="κ_max(0)", ylabel="inf t³L over t ≥ 1", ylim=(lows[:, 0].min() / 1e3, 1))
    right.loglog(kappas, delays[:, 0], "o-", label="t₀")
    right.loglog(kappas, delays[-1, 0] * kappas[-1] / kappas, "k:", label="1/κ")
    right.set(xlabel="κ_max(0)", ylabel="delay t₀")
    left.legend()
    right.legend()


# --- claims -----------------------------------------------------------------------------------

CLAIMS = (
    Claim(
        "xu-du/kappa",
        "The constant of the lower bound depends on κ_max(0): the paper's vanishes like κ⁶.  Among "
        "students of equal length, where κ = 0 is toy case 3, L(t) ~ C/(t + t₀)³ sets in after a "
        "delay t₀ ∝ 1/κ, so that inf t³L vanishes like κ³, up to ln³ κ: the bound holds and is not "
        "sharp.  With different lengths it does not vanish at all",
        f"{PAPER}, Theorem 12 (L^(−1/3) ≤ O(κ⁻²_max(0)) t + γ); t₀ ∝ 1/κ is flowkit's own: "
        "what tells equal students apart grows linearly",
        {
            VANISHING: Prediction(6.0, 0.0, "<=", "κ⁶"),
            CUBE: Prediction(3.0, 5e-3, text="κ³"),
            GENERIC: Prediction(0.0, 0.01, text="does not vanish"),
            DELAY: Prediction(-1.0, 1e-3, text="1/κ"),
        },
        measure_constant,
        LOWER,
        r"L(t)^{-1/3} \le O\left(\kappa_{\max}(0)^{-2}\right) t + \gamma, \qquad "
        r"t_0 \propto \kappa_{\max}(0)^{-1}",
    ),
    Claim(
        "xu-du/potential",
        "As long as no student dies, Z = Σ_{i<j}‖zᵢ − zⱼ‖ falls no faster than dZ/dt ≥ "
        "−c n²‖v‖θ²_max, c = (2/π)(1 − 1/n) max(Σ‖wᵢ‖/‖v‖, ½); from small W(0) Z = Ω(1/t), and "
        "tZ → Σ‖βᵢ − βⱼ‖ of the profile.  In toy case 1 the ratio tends to 1/4π, in toy cases 2, 3 "
        "Z = 0",
        f"{PAPER}, Lemma 31; the constants are flowkit's own (toy-1-series, self-similar; c bounds "
        "the pull of pairs by their angles, each at most 2θ_max)",
        Derived(predict_potential),
        measure_potential,
        POTENTIAL,
        r"Z = \sum_{i<j} \|z_i - z_j\|, \qquad "
        r"\frac{dZ}{dt} \ge -O\left(n^2 \|v\| \theta_{\max}^2\right), \qquad Z = \Omega(1/t)",
    ),
    Claim(
        "xu-du/separation",
        "Students whose tangential parts are too close in direction are driven apart: for n = 2 "
        "dκ/dt = (π − θ₁₂)/2π (‖z₁‖/‖z₂‖ + ‖z₂‖/‖z₁‖) sin κ exactly; for more, κ_max ≤ π/2 grows "
        "at least at the rate (π − θᵢⱼ)/π sin κ_max",
        f"{PAPER}, Lemma 15; the rates are flowkit's own (separation)",
        {
            GROWTH: Prediction(1.0, 1e-6, text="exact"),
            AT_LEAST: Prediction(1.0, 0.0, ">="),
        },
        measure_separation,
        SEPARATION,
        r"\frac{d\kappa}{dt} = \frac{\pi - \theta_{12}}{2\pi} "
        r"\left(\frac{\|z_1\|}{\|z_2\|} + \frac{\|z_2\|}{\|z_1\|}\right) \sin\kappa",
    ),
    Claim(
        "xu-du/no-collapse",
        "From a non-degenerate W(0), as long as no student dies, some zᵢ stays away from zero, "
        "κ_max(t) ≥ min(κ_max(0), π/2), Z ≥ maxᵢ‖zᵢ‖ sin(½ min(κ_max(0), π/2)) > 0 at all times",
        f"{PAPER}, Lemmas 27, 28 (read as: κ_max keeps a lower bound), 29 and Corollary 30; the "
        "constants are flowkit's own (separation)",
        {
            KAPPA_STAYS: Prediction(1.0, 1e-12, ">="),
            Z_STAYS: Prediction(1.0, 1e-12, ">="),
            "least (1 + t) Z/‖v‖": Prediction(0.0, 0.0, ">"),
        },
        measure_collapse,
        SEPARATION,
        r"Z(t) \ge \Omega\left(\kappa_{\max}(0) \, \max_i \|z_i(t)\|\right) > 0",
    ),
)
