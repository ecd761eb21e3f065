"""Gradient descent: against other arithmetic, the flow, closed forms, and what GD commutes with."""

import json
from pathlib import Path

import mpmath
import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st

import flowkit
from flowkit import LeakyReLU, TeacherStudent, descend, files
from flowkit.descents import course
from flowkit.descents.pair_walk import PairWalk
from flowkit.descents.plain_walk import PlainWalk

DATA = Path(__file__).parent / "data" / "reference_descents.json"
CASES = json.loads(DATA.read_text(encoding="utf-8"))
FEW = settings(max_examples=4)
SEEDS = st.integers(0, 10**6)
TOY = [[0.3, 0.2], [0.3, -0.2]]
AXIS = TeacherStudent([1.0, 0.0])
NAN = float("nan")


def gaussian(n, d, sigma, seed=0):
    return sigma * np.random.default_rng(seed).standard_normal((n, d))


def run(teacher, w0, step_size=0.05, steps=600, **options):
    return descend(TeacherStudent(teacher), w0, step_size, steps, **options)


def agree(x, y, tolerance=1e-11):
    return np.abs(x - y).max() <= tolerance * np.abs(y).max()


def same(x, y):
    """Two descents, bit for bit."""
    return all(
        np.array_equal(getattr(x, name), getattr(y, name), equal_nan=True)
        for name in ("iteration", "loss", "gradient_norm", "w", "t")
    )


# ---- against other arithmetic --------------------------------------------------------------------


def compare(name, most):
    """Relative errors against a reference, and the estimated ones."""
    case = CASES[name]
    w0 = np.array(case["w0"])
    activation = LeakyReLU(case["alpha"]) if case["alpha"] else "relu"
    problem = TeacherStudent(np.eye(w0.shape[1])[0], activation)
    at = [k for k in case["iteration"] if k <= most]
    result = descend(problem, w0, case["step_size"], at[-1], iterations=at)
    truth = np.array([float(x) for x in case["loss"][: len(at)]])
    return np.abs(result.loss / truth - 1), result.loss_error


@pytest.mark.parametrize("name", ["small", "toy 1", "leaky", "large", "one neuron"])
def test_textbook_formulas_in_34_digits(name):
    errors, estimated = compare(name, 10**5)
    assert errors.max() < 1e-12
    assert (errors < estimated).all()


def test_a_chaotic_descent_knows_its_error():
    """A neuron jumps over zero: 40, 60 and 90 digits differ by 2e-5; the estimate says so."""
    assert compare("one dies", 1000)[0].max() < 1e-12
    errors, estimated = compare("one dies", 10**5)
    assert 1e-9 < errors.max() < estimated.max() < 1e-2


@pytest.mark.slow
@pytest.mark.parametrize("name", ["small", "toy 1"])
def test_textbook_formulas_in_34_digits_to_the_end(name):
    errors, estimated = compare(name, 10**7)
    assert errors.max() < 1e-12
    assert (errors < estimated).all()


@pytest.mark.parametrize(
    ("teacher", "w0", "alpha"),
    [
        ([0.6, -0.3, 0.5], gaussian(3, 3, 0.1), 0.0),
        ([0.6, -0.3, 0.5], gaussian(2, 3, 0.1, 1), 0.3),
        ([[1.0, 0.0], [0.3, 0.8]], gaussian(3, 2, 0.3, 2), 0.0),
    ],
)
def test_fifty_digits(textbook, teacher, w0, alpha):
    exact = textbook(teacher, alpha, digits=50)
    at, eta = [0, 1, 10, 60, 150], 0.1
    result = descend(TeacherStudent(teacher, LeakyReLU(alpha)), w0, eta, at[-1], iterations=at)
    W, found = np.array(exact.rows(w0), dtype=object), []
    for k in range(at[-1] + 1):
        if k in at:
            found.append(exact.loss(W))
        if k < at[-1]:
            W = W - exact.mp.mpf(eta) * exact.gradient(W)
    errors = [abs(float(x / y - 1)) for x, y in zip(result.loss, found, strict=True)]
    assert max(errors) < 1e-12
    assert (np.array(errors) <= result.loss_error).all()
    assert np.abs(result.w[-1] - W.astype(float)).max() < 1e-13


