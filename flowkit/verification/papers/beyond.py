"""Beyond the paper of Xu & Du: neurons and scales, other initialisations, leaky students, the
teacher's norm.

The open questions of the case study, on flows in doubles.  Laws and constants come from
`Problem.asymptotics` when a claim is checked.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import numpy as np

from flowkit.flows.flow import Flow
from flowkit.verification.claim import Claim, Derived, Evidence, Measured, Prediction, Profile
from flowkit.verification.groups import BEYOND
from flowkit.verification.papers.figures import draw_exponents, draw_levels
from flowkit.verification.papers.measures import (
    absent,
    cube,
    exponent,
    known,
    limit,
    rate,
    survivors,
    tried,
)
from flowkit.verification.papers.starts import (
    EARLIER,
    FIXED,
    LATE,
    RANDOM,
    Rows,
    Start,
    alone,
    finished,
    gaussian,
    leaky,
    mirrored,
    other,
    rows,
    scaled,
)
from flowkit.verification.papers.xu_du import EXPONENT, RATE, RATIO, random_students, ratio

SLOW = f"to t = {LATE:g}"
LONE = ("zero", "fading")


def full(profile: Profile) -> bool:
    """Whether everything is run."""
    return profile.name == "full"


def law(start: Start) -> tuple[str, Measured]:
    """The exponent of two or more survivors, the rate of one."""
    if start.finished and survivors(start.flow) < 2:
        return RATE, tried(lambda: rate(start.flow))
    return EXPONENT, tried(lambda: exponent(start.flow))


def laws(starts: Iterable[Start]) -> Rows:
    """By the students that survive."""
    found = {}
    for start in starts:
        name, value = law(start)
        found[f"{name} · {start.name}"] = value
    return found


def power() -> Prediction:
    """The exponent, from students of different directions at the start."""
    problem, w0 = random_students(3, 0.1, 0)
    return Prediction(known(problem.asymptotics(w0).exponent), 1e-3, text="L ~ t⁻³")


def exponential() -> Prediction:
    """The rate that one survivor has, at least as the fits resolve it."""
    found = {known(x.problem.asymptotics(x.flow).rate) for x in map(alone, LONE)}
    (value,) = found
    return Prediction(value, 2e-3, text="L ~ e⁻ᵗ")


def predict_laws() -> dict[str, Prediction]:
    """Of two or more survivors, and of one."""
    return {EXPONENT: power(), RATE: exponential()}


def predict_power() -> dict[str, Prediction]:
    """t⁻³, and what t³L tends to."""
    return {EXPONENT: power(), RATIO: Prediction(1.0, 1e-5)}


# --- neurons and scales ---------------------------------------------------------------------------

NEURONS = (2, 3, 4, 8, 16)
DECADES = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)


def scales(profile: Profile) -> dict[Start, float]:
    """Starts, and their σ."""
    if full(profile):
        cells = [(n, sigma, seed) for n in NEURONS for sigma in DECADES for seed in range(3)]
    else:
        cells = [(n, 1e-6, 0) for n in NEURONS]
        cells += [(2, 1.0, 0), (3, 1.0, 0)]
    return {gaussian(n, sigma, seed): sigma for n, sigma, seed in cells}


def measure_scales(profile: Profile) -> Evidence:
    starts, lone = scales(profile), [alone(kind) for kind in LONE]
    values = laws(starts)
    drawn = [
        (x.kind, sigma, x.flow, values[f"{EXPONENT} · {x.name}"])
        for x, sigma in starts.items()
        if f"{EXPONENT} · {x.name}" in values and x.finished
    ]
    seeds = "0, 1, 2" if full(profile) else "0"
    runs = (
        f"W(0) = σ default_rng(seed).standard_normal((n, n + 2)), v = e₁, {SLOW}; n, σ as listed, "
        f"seeds {seeds}: {len(starts)} runs",
        *(f"{x.name}: v = e₁, W(0) = {x.w0.tolist()}, to t = {x.t_max:g}" for x in lone),
    )
    draw = partial(draw_exponents, drawn, [x.flow for x in finished(lone)])
    return Evidence(values | laws(lone), draw, runs)


# --- constants ------------------------------------------------------------------------------------


def drawn_levels(starts: Iterable[Start]) -> partial[None]:
    """t³L of those runs that have a predicted limit."""
    shown = []
    for start in finished(starts):
        constant = start.problem.asymptotics(start.flow).constant
        if constant is not None:
            shown.append((start.kind, start.flow, constant))
    return partial(draw_levels, shown)


def predictable(start: Start) -> bool:
    """Whether a profile that a flow stays at is there; symmetry can hold one at an unstable one."""
    return not start.finished or start.problem.asymptotics(start.flow).stable is not False


# --- initialisations ------------------------------------------------------------------------------


def distributions(profile: Profile) -> list[Start]:
    """Every distribution and every fixed start, of several sizes."""
    counts, sigmas = ((2, 3, 4, 8), (1e-3, 1e-2, 1e-1)) if full(profile) else ((3,), (1e-2,))
    seeds = range(2) if full(profile) else range(1)
    cells = [(n, sigma) for n in counts for sigma in sigmas]
    drawn = [other(kind, n, s, seed) for kind in RANDOM for n, s in cells for seed in seeds]
    return drawn + [other(kind, n, s) for kind in FIXED for n, s in cells]


def measure_distributions(profile: Profile) -> Evidence:
    starts = distributions(profile)
    held = [x for x in starts if not predictable(x)]
    known_limit = [x for x in starts if x not in held]
    values = laws(starts) | rows(RATIO, ratio, known_limit)
    runs = [
        f"{kind}: {' '.join(str(make.__doc__).split())}"
        for kind, make in {**RANDOM, **FIXED}.items()
    ]
    runs += [
        f"v = e₁, d = n + 2, {SLOW}, those without a seed to t = {EARLIER:g}; n, σ and seeds of "
        f"numpy.random.default_rng as listed: {len(starts)} runs"
    ]
    runs += [f"{x.name}: held at an unstable profile by symmetry, exponent only" for x in held]
    return Evidence(values, drawn_levels(known_limit), tuple(runs), absent(values, RATE))


# --- leaky students -------------------------------------------------------------------------------

SLOPES = (0.1, 0.5, 0.9)


def over_relu(alpha: float) -> str:
    return f"t³L over that of the ReLU, α = {alpha:g}"


def predict_leaky() -> dict[str, Prediction]:
    """What slope α does to the constant of toy case 1, by asymptotics from the start."""
    found = predict_power()
    relu = mirrored(0.0)
    base = known(relu.problem.asymptotics(relu.w0).constant)
    for alpha in SLOPES:
        start = mirrored(alpha)
        value = known(start.problem.asymptotics(start.w0).constant) / base
        text = f"(1 − α)⁻⁴ = {(1 - alpha) ** -4:.8g}"
        found[over_relu(alpha)] = Prediction(value, 1e-8 * value, text=text)
    return found


def quotient(above: Measured, below: Measured) -> Measured:
    """One over the other, with the errors of both."""
    value = above.value / below.value
    return Measured(
        value, above.error / below.value + abs(value) * below.error / below.value, above.note
    )


def measure_leaky(profile: Profile) -> Evidence:
    cells = [(3, 0.1, 0)]
    if full(profile):
        cells = [(n, s, seed) for n in (2, 3, 4, 8) for s in (1e-3, 1e-2, 1e-1) for seed in (0, 1)]
    starts = [leaky(n, alpha, s, seed) for alpha in SLOPES for n, s, seed in cells]
    mirrors = [mirrored(alpha) for alpha in SLOPES]
    values = rows(EXPONENT, exponent, [*mirrors, *starts]) | rows(RATIO, ratio, starts)
    for alpha in SLOPES:
        pair = (mirrored(alpha), mirrored(0.0))
        values[over_relu(alpha)] = tried(lambda pair=pair: quotient(*(cube(x.flow) for x in pair)))
    runs = (
        f"mirror images [[0.3, 0.2], [0.3, −0.2]], v = e₁, α = 0, 0.1, 0.5, 0.9, {SLOW}",
        "W(0) = σ default_rng(seed).standard_normal((n, n + 2)), v = e₁, "
        f"{SLOW}; α, n, σ, seeds as listed: {len(starts)} runs",
    )
    return Evidence(values, drawn_levels([*mirrors, *starts]), runs, absent(values, RATE))


# --- the teacher's norm ---------------------------------------------------------------------------

SAME = "largest change of L(t)/‖v‖²"
LEVEL = "lim t³L/‖v‖²"
LENGTHS = (1e-3, 1e-2, 1e-1, 10.0, 100.0, 1e3)


def predict_norm() -> dict[str, Prediction]:
    """Lengths change units only: the constant is that of ‖v‖ = 1."""
    start = scaled(3, 1.0, 0, 1.0)
    constant = known(start.problem.asymptotics(start.flow).constant)
    return (
        predict_laws()
        | predict_power()
        | {
            SAME: Prediction(0.0, 1e-10, text="none"),
            LEVEL: Prediction(constant, 1e-8 * constant, text="F(β) of ‖v‖ = 1"),
        }
    )


def change(flow: Flow, length: float) -> Measured:
    """Of L/‖v‖² at equal times, from that of ‖v‖ = 1."""
    base = scaled(3, 1.0, 0, 1.0).flow
    gap = np.abs(flow.loss_at(base.t) / length**2 / base.loss - 1)
    return Measured(float(gap.max()), float(flow.loss_error.max() + base.loss_error.max()))


def level(flow: Flow, length: float) -> Measured:
    """t³L/‖v‖² at the end."""
    return limit(flow.t, flow.t**3 * flow.loss / length**2, flow.loss_error)


def measure_norm(profile: Profile) -> Evidence:
    lengths = LENGTHS if full(profile) else (1e-3, 1e3)
    together = {length: scaled(3, length, 0, length) for length in lengths}
    cells = [(3, 10.0, 0)]
    if full(profile):
        cells = [(n, c, seed) for n in (2, 3, 4) for c in LENGTHS for seed in (0, 1, 2)]
    fixed = [scaled(n, length, seed, 1.0) for n, length, seed in cells]
    values = {}
    for length, start in together.items():
        for name, measure in ((SAME, change), (LEVEL, level)):
            found = tried(lambda m=measure, x=start, c=length: m(x.flow, c))
            values[f"{name} · ‖v‖ = {length:g}"] = found
    values |= laws(fixed) | rows(RATIO, ratio, fixed)
    weights = "default_rng(seed).standard_normal((n, n + 2))"
    runs = (
        f"W(0) = 0.1 ‖v‖ {weights}, n = 3, seed 0, v = ‖v‖e₁, ‖v‖ = 1 and as listed, {SLOW}",
        f"W(0) = 0.1 {weights}, v = ‖v‖e₁, {SLOW}; n, ‖v‖, seed as listed: {len(fixed)} runs",
    )
    everything = [*together.values(), *fixed]
    return Evidence(values, drawn_levels(everything), runs, absent(values, RATE))


# --- claims ---------------------------------------------------------------------------------------

CLAIMS = (
    Claim(
        "beyond/neurons-and-scales",
        "n = 2 … 16 and σ = 1e-6 … 1: L ~ t⁻³ whenever two or more students of different "
        "directions stay alive; exponential where one is left",
        "Xu & Du 2023, asked for in its case study; the law of one survivor is flowkit's own",
        Derived(predict_laws),
        measure_scales,
        BEYOND,
        r"L(t) \sim C\,t^{-3}, \quad 10^{-6} \le \sigma \le 1, \quad 2 \le n \le 16",
    ),
    Claim(
        "beyond/initialisations",
        "Heavy-tailed, uniform, orthogonal and deterministic W(0): L ~ t⁻³, and t³L tends to "
        "‖v‖² F(β) of the profile that the flow comes to",
        "Xu & Du 2023, open question; the constant is flowkit's own (slow-manifold, self-similar)",
        Derived(lambda: predict_laws() | predict_power()),
        measure_distributions,
        BEYOND,
        r"t^3 L(t) \to \|v\|^2 F(\beta)",
    ),
    Claim(
        "beyond/leaky",
        "Leaky ReLU of slope α: L ~ t⁻³. Mirror images have (1 − α)⁻⁴ times the constant of the "
        "ReLU; a random start ends at another h, and has that of its own profile",
        "flowkit's own (slow-manifold, self-similar, two-neurons)",
        Derived(predict_leaky),
        measure_leaky,
        BEYOND,
        r"\frac{\lim t^3 L_{\alpha}}{\lim t^3 L_{0}} = (1-\alpha)^{-4}",
    ),
    Claim(
        "beyond/teacher-norm",
        "W(0) and v scaled alike: L scales with ‖v‖² at the same t, and so does lim t³L. "
        "W(0) kept and v scaled: L ~ t⁻³, with the constant of the profile that it comes to",
        "flowkit's own (homogeneity of the loss)",
        Derived(predict_norm),
        measure_norm,
        BEYOND,
        r"L(cW, cv) = c^2 L(W, v), \quad t^3 L(t) \to \|v\|^2 F(\beta)",
    ),
)
