"""W. Xu & S. S. Du, "Over-parameterization exponentially slows down gradient descent for learning
a single neuron", arXiv 2302.10034: rates of the gradient flow and the toy cases of its case study.
"""

from __future__ import annotations

from functools import cache, partial
from math import pi
from typing import Any

import numpy as np

from flowkit.flows.flow import Flow
from flowkit.flows.run import integrate
from flowkit.problems.teacher_student import TeacherStudent
from flowkit.rates import fit_exponential, fit_power_law
from flowkit.verification.claim import Claim, Evidence, Measured, Prediction, Profile

Array = np.ndarray
PAPER = "Xu & Du 2023"
EQUAL = (0.2, 0.3, -0.1)
PARALLEL = (0.125, 0.25, 0.0625)
EXPONENT = "exponent of L"
RATE = "rate of L"


def half_width(value: float, interval: tuple[float, float]) -> float:
    """Largest distance from the value to an end of its interval."""
    return max(interval[1] - value, value - interval[0])


def limit(t: Array, y: Array, relative_error: Array) -> Measured:
    """y at the last time; the error is the change over the last decade and that of the data."""
    decade = float(np.interp(np.log(t[-1] / 10), np.log(t[1:]), y[1:]))
    error = abs(y[-1] - decade) + abs(y[-1]) * relative_error[-1]
    return Measured(float(y[-1]), float(error))


def exponent(flow: Flow) -> Measured:
    """Fitted exponent of the loss."""
    fit = fit_power_law(flow)
    note = "" if fit.status == "converged" else fit.message
    return Measured(fit.exponent, half_width(fit.exponent, fit.interval), note)


def rate(flow: Flow) -> Measured:
    """Fitted exponential rate of the loss."""
    fit = fit_exponential(flow.t, flow.loss, relative_error=flow.loss_error)
    note = "" if fit.status == "converged" else fit.message
    return Measured(fit.rate, half_width(fit.rate, fit.interval), note)


def worst(flow: Flow, deviation: Array) -> Measured:
    """Largest deviation over the run, with the error of the loss at that point."""
    at = int(np.argmax(deviation))
    return Measured(float(deviation[at]), float(flow.loss_error[at]))


def whole_flow(problem: TeacherStudent, w0: Any, t_max: float, t_eval: Any = None) -> Flow:
    """The flow to t_max; a run that ends earlier is no evidence."""
    flow = integrate(problem, w0, t_max, t_eval=t_eval, progress=False)
    if flow.status == "interrupted":
        raise KeyboardInterrupt
    if flow.status != "finished":
        raise ArithmeticError(f"the run is {flow.status}: {flow.message}")
    return flow


# --- toy case 1 -----------------------------------------------------------------------------


@cache
def symmetric_flow(scale: float) -> Flow:
    problem = TeacherStudent([scale, 0.0])
    w0 = scale * np.array([[0.3, 0.2], [0.3, -0.2]])
    return whole_flow(problem, w0, 1e12)


def measure_toy_1(profile: Profile, scale: float = 1.0) -> Evidence:
    flow = symmetric_flow(scale)
    t, w = flow.t, flow.w
    half_angle = np.arctan2(np.abs(w[:, 0, 1]), w[:, 0, 0])
    values = {
        EXPONENT: exponent(flow),
        "lim t³L/‖v‖²": limit(t, t**3 * flow.loss / scale**2, flow.loss_error),
        "lim t θ₁₂/2": limit(t, t * half_angle, flow.loss_error),
        "lim t b/‖v‖": limit(t, t * np.abs(w[:, 0, 1]) / scale, flow.loss_error),
    }
    return Evidence(values, partial(draw_power_laws, {"toy case 1": flow}, pi**2 / 6 * scale**2))


# --- exponential cases ----------------------------------------------------------------------


