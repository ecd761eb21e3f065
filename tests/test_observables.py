"""Observables: against textbook formulas in many digits, closed forms, invariances; the phases."""

import json
import pickle
import subprocess
import sys

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import flowkit
from flowkit.observation.result import LABELS

MIRROR = [[0.3, 0.2], [0.3, -0.2]]
NAMES = [name for name in LABELS if name not in ("hessian_min", "hessian_max")]


def start(n, d, sigma=0.01, seed=0):
    return sigma * np.random.default_rng(seed).standard_normal((n, d))


def teacher(d):
    return flowkit.TeacherStudent(np.eye(d)[0])


@pytest.fixture(scope="module")
def double():
    return flowkit.integrate(teacher(4), start(3, 4), 1e12)


@pytest.fixture(scope="module")
def precise():
    return flowkit.integrate(teacher(4), start(3, 4), 1e12, precision=30)


TIMES = [1e-3, 1.0, 30.0, 1e3, 1e8, 1e12]


class Defined:
    """Definitions of the paper, term by term, from weights in many digits."""

    def __init__(self, w, v, digits=120):
        self.mp = mp = mpmath.MPContext()
        mp.dps = digits
        self.w = [[mp.mpf(x) for x in row] for row in w]
        self.v = [mp.mpf(x) for x in v]
        self.unit = [x / self.norm(self.v) for x in self.v]
        self.h = [self.dot(row, self.unit) for row in self.w]
        self.z = [
            [x - h * u for x, u in zip(row, self.unit, strict=True)]
            for row, h in zip(self.w, self.h, strict=True)
        ]

    def dot(self, a, b):
        return self.mp.fsum(x * y for x, y in zip(a, b, strict=True))

    def norm(self, a):
        return self.mp.sqrt(self.dot(a, a))

    def angle(self, a, b):
        cosine = self.dot(a, b) / self.norm(a) / self.norm(b)
        return self.mp.acos(max(-self.mp.one, min(self.mp.one, cosine)))

    def pairs(self, rows, quantity):
        n = len(rows)
        return [quantity(rows[i], rows[j]) for i in range(n) for j in range(i + 1, n)]

    def apart(self, a, b):
        return self.norm([x - y for x, y in zip(a, b, strict=True)])

    def values(self):
        mp = self.mp
        r = [
            mp.fsum(column) - v for column, v in zip(zip(*self.w, strict=True), self.v, strict=True)
        ]
        return {
            "theta": [self.angle(row, self.v) for row in self.w],
            "norms": [self.norm(row) for row in self.w],
            "h": self.h,
            "H": self.norm(self.v) - mp.fsum(self.h),
            "r": r,
            "r_norm": self.norm(r),
            "z_norms": [self.norm(row) for row in self.z],
            "Z": mp.fsum(self.pairs(self.z, self.apart)),
            "kappa_max": max(self.pairs(self.z, self.angle)),
            "balance": max(self.h) / min(self.h) if min(self.h) > 0 else mp.inf,
        }


def relative(found, expected):
    found = np.ravel(np.asarray(found, dtype=object))
    expected = np.ravel(np.asarray(expected, dtype=object))
    mp = mpmath.MPContext()
    mp.dps = 120
    gaps = [
        0.0 if x == y else float(abs(mp.mpf(x) - y) / abs(y))
        for x, y in zip(found, expected, strict=True)
    ]
    return max(gaps)


def test_in_many_digits_by_definition(precise):
    """Weights of the flow itself have 30 digits and more: what the definitions cancel is there."""
    o = flowkit.observables(precise, TIMES[:4])
    for k, t in enumerate(TIMES[:4]):
        expected = Defined(precise(t), np.eye(4)[0]).values()
        for name, value in expected.items():
            if name == "r" or (name == "balance" and mpmath.isinf(value)):
                continue
            assert relative(o[name][k], value) < 1e-20, (name, t)
        assert np.abs(np.asarray(o.r[k] - np.array(expected["r"]), dtype=float)).max() < 1e-30