def test_other_problems_agree_with_textbook_doubles():
    problem, eta = flowkit.PhaseRetrieval([1.0, 0.5]), 0.02
    W = gaussian(2, 2, 0.3)
    result = descend(problem, W, eta, 300)
    for _ in range(300):
        W = W - eta * problem.gradient(W)
    assert agree(result.w[-1], W)
    assert result.loss[-1] == pytest.approx(problem.loss(W), rel=1e-9)
    assert result.loss_error[-1] < 1e-9


def test_symbolic_loss():
    x, y = sp.symbols("x y")
    problem = flowkit.SymbolicLoss(x**4 / 4 + y**2 / 2, (x, y))
    result = descend(problem, [1.0, 1.0], 0.1, 200)
    assert result.w.shape == (len(result.t), 2)
    assert result.w[-1, 1] == pytest.approx(0.9**200, rel=1e-12)
    assert result.loss_error.max() < 1e-10


def test_loss_error_of_rounded_weights():
    """Several teachers: what the rounding of the weights does to a small loss is said."""
    problem = TeacherStudent(np.eye(2, 3))
    result = descend(problem, gaussian(4, 3, 0.3), 0.2, 20_000)
    w, value = result.w[-1], result.loss[-1]
    shaken = w * (1 + 2.0**-53 * np.random.default_rng(5).choice([-1, 1], w.shape))
    assert abs(problem.loss(shaken) / value - 1) <= result.loss_error[-1] < 1e-6


# ---- against the flow ----------------------------------------------------------------------------


@pytest.mark.parametrize("w0", [np.array(TOY), gaussian(3, 4, 0.1)])
def test_distance_to_the_flow_is_of_first_order(w0):
    problem, t = TeacherStudent(np.eye(w0.shape[1])[0]), 40.0
    exact = flowkit.integrate(problem, w0, t, rtol=1e-12).loss_at(t)
    etas = np.array([1, 2, 4]) / 400
    gaps = [abs(descend(problem, w0, e, round(t / e)).loss[-1] / exact - 1) for e in etas]
    assert np.polyfit(np.log(etas), np.log(gaps), 1)[0] == pytest.approx(1, abs=0.02)


def test_the_flow_of_the_modified_loss_is_closer():
    """At first order in η descent is the flow of L + (η/4)‖∇L‖²."""
    x = sp.symbols("x")
    value = x**4 / 4 + x**2 / 2
    eta, steps = sp.Rational(1, 100), 200
    modified = value + eta / 4 * sp.diff(value, x) ** 2
    result = descend(flowkit.SymbolicLoss(value, (x,)), [1.0], float(eta), steps)
    ends = [
        float(flowkit.integrate(flowkit.SymbolicLoss(f, (x,)), [1.0], 2.0).w[-1][0])
        for f in (value, modified)
    ]
    plain, closer = (abs(end - result.w[-1, 0]) for end in ends)
    assert closer < 0.05 * plain


@pytest.mark.parametrize("eta", [0.1, 0.8])
def test_toy_1(eta):
    """a = 1/2, x = 2b: x ← x − (η/π) x² + O(x⁴), so x = π/(t + η ln t + C), L ~ (π²/6)/t³."""
    result = descend(AXIS, TOY, eta, 10**6, iterations=[10**4, 10**5, 10**6])
    ratio = result.t**3 * result.loss / (np.pi**2 / 6)
    slopes = np.diff((ratio - 1) * result.t) / np.diff(np.log(result.t))
    assert ratio[-1] == pytest.approx(1, abs=1e-3)
    assert slopes[-1] == pytest.approx(-3 * eta, rel=0.02 + 0.01 / eta)
    assert result.local_slope[-1] == pytest.approx(-3, abs=1e-3)


def test_the_rate_of_a_descent_is_fitted():
    fit = flowkit.fit_rate(descend(AXIS, TOY, 0.1, 10**6))
    assert fit.kind == "power law"
    assert fit.power_law.exponent == pytest.approx(-3, abs=1e-4)


def test_one_neuron_on_the_axis_is_linear():
    """r ← (1 − η/2) r exactly: the loss keeps its relative accuracy for ever."""
    result = descend(TeacherStudent([1.0]), [[0.25]], 0.5, 1000)
    exact = [float(mpmath.mpf(0.75) ** int(2 * k) * 0.75**2 / 4) for k in result.iteration]
    assert result.loss == pytest.approx(exact, rel=1e-12, abs=0)
    assert result.loss_error.max() < 1e-11


