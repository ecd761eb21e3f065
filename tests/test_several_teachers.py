"""Several teachers: clusters of students in coordinates of relative accuracy."""

import mpmath
import numpy as np
import pytest

import flowkit
from flowkit import LeakyReLU, TeacherStudent, integrate
from flowkit.flows.cluster_field import ClusterField, ClusterSystem, State

TWO = np.array([[1.0, 0.3, 0.0], [-0.2, 0.9, 0.4]])
FOUR = np.eye(4) * [[1.0], [2.0], [0.5], [1.0]]
# Teachers, the teacher of each student, multiplicities, leaky slope.
CASES = {
    "one each": (TWO, [0, 1], [1, 1], 0.0),
    "two and one": (TWO, [0, 1, 0], [1, 1, 1], 0.0),
    "leaky": (TWO, [0, 1, 0, 1, 1], [1, 1, 1, 1, 1], 0.25),
    "equal ones": (TWO, [0, 1, 0, 1], [1, 2, 1, 1], 0.0),
    "four": (FOUR, [2, 3, 0, 1, 1], [1, 1, 1, 1, 1], 0.0),
}


def cluster(case, size, seed=0, rate=0.0):
    """A field and a state with angles of this size, r of its square (alone: of its size)."""
    teachers, owner, sizes, alpha = CASES[case]
    rng, owner, sizes = np.random.default_rng(seed), np.array(owner), np.array(sizes, dtype=float)
    problem = TeacherStudent(teachers, LeakyReLU(alpha))
    weights = map(float, problem.weights)
    system = ClusterSystem(teachers, sizes, owner, *weights, rate, 0.0)
    field = ClusterField(system)
    counts = np.bincount(owner)
    r = rng.standard_normal(teachers.shape) * np.where(counts == 1, size, size**2)[:, None]
    c = system.lengths[owner] / counts[owner] * (1 + 0.3 * rng.uniform(-1, 1, len(owner)))
    beta = size * rng.standard_normal((len(owner), teachers.shape[1]))
    y = field.encode(0.0, State(r, c, beta))
    return problem, field, field.state(0.0, y)


def students(field, state, mp):
    """The students that a state stands for, exactly, equal ones repeated."""
    system = field.system
    units = []
    for v in system.teachers:
        exact = [mp.mpf(x) for x in v]
        norm = mp.sqrt(mp.fsum(x * x for x in exact))
        units.append([x / norm for x in exact])
    rows = [None] * len(system.owner)
    for i in field.system.others:
        unit, beta = units[system.owner[i]], [mp.mpf(x) for x in state.beta[i]]
        part = mp.mpf(state.c[i]) - mp.fsum(x * u for x, u in zip(beta, unit, strict=True))
        rows[i] = [part * u + x for u, x in zip(unit, beta, strict=True)]
    for k, p in enumerate(field.system.pivots):
        total = [mp.mpf(v) + mp.mpf(r) for v, r in zip(system.teachers[k], state.r[k], strict=True)]
        for i in np.flatnonzero(system.owner == k):
            if i != p:
                total = [x - int(system.sizes[i]) * w for x, w in zip(total, rows[i], strict=True)]
        rows[p] = [x / int(system.sizes[p]) for x in total]
    return [row for row, m in zip(rows, system.sizes, strict=True) for _ in range(int(m))]


@pytest.mark.parametrize("size", [0.1, 1e-3, 1e-8, 1e-30])
@pytest.mark.parametrize("case", CASES)
def test_velocity_and_loss_keep_relative_accuracy(case, size):
    """Against the problem's own gradient and loss of the exact students, in 200 digits."""
    problem, field, state = cluster(case, size)
    with mpmath.workdps(200):
        exact = np.array(students(field, state, mpmath.mp), dtype=object)
        first = np.concatenate([[0], np.cumsum(field.system.sizes)[:-1]]).astype(int)
        gradient = problem.gradient(exact, precision=180)[first]
        velocity = field.velocity(state)
        gap = [
            [float(g + v) for g, v in zip(*row, strict=True)]
            for row in zip(gradient, velocity, strict=True)
        ]
        assert np.linalg.norm(gap) <= 3e-15 * np.linalg.norm(velocity)
        loss = problem.loss(exact, precision=180)
        assert abs(float(field._loss(state) / loss - 1)) <= 3e-15


