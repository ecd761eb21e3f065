"""Self-similar profiles: numbers from the SymPy energy, closed forms, invariances, bad input."""

from fractions import Fraction
from functools import cache

import flint
import mpmath
import numpy as np
import pytest
import sympy as sp
from flint import arb
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import ortho_group

import flowkit
from flowkit.asymptotics.energy import Energy
from flowkit.problems.exact import to_mpf
from symbolic.profile import PAIR, RHO, expressions, pair_forms

FEW = settings(max_examples=20)
SEEDS = st.integers(0, 10**6)
MEAN, KINK = Fraction(5, 8), Fraction(1, 4)  # leaky ReLU, α = 1/2


@cache
def source(n, m):
    return expressions(n, m)


def at(e, h, b, *wanted):
    """SymPy expressions at numbers, in 60 digits."""
    numbers = dict(zip(e.h, h, strict=True)) | dict(zip(e.b, np.ravel(b), strict=True))
    numbers |= {e.mean: sp.Rational(5, 8), e.kink_weight: sp.Rational(1, 4)}
    return [sp.N(x.subs(numbers), 60) for x in wanted]


def example(n, m, seed=0):
    """Rational h of sum 1 and shapes of mean 0."""
    rng = np.random.default_rng(seed)
    parts = [Fraction(int(x), 97) for x in rng.integers(10, 60, n)]
    shape = [[Fraction(int(x), 31) for x in row] for row in rng.integers(-40, 40, (n, m))]
    return [x / sum(parts) for x in parts], np.array(shape, dtype=object)


def rational(x):
    return sp.Rational(x.numerator, x.denominator)


def balls(x):
    values = [arb(y.numerator) / y.denominator for y in np.ravel(np.array(x, object))]
    return np.array(values, dtype=object).reshape(np.shape(x))


def test_the_pair_function_is_the_leading_term_of_the_loss():
    assert RHO**3 / (6 * sp.pi) == PAIR
    form, slope, radial = pair_forms()
    x, y = sp.symbols("x y", positive=True)
    length = sp.sqrt(x**2 + y**2)
    f = form.subs(RHO, length)
    hessian = sp.hessian(f, (x, y))
    unit = sp.Matrix([x, y]) / length
    stated = (slope * sp.eye(2) + radial * unit * unit.T).subs(RHO, length)
    assert sp.simplify(hessian - stated) == sp.zeros(2, 2)
    assert sp.simplify(sp.diff(f, x) - slope.subs(RHO, length) * x) == 0


@pytest.mark.parametrize(
    ("n", "m"), [(2, 1), (3, 1), (3, 2), pytest.param(4, 3, marks=pytest.mark.slow)]
)
def test_numbers_are_the_derivatives_of_the_expression(n, m):
    e, (h, b) = source(n, m), example(n, m)
    variables = list(e.b)
    wanted = [e.energy, e.fourth]
    wanted += [sp.diff(e.energy, x) for x in (*variables, *e.h)]
    truth = at(e, map(rational, h), [rational(x) for x in b.ravel()], *wanted)
    with flint.ctx.workprec(240):
        energy = Energy(balls(h), np.ones(n, dtype=int), MEAN, KINK)
        found = [energy.value(balls(b)), energy.fourth(balls(b))]
        found += [*energy.gradient(balls(b)).ravel(), *energy.slope_along(balls(b))]
        numbers = [sp.Float(mpmath.nstr(to_mpf(x), 70), 60) for x in found]
    plain = Energy(np.array(h, float), np.ones(n, dtype=int), MEAN, KINK)
    doubles = b.astype(float)
    assert abs(plain.value(doubles) - float(truth[0])) <= 1e-14 * abs(float(truth[0]))
    assert abs(plain.fourth(doubles) - float(truth[1])) <= 1e-13 * abs(float(truth[1]))
    gaps = [abs(x - y) for x, y in zip(numbers, truth, strict=True)]
    assert max(gaps) <= 1e-50 * max(map(abs, truth))


@pytest.mark.parametrize(("n", "m"), [(3, 1), (3, 2)])
def test_hessian_is_that_of_the_expression(n, m):
    e, (h, b) = source(n, m), example(n, m)
    wanted = [sp.diff(e.energy, x, y) for x in e.b for y in e.b]
    truth = np.array(at(e, map(rational, h), [rational(x) for x in b.ravel()], *wanted), float)
    plain = Energy(np.array(h, float), np.ones(n, dtype=int), MEAN, KINK)
    found = plain.hessian(b.astype(float)).ravel()
    assert np.abs(found - truth).max() <= 1e-13 * np.abs(truth).max()


def test_coincident_students_have_derivatives():
    h, b = np.array([0.2, 0.3, 0.5]), np.array([[0.2, 0.4], [0.3, 0.6], [-0.5, -1.0]])
    energy = Energy(h, np.ones(3, dtype=int), MEAN, KINK)  # φ₁ = φ₂
    hessian, step = energy.hessian(b), 1e-6
    assert np.isfinite(hessian).all()
    for i in range(6):
        ahead, back = b.copy().ravel(), b.copy().ravel()
        ahead[i] += step
        back[i] -= step
        difference = energy.gradient(ahead.reshape(3, 2)) - energy.gradient(back.reshape(3, 2))
        assert np.abs(difference.ravel() / (2 * step) - hessian[i]).max() <= 1e-5