# ---- what descent commutes with ------------------------------------------------------------------


@FEW
@given(seed=SEEDS)
def test_rotation(seed):
    v, W = gaussian(1, 3, 1, seed)[0], gaussian(3, 3, 0.01, seed + 1)
    Q = np.linalg.qr(gaussian(3, 3, 1, seed))[0]
    one, other = run(v, W), run(v @ Q, W @ Q)
    assert agree(other.loss, one.loss)
    assert agree(other.w, one.w @ Q)


@FEW
@given(seed=SEEDS, order=st.permutations(range(3)))
def test_permutation(seed, order):
    v, W = gaussian(1, 3, 1, seed)[0], gaussian(3, 3, 0.01, seed + 1)
    one, other = run(v, W), run(v, W[list(order)])
    assert agree(other.loss, one.loss)
    assert agree(other.w, one.w[:, list(order)])


@FEW
@given(seed=SEEDS, c=st.sampled_from([1e-3, 0.3, 7.0, 1e4]))
def test_scaling(seed, c):
    v, W = gaussian(1, 3, 1, seed)[0], gaussian(3, 3, 0.01, seed + 1)
    one, other = run(v, W), run(c * v, c * W)
    assert agree(other.loss, c**2 * one.loss)
    assert agree(other.w, c * one.w)


@FEW
@given(seed=SEEDS)
def test_equal_students_stay_equal(seed):
    W = gaussian(3, 3, 0.1, seed)[[0, 1, 0, 2, 1]]
    result = run([1.0, 0.2, 0.0], W)
    assert (result.w[:, 0] == result.w[:, 2]).all()
    assert (result.w[:, 1] == result.w[:, 4]).all()
    assert result.stats["groups"] == 3


@pytest.mark.parametrize("d", [10**5, pytest.param(10**6, marks=pytest.mark.slow)])
def test_many_dimensions(d):
    small = gaussian(2, 4, 0.01)
    large = np.zeros((2, d))
    large[:, :4] = small
    one = run([1.0, 0, 0, 0], small, steps=200, iterations=[0, 200])
    other = run(np.eye(1, d)[0], large, steps=200, iterations=[0, 200])
    assert agree(other.loss, one.loss)


# ---- neurons at zero, too large steps ------------------------------------------------------------


def test_a_neuron_dies_and_descent_goes_on():
    w0 = gaussian(8, 10, 1.0)
    result = run(np.eye(10)[0], w0, 0.05, 20_000)
    assert result.status == "finished"
    norms = np.linalg.norm(result.w[-1], axis=1)
    assert norms.min() < 1e-2 * norms.max()
    assert (np.diff(result.loss) < 0).all()


def test_exactly_zero():
    result = descend(AXIS, [[-0.5, 0.0], [0.5, 0.1]], 2.0, 50)
    alone = descend(AXIS, [[-0.5, 0.0]], 2.0, 50)
    assert alone.status == "zero neuron"
    assert "neuron 0" in alone.message
    assert alone.iteration[-1] == 1
    assert alone.loss[-1] == 0.25
    assert (alone.w[-1] == 0).all()
    assert np.isnan(alone.gradient_norm[-1])
    assert result.status in ("finished", "zero neuron")


@pytest.mark.parametrize("n", [1, 2, 4])
def test_too_large_steps_diverge(n):
    result = run([1.0, 0.0], gaussian(n, 2, 0.1), 8 / n, 10_000)
    assert result.status == "diverged"
    assert f"2/λ_max = {4 / n:.4g}" in result.message
    assert result.iteration[-1] < 10_000
    assert np.isfinite(result.loss).all()


def test_overflow_is_divergence():
    result = run([1.0, 0.0], TOY, 1e200, 100)
    assert result.status == "diverged"
    assert np.isfinite(result.loss).all()
    x = sp.symbols("x")
    result = descend(flowkit.SymbolicLoss(x**4, (x,)), [2.0], 1.0, 100)
    assert result.status == "diverged"


def test_a_cycle_is_finished_but_does_not_converge():
    """n = 1 beyond η = 4: the student jumps between two points."""
    result = run([1.0, 0.0], [[0.01, 0.02]], 4.8, 10_000)
    assert result.status == "finished"
    assert result.loss[-1] > 0.1