@pytest.mark.parametrize(("case", "rate"), [*((case, 0.0) for case in CASES), ("one each", 0.3)])
def test_jacobian_is_the_derivative(case, rate):
    _, field, state = cluster(case, 0.05, rate=rate)
    t, h = 2.0, 1e-6
    y = field.encode(t, state)
    columns = [
        (field.slopes(t, y + e) - field.slopes(t, y - e)) / (2 * h) for e in h * np.eye(len(y))
    ]
    found = field.jacobian(t, y)
    assert np.linalg.norm(found - np.transpose(columns)) <= 1e-7 * np.linalg.norm(found)


def test_one_student_a_teacher_decays_at_the_curvature_of_the_minimum():
    """Orthonormal teachers: L ~ exp(−2 λ t), λ = 1/4 − 1/(2π), however small it is by then."""
    w0 = np.eye(2) + 0.1 * np.random.default_rng(0).standard_normal((2, 2))
    flow = integrate(TeacherStudent(np.eye(2)), w0, 5e3)
    assert flow.status == "finished"
    rate = 1 / 4 - 1 / (2 * np.pi)
    late = flow.t > 400
    slopes = np.diff(flow.log_loss[late]) / np.diff(flow.t[late])
    np.testing.assert_allclose(slopes, -2 * rate, rtol=1e-9)
    assert flow.log_loss[-1] < -800
    assert flow.loss_error.max() <= 1e-7
    fit = flowkit.fit_rate(integrate(TeacherStudent(np.eye(2)), w0, 1e3))
    assert "exponential, confidence" in str(fit)


@pytest.mark.parametrize(
    ("k", "n", "seed"), [(2, 3, 0), pytest.param(3, 6, 0, marks=pytest.mark.slow)]
)
def test_more_students_than_teachers_fall_like_a_power(k, n, seed):
    """L ~ t⁻³ for each cluster of more than one, as for one teacher."""
    w0 = 0.1 * np.random.default_rng(seed).standard_normal((n, max(k, 3)))
    flow = integrate(TeacherStudent(np.eye(k, max(k, 3))), w0, 1e10)
    assert flow.status == "finished"
    assert flow.local_slope[-1] == pytest.approx(-3, abs=1e-6)
    assert flow.loss_error.max() <= 1e-7
    finer = integrate(TeacherStudent(np.eye(k, max(k, 3))), w0, 1e10, rtol=1e-12)
    times = np.geomspace(1, 1e10, 4)
    error = np.abs(flow.loss_at(times) / finer.loss_at(times) - 1)
    assert error.max() <= 1e-7
    assert (error <= 30 * np.interp(times, flow.t, flow.loss_error)).all()


def test_one_cluster_is_the_flow_of_one_teacher():
    """The same loss in other coordinates, late."""
    v, w0 = np.array([[0.8, -0.5, 0.3]]), 0.2 * np.random.default_rng(5).standard_normal((3, 3))
    one = integrate(TeacherStudent(v), w0, 1e4, rtol=1e-11)
    assert not one.events
    problem = TeacherStudent(v)
    weights = map(float, problem.weights)
    system = ClusterSystem(v, np.ones(3), np.zeros(3, dtype=int), *weights, 0.0, 0.0)
    field = ClusterField(system)
    w, length = one(1e4), np.linalg.norm(v)
    c = w @ (v[0] / length)
    beta = w - np.outer(c, v[0] / length)
    # r of the flow itself, not of the rounded students.
    setting, (piece, y) = one.setting, one.path.at(1e4)
    r = setting.frame.lift(piece.field.state(1e4, y)[0]) * setting.unit
    state = State(r[None], c, beta)
    assert field._loss(state) == pytest.approx(one.loss_at(1e4), rel=1e-9)


def test_the_loss_is_continuous_where_coordinates_change():
    w0 = 0.3 * np.random.default_rng(0).standard_normal((3, 3))
    problem = TeacherStudent(TWO)
    flow = integrate(problem, w0, 1e5)
    kinds = [type(piece.field).__name__ for piece in flow.path.pieces]
    assert kinds[-1] == "ClusterField"
    before, after = flow.path.pieces[-2:]
    assert before.t[-1] == after.t[0]
    unit = flow.setting.unit**2
    assert after.steps.loss[0] == pytest.approx(before.steps.loss[-1], rel=1e-11)
    assert after.steps.gradient[0] == pytest.approx(before.steps.gradient[-1], rel=1e-11)
    for t in (0.5, 5.0, 50.0):
        assert flow.loss_at(t) == pytest.approx(problem.loss(flow(t)), rel=1e-10)
    assert flow.loss[0] == pytest.approx(problem.loss(w0), rel=1e-13)
    assert unit > 0 and (np.diff(flow.loss) <= 0).all()


