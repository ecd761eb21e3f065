"""The engine as a whole: methods against each other, scaling, extreme starts, times, tolerances."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import flowkit
from flowkit import TeacherStudent, integrate

TOY = [[0.3, 0.2], [0.3, -0.2]]
PLANE = TeacherStudent([1.0, 0.0])


def random_start(n, d, seed=0, sigma=0.1):
    rng = np.random.default_rng(seed)
    v = rng.standard_normal(d)
    return v, sigma * rng.standard_normal((n, d))


def relative(x, y):
    return np.abs(np.asarray(x) / y - 1).max()


@pytest.fixture(scope="module")
def structured():
    """Losses of the structured method at a tolerance far below what it is compared with."""
    times = np.concatenate([[0.0], np.logspace(-2, 8, 21)])

    def run(n, d):
        v, w0 = random_start(n, d)
        flow = integrate(TeacherStudent(v), w0, 1e8, t_eval=times, rtol=1e-11)
        return TeacherStudent(v), w0, times, flow.loss

    return {case: run(*case) for case in [(2, 3), (3, 4)]}


@pytest.mark.parametrize("method", ["structured", "Radau", "BDF", "LSODA"])
@pytest.mark.parametrize("case", [(2, 3), (3, 4)])
def test_methods_agree(method, case, structured):
    problem, w0, times, truth = structured[case]
    flow = integrate(problem, w0, 1e8, t_eval=times, rtol=1e-7, method=method)
    assert flow.status == "finished"
    assert flow.stats["method"] == method
    assert relative(flow.loss, truth) <= 1e-5


@pytest.mark.parametrize(
    "method, sigma", [("Radau", 1e-4), ("Radau", 1e-6), ("BDF", 1e-4), ("LSODA", 1e-4)]
)
def test_methods_agree_from_small_weights(method, sigma):
    v, w0 = random_start(2, 3, sigma=sigma)
    times = np.array([0.0, 1.0, 10.0, 30.0])
    truth = integrate(TeacherStudent(v), w0, 30.0, t_eval=times, rtol=1e-11).loss
    flow = integrate(TeacherStudent(v), w0, 30.0, t_eval=times, rtol=1e-9, method=method)
    assert flow.status == "finished", flow.message
    assert relative(flow.loss, truth) <= 1e-5


@pytest.mark.parametrize("method", ["structured", "Radau"])
def test_methods_agree_for_two_teachers(method):
    rng = np.random.default_rng(0)
    problem, w0 = TeacherStudent(rng.standard_normal((2, 3))), rng.standard_normal((3, 3))
    times = np.array([0.0, 0.3, 3.0, 30.0])
    truth = integrate(problem, w0, 30.0, t_eval=times, rtol=1e-11, method="LSODA").loss
    flow = integrate(problem, w0, 30.0, t_eval=times, rtol=1e-8, method=method)
    assert relative(flow.loss, truth) <= 1e-5


@pytest.mark.parametrize("method", ["RK45", "structured ", "", None, 4])
def test_unknown_method_is_named(method):
    with pytest.raises(ValueError, match=r"^method: unknown ") as caught:
        integrate(PLANE, TOY, 1.0, method=method)
    assert repr(method) in str(caught.value)


@pytest.mark.parametrize("c", [0.37, 3.0, 1e5])
@pytest.mark.parametrize("n", [1, 4])
def test_scaling_law(c, n):
    """L(t; cW, cv) = c² L(t; W, v) at the same t."""
    v, w0 = random_start(n, 3)
    times = np.array([0.0, 0.1, 1.0, 10.0, 100.0, 1e6 if n > 1 else 500.0])
    one = integrate(TeacherStudent(v), w0, times[-1], rtol=1e-12)
    other = integrate(TeacherStudent(c * v), c * w0, times[-1], rtol=1e-12)
    assert relative(other.loss_at(times), c**2 * one.loss_at(times)) <= 1e-10
    assert np.abs(other(times) - c * one(times)).max() <= 1e-10 * c * np.linalg.norm(v)


def test_a_million_dimensions():
    """The flow stays in the span: five dimensions spread over a million change nothing."""
    v, w0 = random_start(4, 5)
    rng = np.random.default_rng(1)
    d = 10**6
    at = rng.choice(d, 5, replace=False)
    wide = np.zeros((5, d))
    wide[:, at] = np.vstack([v, w0]) * rng.choice([-1.0, 1.0], 5)
    times = np.array([0.0, 0.5, 5.0, 50.0, 1e4])
    small = integrate(TeacherStudent(v), w0, 1e4, rtol=1e-12)
    large = integrate(TeacherStudent(wide[0]), wide[1:], 1e4, rtol=1e-12)
    assert relative(large.loss_at(times), small.loss_at(times)) <= 1e-10
    w = large(50.0)
    assert w.shape == (4, d)
    gap = w[:, at] - small(50.0) * np.sign(wide[0, at] / v)
    assert np.abs(gap).max() <= 1e-10
    assert np.abs(np.delete(w, at, axis=1)).max() <= 1e-16


V = np.array([0.8, -0.5, 0.3])
SIDE = np.array([0.5, 0.8, 0.0])  # orthogonal to V
OTHERS = np.array([[0.2, 0.1, 0.4], [-0.3, 0.2, 0.1]])
DEGENERATE = {
    "equal": np.tile(OTHERS[0], (3, 1)),
    "parallel": np.array([[0.1], [0.2], [0.4]]) * V,
    "antiparallel, equal": np.tile(-V, (2, 1)),
    "antiparallel": np.array([[-0.1], [-0.2], [-0.4]]) * V,
    "parallel and antiparallel": np.array([[0.1], [-0.3]]) * V,
    "orthogonal": np.array([[1.0], [-1.0], [0.5]]) * SIDE,
    "tiny": np.vstack([OTHERS, 1e-200 * SIDE]),
    "huge": np.vstack([OTHERS, 1e8 * SIDE]),
    "huge behind": np.vstack([OTHERS, -1e8 * V]),
    "the teacher": V[None],
    "the teacher, twice": np.tile(V, (2, 1)),
    "the teacher and others": np.vstack([V, OTHERS]),
    "halves of the teacher": np.tile(V / 2, (2, 1)),
    "opposite to each other": np.array([OTHERS[0], -OTHERS[0]]),
    "nearly the teacher": V * (1 + 1e-12) + 1e-9 * SIDE,
}


@pytest.mark.parametrize("case", DEGENERATE)
def test_degenerate_start(case):
    """Ends in words, begins with the problem's loss, and never goes up."""
    problem, w0 = TeacherStudent(V), np.atleast_2d(DEGENERATE[case])
    flow = integrate(problem, w0, 1e4)
    assert flow.status == "finished", flow.message
    assert flow.t[-1] == 1e4
    loss = flow.loss
    assert np.isfinite(loss).all() and (loss >= 0).all()
    assert loss[0] == pytest.approx(problem.loss(w0), rel=1e-12, abs=0)
    assert (np.diff(loss) <= 1e-9 * loss[:-1]).all()
    assert np.isfinite(flow.w).all()
    for k in np.linspace(0, len(loss) - 1, 5).astype(int):
        rounding = 1e-15 * np.abs(flow.w[k]).max() * np.linalg.norm(V)
        assert loss[k] == pytest.approx(problem.loss(flow.w[k]), rel=1e-6, abs=rounding)