@cache
def exponential_flow(kind: str) -> Flow:
    w0: Array = {
        "single": np.array([EQUAL]),
        "equal": np.array([EQUAL] * 3),
        "parallel": np.outer(PARALLEL, [1.0, 0.0, 0.0]),
    }[kind]
    n = len(w0)
    times = np.linspace(0, 600 / n, 121)
    problem = TeacherStudent([1.0, 0.0, 0.0])
    return whole_flow(problem, w0, times[-1], times)


def exact_single_neuron(w0: Array, t: Array) -> tuple[Array, Array]:
    """Angle to v and norm of one neuron learning a unit teacher e₁, in closed form.

    cot θ = (D e^{t/2} − C)/π and ‖w‖ = (π − θ) e^{−t/2}/(D sin θ), D = (π − θ₀)/(‖w₀‖ sin θ₀),
    C = D − π cot θ₀.
    """
    norm = np.linalg.norm(w0)
    start = np.arctan2(np.linalg.norm(w0[1:]), w0[0])
    d = (pi - start) / (norm * np.sin(start))
    c = d - pi / np.tan(start)
    theta = np.arctan2(pi, d * np.exp(t / 2) - c)
    return theta, (pi - theta) * np.exp(-t / 2) / (d * np.sin(theta))


def exact_gap(flow: Flow, n: int) -> Measured:
    """Largest distance of Σw_i from the exact solution at time n t, relative to that to v."""
    theta, norm = exact_single_neuron(np.array(EQUAL) * n, n * flow.t)
    total = flow.w.sum(axis=1)
    side = np.array(EQUAL)[1:] / np.linalg.norm(EQUAL[1:])
    exact = np.column_stack([norm * np.cos(theta), np.outer(norm * np.sin(theta), side)])
    size = np.linalg.norm(exact - [1.0, 0.0, 0.0], axis=1)
    seen = size > 1e-6  # below, the doubles of flow.w no longer resolve the distance to v
    gap = np.linalg.norm(total - exact, axis=1)[seen] / size[seen]
    # L ~ distance², so the error of the loss bounds that of the distance.
    return Measured(float(gap.max()), float(flow.loss_error.max()))


def measure_single(profile: Profile) -> Evidence:
    flow = exponential_flow("single")
    values = {RATE: rate(flow), "deviation from the exact solution": exact_gap(flow, 1)}
    return Evidence(values, partial(draw_exponentials, {"n = 1": (flow, 1.0)}))


def measure_toy_2(profile: Profile) -> Evidence:
    flow = exponential_flow("parallel")
    n, h = len(PARALLEL), 1 - sum(PARALLEL)
    seen = flow.loss > 1e-290
    gap = np.abs(flow.loss[seen] / (0.25 * h**2 * np.exp(-n * flow.t[seen])) - 1)
    values = {RATE: rate(flow), "deviation from ¼‖v‖²H₀²e⁻ⁿᵗ": worst(flow, gap)}
    return Evidence(values, partial(draw_exponentials, {"toy case 2, n = 3": (flow, 3.0)}))


def measure_toy_3(profile: Profile) -> Evidence:
    flow = exponential_flow("equal")
    spread = float(np.abs(flow.w - flow.w[:, :1]).max())
    values = {
        RATE: rate(flow),
        "spread of the neurons": Measured(spread, 0.0),
        "deviation from one neuron at time n t": exact_gap(flow, 3),
    }
    return Evidence(values, partial(draw_exponentials, {"toy case 3, n = 3": (flow, 3.0)}))


# --- random initialisations -------------------------------------------------------------------


@cache
def random_flow(n: int, sigma: float, seed: int) -> Flow:
    d = n + 2
    w0 = sigma * np.random.default_rng(seed).standard_normal((n, d))
    return whole_flow(TeacherStudent(np.eye(d)[0]), w0, 1e40)


