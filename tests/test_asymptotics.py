"""Predictions meet flows: every situation, in doubles and in many digits."""

import json
from fractions import Fraction
from pathlib import Path

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import flowkit
from flowkit import PhaseRetrieval, TeacherStudent, integrate

REFERENCES = json.loads((Path(__file__).parent / "data" / "reference_flows.json").read_text())
FEW = settings(max_examples=5)
SEEDS = st.integers(0, 10**6)
PLANE = TeacherStudent([1.0, 0.0])
MIRROR = [[0.3, 0.2], [0.3, -0.2]]
PAIR = [[0.3, 0.2], [0.1, -0.25]]


def cube(flow, t):
    """t³L."""
    return flow.loss_at(t) * t**3


def reference(name):
    case = REFERENCES[name]
    return TeacherStudent(case["teacher"]), case["w0"]


def logarithm(found):
    """The coefficient of ln t/t, 0 if there is no such term."""
    return sum(term.coefficient for term in found.corrections if term.log_power == 1)


# ---- one teacher: power laws ---------------------------------------------------------------------


@pytest.mark.parametrize("name", ["toy-1", "toy-1b", "random-n2", "random-n2-teacher"])
def test_two_students(name):
    problem, w0 = reference(name)
    flow = integrate(problem, w0, 1e12)
    found = problem.asymptotics(flow)
    assert (found.kind, found.exponent, found.stable) == ("power law", -3, True)
    assert found.fast_rate == 1
    h = found.h[0] * found.h[1]
    closed = 8 * np.pi**2 / 3 * h**2 * np.sum(problem.teacher**2)
    assert found.constant == pytest.approx(closed, rel=1e-12)
    assert found.error <= 1e-8 * found.constant
    assert abs(cube(flow, 1e12) - found.constant) <= found.error + 1e-9 * found.constant
    assert flow.slope_at(1e12) == pytest.approx(found.exponent, abs=1e-6)
    # No logarithm: n = 2 keeps r = 0.
    assert logarithm(found) == 0
    assert found.loss(1e12) == pytest.approx(flow.loss_at(1e12), rel=1e-8)


def test_reference_flows_in_many_digits_agree():
    """The constant of a flow in doubles against 50-digit flows of another program at t = 1e40."""
    for name in ("toy-1", "random-n2", "random-n3", "random-n4"):
        case = REFERENCES[name]
        assert case["t"][-1] == "1" + 40 * "0" or float(case["t"][-1]) == 1e40
        truth = float(mpmath.mpf(case["loss"][-1]) * mpmath.mpf(10) ** 120)
        problem, w0 = reference(name)
        found = problem.asymptotics(integrate(problem, w0, 1e40))
        # Of random-n3, t³L is still 1.2e-15 away.
        assert abs(found.constant - truth) <= 3 * found.error + 2e-15


def test_mirror_images():
    found = PLANE.asymptotics(MIRROR)
    assert found.constant == pytest.approx(np.pi**2 / 6, rel=1e-15)
    flow = integrate(PLANE, MIRROR, 1e12)
    assert PLANE.asymptotics(flow).constant == found.constant
    assert cube(flow, 1e12) == pytest.approx(found.constant, rel=1e-9)
    # Teachers of any length and direction; m equal ones and their m images.
    problem = TeacherStudent([3.0, 4.0])
    w0 = [[3.0 + 0.4, 4.0 - 0.3], [3.0 - 0.4, 4.0 + 0.3]]
    if np.dot(np.subtract(*w0), [3, 4]) == 0:
        assert problem.asymptotics(w0).constant == pytest.approx(25 * np.pi**2 / 6)
    exact = TeacherStudent(["3", "4"]).asymptotics([["3.4", "3.7"], ["2.6", "4.3"]])
    assert exact.constant == pytest.approx(25 * np.pi**2 / 6, rel=1e-14)
    doubled = [*MIRROR, *MIRROR]
    flow = integrate(PLANE, doubled, 1e12)
    assert PLANE.asymptotics(doubled).constant == pytest.approx(np.pi**2 / 48, rel=1e-14)
    assert cube(flow, 1e12) == pytest.approx(np.pi**2 / 48, rel=1e-9)


