"""Flows against 50-digit references, closed forms, and the identities every gradient flow obeys."""

import numpy as np
import pytest

import flowkit

CASES = [
    "toy-1",
    "toy-1b",
    "toy-2",
    "toy-3",
    "toy-3-n1",
    "random-n1",
    "random-n2",
    "random-n2-teacher",
    "random-n3",
    "random-n4",
    "death-n4",
]
SUBSET = ["toy-1", "toy-3", "random-n2-teacher", "random-n4", "death-n4"]
POWER_LAWS = ["toy-1", "random-n2", "random-n2-teacher", "random-n3", "random-n4"]


def relative(value, truth):
    return np.abs(np.asarray(value) / truth - 1)


# ---- references ----------------------------------------------------------------------------------


def test_every_reference_is_used(references):
    assert set(CASES) == set(references)


@pytest.mark.parametrize("name", CASES)
def test_loss_at_every_reference_time(loss_errors, reference_flow, name):
    assert reference_flow(name).status == "finished"
    assert loss_errors(name).max() <= 1e-7


@pytest.mark.parametrize("name", SUBSET)
@pytest.mark.parametrize("rtol", [1e-6, 1e-8])
def test_loss_follows_the_tolerance(loss_errors, name, rtol):
    assert loss_errors(name, rtol).max() <= 1000 * rtol


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_loss_at_the_finest_tolerance(loss_errors, name):
    assert loss_errors(name, 1e-12).max() <= 1e-9


def test_finest_tolerance_of_the_toy(loss_errors):
    assert loss_errors("toy-1", 1e-12).max() <= 1e-9


@pytest.mark.parametrize("name", [*POWER_LAWS, "toy-1b", "death-n4"])
def test_weights_at_reference_times(references, reference_flow, name):
    case, flow = references[name], reference_flow(name)
    found = flow(case.t[: len(case.w)])
    assert np.abs(found - case.w).max() <= 1e-8 * np.abs(case.w).max()


@pytest.mark.parametrize("name", ["toy-1", "random-n2", "random-n3", "random-n4", "death-n4"])
def test_parts_across_the_teacher_keep_their_own_accuracy(references, reference_flow, name):
    """v = e₁: all columns but the first are O(1/t), and accurate relative to that."""
    case, flow = references[name], reference_flow(name)
    for t, truth in zip(case.t, case.w, strict=False):
        gap = flow(t)[:, 1:] - truth[:, 1:]
        assert np.abs(gap).max() <= 1e-7 * np.abs(truth[:, 1:]).max(), t


@pytest.mark.parametrize("n, sigma", [(100, 1e-3), (60, 1e-6)])
def test_many_students_that_stay_small(n, sigma):
    """None of them ever has a norm of 1/20: r is followed for itself once all together have."""
    W0 = sigma * np.random.default_rng(1).standard_normal((n, 10))
    problem = flowkit.TeacherStudent(np.eye(10)[0])
    fine = flowkit.integrate(problem, W0, 1e6, rtol=1e-10)
    for rtol in (1e-6, 1e-8):
        flow = flowkit.integrate(problem, W0, 1e6, rtol=rtol)
        assert flow.status == "finished" and flow.stats["steps"] < 200
        assert relative(flow.loss, fine.loss_at(flow.t)).max() <= 10 * rtol


# ---- the error that a flow states of itself ------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
def test_stated_error_is_honest(references, reference_flow, loss_errors, name):
    flow, actual = reference_flow(name), loss_errors(name)
    times = np.log1p(references[name].t)
    stated = np.interp(times, np.log1p(flow.t), flow.loss_error)
    assert (stated >= actual / 30 - 1e-15).all()
    assert stated.max() <= 1e-7


# ---- times asked for -----------------------------------------------------------------------------


def test_t_eval_is_the_dense_output(reference_flow, references):
    case, times = references["random-n3"], np.geomspace(0.01, 1e6, 40)
    problem = flowkit.TeacherStudent(case.teacher)
    flow = flowkit.integrate(problem, case.w0, 1e6, t_eval=times)
    assert (flow.t == times).all()
    assert (flow.w == flow(times)).all()
    assert (flow.loss == flow.loss_at(times)).all()
    assert relative(flow.loss, reference_flow("random-n3").loss_at(times)).max() <= 1e-7


def test_ends_of_the_interval(reference_flow, references):
    flow, case = reference_flow("random-n2"), references["random-n2"]
    assert flow.t[0] == 0
    assert flow.t[-1] == case.t[-1]
    assert np.abs(flow(0) - case.w0).max() <= 1e-15
    assert flow.loss_at(0) == pytest.approx(flow.problem.loss(case.w0), rel=1e-13, abs=0)


def test_dense_output_of_scalars_and_arrays(reference_flow):
    flow = reference_flow("random-n2")
    times = np.array([[0.0, 1.0], [2.5, 1e9]])
    assert isinstance(flow.loss_at(1.0), float)
    assert flow.loss_at(times).shape == (2, 2)
    assert flow(times).shape == (2, 2, 2, 4)
    assert (flow(times)[1, 0] == flow(2.5)).all()
    assert flow.loss_at([]).shape == (0,)


