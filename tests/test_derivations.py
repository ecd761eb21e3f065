"""Derivations re-check themselves, catch wrong steps, and print as documents that compile."""

import re
import shutil
import subprocess
from dataclasses import replace
from itertools import pairwise

import mpmath
import numpy as np
import pytest
import sympy as sp

import flowkit
from flowkit.cli import main
from symbolic import tex
from symbolic.derivation import LIBRARY, Derivation, Step, derivation
from symbolic.library import derivations, derive
from symbolic.lower import lower
from symbolic.series import Coefficient
from symbolic.single_neuron import solution
from symbolic.toy_cases import KAPPA, MU, V

ALL = derivations()
NAMES = [made.name for made in ALL]
each = pytest.mark.parametrize("made", ALL, ids=NAMES)

X = sp.Symbol("x", real=True)
RELU = {MU: sp.S.Half, KAPPA: 1}


def altered(made, index, change):
    """The derivation with another right-hand side in one step."""
    steps = list(made.steps)
    steps[index] = replace(steps[index], after=change(steps[index].after))
    return Derivation(made.name, made.statement, made.reference, lambda: (steps, made.result))


def nudged(side):
    """The first entry changed in its fortieth digit."""
    small = sp.Rational(1, 10**40)
    if not isinstance(side, sp.MatrixBase):
        return side + small
    return sp.Matrix(side.rows, side.cols, [side[0] + small, *side[1:]])


# ---- checks --------------------------------------------------------------------------------------


@each
def test_every_step_holds(made):
    verdicts = made.check(seed=11)
    assert list(verdicts) == [step.name for step in made.steps]
    assert set(verdicts.values()) <= {"exact", "50 digits, seed 11"}
    assert verdicts.exact > 0.5 * len(verdicts)


def test_powers_of_long_numbers_take_no_time():
    """Put into (x² + y)^(1/3) exactly, a random point would be factored for hours."""
    y = sp.Symbol("y", positive=True)
    root = sp.cbrt(X**2 + y)
    step = Step("root", "cube", root**2 * root, X**2 + y)
    assert {step.check(seed) for seed in range(20)} == {"exact"}


@each
def test_no_step_equates_an_expression_with_itself(made):
    for step in made.steps:
        assert step.before != step.after, step.name


@each
def test_a_wrong_step_is_named(made):
    for step in made.steps:
        with pytest.raises(ArithmeticError) as caught:
            replace(step, after=nudged(step.after)).check()
        assert f"{step.name!r} " in str(caught.value)
    with pytest.raises(ArithmeticError, match=re.escape(made.steps[-1].name)):
        altered(made, len(made.steps) - 1, nudged).check()


@pytest.mark.parametrize("name", ["relu-kernel", "toy-1", "two-neurons", "toy-1-series"])
def test_a_sign_error_is_caught(name):
    made = derive(name)
    with pytest.raises(ArithmeticError, match="fails"):
        altered(made, len(made.steps) - 1, lambda side: -side).check()


def test_points_catch_what_sympy_does_not_look_at():
    step = Step("sine", "as the angle", sp.sin(X), X, {X: (0, 1)}, decidable=False)
    with pytest.raises(ArithmeticError, match=r"'sine' fails at x = .* \(seed 5\)"):
        step.check(seed=5)
    assert replace(step, after=sp.sin(X)).check(seed=5) == "50 digits, seed 5"


def test_what_cannot_be_compared_is_no_success():
    f = sp.Function("f")
    with pytest.raises(ArithmeticError, match="'abstract' fails"):
        Step("abstract", "no numbers", f(X), f(2 * X)).check()
    with pytest.raises(ArithmeticError, match="shape"):
        Step("shapes", "", sp.Matrix([1, 2]), sp.Integer(1)).check()


def test_step_names_are_unique():
    for made in ALL:
        assert len({step.name for step in made.steps}) == len(made.steps)
    assert len(set(NAMES)) == len(NAMES)


