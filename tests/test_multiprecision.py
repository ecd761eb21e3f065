"""Flows in many digits against references made by other methods, and what they say of themselves.

`reference_flows.json`: two runs of an independent solver, in other coordinates and with textbook
formulas.  `reference_ivp.json`: two runs of Lobatto IIIC and, where affordable, a Taylor series.
"""

import json
from pathlib import Path

import flint
import mpmath
import numpy as np
import pytest
import sympy as sp

import flowkit

FLOWS = json.loads((Path(__file__).parent / "data" / "reference_flows.json").read_text())
IVP = json.loads((Path(__file__).parent / "data" / "reference_ivp.json").read_text())
MP = mpmath.MPContext()
MP.dps = 120


def digits(value, truth):
    """Decimal digits on which a number and the truth agree."""
    value, truth = MP.convert(value), MP.mpf(truth)
    if value == truth:
        return 99.0
    return float(-MP.log10(abs(value / truth - 1))) if truth else float(-MP.log10(abs(value)))


def reference(name, last):
    """A case up to t = 10^last: problem, W0, times, losses."""
    case = FLOWS[name]
    times = [int(t) for t in case["t"] if int(t) <= 10**last]
    problem = flowkit.TeacherStudent(case["teacher"])
    return problem, case["w0"], times, case["loss"][: len(times)], case.get("w", [])


@pytest.mark.parametrize(
    ("name", "last"),
    [
        ("toy-1", 40),
        ("toy-1b", 12),
        ("random-n1", 2),
        ("random-n2-teacher", 40),
        ("toy-3-n1", 2),
        ("toy-3", 2),
        ("random-n3", 12),
        pytest.param("random-n4", 12, marks=pytest.mark.slow),
        pytest.param("random-n3", 40, marks=pytest.mark.slow),
        pytest.param("random-n4", 40, marks=pytest.mark.slow),
    ],
)
def test_fifty_digits_against_the_reference(name, last):
    problem, w0, times, losses, weights = reference(name, last)
    flow = flowkit.integrate(problem, w0, times[-1], precision=50, t_eval=times)
    assert flow.status == "finished"
    assert flow.certified
    right = np.array([digits(a, b) for a, b in zip(flow.loss, losses, strict=True)])
    assert right.min() > 48
    assert (np.minimum(flow.loss_digits, 58) <= right).all()  # 60 digits are stored
    assert flow.loss_digits.min() >= 48
    for mine, theirs in zip(flow.w, weights, strict=False):
        for x, y in zip(mine.ravel(), np.ravel(theirs), strict=True):
            assert digits(x, y) > 38  # what is stored of the weights


LONG = {"van-der-pol-1e-6-11", "van-der-pol-1e-6-1", "van-der-pol-1e-6-2"}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow) if name in LONG else name
        for name in sorted(set(IVP) - {"e5-1e13", "e5-1e11"})
    ],
)
def test_stiff_problems(name):
    case = IVP[name]
    flow = flowkit.integrate(equation(case), case["y0"], case["t_end"], precision=32)
    assert flow.status == "finished"
    size = max(abs(MP.mpf(x)) for x in case["y_end"])
    for mine, theirs, claimed in zip(flow.y[-1], case["y_end"], flow.w_digits[-1], strict=True):
        gap = abs(MP.convert(mine) - MP.mpf(theirs))
        assert gap < MP.mpf(10) ** -30 * max(abs(MP.mpf(theirs)), size * MP.mpf(10) ** -10)
        # The references have 42 digits.
        assert gap <= MP.mpf(10) ** -min(int(claimed), 40) * abs(MP.mpf(theirs))


def test_e5():
    """Components from 1e-20 to 1e-65 at the end."""
    case = IVP["e5-1e11"]
    flow = flowkit.integrate(equation(case), case["y0"], case["t_end"], precision=32)
    assert min(digits(a, b) for a, b in zip(flow.y[-1], case["y_end"], strict=True)) > 30


def test_e5_to_the_end():
    """Two components have fallen below 1e-3400: what is left of them is not claimed."""
    case = IVP["e5-1e13"]
    flow = flowkit.integrate(equation(case), case["y0"], case["t_end"], precision=32)
    right = [digits(a, b) for a, b in zip(flow.y[-1], case["y_end"], strict=True)]
    assert min(right[1:3]) > 30
    assert (flow.w_digits[-1] <= np.maximum(right, 0)).all()


def equation(case):
    """The formulas of a case, every decimal exact."""
    symbols = sp.symbols(f"y1:{len(case['y0']) + 1}")
    names = {str(y): y for y in symbols} | {"mu": sp.Rational("0.012277471")}
    sides = [text.partition("=")[2] for text in case["equations"]]
    return flowkit.VectorField([sp.sympify(s, names, rational=True) for s in sides], symbols)


