"""Loss, gradient and Hessian against the textbook formulas in 80 and more digits."""

from fractions import Fraction

import numpy as np
import pytest

from flowkit import LeakyReLU, TeacherStudent
from symbolic.lower import lower

TOLERANCE = 1e-12
EPSILONS = [1.0, 1e-2, 1e-4, 1e-6, 1e-8, 1e-10, 1e-12]


def gaussian(n, d, seed, sigma=1.0):
    return sigma * np.random.default_rng(seed).standard_normal((n, d))


def near_a_teacher(n, d, eps, seed):
    """w_i = h_i v + eps z_i with Σ h_i = 1, k = 1: the valley in which the flow ends."""
    rng = np.random.default_rng(seed)
    v = rng.standard_normal(d)
    h = rng.dirichlet(np.full(n, 2.0))
    return v[None, :], h[:, None] * v + eps * rng.standard_normal((n, d))


def near_all_teachers(n, d, eps, seed):
    """n = k, W = V + eps Z."""
    rng = np.random.default_rng(seed)
    V = rng.standard_normal((n, d))
    return V, V + eps * rng.standard_normal((n, d))


def check_loss_and_gradient(textbook, V, W, alpha=0.0, digits=150):
    problem, truth = TeacherStudent(V, LeakyReLU(alpha)), textbook(V, alpha, digits)
    assert truth.error(problem.loss(W), truth.loss(W)) <= TOLERANCE
    assert truth.error(problem.gradient(W), truth.gradient(W)) <= TOLERANCE


# ---- double precision ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "shape", [(1, 1, 1), (1, 1, 3), (2, 1, 4), (3, 2, 2), (4, 4, 6), (9, 3, 5)]
)
@pytest.mark.parametrize("sigma", [0.01, 1.0, 30.0])
def test_random_weights(textbook, shape, sigma):
    n, k, d = shape
    check_loss_and_gradient(textbook, gaussian(k, d, 1), gaussian(n, d, 2, sigma))


@pytest.mark.parametrize("eps", EPSILONS)
@pytest.mark.parametrize("seed", [0, 1])
def test_near_one_teacher(textbook, eps, seed):
    check_loss_and_gradient(textbook, *near_a_teacher(3, 4, eps, seed))


@pytest.mark.parametrize("eps", EPSILONS)
def test_near_as_many_teachers(textbook, eps):
    check_loss_and_gradient(textbook, *near_all_teachers(3, 4, eps, 5))


@pytest.mark.parametrize("eps", [1.0, 1e-5, 1e-12])
@pytest.mark.parametrize("alpha", [0.3, 0.9])
def test_leaky_near_the_minimum(textbook, eps, alpha):
    check_loss_and_gradient(textbook, *near_a_teacher(3, 4, eps, 7), alpha=alpha)


@pytest.mark.parametrize("gap", [1e-3, 1e-8, 1e-13, 1e-16])
@pytest.mark.parametrize("side", [1, -1])
def test_nearly_parallel_and_antiparallel(textbook, gap, side):
    v, z = gaussian(2, 4, 11)
    W = np.array([side * (v + gap * z), side * 0.5 * v])
    check_loss_and_gradient(textbook, v[None, :], W)


@pytest.mark.parametrize("side", [1, -1])
def test_one_rounding_unit_apart(textbook, side):
    v = np.array([1.0, 0.3, -0.7])
    W = side * np.array([np.nextafter(v, 2.0), np.nextafter(v, -2.0)]) / 2
    check_loss_and_gradient(textbook, v[None, :], W)


@pytest.mark.parametrize("power", [-480, -100, 100, 480])
@pytest.mark.parametrize("eps", [1.0, 1e-6])
def test_common_scale(power, eps):
    """Powers of two change no mantissa: the loss scales to the last bits, near 1e±144 too."""
    V, W = near_a_teacher(3, 4, eps, 3)
    one, other = TeacherStudent(V), TeacherStudent(2.0**power * V)
    scaled = other.loss(2.0**power * W) * 2.0**-power * 2.0**-power
    assert scaled == pytest.approx(one.loss(W), rel=TOLERANCE, abs=0)
    gap = other.gradient(2.0**power * W) * 2.0**-power - one.gradient(W)
    assert np.linalg.norm(gap) <= TOLERANCE * np.linalg.norm(one.gradient(W))


@pytest.mark.parametrize("small", [1e-150, 1e-30, 1e30, 1e150])
def test_unequal_scales(textbook, small):
    V, W = gaussian(1, 3, 1), gaussian(2, 3, 2)
    check_loss_and_gradient(textbook, V, np.array([small * W[0], W[1]]), digits=800)


@pytest.mark.parametrize("shape", [(1, 1, 3), (2, 1, 3), (3, 2, 2), (3, 3, 4)])
@pytest.mark.parametrize("alpha", [0.0, 0.3])
def test_hessian_of_random_weights(textbook, shape, alpha):
    n, k, d = shape
    V, W = gaussian(k, d, 3), gaussian(n, d, 4)
    truth = textbook(V, alpha)
    value = TeacherStudent(V, LeakyReLU(alpha)).hessian(W)
    assert truth.error(value, truth.hessian(W)) <= TOLERANCE
    assert truth.error(value, value.T) <= 1e-15


@pytest.mark.parametrize("eps", [1e-3, 1e-7, 1e-12])
def test_hessian_near_the_minimum(textbook, eps):
    V, W = near_a_teacher(2, 3, eps, 2)
    truth = textbook(V)
    assert truth.error(TeacherStudent(V).hessian(W), truth.hessian(W)) <= TOLERANCE


# ---- many digits ---------------------------------------------------------------------------------