def test_mirror_images_that_look_away_first():
    w0 = [[-0.2, 0.3], [-0.2, -0.3]]
    found, flow = PLANE.asymptotics(w0), integrate(PLANE, w0, 1e12)
    assert cube(flow, 1e12) == pytest.approx(found.constant, rel=1e-9)


@pytest.mark.parametrize("alpha", [0.1, 0.5, 0.9])
def test_leaky_relu(alpha):
    """The same exponent, the constant times (1 − α)⁻⁴."""
    problem = TeacherStudent([1.0, 0.0], f"leaky:{alpha}")
    mirror = problem.asymptotics(MIRROR)
    assert mirror.constant == pytest.approx(np.pi**2 / 6 / (1 - alpha) ** 4, rel=1e-13)
    for w0 in (MIRROR, PAIR):
        flow = integrate(problem, w0, 1e12)
        found = problem.asymptotics(flow)
        assert found.exponent == -3
        assert flow.slope_at(1e12) == pytest.approx(-3, abs=1e-6)
        assert cube(flow, 1e12) == pytest.approx(found.constant, rel=1e-6)
        h = found.h[0] * found.h[1]
        relu = 8 * np.pi**2 / 3 * h**2
        assert found.constant == pytest.approx(relu / (1 - alpha) ** 4, rel=1e-6)
    assert found.fast_rate == Fraction(1 + Fraction(alpha) ** 2)


@pytest.mark.parametrize("name", ["random-n3", "random-n4", "death-n4"])
def test_more_students(name):
    problem, w0 = reference(name)
    flow = integrate(problem, w0, 1e40)
    found = problem.asymptotics(flow)
    living = [i for i in range(len(w0)) if i not in [e.neuron for e in flow.events]]
    assert found.fast_rate == Fraction(len(living), 2)
    assert found.stable
    assert found.exponent == -3
    assert found.h.sum() == pytest.approx(1, rel=1e-12)
    assert (found.h == 0).sum() == len(w0) - len(living)
    assert abs(cube(flow, 1e40) - found.constant) <= 3 * found.error + 1e-14
    # Early, the distance is that of the slowest deviation, which λ tells.
    early = problem.asymptotics(integrate(problem, w0, 1e9))
    assert early.constant == pytest.approx(found.constant, rel=1e-9)
    # The profile is where the students go, in the user's coordinates.
    v = problem.teacher[0]
    across = np.array([w - (w @ v) * v / (v @ v) for w in flow(1e9)]) * 1e9
    assert across[living] == pytest.approx(found.profile[living], abs=0.02)


@FEW
@given(seed=SEEDS, n=st.integers(2, 4))
def test_random_flows_keep_their_promise(seed, n):
    """Decided or not: a constant that is given is where t³L goes."""
    rng = np.random.default_rng(seed)
    problem = TeacherStudent(rng.standard_normal(4))
    w0 = 0.3 * rng.standard_normal((n, 4))
    found = problem.asymptotics(integrate(problem, w0, 1e10))
    if found.kind != "power law" or found.constant is None:
        return
    later = integrate(problem, w0, 1e80)
    slowest = 2 * (min([x for x in found.eigenvalues if x < 2], default=2) - 1)
    rest = found.constant * 1e80 ** -min(1, slowest)
    assert (
        abs(cube(later, 1e80) - found.constant) <= 10 * found.error + rest + 1e-8 * found.constant
    )


@pytest.mark.slow
@pytest.mark.parametrize(("n", "d"), [(2, 3), (3, 2), (3, 4), (4, 4), (6, 4)])
def test_constants_stay_within_their_errors(n, d):
    """Flows stopped early against the same flows at t = 1e60; many are decided, none wrongly."""
    problem = TeacherStudent([1.0] + [0.0] * (d - 1))
    decided = 0
    for seed in range(15):
        w0 = 0.1 * np.random.default_rng(seed).standard_normal((n, d))
        late = problem.asymptotics(integrate(problem, w0, 1e60))
        for t in (1e3, 1e5, 1e8):
            early = problem.asymptotics(integrate(problem, w0, t))
            if early.constant is not None:
                decided += 1
                assert abs(early.constant - late.constant) <= early.error + late.error
    assert decided >= 15


