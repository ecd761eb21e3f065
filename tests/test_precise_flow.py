"""What a flow in many digits offers and refuses: stops, files, bad input, text."""

import json
import os
import signal
import threading

import mpmath
import numpy as np
import pytest
import sympy as sp

import flowkit
from flowkit.cli import main

x, y, t = sp.symbols("x y t")
DECAY = flowkit.VectorField([-x], (x,))
PLANE = flowkit.TeacherStudent([1.0, 0.0])
W0 = [[0.3, 0.4], [0.3, -0.4]]


def refused(argument, call):
    with pytest.raises(ValueError) as caught:
        call()
    text = str(caught.value)
    assert text.startswith(f"{argument}"), text
    assert "\n" not in text


@pytest.mark.parametrize("precision", [14, 0, -3, 50.0, "50", True])
def test_precision(precision):
    refused("precision", lambda: flowkit.integrate(DECAY, [1], 1, precision=precision))


@pytest.mark.parametrize(
    ("argument", "keywords"),
    [
        ("rtol", {"rtol": 1e-40}),
        ("rtol", {"rtol": 0}),
        ("rtol", {"rtol": "x"}),
        ("method", {"method": "BDF"}),
        ("events", {"events": lambda t, w: 1.0}),
        ("stop_loss", {"stop_loss": 1e-3}),
        ("t_eval", {"t_eval": [2]}),
        ("t_eval", {"t_eval": []}),
        ("t_eval", {"t_eval": [0.5, 0.5]}),
        ("t_eval", {"t_eval": [float("nan")]}),
        ("checkpoint", {"checkpoint": "/no/such/folder/run.nc"}),
    ],
)
def test_keywords(argument, keywords):
    refused(argument, lambda: flowkit.integrate(DECAY, [1], 1, precision=30, **keywords))


@pytest.mark.parametrize("t_max", [0, -1, float("inf"), float("nan"), "x", 10**101, None])
def test_t_max(t_max):
    refused("t_max", lambda: flowkit.integrate(DECAY, [1], t_max, precision=30))


@pytest.mark.parametrize("w0", [[1, 2], [], [[1]], ["x"], [float("nan")], [1j], None])
def test_initial_values(w0):
    refused("w0", lambda: flowkit.integrate(DECAY, w0, 1, precision=30))


def test_a_zero_neuron_is_refused():
    refused("w0", lambda: flowkit.integrate(PLANE, [[0, 0], [1, 1]], 1, precision=30))


@pytest.mark.parametrize(
    ("argument", "build"),
    [
        ("expression", lambda: flowkit.SymbolicLoss(x + y, (x,))),
        ("expression", lambda: flowkit.SymbolicLoss(sp.I * x, (x,))),
        ("expression", lambda: flowkit.SymbolicLoss(sp.Matrix([x]), (x,))),
        ("expression", lambda: flowkit.SymbolicLoss(sp.Heaviside(x), (x,))),
        ("expression", lambda: flowkit.SymbolicLoss(sp.zeta(x), (x,))),
        ("variables", lambda: flowkit.SymbolicLoss(x, (x, x))),
        ("variables", lambda: flowkit.SymbolicLoss(x, (1,))),
        ("expressions", lambda: flowkit.VectorField([x], (x, y))),
        ("expressions", lambda: flowkit.VectorField([t * x], (x,), y)),
        ("t", lambda: flowkit.VectorField([x], (x,), x)),
    ],
)
def test_expressions(argument, build):
    refused(argument, build)


def test_floats_are_the_doubles_that_they_are_and_strings_decimals():
    flow = flowkit.integrate(flowkit.VectorField([0.1 * x**0], (x,)), ["0.1"], 1, precision=40)
    with mpmath.workdps(60):
        assert abs(flow.y[-1][0] - (mpmath.mpf("0.1") + mpmath.mpf(0.1))) < 1e-40
    teacher = flowkit.TeacherStudent(["0.1", "0.2"])
    loss = teacher.loss([["0.1", "0.2"]], precision=50)
    assert loss == 0
    assert teacher.loss([[0.1, 0.2]], precision=50) > 0


