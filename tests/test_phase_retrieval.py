"""Quadratic activation: the loss, and flows against closed forms, laws and many digits."""

from fractions import Fraction

import mpmath
import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ortho_group

import flowkit
from flowkit import PhaseRetrieval, integrate
from flowkit.cli import main
from flowkit.flows.matrix_field import MatrixField
from flowkit.flows.prepare import prepared
from symbolic.gaussian_moments import quartic_moment

V = np.array([1.0, 2.0, -2.0]) / 2  # ‖v‖ = 3/2
SCALES = [1, 1.7]


def inputs(kind, seed=3, count=12):
    return None if kind == "population" else np.random.default_rng(seed).standard_normal((count, 3))


KINDS = ["population", "samples"]


def exactly(x):
    return sp.Rational(*float(x).as_integer_ratio())


def values(problem, w):
    """Loss, gradient and Hessian of the expressions, in 60 digits."""
    e = problem.expressions(len(w))
    symbols = list(e.students) + list(e.teachers)
    numbers = [exactly(x) for x in np.concatenate([np.ravel(w), problem.teacher[0]])]
    at = dict(zip(symbols, numbers, strict=True))
    return tuple(sp.N(sp.sympify(x).subs(at), 60) for x in (e.loss, e.gradient, e.hessian))


def distance(found, truth):
    """Relative distance of an array to a matrix in many digits."""
    gap = sp.Matrix(found.tolist()) - truth
    return float(max(map(abs, gap)) / max(map(abs, truth)))


# ---- the problem ---------------------------------------------------------------------------------


def test_moments_are_derived():
    assert set(quartic_moment().check().values()) == {"exact"}


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("kind", KINDS)
def test_numbers_come_from_the_expressions(kind, scale):
    w = np.random.default_rng(0).standard_normal((2, 3))
    problem = PhaseRetrieval(V, scale, samples=inputs(kind, count=4))
    loss, gradient, hessian = values(problem, w)
    assert float(abs(problem.loss(w) / loss - 1)) <= 1e-14
    assert distance(problem.gradient(w), gradient) <= 1e-14
    assert distance(problem.hessian(w), hessian) <= 1e-14


@pytest.mark.parametrize("kind", KINDS)
def test_fifty_digits(kind):
    w = np.random.default_rng(1).standard_normal((2, 3))
    problem = PhaseRetrieval(V, 1.25, samples=inputs(kind, count=4))
    loss, gradient, hessian = values(problem, w)
    with mpmath.workdps(70):
        value = sp.Float(str(problem.loss(w, precision=50)), 60)
        assert abs(value / loss - 1) <= 1e-50
        for name, truth in (("gradient", gradient), ("hessian", hessian)):
            found = getattr(problem, name)(w, precision=50)
            numbers = [sp.Float(str(x), 60) for x in found.ravel()]
            assert max(abs(a - b) for a, b in zip(numbers, truth, strict=True)) <= 1e-48


@pytest.mark.parametrize("eps", [1e-3, 1e-7, 1e-12, 0.0])
@pytest.mark.parametrize("kind", KINDS)
def test_near_the_minimum(kind, eps):
    """Where the sums cancel, against exact rational arithmetic."""
    problem = PhaseRetrieval(V, samples=inputs(kind))
    noise = np.random.default_rng(2).standard_normal((2, 3))
    w = np.outer([0.6, -0.8], V) + eps * noise
    m = [[Fraction(0)] * 3 for _ in range(3)]
    for row, sign in [*((row, 1) for row in w), (V, -1)]:
        for i in range(3):
            for j in range(3):
                m[i][j] += sign * Fraction(row[i]) * Fraction(row[j])
    if kind == "population":
        square = sum(x * x for row in m for x in row)
        truth = square / 2 + sum(m[i][i] for i in range(3)) ** 2 / 4
    else:
        rows = [[Fraction(x) for x in row] for row in problem.samples]
        forms = [sum(x[i] * m[i][j] * x[j] for i in range(3) for j in range(3)) for x in rows]
        truth = sum(f * f for f in forms) / (4 * len(forms))
    assert problem.loss(w) == pytest.approx(float(truth), rel=1e-12, abs=0)
    digits = problem.gradient(w, precision=30).astype(float)
    assert np.linalg.norm(problem.gradient(w) - digits) <= 1e-12 * np.linalg.norm(digits)