@FEW
@given(seed=SEEDS)
def test_invariances(seed):
    """Rotated, permuted and scaled flows: the same law, constants scaled by the square."""
    rng = np.random.default_rng(seed)
    v, w0 = rng.standard_normal(3), 0.3 * rng.standard_normal((2, 3))
    turn = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    one = TeacherStudent(v).asymptotics(integrate(TeacherStudent(v), w0, 1e10))
    scaled = TeacherStudent(7 * v @ turn)
    other = scaled.asymptotics(integrate(scaled, 7 * w0[::-1] @ turn, 1e10))
    assert one.kind == other.kind
    if one.constant is not None and one.kind == "power law":
        assert other.constant == pytest.approx(49 * one.constant, rel=1e-6)
        assert other.h[::-1] == pytest.approx(one.h, abs=1e-7)


@pytest.mark.parametrize(("first", "second"), [(2, 2), (3, 1), (1, 4)])
def test_equal_students_in_groups(first, second):
    problem = TeacherStudent([0.0, 2.0, 0.0])
    w0 = [[0.3, 0.2, 0.1]] * first + [[0.3, 0.1, -0.4]] * second
    flow = integrate(problem, w0, 1e12)
    found = problem.asymptotics(flow)
    assert found.eigenvalues == pytest.approx([2.0])
    assert abs(cube(flow, 1e12) - found.constant) <= found.error + 1e-9 * found.constant
    # t (t³L − C) grows by the coefficient of ln t.
    rest = [(cube(flow, t) - found.constant) * t for t in (1e4, 1e7)]
    slope = (rest[1] - rest[0]) / np.log(1e3)
    assert slope == pytest.approx(logarithm(found), abs=0.02 * found.constant)
    assert (logarithm(found) == 0) == (first == second)


def test_from_weights_alone_only_the_law():
    found = PLANE.asymptotics(PAIR)
    assert (found.kind, found.exponent, found.constant) == ("power law", -3, None)
    assert found.error == np.inf
    assert "flow" in found.reason
    with pytest.raises(ValueError, match="constant"):
        found.loss(1e3)
    # A zero student does not count.
    assert PLANE.asymptotics([*MIRROR, [0.0, 0.0]]).constant == pytest.approx(np.pi**2 / 6)


@pytest.mark.parametrize("t", [0.5, 5.0])
def test_too_early_says_so(t):
    problem, w0 = reference("random-n4")
    found = problem.asymptotics(integrate(problem, w0, t))
    assert found.constant is None
    assert "further" in found.reason


def test_on_the_way_between_two_profiles_nothing_is_guessed():
    """random-n3 passes an unstable profile: no constant until it has left."""
    problem, w0 = reference("random-n3")
    for t in np.geomspace(10, 1e8, 15):
        found = problem.asymptotics(integrate(problem, w0, float(t)))
        if found.constant is not None:
            assert found.constant == pytest.approx(0.93468359, rel=1e-2)


# ---- one teacher: exponentials -------------------------------------------------------------------