def test_the_exact_solution_of_one_neuron():
    """cot θ = (D e^{t/2} − C)/a, ‖w‖ = (π − θ) e^{−t/2}/(D sin θ): MATH.md, n = 1."""
    w0 = [0.3, 0.4]
    flow = flowkit.integrate(
        flowkit.TeacherStudent([1.0, 0.0]), [w0], 100, precision=50, t_eval=[1, 2, 5, 10, 50, 100]
    )
    with mpmath.workdps(120):
        w = [mpmath.mpf(x) for x in w0]
        norm, angle = mpmath.hypot(*w), mpmath.atan2(w[1], w[0])
        D = (mpmath.pi - angle) / (norm * mpmath.sin(angle))
        a, C = mpmath.pi, D - mpmath.pi * mpmath.cot(angle)
        for t, state in zip(flow.t, flow.w, strict=True):
            theta = mpmath.acot((D * mpmath.exp(t / 2) - C) / a)
            size = (mpmath.pi - theta) * mpmath.exp(-t / 2) / (D * mpmath.sin(theta))
            assert digits(state[0, 0], size * mpmath.cos(theta)) > 48
            assert digits(state[0, 1], size * mpmath.sin(theta)) > 48


def test_thirty_digits_of_toy_1_in_few_steps():
    problem, w0, *_ = reference("toy-1", 12)
    flow = flowkit.integrate(problem, w0, 10**12, precision=30)
    assert flow.stats["steps"] <= 250
    assert flow.stats["rejected"] <= flow.stats["steps"] / 3


def test_the_limit_for_two_neurons():
    """t³L → (8π²/3)(h₁h₂)²‖v‖², from t ≤ 1e12, with h of the flow itself: MATH.md."""
    problem, w0, *_ = reference("random-n2", 12)
    flow = flowkit.integrate(problem, w0, 10**12, precision=50, t_eval=[10**k for k in range(13)])
    limit = flowkit.extrapolate(flow, power=3)
    with mpmath.workdps(80):
        heights = []
        for i in range(2):
            h = flowkit.extrapolate(flow.t, flow.w[:, i, 0], digits=50)
            heights.append(h.value)
        size = mpmath.mpf(float(np.linalg.norm(problem.teacher)))
        constant = 8 * mpmath.pi**2 / 3 * (heights[0] * heights[1]) ** 2 / size**2
        assert digits(limit.value, constant) > 40
    assert 40 <= limit.digits <= digits(limit.value, constant)


def test_dense_output_is_as_accurate_as_steps():
    problem, w0, *_ = reference("toy-1", 12)
    flow = flowkit.integrate(problem, w0, 10**6, precision=30)
    times = ["0.01", "0.7", "12.5", 1234, 99999]
    better = flowkit.integrate(problem, w0, 10**6, precision=45, t_eval=times)
    for t, truth, loss in zip(times, better.w, better.loss, strict=True):
        right = [digits(a, b) for a, b in zip(flow(t).ravel(), truth.ravel(), strict=True)]
        assert min(right) > 28
        assert digits(flow.loss_at(t), loss) >= flow.digits_at(t) > 28


def test_a_loss_written_in_sympy():
    """x' = −x³, y' = −y have closed forms."""
    x, y = sp.symbols("x y")
    problem = flowkit.SymbolicLoss(x**4 / 4 + y**2 / 2, (x, y))
    flow = flowkit.integrate(problem, [1, "0.5"], 10**20, precision=40)
    with mpmath.workdps(100):
        for t, state, loss, claimed in zip(
            flow.t, flow.w, flow.loss, flow.loss_digits, strict=True
        ):
            truth = 1 / mpmath.sqrt(1 + 2 * t)
            assert digits(state[0], truth) > 38
            right = digits(loss, truth**4 / 4 + mpmath.exp(-2 * t) / 8)
            assert right >= claimed >= 38


def test_gradient_hessian_slope_along_the_flow():
    problem, w0, *_ = reference("toy-1", 12)
    flow = flowkit.integrate(problem, w0, 10**8, precision=30, t_eval=[1, 10**4, 10**8])
    for k, t in enumerate(flow.t):
        exact = problem.gradient(flow.w[k], precision=30)
        norm = MP.sqrt(sum(MP.convert(g) ** 2 for g in exact.ravel()))
        for a, b in zip(flow.gradient[k].ravel(), exact.ravel(), strict=True):
            assert abs(MP.convert(a) - MP.convert(b)) < norm * MP.mpf(10) ** -25
        assert digits(flow.gradient_norm[k], norm) > 25
        assert digits(flow.local_slope[k], -MP.convert(t) * norm**2 / MP.convert(flow.loss[k])) > 25
    assert flow.hessian(10).shape == (4, 4)
    assert flow.local_slope[-1] == pytest.approx(-3, abs=1e-6)


