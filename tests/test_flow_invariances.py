"""What the exact flow conserves or commutes with, at random weights."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import flowkit
from flowkit import TeacherStudent

FEW = settings(max_examples=4)
TIMES = np.array([0.1, 1.0, 7.0, 30.0])
SEEDS = st.integers(0, 10**6)


def start(seed, n=3, d=3, sigma=0.05):
    rng = np.random.default_rng(seed)
    return rng.standard_normal(d), sigma * rng.standard_normal((n, d))


def run(teacher, w0, t_max=30.0, **settings):
    return flowkit.integrate(TeacherStudent(teacher), w0, t_max, **settings)


def agree(x, y, tolerance=1e-7):
    return np.abs(x - y).max() <= tolerance * np.abs(y).max()


@FEW
@given(seed=SEEDS)
def test_rotation(seed):
    v, W = start(seed)
    Q = np.linalg.qr(np.random.default_rng(seed).standard_normal((3, 3)))[0]
    one, other = run(v, W), run(v @ Q, W @ Q)
    assert agree(other.loss_at(TIMES), one.loss_at(TIMES))
    assert agree(other(TIMES), one(TIMES) @ Q)


@FEW
@given(seed=SEEDS, order=st.permutations(range(3)))
def test_permutation(seed, order):
    v, W = start(seed)
    one, other = run(v, W), run(v, W[list(order)])
    assert agree(other.loss_at(TIMES), one.loss_at(TIMES))
    assert agree(other(TIMES), one(TIMES)[:, list(order)])


@FEW
@given(seed=SEEDS, c=st.sampled_from([1e-3, 0.3, 7.0, 1e4]))
def test_scaling(seed, c):
    """L(t; cW, cv) = c² L(t; W, v)."""
    v, W = start(seed)
    one, other = run(v, W), run(c * v, c * W)
    assert agree(other.loss_at(TIMES), c**2 * one.loss_at(TIMES))
    assert agree(other(TIMES), c * one(TIMES))


@FEW
@given(seed=SEEDS)
def test_sum_equal_to_the_teacher_stays(seed):
    """n = 2: w₁ + w₂ = v is invariant."""
    rng = np.random.default_rng(seed)
    v, w = rng.integers(-32, 32, (2, 3)) / 32 + 1 / 128
    flow = run(v, [w, v - w], 1e3)
    assert np.abs(flow.w.sum(axis=1) - v).max() <= 1e-12


@FEW
@given(a=st.floats(0.01, 1.0), b=st.floats(0.01, 1.0))
def test_mirror_images_stay_mirror_images(a, b):
    """Toy case 1."""
    flow = run([1.0, 0.0], [[a, b], [a, -b]], 1e8)
    assert np.abs(flow.w[:, 0] - flow.w[:, 1] * [1, -1]).max() <= 1e-12
    assert flow.loss[-1] * 1e24 == pytest.approx(np.pi**2 / 6, rel=1e-4, abs=0)


@FEW
@given(seed=SEEDS)
def test_parallel_stays_parallel(seed):
    """Toy case 2, any direction of v; every student is pushed by the same amount."""
    rng = np.random.default_rng(seed)
    v, h = rng.integers(1, 9, 3).astype(float), rng.integers(1, 8, 4) / 32
    flow = run(v, h[:, None] * v)
    assert np.linalg.norm(np.cross(flow.w, v), axis=-1).max() <= 1e-13 * (v @ v)
    moved = flow.w - flow.w[0]
    assert np.abs(moved - moved[:, :1]).max() <= 1e-12 * np.linalg.norm(v)


@FEW
@given(seed=SEEDS)
def test_equal_neurons_stay_equal(seed):
    v, W = start(seed)
    flow = run(v, W[[0, 1, 0, 2, 0]], 100.0)
    assert (flow.w[:, 0] == flow.w[:, 2]).all()
    assert (flow.w[:, 0] == flow.w[:, 4]).all()


@FEW
@given(seed=SEEDS)
def test_more_dimensions_change_nothing(seed):
    """Embedded in R⁵⁰ by an isometry."""
    v, W = start(seed)
    E = np.linalg.qr(np.random.default_rng(seed).standard_normal((50, 3)))[0].T
    one, other = run(v, W), run(v @ E, W @ E)
    assert agree(other.loss_at(TIMES), one.loss_at(TIMES))
    assert agree(other(TIMES), one(TIMES) @ E)


@FEW
@given(seed=SEEDS)
def test_zero_columns_stay_zero(seed):
    v, W = start(seed)
    padded = run(np.append(v, np.zeros(7)), np.hstack([W, np.zeros((3, 7))]))
    assert agree(padded.loss_at(TIMES), run(v, W).loss_at(TIMES))
    assert np.abs(padded.w[..., 3:]).max() <= 1e-16


def test_many_dimensions_cost_nothing():
    v, W = start(1)
    wide = np.zeros((4, 100_000))
    wide[:, ::33334] = np.vstack([v, W])
    flow = run(wide[0], wide[1:], t_eval=TIMES)
    assert agree(flow.loss, run(v, W).loss_at(TIMES))


@FEW
@given(seed=SEEDS, alpha=st.sampled_from([0.0, 0.2, 0.7]))
def test_several_teachers_against_an_explicit_solver(explicit_field, seed, alpha):
    """k = 2 at moderate t: SciPy's DOP853 on the textbook gradient."""
    from scipy.integrate import solve_ivp

    rng = np.random.default_rng(seed)
    V, W = rng.standard_normal((2, 3)), rng.standard_normal((3, 3))
    relu = explicit_field(V)

    def rhs(_, y):
        w = y.reshape(W.shape)
        linear = -np.tile(w.sum(axis=0) - V.sum(axis=0), (3, 1))
        return (alpha * linear + (1 - alpha) ** 2 * relu(w)).ravel()

    truth = solve_ivp(rhs, (0, 2), W.ravel(), method="DOP853", rtol=1e-11, atol=1e-12)
    flow = flowkit.integrate(TeacherStudent(V, flowkit.LeakyReLU(alpha)), W, 2.0)
    if not flow.events:
        assert agree(flow(2.0).ravel(), truth.y[:, -1])


@pytest.mark.parametrize("seed", range(3))
def test_loss_of_several_teachers_falls(seed):
    rng = np.random.default_rng(seed)
    flow = run(rng.standard_normal((2, 4)), 0.1 * rng.standard_normal((4, 4)), 1e4)
    assert flow.status == "finished"
    assert (np.diff(flow.loss) <= 1e-7 * flow.loss[1:]).all()
    assert flow.loss[-1] < 1e-2 * flow.loss[0]