@pytest.mark.parametrize("name", NAMES)
def test_doubles_agree_with_many_digits(double, precise, name):
    """Also where θ = 1e-12 and H = 1e-24; and the stated error covers the difference."""
    here, there = flowkit.observables(double, TIMES), flowkit.observables(precise, TIMES)
    x, y = here[name], np.asarray(there[name], dtype=float)
    assert x.shape == y.shape
    gap = np.abs(np.where(x == y, 0.0, x - y))
    size = np.abs(y).reshape(len(y), -1).max(axis=1)
    if name != "balance":
        assert (np.nanmax(gap.reshape(len(y), -1), axis=1) <= 1e-8 * size).all()
    allowed = 10 * here.error(name).reshape(len(y), -1).max(axis=1) + 1e-14 * size
    same = np.isinf(x).reshape(len(y), -1).all(axis=1)
    assert (same | (gap.reshape(len(y), -1).max(axis=1) <= allowed)).all()


def test_toy_case_1_in_closed_form():
    """θ = π/t, Z = 2b = π/t, κ = π, H = 0 to first order, ‖∇L‖/L^⅔ → √3 (π²/6)^(−1/6)."""
    o = flowkit.observables(flowkit.integrate(flowkit.TeacherStudent([1.0, 0.0]), MIRROR, 1e12))
    t = o.t[-1]
    assert t * o.theta[-1] == pytest.approx(np.pi, rel=1e-10)
    assert t * o.Z[-1] == pytest.approx(np.pi, rel=1e-10)
    assert t * o.pair_theta[-1, 0, 1] == pytest.approx(2 * np.pi, rel=1e-10)
    assert t**2 * o.Z_rate[-1] == pytest.approx(-np.pi, rel=1e-10)
    assert o.kappa_max == pytest.approx(np.pi, rel=1e-14)
    assert o.gradient_ratio[-1] == pytest.approx(3**0.5 * (np.pi**2 / 6) ** (-1 / 6), rel=1e-10)
    assert o.local_slope[-1] == pytest.approx(-3, rel=1e-10)
    assert o.h[-1] == pytest.approx(0.5, rel=1e-14)


def test_toy_case_2_in_closed_form():
    """H = H₀ e^(−nt/2) to t where it is 1e-86; z = 0 exactly."""
    w0 = np.outer([0.125, 0.25, 0.0625], np.eye(3)[0])
    flow = flowkit.integrate(teacher(3), w0, 130.0)
    o = flowkit.observables(flow)
    assert pytest.approx(0.5625 * np.exp(-1.5 * o.t), rel=1e-8) == o.H
    assert not o.z.any()
    assert not o.Z.any()
    assert not o.Z_rate.any()
    assert not o.theta.any()
    assert np.isnan(o.kappa_max).all()


def test_equal_students_have_no_potential():
    o = flowkit.observables(flowkit.integrate(teacher(3), [[0.2, 0.3, -0.1]] * 3, 30.0))
    assert not o.Z.any()
    assert not o.Z_rate.any()
    assert o.pair_theta.max() == 0
    assert np.nanmax(np.abs(o.balance - 1)) < 1e-15


def test_rate_of_the_potential_is_its_derivative(double):
    t = np.array([1e-2, 1.0, 1e2, 1e6])
    step = 1e-5
    now, after, before = (flowkit.observables(double, t * x) for x in (1, 1 + step, 1 - step))
    quotient = (after.Z - before.Z) / (2 * step * t)
    assert now.Z_rate == pytest.approx(quotient, rel=1e-5)


def test_velocity_is_the_gradient(precise):
    o = flowkit.observables(precise, [1.0])
    square = sum(float(x) ** 2 for x in o.states.velocity.ravel())
    assert float(o.gradient_norm[0]) == pytest.approx(square**0.5, rel=1e-14)
    assert square**0.5 == pytest.approx(
        float(np.linalg.norm(np.asarray(precise.gradient_at(1.0), dtype=float))), rel=1e-14
    )


def test_smallest_eigenvalue(double, precise):
    """1e-36 beside 2; the double flow against 30 digits, an early one against NumPy."""
    here, there = flowkit.observables(double, TIMES), flowkit.observables(precise, TIMES)
    small, exact = here.hessian_min, np.asarray(there.hessian_min, dtype=float)
    assert small == pytest.approx(exact, rel=1e-6)
    assert (np.abs(small - exact) <= 10 * here.error("hessian_min") + 1e-12 * np.abs(exact)).all()
    assert 0 < small[-1] < 1e-35
    early = np.linalg.eigvalsh(teacher(4).hessian(double(1.0)))
    assert small[1] == pytest.approx(early[0], rel=1e-9)
    assert here.hessian_max[1] == pytest.approx(early[-1], rel=1e-9)


