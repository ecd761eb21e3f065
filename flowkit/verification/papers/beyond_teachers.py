"""Several teachers: t⁻³ with more students than teachers, exponential with as many."""

from __future__ import annotations

from functools import partial

from flowkit.asymptotics.rates import slowest_rate
from flowkit.flows.flow import Flow
from flowkit.verification.claim import Claim, Derived, Evidence, Prediction, Profile
from flowkit.verification.groups import BEYOND
from flowkit.verification.papers.beyond import full, predict_power
from flowkit.verification.papers.figures import draw_teachers
from flowkit.verification.papers.measures import exponent, known, rate
from flowkit.verification.papers.starts import Start, finished, rows, several
from flowkit.verification.papers.xu_du import EXPONENT, RATE, RATIO, ratio

KINDS = ("orthonormal", "generic")
MORE, SAME = 1e12, 2500.0  # ends of runs with more students than teachers, and with as many


def learnt(flow: Flow) -> bool:
    """Whether the run is near a global minimum."""
    try:
        return flow.problem.asymptotics(flow).kind != "undecided"
    except ValueError:  # says that it is not
        return False


def rate_of(k: int, kind: str) -> str:
    """The name of a rate."""
    return f"{RATE}, n = k = {k}, {kind}"


def equal_numbers(profile: Profile) -> dict[str, list[Start]]:
    """As many students as teachers, by the name of their rate."""
    cells = [(k, kind) for k in (2, 3) for kind in KINDS] if full(profile) else [(2, KINDS[0])]
    tries = [(0.1, 0), (0.01, 1)] if full(profile) else [(0.1, 0)]
    return {
        rate_of(k, kind): [several(k, k, kind, s, seed, SAME) for s, seed in tries]
        for k, kind in cells
    }


def more_students(profile: Profile) -> list[Start]:
    """More students than teachers."""
    if not full(profile):
        return [several(2, 3, KINDS[0], 0.1, 0, 1e9)]
    cells = [(2, 3, 0.1, 0), (2, 3, 0.01, 1), (2, 4, 0.1, 0), (3, 4, 0.1, 0), (3, 6, 0.1, 0)]
    return [several(k, n, kind, s, seed, MORE) for k, n, s, seed in cells for kind in KINDS]


def measure_teachers(profile: Profile) -> Evidence:
    same, more = equal_numbers(profile), more_students(profile)
    stays = several(2, 2, "orthonormal", 0.1, "equal", SAME)
    every = [*more, *(x for starts in same.values() for x in starts), stays]
    lost = [x for x in finished(every) if not learnt(x.flow)]
    counted = [x for x in more if x not in lost]
    values = rows(EXPONENT, exponent, counted) | rows(RATIO, ratio, counted)
    slow: list[tuple[str, Flow, float]] = []
    for name, starts in same.items():
        kept = [x for x in starts if x not in lost]
        values |= rows(name, rate, kept)
        slow += [(rate_name(x), x.flow, law_rate(x)) for x in finished(kept)]
    draw = partial(draw_teachers, [(x.kind, x.flow) for x in finished(counted)], slow)
    rates = {rate_of(k, kind) for k in (2, 3) for kind in KINDS}
    return Evidence(values, draw, told(every, lost), tuple(rates - same.keys()))


def rate_name(start: Start) -> str:
    """The first part of a name."""
    return start.name.partition(", n =")[0]


def law_rate(start: Start) -> float:
    """As it is predicted."""
    return known(start.problem.asymptotics(start.flow).rate)


def told(every: list[Start], lost: list[Start]) -> tuple[str, ...]:
    """What was run, and which runs do not count."""
    return (
        "teachers: rows of the identity, or default_rng(100 + k).standard_normal((k, d)); "
        "W(0) = σ default_rng(seed).standard_normal((n, d)), d = n + 2; seed equal: all entries σ",
        *(f"{x.name}, to t = {x.t_max:g}" for x in every if x not in lost),
        *(f"not counted: {x.name}, {where(x.flow)}" for x in lost),
    )


def where(flow: Flow) -> str:
    """What a run has come to that is not near a global minimum."""
    slope = float(flow.local_slope[-1])
    kind = "at rest" if abs(slope) < 1e-3 else "still moving"
    return f"{kind} at L = {flow.loss[-1]:.6g}, t = {flow.path.end:g}, slope {slope:.1e}"


def predict_teachers() -> dict[str, Prediction]:
    """L is quadratic at W = V: it falls at twice the smallest eigenvalue of the Hessian."""
    found = predict_power()
    for k in (2, 3):
        for kind in KINDS:
            problem = several(k, k, kind, 0.1, 0, SAME).problem
            value = 2 * known(slowest_rate(problem, [1] * k, k + 2, None))
            found[rate_of(k, kind)] = Prediction(value, 1e-6, text="2λ of the Hessian at V")
    return found


CLAIMS = (
    Claim(
        "beyond/several-teachers",
        "k = 2, 3 teachers: with n > k students a flow that reaches a global minimum has L ~ t⁻³ "
        "with the constants of all teachers added, with n = k it has L ~ e^(−2λt), λ the smallest "
        "eigenvalue of the Hessian at the minimum",
        "flowkit's own (slow-manifold); cf. Safran, Yehudai & Shamir 2020 on n = k and n > k",
        Derived(predict_teachers),
        measure_teachers,
        BEYOND,
        r"n > k: \; L(t) \sim C\,t^{-3}, \qquad n = k: \; L(t) \sim C\,e^{-2\lambda t}",
    ),
)