@pytest.mark.parametrize("method", ["structured", "BDF"])
@pytest.mark.parametrize("n", [2, 8])
def test_a_small_start_takes_few_changes_of_coordinates(n, method):
    """While all are small, while r decays by itself, on the slow manifold; not at every step."""
    w0 = 1e-6 * np.random.default_rng(0).standard_normal((n, 3))
    flow = integrate(TeacherStudent([1.0, 0.0, 0.0]), w0, 1e6, rtol=1e-8, method=method)
    assert flow.status == "finished"
    assert len(flow.path.pieces) <= 4
    truth = integrate(TeacherStudent([1.0, 0.0, 0.0]), w0, 1e6, rtol=1e-12)
    np.testing.assert_allclose(flow.loss, truth.loss_at(flow.t), rtol=1e-5)


def test_students_too_small_to_follow_are_refused():
    with pytest.raises(ValueError, match=r"^w0: all neurons are smaller than"):
        integrate(TeacherStudent(V), 1e-200 * OTHERS, 1.0)


TIMES = np.array([0.0, 0.01, 0.1, 1.0, 5.0, 20.0])


@pytest.mark.parametrize("c", [[0.3], [0.1, 0.2, 0.4], [2.5, 3.0], [1e-100, 3e-100], [1e8]])
def test_parallel_students_in_closed_form(c):
    """w_i = c_i v: every student moves by −r/2, so L = ¼ (Σ c − 1)² ‖v‖² e^{−nt}."""
    problem, w0 = TeacherStudent(V), np.outer(c, V)
    if sum(c) > 1:  # the students shrink, by (Σ c − 1)/n at the most
        assert min(c) > (sum(c) - 1) / len(c)
    loss = integrate(problem, w0, 20.0, rtol=1e-12).loss_at(TIMES)
    exact = 0.25 * (sum(c) - 1) ** 2 * (V @ V) * np.exp(-len(c) * TIMES)
    # w0 itself is rounded, a relative 1e-16 of Σ c, and no longer parallel below that.
    assert relative(loss, exact) <= 1e-10