@pytest.mark.parametrize("alpha", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("w", [[0.2, 0.3, -0.1], [-0.4, 0.3, 0.2], [1.0, 1e-3, 0.0]])
def test_equal_students(alpha, count, w):
    problem = TeacherStudent([0.0, 1.5, 0.0], f"leaky:{alpha}" if alpha else "relu")
    flow = integrate(problem, [w] * count, 60.0)
    found = problem.asymptotics([w] * count)
    assert found.kind == "exponential"
    assert float(found.rate) == pytest.approx(count * (1 + alpha**2), rel=1e-15)
    for t in (40.0, 60.0):
        truth = float(flow._at(t, "log_loss"))
        assert np.log(found.constant) - float(found.rate) * t == pytest.approx(truth, abs=2e-8)
    assert problem.asymptotics(flow).constant == found.constant


@pytest.mark.parametrize(("alpha", "count"), [(0.0, 1), (0.3, 2)])
def test_next_order_of_equal_students(alpha, count):
    """L e^(rate t) = C + c e^(−later t) + …, c in closed form, the rest smaller still."""
    problem = TeacherStudent(["0", "1.5"], f"leaky:{alpha}")
    flow = integrate(problem, [["0.2", "0.3"]] * count, 100, precision=30)
    found = problem.asymptotics(flow)
    (term,) = found.corrections
    with mpmath.workdps(60):
        exact = [Fraction(x) for x in (found.rate, term.rate)]
        rate, later = (mpmath.mpf(x.numerator) / x.denominator for x in exact)
        rests = []
        for t in (10, 20):
            rest = flow.loss_at(t) * mpmath.exp(rate * t) - found.constant
            rests.append(rest * mpmath.exp(later * t) / term.coefficient - 1)
        slope = mpmath.log(abs(rests[1] / rests[0])) / 10
    assert abs(rests[1]) < 1e-3
    assert slope == pytest.approx(-float(later), rel=0.1)


@pytest.mark.parametrize(
    "parts", [[0.2], [0.1, 0.5], [1.5, 1.4], [0.2, -0.3], [0.2, -0.3, -0.3], [0.2, 0.1, -0.3]]
)
def test_parallel_students(parts):
    """Exactly: the loss is the sum of what is given."""
    problem = TeacherStudent([0.0, 2.0])
    w0 = [[0.0, 2 * x] for x in parts]
    found, flow = problem.asymptotics(w0), integrate(problem, w0, 20.0)
    for t in (0.0, 1.0, 20.0):
        rest = sum(k.coefficient * np.exp(-float(k.rate) * t) for k in found.corrections)
        loss = (found.constant + rest) * np.exp(-float(found.rate) * t)
        assert flow.loss_at(t) == pytest.approx(loss, rel=1e-8)


def test_parallel_students_of_a_leaky_relu():
    problem = TeacherStudent([2.0], "leaky:0.5")
    found, flow = problem.asymptotics([[0.5], [0.25]]), integrate(problem, [[0.5], [0.25]], 9.0)
    assert found.loss(9.0) == pytest.approx(flow.loss_at(9.0), rel=1e-8)
    assert problem.asymptotics([[0.5], [-0.25]]).kind == "undecided"
    assert problem.asymptotics([[-0.25]]).kind == "undecided"


def test_nothing_faces_the_teacher():
    w0 = [[-0.3, 0.0], [-0.3, 0.0]]
    found = PLANE.asymptotics(w0)
    assert found.kind == "no decay"
    assert integrate(PLANE, w0, 1e3).loss_at(1e3) == pytest.approx(0.25)


def test_after_deaths_the_rest_is_exact():
    for w0 in ([[2.0, 0.0], [0.1, 0.0]], [[2.0, 0.0], [0.1, 0.0], [0.2, 0.0]]):
        flow = integrate(PLANE, w0, 50.0)
        assert flow.events
        assert PLANE.asymptotics(w0).kind == "undecided"
        found = PLANE.asymptotics(flow)
        assert found.loss(50.0) == pytest.approx(flow.loss_at(50.0), rel=1e-9)


def test_a_student_that_faded():
    w0 = [[2.0, 0.1], [0.1, -0.05]]
    flow = integrate(PLANE, w0, 300.0)
    assert [event.kind for event in flow.events] == ["fading-neuron"]
    found = PLANE.asymptotics(flow)
    slope = (float(flow._at(100.0, "log_loss")) - float(flow._at(50.0, "log_loss"))) / 50
    assert slope == pytest.approx(-found.rate, rel=1e-4)
    assert found.constant is None


# ---- several teachers ----------------------------------------------------------------------------

TEACHERS = np.array([[1.0, 0.0, 0.0], [0.0, 1.5, 0.0]])


def near(sizes, spread=0.1, seed=0):
    """Students near the minimum, so many to a teacher."""
    rng = np.random.default_rng(seed)
    rows = [v / n for v, n in zip(TEACHERS, sizes, strict=True) for _ in range(n)]
    return np.array(rows) + spread * rng.standard_normal((sum(sizes), 3))


@pytest.mark.parametrize("sizes", [pytest.param((2, 2), marks=pytest.mark.slow), (2, 1)])
def test_several_teachers_power_law(sizes):
    problem = TeacherStudent(TEACHERS[:, :2])
    times = np.array([1e4, 10**5.5, 1e7, 1e9])
    flow = integrate(problem, near(sizes)[:, :2], 1e9, t_eval=times)
    found = problem.asymptotics(flow)
    assert (found.kind, found.exponent) == ("power law", -3)
    expected = 0.0
    for k, v in enumerate(problem.teacher):
        mine = [i for i in range(sum(sizes)) if np.argmax(problem.teacher @ flow.w[-1, i]) == k]
        if len(mine) == 2:
            expected += 8 * np.pi**2 / 3 * np.prod(found.h[mine]) ** 2 * (v @ v)
    assert found.constant == pytest.approx(expected, rel=1e-10)
    cubes = flow.loss * times**3
    assert cubes[-1] == pytest.approx(found.constant, rel=1e-6)
    # The next order is ln t/t, with a coefficient that depends on how the clusters are coupled.
    steps = np.diff((cubes - found.constant)[:3] * times[:3])
    assert steps[1] == pytest.approx(steps[0], rel=0.15)
    assert any(term.log_power == 1 and term.coefficient is None for term in found.corrections)


def test_one_student_a_teacher():
    problem = TeacherStudent(TEACHERS)
    flow = integrate(problem, near((1, 1)), 150.0)
    found = problem.asymptotics(flow)
    hessian = problem.hessian(TEACHERS)
    assert found.rate == pytest.approx(2 * np.linalg.eigvalsh(hessian)[0], rel=1e-12)
    slope = (float(flow._at(150.0, "log_loss")) - float(flow._at(120.0, "log_loss"))) / 30
    assert slope == pytest.approx(-found.rate, rel=1e-4)


def test_equal_students_and_unused_dimensions_of_several_teachers():
    """Rates are those of directions that the flow has."""
    wide = TeacherStudent(np.hstack([TEACHERS[:, :2], np.zeros((2, 50))]))
    w0 = np.zeros((3, 52))
    w0[:, :2] = [[0.5, 0.1], [0.5, 0.1], [0.1, 1.4]]
    flow = integrate(wide, w0, 150.0)
    found = wide.asymptotics(flow)
    slope = (float(flow._at(150.0, "log_loss")) - float(flow._at(120.0, "log_loss"))) / 30
    assert slope == pytest.approx(-found.rate, rel=1e-3)


# ---- phase retrieval -----------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1, 1.7])
@pytest.mark.parametrize(
    "w0", [[[0.1, -0.2, 0.3]], [[0.3, 0.6, -0.6]], [[0.3, 0.1, 0.2], [-0.6, -0.2, -0.4]]]
)
def test_one_direction_of_phase_retrieval(scale, w0):
    problem = PhaseRetrieval([1.0, 2.0, -2.0], output_scale=scale)
    found, flow = problem.asymptotics(w0), integrate(problem, w0, 2.0)
    along = w0 == [[0.3, 0.6, -0.6]]
    assert float(found.rate) == pytest.approx((12 if along else 4) * scale * 9)
    # (At t = 2 the loss along the teacher is below 1e-80.)
    assert found.loss(1.0) == pytest.approx(flow.loss_at(1.0), rel=1e-6 if along else 1e-3)
    if not along:
        assert found.loss(2.0) == pytest.approx(flow.loss_at(2.0), rel=1e-8)
    assert problem.asymptotics(flow).constant == found.constant


@pytest.mark.parametrize("w0", [[["0.1", "-0.2", "0.3"]], [["0.3", "0.6", "-0.6"]]])
def test_next_order_of_phase_retrieval(w0):
    problem = PhaseRetrieval([1, 2, -2], output_scale=2)
    flow = integrate(problem, w0, 1, precision=30)
    found = problem.asymptotics(flow)
    (term,) = found.corrections
    with mpmath.workdps(60):
        t = mpmath.mpf("0.3")
        rest = flow.loss_at(t) * mpmath.exp(found.rate * t) - found.constant
        assert abs(rest * mpmath.exp(term.rate * t) / term.coefficient - 1) < 1e-2


def rest_of(problem, w0, t):
    """The prediction, and t (t²F − C) − (coefficient of ln t/t) ln t."""
    found = problem.asymptotics(w0)
    flow = integrate(problem, w0, t[-1], rtol=1e-12)
    rest = np.array([(flow.loss_at(x) * x**2 - found.constant) * x for x in t])
    return found, rest, logarithm(found)


@pytest.mark.parametrize("scale", [1, 1.7])
def test_two_directions_of_phase_retrieval(scale):
    """t²F = C + c₁ ln t/t + c/t: there is a logarithm."""
    problem = PhaseRetrieval([1.0, 0.5, -0.5], output_scale=scale)
    w0 = np.random.default_rng(2).standard_normal((2, 3))
    t = np.array([1e4, 1e5])
    found, rest, coefficient = rest_of(problem, w0, t)
    assert (found.kind, found.exponent) == ("power law", -2)
    assert np.diff(rest)[0] / np.log(10) == pytest.approx(coefficient, rel=1e-2)


@pytest.mark.parametrize(("n", "power"), [(3, -6 / 5), (5, -6 / 7)])
def test_more_directions_of_phase_retrieval(n, power):
    """Differences between the eigenvalues of the excess count by their squares, t^−6/(m+3)."""
    problem = PhaseRetrieval([1.0] + [0.0] * (n - 1))
    w0 = np.random.default_rng(n).standard_normal((n, n))
    t = np.geomspace(1e2, 1e6, 9)
    found, rest, coefficient = rest_of(problem, w0, t)
    assert found.loss(1e6) == pytest.approx(found.constant / 1e12)
    assert float(min((k.power for k in found.corrections), key=lambda x: abs(x - power))) == power
    columns = np.column_stack([np.ones(9), t ** (1 + power), t ** (1.5 * power + 1)])
    left = rest - coefficient * np.log(t)
    solution, *_ = np.linalg.lstsq(columns[::2], left[::2], rcond=None)
    assert np.abs(columns @ solution - left).max() <= 0.02 * np.ptp(left)


def test_phase_retrieval_that_never_converges():
    problem = PhaseRetrieval([1.0, 0.0])
    found = problem.asymptotics([[0.0, 1.0], [0.0, -0.5]])
    assert found.kind == "no decay"
    assert integrate(problem, [[0.0, 1.0]], 1e3).loss_at(1e3) > 0.1


# ---- many digits ---------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, *(pytest.param(k, marks=pytest.mark.slow) for k in (1, 2))])
def test_two_students_to_thirty_digits(seed):
    """The limit of t³L, extrapolated, against the closed form at the flow's h, extrapolated."""
    rng = np.random.default_rng(seed)
    v = rng.standard_normal(3) * [1, 3, 0.5][seed]
    problem = TeacherStudent(v)
    flow = integrate(problem, 0.4 * rng.standard_normal((2, 3)), 10**12, precision=50)
    found = problem.asymptotics(flow)
    limit = flowkit.extrapolate(flow, power=3)
    assert limit.digits >= 35
    with mpmath.workdps(60):
        assert abs(found.constant / limit.value - 1) < mpmath.mpf(10) ** -30
        assert abs(found.constant - limit.value) <= 2 * found.error + limit.error
        assert found.error < mpmath.mpf(10) ** -30 * found.constant
        square = sum(mpmath.mpf(x) ** 2 for x in v)
        closed = 8 * mpmath.pi**2 / 3 * (found.h[0] * found.h[1]) ** 2 * square
        assert abs(found.constant / closed - 1) < mpmath.mpf(10) ** -30


def energy(flow, t):
    """F of the flow's own h and φ t, written out; ‖v‖ = 1."""
    v = [mpmath.mpf(x) for x in flow.problem.teacher[0]]
    h = [mpmath.fdot(w, v) for w in flow(t)]
    phi = [
        [t * (x / a - y) for x, y in zip(w, v, strict=True)]
        for w, a in zip(flow(t), h, strict=True)
    ]
    points, weights = [*phi, [mpmath.mpf(0)] * len(v)], [*h, mpmath.mpf(-1)]
    total = mpmath.mpf(0)
    for i, (x, a) in enumerate(zip(points, weights, strict=True)):
        for y, b in zip(points[:i], weights[:i], strict=True):
            total += a * b * mpmath.norm([p - q for p, q in zip(x, y, strict=True)]) ** 3
    return total / (6 * mpmath.pi)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["random-n3", "random-n4"])
