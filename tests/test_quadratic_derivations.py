"""Quadratic activation: results of derivations agree with integrals, losses and flows."""

import mpmath
import numpy as np
import pytest
import sympy as sp
from numpy.polynomial.hermite_e import hermegauss

import flowkit
from flowkit import PhaseRetrieval, integrate
from symbolic import quadratic_corrections as corrections
from symbolic import quadratic_rate as rate
from symbolic import quadratic_single as single
from symbolic.gaussian_moments import gaussian_moments
from symbolic.quadratic_components import quadratic_components
from symbolic.quadratic_dynamics import ETA, quadratic_dynamics
from symbolic.quadratic_hessian import quadratic_hessian
from symbolic.quadratic_loss import DOTS, W1, W2, V, quadratic_gradient, quadratic_loss
from symbolic.quadratic_scale import C, quadratic_scale
from symbolic.quadratic_single import quadratic_single

RNG = np.random.default_rng


def teacher(square, d):
    """Along the first axis, ‖v‖² as given."""
    return np.sqrt(square) * np.eye(d)[0]


def halves(rng, *shape):
    """Random numbers with few binary digits, so that every sum of products is exact."""
    return rng.integers(-40, 40, size=shape) / 16


def number(rational):
    """As mpmath has it; exact for few binary digits."""
    return mpmath.mpf(int(rational.p)) / int(rational.q)


# ---- moments -------------------------------------------------------------------------------------


def expectation(function, d=2):
    """E of a polynomial of degree at most 5 in each component, by Gauss-Hermite quadrature."""
    nodes, weights = hermegauss(3)
    weights = weights / weights.sum()
    grid = np.stack(np.meshgrid(*[nodes] * d), axis=-1).reshape(-1, d)
    mass = np.prod(np.stack(np.meshgrid(*[weights] * d), axis=-1).reshape(-1, d), axis=1)
    return np.tensordot(mass, np.array([function(x) for x in grid]), axes=1)


def test_moments_are_the_gaussian_integrals():
    v, w = halves(RNG(1), 2, 2), halves(RNG(2), 2, 2)
    names = {s.name: s for e in gaussian_moments().result for s in e.free_symbols}
    at = {names[f"V_{i + 1}{j + 1}"]: v[i, j] for i in range(2) for j in range(2)}
    at |= {names[f"W_{i + 1}{j + 1}"]: w[i, j] for i in range(2) for j in range(2)}
    first, second = (float(e.subs(at)) for e in gaussian_moments().result)
    assert first == pytest.approx(expectation(lambda x: (x @ v @ v.T @ x) * (x @ w @ w.T @ x)))
    assert second == pytest.approx(expectation(lambda x: (x @ w @ v.T @ x) ** 2))


def test_moments_in_any_shape():
    """Lemma 6 as stated, for d = 3 and two columns."""
    v, w = RNG(3).standard_normal((2, 3, 2))
    found = expectation(lambda x: (x @ v @ v.T @ x) * (x @ w @ w.T @ x), 3)
    assert found == pytest.approx(np.sum(v**2) * np.sum(w**2) + 2 * np.sum((v.T @ w) ** 2))
    found = expectation(lambda x: (x @ w @ v.T @ x) ** 2, 3)
    other = np.trace(w.T @ v) ** 2 + np.trace(w.T @ v @ w.T @ v) + np.sum((w @ v.T) ** 2)
    assert found == pytest.approx(other)


# ---- loss, gradient, Hessian ---------------------------------------------------------------------


def point(seed):
    """Two students and a teacher in two dimensions, and the symbols' values there."""
    rng = RNG(seed)
    w, v = halves(rng, 2, 2), halves(rng, 2)
    numbers = [sp.Rational(*x.as_integer_ratio()) for x in [*w.ravel(), *v]]
    return w, v, dict(zip((*W1, *W2, *V), numbers, strict=True))


@pytest.mark.parametrize("seed", range(3))
def test_loss_and_gradient_are_the_problem_s(seed):
    w, v, at = point(seed)
    problem = PhaseRetrieval(v)
    assert number(quadratic_loss().result.subs(DOTS).subs(at)) == problem.loss(w, precision=50)
    slope = [number(x) for x in quadratic_gradient().result.subs(at)]
    assert slope == list(problem.gradient(w, precision=50)[0])