def test_saved_and_resumed(tmp_path):
    w0 = 0.3 * np.random.default_rng(0).standard_normal((3, 3))
    whole = integrate(TeacherStudent(TWO), w0, 1e6, rtol=1e-8)
    whole.save(tmp_path / "run.nc")
    other = flowkit.load(tmp_path / "run.nc")
    for name in ("t", "w", "loss", "loss_error"):
        assert np.array_equal(getattr(other, name), getattr(whole, name)), name
    assert other.loss_at(12345.6) == whole.loss_at(12345.6)
    part = integrate(TeacherStudent(TWO), w0, 1e3, rtol=1e-8, checkpoint=tmp_path / "part.nc")
    assert type(part.path.pieces[-1].field).__name__ == "ClusterField"
    rest = flowkit.resume(tmp_path / "part.nc", 1e6)
    assert rest.loss[-1] == pytest.approx(whole.loss[-1], rel=1e-6)


def test_scaling():
    w0, times = 0.3 * np.random.default_rng(0).standard_normal((3, 3)), [0.5, 20.0, 1e4]
    one = integrate(TeacherStudent(TWO), w0, 1e4, rtol=1e-11)
    seven = integrate(TeacherStudent(7 * TWO), 7 * w0, 1e4, rtol=1e-11)
    np.testing.assert_allclose(seven.loss_at(times), 49 * one.loss_at(times), rtol=1e-8)


def test_parallel_teachers_stay_in_the_plain_coordinates():
    """Clusters need distinct teachers; two parallel ones are one of twice the length."""
    v, w0 = np.array([1.0, 0.5]), 0.3 * np.random.default_rng(1).standard_normal((2, 2))
    both = integrate(TeacherStudent(np.array([v, v])), w0, 20.0)
    single = integrate(TeacherStudent(2 * v), w0, 20.0)
    np.testing.assert_allclose(both.loss_at([1.0, 20.0]), single.loss_at([1.0, 20.0]), rtol=1e-6)


def test_to_the_end_of_time():
    """Two clusters of two: L t³ stays, past 1e-300; the slope is exact there too."""
    w0 = [[0.5, 0.05, 0.02], [0.1, 0.5, -0.05], [0.48, -0.03, 0.06], [-0.04, 0.51, 0.05]]
    flow = integrate(TeacherStudent(np.eye(2, 3)), w0, 1e120, rtol=1e-8, t_eval=[1e20, 1e40, 1e120])
    assert flow.status == "finished"
    logs = flow.log_loss + 3 * np.log(flow.t)
    np.testing.assert_allclose(logs, logs[0], atol=1e-6)
    np.testing.assert_allclose(flow.local_slope[:2], -3, atol=1e-8)


def test_as_many_students_as_teachers_to_the_end_of_time():
    """ln L = −2λt + O(1), λ the least eigenvalue of the Hessian, ¼ − 1/2π."""
    w0 = 0.01 * np.random.default_rng(0).standard_normal((2, 4))
    flow = integrate(TeacherStudent(np.eye(2, 4)), w0, 1e40)
    assert flow.status == "finished"
    assert flow.stats["steps"] < 1000
    assert flow.log_loss[-1] / flow.t[-1] == pytest.approx(-(0.5 - 1 / np.pi), rel=1e-12)


@pytest.mark.parametrize("size", [1e-9, 1e10])
def test_small_and_large_starts(size):
    w0 = size * np.array([[1, 1, 0], [1, -2, 1.0]])
    flow = integrate(TeacherStudent(np.eye(2, 3)), w0, 100.0)
    assert flow.status == "finished"
    finer = integrate(TeacherStudent(np.eye(2, 3)), w0, 100.0, rtol=1e-12)
    error = np.abs(flow.loss / finer.loss_at(flow.t) - 1).max()
    assert error <= 1e-5
    assert error <= 30 * flow.loss_error.max()