def measure_random(profile: Profile, n: int) -> Evidence:
    """Fitted exponents of every initialisation of the profile."""
    runs = {
        f"σ = {sigma:g}, seed {seed}": random_flow(n, sigma, seed)
        for sigma in profile.sigmas
        for seed in profile.seeds
    }
    values = {f"{EXPONENT} · {name}": exponent(flow) for name, flow in runs.items()}
    return Evidence(values, partial(draw_power_laws, runs, None))


# --- figures ----------------------------------------------------------------------------------


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


# --- claims -----------------------------------------------------------------------------------


def _toy_1(identifier: str, scale: float, where: str) -> Claim:
    return Claim(
        identifier,
        f"n = 2, w₁ and w₂ mirror images about v{where}: θ ~ π/t, b ~ π‖v‖/2t and t³L → π²‖v‖²/6",
        f"{PAPER}, case study, toy case 1; the constant is flowkit's own",
        {
            EXPONENT: Prediction(-3.0, 1e-6, text="L ~ t⁻³"),
            "lim t³L/‖v‖²": Prediction(pi**2 / 6, 1e-8, text="π²/6"),
            "lim t θ₁₂/2": Prediction(pi, 1e-8, text="π"),
            "lim t b/‖v‖": Prediction(pi / 2, 1e-8, text="π/2"),
        },
        partial(measure_toy_1, scale=scale),
    )


def _theorems(n: int) -> tuple[Claim, Claim]:
    at = f"n = {n}, random W(0) ~ σN(0, I), d = {n + 2}"
    return (
        Claim(
            f"xu-du/upper-bound-n{n}",
            f"{at}: the loss falls at least as fast as t⁻³, L(t) = O(t⁻³)",
            f"{PAPER}, Theorems 1 and 9, for the gradient flow",
            {EXPONENT: Prediction(-3.0, 1e-3, "<=", "O(t⁻³)")},
            partial(measure_random, n=n),
        ),
        Claim(
            f"xu-du/lower-bound-n{n}",
            f"{at}: the loss falls no faster than t⁻³, L(t) = Ω(t⁻³)",
            f"{PAPER}, Theorems 2 and 12",
            {EXPONENT: Prediction(-3.0, 1e-3, ">=", "Ω(t⁻³)")},
            partial(measure_random, n=n),
        ),
    )


CLAIMS = (
    Claim(
        "xu-du/single-neuron",
        "n = 1: L(t) = exp(−Ω(t)); in fact L ~ exp(−t), and w(t) is known in closed form",
        f"{PAPER}, introduction; the exact solution is flowkit's own",
        {
            RATE: Prediction(1.0, 1e-6, text="L ~ e⁻ᵗ"),
            "deviation from the exact solution": Prediction(0.0, 1e-7, text="none"),
        },
        measure_single,
    ),
    _toy_1("xu-du/toy-1", 1.0, ""),
    _toy_1("xu-du/toy-1-scaled", 2.5, ", ‖v‖ = 2.5"),
    Claim(
        "xu-du/toy-2",
        "All students parallel to the teacher: L = ¼‖v‖²H², dH/dt = −(n/2)H, so that "
        "L = const · exp(−n t) exactly",
        f"{PAPER}, case study, toy case 2",
        {
            RATE: Prediction(3.0, 1e-6, text="e⁻ⁿᵗ"),
            "deviation from ¼‖v‖²H₀²e⁻ⁿᵗ": Prediction(0.0, 1e-8, text="none"),
        },
        measure_toy_2,
    ),
    Claim(
        "xu-du/toy-3",
        "All students equal: they stay equal, Σw_i follows one neuron at n times the speed, "
        "L ~ exp(−n t)",
        f"{PAPER}, case study, toy case 3",
        {
            RATE: Prediction(3.0, 1e-6, text="e⁻ⁿᵗ"),
            "spread of the neurons": Prediction(0.0, 0.0, text="none"),
            "deviation from one neuron at time n t": Prediction(0.0, 1e-7, text="none"),
        },
        measure_toy_3,
    ),
    *(claim for n in (2, 3, 4) for claim in _theorems(n)),
)