def test_quadratic_activation():
    """One student has a closed form on the axis: w' = 3 w (‖v‖² − w²) for w along v."""
    problem = flowkit.PhaseRetrieval([1.0, 0.0])
    flow = flowkit.integrate(problem, [["0.1", 0]], 3, precision=40, t_eval=[1, 2, 3])
    with mpmath.workdps(80):
        for t, state, loss in zip(flow.t, flow.w, flow.loss, strict=True):
            square = 1 / (1 + 99 * mpmath.exp(-6 * t))
            assert digits(state[0, 0], mpmath.sqrt(square)) > 38
            assert digits(loss, mpmath.mpf(3) / 4 * (square - 1) ** 2) > 38


def test_samples_against_their_expressions():
    """The field of the engine is the derivative that SymPy takes of the loss, at 60 digits."""
    samples = np.random.default_rng(3).standard_normal((5, 2))
    problem = flowkit.PhaseRetrieval([1.0, 0.5], output_scale=2, samples=samples)
    W = np.random.default_rng(4).standard_normal((2, 2))
    check_system(problem, W)


@pytest.mark.parametrize("activation", ["relu", "leaky:0.3"])
def test_pairs_against_their_expressions(activation):
    problem = flowkit.TeacherStudent([[1.0, 0.2], [-0.3, 0.9]], activation=activation)
    check_system(problem, np.random.default_rng(5).standard_normal((2, 2)))


def check_system(problem, W):
    from flowkit.multiprecision.prepare import prepared
    from flowkit.problems.exact import to_mpf

    source = problem.expressions(len(W))
    values = {s: sp.Rational(x) for s, x in zip(source.students, W.ravel().tolist(), strict=True)}
    values |= {
        s: sp.Rational(x)
        for s, x in zip(source.teachers, problem.teacher.ravel().tolist(), strict=True)
    }
    with flint.ctx.workprec(240):
        ready = prepared(problem, W, 300)
        velocity = [to_mpf(x.mid()) for x in ready.system.field(flint.arb(0), ready.start)]
        jacobian = [to_mpf(x.mid()) for x in ready.system.jacobian(0, ready.start).entries()]
        loss = to_mpf(ready.system.loss(ready.start))
    assert digits(loss, str(source.loss.subs(values).evalf(70))) > 60
    for mine, theirs in zip(velocity, source.gradient, strict=True):
        assert digits(-MP.convert(mine), str(theirs.subs(values).evalf(70))) > 60
    for mine, theirs in zip(jacobian, source.hessian, strict=True):
        assert digits(-MP.convert(mine), str(theirs.subs(values).evalf(70))) > 58


def test_equal_students_and_many_dimensions():
    """Equal students are one, and only the span of all vectors moves; both exactly."""
    rng = np.random.default_rng(0)
    row, teacher = rng.standard_normal((1, 50)), rng.standard_normal(50)
    flow = flowkit.integrate(
        flowkit.TeacherStudent(teacher), np.vstack([row, row, -2 * row]), 10, precision=30
    )
    assert flow.w.shape[1:] == (3, 50)
    assert flow.w_digits.shape == flow.w.shape
    assert (flow.w[-1][0] == flow.w[-1][1]).all()
    short = np.linalg.qr(np.vstack([teacher, row]).T)[0].T
    plane = flowkit.integrate(
        flowkit.TeacherStudent(short @ teacher), np.vstack([row, row, -2 * row]) @ short.T, 10
    )
    assert float(flow.loss[-1]) == pytest.approx(plane.loss_at(10.0), rel=1e-9)


def test_double_and_many_digits_agree():
    W = 0.5 * np.random.default_rng(7).standard_normal((3, 4))
    problem = flowkit.TeacherStudent([0.0, 2.0, 0.0, 0.0], activation="leaky:0.2")
    fine = flowkit.integrate(problem, W, 10**6, precision=20, t_eval=[1, 100, 10**4, 10**6])
    coarse = flowkit.integrate(problem, W, 1e6, rtol=1e-11, t_eval=[1, 100, 1e4, 1e6])
    assert coarse.loss == pytest.approx(fine.loss.astype(float), rel=1e-9)


def test_the_context_of_the_user_stays_as_it_is():
    before = mpmath.mp.prec, flint.ctx.prec
    x = sp.Symbol("x")
    flowkit.integrate(flowkit.VectorField([-x], (x,)), [1], 1, precision=60)
    assert (mpmath.mp.prec, flint.ctx.prec) == before