def test_the_law_at_the_end_of_fifty_digit_flows(name):
    problem, w0 = reference(name)
    flow = integrate(problem, w0, 10**40, precision=50)
    found = problem.asymptotics(flow)
    with mpmath.workdps(180):
        t = mpmath.mpf(10) ** 40
        assert abs(energy(flow, t) / cube(flow, t) - 1) < mpmath.mpf(10) ** -35
    with mpmath.workdps(60):
        assert abs(found.constant / cube(flow, t) - 1) < 1e-14
        assert found.error < mpmath.mpf(10) ** -48
        # What is left of t³L − C falls by the powers that the eigenvalues tell.
        times = [mpmath.mpf(10) ** k for k in (25, 30, 32, 35, 38, 40)]
        rest = [
            cube(flow, x) - found.constant - logarithm(found) * mpmath.log(x) / x for x in times
        ]
        slow = sorted({2 * (x - 1) for x in found.eigenvalues if abs(x - 2) > 1e-6 and x < 1.6})
        powers = [mpmath.mpf(k * slow[0]) / 2 for k in (2, 3, 4)] if slow[0] < 0.5 else [*slow, 1]
        matrix = mpmath.matrix([[x**-p for p in powers] for x in times[::2]])
        solution = mpmath.lu_solve(matrix, mpmath.matrix(rest[::2]))
        for x, value in zip(times, rest, strict=True):
            fitted = sum(c * x**-p for c, p in zip(solution, powers, strict=True))
            assert abs(fitted / value - 1) < 1e-3