@pytest.mark.parametrize(
    "sigma, t", [(1e-6, 32), (1e-8, 45), (1e-10, 60), (1e-20, 100), (1e-100, 400)]
)
@pytest.mark.parametrize("d", [2, 3])
def test_tiny_start_in_closed_form(sigma, t, d):
    """Two students of size σ → 0, at angles α: first ρ sin θ/(π − θ) is conserved, then β = ±β₁.

    L = ¼ ‖v‖² e^{−2t} while that is the larger part, ‖v‖² φ³/6π after, φ = 2 ‖β‖/‖v‖, until 1/φ.
    """
    rng = np.random.default_rng(d)
    v, w0 = 2 * np.eye(d)[0], sigma * rng.standard_normal((2, d))
    theta = np.arctan2(np.linalg.norm(w0[:, 1:], axis=1), w0[:, 0])
    across = w0[:, 1:] * (np.pi / (np.pi - theta))[:, None]
    phi = np.linalg.norm(across[0] - across[1]) / 2
    early = 5.0
    flow = integrate(TeacherStudent(v), w0, t, rtol=1e-9)
    assert flow.status == "finished" and flow.events == []
    assert flow.loss_at(early) == pytest.approx(np.exp(-2 * early), rel=1e-4, abs=0)
    accuracy = 1e-6 + 300 * sigma  # 1000 rtol, and the limit σ → 0
    assert flow.loss_at(t) == pytest.approx(4 * phi**3 / (6 * np.pi), rel=accuracy, abs=0)


@pytest.mark.parametrize("n", [1, 3])
def test_equal_antiparallel_students_in_closed_form(n):
    """w_i = −v: nobody sees the teacher, Σ w = −n v e^{−nt/2}; L = ¼ ‖v‖² + ¼ ‖Σ w‖²."""
    v = np.array([0.75, -0.5, 0.25])
    flow = integrate(TeacherStudent(v), np.tile(-v, (n, 1)), 20.0, rtol=1e-12)
    exact = 0.25 * (v @ v) * (1 + n**2 * np.exp(-n * TIMES))
    assert relative(flow.loss_at(TIMES), exact) <= 1e-10


@pytest.mark.parametrize("t_max", [1e50, 1e100, 1e150, 1e250])
def test_toy_at_the_end_of_time(t_max):
    """t³ L → π²/6, the logarithm also where L underflows; L = e^{ln L} where it does not."""
    times = [1.0, t_max / 10, t_max]
    flow = integrate(PLANE, TOY, t_max, t_eval=times)
    assert flow.status == "finished"
    assert np.exp(flow.log_loss[1:] + 3 * np.log(times[1:])) == pytest.approx(
        np.pi**2 / 6, rel=1e-9, abs=0
    )


