"""The compiled pair sums, coordinates, Jacobian and tableau against their definitions."""

from pathlib import Path

import numpy as np
import pytest

from flowkit import TeacherStudent
from flowkit.flows import collocation, kernel, pair_polynomials
from flowkit.flows.coordinates import (
    LINEAR,
    POWER,
    decode,
    directions,
    encode,
    initial_system,
    loss,
    size,
    slopes,
    velocity,
    workspace,
)
from flowkit.flows.jacobian import jacobian
from flowkit.flows.pair_march import fitted
from flowkit.flows.pair_setting import PairSetting
from symbolic import polynomials

ANGLES = [None, 1e-3, 1e-6, 1e-12]  # None: all directions


def test_committed_polynomials_are_the_generated_ones():
    committed = Path(pair_polynomials.__file__).read_text(encoding="utf-8")
    assert committed == polynomials.source()


def vectors(n, angle, seed=0, dim=4):
    """n students of norms 0.1 to 2 and a teacher, all within about `angle` of the first axis."""
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((n + 1, dim))
    if angle is not None:
        rows[:, 0] = 1.0
        rows[:, 1:] *= angle
    rows *= rng.uniform(0.1, 2, (n + 1, 1))
    return rows


def arguments(rows):
    """units, offsets, weights as `pull` takes them; the last row is the teacher."""
    norms, units, offsets = np.empty(len(rows)), np.empty(rows.shape), np.empty(rows.shape)
    kernel.polar(rows, np.ones(len(rows)), norms, units, offsets)
    return units, offsets, norms * np.append(np.ones(len(rows) - 1), -1.0)


def pulled(pull, rows):
    g, stiffness = np.empty((len(rows) - 1, rows.shape[1])), np.empty(len(rows) - 1)
    pull(*arguments(rows), g, stiffness)
    return g, stiffness


def defined(book, rows):
    """g, stiffness, Σ_{a<b} c_a c_b ‖a‖‖b‖ R and its sum of absolute values, as printed."""
    mp, exact = book.mp, book.rows(rows)
    norms = [book.norm(a) for a in exact]
    units = [[x / rho for x in a] for a, rho in zip(exact, norms, strict=True)]
    signed = [*norms[:-1], -norms[-1]]
    g, stiffness, energy, gross = [], [], mp.mpf(0), mp.mpf(0)
    for i in range(len(rows) - 1):
        row, total = [mp.mpf(0)] * rows.shape[1], mp.mpf(0)
        for j in range(len(rows)):
            if i == j:
                continue
            theta = book.angle(exact[i], exact[j])
            u, q = (mp.sin(theta) - theta) / (2 * mp.pi), theta / (2 * mp.pi)
            terms = zip(row, units[i], units[j], strict=True)
            row = [x + signed[j] * (u * a + q * (a - b)) for x, a, b in terms]
            total += signed[j] * (u + q)
            if j > i:
                R = (mp.sin(theta) - theta * mp.cos(theta)) / (2 * mp.pi)
                energy += signed[i] * signed[j] * R
                gross += abs(signed[i] * signed[j] * R)
        g.append(row)
        stiffness.append(total)
    return np.array(g), np.array(stiffness), energy, gross


@pytest.mark.parametrize("angle", ANGLES)
@pytest.mark.parametrize("n", [1, 2, 5, 15, 16, 24])
def test_pull_and_remainder(n, angle, textbook):
    """Few neurons and many, at every angle; along the axis g is smaller by an angle than across."""
    rows = vectors(n, angle)
    book = textbook(rows[-1])
    g, stiffness, energy, gross = defined(book, rows)
    found = pulled(kernel.pull, rows)
    assert book.error(found[0], g) <= 1e-13
    assert book.error(found[0][:, 0], g[:, 0]) <= 1e-13
    assert book.error(found[1], stiffness) <= 1e-13
    _, offsets, weights = arguments(rows)
    assert abs(kernel.remainder(offsets, weights) - energy) <= 1e-14 * gross


@pytest.mark.parametrize("function", [kernel.pull_few, kernel._pull_many])
@pytest.mark.parametrize("angle", ANGLES)
def test_few_and_many_are_the_same_sum(function, angle):
    if not kernel.COMPILED:
        pytest.skip("nothing is compiled")
    rows = vectors(20, angle, seed=1)
    if function is kernel._pull_many:  # callable from compiled code only
        function = kernel.compiled_pull
    truth, found = pulled(kernel._numpy_pull, rows), pulled(function, rows)
    for x, y in zip(found, truth, strict=True):
        assert np.linalg.norm(x - y) <= 1e-13 * np.linalg.norm(y)