def test_a_group_stands_for_its_students():
    """F, g, F₄, the gradient of a student: the same as of all students listed."""
    rng = np.random.default_rng(3)
    h, b, sizes = np.array([0.1, 0.2, 0.3]), rng.standard_normal((3, 2)), np.array([2, 1, 2])
    groups = Energy(h, sizes, MEAN, KINK)
    listed = Energy(np.repeat(h, sizes), np.ones(5, dtype=int), MEAN, KINK)
    each = np.repeat(b, sizes, axis=0)
    assert groups.value(b) == pytest.approx(listed.value(each), rel=1e-14)
    assert groups.fourth(b) == pytest.approx(listed.fourth(each), rel=1e-13)
    assert np.repeat(groups.gradient(b), sizes, axis=0) == pytest.approx(listed.gradient(each))
    # Directions in which equal students stay equal, in the metric of all students.
    weights = np.repeat(np.eye(3), sizes, axis=0) / np.sqrt(sizes)
    inside = np.kron(weights, np.eye(2))
    assert groups.hessian(b) == pytest.approx(inside.T @ listed.hessian(each) @ inside)


# ---- profiles ------------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", [None, 30, 100, 500])
@pytest.mark.parametrize("alpha", [0.0, 0.25])
def test_two_students_in_closed_form(precision, alpha):
    h = [Fraction(3, 10), Fraction(7, 10)]
    activation = f"leaky:{alpha}" if alpha else "relu"
    found = flowkit.self_similar_profile(
        h, [[1, 2], [-1, -2]], activation=activation, precision=precision
    )
    with mpmath.workdps(precision or 15):
        h = [mpmath.mpf(x.numerator) / x.denominator for x in h]
        kink = (1 - mpmath.mpf(alpha)) ** 2
        constant = 8 * mpmath.pi**2 / 3 * (h[0] * h[1]) ** 2 / kink**2
        half = 2 * mpmath.pi * h[0] * h[1] / kink
        tolerance = mpmath.mpf(10) ** -((precision or 15) - 1)
        assert abs(found.constant / constant - 1) < tolerance
        assert abs(mpmath.norm(found.beta[0]) / half - 1) < tolerance
        assert abs(found.constant - constant) <= found.error + constant * tolerance / 10
    assert found.eigenvalues == pytest.approx([2.0])
    assert found.stable
    assert found.slowest is None


@pytest.mark.parametrize(("n", "m"), [(3, 1), (3, 2), (4, 1), (4, 3), (6, 2)])
def test_a_profile_is_a_critical_point_to_all_digits(n, m):
    h, shape = example(n, m, seed=n)
    found = flowkit.self_similar_profile(h, shape, precision=50)
    with mpmath.workdps(60):
        beta = np.array([[mpmath.mpf(x) for x in row] for row in found.beta], object)
        phi = beta / np.array([mpmath.mpf(x.numerator) / x.denominator for x in h])[:, None]
        points = [*phi, 0 * phi[0]]
        weights = [mpmath.mpf(x.numerator) / x.denominator for x in h] + [mpmath.mpf(-1)]
        pull = [
            sum(c * mpmath.norm(x - y) * (x - y) for c, y in zip(weights, points, strict=True))
            for x in phi
        ]
        gradient = np.array(pull, object) / (2 * mpmath.pi)
        rest = gradient - gradient.sum(axis=0) / n - beta
        size = mpmath.norm(beta.ravel())
        assert mpmath.norm(rest.ravel()) < mpmath.mpf(10) ** -48 * size
        assert mpmath.norm(beta.sum(axis=0)) < mpmath.mpf(10) ** -48 * size
        assert abs(found.constant - size**2 / 3) < mpmath.mpf(10) ** -48 * size**2


@pytest.mark.parametrize(
    ("n", "m"), [(2, 2), (3, 1), (3, 2), pytest.param(4, 3, marks=pytest.mark.slow)]
)
def test_eigenvalues_are_those_of_the_constrained_hessian(n, m):
    h, shape = example(n, m, seed=n)
    found = flowkit.self_similar_profile(h, shape)
    e = source(n, m)
    wanted = [sp.diff(e.energy, x, y) for x in e.b for y in e.b]
    numbers = dict(zip(e.h, found.h, strict=True)) | dict(zip(e.b, found.beta.ravel(), strict=True))
    numbers |= {e.kink_weight: 1}
    hessian = np.array([float(x.subs(numbers)) for x in wanted]).reshape(n * m, n * m)
    inside = np.kron(np.eye(n) - np.ones((n, n)) / n, np.eye(m))
    values = np.linalg.eigvalsh(inside @ hessian @ inside)
    rank = np.linalg.matrix_rank(found.beta, tol=1e-6)
    turns = m * (m - 1) // 2 - (m - rank) * (m - rank - 1) // 2
    expected = sorted([*found.eigenvalues, *[1.0] * turns, *[0.0] * m])
    assert np.sort(values) == pytest.approx(expected, abs=1e-9)
    assert min(abs(x - 2) for x in found.eigenvalues) < 1e-12