@pytest.mark.parametrize("t", [1e20, 1e70, 1e90, 1e99, 1e101, 1e104, 1e120, 1e150])
def test_loss_gradient_and_slope_are_consistent_at_any_time(t):
    """L = e^{ln L}, to zero; ‖∇L‖² = −dL/dt = 3 L/t; the log slope is −3 or, without L, nan."""
    flow = integrate(PLANE, TOY, t, t_eval=[t])
    log_loss = float(flow.log_loss[0])
    assert flow.loss[0] == pytest.approx(np.exp(log_loss), rel=1e-9, abs=1e-315)
    gradient = np.exp((np.log(3) + log_loss - np.log(t)) / 2)
    assert flow.gradient_norm[0] == pytest.approx(gradient, rel=1e-9, abs=0)
    if np.exp(log_loss) > 1e-300:
        assert flow.local_slope[0] == pytest.approx(-3, rel=1e-9, abs=0)
    if np.exp(log_loss) == 0:
        assert np.isnan(flow.local_slope[0])


@pytest.mark.parametrize("d", [1, 3])
def test_exponential_decay_to_the_end(d):
    """n = 1: r decays by e^{−t/2}, L by e^{−t}, long after L itself is below 1e-308."""
    times = np.array([0.0, 100.0, 600.0, 1000.0, 2500.0, 5000.0])
    v, w0 = random_start(1, d)
    w0 = np.abs(w0) * np.sign(v)
    flow = integrate(TeacherStudent(v), w0, 5000.0, t_eval=times)
    assert flow.status == "finished"
    slopes = np.diff(flow.log_loss)[1:] / np.diff(times)[1:]
    assert slopes == pytest.approx(-1.0, rel=1e-10, abs=0)
    assert flow.loss[-1] == 0 and flow.loss[2] > 0
    assert flow.loss[:3] == pytest.approx(np.exp(flow.log_loss[:3]), rel=1e-9, abs=0)


@pytest.fixture(scope="module")
def finest():
    """Random starts and their flows at the finest tolerance."""
    cases = {}
    for seed, (n, d) in enumerate([(2, 3), (3, 3), (5, 4), (10, 6)]):
        v, w0 = random_start(n, d, seed)
        cases[seed] = TeacherStudent(v), w0, integrate(TeacherStudent(v), w0, 1e6, rtol=1e-13)
    return cases


@pytest.mark.parametrize("rtol", [1e-6, 1e-8, 1e-10])
@pytest.mark.parametrize("seed", range(4))
def test_tolerance_is_honoured_and_the_error_known(seed, rtol, finest):
    problem, w0, best = finest[seed]
    flow = integrate(problem, w0, 1e6, rtol=rtol)
    error = np.abs(flow.loss / best.loss_at(flow.t) - 1).max()
    estimate = flow.loss_error.max()
    assert error <= 1000 * rtol
    assert error / 30 <= estimate <= 30 * error or max(error, estimate) <= 1e-12


SCRIPT = """
import json, flowkit
from flowkit.flows.compiled import COMPILED
problem = flowkit.TeacherStudent([1.0, 0.0])
times = [0.0, 0.1, 1.0, 10.0, 100.0, 1e4]
flow = flowkit.integrate(problem, [[0.3, 0.2], [0.3, -0.2]], 1e4, t_eval=times)
print(json.dumps([COMPILED, flow.status, flow.loss.tolist()]))
"""


def test_without_compiled_code():
    root = Path(flowkit.__file__).parent.parent
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env=os.environ | {"FLOWKIT_COMPILED": "0"},
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    )
    compiled, status, losses = json.loads(run.stdout)
    assert not compiled and status == "finished"
    here = integrate(PLANE, TOY, 1e4, t_eval=[0.0, 0.1, 1.0, 10.0, 100.0, 1e4])
    assert relative(losses, here.loss) <= 1e-9


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_directions_that_cross_in_the_plane(seed):
    """The pull has a kink where two neurons cross: no step may pass over it unnoticed."""
    w0 = 0.01 * np.random.default_rng(seed).standard_normal((4, 2))
    best = integrate(PLANE, w0, 1e6, rtol=1e-13)
    flow = integrate(PLANE, w0, 1e6, rtol=1e-10)
    assert flow.status == best.status == "finished"
    assert relative(flow.loss, best.loss_at(flow.t)) <= 1e-8