def test_directions_that_nothing_moves_in_count():
    """d = 40: the flow runs in 3 dimensions, the Hessian has 80 eigenvalues."""
    flow = flowkit.integrate(teacher(40), start(2, 40, 0.3), 10.0)
    o = flowkit.observables(flow, [0.5, 5.0])
    for k, t in enumerate((0.5, 5.0)):
        spectrum = np.linalg.eigvalsh(teacher(40).hessian(flow(t)))
        assert o.hessian_min[k] == pytest.approx(spectrum[0], rel=1e-9)
        assert o.hessian_max[k] == pytest.approx(spectrum[-1], rel=1e-9)


@given(st.integers(0, 10**6), st.integers(2, 5), st.integers(2, 6))
def test_definitions_at_weights(seed, n, d):
    draw = np.random.default_rng(seed)
    v, w = draw.standard_normal(d), draw.standard_normal((n, d))
    o = flowkit.observables_at(flowkit.TeacherStudent(v), w)
    for name, value in Defined(w, v).values().items():
        found, expected = o[name][0], np.array(value, dtype=float)
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-12), name


@given(st.integers(0, 10**6))
def test_rotation_scale_and_permutation(seed):
    draw = np.random.default_rng(seed)
    v, w = draw.standard_normal(4), draw.standard_normal((3, 4))
    turn, order = np.linalg.qr(draw.standard_normal((4, 4)))[0], draw.permutation(3)
    c = 2.0 ** draw.integers(-20, 20)
    plain = flowkit.observables_at(flowkit.TeacherStudent(v), w)
    other = flowkit.observables_at(flowkit.TeacherStudent(c * v @ turn), c * w[order] @ turn)
    for name in NAMES:
        if name in ("r", "z"):
            continue
        x, y = plain[name][0], other[name][0] / c ** LABELS[name].unit
        if x.ndim:
            x = x[np.ix_(*(order,) * x.ndim)]
        assert np.allclose(x, y, rtol=1e-7, atol=1e-9, equal_nan=True), name


def test_a_student_that_died():
    w0 = start(4, 6, 0.1)
    flow = flowkit.integrate(teacher(6), w0, 1e3)
    o = flowkit.observables(flow, [1.0, 100.0])
    assert np.isnan(o.theta[1, 2]) and not np.isnan(o.theta[0]).any()
    assert o.h[1, 2] == 0 and not o.z[1, 2].any()
    assert np.isfinite(o.theta_max[1]) and np.isfinite(o.Z[1]) and np.isfinite(o.kappa_max[1])


def test_several_teachers_and_phase_retrieval():
    pair = flowkit.TeacherStudent(np.eye(3)[:2])
    flow = flowkit.integrate(pair, start(4, 3, 0.3, 1), 1e4)
    o = flowkit.observables(flow, [1.0, 1e4])
    w = flow(1e4)
    assert o.h[1] == pytest.approx(w[:, 0], rel=1e-9)
    assert o.r_norm[1] == pytest.approx(np.linalg.norm(w.sum(axis=0) - [1, 1, 0]), abs=1e-12)
    assert o.H[1] == pytest.approx(1 - w[:, 0].sum(), abs=1e-12)
    quadratic = flowkit.integrate(flowkit.PhaseRetrieval([1.0, 0, 0]), start(2, 3, 0.3), 50.0)
    found = flowkit.observables(quadratic, [10.0])
    assert found.h[0] == pytest.approx(quadratic(10.0)[:, 0], rel=1e-9)
    assert found.gradient_norm[0] == pytest.approx(
        np.linalg.norm(quadratic.problem.gradient(quadratic(10.0))), rel=1e-6
    )


def test_along_a_descent():
    """By definition from its weights early, and on toy case 1 in closed form late."""
    descent = flowkit.descend(teacher(4), start(3, 4, 0.1), 0.05, 100)
    o = flowkit.observables(descent)
    assert o.t == pytest.approx(0.05 * descent.iteration)
    for k in (0, 5, len(descent.t) - 1):
        for name, value in Defined(descent.w[k], np.eye(4)[0]).values().items():
            found, expected = o[name][k], np.array(value, dtype=float)
            assert found == pytest.approx(expected, rel=1e-9, abs=1e-13), name
    late = flowkit.descend(flowkit.TeacherStudent([1.0, 0.0]), MIRROR, 0.01, 10**6)
    found = flowkit.observables(late, [1e4])
    assert 1e4 * found.theta[0] == pytest.approx(np.pi, rel=2e-3)
    assert found.Z[0] == pytest.approx(np.tan(found.theta[0, 0]), rel=1e-12)
    assert abs(found.H[0]) < 1e-12
    assert (found.error("theta") < 1e-9 * found.theta).all()
    with pytest.raises(ValueError, match=r"^t: "):
        flowkit.observables(late, [0.333])


