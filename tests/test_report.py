"""The report of `verify`: page, table, JSON; nothing passes that was not measured."""

import json
from math import inf, nan

import pytest

import flowkit
from flowkit.verification.check import check
from flowkit.verification.claim import Claim, Derived, Evidence, Measured, Prediction
from flowkit.verification.reports.mathematics import mathml
from flowkit.verification.reports.numbers import number, predicted
from flowkit.verification.reports.page import page, scripts, typeset, words
from flowkit.verification.reports.report import Report
from flowkit.verification.reports.terminal import text

FORMULA = r"\lim_{t\to\infty} t^3 L = \frac{\pi^2}{6}\Bigl(\sum_i \mathbf w_i\Bigr)^2"


def checked(values, predictions=None, **more):
    """The result of a claim that measures these values."""
    predictions = {"x": Prediction(1.0, 1e-3)} if predictions is None else predictions
    evidence = {name: more.pop(name) for name in ("draw", "runs", "omits") if name in more}
    more = {"id": "test/x", "statement": "x = 1 & `y` < 2", "source": "Lemma 1"} | more
    claim = Claim(predictions=predictions, measure=lambda _: Evidence(values, **evidence), **more)
    return check(claim, "quick")


@pytest.fixture
def many():
    """A claim of fifty runs, of which one fails and one is undecided."""
    values = {
        f"x · seed {k}": Measured(1.0, 1e-6, f"remark {k} " + 30 * "long ") for k in range(50)
    }
    values["x · seed 30"] = Measured(1.5, 1e-6)
    values["x · seed 40"] = Measured(nan, inf, "the run stopped")
    runs = tuple(f"n = 2, default_rng({k})" for k in range(50))
    return checked(values, runs=runs, group="Theorems 2 and 12", formula=FORMULA)


@pytest.fixture
def report(many):
    one = checked(
        {"x": Measured(1.0, 1e-6)}, id="test/one", group="Beyond the paper", runs=("one",)
    )
    none = checked({"x": Measured(1.0, 1.0)}, id="test/open", group="Theorems 2 and 12")
    return Report((many, one, none), "quick")


def test_report_in_python(report):
    assert report["test/one"].verdict == "holds"
    assert not report.passed
    assert [r.claim_id for r in report.holding] == ["test/one"]
    assert [r.claim_id for r in report.failed] == ["test/x"]
    assert [r.claim_id for r in report.undecided] == ["test/open"]
    assert [name for name, _ in report.groups()] == ["Theorems 2 and 12", "Beyond the paper"]
    assert [r.claim_id for r in report] == ["test/x", "test/one", "test/open"]
    with pytest.raises(KeyError):
        report["test/none"]
    shown = report._repr_html_()
    assert "<table" in shown and "test/one" in shown and "href" not in shown


def test_page_is_self_contained(report):
    shown = page(report)
    assert "http" not in shown
    assert "<script" not in shown
    assert "src=" not in shown.replace('src="data:', "")
    assert report.version in shown and "profile quick" in shown
    for count in ("1 holding", "1 failing", "1 undecided"):
        assert count in shown
    assert "x = 1 &amp; <code>y</code> &lt; 2" in shown
    assert "Theorems 2 and 12" in shown
    assert "flowkit verify test/one --profile quick" in shown
    assert "What was run (50)" in shown
    assert '<math display="block" alttext="\\lim' in shown


def test_failing_rows_come_first(report):
    shown = page(report)
    section = shown[shown.index('<section id="test/x"') :]
    order = [section.index(f"<td>{name}<") for name in ("seed 30", "seed 40", "seed 0", "seed 49")]
    assert order == sorted(order)


@pytest.mark.parametrize("width", [100, 160])
def test_table_stays_narrow_and_short(report, width):
    lines = text(report, width=width).splitlines()
    assert max(map(len, lines)) <= width
    shown = "\n".join(lines)
    assert shown.index("seed 30") < shown.index("seed 40") < shown.index("seed 0 ")
    assert "… and 38 more, all holding" in shown
    assert len(lines) < 50
    assert ("margin" in lines[0]) == (width == 160) or width == 100
    assert "Theorems 2 and 12" in shown


def test_all_rows_that_do_not_hold_are_shown():
    values = {f"x · seed {k}": Measured(2.0 if k % 2 else 1.0, 0.0) for k in range(40)}
    shown = text(Report((checked(values),), "quick"))
    assert shown.count("✗ fails") == 20
    assert "… and 20 more, all holding" in shown


def test_json_has_all_but_figures(report):
    def refuse(name):
        raise ValueError(name)

    data = json.loads(json.dumps(report.to_dict(), allow_nan=False), parse_constant=refuse)
    assert data["counts"] == {"holds": 1, "fails": 1, "undecided": 1}
    assert data["passed"] is False
    first = data["results"][0]
    assert first["formula"] == FORMULA
    assert first["group"] == "Theorems 2 and 12"
    assert len(first["runs"]) == 50
    assert first["command"] == "flowkit verify test/x --profile quick"
    rows = {row["name"]: row for row in first["rows"]}
    assert rows["x · seed 30"]["margin"] == pytest.approx(-0.499)
    assert rows["x · seed 40"]["measured"] == {
        "value": "nan",
        "error": "inf",
        "note": "the run stopped",
    }


def test_what_is_not_measured_does_not_pass():
    predictions = {"x": Prediction(1.0, 1e-3), "y": Prediction(2.0, 1e-3)}
    result = checked({"x · seed 0": Measured(1.0, 0.0)}, predictions)
    assert result.verdict == "undecided"
    assert (result.rows[1].name, result.rows[1].measured.note) == ("y", "not measured")
    assert checked({"x": Measured(1.0, 0.0)}, predictions, omits=("y",)).verdict == "holds"
    assert checked({}).verdict == "undecided"