@pytest.mark.parametrize("seed", range(3))
def test_hessian_is_the_problem_s(seed):
    w, v, at = point(seed)
    own, cross = (step.after.subs(at) for step in quadratic_hessian().steps[:2])
    first_rows = PhaseRetrieval(v).hessian(w, precision=50)[0]
    assert [number(x) for x in (*own, *cross)] == list(first_rows)


def test_scaled_loss_is_the_problem_s():
    w, v, at = point(7)
    found = quadratic_scale().result.subs(DOTS).subs(at).subs(C, sp.Rational(7, 4))
    assert number(found) == PhaseRetrieval(v, 1.75).loss(w, precision=50)


@pytest.mark.parametrize(("n", "d"), [(1, 3), (2, 2), (3, 4), (5, 2)])
def test_spectrum_at_the_minimum(n, d):
    v, q = RNG(n).standard_normal(d), RNG(d).standard_normal(n)
    s = v @ v
    w = np.outer(q / np.linalg.norm(q), v)
    found = np.linalg.eigvalsh(PhaseRetrieval(v).hessian(w))
    largest, middle, zero = (
        float(e.subs(e.free_symbols.pop(), s)) if e else 0.0 for e in quadratic_hessian().result
    )
    expected = [zero] * (d * (n - 1)) + [middle] * (d - 1) + [largest]
    np.testing.assert_allclose(found, expected, atol=1e-13 * s)


def test_descent_on_the_problem():
    """Steps along and across the teacher, against the problem's gradient."""
    w, s, eta = halves(RNG(11), 2, 2), 2.25, 0.0625
    names = {x.name: x for x in quadratic_dynamics().result.free_symbols}
    at = {
        names["a_1"]: w[0, 0],
        names["b_1"]: w[0, 1],
        names["a_2"]: w[1, 0],
        names["b_2"]: w[1, 1],
    }
    at |= {names["s"]: s, ETA: eta}
    step = w[0] - eta * PhaseRetrieval(teacher(s, 2)).gradient(w)[0]
    np.testing.assert_allclose([float(x.subs(at)) for x in quadratic_dynamics().result], step)
    a, b, c, d = (float(x.subs(at)) for x in quadratic_components().result)
    np.testing.assert_allclose([a - b, c - d], step)


def test_descent_with_output_scale():
    """Step η on the scaled objective from W is step Cη on the unscaled one from √C W."""
    v, w = RNG(12).standard_normal(4), 0.3 * RNG(13).standard_normal((3, 4))
    scale, eta = 2.5, 0.02
    scaled, plain, wide = PhaseRetrieval(v, scale), PhaseRetrieval(v), np.sqrt(scale) * w
    for _ in range(20):
        w = w - eta * scaled.gradient(w)
        wide = wide - scale * eta * plain.gradient(wide)
    np.testing.assert_allclose(np.sqrt(scale) * w, wide, rtol=1e-12)


# ---- one student ---------------------------------------------------------------------------------


def closed_form(w0, square, scale):
    """ln L(t) of students that are parallel at the start."""
    with mpmath.workdps(60):
        w = [[mpmath.mpf(x) for x in row] for row in w0.tolist()]
        along = mpmath.fsum(row[0] ** 2 for row in w)
        across = mpmath.fsum(x * x for row in w for x in row[1:])
        values = {
            single.KAPPA: mpmath.sqrt(across / along),
            single.START: 1 / (mpmath.mpf(scale) * along),
            single.S: mpmath.mpf(square),
            single.C: mpmath.mpf(scale),
        }
        loss = sp.lambdify([single.T, *values], quadratic_single().result, "mpmath")
        return lambda t: loss(mpmath.mpf(t), *values.values())


STARTS = {
    "generic": np.array([[0.125, 0.25, -0.5]]),
    "large": np.array([[-2.0, 1.0, 0.0]]),
    "parallel to the teacher": np.array([[0.25, 0.0, 0.0]]),
    "two parallel students": np.outer([0.5, -1.0], [0.25, 0.5, 0.125]),
}


@pytest.mark.parametrize("start", STARTS)
def test_closed_form_of_one_student(start):
    w0, square, scale = STARTS[start], 2.25, 1.5
    problem = PhaseRetrieval(teacher(square, 3), scale)
    flow = integrate(problem, w0, 6.0, precision=50, t_eval=[0.25, 1.0, 6.0])
    exact = closed_form(w0, square, scale)
    with mpmath.workdps(60):
        for t, loss in zip(flow.t, flow.loss, strict=True):
            assert abs(loss / exact(t) - 1) < mpmath.mpf(10) ** -45