@pytest.mark.parametrize(
    ("field", "start", "status", "where"),
    [
        ([x**2], [1], "blow-up", 1.0),
        ([sp.exp(x)], [0], "blow-up", 1.0),
        ([1 + x**2], [0], "blow-up", float(sp.pi / 2)),
        ([-1 / x], [1], "singularity", 0.5),
        ([-sp.sqrt(1 - t)], [1], "singularity", 1.0),
        ([sp.log(-1 - x**2)], [1], "undefined", 0.0),
        ([1 / x], [0], "undefined", 0.0),
    ],
)
def test_a_stop_has_a_name_and_a_time(field, start, status, where):
    flow = flowkit.integrate(flowkit.VectorField(field, (x,), t), start, 10, precision=30)
    assert flow.status == status
    assert float(flow.t[-1]) == pytest.approx(where, abs=1e-6)
    assert [event.kind for event in flow.events] == [status]
    assert f"t = {float(flow.t[-1]):.15g}"[:8] in flow.message


def test_blow_up_is_right_up_to_the_end():
    flow = flowkit.integrate(flowkit.VectorField([x**2], (x,)), [1], 10, precision=30)
    with mpmath.workdps(80):
        for time, state, claimed in zip(flow.t, flow.y, flow.w_digits, strict=True):
            error = abs(state[0] * (1 - time) - 1)
            rounding = mpmath.mpf(10) ** -44 / (1 - time)
            assert error < mpmath.mpf(10) ** -int(claimed[0]) + rounding


def test_a_dying_neuron_stops_the_run():
    W = 0.1 * np.random.default_rng(0).standard_normal((4, 6))
    problem = flowkit.TeacherStudent([1.0, 0, 0, 0, 0, 0])
    flow = flowkit.integrate(problem, W, 100, precision=15, certify=False)
    assert flow.status == "singularity"
    assert float(flow.t[-1]) == pytest.approx(12.2, abs=0.1)


def test_limits_end_a_run_with_their_names():
    assert flowkit.integrate(PLANE, W0, 1e9, precision=30, max_steps=3).status == "step limit"
    assert flowkit.integrate(PLANE, W0, 1e9, precision=30, max_seconds=1e-6).status == "time limit"


def test_one_run_says_so():
    flow = flowkit.integrate(PLANE, W0, 10, precision=30, certify=False)
    assert not flow.certified
    assert flow.loss_digits is None
    assert flow.w_digits is None
    assert "not certified" in repr(flow)
    assert "not certified" in flow.text(-1)
    assert np.isnan(flow.loss_error).all()


def test_without_a_precision_numbers_are_doubles():
    flow = flowkit.integrate(flowkit.SymbolicLoss((x**2 + y**2) / 2, (x, y)), [1.0, 2.0], 5.0)
    assert flow.w.dtype == flow.loss.dtype == flow.t.dtype == float
    assert flow.loss[-1] == pytest.approx(2.5 * np.exp(-10), rel=1e-14)


def test_saved_and_loaded(tmp_path):
    flow = flowkit.integrate(PLANE, W0, 100, precision=30)
    flow.save(tmp_path / "run.nc")
    same = flowkit.load(tmp_path / "run.nc")
    assert (same.t == flow.t).all()
    assert (same.w == flow.w).all()
    assert (same.loss == flow.loss).all()
    assert (same.loss_digits == flow.loss_digits).all()
    assert (same("7.5") == flow("7.5")).all()
    assert same.to_dict() == flow.to_dict()


@pytest.mark.parametrize(
    "problem",
    [
        flowkit.SymbolicLoss(x**4 / 4 + sp.cosh(y) * sp.pi, (x, y)),
        flowkit.VectorField([-x * sp.cos(t), y ** sp.Rational(1, 3)], (x, y), t),
        flowkit.PhaseRetrieval([1.0, 0.5], output_scale=2, samples=[[1.0, 2.0], [0.5, -1.0]]),
    ],
)
def test_every_problem_can_be_saved(tmp_path, problem):
    w0 = [[0.5, 0.7]] if isinstance(problem, flowkit.PhaseRetrieval) else ["0.5", "0.7"]
    flow = flowkit.integrate(problem, w0, 2, precision=20)
    flow.save(tmp_path / "run.nc")
    same = flowkit.load(tmp_path / "run.nc")
    assert (same(1.5) == flow(1.5)).all()
    further = flowkit.resume(tmp_path / "run.nc", 3)
    whole = flowkit.integrate(problem, w0, 3, precision=20)
    for a, b in zip(further.w[-1].ravel(), whole.w[-1].ravel(), strict=True):
        assert abs(a - b) < 1e-18 * abs(b)


