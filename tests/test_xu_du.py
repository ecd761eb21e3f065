"""Claims of Xu & Du: each holds, and each planted error comes out as "fails"."""

from dataclasses import replace

import numpy as np
import pytest

import flowkit
from flowkit.verification.claim import PROFILES, Measured, Prediction
from flowkit.verification.groups import BEYOND, CLOSED_FORMS, ORDER
from flowkit.verification.papers import (
    xu_du_descent,
    xu_du_initialisation,
    xu_du_phases,
    xu_du_potential,
)
from flowkit.verification.papers.measures import infima, last, limit, plain, slope, suprema

SOURCES = (xu_du_descent, xu_du_phases, xu_du_potential, xu_du_initialisation)
NEW = [claim for source in SOURCES for claim in source.CLAIMS]


def planted(prediction, measured):
    """Ten per cent off; of zero and of an inequality, so that the measured value is ruled out."""
    value = prediction.value
    if prediction.relation == "=" and value:
        wide = 3 * prediction.tolerance if prediction.tolerance > 0.05 * abs(value) else 0.0
        return replace(prediction, value=value + max(0.1 * abs(value), wide))
    if prediction.relation == "=":
        return replace(prediction, value=measured.value + max(0.1, 3 * prediction.tolerance))
    sign = -1 if prediction.relation == "<=" else 1
    off = max(0.1 * abs(measured.value), 2.5 * prediction.tolerance, 1e-9)
    return replace(prediction, value=measured.value + sign * off)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["xu-du/phase-3", "xu-du/descent", "xu-du/upper-bound-n2", "xu-du/lower-bound-n2"]
)
def test_exponents_of_other_laws_fail(name):
    claim = next(c for c in flowkit.claims() if c.id == name)
    evidence = claim.measure(PROFILES["quick"])
    wrong = {"<=": -4.0, ">=": -2.0, "=": -2.0}
    for row, measured in evidence.values.items():
        if row.startswith("exponent"):
            prediction = claim.prediction(row)
            other = replace(prediction, value=wrong[prediction.relation])
            assert other.verdict(measured) == "fails", row


def test_every_group_of_the_paper_has_a_claim():
    claims = flowkit.claims()
    assert {claim.group for claim in claims} == set(ORDER)
    places = [ORDER.index(claim.group) for claim in claims]
    assert places == sorted(places)
    named = [claim.id for claim in claims if claim.group not in (CLOSED_FORMS, BEYOND)]
    assert all(name.startswith("xu-du/") for name in named)


def test_every_formula_renders():
    from latex2mathml.converter import convert

    for claim in flowkit.claims():
        assert claim.formula, claim.id
        assert "<math" in convert(claim.formula), claim.id


@pytest.mark.slow
@pytest.mark.parametrize("claim", NEW, ids=lambda claim: claim.id)
def test_holds_and_planted_errors_fail(claim):
    evidence = claim.measure(PROFILES["quick"])
    assert evidence.runs and evidence.draw
    names = {name.partition(" · ")[0] for name in evidence.values}
    assert names == set(claim.predictions)
    for name, measured in evidence.values.items():
        prediction = claim.prediction(name)
        assert prediction.verdict(measured) == "holds", (name, measured)
        assert planted(prediction, measured).verdict(measured) == "fails", (name, measured)


def test_swapped_order_of_phases_fails():
    order = next(claim for claim in NEW if claim.id == "xu-du/phase-order")
    evidence = order.measure(PROFILES["quick"])
    for name, measured in evidence.values.items():
        assert order.prediction(name).verdict(measured) == "holds"
        swapped = replace(order.prediction(name), relation=">=")
        assert swapped.verdict(measured) == "fails"


def test_too_short_a_run_decides_nothing(monkeypatch):
    monkeypatch.setattr(xu_du_phases, "END", 1e-3)
    for cached in (xu_du_phases.small_flow, xu_du_phases.found_phases):
        cached.cache_clear()
    order = next(claim for claim in NEW if claim.id == "xu-du/phase-order")
    evidence = order.measure(PROFILES["quick"])
    verdicts = {order.prediction(n).verdict(m) for n, m in evidence.values.items()}
    assert verdicts == {"undecided"}
    for cached in (xu_du_phases.small_flow, xu_du_phases.found_phases):
        cached.cache_clear()


# --- what claims measure with -------------------------------------------------------------------


