"""Xu & Du 2023, Theorems 1 and 9 for gradient descent itself, and what a finite step changes."""

from __future__ import annotations

from functools import cache, partial
from itertools import product
from math import log
from typing import Any

import numpy as np

from flowkit.descents.descent import Descent
from flowkit.descents.run import descend
from flowkit.flows.run import integrate
from flowkit.observation.collect import observables
from flowkit.problems.teacher_student import TeacherStudent
from flowkit.verification.claim import Claim, Derived, Evidence, Measured, Prediction, Profile
from flowkit.verification.groups import UPPER
from flowkit.verification.papers.measures import exponent, known, last, slope, whole_flow
from flowkit.verification.papers.xu_du import (
    PAPER,
    mirror_images,
    mirror_law,
    random_students,
    residual_rate,
    start_name,
)

Array = np.ndarray
FOLLOWS = "coefficient of η ln T/T in L over that of the flow"
EXPONENT = "exponent of L in T = ηk"
LIMIT = "lim T³L/‖v‖², toy case 1"
LOGARITHM = "coefficient of η ln T/T in 6T³L/π², toy case 1"
DIFFERENCE = "exponent of the difference to the flow in η"
FACTOR = "factor of |H| a step over |1 − ηn/2|"
STAYS = "students at the minimum in the end less n, η = 0.99·4/n"
LEAVES = "students at the minimum in the end less n, η = 1.01·4/n"
STEP, LARGE = 0.4, 0.5
STEPS = {"quick": 10**6, "full": 10**7}
SIGMA = 0.01
FINE = {"quick": (1e-1, 1e-2, 1e-3, 1e-4), "full": (3e-1, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5)}
TIMES = (1.0, 10.0)
SHARES = (0.4, 0.99, 1.01)  # of the critical step 4/n
SIZES = (2, 3, 4, 8)
SEEDS = {"quick": (0, 1, 2), "full": tuple(range(10))}
FADED = 1e-6  # of ‖v‖


def whole(problem: TeacherStudent, w0: Any, step: float, steps: int) -> Descent:
    """The descent to its last iteration; a run that ends earlier is no evidence."""
    descent = descend(problem, w0, step, steps, progress=False)
    if descent.status == "interrupted":
        raise KeyboardInterrupt
    if descent.status != "finished":
        raise ArithmeticError(f"the descent is {descent.status}: {descent.message}")
    return descent


# --- the rate -----------------------------------------------------------------------------------


@cache
def random_descent(n: int, seed: int, steps: int) -> Descent:
    return whole(*random_students(n, SIGMA, seed), STEP, steps)


@cache
def mirror_descent(steps: int) -> Descent:
    """Toy case 1, where the flow has no logarithm."""
    return whole(*mirror_images(1.0), LARGE, steps)


def measure_descent(profile: Profile) -> Evidence:
    steps = STEPS[profile.name]
    starts = list(product((2, 3, 4), profile.seeds))
    values = {}
    for n, seed in starts:
        descent, name = random_descent(n, seed, steps), start_name((n, SIGMA, seed))
        if n == 2:  # for more, so many iterations rarely tell
            values[f"{EXPONENT} · {name}"] = exponent(descent)
        values[f"{FOLLOWS} · {name}"] = _beside_flow(descent)
    toy = mirror_descent(steps)
    cubes = toy.t**3 * toy.loss
    values[LIMIT] = last(cubes, toy.loss_error * cubes)
    values[LOGARITHM] = _logarithm(toy)
    runs = (
        *(
            f"{start_name((n, SIGMA, seed))}: W(0) = σ·default_rng(seed).standard_normal((n, n + "
            f"2)), v = e₁, η = {STEP}, {steps} iterations"
            for n, seed in starts
        ),
        f"toy case 1: w = (0.3, ±0.2), v = e₁, η = {LARGE}, {steps} iterations",
    )
    return Evidence(values, partial(_draw_rates, starts, steps), runs)