def test_an_altered_file_is_refused(tmp_path):
    file = tmp_path / "run.nc"
    flowkit.integrate(DECAY, [1], 1, precision=20).save(file)
    content = bytearray(file.read_bytes())
    content[-20] ^= 1
    file.write_bytes(content)
    refused("file", lambda: flowkit.load(file))
    file.write_bytes(content[:100])
    refused("file", lambda: flowkit.load(file))


def test_a_stopped_run_is_resumed(tmp_path):
    file = tmp_path / "run.nc"
    part = flowkit.integrate(PLANE, W0, 1e6, precision=30, max_steps=8, checkpoint=file)
    assert part.status == "step limit"
    whole = flowkit.resume(file)
    assert whole.status == "finished"
    direct = flowkit.integrate(PLANE, W0, 1e6, precision=30)
    assert abs(whole.loss[-1] / direct.loss[-1] - 1) < 1e-15
    refused("t_max", lambda: flowkit.resume(file, 1e-3))


def test_control_c_returns_what_was_reached():
    timer = threading.Timer(1.0, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    flow = flowkit.integrate(
        flowkit.VectorField([y, -(10**8) * x], (x, y)), [1, 0], 100, precision=30
    )
    assert flow.status == "interrupted"
    assert 0 < float(flow.t[-1]) < 100


def test_json_holds_the_digits_that_are_certain(tmp_path):
    file = tmp_path / "flow.json"
    command = ["flow", "--neurons", "2", "--dim", "2", "--t-max", "100", "--precision", "30"]
    assert main([*command, "--times", "0,1,100", "--json", str(file)]) == 0
    data = json.loads(file.read_text())
    assert data["t"][1].startswith("1.000")
    assert data["certified"]
    W = 0.1 * np.random.default_rng(0).standard_normal((2, 2))
    flow = flowkit.integrate(PLANE, W, 100, precision=40, t_eval=[0, 1, 100])
    for text, known, truth in zip(data["loss"], data["loss_digits"], flow.loss, strict=True):
        assert isinstance(text, str)
        shown = len(text.partition("e")[0].replace(".", "").lstrip("0"))
        assert 17 < shown <= min(known, 30)
        with mpmath.workdps(60):
            assert abs(mpmath.mpf(text) / truth - 1) < mpmath.mpf(10) ** (1 - shown)


def test_the_command_line_prints_no_more_than_is_certain(capsys):
    command = ["flow", "--neurons", "2", "--dim", "2", "--t-max", "10", "--precision", "20"]
    assert main(command) == 0
    assert "two runs agree" in capsys.readouterr().out
    assert main([*command, "--one-run"]) == 0
    assert "not certified" in capsys.readouterr().out


def test_for_notebooks():
    flow = flowkit.integrate(PLANE, W0, 10, precision=20)
    assert "two runs agree" in flow._repr_html_()
    assert flowkit.SymbolicLoss(x**2, (x,))._repr_latex_().startswith("$")
    assert "align" in DECAY._repr_latex_()


def test_figures(tmp_path):
    import matplotlib

    matplotlib.use("Agg")
    flowkit.integrate(PLANE, W0, 100, precision=20).plot().figure.savefig(tmp_path / "a.png")
    flowkit.integrate(DECAY, [1], 2, precision=20).plot().figure.savefig(tmp_path / "b.png")
    assert (tmp_path / "a.png").stat().st_size > 1000


@pytest.mark.parametrize(
    "form",
    [sp.exp(2), sp.sin(2), sp.sqrt(2), sp.log(2), sp.exp(-sp.sqrt(2)), sp.pi, sp.E, 2**t, t**t],
)
def test_constants_within_functions(form):
    """An integer that reaches python-flint as an integer crashed the interpreter."""
    flow = flowkit.integrate(flowkit.VectorField([form], (x,), t), [0], 1, precision=20)
    with mpmath.workdps(40):
        truth = mpmath.quad(sp.lambdify(t, form, "mpmath"), [0, 1])
        assert abs(flow.y[-1][0] / truth - 1) < 1e-18


@pytest.mark.parametrize(
    ("argument", "build"),
    [
        ("expressions", lambda: flowkit.VectorField([sp.Piecewise((x, x > 2))], (x,))),
        ("expression", lambda: flowkit.SymbolicLoss(sp.Piecewise((x**3, x > 0), (0, True)), (x,))),
        ("expression", lambda: flowkit.SymbolicLoss(sp.EulerGamma * x, (x,))),
        ("expression", lambda: flowkit.SymbolicLoss(sp.Integral(x * t, (t, 0, 1)), (x,))),
        ("expression", lambda: flowkit.SymbolicLoss("x", (x,))),
        ("variables", lambda: flowkit.SymbolicLoss(x, 5)),
        ("w0", lambda: flowkit.integrate(DECAY, ["1/0"], 1, precision=20)),
        ("w0", lambda: flowkit.integrate(DECAY, ["1e1000000000"], 1, precision=20)),
        ("precision", lambda: flowkit.integrate(DECAY, [1], 1, precision=10**6)),
        ("max_steps", lambda: flowkit.integrate(DECAY, [1], 1, precision=20, max_steps=1.5)),
        ("max_seconds", lambda: flowkit.integrate(DECAY, [1], 1, precision=20, max_seconds="a")),
        ("checkpoint", lambda: flowkit.integrate(DECAY, [1], 1, precision=20, checkpoint=3)),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(argument, build):
    refused(argument, build)


def test_symbols_may_bear_the_name_of_a_function():
    root = sp.Symbol("sqrt")
    flow = flowkit.integrate(
        flowkit.VectorField([-2 * sp.sqrt(root)], (root,)), [4], 1, precision=20
    )
    assert abs(flow.y[-1][0] - 1) < 1e-18


def test_near_a_zero_no_digit_is_claimed_that_is_not_there():
    """cos at 30 digits of π/2: a number of 1e-29 whose error does not shrink with it."""
    spring = flowkit.VectorField([y, -x], (x, y))
    flow = flowkit.integrate(
        spring, [1, 0], 10, precision=30, t_eval=["1.5707963267948966192313216916"]
    )
    with mpmath.workdps(60):
        right = -mpmath.log10(abs(flow.y[0, 0] / mpmath.cos(flow.t[0]) - 1))
    assert flow.w_digits[0, 0] <= right < 20
    assert flow.w_digits[0, 1] >= 30


def test_what_has_decayed_beyond_doubles_ends_no_run():
    loss = flowkit.SymbolicLoss(x**2 / 2, (x,))
    flow = flowkit.integrate(loss, [1], 10**4, precision=30)
    assert flow.status == "finished"
    assert flow.loss_digits[0] >= 30
    assert flow.loss_digits[-1] == 0
    assert flow.text(-1).startswith(("unknown", "0"))


def test_doubles_claim_no_more_than_doubles_hold():
    flow = flowkit.integrate(flowkit.SymbolicLoss(x**2 / 2, (x,)), [2], 5)
    assert flow.loss_digits.max() <= 15
    assert flow.w_digits.max() <= 15


@pytest.mark.parametrize("scale", ["1e-40", "5e-324", "1e-1000", "1e1000"])
def test_any_scale(scale):
    flow = flowkit.integrate(DECAY, [scale], 1, precision=20, t_eval=[1])
    with mpmath.workdps(40):
        assert abs(flow.y[0, 0] * mpmath.e / mpmath.mpf(scale) - 1) < 1e-18


@pytest.mark.slow
def test_a_neuron_that_dies_is_named():
    problem = flowkit.TeacherStudent([1, 0])
    flow = flowkit.integrate(problem, [["-0.5", 0]], 2000, precision=15, certify=False)
    assert flow.status == "singularity"
    assert "neuron 0 reaches zero" in flow.message


def test_a_time_limit_holds_for_the_check_too():
    flow = flowkit.integrate(PLANE, W0, 1e12, precision=60, max_seconds=0.5)
    assert flow.status in ("time limit", "finished")


def test_no_time_of_t_eval_reached():
    flow = flowkit.integrate(
        flowkit.VectorField([x**2], (x,)), [1], 10, precision=20, t_eval=[2, 3]
    )
    assert len(flow.t) == 0
    assert "blow-up" in repr(flow)
    assert flow.to_dict()["t"] == []