def test_what_is_not_predicted_does_not_pass():
    result = checked({"x": Measured(1.0, 0.0), "z": Measured(1.0, 0.0)})
    assert result.verdict == "undecided"
    assert "nothing is predicted" in result.rows[1].measured.note


def test_predictions_that_break():
    def derive():
        raise ArithmeticError("no law")

    result = checked({"x": Measured(1.0, 0.0)}, Derived(derive))
    assert result.verdict == "undecided"
    assert result.rows[0].measured.note == "ArithmeticError: no law"
    assert "no law" in page(Report((result,), "quick"))


def test_a_figure_that_breaks_costs_only_the_figure():
    def draw(_):
        raise ValueError("no data")

    result = checked({"x": Measured(1.0, 0.0)}, draw=draw)
    assert result.verdict == "holds"
    assert "no data" in result.notes[0]
    assert "no data" in page(Report((result,), "quick"))


def test_worst_row_is_the_one_nearest_to_its_limit():
    predictions = {
        "x": Prediction(1.0, 1e-3),
        "y": Prediction(0.0, 1e-9),
        "z": Prediction(0.0, 0.0),
    }
    values = {"x": Measured(1.0, 1e-9), "y": Measured(5e-10, 1e-12), "z": Measured(0.0, 0.0)}
    assert checked(values, predictions).worst.name == "y"
    assert checked(values | {"x": Measured(nan, 0.0)}, predictions).worst.name == "x"
    assert checked(values | {"z": Measured(1.0, 0.0)}, predictions).worst.name == "z"


@pytest.mark.parametrize(
    ("value", "error", "shown"),
    [
        (1.23456, 1e-3, "1.2346 ± 1.0e-03"),
        (2.3e12, 1e3, "2.3000000000e+12 ± 1.0e+03"),
        (1e-20, 1e-25, "1.000000e-20 ± 1.0e-25"),
        (0.0, 0.0, "0"),
        (nan, nan, "–"),
        (1.0, inf, "1 ± inf"),
        (inf, 0.0, "inf ± 0.0e+00"),
        (3e-14, 7e-13, "3.00e-14 ± 7.0e-13"),
    ],
)
def test_numbers(value, error, shown):
    assert number(Measured(value, error)) == shown


def test_numbers_in_print():
    assert typeset("-3.0 ± 1.8e-12") == "−3.0 ± 1.8·10<sup>−12</sup>"
    assert typeset(predicted(Prediction(-3, 1e-3, "<=", "O(t⁻³)"))) == (
        "≤ −3 ± 10<sup>−3</sup> (O(t⁻³))"
    )


@pytest.mark.parametrize(
    ("tolerance", "shown", "printed"),
    [
        (0.15, "0.15", "0.15"),
        (0.1, "0.1", "0.1"),
        (1.5e-3, "1.5e-03", "1.5·10<sup>−3</sup>"),
        (2e-3, "2e-03", "2·10<sup>−3</sup>"),
        (7.91e-9, "7.9e-09", "7.9·10<sup>−9</sup>"),
        (15, "15", "15"),
    ],
)
def test_tolerances(tolerance, shown, printed):
    assert predicted(Prediction(1.0, tolerance)) == f"1 ± {shown}"
    assert typeset(predicted(Prediction(1.0, tolerance))) == f"1 ± {printed}"


@pytest.mark.parametrize(
    ("plain", "html"),
    [
        ("κ_max(0)", "κ<sub>max</sub>(0)"),
        ("n²‖v‖θ²_max, largest", "n²‖v‖θ²<sub>max</sub>, largest"),
        ("Σ_{i&lt;j}‖zᵢ − zⱼ‖", "Σ<sub>i&lt;j</sub>‖zᵢ − zⱼ‖"),
        ("Σw_i = 0", "Σw<sub>i</sub> = 0"),
        ("‖∇L‖/L^⅔ → √3 C^(−1/6)", "‖∇L‖/L<sup>⅔</sup> → √3 C<sup>−1/6</sup>"),
        ("e^(-2λt), e^{t/2}, 10^12.", "e<sup>−2λt</sup>, e<sup>t/2</sup>, 10<sup>12</sup>."),
        ("default_rng(seed).standard_t(2)", "default_rng(seed).standard_t(2)"),
        ("t_eval, max_steps, zero_neuron", "t_eval, max_steps, zero_neuron"),
    ],
)
def test_scripts(plain, html):
    assert scripts(plain) == html


def test_scripts_on_the_page():
    statement = "κ_max and `κ_max`"
    assert words(statement) == "κ<sub>max</sub> and <code>κ_max</code>"
    result = checked({"θ_max": Measured(1.0, 0.0)}, {"θ_max": Prediction(1.0, 0.15)})
    assert "θ<sub>max</sub>" in page(Report((result,), "quick"))
    assert "θ_max" in text(Report((result,), "quick"))


def test_formulas():
    shown = mathml(FORMULA)
    assert "xmlns" not in shown
    assert shown.count("<munder>") == 2
    assert "𝐰" in shown
    assert 'form="postfix"' in shown  # the large parentheses stretch
    assert "<mtable" in mathml(r"\begin{aligned} x &= 1 \\ y &= 2\end{aligned}")
    for wrong in (r"\nosuchmacro x", "a & b"):
        with pytest.raises(Exception, match=r"unknown|token"):
            mathml(wrong)
        bad = checked({"x": Measured(1.0, 0.0)}, formula=wrong)
        assert "<code>" in page(Report((bad,), "quick"))


@pytest.mark.parametrize("claim", flowkit.claims(), ids=lambda claim: claim.id)
def test_every_formula_converts(claim):
    assert not claim.formula or mathml(claim.formula)