def test_shows_itself(double):
    o = flowkit.observables(double, TIMES)
    assert "students at 6 times" in repr(o)
    assert "κ_max" in o._repr_html_()
    assert json.dumps(o.to_dict())
    assert set(o.names) == set(LABELS)
    figure = o.plot()
    assert len(figure.axes) == 7
    assert [a.get_xlabel() for a in figure.axes[3:6]] == ["t"] * 3


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda f: flowkit.observables(3), "run"),
        (lambda f: flowkit.observables(f, [1e13]), "t"),
        (lambda f: flowkit.observables(f, "soon"), "t"),
        (lambda f: flowkit.observables(f, []), "t"),
        (lambda f: flowkit.observables_at(f.problem, np.zeros((0, 3, 4))), "W"),
        (lambda f: flowkit.phases(f, angle="x"), "angle"),
        (lambda f: flowkit.observables(f)["thetas"], "name"),
        (lambda f: flowkit.observables_at(f.problem, [[1.0]]), "W"),
        (lambda f: flowkit.observables_at(f.problem, [[np.nan] * 4]), "W"),
        (lambda f: flowkit.observables_at(None, [[1.0]]), "problem"),
        (lambda f: flowkit.phases(None), "run"),
        (lambda f: flowkit.phases(f, angle=0), "angle"),
        (lambda f: flowkit.phases(f, residual=-1), "residual"),
        (lambda f: flowkit.phases(f, ratio=1), "ratio"),
    ],
)
def test_bad_arguments(double, call, word):
    with pytest.raises(ValueError, match=f"^{word}: ") as caught:
        call(double)
    assert "\n" not in str(caught.value)


def test_import_stays_light():
    code = "import flowkit, sys; flowkit.__version__; print('matplotlib' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"


# --- phases -----------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [2, 4])
def test_phases_meet_their_conditions(n):
    flow = flowkit.integrate(teacher(20), start(n, 20, 1e-4), 1e6)
    found = flowkit.phases(flow)
    assert found.status == "three phases"
    at = flowkit.observables(flow, [found.T1 * (1 - 1e-6), found.T1, found.T2])
    assert at.theta_max[1] <= 0.1 * (1 + 1e-9) and at.balance[1] <= 2 * (1 + 1e-9)
    assert at.theta_max[0] > 0.1 or at.balance[0] > 2
    assert abs(at.H[2]) == pytest.approx(0.01, rel=1e-9)
    fine = flowkit.phases(flowkit.integrate(teacher(20), start(n, 20, 1e-4), 1e6, rtol=1e-13))
    assert abs(found.T1 - fine.T1) <= 3 * found.T1_error + 1e-14
    assert abs(found.T2 - fine.T2) <= 3 * found.T2_error + 1e-14


def test_phases_of_a_descent():
    """The very iterations; and with a small step the times of the flow."""
    w0, step = start(3, 20, 1e-3), 1e-5
    found = flowkit.phases(flowkit.descend(teacher(20), w0, step, 5 * 10**5))
    first, second = round(found.T1 / step), round(found.T2 / step)
    near = [first - 1, first, second - 1, second]
    o = flowkit.observables(flowkit.descend(teacher(20), w0, step, second, iterations=near))
    ready = (o.theta_max <= 0.1) & (o.balance <= 2)
    assert list(ready) == [False, True, True, True]
    assert list(np.abs(o.H) <= 0.01) == [False, False, False, True]
    flow = flowkit.phases(flowkit.integrate(teacher(20), w0, 100.0))
    assert pytest.approx(flow.T1, rel=1e-3) == found.T1
    assert pytest.approx(flow.T2, rel=1e-3) == found.T2
    assert found.plot()