def test_equal_students_stay_equal():
    """m equal ones and m mirror images follow m times the flow of one each: constant/m³."""
    shape = [[1.0, 0.5]] * 2 + [[-1.0, -0.5]] * 2
    found = flowkit.self_similar_profile([0.25] * 4, shape)
    assert found.constant == pytest.approx(np.pi**2 / 48, rel=1e-14)
    assert found.eigenvalues == pytest.approx([2.0])
    assert (found.beta[0] == found.beta[1]).all()


def profile_near(seed, n, m):
    rng = np.random.default_rng(seed)
    h = rng.uniform(0.5, 1.5, n)
    h /= h.sum()
    found = flowkit.self_similar_profile(h, rng.standard_normal((n, m)))
    assume(all(abs(x - 1) > 0.05 for x in found.eigenvalues))
    return h, found


@FEW
@given(seed=SEEDS, n=st.integers(2, 5), m=st.integers(1, 3))
def test_rotation(seed, n, m):
    h, found = profile_near(seed, n, m)
    turn = ortho_group.rvs(m, random_state=seed) if m > 1 else -np.eye(1)
    other = flowkit.self_similar_profile(h, found.beta @ turn)
    assert np.abs(other.beta - found.beta @ turn).max() <= 1e-10
    assert other.constant == pytest.approx(found.constant, rel=1e-11)
    assert other.eigenvalues == pytest.approx(found.eigenvalues, abs=1e-9)


@FEW
@given(seed=SEEDS, order=st.permutations(range(4)))
def test_permutation(seed, order):
    h, found = profile_near(seed, 4, 2)
    other = flowkit.self_similar_profile(h[order], found.beta[order])
    assert np.abs(other.beta - found.beta[order]).max() <= 1e-10
    assert other.constant == pytest.approx(found.constant, rel=1e-11)


@FEW
@given(seed=SEEDS, c=st.sampled_from([1e-9, 0.01, 30.0, 1e12]))
def test_scale_of_the_shape(seed, c):
    h, found = profile_near(seed, 3, 2)
    other = flowkit.self_similar_profile(h, c * found.beta)
    assert np.abs(other.beta - found.beta).max() <= 1e-10


@FEW
@given(seed=SEEDS, alpha=st.sampled_from([0.1, 0.5, 0.9]))
def test_leaky_relu_scales_the_profile(seed, alpha):
    h, found = profile_near(seed, 3, 2)
    other = flowkit.self_similar_profile(h, found.beta, activation=f"leaky:{alpha}")
    assert other.beta == pytest.approx(found.beta / (1 - alpha) ** 2, rel=1e-8, abs=1e-10)
    assert other.constant == pytest.approx(found.constant / (1 - alpha) ** 4, rel=1e-10)
    assert other.eigenvalues == pytest.approx(found.eigenvalues, abs=1e-9)


@FEW
@given(seed=SEEDS)
def test_more_dimensions_add_eigenvalues_only(seed):
    h, found = profile_near(seed, 3, 1)
    other = flowkit.self_similar_profile(h, np.hstack([found.beta, np.zeros((3, 4))]))
    assert other.constant == pytest.approx(found.constant, rel=1e-12)
    for x in found.eigenvalues:
        assert min(abs(x - y) for y in other.eigenvalues) <= 1e-9


@pytest.mark.parametrize(
    ("argument", "h", "shape", "keywords"),
    [
        ("h", [0.5, 0.6], [[1.0], [-1.0]], {}),
        ("h", [1.5, -0.5], [[1.0], [-1.0]], {}),
        ("h", [0.5, 0.25, 0.25], [[1.0], [-1.0]], {}),
        ("h", "x", [[1.0], [-1.0]], {}),
        ("h", [float("nan"), 0.5], [[1.0], [-1.0]], {}),
        ("shape", [0.5, 0.5], [1.0, -1.0], {}),
        ("shape", [0.5, 0.5], [[1.0], [1.0]], {}),
        ("shape", [0.5, 0.5], [[float("inf")], [1.0]], {}),
        ("shape", [0.5, 0.5], np.ones((2, 1001)) * [[1.0], [-1.0]], {}),
        ("precision", [0.5, 0.5], [[1.0], [-1.0]], {"precision": 3}),
        ("activation", [0.5, 0.5], [[1.0], [-1.0]], {"activation": "tanh"}),
        ("activation", [0.5, 0.5], [[1.0], [-1.0]], {"activation": 3}),
    ],
)
def test_bad_input(argument, h, shape, keywords):
    with pytest.raises(ValueError) as caught:
        flowkit.self_similar_profile(h, shape, **keywords)
    assert str(caught.value).startswith(argument)
    assert "\n" not in str(caught.value)


def test_what_is_shown():
    found = flowkit.self_similar_profile([0.5, 0.5], [[1.0], [-1.0]])
    assert "stable" in repr(found)
    assert source(2, 1)._repr_latex_().startswith("$")