def test_a_new_derivation_is_listed():
    @derivation("squares", "(a + b)² expanded")
    def squares():
        a, b = sp.symbols("a b")
        return [Step("square", "multiply", (a + b) ** 2, a**2 + 2 * a * b + b**2)], a**2

    try:
        assert derive("squares") is squares()
        assert squares().check() == {"square": "exact"}
    finally:
        del LIBRARY["squares"]


def test_coefficients_of_series():
    assert Coefficient(sp.exp(X), X, 4).doit() == sp.Rational(1, 24)
    assert Coefficient(sp.cos(X) / X, X, -1).doit() == 1
    assert (
        sp.latex(Coefficient(sp.exp(X) + 1, X, 2)) == r"\left[x^{2}\right] \left(e^{x} + 1\right)"
    )


# ---- documents -----------------------------------------------------------------------------------


@each
def test_documents_hold_every_step(made):
    assert made.markdown().count("$$") == 2 * (len(made.steps) + 1)
    assert made.latex().count(r"\begin{align*}") == len(made.steps) + 1
    for step in made.steps:
        assert step.name in made.markdown()
        assert tex.text(step.name) in made.latex()
        assert tex.text(step.name) in made._repr_latex_()
    assert made.latex().count(r"\textit{exact}") == made.verdicts.exact


@each
def test_latex_is_plain_and_balanced(made):
    document = made.latex(document=True)
    assert document.isascii()
    assert document.replace(r"\{", "").count("{") == document.replace(r"\}", "").count("}")
    for line in document.replace(r"\$", "").splitlines():
        assert line.count("$") % 2 == 0, line


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no TeX on this machine")
@each
def test_latex_compiles(made, tmp_path):
    (tmp_path / "page.tex").write_text(made.latex(document=True))
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "page.tex"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout[-2000:]
    assert "Overfull" not in run.stdout


@pytest.mark.parametrize(
    ("plain", "expected"),
    [
        ("t⁻³", "$t^{-3}$"),
        ("dw_i/dt = −μ r", r"d$w_{i}$/dt = $-\mu$ r"),
        ("‖φ_1 − φ_2‖²", r"$\|\phi _{1}$ $-$ $\phi _{2}\|^{2}$"),
        ("2w_jw_kᵀ, x^{−6/(m+3)}", r"2$w_{j}w_{k}^{\top}$, $x^{-6/(m+3)}$"),
        ("w̄₁", r"$\bar{w}_{1}$"),
        ("½ a·b & 3%", r"$\tfrac12$ a$\cdot$b \& 3\%"),
        ("Mᵀ, λ", r"$M^{\top}$, $\lambda$"),
    ],
)
def test_text_becomes_tex(plain, expected):
    assert tex.text(plain) == expected


@each
def test_python_source_gives_the_result(made):
    """The written function agrees with the expression at 40 digits, at a random point."""
    result = made.result
    shaped = isinstance(result, sp.MatrixBase | sp.Tuple)
    entries = [sp.sympify(e) for e in (result if shaped else [result])]
    space = {}
    exec(made.python(), space)
    symbols = sorted(result.free_symbols, key=str)
    draw = np.random.default_rng(7)
    values = [
        2 if s.is_integer else sp.Rational(int(x), 100)
        for s, x in zip(symbols, draw.integers(20, 90, len(symbols)), strict=True)
    ]
    # c = a·b is at most √(pq).
    values = [x / 10 if str(s) == "c" else x for s, x in zip(symbols, values, strict=True)]
    point = dict(zip(symbols, values, strict=True))
    expected = [float(sp.N(e.subs(point).doit(), 30)) for e in entries]
    got = space[made.name.replace("-", "_")](*map(float, values))
    assert np.ravel(got) == pytest.approx(expected, rel=1e-13, abs=1e-15)


def test_python_source_keeps_accuracy_near_zero():
    space = {}
    exec(derive("toy-1").python(), space)
    _, loss = space["toy_1"](1.0, 1.0, 1e-30)
    assert loss == pytest.approx(1e-90 / (6 * np.pi), rel=1e-14)


# ---- names ---------------------------------------------------------------------------------------


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"^name: unknown 'toy-4'") as caught:
        flowkit.derive("toy-4")
    assert all(name in str(caught.value) for name in NAMES)


