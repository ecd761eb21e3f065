"""Claims beyond the paper: they hold, wrong predictions fail, short runs decide nothing."""

import importlib.util
from dataclasses import replace
from math import isinf
from pathlib import Path

import numpy as np
import pytest

import flowkit
from flowkit.plots import svg
from flowkit.verification.claim import FAILS, HOLDS, PROFILES, UNDECIDED, Measured, Prediction
from flowkit.verification.papers import beyond_deaths, beyond_teachers, measures
from flowkit.verification.papers.beyond import law, over_relu
from flowkit.verification.papers.starts import (
    Start,
    alone,
    gaussian,
    normal,
    orthogonal,
    several,
    simplex,
    teacher,
)
from flowkit.verification.papers.xu_du import EXPONENT

NAMES = (
    "neurons-and-scales",
    "initialisations",
    "leaky",
    "teacher-norm",
    "large-initialisations",
    "several-teachers",
)


DEATHS = {
    beyond_deaths.NONE_SMALL: Prediction(1.0, 0.0),
    beyond_deaths.SHARE_SMALL: Prediction(0.5, 0.1),
    beyond_deaths.SOME: Prediction(100.0, 0.0, ">="),
}


def claim(name):
    (found,) = (c for c in flowkit.claims() if c.id == f"beyond/{name}")
    return found


def verdicts(claim, evidence, planted=()):
    """Of those values whose predictions are planted; by default of all."""
    predictions = {**claim.predictions, **dict(planted)}
    wrong = replace(claim, predictions=predictions)
    return {
        wrong.prediction(name).verdict(x)
        for name, x in evidence.values.items()
        if not planted or name.partition(" · ")[0] in planted
    }


def numbers(claim, factor):
    """Everything that is predicted to be a number other than 0, off by a factor."""
    return {
        key: replace(p, value=factor * p.value)
        for key, p in claim.predictions.items()
        if p.relation == "=" and p.value
    }


@pytest.mark.parametrize("name", NAMES)
def test_holds_and_planted_predictions_fail(name):
    made = claim(name)
    evidence = made.measure(PROFILES["quick"])
    assert verdicts(made, evidence) == {HOLDS}
    assert evidence.runs and made.group == "Beyond the paper" and made.formula
    assert len(svg(evidence.draw)) > 1000
    for wrong in (-2.0, -2.99):
        assert verdicts(made, evidence, {EXPONENT: Prediction(wrong, 1e-3)}) == {FAILS}
    for factor in (0.9, 1.1):
        assert verdicts(made, evidence, numbers(made, factor)) == {FAILS}
    if name == "large-initialisations":
        for key, planted in DEATHS.items():
            assert verdicts(made, evidence, {key: planted}) == {FAILS}


def test_leaky_constants_are_powers_of_one_minus_alpha():
    for alpha in (0.1, 0.5, 0.9):
        predicted = claim("leaky").predictions[over_relu(alpha)].value
        assert predicted == pytest.approx((1 - alpha) ** -4, rel=1e-12)


def test_orthonormal_rate_is_that_of_the_closed_form():
    made = claim("several-teachers")
    predicted = [p.value for key, p in made.predictions.items() if "orthonormal" in key]
    assert predicted == pytest.approx([0.5 - 1 / np.pi] * 2, rel=1e-12)


def test_a_saddle_is_named_and_not_counted():
    stays = several(2, 2, "orthonormal", 0.1, "equal", 1e3)
    assert not beyond_teachers.learnt(stays.flow)
    said = beyond_teachers.told([stays], [stays])[-1]
    assert said.startswith("not counted") and "seed equal" in said and "at rest at L = " in said


def test_a_short_run_is_undecided():
    name, found = law(Start("", "", teacher(5), normal(3, 0.01, 0), 30.0))
    assert name == EXPONENT and found.note
    assert Prediction(-3.0, 1e-3).verdict(found) == UNDECIDED


def test_a_failed_run_is_undecided(monkeypatch):
    import functools

    stopped = functools.partial(flowkit.integrate, max_steps=5)
    monkeypatch.setattr(measures, "integrate", stopped)
    name, found = law(Start("", "", teacher(5), normal(3, 0.02, 0)))
    assert name == EXPONENT and "step limit" in found.note and isinf(found.error)
    assert Prediction(-3.0, 1e-3).verdict(found) == UNDECIDED
    assert Prediction(1.0, 1.0).verdict(Measured(1.0, found.error)) == UNDECIDED


def test_one_survivor_has_a_rate():
    assert measures.survivors(alone("zero").flow) == measures.survivors(alone("fading").flow) == 1
    assert measures.survivors(gaussian(4, 0.1, 0, 1e6).flow) == 3


def test_a_lone_student_off_the_axis_holds_nobody_at_zero():
    """γ(−w̄) = K(−w̄, w) − K(−w̄, v) < 0: so two students with random W(0) both live on."""
    for seed in range(30):
        flow = flowkit.integrate(teacher(4), normal(2, 3.0, seed), 1e3)
        assert not beyond_deaths.deaths(flow)


def test_fixed_starts_are_what_they_say():
    rows = orthogonal(4, 0.1, 7)
    assert rows @ rows.T == pytest.approx(0.01 * np.eye(4), abs=1e-16)
    corners = simplex(4, 2.0)
    assert np.linalg.norm(corners, axis=1) == pytest.approx([2.0] * 4, rel=1e-14)
    assert corners[:, 0] == pytest.approx([1.0] * 4, rel=1e-14)
    gram = corners[:, 1:] @ corners[:, 1:].T
    assert gram == pytest.approx(4 * np.eye(4) - 1, abs=1e-13)


def test_interval_of_a_frequency():
    """Rule of three and its exact form: 0 of N has the upper end 1 − 0.025^(1/N)."""
    assert measures.frequency(0, 42)[2] == pytest.approx(1 - 0.025 ** (1 / 42), rel=1e-9)
    assert measures.frequency(30, 30)[1:] == pytest.approx((0.025 ** (1 / 30), 1.0), rel=1e-9)


# ---- how often, and how long ---------------------------------------------------------------------


@pytest.mark.slow
def test_deaths_as_in_an_independent_count():
    seeds = range(30)
    found = {
        (n, s): sum(beyond_deaths.dies(n, s, seed) for seed in seeds)
        for n in (4, 8, 16)
        for s in (0.01, 0.1, 1.0)
    }
    counted = {(4, 0.1): 1, (8, 0.1): 6, (16, 0.1): 16, (4, 1.0): 12, (8, 1.0): 30, (16, 1.0): 30}
    assert found == {(n, 0.01): 0 for n in (4, 8, 16)} | counted


@pytest.mark.slow
@pytest.mark.parametrize("t_max", [1e12, 1e40])
def test_every_initialisation_ends(t_max):
    path = Path(__file__).parent / "benchmarks" / "initialisations.py"
    spec = importlib.util.spec_from_file_location("initialisations", path)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    runs = script.outcomes(t_max, 6)
    assert len(runs) >= 200
    assert {run.status for run in runs} == {"finished"}
    assert runs[0].seconds < 30