@pytest.mark.parametrize("angle", ANGLES)
@pytest.mark.parametrize("n", [2, 15, 40])
def test_numpy_and_compiled_agree(n, angle):
    rows = vectors(n, angle, seed=2)
    pairs = zip(pulled(kernel._numpy_pull, rows), pulled(kernel.compiled_pull, rows), strict=True)
    for x, y in pairs:
        assert np.linalg.norm(x - y) <= 1e-13 * np.linalg.norm(y)
    _, offsets, weights = arguments(rows)
    gross = kernel._numpy_remainder(offsets, np.abs(weights))
    gap = kernel.compiled_remainder(offsets, weights) - kernel._numpy_remainder(offsets, weights)
    assert abs(gap) <= 1e-14 * gross


@pytest.mark.parametrize("largest", [1e-300, 1e-30, 1e-16, 1e-8, 1e-3, 0.02, 0.1, 0.3, 0.5, 1.0])
def test_pair_functions_one_by_one(largest, textbook):
    """q and u of z = sin²(θ/2), each with its own relative accuracy however wide the row."""
    mp = textbook([1.0]).mp
    z = largest * np.concatenate([np.linspace(0.05, 1, 20), [1e-3, 1e-9, 1e-20]])
    q, u = np.empty(len(z)), np.empty(len(z))
    kernel.angle_and_defect(z, largest, q, u)
    with mp.workdps(800):
        theta = [2 * mp.asin(mp.sqrt(mp.mpf(x))) for x in z]
        for k, x in enumerate(theta):
            assert abs(q[k] / (x / (2 * mp.pi)) - 1) <= 2e-15
            if z[k] > 1e-200:  # u ~ z^(3/2) leaves the range of doubles
                assert abs(u[k] / ((mp.sin(x) - x) / (2 * mp.pi)) - 1) <= 4e-15


def test_exactly_equal_and_opposite_directions():
    rows = np.array([[1.0, 2.0], [2.0, 4.0], [-3.0, -6.0], [1.0, 2.0]])
    for pull in (kernel.compiled_pull, kernel._numpy_pull):
        g, stiffness = pulled(pull, rows)
        assert np.isfinite(g).all() and np.isfinite(stiffness).all()
        # θ = 0 contributes nothing, θ = π: u + 2q = ½ and u + q = 0 along the common line.
        unit = np.array([1.0, 2.0]) / np.sqrt(5)
        np.testing.assert_allclose(g[0], 0.5 * np.sqrt(45) * unit, rtol=1e-14)
        assert abs(stiffness[0]) <= 1e-14


def settled(problem, w0, t=0.0, linear=False):
    """A setting, the system that fits its start, and r there."""
    setting = PairSetting.of(problem, np.array(w0, dtype=float), 1.0, 1e-8, "structured")
    sizes = np.array([len(group) for group in setting.members], dtype=float)
    weights = tuple(map(float, problem.weights))
    whole = initial_system(setting.frame.teachers, sizes, weights)
    system, r = fitted(whole, t, setting.r, setting.w, linear)
    return setting, system, r


STARTS = {
    "facing": lambda rng: np.array([1.0, 0, 0]) + 0.3 * rng.standard_normal((4, 3)),
    "anywhere": lambda rng: rng.standard_normal((4, 3)),
    "behind": lambda rng: np.vstack(
        [[-0.7, 0.02, -0.03], [1.0, 0, 0] + 0.3 * rng.standard_normal((3, 3))]
    ),
    "uneven": lambda rng: rng.standard_normal((4, 3)) * [[1e-4], [1], [1], [1]],
}