def test_between_steps_as_accurate_as_at_steps(references):
    """A run whose steps end elsewhere agrees where the first one is between its steps."""
    case = references["random-n3"]
    problem = flowkit.TeacherStudent(case.teacher)
    flow = flowkit.integrate(problem, case.w0, 1e8)
    fine = flowkit.integrate(problem, case.w0, 1e8, rtol=1e-12)
    middle = np.sqrt(flow.t[1:-1:7] * flow.t[2::7])
    between = relative(flow.loss_at(middle), fine.loss_at(middle))
    at = relative(flow.loss[1::7], fine.loss_at(flow.t[1::7]))
    assert between.max() <= 3 * at.max() + 1e-10


# ---- closed forms --------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", [1.0, 2.0])
def test_toy_1_constant(norm):
    """t³L → π²‖v‖²/6, independent of a and b."""
    problem = flowkit.TeacherStudent([norm, 0.0])
    flow = flowkit.integrate(problem, [[0.4, 0.1], [0.4, -0.1]], 1e12)
    assert 1e36 * flow.loss[-1] == pytest.approx(np.pi**2 * norm**2 / 6, rel=1e-8, abs=0)


def test_two_neurons_constant(reference_flow):
    """t³L → (8π²/3) (h₁h₂)² ‖v‖² with the flow's own h."""
    flow = reference_flow("random-n2")
    h = flow(1e30)[:, 0]
    assert 1e90 * flow.loss_at(1e30) == pytest.approx(
        8 * np.pi**2 / 3 * (h[0] * h[1]) ** 2, rel=1e-8, abs=0
    )


def test_toy_2_is_linear():
    """w_i = h_i v: L = ¼ ‖v‖² H², H = (1 − Σh) e^{−nt/2}; h_i moves by (H₀ − H)/n."""
    v, h = np.array([1.0, 2.0, -2.0]), np.array([0.125, 0.25, 0.0625])
    flow = flowkit.integrate(flowkit.TeacherStudent(v), h[:, None] * v, 200.0)
    times = np.array([0.5, 3.0, 40.0, 200.0])
    H0 = 1 - h.sum()
    H = H0 * np.exp(-1.5 * times)
    assert relative(flow.loss_at(times), 9 / 4 * H**2).max() <= 1e-7
    expected = (h + (H0 - H)[:, None] / 3)[:, :, None] * v
    assert np.abs(flow(times) - expected).max() <= 1e-8


def single_neuron(w, v, t):
    """Exact n = 1 flow: (‖w‖, θ) at times t."""
    norm, size = np.linalg.norm(w), np.linalg.norm(v)
    cosine = w @ v / (norm * size)
    start = np.arctan2(np.linalg.norm(w / norm - cosine * v / size), cosine)
    D = (np.pi - start) / (norm * np.sin(start))
    a = np.pi / size
    C = D - a / np.tan(start)
    theta = np.arctan2(a, D * np.exp(t / 2) - C)
    return (np.pi - theta) * np.exp(-t / 2) / (D * np.sin(theta)), theta


def single_loss(norm, theta, size, t):
    """¼‖r‖² + pair terms, with sin θ − θ cos θ from its series where θ is small."""
    series = theta**3 / 3 - theta**5 / 30 + theta**7 / 840
    kink = np.where(theta < 0.02, series, np.sin(theta) - theta * np.cos(theta))
    square = (norm - size) ** 2 + 4 * norm * size * np.sin(theta / 2) ** 2
    return square / 4 - norm * size * kink / (2 * np.pi)


@pytest.mark.parametrize("v", [[1.0, 0.0, 0.0], [0.0, 1.2, 1.6]])
def test_one_neuron_closed_form(v):
    v, w = np.array(v), np.array([0.2, -0.3, 0.1])
    flow = flowkit.integrate(flowkit.TeacherStudent(v), w[None, :], 25.0)
    times = np.linspace(0.1, 20, 30)
    norm, theta = single_neuron(w, v, times)
    found = flow(times)[:, 0]
    norms = np.linalg.norm(found, axis=1)
    size = np.linalg.norm(v)
    wedge = np.linalg.norm(np.cross(found, v), axis=1)
    assert relative(norms, norm).max() <= 1e-8
    assert relative(np.arctan2(wedge, found @ v), theta).max() <= 1e-7
    early = times < 10
    expected = single_loss(norm, theta, size, times)
    assert relative(flow.loss_at(times), expected)[early].max() <= 1e-7


def test_toy_3_is_one_neuron_at_n_times_the_speed():
    """Σw_i of n equal students follows the flow of one neuron, n times faster."""
    v, w = np.array([1.0, 0.5]), np.array([-0.1, 0.3])
    problem = flowkit.TeacherStudent(v)
    many = flowkit.integrate(problem, np.tile(w, (4, 1)), 30.0)
    one = flowkit.integrate(problem, 4 * w[None, :], 120.0)
    times = np.linspace(0.5, 30, 12)
    assert relative(many.loss_at(times), one.loss_at(4 * times)).max() <= 1e-7
    assert np.abs(many(times).sum(axis=1) - one(4 * times)[:, 0]).max() <= 1e-8