@pytest.mark.parametrize("eps", [1.0, 1e-6, 1e-12])
@pytest.mark.parametrize("alpha", [0.0, 0.3])
def test_fifty_digits(textbook, eps, alpha):
    V, W = near_a_teacher(2, 3, eps, 9)
    problem, truth = TeacherStudent(V, LeakyReLU(alpha)), textbook(V, alpha, 200)
    limit = truth.mp.mpf(10) ** -50
    assert truth.error(problem.loss(W, precision=50), truth.loss(W)) <= limit
    assert truth.error(problem.gradient(W, precision=50), truth.gradient(W)) <= limit


def test_hessian_in_forty_digits(textbook):
    V, W = gaussian(2, 3, 1), gaussian(2, 3, 2)
    truth = textbook(V, digits=200)
    value = TeacherStudent(V).hessian(W, precision=40)
    assert truth.error(value, truth.hessian(W, step=1e-60)) <= truth.mp.mpf(10) ** -40


def test_weights_in_many_digits_are_taken_as_they_are(textbook):
    V = np.array([[1.0, 2.0]])
    truth = textbook(V, digits=200)
    third = truth.mp.mpf(1) / 3
    W = np.array([[third, third], [2 * third, third]], dtype=object)
    value = TeacherStudent(V).loss(W, precision=60)
    assert truth.error(value, truth.loss(W)) <= truth.mp.mpf(10) ** -60
    assert truth.error(TeacherStudent(V).loss(W.astype(float)), truth.loss(W)) > 1e-18


# ---- special points ------------------------------------------------------------------------------

MINIMA = {
    "teacher itself": ([[1.0, -3.0, 0.5]], [[1.0, -3.0, 0.5]]),
    "permuted": ([[1.0, 2.0], [0.3, -0.7]], [[0.3, -0.7], [1.0, 2.0]]),
    "split": ([[1.0, 2.0, 3.0]], [[0.25, 0.5, 0.75], [0.75, 1.5, 2.25]]),
    "split in three": ([[0.1, 0.2], [1, 1]], [[0.05, 0.1], [1, 1], [0.025, 0.05], [0.025, 0.05]]),
    "with a zero neuron": ([[1.0, 2.0]], [[0.0, 0.0], [1.0, 2.0]]),
}


@pytest.mark.parametrize("name", MINIMA)
@pytest.mark.parametrize("alpha", [0.0, 0.3])
def test_loss_of_an_exact_minimum_is_zero(name, alpha):
    V, W = MINIMA[name]
    problem = TeacherStudent(V, LeakyReLU(alpha))
    assert problem.loss(W) == 0
    assert problem.loss(W, precision=50) == 0
    if np.any(W, axis=1).all():
        assert not problem.gradient(W).any()
        assert not any(problem.gradient(W, precision=50).ravel())


@pytest.mark.parametrize("k", [2, 3, 6])
def test_curvature_at_the_orthonormal_minimum(k):
    """Safran, Yehudai & Shamir: λ_min = 1/4 − 1/(2π) for every k ≥ 2."""
    problem = TeacherStudent(np.eye(k))
    smallest = np.linalg.eigvalsh(problem.hessian(np.eye(k)))[0]
    assert smallest == pytest.approx(1 / 4 - 1 / (2 * np.pi), abs=1e-14)


def test_a_zero_neuron_counts_nothing():
    problem, W = TeacherStudent(gaussian(2, 3, 1)), gaussian(2, 3, 2)
    assert problem.loss(np.vstack([W, np.zeros(3)])) == pytest.approx(
        problem.loss(W), rel=1e-15, abs=0
    )


@pytest.mark.parametrize("precision", [None, 50])
def test_a_zero_neuron_has_no_derivative(precision):
    problem, W = TeacherStudent([1.0, 0.0]), [[1.0, 1.0], [0.0, 0.0]]
    for derivative in (problem.gradient, problem.hessian):
        with pytest.raises(ValueError, match=r"^W: neuron 1 is zero"):
            derivative(W, precision=precision)


@pytest.mark.parametrize("activation", ["relu", "leaky:0.25"])
def test_expressions_are_what_is_evaluated(activation):
    V, W = gaussian(2, 3, 5), gaussian(2, 3, 6)
    problem = TeacherStudent(V, activation)
    form = problem.expressions(2)
    symbols = [*form.students, *form.teachers]
    quantities = lower([form.loss, *form.gradient, *form.hessian], symbols)
    values = np.array(quantities(*W.ravel(), *V.ravel()))
    assert values[0] == pytest.approx(problem.loss(W), rel=1e-13, abs=0)
    assert values[1:7] == pytest.approx(problem.gradient(W).ravel(), abs=1e-13)
    assert values[7:] == pytest.approx(problem.hessian(W).ravel(), abs=1e-13)


def test_leaky_relu_mixes_linear_and_relu():
    """L = ½ α‖r‖² + (1 − α)² L_ReLU, exactly."""
    V, W = gaussian(2, 3, 1), gaussian(3, 3, 2)
    alpha = Fraction(0.3)
    relu = TeacherStudent(V).loss(W, precision=40)
    leaky = TeacherStudent(V, LeakyReLU(0.3)).loss(W, precision=40)
    columns = [[Fraction(x) for x in column] for column in np.vstack([W, -V]).T]
    linear = alpha * sum(sum(column) ** 2 for column in columns) / 2
    gap = leaky - ratio(linear) - ratio((1 - alpha) ** 2) * relu
    assert abs(gap) < 1e-35


def ratio(x):
    import mpmath

    with mpmath.workdps(50):
        return mpmath.mpf(x.numerator) / x.denominator
