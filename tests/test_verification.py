"""Claims, verdicts, reports: right predictions hold, wrong ones fail, short runs decide nothing."""

import json
from dataclasses import replace
from functools import partial
from math import nan

import pytest

import flowkit
from flowkit.cli import main
from flowkit.verification import registry
from flowkit.verification.claim import Claim, Evidence, Measured, Prediction
from flowkit.verification.papers.xu_du import EXPONENT

CHEAP = ["relu/quadrature", "xu-du/toy-2"]


@pytest.fixture
def plant(monkeypatch):
    """Register a claim for one test."""

    def add(claim):
        monkeypatch.setattr(registry, "_CLAIMS", dict(registry._CLAIMS))
        return registry.register(claim)

    return add


def claim(name):
    return next(c for c in flowkit.claims() if c.id == name)


@pytest.mark.parametrize(
    ("relation", "value", "error", "verdict"),
    [
        ("=", 1.0, 1e-9, "holds"),
        ("=", 1.2, 1e-9, "fails"),
        ("=", 1.0, 1.0, "undecided"),
        ("=", 1.2, 0.5, "undecided"),
        ("=", nan, 0.0, "undecided"),
        ("=", 1.0, float("inf"), "undecided"),
        ("<=", -5.0, 1e-9, "holds"),
        ("<=", 1.2, 1e-9, "fails"),
        (">=", 5.0, 1e-9, "holds"),
        (">=", 0.8, 1e-9, "fails"),
        (">=", 0.8, 0.5, "undecided"),
    ],
)
def test_verdict(relation, value, error, verdict):
    assert Prediction(1.0, 1e-6, relation).verdict(Measured(value, error)) == verdict


def test_every_claim_is_documented():
    known = flowkit.claims()
    assert len({c.id for c in known}) == len(known)
    assert all(c.statement and c.source and c.predictions for c in known)


def test_claims_of_any_group_are_listed():
    """Known groups in their order; unknown and empty ones last, in order of appearance."""
    groups = ("New", registry.ORDER[1], "", registry.ORDER[0], "Newer", "New", registry.ORDER[1])
    listed = [Claim(str(i), "-", "-", {}, lambda _: None, group) for i, group in enumerate(groups)]
    assert [c.id for c in registry.in_order(listed)] == ["3", "1", "6", "0", "2", "4", "5"]
    assert {c.group for c in flowkit.claims()} <= set(registry.ORDER)


def test_toy_1_holds():
    report = flowkit.verify("xu-du/toy-1")
    assert report.passed
    assert {row.verdict for row in report.results[0].rows} == {"holds"}


@pytest.mark.parametrize("wrong", [-2.0, -2.99, -3.01])
def test_planted_exponent_fails(plant, capsys, wrong):
    toy = claim("xu-du/toy-1")
    planted = dict(toy.predictions) | {EXPONENT: Prediction(wrong, 1e-6)}
    plant(replace(toy, id="test/planted", predictions=planted))
    assert main(["verify", "test/planted"]) == 1
    assert "fails" in capsys.readouterr().out
    assert flowkit.verify("test/planted").results[0].verdict == "fails"


def test_planted_constant_and_rate_fail(plant):
    toy = claim("xu-du/toy-1")
    off = {name: replace(p, value=1.1 * p.value) for name, p in toy.predictions.items()}
    plant(replace(toy, id="test/constant", predictions=off))
    result = flowkit.verify("test/constant").results[0]
    assert {row.verdict for row in result.rows} == {"fails"}
    slow = claim("xu-du/toy-2")
    plant(
        replace(
            slow, id="test/rate", predictions={n: Prediction(1.0, 1e-6) for n in slow.predictions}
        )
    )
    assert flowkit.verify("test/rate").results[0].verdict == "fails"


def test_undecided_is_not_passed(plant):
    evidence = Evidence({"x": Measured(1.0, 1.0, "too short")})
    planted = Claim("test/short", "x = 1", "-", {"x": Prediction(1.0, 1e-3)}, lambda _: evidence)
    plant(planted)
    assert main(["verify", "test/short"]) == 1
    assert flowkit.verify("test/short").results[0].verdict == "undecided"


def test_report_files(tmp_path, capsys):
    assert main(["verify", *CHEAP, "--report", str(tmp_path / "r"), "--json", "-"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["passed"] is True
    assert [r["claim_id"] for r in data["results"]] == CHEAP
    assert json.loads((tmp_path / "r" / "report.json").read_text())["results"]
    page = (tmp_path / "r" / "report.html").read_text()
    assert all(name in page for name in CHEAP)
    assert "data:image/svg+xml;base64," in page
    assert "http" not in page.replace("http-equiv", "")


def test_jobs_give_the_same(capsys):
    assert main(["verify", *CHEAP, "--jobs", "2"]) == 0
    assert "2 claims: 2 holding" in capsys.readouterr().out


def test_report_shows_in_notebooks_and_text():
    report = flowkit.verify(CHEAP)
    assert "<table" in report._repr_html_()
    assert "holds" in str(report)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [({"claims": "no/claim"}, "claims"), ({"profile": "slow"}, "profile"), ({"jobs": 0}, "jobs")],
)
def test_bad_arguments(arguments, word):
    with pytest.raises(ValueError, match=f"^{word}: ") as caught:
        flowkit.verify(**arguments)
    assert "\n" not in str(caught.value)


def test_report_refuses_other_endings(tmp_path):
    report = flowkit.verify("xu-du/toy-2")
    with pytest.raises(ValueError, match=r"^file: "):
        report.save(tmp_path / "report.txt")


@pytest.mark.slow
def test_everything_holds():
    assert flowkit.verify().passed


def test_interrupt_ends_verify(monkeypatch, capsys):
    """A run cut short is no evidence: Ctrl-C must not end in a verdict."""
    from flowkit.flows import pair_setting, steppers
    from flowkit.verification.papers import xu_du

    def step(*_):
        raise KeyboardInterrupt

    pair_setting.warm_up()
    monkeypatch.setattr(steppers.Structured, "advance", step)
    xu_du.symmetric_flow.cache_clear()
    assert main(["verify", "xu-du/toy-1"]) == 130
    assert capsys.readouterr().out == ""


def test_a_run_that_fails_decides_nothing(monkeypatch):
    from flowkit.verification.papers import measures, xu_du

    monkeypatch.setattr(measures, "integrate", partial(flowkit.integrate, max_steps=5))
    xu_du.symmetric_flow.cache_clear()
    result = flowkit.verify("xu-du/toy-1").results[0]
    assert result.verdict == "undecided"
    assert "step limit" in result.rows[0].measured.note


def test_a_claim_that_breaks_spares_the_others(plant):
    def boom(_):
        raise ZeroDivisionError("boom")

    plant(Claim("test/boom", "-", "-", {"x": Prediction(0.0, 1.0)}, boom))
    report = flowkit.verify(["test/boom", "xu-du/toy-2"])
    assert [result.verdict for result in report.results] == ["undecided", "holds"]
    assert "boom" in report.results[0].rows[0].measured.note