@pytest.mark.parametrize("alpha", [0.3, 0.7])
def test_leaky_toy_1_constant(alpha):
    """The same exponent; the constant grows by (1 − α)⁻⁴."""
    problem = flowkit.TeacherStudent([1.0, 0.0], flowkit.LeakyReLU(alpha))
    flow = flowkit.integrate(problem, [[0.4, 0.1], [0.4, -0.1]], 1e12)
    assert 1e36 * flow.loss[-1] == pytest.approx(np.pi**2 / 6 / (1 - alpha) ** 4, rel=1e-8, abs=0)


@pytest.fixture(scope="module")
def orthonormal_flows():
    """Two students beside two orthonormal teachers, at two tolerances."""
    w0 = np.eye(2) + 0.1 * np.random.default_rng(0).standard_normal((2, 2))
    problem = flowkit.TeacherStudent(np.eye(2))
    return [flowkit.integrate(problem, w0, 300.0, rtol=rtol) for rtol in (1e-10, 1e-12)]


def test_as_many_students_as_teachers_decay_at_twice_the_curvature(orthonormal_flows):
    """L ~ exp(−2 λ_min t), λ_min = 1/4 − 1/(2π)."""
    for flow in orthonormal_flows:
        rate = -flow.slope_at(150.0) / 150.0
        assert rate == pytest.approx(2 * (1 / 4 - 1 / (2 * np.pi)), rel=1e-6, abs=0)


@pytest.mark.parametrize("t", [10.0, 50.0, 100.0, 200.0, 300.0])
def test_several_teachers_keep_relative_accuracy(orthonormal_flows, t):
    coarse, fine = orthonormal_flows
    error = abs(coarse.loss_at(t) / fine.loss_at(t) - 1)
    assert error <= 1e-8
    assert error <= 30 * np.interp(t, coarse.t, coarse.loss_error)


# ---- identities ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["toy-1", "toy-3", "random-n2-teacher", "random-n4", "death-n4"])
def test_loss_only_falls(reference_flow, name):
    flow = reference_flow(name)
    assert (flow.loss > 0).all()
    steps = np.diff(flow.loss)
    assert (steps <= 1e-8 * flow.loss[1:]).all()


@pytest.mark.parametrize("name", POWER_LAWS)
@pytest.mark.parametrize("t", [0.3, 5.0, 1e3, 1e8, 1e20])
def test_slope_is_the_derivative_of_the_log_loss(reference_flow, name, t):
    flow, h = reference_flow(name, 1e-12), 1e-3
    ahead, behind = flow.loss_at(t * np.exp([h, -h]))
    assert flow.slope_at(t) == pytest.approx(np.log(ahead / behind) / (2 * h), rel=3e-6, abs=0)


def test_local_slope_is_the_slope_at_the_steps(reference_flow):
    flow = reference_flow("random-n2")
    pick = slice(1, None, 40)
    assert relative(flow.local_slope[pick], flow.slope_at(flow.t[pick])).max() <= 1e-12
    assert flow.local_slope[-1] == pytest.approx(-3, rel=1e-8, abs=0)


@pytest.mark.parametrize("name", ["toy-1", "random-n2-teacher", "random-n4", "death-n4"])
@pytest.mark.parametrize("t", [0.5, 10.0, 300.0])
def test_energy_identity(reference_flow, name, t):
    """dL/dt = −‖∇L‖², the gradient taken from the problem at the flow's weights."""
    flow, h = reference_flow(name, 1e-12), 1e-3 * t
    derivative = (flow.loss_at(t + h) - flow.loss_at(t - h)) / (2 * h)
    living = flow(t)[np.any(flow(t), axis=1)]
    gradient = flow.problem.gradient(living)
    assert -np.sum(gradient**2) == pytest.approx(derivative, rel=1e-5, abs=0)


def test_gradient_norm_is_that_of_the_problem(reference_flow):
    flow = reference_flow("random-n4")
    for t in (0.0, 1.0, 50.0):
        k = int(np.searchsorted(flow.t, t))
        exact = np.linalg.norm(flow.problem.gradient(flow.w[k]))
        assert flow.gradient_norm[k] == pytest.approx(exact, rel=1e-8, abs=0)


def test_lost_loss_is_the_dissipation():
    """L(0) − L(T) = ∫ ‖∇L‖² dt by Gauss–Legendre quadrature."""
    problem = flowkit.TeacherStudent([1.0, 0.0, 0.0])
    w0 = 0.3 * np.random.default_rng(4).standard_normal((3, 3))
    flow = flowkit.integrate(problem, w0, 10.0, rtol=1e-11)
    nodes, weights = np.polynomial.legendre.leggauss(60)
    times = 5 * (nodes + 1)
    power = [np.sum(problem.gradient(w) ** 2) for w in flow(times)]
    assert 5 * weights @ power == pytest.approx(flow.loss[0] - flow.loss[-1], rel=1e-7, abs=0)