@pytest.mark.parametrize(
    ("start", "exponent", "constant"),
    [
        ("generic", single.RATE, single.CONSTANT),
        ("parallel to the teacher", single.PARALLEL_RATE, single.PARALLEL_CONSTANT),
    ],
)
def test_rate_of_one_student(start, exponent, constant):
    w0, square, scale, t = STARTS[start], 1.0, 1.5, 4.0
    flow = integrate(PhaseRetrieval(teacher(square, 3), scale), w0, t, rtol=1e-11)
    along, across = w0[0, 0] ** 2, w0[0, 1:] @ w0[0, 1:]
    at = {single.S: square, single.C: scale, single.START: 1 / (scale * along)}
    at |= {single.KAPPA: np.sqrt(across / along)}
    predicted = np.log(float(constant.subs(at))) - float(exponent.subs(at)) * t
    assert flow.log_loss[-1] == pytest.approx(predicted, abs=1e-3)


# ---- several students ----------------------------------------------------------------------------


def constant(m, scale):
    return rate.RATE_CONSTANT.subs({rate.M: m, C: sp.Rational(*float(scale).as_integer_ratio())})


CASES = [
    pytest.param(2, 3, 1.75, 1e8, id="m = 1"),
    pytest.param(3, 3, 0.5, 1e8, id="m = 2"),
    pytest.param(4, 4, 1.75, 1e8, id="m = 3"),
    pytest.param(2, 3, 1.75, 1e16, id="m = 1, long", marks=pytest.mark.slow),
    pytest.param(4, 4, 1.75, 1e16, id="m = 3, long", marks=pytest.mark.slow),
    pytest.param(6, 5, 1.75, 1e16, id="m = 4, long", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("n", "d", "scale", "end"), CASES)
def test_constant_against_many_digits(n, d, scale, end):
    w0 = 0.5 * RNG(n).standard_normal((n, d))
    flow = integrate(PhaseRetrieval(teacher(2.0, d), scale), w0, end, precision=50)
    limit = flowkit.extrapolate(flow, power=2)
    with mpmath.workdps(50):
        predicted = number(constant(min(n, d) - 1, scale))
        assert limit.error < 1e-4 * predicted
        assert abs(limit.value - predicted) <= limit.error


BLOCK = RNG(20).standard_normal((3, 6))
RANKS = {
    "fewer students than dimensions": (BLOCK, 2),
    "more students than dimensions": (RNG(21).standard_normal((7, 3)), 2),
    "two parallel and a third": (BLOCK[[0, 0, 1]] * [[1.0], [-2.0], [1.0]], 1),
    "one is zero": (BLOCK * [[1.0], [0.0], [1.0]], 1),
    "five in a plane": (RNG(22).standard_normal((5, 2)) @ BLOCK[:2], 1),
    "one orthogonal to the teacher": (BLOCK * np.vstack([np.eye(6)[0] == 0, np.ones((2, 6))]), 2),
}


@pytest.mark.parametrize("case", RANKS)
def test_number_of_slow_directions(case):
    """m = rank W(0) − 1 if W(0)v ≠ 0."""
    start, m = RANKS[case]
    assert np.linalg.matrix_rank(start) == m + 1
    w0 = 0.4 * start
    flow = integrate(PhaseRetrieval(teacher(1.0, start.shape[1]), 1.5), w0, 1e30)
    predicted = float(constant(m, 1.5))
    assert flow.log_loss[-1] + 60 * np.log(10) == pytest.approx(np.log(predicted), abs=1e-8)


@pytest.mark.parametrize("m", [1, 2, 3])
def test_start_orthogonal_to_the_teacher(m):
    w0 = np.zeros((4, 5))
    w0[:, 1 : m + 1] = 0.3 * RNG(m).standard_normal((4, m))
    flow = integrate(PhaseRetrieval(teacher(2.0, 5), 1.5), w0, 1e3)
    predicted = rate.SADDLE_LOSS.subs({rate.M: m, rate.S: 2})
    assert flow.loss[-1] == pytest.approx(float(predicted), rel=1e-9)


def relative_gap(flow, m, scale):
    """t²L/limit − 1 at the times of a flow."""
    predicted = constant(m, scale)
    limit = mpmath.mpf(predicted.p) / predicted.q
    return [
        mpmath.mpf(t) ** 2 * loss / limit - 1 for t, loss in zip(flow.t, flow.loss, strict=True)
    ]


@pytest.mark.parametrize(("square", "scale"), [(1.0, 1.0), (4.0, 1.5)])
def test_logarithm_in_the_approach(square, scale):
    """m = 1: t (t²L/limit − 1) = coefficient · ln t + c + O(ln²t/t)."""
    w0 = np.array([[0.5, 0.25, 0.0], [-0.25, 0.5, 0.125]])
    problem = PhaseRetrieval(teacher(square, 3), scale)
    with mpmath.workdps(50):
        times = [1e10, 1e12]
        flow = integrate(problem, w0, 1e12, precision=40, t_eval=times, certify=False)
        first, last = (t * gap for t, gap in zip(times, relative_gap(flow, 1, scale), strict=True))
        found = (last - first) / mpmath.log(100)
    predicted = corrections.LOG_COEFFICIENT.subs({rate.M: 1, C: scale, rate.S: square})
    assert float(found) == pytest.approx(float(predicted), rel=1e-6)


@pytest.mark.slow
def test_correction_by_differences():
    """m = 4: the leading correction is a multiple of V/u² = Σ(δ_i/u)², which falls as t^{−6/7}."""
    m, scale, times = 4, 1.0, [1e24, 1e28]
    w0 = np.diag([0.5, 0.25, 0.375, 0.5, 0.625])  # c = 0
    with mpmath.workdps(60):
        problem = PhaseRetrieval(teacher(1.0, m + 1), scale)
        flow = integrate(problem, w0, times[-1], precision=55, t_eval=times, certify=False)
        spreads = []
        for w in flow.w:
            inverse = [1 / (w[i, i] ** 2) for i in range(1, m + 1)]  # E (u + δ_i)
            mean = mpmath.fsum(inverse) / m
            spreads.append(mpmath.fsum((x / mean - 1) ** 2 for x in inverse))
        gaps = relative_gap(flow, m, scale)
        found = [float(gap / spread) for gap, spread in zip(gaps, spreads, strict=True)]
        exponent = float(-mpmath.log(spreads[1] / spreads[0]) / mpmath.log(1e4))
    predicted = float(corrections.SPREAD_COEFFICIENT.subs(rate.M, m))
    assert found[1] == pytest.approx(predicted, rel=1e-2)
    assert abs(found[1] - predicted) < 0.5 * abs(found[0] - predicted)
    assert exponent == pytest.approx(float(corrections.EXPONENT.subs(rate.M, m)), rel=1e-3)


def reduced(p, sigma):
    """t and t²ℓ/limit − 1 of the solved reduced flow 1/q_i = E(p_i + σ), C = 1, by quadrature."""
    m = len(p)

    def growth(x):
        return mpmath.fprod(1 + x / y for y in p) ** (mpmath.mpf(1) / 3)

    edges = [0, *(mpmath.mpf(10) ** k for k in range(int(mpmath.log10(sigma))))]
    t = mpmath.quad(growth, [*edges, sigma]) / 4
    q = [1 / (growth(sigma) * (y + sigma)) for y in p]
    loss = mpmath.fsum(x**2 for x in q) / 2 + mpmath.fsum(q) ** 2 / 6
    return t, t**2 * loss / number(constant(m, 1)) - 1


def test_logarithm_for_three_differences():
    """m = 3: t (t²L/limit − 1) grows by −(AV/24) ln t, A = Π p_i^{−1/3}, V = Σ(p_i − p̄)²."""
    p = [mpmath.mpf(x) for x in (1, 2, 6)]
    with mpmath.workdps(40):
        (t1, gap1), (t2, gap2) = (reduced(p, mpmath.mpf(10) ** k) for k in (7, 8))
        found = (t2 * gap2 - t1 * gap1) / mpmath.log(t2 / t1)
        predicted = -(12 ** (-mpmath.mpf(1) / 3)) * (4 + 1 + 9) / 24
        assert abs(found / predicted - 1) < 1e-5


@pytest.mark.parametrize("m", [4, 6])
def test_differences_in_the_reduced_flow(m):
    """(t²L/limit − 1) u²/V tends to the coefficient, where u = σ + p̄."""
    p = [mpmath.mpf(2**i) for i in range(m)]
    with mpmath.workdps(60):
        mean = mpmath.fsum(p) / m
        spread = mpmath.fsum((x - mean) ** 2 for x in p)
        sigma = mpmath.mpf(10) ** 20
        found = reduced(p, sigma)[1] * (sigma + mean) ** 2 / spread
        predicted = corrections.SPREAD_COEFFICIENT.subs(rate.M, m)
        assert abs(found / number(predicted) - 1) < 1e-4