@pytest.mark.slow
@pytest.mark.parametrize(
    "w0",
    [
        [["0.3", "0.2"]] * 3 + [["0.2", "-0.3"]],
        [["0.3", "0.1"], ["0.2", "-0.3"], ["0.25", "0.5"]],
        [["0.3", "0.1"], ["0.2", "-0.3"], ["0.25", "0.5"], ["0.1", "0.3"]],
    ],
)
def test_the_logarithm(w0):
    """Shapes whose λ are above 3/2, so that ln t/t leads what is left; 8 digits of it."""
    flow = integrate(PLANE, w0, 10**40, precision=30)
    found = PLANE.asymptotics(flow)
    with mpmath.workdps(80):
        low, high = mpmath.mpf(10) ** 24, mpmath.mpf(10) ** 36
        rest = [(cube(flow, t) - found.constant) * t for t in (low, high)]
        slope = (rest[1] - rest[0]) / mpmath.log(high / low)
        assert logarithm(found) != 0
        assert abs(slope / logarithm(found) - 1) < 1e-8


def test_closed_forms_in_many_digits():
    problem = TeacherStudent(["0", "1.5"])
    flow = integrate(problem, [["0.2", "0.3"]] * 2, 80, precision=30)
    found = problem.asymptotics(flow)
    with mpmath.workdps(40):
        assert abs(found.loss(80) / flow.loss[-1] - 1) < 1e-16  # e^(−t) further on
    quadratic = PhaseRetrieval([1, 2, -2])
    flow = integrate(quadratic, [["0.1", "0.2", "0.3"]], 2, precision=30)
    with mpmath.workdps(40):
        assert abs(quadratic.asymptotics(flow).loss(2) / flow.loss[-1] - 1) < 1e-26


