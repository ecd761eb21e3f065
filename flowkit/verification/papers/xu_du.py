"""W. Xu & S. S. Du, "Over-parameterization exponentially slows down gradient descent for learning
a single neuron", arXiv 2302.10034: rates of the gradient flow and the toy cases of its case study.

Exponents, rates and constants that are predicted come from `Problem.asymptotics` and the
derivations of `symbolic`; they are derived when a claim is checked.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache, partial
from itertools import product
from math import inf, nan
from typing import Any

import numpy as np

from flowkit.asymptotics import derived
from flowkit.asymptotics.result import Asymptotics
from flowkit.flows.flow import Flow
from flowkit.problems.teacher_student import TeacherStudent
from flowkit.verification.claim import Claim, Derived, Evidence, Measured, Prediction, Profile
from flowkit.verification.groups import LOWER, SINGLE, TOYS, UPPER
from flowkit.verification.papers.figures import draw_exponentials, draw_power_laws
from flowkit.verification.papers.measures import (
    cube,
    exponent,
    known,
    limit,
    rate,
    whole_flow,
    worst,
)

Array = np.ndarray
PAPER = "Xu & Du 2023"
EQUAL = (0.2, 0.3, -0.1)
PARALLEL = (0.125, 0.25, 0.0625)
EXPONENT = "exponent of L"
RATE = "rate of L"
CONSTANT = "lim eⁿᵗL"
RATIO = "t³L over its predicted limit"


# --- toy case 1 -----------------------------------------------------------------------------


def mirror_images(scale: float) -> tuple[TeacherStudent, Array]:
    """Problem and initial weights."""
    return TeacherStudent([scale, 0.0]), scale * np.array([[0.3, 0.2], [0.3, -0.2]])


@cache
def symmetric_flow(scale: float) -> Flow:
    return whole_flow(*mirror_images(scale), 1e12)


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
    level = mirror_law(scale).constant
    run = f"w = ‖v‖(0.3, ±0.2), v = ‖v‖e₁, ‖v‖ = {scale:g}, t to 1e12"
    return Evidence(values, partial(draw_power_laws, {"toy case 1": flow}, level), (run,))


@cache
def mirror_law(scale: float) -> Asymptotics:
    """What is predicted from the initial weights alone."""
    problem, w0 = mirror_images(scale)
    return problem.asymptotics(w0)


def leading_angle() -> float:
    """lim t θ of toy case 1, by its series."""
    from symbolic.long_time import TAU
    from symbolic.toy_cases import KAPPA
    from symbolic.toy_series import toy_1_series

    return float((TAU * toy_1_series().result[0]).subs(KAPPA, 1).expand().coeff(TAU, 0))


def predict_toy_1(scale: float) -> dict[str, Prediction]:
    """The law, and the leading term of the angle; b = ½ ‖v‖ tan θ on w₁ + w₂ = v."""
    law, angle = mirror_law(scale), leading_angle()
    return {
        EXPONENT: Prediction(known(law.exponent), 1e-6, text="L ~ t⁻³"),
        "lim t³L/‖v‖²": Prediction(known(law.constant) / scale**2, 1e-8, text="π²/6"),
        "lim t θ₁₂/2": Prediction(angle, 1e-8, text="π"),
        "lim t b/‖v‖": Prediction(angle / 2, 1e-8, text="π/2"),
    }


# --- exponential cases ----------------------------------------------------------------------


def aligned(kind: str) -> tuple[TeacherStudent, Array]:
    """Problem and initial weights: one student, equal ones, or parallel ones."""
    w0: Array = {
        "single": np.array([EQUAL]),
        "equal": np.array([EQUAL] * 3),
        "parallel": np.outer(PARALLEL, [1.0, 0.0, 0.0]),
    }[kind]
    return TeacherStudent([1.0, 0.0, 0.0]), w0


@cache
def exponential_flow(kind: str) -> Flow:
    problem, w0 = aligned(kind)
    times = np.linspace(0, 600 / len(w0), 121)
    return whole_flow(problem, w0, times[-1], times)


@cache
def exponential_law(kind: str) -> Asymptotics:
    """What is predicted from the initial weights alone."""
    problem, w0 = aligned(kind)
    return problem.asymptotics(w0)


def predict_exponential(
    kind: str, text: str, exact: dict[str, Prediction]
) -> dict[str, Prediction]:
    law = exponential_law(kind)
    constant = known(law.constant)
    return {
        RATE: Prediction(known(law.rate), 1e-6, text=text),
        CONSTANT: Prediction(constant, 1e-7 * constant),
        **exact,
    }


def drawn_exponential(name: str, kind: str) -> Any:
    """The figure of one flow, with the predicted rate."""
    runs = {name: (exponential_flow(kind), known(exponential_law(kind).rate))}
    return partial(draw_exponentials, runs)


def exponential_run(kind: str) -> tuple[str, ...]:
    """What was run, in words."""
    _, w0 = aligned(kind)
    rows = ", ".join(str(tuple(row)) for row in w0.tolist())
    return (f"W(0) = {rows}, v = e₁, t to {600 / len(w0):g}",)


def scaled_limit(flow: Flow) -> Measured:
    """exp(n t) L at the end of the run."""
    scaled = np.exp(flow.log_loss + len(flow.w0) * flow.t)
    return limit(flow.t, scaled, flow.loss_error)


def exact_single_neuron(w0: Array, t: Array) -> tuple[Array, Array]:
    """Angle to v = e₁ and norm of one neuron, by the derivation single-neuron."""
    from symbolic.lower import lower
    from symbolic.single_neuron import RHO_0, THETA_0, solution
    from symbolic.toy_cases import KAPPA, MU, T, V

    relu = {MU: "1/2", KAPPA: 1, V: 1}
    function = lower([form.subs(relu) for form in solution()], [RHO_0, THETA_0, T])
    angle, norm = function(np.linalg.norm(w0), np.arctan2(np.linalg.norm(w0[1:]), w0[0]), t)
    return angle, norm


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
    values = {
        RATE: rate(flow),
        CONSTANT: scaled_limit(flow),
        "deviation from the exact solution": exact_gap(flow, 1),
    }
    return Evidence(values, drawn_exponential("n = 1", "single"), exponential_run("single"))


def measure_toy_2(profile: Profile) -> Evidence:
    flow = exponential_flow("parallel")
    seen = flow.loss > 1e-290
    gap = np.abs(flow.loss[seen] / exponential_law("parallel").loss(flow.t[seen]) - 1)
    values = {
        RATE: rate(flow),
        CONSTANT: scaled_limit(flow),
        "deviation from ¼‖v‖²H₀²e⁻ⁿᵗ": worst(flow, gap),
    }
    draw = drawn_exponential("toy case 2, n = 3", "parallel")
    return Evidence(values, draw, exponential_run("parallel"))


def measure_toy_3(profile: Profile) -> Evidence:
    flow = exponential_flow("equal")
    spread = float(np.abs(flow.w - flow.w[:, :1]).max())
    values = {
        RATE: rate(flow),
        CONSTANT: scaled_limit(flow),
        "spread of the neurons": Measured(spread, 0.0),
        "deviation from one neuron at time n t": exact_gap(flow, 3),
    }
    return Evidence(
        values, drawn_exponential("toy case 3, n = 3", "equal"), exponential_run("equal")
    )


# --- random initialisations -------------------------------------------------------------------


def residual_rate(n: int) -> float:
    """n/2, at which H of n ReLU students falls, and the largest eigenvalue of ∇²L at the minimum;
    by the derivation fast-rates."""
    return float(derived.residual_rate(n, Fraction(1, 2)))


def random_students(
    n: int, sigma: float, seed: int, d: int | None = None
) -> tuple[TeacherStudent, Array]:
    """Problem and initial weights; d = n + 2 unless it is given."""
    d = n + 2 if d is None else d
    w0 = sigma * np.random.default_rng(seed).standard_normal((n, d))
    return TeacherStudent(np.eye(d)[0]), w0


@cache
def random_flow(n: int, sigma: float, seed: int) -> Flow:
    return whole_flow(*random_students(n, sigma, seed), 1e40)


def random_flows(profile: Profile, n: int) -> dict[str, Flow]:
    """One for every initialisation of the profile, by name."""
    return {
        f"σ = {sigma:g}, seed {seed}": random_flow(n, sigma, seed)
        for sigma in profile.sigmas
        for seed in profile.seeds
    }


def start_name(start: tuple[int, float, int]) -> str:
    n, sigma, seed = start
    return f"n = {n}, σ = {sigma:g}, seed {seed}"


def random_run(start: tuple[int, float, int]) -> str:
    """What `random_flow` runs, in words."""
    return (
        f"{start_name(start)}: W(0) = σ·default_rng(seed).standard_normal((n, n + 2)), v = e₁, "
        "t to 1e40"
    )


def random_runs(profile: Profile, n: int) -> tuple[str, ...]:
    """All of a profile."""
    return tuple(map(random_run, product((n,), profile.sigmas, profile.seeds)))


def measure_random(profile: Profile, n: int) -> Evidence:
    """Fitted exponents of every initialisation of the profile."""
    runs = random_flows(profile, n)
    values = {f"{EXPONENT} · {name}": exponent(flow) for name, flow in runs.items()}
    return Evidence(values, partial(draw_power_laws, runs, None), random_runs(profile, n))


def measure_constants(profile: Profile, n: int) -> Evidence:
    """t³L at the end of every run, over ‖v‖² F(β) of the profile that it has come to."""
    runs = random_flows(profile, n)
    values = {f"{RATIO} · {name}": ratio(flow) for name, flow in runs.items()}
    return Evidence(values, partial(draw_power_laws, runs, None), random_runs(profile, n))


def ratio(flow: Flow) -> Measured:
    """Of t³L at the end to its predicted limit; its error is that of both."""
    law = flow.problem.asymptotics(flow)
    if law.constant is None:
        return Measured(nan, inf, law.reason)
    end = cube(flow)
    error = (end.error + law.error * end.value / law.constant) / law.constant
    return Measured(end.value / law.constant, error, law.reason)


def predict_random(relation: str, text: str, n: int) -> dict[str, Prediction]:
    problem, w0 = random_students(n, 0.1, 0)
    return {EXPONENT: Prediction(known(problem.asymptotics(w0).exponent), 1e-3, relation, text)}


# --- claims -----------------------------------------------------------------------------------


def _toy_1(identifier: str, scale: float, where: str) -> Claim:
    return Claim(
        identifier,
        f"n = 2, w₁ and w₂ mirror images about v{where}: θ ~ π/t, b ~ π‖v‖/2t and t³L → π²‖v‖²/6",
        f"{PAPER}, case study, toy case 1; the constants are flowkit's own (toy-1-series)",
        Derived(partial(predict_toy_1, scale)),
        partial(measure_toy_1, scale=scale),
        TOYS,
        r"\theta \sim \frac{\pi}{t}, \qquad b \sim \frac{\pi \|v\|}{2t}, \qquad "
        r"t^3 L \to \frac{\pi^2 \|v\|^2}{6}",
    )


def _theorems(n: int) -> tuple[Claim, Claim, Claim]:
    at = f"n = {n}, random W(0) ~ σN(0, I), d = {n + 2}"
    return (
        Claim(
            f"xu-du/upper-bound-n{n}",
            f"{at}: the loss falls at least as fast as t⁻³, L(t) = O(t⁻³)",
            f"{PAPER}, Theorems 1 and 9, for the gradient flow",
            Derived(partial(predict_random, "<=", "O(t⁻³)", n)),
            partial(measure_random, n=n),
            UPPER,
            r"L(T) = O(T^{-3})",
            shares=f"random-n{n}",
        ),
        Claim(
            f"xu-du/lower-bound-n{n}",
            f"{at}: the loss falls no faster than t⁻³, L(t) = Ω(t⁻³)",
            f"{PAPER}, Theorems 2 and 12",
            Derived(partial(predict_random, ">=", "Ω(t⁻³)", n)),
            partial(measure_random, n=n),
            LOWER,
            r"L(t) = \Omega(t^{-3})",
            shares=f"random-n{n}",
        ),
        Claim(
            f"xu-du/constant-n{n}",
            f"{at}: t³L tends to ‖v‖² F(β), β the self-similar profile that the flow comes to",
            "flowkit's own (slow-manifold, self-similar); sharpens Theorems 1 and 2",
            {RATIO: Prediction(1.0, 1e-5)},
            partial(measure_constants, n=n),
            LOWER,
            r"t^3 L \to \frac{\|v\|^2}{6\pi} \left(\sum_{i<j} h_i h_j \|\phi_i - \phi_j\|^3 "
            r"- \sum_i h_i \|\phi_i\|^3\right), \quad \phi_i = \beta_i / h_i",
            shares=f"random-n{n}",
        ),
    )


NONE = "none"
CLAIMS = (
    Claim(
        "xu-du/single-neuron",
        "n = 1: L(t) = exp(−Ω(t)); in fact e^t L tends to a constant, and the angle θ(t) of w to v "
        "is known in closed form, with a = π/‖v‖, D = (π − θ₀)/(‖w₀‖ sin θ₀), C = D − a cot θ₀; "
        "θ₀ and w₀ at t = 0",
        f"{PAPER}, introduction; the exact solution is flowkit's own (single-neuron)",
        Derived(
            partial(
                predict_exponential,
                "single",
                "L ~ e⁻ᵗ",
                {"deviation from the exact solution": Prediction(0.0, 1e-7, text=NONE)},
            )
        ),
        measure_single,
        SINGLE,
        r"\lim_{t \to \infty} e^t L(t) > 0, \qquad \cot\theta(t) = \frac{D e^{t/2} - C}{a}",
    ),
    _toy_1("xu-du/toy-1", 1.0, ""),
    _toy_1("xu-du/toy-1-scaled", 2.5, ", ‖v‖ = 2.5"),
    Claim(
        "xu-du/toy-2",
        "All students parallel to the teacher: L = ¼‖v‖²H², dH/dt = −(n/2)H, so that "
        "L = const · exp(−n t) exactly",
        f"{PAPER}, case study, toy case 2",
        Derived(
            partial(
                predict_exponential,
                "parallel",
                "e⁻ⁿᵗ",
                {"deviation from ¼‖v‖²H₀²e⁻ⁿᵗ": Prediction(0.0, 1e-8, text=NONE)},
            )
        ),
        measure_toy_2,
        TOYS,
        r"L = \frac14 \|v\|^2 H^2, \qquad \frac{dH}{dt} = -\frac n2 H",
    ),
    Claim(
        "xu-du/toy-3",
        "All students equal: they stay equal, Σw_i follows one neuron at n times the speed, "
        "L ~ exp(−n t)",
        f"{PAPER}, case study, toy case 3",
        Derived(
            partial(
                predict_exponential,
                "equal",
                "e⁻ⁿᵗ",
                {
                    "spread of the neurons": Prediction(0.0, 0.0, text=NONE),
                    "deviation from one neuron at time n t": Prediction(0.0, 1e-7, text=NONE),
                },
            )
        ),
        measure_toy_3,
        TOYS,
        r"w_i = w \; \forall i: \quad L \sim C e^{-nt}",
    ),
    *(claim for n in (2, 3, 4) for claim in _theorems(n)),
)