@pytest.mark.parametrize(("factor", "facing"), [(0.99, 3), (1.01, 2)])
def test_the_threshold_is_four_over_n(factor, facing):
    """Beyond it a student is thrown back and dies, until 4 over those that are left is larger."""
    w0 = np.array([1.0, 0, 0]) / 3 + gaussian(3, 3, 0.01)
    result = run([1.0, 0, 0], w0, factor * 4 / 3, 50_000)
    assert (np.linalg.norm(result.w[-1], axis=1) > 1e-6).sum() == facing
    assert result.loss[-1] < 1e-12


# ---- what comes back -----------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [1, 7, 10, 12_345, 10**5])
def test_iterations_are_log_spaced(steps):
    at = course.spaced(steps)
    assert at == sorted(set(at))
    assert at[0] == 0
    assert at[-1] == steps
    assert {10**k for k in range(20) if 10**k <= steps} <= set(at)
    for k in range(1, len(str(steps)) - 1):
        assert sum(10**k <= x < 10 ** (k + 1) for x in at) >= 10


def test_attributes():
    result = run([1.0, 0.0], TOY, 0.1, 1000)
    m = len(result.iteration)
    assert result.iteration.dtype.kind == "i"
    assert result.w.shape == (m, 2, 2)
    assert (result.w[0] == TOY).all()
    assert (result.t == 0.1 * result.iteration).all()
    assert result.loss == pytest.approx([AXIS.loss(w) for w in result.w], rel=1e-10)
    slopes = [np.linalg.norm(AXIS.gradient(w)) for w in result.w]
    assert result.gradient_norm == pytest.approx(slopes, rel=1e-8)
    assert result.step_size == 0.1
    assert result.steps == 1000
    assert result.status == "finished"
    assert result.stats["iterations"] == 1000
    assert "step_size=0.1" in repr(result)
    assert "1000" in result._repr_html_()
    assert json.loads(json.dumps(result.to_dict()))["loss"] == result.loss.tolist()
    assert result.plot().get_xlabel() == "iteration"


def test_chosen_iterations():
    result = run([1.0, 0.0], TOY, steps=100, iterations=[3, 50, 70])
    assert result.iteration.tolist() == [3, 50, 70]
    assert result.course.walk.iteration == 100
    assert agree(result.loss, run([1.0, 0.0], TOY, steps=70).loss[[3, -4, -1]], 1.0)


def test_states_in_the_frame():
    result = run([0.6, 0.8], gaussian(2, 2, 0.1), 0.1, 10**4)
    walk = result.course.walk
    for (system, r, w, alive), students in zip(result._states(), result.w, strict=True):
        assert walk.setting.lifted(w, alive) == pytest.approx(students)
        facing = w[system.facing > 0].sum(axis=0) - system.teachers[0]
        assert r == pytest.approx(facing, abs=1e-14)
    with pytest.raises(ValueError, match=r"^problem: "):
        next(descend(flowkit.PhaseRetrieval([1.0]), [[0.5]], 0.1, 3)._states())


# ---- stop and go on ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("problem", "w0"),
    [
        (TeacherStudent([0.6, 0.8, 0.1], LeakyReLU(0.1)), gaussian(3, 3, 0.5)[[0, 1, 2, 0]]),
        (TeacherStudent(np.eye(2, 3)), gaussian(4, 3, 0.3)),
        (flowkit.PhaseRetrieval([1.0, 0.0], 2.0), gaussian(2, 2, 0.3)),
    ],
)
def test_a_resumed_descent_is_the_same(problem, w0, tmp_path):
    whole = descend(problem, w0, 0.02, 2000)
    descend(problem, w0, 0.02, 777).save(tmp_path / "part.nc")
    further = flowkit.resume(tmp_path / "part.nc", steps=2000, checkpoint=tmp_path / "all.nc")
    assert same(further, whole)
    loaded = flowkit.load(tmp_path / "all.nc")
    assert same(loaded, whole)
    assert repr(loaded) == repr(whole)
    assert (loaded.loss_error == whole.loss_error).all()