def test_command_lists(capsys):
    assert main(["derive"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == NAMES


@pytest.mark.parametrize("kind", ["latex", "markdown", "python"])
def test_command_writes(kind, tmp_path, capsys):
    file = tmp_path / "out"
    assert main(["derive", "toy-2", "--format", kind, "--out", str(file)]) == 0
    assert main(["derive", "toy-2", "--format", kind]) == 0
    assert capsys.readouterr().out == file.read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["toy-4"], "name: unknown 'toy-4' (did you mean 'toy-3'?); known are relu-kernel"),
        (
            ["toy-1", "--format", "pdf"],
            "--format: unknown 'pdf'; known are latex, markdown, python",
        ),
        (["toy-1", "--out", "/no/such/folder/x"], "/no/such/folder/x: cannot write"),
    ],
)
def test_bad_commands(arguments, message, capsys):
    assert main(["derive", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


# ---- against flows -------------------------------------------------------------------------------


def precise(teacher, w0, t_max, t_eval, digits=50):
    problem = flowkit.TeacherStudent(teacher)
    return flowkit.integrate(problem, w0, t_max, t_eval=t_eval, precision=digits)


def test_the_single_neuron_follows_its_closed_form():
    """The derived θ(t), ρ(t) against a flow of 50 digits, from an obtuse angle."""
    start = ["-0.3", "0.4"]
    times = [1, 5, 20]
    flow = precise(["1.5", "0"], [start], 20, times)
    context = mpmath.MPContext()
    context.dps = 60
    angle, norm = (form.subs(RELU) for form in solution())
    symbols = sorted(angle.free_symbols | norm.free_symbols, key=str)
    values = {
        "V": context.mpf(3) / 2,
        "rho_0": context.mpf(1) / 2,
        "theta_0": context.atan2(context.mpf(4), -3),
    }
    function = lower([angle, norm], symbols, "mpmath", context)
    for t, w in zip(times, flow.w, strict=True):
        theta, rho = function(*(values.get(str(s), context.mpf(t)) for s in symbols))
        x, y = (context.convert(component) for component in w[0])
        assert abs(x - rho * context.cos(theta)) < context.mpf(10) ** -48
        assert abs(y / (rho * context.sin(theta)) - 1) < context.mpf(10) ** -46


def test_the_loss_of_a_single_neuron_falls_to_its_constant():
    flow = precise(["1.5", "0"], [["-0.3", "0.4"]], 100, [100])
    context = mpmath.MPContext()
    context.dps = 60
    v, rho = context.mpf(3) / 2, context.mpf(1) / 2
    theta = context.atan2(context.mpf(4), -3)
    d = (context.pi - theta) / (2 * context.pi * rho * context.sin(theta))
    c = d - context.cot(theta) / (2 * v)
    limit = derive("single-neuron-rate").result[0].subs(RELU)
    symbols = [sp.Symbol("C", real=True), sp.Symbol("D", positive=True), V]
    (value,) = lower([limit], symbols, "mpmath", context)(c, d, v)
    ratio = context.convert(flow.loss[-1]) * context.exp(100) / value
    assert abs(ratio - 1) < context.exp(-50) * 100


@pytest.fixture(scope="module")
def mirror_flow():
    """Toy case 1 from a start off the invariant set."""
    times = [10**k for k in range(3, 7)]
    return times, precise(["1", "0"], [["0.3", "0.2"], ["0.3", "-0.2"]], 1e12, [*times, 1e12])


def mirror_numbers(flow, index, context):
    x, y = (context.convert(component) for component in flow.w[index][0])
    return context.atan2(y, x), context.convert(flow.loss[index])


def test_toy_1_series_against_the_flow(mirror_flow):
    """Each further term lowers the error by t⁻²; the last by the first that is left out."""
    times, flow = mirror_flow
    context = mpmath.MPContext()
    context.dps = 60
    pi = context.pi
    last, _ = mirror_numbers(flow, -1, context)
    # t₀ from κτ = π/θ − (2π/3)θ − …, whose next terms are below 1e-36 at t = 1e12.
    shift = pi / last - 2 * pi / 3 * last - 14 * pi / 135 * last**3 - context.mpf(10) ** 12
    tau = sp.Symbol("tau", positive=True)
    for which, series in enumerate(derive("toy-1-series").result):
        terms = sp.Add.make_args(sp.expand(series.subs({KAPPA: 1, V: 1})))
        terms = sorted(terms, key=lambda term: sp.Poly(term, 1 / tau).degree())
        for kept in (1, 2, 3):
            function = lower([sp.Add(*terms[:kept])], [tau], "mpmath", context)
            errors = [
                abs(function(t + shift)[0] / mirror_numbers(flow, i, context)[which] - 1)
                for i, t in enumerate(times)
            ]
            orders = [context.log10(a / b) for a, b in pairwise(errors)]
            assert all(abs(order - 2 * kept) < 0.02 for order in orders), (kept, orders)


# ---- steps that must not pass --------------------------------------------------------------------

POSITIVE = sp.Symbol("p", positive=True)
Z = sp.Symbol("z")
WRONG = {
    "tiny": (sp.exp(-200 - POSITIVE), 0),
    "tiny on the right": (0, sp.exp(-200 - POSITIVE)),
    "float": (POSITIVE + 1e-20, POSITIVE),
    "floats": (0.1, sp.Rational(1, 10)),
    "shape": (sp.zeros(2, 3), sp.zeros(3, 2)),
    "matrix and scalar": (sp.Matrix([[1]]), 1),
    "cases": (sp.Piecewise((POSITIVE, POSITIVE < 1), (POSITIVE**2, True)), POSITIVE**2),
    "branch": (sp.log(Z * X), sp.log(Z) + sp.log(X)),
    "cancelling": (sp.cosh(100 * X) ** 2 - sp.sinh(100 * X) ** 2, 1 + sp.Rational(1, 10**45)),
    "complex": (sp.I * X, X),
    "nan": (sp.nan, sp.nan),
    "boolean": (True, 1),
    "relation": (sp.Eq(X, 1), X),
    "text": ("x", X),
    "none": (None, 0),
}


@pytest.mark.parametrize("case", WRONG)
@pytest.mark.parametrize("seed", [0, 1])
def test_a_wrong_equality_does_not_pass(case, seed):
    with pytest.raises(ArithmeticError, match=r"^step 'wrong' fails"):
        Step("wrong", "none", *WRONG[case]).check(seed)


def test_an_equality_that_cancels_holds():
    form = sp.cosh(100 * X) ** 2 - sp.sinh(100 * X) ** 2
    assert Step("cosh", "cosh² − sinh² = 1", form, sp.S.One).check() == "exact"


def test_names_are_taken_once():
    with pytest.raises(ValueError, match=r"^name: there is a derivation 'toy-1'"):
        derivation("toy-1", "another")(lambda: ([], X))
    step = Step("twice", "", X, X)
    with pytest.raises(ArithmeticError, match="two steps of one name"):
        Derivation("d", "", "", lambda: ([step, step], X)).check()


def test_matrices_keep_their_cells_in_notebooks():
    made = derive("pair-hessian")
    assert made._repr_latex_().count("&") > 8 * len(made.steps)


def test_matrix_results_take_arrays():
    space = {}
    exec(derive("toy-3").python(), space)
    numbers = [space["toy_3"](1.0, 0.5, 2, 1.0, rho, 0.2) for rho in (0.3, 0.4)]
    together = space["toy_3"](1.0, 0.5, 2, 1.0, np.array([0.3, 0.4]), 0.2)
    assert together.shape == (2, 1, 2)
    assert np.array_equal(together, np.stack(numbers, axis=-1))


def test_the_ending_tells_the_format(tmp_path):
    for ending, start in ((".tex", r"\documentclass"), (".md", "# toy-2"), (".py", '"""Toy')):
        file = tmp_path / f"toy{ending}"
        assert main(["derive", "toy-2", "--out", str(file)]) == 0
        assert file.read_text().startswith(start)