def test_suprema_between_steps():
    """H = H₀ e^(−t/2) in closed form; the largest H (1 − e^(−t)) lies between two steps."""
    flow = flowkit.integrate(flowkit.TeacherStudent([1.0, 0.0]), [[0.25, 0.0]], 50.0)

    def bump(o):
        values = o.H * (1 - np.exp(-o.t))
        return values, o.error("H")

    found = suprema(flow, {"bump": bump})["bump"]
    exact = 0.75 * 2 / 3**1.5  # at e^(−t) = 1/3
    assert abs(found.value - exact) <= found.error + 1e-9 * exact
    assert found.error < 1e-8
    assert infima(flow, {"H": plain("H")}, 1.0, 4.0)["H"].value == pytest.approx(
        0.75 * np.exp(-2), rel=1e-9
    )


def test_an_unknown_error_decides_nothing():
    flow = flowkit.integrate(flowkit.TeacherStudent([1.0, 0.0]), [[0.25, 0.0]], 50.0)
    nobody = suprema(flow, {"x": lambda o: (o.H, np.full(len(o.t), np.nan))})["x"]
    assert Prediction(0.1, 0.0, "<=").verdict(nobody) == "undecided"
    assert Prediction(1.0, 1e-3).verdict(Measured(1.5, -5.0)) == "undecided"


@pytest.mark.parametrize("power", [0.2, 0.5, 1.0, 2.0])
def test_limit_of_a_slow_power(power):
    t = np.geomspace(1, 1e12, 200)
    found = limit(t, 1 + t**-power, np.zeros(200))
    assert 1 <= found.value <= 1 + 1.01 * found.error


@pytest.mark.parametrize(
    ("value", "error", "verdict"),
    [(0.0, 0.0, "fails"), (1e-9, 1e-12, "holds"), (1e-9, 1e-8, "undecided"), (-1.0, 0.1, "fails")],
)
def test_strictly_more(value, error, verdict):
    assert Prediction(0.0, 0.0, ">").verdict(Measured(value, error)) == verdict


def test_last_counts_the_drift():
    values = 1 + 1 / np.geomspace(1, 1e8, 81)
    found = last(values, np.zeros(81))
    assert abs(found.value - 1) <= found.error <= 1e-6


@pytest.mark.parametrize("power", [-1.0, 3.0, 6.0])
def test_slope_of_a_power(power):
    x = 10.0 ** -np.arange(1, 6)
    noise = 1e-6 * np.ones(5)
    y = np.column_stack([x**power * (1 + x), noise])
    found = slope(x, y)
    assert abs(found.value - power) <= found.error < 1e-3


@pytest.mark.parametrize(("n", "d"), [(1, 3), (3, 4), (2, 8)])
def test_probability_of_lemma_3(n, d):
    """Against quadrature over the angle in one case, and draws in the others."""
    from scipy.integrate import quad
    from scipy.special import gamma
    from scipy.stats import chi2

    density = gamma(d / 2) / gamma((d - 1) / 2) / np.sqrt(np.pi)
    angle = quad(lambda x: density * np.sin(x) ** (d - 2), np.pi / 3, 2 * np.pi / 3)[0]
    norm = chi2.cdf(4 * d, d) - chi2.cdf(d / 4, d)
    expected = (angle * norm) ** n
    assert xu_du_initialisation.probability(n, d) == pytest.approx(expected, rel=1e-10)
    draws = 4000
    count = draws - xu_du_initialisation.failures(n, d, draws)
    low, high = xu_du_initialisation.interval(count, draws)
    assert low <= expected <= high


def test_derived_rate_is_that_of_the_flow():
    """κ′ of a random pair of students by differences of the flow."""
    flow = flowkit.integrate(
        flowkit.TeacherStudent([1.0, 0, 0]), [[0.2, 0.3, 0.1], [0.1, 0.2, -0.4]], 5.0
    )
    t, step = 0.7, 1e-4
    o = flowkit.observables(flow, [t - step, t, t + step])
    rate = (o.kappa_max[2] - o.kappa_max[0]) / (2 * step) / np.sin(o.kappa_max[1])
    here = flowkit.observables(flow, [t])
    assert rate == pytest.approx(xu_du_potential.derived_rate(here, True)[0], rel=1e-6)
    assert rate >= xu_du_potential.derived_rate(here, False)[0]