def test_gradient_is_equation_6():
    """(3‖w_k‖² − ‖v‖²) w_k − 2 (v·w_k) v + Σ_{j≠k} [2 (w_j·w_k) w_j + ‖w_j‖² w_k]."""
    w = np.random.default_rng(4).standard_normal((3, 3))
    for k, row in enumerate(PhaseRetrieval(V).gradient(w)):
        stated = (3 * w[k] @ w[k] - V @ V) * w[k] - 2 * (V @ w[k]) * V
        for j in {0, 1, 2} - {k}:
            stated += 2 * (w[j] @ w[k]) * w[j] + (w[j] @ w[j]) * w[k]
        np.testing.assert_allclose(row, stated, rtol=1e-13)


BAD = {
    "teacher": [lambda: PhaseRetrieval([0.0, 0.0]), lambda: PhaseRetrieval(np.eye(2))],
    "output_scale": [
        lambda: PhaseRetrieval(V, 0),
        lambda: PhaseRetrieval(V, float("nan")),
        lambda: PhaseRetrieval(V, "two"),
    ],
    "samples": [
        lambda: PhaseRetrieval(V, samples=np.ones((5, 2))),
        lambda: PhaseRetrieval(V, samples=[np.nan, 1.0]),
    ],
    "W": [lambda: PhaseRetrieval(V).loss(np.ones((2, 2)))],
    "w0": [
        lambda: integrate(PhaseRetrieval(V), np.full((1, 3), 1e70), 1.0),
        lambda: integrate(PhaseRetrieval(V), np.ones(3), 1.0),
    ],
    "method": [lambda: integrate(PhaseRetrieval(V), np.ones((1, 3)), 1.0, method="structured")],
    "precision": [lambda: PhaseRetrieval(V).loss(np.ones((1, 3)), precision=3)],
    "n": [lambda: PhaseRetrieval(V).expressions(0)],
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name):
    for call in BAD[name]:
        with pytest.raises(ValueError, match=rf"^{name}: ") as caught:
            call()
        assert "\n" not in str(caught.value)


# ---- the velocity in its coordinates -------------------------------------------------------------