@pytest.mark.slow
def test_several_teachers_in_many_digits():
    problem = TeacherStudent(TEACHERS[:, :2])
    flow = integrate(problem, near((2, 1))[:, :2], 10**20, precision=20)
    found = problem.asymptotics(flow)
    assert abs(found.constant / cube(flow, 10**20) - 1) < 1e-15
    lone = integrate(problem, near((1, 1))[:, :2], 100, precision=20)
    rate = problem.asymptotics(lone).rate
    slope = (mpmath.log(lone.loss_at(100)) - mpmath.log(lone.loss_at(80))) / 20
    assert abs(slope / rate + 1) < 1e-4


# ---- what is shown and refused -------------------------------------------------------------------


def test_saved_flows(tmp_path):
    flow = integrate(PLANE, PAIR, 1e12)
    flow.save(tmp_path / "flow.nc")
    again = flowkit.load(tmp_path / "flow.nc")
    assert PLANE.asymptotics(again) == PLANE.asymptotics(flow)


def test_what_is_shown():
    power = PLANE.asymptotics(integrate(PLANE, PAIR, 1e12))
    exponential = PLANE.asymptotics(PAIR[:1])
    nothing = PLANE.asymptotics([[-1.0, 0.0]])
    for found, law in ((power, "t^-3"), (exponential, "exp(-1 t)"), (nothing, "none")):
        assert law in str(found)
        assert found.reason in str(found)
        assert "<table>" in found._repr_html_()
        assert found._repr_latex_().startswith("$")
    shown = next(line for line in str(power).splitlines() if "constant" in line and "error" in line)
    digits = shown.split()[1].rstrip(",")
    unit = 10.0 ** -len(digits.partition(".")[2])
    assert power.error <= unit
    assert abs(float(digits) - power.constant) <= 0.51 * unit