@pytest.mark.parametrize("activation", ["relu", "leaky:0.3"])
@pytest.mark.parametrize("t", [0.0, 40.0])
@pytest.mark.parametrize("case", [*STARTS, "linear"])
def test_jacobian_is_the_derivative(case, t, activation):
    w0 = STARTS["facing" if case == "linear" else case](np.random.default_rng(5))
    problem = TeacherStudent([1.0, 0.0, 0.0], activation)
    setting, system, r = settled(problem, w0, t, linear=case == "linear")
    assert system.mode == (LINEAR if case == "linear" else POWER)
    assert (system.facing.min() < 0) == (case == "behind")
    assert (system.centred[system.facing > 0].min() == 0) == (case == "uneven")
    work, y = workspace(system), np.empty(size(system))
    encode(system, t, r, setting.w, y)

    def field(y):
        out = np.empty(len(y))
        slopes(system, t, y, work, out)
        return out

    steps = 1e-5 * np.maximum(np.abs(y), 1e-5 if case == "uneven" else 0.1)
    columns = [(field(y + h) - field(y - h)) / (2 * np.linalg.norm(h)) for h in np.diag(steps)]
    found = jacobian(system, t, y, work)
    scale = np.linalg.norm(found, axis=0)
    gap = np.linalg.norm(found - np.array(columns).T, axis=0)
    assert (gap <= 1e-6 * scale + 1e-8 * scale.max()).all()


@pytest.mark.parametrize("activation", ["relu", "leaky:0.3"])
@pytest.mark.parametrize("case", STARTS)
@pytest.mark.parametrize("seed", range(3))
def test_velocity_and_loss_are_the_problem_s(case, seed, activation):
    rng = np.random.default_rng(seed)
    w0 = STARTS[case](rng)
    problem = TeacherStudent([1.0, 0.0, 0.0], activation)
    check_velocity(problem, w0)


@pytest.mark.parametrize("teachers", [1, 3])
@pytest.mark.parametrize("seed", range(3))
def test_velocity_in_a_tilted_frame(teachers, seed):
    """Any teachers, more dimensions than the span has, and two equal students."""
    rng = np.random.default_rng(seed)
    w0 = rng.standard_normal((4, 12))
    w0[3] = w0[1]
    check_velocity(TeacherStudent(37.0 * rng.standard_normal((teachers, 12))), w0)


def check_velocity(problem, w0):
    setting, system, r = settled(problem, w0)
    work = workspace(system)
    work.r[:], work.w[:] = r, setting.w
    directions(system, work)
    kernel.pull(work.units, work.offsets, work.weights, work.g, work.stiffness)
    velocity(system, work)
    gradient = problem.gradient(w0)
    found = setting.lifted(work.w_dot, list(range(len(setting.members))))
    assert np.linalg.norm(found + gradient) <= 1e-13 * np.linalg.norm(gradient)
    assert loss(system, work) * setting.unit**2 == pytest.approx(problem.loss(w0), rel=1e-13, abs=0)
    facing = system.facing > 0
    truth = (system.sizes[facing, None] * work.w_dot[facing]).sum(axis=0)
    assert np.linalg.norm(work.r_dot - truth) <= 1e-13 * np.abs(work.w_dot).sum()


@pytest.mark.parametrize("case", [*STARTS, "linear"])
@pytest.mark.parametrize("t", [0.0, 3.0, 200.0])
def test_decode_undoes_encode(case, t):
    w0 = STARTS["facing" if case == "linear" else case](np.random.default_rng(7))
    problem = TeacherStudent([1.0, 0.0, 0.0])
    setting, system, r = settled(problem, w0, t, linear=case == "linear")
    y, back, w = np.empty(size(system)), np.empty(3), np.empty((4, 3))
    encode(system, t, r, setting.w, y)
    decode(system, t, y, 1.0, back, w)
    assert np.abs(back - r).max() <= 1e-15 * np.abs(r).max()
    assert np.abs(w - setting.w).max() <= 2e-15 * np.abs(setting.w).max()


@pytest.mark.parametrize("stages", range(3, 8))
def test_tableau_is_radau_iia(stages):
    """B(2s − 1), C(s), c_s = 1; and the weights that carry stage values elsewhere."""
    c, a, left, barycentric = collocation.tableau(stages)
    assert c[-1] == 1 and (np.diff(c) > 0).all() and c[0] > 0
    for k in range(1, 2 * stages):
        assert a[-1] @ c ** (k - 1) == pytest.approx(1 / k, rel=1e-14, abs=0)
    for k in range(1, stages + 1):
        np.testing.assert_allclose(a @ c ** (k - 1), c**k / k, rtol=0, atol=1e-14)
        assert left @ c ** (k - 1) == pytest.approx(float(k == 1), abs=1e-12)
    # Divided differences: the leading coefficient of x^s is 1, of lower powers 0.
    nodes = np.append(0.0, c)
    for k in range(stages + 1):
        size = np.abs(barycentric).sum()
        assert barycentric @ nodes**k == pytest.approx(float(k == stages), abs=1e-14 * size)