def _beside_flow(descent: Descent) -> Measured:
    """(L/L of the flow − 1) T/(η ln(T/T₀)), the flow from the state at T₀; two of them tell."""
    found = []
    for share in (2, 5):
        k = int(np.searchsorted(descent.iteration, descent.iteration[-1] // share))
        time = float(descent.t[-1] - descent.t[k])
        flow = whole_flow(descent.problem, descent.w[k], time)
        gap = descent.loss[-1] / float(flow.loss_at(time)) - 1
        scale = descent.t[-1] / descent.step_size / log(descent.t[-1] / descent.t[k])
        noise = float(descent.loss_error[-1] + flow.loss_error[-1]) * scale
        found.append((gap * scale, noise))
    (near, noise), (far, _) = found
    # Both are off by terms like T₀⁻¹, or slower powers where the profile is approached slowly.
    return Measured(near, 3 * abs(far - near) + noise)


def _logarithm(toy: Descent) -> Measured:
    """Of T (6T³L/π² − 1)/η in ln T, over the last decades: constants drop out."""
    t = toy.t
    constant = known(mirror_law(1.0).constant)
    excess = t * (t**3 * toy.loss / constant - 1) / toy.step_size
    places = [int(np.searchsorted(toy.iteration, toy.iteration[-1] // 10**k)) for k in (2, 1, 0)]
    slopes = np.diff(excess[places]) / np.diff(np.log(t[places]))
    noise = (t * toy.loss_error)[places].max() / toy.step_size / log(10)
    return Measured(float(slopes[-1]), float(abs(slopes[-1] - slopes[-2]) + noise))


def predict_descent() -> dict[str, Prediction]:
    """The limit of the flow, and the logarithm of toy-1-descent."""
    from symbolic.descent import ETA, profile_descent, toy_1_descent
    from symbolic.toy_cases import KAPPA

    _, logarithm, limit = (form.subs(KAPPA, 1) for form in toy_1_descent().result)
    share = float(logarithm / ETA / limit)
    return {
        EXPONENT: Prediction(-3.0, 0.05, text="T⁻³"),
        FOLLOWS: Prediction(float(profile_descent().result[1] / ETA), 0.05, text="−3"),
        LIMIT: Prediction(float(limit), 1e-3, text="π²/6"),
        LOGARITHM: Prediction(share, 0.15, text="−3"),
    }


def _draw_rates(starts: list[tuple[int, int]], steps: int, figure: Any) -> None:
    left, right = figure.subplots(1, 2)
    for n, seed in starts:
        descent = random_descent(n, seed, steps)
        late = descent.t > 1
        left.loglog(descent.t[late], descent.loss[late], label=start_name((n, SIGMA, seed)))
    toy = mirror_descent(steps)
    t = toy.t[toy.t > 10]
    left.loglog(t, 30 * t**-3, "k:", label="slope −3")
    left.set(xlabel="T = ηk", ylabel="L")
    left.legend(fontsize=6)
    constant = known(mirror_law(1.0).constant)
    gap = np.abs(toy.t**3 * toy.loss / constant - 1)[toy.t > 10]
    right.loglog(t, gap, label="|6T³L/π² − 1|, toy case 1")
    right.loglog(t, 3 * toy.step_size * np.log(t) / t, "k:", label="3η ln T/T")
    right.set(xlabel="T = ηk")
    right.legend()


# --- beside the flow ----------------------------------------------------------------------------


def measure_difference(profile: Profile) -> Evidence:
    steps = np.array(FINE[profile.name])
    cases = _cases(profile)
    gaps = {name: _gaps(case, steps) for name, case in cases.items()}
    values = {
        f"{DIFFERENCE} · {name}, t = {t:g}": slope(steps, gaps[name][:, k])
        for name in cases
        for k, t in enumerate(TIMES)
    }
    listed = ", ".join(f"{x:g}" for x in steps)
    runs = (
        *(f"{name}: η = {listed}; flow and descent at t = 1, 10, v = e₁" for name in cases),
        "toy case 1: w = (0.3, ±0.2); others: W(0) = σ·default_rng(seed).standard_normal((3, 5))",
    )
    return Evidence(values, partial(_draw_gaps, steps, gaps), runs)


def _cases(profile: Profile) -> dict[str, tuple[TeacherStudent, Array]]:
    cases = {"toy case 1": mirror_images(1.0)}
    for seed in profile.seeds:
        cases[start_name((3, 0.1, seed))] = random_students(3, 0.1, seed)
    return cases


def _gaps(case: tuple[TeacherStudent, Array], steps: Array) -> Array:
    """Relative difference of the losses at the times, and its relative error, (steps, 2, 2)."""
    problem, w0 = case
    flow = integrate(problem, w0, TIMES[-1], t_eval=TIMES, rtol=1e-13, progress=False)
    found = []
    for step in steps:
        places = [round(t / step) for t in TIMES]
        # A step need not divide the times: the flow is taken where the descent is.
        here = descend(problem, w0, step, places[-1], iterations=places, progress=False)
        if here.status == "interrupted":
            raise KeyboardInterrupt
        there = flow.loss_at(np.minimum(here.t, flow.t[-1]))
        gap = here.loss / there - 1
        error = here.loss_error + np.interp(here.t, flow.t, flow.loss_error)
        found.append(np.column_stack([gap, error / np.abs(gap)]))
    return np.array(found)


def _draw_gaps(steps: Array, gaps: dict[str, Array], figure: Any) -> None:
    axes = figure.subplots()
    for name, values in gaps.items():
        for k, t in enumerate(TIMES):
            axes.loglog(steps, np.abs(values[:, k, 0]), "o-", label=f"{name}, t = {t:g}")
    axes.loglog(steps, steps, "k:", label="η")
    axes.set(xlabel="η", ylabel="|L of descent / L of flow − 1|")
    axes.legend()


# --- where it ends ------------------------------------------------------------------------------


def critical_step(n: int) -> float:
    """2 over the largest eigenvalue at the minimum, 4/n."""
    return 2 / residual_rate(n)


@cache
def critical_descent(n: int, share: float, seed: int) -> Descent:
    """With a share of the critical step, from near the minimum; it may diverge."""
    problem, near = random_students(n, 1e-3, seed)
    w0 = problem.teacher / n + near
    descent = descend(problem, w0, share * critical_step(n), 20_000, progress=False)
    if descent.status == "interrupted":
        raise KeyboardInterrupt
    return descent


def measure_threshold(profile: Profile) -> Evidence:
    values = {
        f"{FACTOR} · n = {n}, η = {share:g}·4/n": _factor(n, share)
        for n, share in product(SIZES, SHARES)
    }
    for n, seed in product(SIZES, SEEDS[profile.name]):
        which = f"n = {n}, seed {seed}"
        values[f"{STAYS} · {which}"] = _kept(critical_descent(n, SHARES[1], seed), n)
        values[f"{LEAVES} · {which}"] = _kept(critical_descent(n, SHARES[2], seed), n)
    runs = (
        "toy case 2: h_i = i/(n² + n), v = e₁, η as listed, 10 iterations",
        f"W(0) = v/n + 1e-3·default_rng(seed).standard_normal((n, n + 2)), η = {SHARES[1]:g}·4/n "
        f"and {SHARES[2]:g}·4/n, 20000 iterations; seeds {SEEDS[profile.name]}",
    )
    return Evidence(values, _draw_threshold, runs)


def _factor(n: int, share: float) -> Measured:
    """Of students along the teacher (toy case 2): the tenth root of that of ten steps."""
    step = share * critical_step(n)
    heights = np.arange(1, n + 1) / (n * (n + 1))  # they sum to ½
    w0 = np.column_stack([heights, np.zeros(n)])
    o = observables(whole(TeacherStudent([1.0, 0.0]), w0, step, 10))
    ratio = float(o.H[-1] / o.H[0])
    relative = float(sum(o.error("H")[k] / abs(o.H[k]) for k in (0, -1)))
    factor = abs(ratio) ** 0.1
    return Measured(factor / abs(1 - step * residual_rate(n)), relative / 10 + 1e-15)


def _kept(descent: Descent, n: int) -> Measured:
    """Students that end at the minimum, less n; those thrown behind the teacher only fade."""
    if descent.status != "finished":
        return Measured(np.nan, np.inf, descent.status)
    o = observables(descent)
    kept = int(((o.theta[-1] < np.pi / 2) & (o.norms[-1] > FADED)).sum())
    return Measured(float(kept - n), 0.0, f"loss {descent.loss[-1]:.1e} in the end")


def _draw_threshold(figure: Any) -> None:
    left, right = figure.subplots(1, 2)
    for axes, n in ((left, 2), (right, 4)):
        for share in SHARES:
            descent = critical_descent(n, share, 0)
            seen = descent.loss > 0
            axes.loglog(descent.iteration[seen] + 1, descent.loss[seen], label=f"{share:g}·4/n")
        axes.set(xlabel="iteration", ylabel=f"L, n = {n}", ylim=(1e-35, None))
        axes.legend(title="η")


CLAIMS = (
    Claim(
        "xu-du/descent",
        "Gradient descent itself converges globally at the rate L(T) = O(T⁻³), T = ηk, with the "
        "constant of the flow from the same late state, and a correction 1 − 3η ln T/T beside it.  "
        "(More than two students approach the rate too slowly for 10⁷ iterations to tell: beside "
        "the flow from its own state, descent shows that correction and no other.)",
        f"{PAPER}, Theorems 1 and 9; the correction is flowkit's own (descent, toy-1-descent)",
        Derived(predict_descent),
        measure_descent,
        UPPER,
        r"L(w(T)) = O(T^{-3}), \qquad "
        r"\frac{L(T)}{L_{\mathrm{flow}}(T)} = 1 - \frac{3 \eta \ln T}{T} + \ldots",
        cost={"quick": 6, "full": 180},
    ),
    Claim(
        "xu-du/descent-flow",
        "For η → 0 gradient descent at t = ηk differs from the flow by a multiple of η",
        "left open by the paper; flowkit's own",
        {DIFFERENCE: Prediction(1.0, 0.02)},
        measure_difference,
        UPPER,
        r"L_{\mathrm{GD}}(\eta k) - L_{\mathrm{flow}}(t) = c(t) \, \eta + O(\eta^2)",
        cost={"quick": 3, "full": 20},
    ),
    Claim(
        "xu-du/descent-threshold",
        "The minimum that all n students share is stable for η < 4/n = 2/λ_max only: a step "
        "multiplies H by 1 − ηn/2 (exactly in toy case 2).  Slightly beyond, H oscillates and "
        "grows until it throws a student behind the teacher, and descent goes on with fewer; at "
        "1.5 times 4/n it diverges",
        "flowkit's own (fast-rates)",
        {
            FACTOR: Prediction(1.0, 1e-10, text="exactly"),
            STAYS: Prediction(0.0, 0.0, text="all stay"),
            LEAVES: Prediction(-1.0, 0.0, "<=", "not all"),
        },
        measure_threshold,
        UPPER,
        r"H_{k+1} = \left(1 - \frac{\eta n}{2}\right) H_k + O(\theta^2), \qquad "
        r"\eta < \frac4n",
        cost=3,
    ),
)