def test_phases_scale():
    """W, v and nothing else scaled by c: the same times."""
    w0 = start(3, 5, 1e-3)
    plain = flowkit.phases(flowkit.integrate(teacher(5), w0, 1e4))
    large = flowkit.phases(flowkit.integrate(flowkit.TeacherStudent(8 * np.eye(5)[0]), 8 * w0, 1e4))
    assert pytest.approx((plain.T1, plain.T2), rel=1e-12) == (large.T1, large.T2)


def test_phases_of_one_student_exactly():
    """n = 1, w ∥ v: θ = 0 from the start, H = H₀ e^(−t/2)."""
    found = flowkit.phases(flowkit.integrate(teacher(2), [[0.25, 0.0]], 100.0))
    assert found.T1 == 0
    assert pytest.approx(2 * np.log(75), rel=1e-9) == found.T2


def test_short_and_large_runs_say_so():
    short = flowkit.phases(flowkit.integrate(teacher(6), start(4, 6), 1e-2))
    assert short.status == "not reached" and np.isnan(short.T2)
    large = flowkit.phases(flowkit.integrate(teacher(6), start(4, 6, 0.01), 1e6))
    assert large.status == "out of order"


def test_phases_last_to_the_end():
    """What held at first and is lost again does not count."""
    flow = flowkit.integrate(flowkit.TeacherStudent([1.0, 0]), [[2, 0.01], [1.1, -0.01]], 1e6)
    found = flowkit.phases(flow)
    first = flowkit.observables(flow, [0.0])
    assert first.theta_max[0] < 0.1 and first.balance[0] < 2
    assert found.status == "not reached" and np.isnan(found.T1)
    flow = flowkit.integrate(teacher(5), start(3, 5, 1.0, 2), 1e4)
    found = flowkit.phases(flow)
    later = flowkit.observables(flow, np.geomspace(found.T2, 1e4, 2000))
    assert (np.abs(later.H) <= 0.01 * (1 + 1e-9)).all()


def test_phases_of_the_living():
    """A student at zero does not count."""
    flow = flowkit.integrate(teacher(6), start(4, 6, 0.1), 1e10)
    assert [event.neuron for event in flow.events] == [2]
    o = flowkit.observables(flow, [1e10])
    h = np.delete(o.h[0], 2)
    assert o.balance[0] == pytest.approx(h.max() / h.min(), rel=1e-14)


def test_phases_of_students_that_start_aligned():
    """T₁ = 0: the figure has no first phase."""
    flow = flowkit.integrate(teacher(3), [[0.3, 0.01, 0], [0.2, -0.01, 0.005]], 1e4)
    found = flowkit.phases(flow)
    assert found.T1 == 0
    assert found.plot()


def test_times_in_any_order(double):
    ordered = flowkit.observables(double, [1.0, 1.0, 10.0, 100.0])
    mixed = flowkit.observables(double, [10.0, 1.0, 100.0, 1.0])
    place = [2, 0, 3, 1]
    for name in ("t", "theta", "Z", "loss"):
        assert (getattr(mixed, name) == getattr(ordered, name)[place]).all()
        if name != "t":
            assert (mixed.error(name) == ordered.error(name)[place]).all()


def test_pickle(double):
    descent = flowkit.descend(teacher(4), start(3, 4, 0.1), 0.05, 100)
    for run in (double, descent):
        o = flowkit.observables(run)
        again = pickle.loads(pickle.dumps(o))
        assert (again.theta == o.theta).all()
        assert (again.error("Z") == o.error("Z")).all()


@pytest.mark.parametrize(("eta", "steps"), [(0.4, 10**5), (0.05, 10**4)])
def test_errors_along_a_descent(eta, steps):
    """Against descent in 60 digits early, and the flow's own decay of r late."""
    w0 = [[0.1, 0.1, 0], [0.2, -0.3, 0.1]]
    descent = flowkit.descend(teacher(3), w0, eta, steps)
    o = flowkit.observables(descent)
    known = o.error("H") < np.abs(o.H)
    assert known[:20].all()
    for name in ("theta", "Z", "kappa_max", "H"):
        assert (o.error(name) > 0).any()


def test_phases_show_themselves():
    found = flowkit.phases(flowkit.integrate(teacher(6), start(4, 6, 1e-3), 1e6))
    assert "three phases" in repr(found)
    assert "T1" in found._repr_html_()
    figure = found.plot()
    assert [a.get_ylabel() for a in figure.axes] == ["θᵢ", "‖wᵢ‖", "hᵢ", "|H|, ‖r‖", "L"]