@pytest.mark.parametrize("call", [1, 3, 20])
@pytest.mark.parametrize("walk", [PairWalk, PlainWalk])
def test_interrupted(walk, call, tmp_path, monkeypatch):
    problem = AXIS if walk is PairWalk else flowkit.PhaseRetrieval([1.0, 0.0])
    whole = descend(problem, TOY, 0.05, 500)
    advance, calls = walk.advance, []

    def stop(self, target):
        calls.append(1)
        if len(calls) == call:
            raise KeyboardInterrupt
        return advance(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(walk, "advance", stop)
        part = descend(problem, TOY, 0.05, 500, checkpoint=tmp_path / "run.nc")
    assert part.status == "interrupted"
    assert "interrupted" in part.message
    assert part.iteration[-1] < 500
    assert part.loss[0] == whole.loss[0]
    assert same(flowkit.resume(tmp_path / "run.nc"), whole)


@pytest.mark.parametrize("iterations", [None, [900]])
def test_checkpoints_on_the_way(iterations, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "SAVE_EVERY", -1.0)
    whole, seen = descend(AXIS, TOY, 0.1, 1000, iterations=iterations), []
    save = flowkit.Descent.save

    def keep(self, file):
        seen.append(tmp_path / f"{len(seen)}.nc")
        save(self, seen[-1])

    monkeypatch.setattr(flowkit.Descent, "save", keep)
    descend(AXIS, TOY, 0.1, 1000, iterations=iterations, checkpoint=tmp_path / "x.nc")
    for file in (seen[0], seen[len(seen) // 2], seen[-1]):
        assert same(flowkit.resume(file), whole)
    assert flowkit.load(seen[1]).status == "unfinished"


def test_time_limit(tmp_path):
    part = descend(AXIS, TOY, 0.05, 10**9, max_seconds=0.3, checkpoint=tmp_path / "run.nc")
    assert part.status == "time limit"
    assert 1000 < part.iteration[-1] < 10**9
    further = flowkit.resume(tmp_path / "run.nc", max_seconds=0.1)
    assert further.iteration[-1] > part.iteration[-1]


def test_files_refuse_what_is_not_theirs(tmp_path):
    run([1.0, 0.0], TOY).save(tmp_path / "descent.nc")
    flowkit.integrate(AXIS, TOY, 1.0).save(tmp_path / "flow.nc")
    with pytest.raises(ValueError, match=r"^t_max: "):
        flowkit.resume(tmp_path / "descent.nc", 10.0)
    with pytest.raises(ValueError, match=r"^steps: "):
        flowkit.resume(tmp_path / "descent.nc", steps=10)
    with pytest.raises(ValueError, match=r"^steps: "):
        flowkit.resume(tmp_path / "flow.nc", steps=10)
    data = bytearray((tmp_path / "descent.nc").read_bytes())
    data[-5] ^= 1
    (tmp_path / "descent.nc").write_bytes(data)
    with pytest.raises(ValueError, match=r"^file: "):
        flowkit.load(tmp_path / "descent.nc")


# ---- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "change"),
    [
        *(("step_size", {"step_size": x}) for x in (0, -1, NAN, np.inf, "x", None)),
        *(("steps", {"steps": x}) for x in (0, -1, 1.5, NAN, np.inf, "x", None, True, 1e30)),
        *(("w0", {"w0": x}) for x in ([[0.0, 0.0]], [[NAN, 1.0]], [[1.0]], "x", None)),
        *(("problem", {"problem": x}) for x in (None, "relu", 3)),
        *(("iterations", {"iterations": x}) for x in ([], [3, 2], [0.5], [11], "x", [NAN])),
        *(("max_seconds", {"max_seconds": x}) for x in (0, NAN, "x")),
        *(("checkpoint", {"checkpoint": x}) for x in (3, "/no/such/folder/x.nc")),
    ],
)
def test_bad_input(name, change):
    arguments = {"problem": AXIS, "w0": TOY, "step_size": 0.1, "steps": 10} | change
    with pytest.raises(ValueError) as caught:
        descend(**arguments)
    message = str(caught.value)
    assert message.startswith(f"{name}: "), message
    assert "\n" not in message


def test_a_vector_field_has_no_loss():
    x = sp.symbols("x")
    with pytest.raises(ValueError, match=r"^problem: "):
        descend(flowkit.VectorField([-x], (x,)), [1.0], 0.1, 3)