@pytest.mark.parametrize("near", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_velocity_and_jacobian(kind, near):
    """ẏ is the problem's gradient carried over, and its derivative the Jacobian."""
    rng = np.random.default_rng(5)
    problem = PhaseRetrieval(V, 1.3, samples=inputs(kind))
    w = np.outer([0.7, 0.5, 0.1], V) + 0.3 * rng.standard_normal((3, 3))
    setting = prepared(problem, w, 1.0, 1e-8, "auto")
    direct = MatrixField(setting.unpack_field({}, {"near": False}).system)
    field = MatrixField(setting.unpack_field({}, {"near": near}).system)
    t = 2.7
    y = field.encode(t, setting.state)
    assert field.measured(t, y)[0] == pytest.approx(problem.loss(w), rel=1e-13)
    norm = np.linalg.norm(problem.gradient(w))
    assert field.measured(t, y)[1] == pytest.approx(norm, rel=1e-13)

    def carried(h):
        x = setting.mixing.T @ (w - h * problem.gradient(w)) @ setting.frame.basis.T
        return field.encode(t + h, direct.state(0.0, x.ravel()))

    h = 1e-4
    velocity = (8 * (carried(h) - carried(-h)) - (carried(2 * h) - carried(-2 * h))) / (12 * h)
    found = field.slopes(t, y) / field.pace(t)
    assert np.linalg.norm(found - velocity) <= 1e-9 * np.linalg.norm(velocity)
    columns = [
        (field.slopes(t, y + e) - field.slopes(t, y - e)) / 2e-6 for e in 1e-6 * np.eye(len(y))
    ]
    jacobian = field.jacobian(t, y)
    assert np.linalg.norm(jacobian - np.transpose(columns)) <= 1e-8 * np.linalg.norm(jacobian)


# ---- flows ---------------------------------------------------------------------------------------


def one_student(w0, t):
    """ln L of K = 1: 1/a² = (1 + 3 κ² e^{−4st})/s + c e^{−6st}, b = κ e^{−2st} a, s = ‖v‖².

    From a' = 3 (s − ‖w‖²) a and b' = (s − 3 ‖w‖²) b: (b/a)' = −2s b/a, and 1/a² is linear.
    """
    with mpmath.workdps(60):
        v, w = [mpmath.mpf(x) for x in V], [mpmath.mpf(x) for x in w0]
        s = mpmath.fsum(x * x for x in v)
        a0 = mpmath.fsum(x * y for x, y in zip(v, w, strict=True)) / mpmath.sqrt(s)
        kappa = mpmath.sqrt(mpmath.fsum(x * x for x in w) - a0**2) / a0
        constant = 1 / a0**2 - (1 + 3 * kappa**2) / s
        fade = mpmath.exp(-2 * s * mpmath.mpf(t))
        square = 1 / ((1 + 3 * (kappa * fade) ** 2) / s + constant * fade**3)
        turn = kappa * fade
        # ρ without cancellation: a² − s = −s (3 κ² e^{−4st} + s c e^{−6st}) a²/s
        rho = -square * (3 * turn**2 + s * constant * fade**3)
        rest = square * turn**2
        norm = rho**2 + 2 * square**2 * turn**2 + rest**2
        return float(mpmath.log(norm / 2 + (rho + rest) ** 2 / 4))


@pytest.mark.parametrize("w0", [[0.1, 0.3, 0.2], [3.0, 1.0, 2.0], [1e-9, 0.0, 1e-5], V + 1e-7])
@pytest.mark.parametrize("rtol", [1e-6, 1e-10])
def test_one_student_in_closed_form(w0, rtol):
    flow = integrate(PhaseRetrieval(V), [w0], 40.0, rtol=rtol)
    assert flow.status == "finished"
    truth = np.array([one_student(w0, t) for t in flow.t])
    error = np.abs(np.expm1(flow.log_loss - truth))
    assert error.max() <= 1000 * rtol
    assert (error <= 30 * flow.loss_error).mean() >= 0.95
    assert flow.loss[-1] < 1e-100
    seen = flow.t > 0.1
    slope = -flow.t * flow.gradient_norm**2 / flow.loss
    np.testing.assert_allclose(flow.local_slope[seen], slope[seen], rtol=1e-12)


def test_one_student_to_the_end_of_doubles():
    flow = integrate(PhaseRetrieval(V), [[0.1, 0.3, 0.2]], 1e12)
    assert flow.status == "finished"
    assert flow.log_loss[np.searchsorted(flow.t, 140.0)] == pytest.approx(
        one_student([0.1, 0.3, 0.2], flow.t[np.searchsorted(flow.t, 140.0)]), rel=1e-9
    )
    assert flow.loss[-1] == 0


@pytest.mark.parametrize(("n", "d", "scale"), [(2, 6, 2.5), (5, 3, 1), (4, 6, 1)])
def test_limit_of_many_students(n, d, scale):
    """t² L → 3m / (32 C² (m + 3)), m = min(K − 1, d − 1): Q = q/t on a space of dimension m."""
    w0 = 0.3 * np.random.default_rng(n + 10 * d).standard_normal((n, d))
    problem = PhaseRetrieval(2 * np.eye(d)[0], scale)
    flow = integrate(problem, w0, 1e12)
    m = min(n - 1, d - 1)
    assert flow.status == "finished"
    limit = 3 * m / (32 * scale**2 * (m + 3))
    assert flow.loss[-1] * 1e24 == pytest.approx(limit, rel=1e-8)
    assert flow.local_slope[-1] == pytest.approx(-2, abs=1e-8)
    fit = flowkit.fit_rate(flow)
    assert "power law" in str(fit)
    # Far beyond, where the loss itself is too small for a double.
    far = integrate(problem, w0, 1e200)
    assert far.log_loss[-1] + 400 * np.log(10) == pytest.approx(np.log(limit), abs=1e-8)


@pytest.mark.parametrize("kind", KINDS)
def test_against_many_digits(kind):
    """Taylor series of the textbook field in 30 digits (mpmath.odefun)."""
    problem = PhaseRetrieval(V[:2], samples=None if kind == "population" else inputs(kind)[:5, :2])
    w0 = np.array([[0.2, 0.1], [-0.1, 0.3]])
    flow = integrate(problem, w0, 4.0, rtol=1e-10)
    x = None if problem.samples is None else mpmath.matrix(problem.samples.tolist())
    v = mpmath.matrix(V[:2].tolist())

    def pull(w):
        m = w.T * w - v * v.T
        if x is None:
            return 2 * m + (m[0, 0] + m[1, 1]) * mpmath.eye(2)
        g = mpmath.zeros(2)
        for i in range(x.rows):
            row = x[i, :]
            g += (row * m * row.T)[0] * row.T * row
        return g / x.rows

    def field(_, y):
        w = mpmath.matrix(2, 2)
        w[0, 0], w[0, 1], w[1, 0], w[1, 1] = y
        return list(-(w * pull(w)))

    with mpmath.workdps(30):
        solution = mpmath.odefun(field, 0, [mpmath.mpf(z) for z in w0.ravel()])
        for t in (0.5, 2.0):
            w = np.array([*solution(t)]).reshape(2, 2)
            truth = problem.loss(w, precision=25)
            error = abs(flow.loss_at(t) / float(truth) - 1)
            assert error <= 1e-7
            index = np.abs(flow.t - t).argmin()
            assert error <= 30 * flow.loss_error[max(index - 1, 0) : index + 2].max()
            assert np.abs(flow(t) - w.astype(float)).max() <= 1e-8


@pytest.mark.parametrize("kind", KINDS)
def test_scale_is_a_change_of_units(kind):
    """C and W at time t is 1 and √C W at time C t: the same loss."""
    w0 = 0.2 * np.random.default_rng(7).standard_normal((3, 3))
    one = integrate(PhaseRetrieval(V, samples=inputs(kind)), np.sqrt(4.0) * w0, 400.0)
    four = integrate(PhaseRetrieval(V, 4.0, samples=inputs(kind)), w0, 100.0)
    times = np.array([0.0, 0.1, 1.0, 10.0, 100.0])
    np.testing.assert_allclose(four.loss_at(times), one.loss_at(4 * times), rtol=1e-8)
    np.testing.assert_allclose(2 * four(times), one(4 * times), atol=1e-8)


@settings(max_examples=6)
@given(st.integers(0, 10**6))
def test_invariances(seed):
    """Rotated inputs, mixed and reordered students: the same loss."""
    rng = np.random.default_rng(seed)
    w0 = 0.5 * rng.standard_normal((3, 3))
    turn, mix = ortho_group.rvs(3, random_state=rng), ortho_group.rvs(3, random_state=rng)
    times = [0.1, 1.0, 30.0, 1e5]
    flow = integrate(PhaseRetrieval(V), w0, 1e5, rtol=1e-9)
    other = integrate(PhaseRetrieval(turn @ V), mix @ w0 @ turn.T, 1e5, rtol=1e-9)
    np.testing.assert_allclose(other.loss_at(times), flow.loss_at(times), rtol=1e-6)
    np.testing.assert_allclose(other(1.0), mix @ flow(1.0) @ turn.T, atol=1e-6)


def test_samples_approach_the_population():
    """Samples ±√d e_i and their like with the right fourth moments give the population's flow."""
    # In two dimensions five equally spaced directions integrate quartics exactly: E ‖x‖⁴ = 8.
    angles = 2 * np.pi * np.arange(5) / 5
    ring = 8**0.25 * np.column_stack([np.cos(angles), np.sin(angles)])
    w0 = np.array([[0.2, 0.1], [-0.1, 0.3]])
    times = np.array([0.5, 5.0, 1e3, 1e6])
    sampled = integrate(PhaseRetrieval(V[:2], samples=ring), w0, 1e6)
    exact = integrate(PhaseRetrieval(V[:2]), w0, 1e6)
    np.testing.assert_allclose(sampled.loss_at(times), exact.loss_at(times), rtol=1e-8)


START = 0.4 * np.random.default_rng(8).standard_normal((2, 3))
DEGENERATE = {
    "zero": np.zeros((2, 3)),
    "one zero": np.vstack([START[0], np.zeros(3)]),
    "equal": np.tile(START[0], (3, 1)),
    "opposite": np.vstack([START[0], -START[0]]),
    "parallel": np.outer([0.5, 1.0, -2.0], START[0]),
    "the teacher": V[None],
    "parts of the teacher": np.outer([0.6, 0.8], V),
    "orthogonal to the teacher": np.array([[2.0, -1.0, 0.0]]),
    "orthogonal, two": np.array([[2.0, -1.0, 0.0], [0.0, 1.0, 1.0]]),
    "large": 1e3 * START,
    "tiny": 1e-50 * START,
    "tiny beside large": START * [[1e-50], [1.0]],
}


@pytest.mark.parametrize("case", DEGENERATE)
def test_degenerate_start(case):
    problem, w0 = PhaseRetrieval(V), DEGENERATE[case]
    flow = integrate(problem, w0, 1e8, rtol=1e-8)
    assert flow.status == "finished", flow.message
    assert flow.loss[0] == pytest.approx(problem.loss(w0), rel=1e-12, abs=0)
    assert (flow.loss >= 0).all() and np.isfinite(flow.w).all()
    assert (np.diff(flow.loss) <= 1e-7 * flow.loss[:-1]).all()
    for k in np.linspace(0, len(flow.t) - 1, 6).astype(int):
        size = 1e-15 * np.linalg.norm(flow.w[k]) ** 4 + 1e-30
        assert flow.loss[k] == pytest.approx(problem.loss(flow.w[k]), rel=1e-6, abs=size)
    if case.startswith("orthogonal"):
        # Across v: 2 ‖B‖⁴-ish saddle, BᵀB = s/(2 + m) on its span.
        m = 1 if case.endswith("teacher") else 2
        s = V @ V
        q, rho = s / (2 + m), -s
        assert flow.loss[-1] == pytest.approx(
            0.5 * (rho**2 + m * q**2) + 0.25 * (rho + m * q) ** 2, rel=1e-10
        )


def test_many_students_are_as_few():
    """Only WᵀW matters: 300 students in 4 dimensions are followed as four."""
    w0 = 0.02 * np.random.default_rng(9).standard_normal((300, 4))
    flow = integrate(PhaseRetrieval(np.eye(4)[0]), w0, 1e6)
    assert flow.w.shape[1:] == (300, 4)
    assert flow.loss[-1] * 1e12 == pytest.approx(9 / (32 * 6), rel=1e-3)
    assert flow.loss[0] == pytest.approx(flow.problem.loss(w0), rel=1e-12)
    np.testing.assert_allclose(flow.w[0], w0, atol=1e-16)


def test_a_million_dimensions():
    rng = np.random.default_rng(10)
    w0, teacher = np.zeros((2, 10**6)), np.zeros(10**6)
    at = np.array([3, 77, 999_999])
    teacher[at], w0[:, at] = V, 0.3 * rng.standard_normal((2, 3))
    wide = integrate(PhaseRetrieval(teacher), w0, 100.0, t_eval=[1.0, 100.0])
    small = integrate(PhaseRetrieval(V), w0[:, at], 100.0, t_eval=[1.0, 100.0])
    np.testing.assert_allclose(wide.loss, small.loss, rtol=1e-8)
    np.testing.assert_allclose(wide.w[:, :, at], small.w, atol=1e-9)


def test_stops_and_events():
    problem = PhaseRetrieval(V)
    flow = integrate(problem, START, 1e8, stop_loss=1e-9)
    assert flow.status == "loss reached"
    assert flow.loss[-1] == pytest.approx(1e-9, rel=1e-8)
    flow = integrate(problem, START, 1e8, stop_gradient=1e-6)
    assert flow.status == "gradient reached"
    assert np.linalg.norm(problem.gradient(flow.w[-1])) == pytest.approx(1e-6, rel=1e-6)

    def half(t, w):
        return np.sum((w @ V) ** 2) - 0.5 * (V @ V) ** 2

    flow = integrate(problem, START, 1e3, events=half)
    (event,) = flow.events
    assert half(event.t, flow(event.t)) == pytest.approx(0, abs=1e-8)
    assert integrate(problem, START, 1e8, max_steps=10).status == "step limit"


@pytest.mark.parametrize("kind", KINDS)
def test_saved_and_resumed(kind, tmp_path):
    problem = PhaseRetrieval(V, 1.5, samples=inputs(kind))
    whole = integrate(problem, START, 1e5, rtol=1e-8)
    whole.save(tmp_path / "run.nc")
    other = flowkit.load(tmp_path / "run.nc")
    assert repr(other.problem) == repr(problem)
    for name in ("t", "w", "loss", "loss_error", "local_slope"):
        assert np.array_equal(getattr(other, name), getattr(whole, name)), name
    assert other.loss_at(7.7) == whole.loss_at(7.7)
    part = integrate(problem, START, 1e5, rtol=1e-8, max_steps=30, checkpoint=tmp_path / "part.nc")
    assert part.status == "step limit"
    rest = flowkit.resume(tmp_path / "part.nc")
    assert rest.status == "finished"
    assert rest.loss[-1] == pytest.approx(whole.loss[-1], rel=1e-6)


@pytest.mark.parametrize("method", ["BDF", "LSODA", "DOP853"])
def test_other_methods(method):
    problem = PhaseRetrieval(V)
    flow = integrate(problem, START, 50.0, rtol=1e-8, method=method)
    assert flow.stats["method"] == method
    truth = integrate(problem, START, 50.0, rtol=1e-11)
    np.testing.assert_allclose(flow.loss, truth.loss_at(flow.t), rtol=1e-5)


def test_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    size = ["--neurons", "3", "--dim", "4", "--sigma", "0.3", "--t-max", "1e6"]
    assert (
        main(["flow", "--activation", "quadratic", *size, "--out", "run.nc", "--plot", "q.png"])
        == 0
    )
    assert "finished: reached t_max" in capsys.readouterr().out
    assert main(["fit", "run.nc"]) == 0
    assert "power law" in capsys.readouterr().out


def test_samples_that_do_not_determine_the_minimum():
    """The loss falls to rounding of xᵀMx and stays: no digit of it is claimed."""
    samples = np.random.default_rng(0).standard_normal((2, 3))
    w0 = 0.3 * np.random.default_rng(1).standard_normal((3, 3))
    flow = integrate(PhaseRetrieval([1.0, 0.0, 0.0], samples=samples), w0, 1e6)
    assert flow.status == "finished"
    assert flow.loss_error[-1] == np.inf
    seen = flow.loss > 1e-8
    assert flow.loss_error[seen].max() <= 1e-2
    assert (
        integrate(PhaseRetrieval([1.0, 0.0], samples=[[0, 1.0]]), [[0.3, 0.0]], 1.0).loss[-1] == 0
    )


def test_slope_beyond_the_range_of_squares():
    flow = integrate(PhaseRetrieval([1.0, 0, 0]), [[0.1, 0.2, 0], [0, 0.1, 0.3]], 1e110)
    late = flow.t > 1e10
    np.testing.assert_allclose(flow.local_slope[late], -2, atol=1e-7)