@pytest.mark.parametrize(
    ("argument", "problem", "given"),
    [
        ("flow_or_w", PLANE, "x"),
        ("flow_or_w", PLANE, [[1.0, 2.0, 3.0]]),
        ("flow_or_w", PLANE, [[float("nan"), 1.0]]),
        ("flow_or_w", PLANE, [[0.0, 0.0]]),
        ("flow_or_w", PLANE, None),
        ("flow_or_w", TeacherStudent([[1.0, 0.0], [0.0, 1.0]]), [[1.0, 0.0], [0.0, 1.0]]),
        ("flow_or_w", PhaseRetrieval([1.0, 0.0]), [1.0]),
        ("samples", PhaseRetrieval([1.0], samples=[[1.0]]), [[0.5]]),
    ],
)
def test_bad_input(argument, problem, given):
    with pytest.raises(ValueError) as caught:
        problem.asymptotics(given)
    assert str(caught.value).startswith(argument)
    assert "\n" not in str(caught.value)


def test_flows_that_do_not_fit():
    flow = integrate(PLANE, PAIR, 10.0)
    with pytest.raises(ValueError, match=r"^flow_or_w: a flow of another problem$"):
        TeacherStudent([2.0, 0.0]).asymptotics(flow)
    problem = TeacherStudent(TEACHERS)
    rng = np.random.default_rng(0)
    early = integrate(problem, 0.1 * rng.standard_normal((2, 3)), 2.0)
    with pytest.raises(ValueError, match=r"^flow_or_w: .*further"):
        problem.asymptotics(early)


@pytest.mark.parametrize("activation", ["relu", "leaky:0.1", "leaky:0.7"])
@pytest.mark.parametrize("t_max", [10, 40, 300])
def test_errors_of_short_flows_are_honest(activation, t_max):
    """The constant from a flow that has hardly begun, against that of the same flow at 1e30."""
    problem, decided = flowkit.TeacherStudent([1.0, 0.0, 0.0], activation), 0
    for seed in range(4):
        w0 = 0.1 * np.random.default_rng(1000 + seed).standard_normal((2, 3))
        early = problem.asymptotics(flowkit.integrate(problem, w0, t_max))
        late = problem.asymptotics(flowkit.integrate(problem, w0, 1e30))
        if early.constant is not None and late.constant is not None:
            decided += 1
            assert abs(early.constant - late.constant) <= early.error + late.error
    assert decided


def test_a_law_that_sets_in_late_says_so():
    problem = flowkit.TeacherStudent([1.0, 0.0])
    flow = flowkit.integrate(problem, [[0.3, 1e-12], [0.3, -2e-12]], 1e6)
    assert "sets in late, at t ~ 1e+12" in problem.asymptotics(flow).reason


def test_opposite_students_of_different_norm_are_not_said_to_stay():
    problem = flowkit.TeacherStudent([1.0, 0.0])
    assert problem.asymptotics([[-0.1, 0.0], [-0.2, 0.0]]).kind == "undecided"
    assert problem.asymptotics([[-0.1, 0.0], [-0.1, 0.0]]).kind == "no decay"


def test_parallel_teachers_are_refused_with_advice():
    problem = flowkit.TeacherStudent([[1.0, 0.0], [2.0, 0.0]])
    with pytest.raises(ValueError, match=r"^problem: teachers 0 and 1 are parallel"):
        problem.asymptotics([[0.1, 0.2]])


@pytest.mark.parametrize("t", [0, -1.0, "x", None, [1.0, -1.0]])
def test_no_loss_at_such_a_time(t):
    law = flowkit.TeacherStudent([1.0, 0.0]).asymptotics([[0.3, 0.2], [0.3, -0.2]])
    with pytest.raises(ValueError, match=r"^t: expected positive numbers"):
        law.loss(t)
    assert law.loss([1, 10]) == pytest.approx(law.constant * np.array([1, 1e-3]))
