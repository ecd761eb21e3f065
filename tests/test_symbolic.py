"""Kernels agree with the integrals they stand for, expressions in all arithmetics."""

from fractions import Fraction
from math import cos, exp, inf, pi, sin, tan

import flint
import mpmath
import numpy as np
import pytest
import sympy as sp

from symbolic.gaussian import THETA, A, B, relu_kernel
from symbolic.lower import ARITHMETICS, lower
from symbolic.pairs import weights
from symbolic.special import kink, sine_defect
from symbolic.teacher_student import expressions


def expression_point(students, teachers, seed):
    """Random rational values of all components, with few digits."""
    draw = np.random.default_rng(seed).integers(-50, 50, size=len(students) + len(teachers))
    symbols = [*students, *teachers]
    return {s: sp.Rational(2 * int(x) + 1, 37) for s, x in zip(symbols, draw, strict=True)}


def numbers(matrix, point):
    return [sp.sympify(entry).subs(point).evalf(50) for entry in matrix]


def agree(left, right, digits):
    return all(
        abs(x - y) <= sp.Float(10) ** -digits * max(1, abs(y))
        for x, y in zip(left, right, strict=True)
    )


@pytest.mark.parametrize("theta", [0.4, 1.0, pi / 2, 2.5, 2.8])
def test_kernel_is_the_gaussian_integral(theta):
    """∫∫ [a·x]₊ [b·x]₊ dN(x) in Cartesian coordinates, a = (A, 0), over the wedge b·x > 0."""
    from scipy.integrate import dblquad

    a, b = 1.25, 0.75

    def integrand(y, x):
        return a * x * b * (x * cos(theta) + y * sin(theta)) * exp(-(x * x + y * y) / 2) / (2 * pi)

    value, _ = dblquad(integrand, 0, inf, lambda x: -x / tan(theta), inf, epsabs=1e-12)
    stated = relu_kernel().result.subs({A: a, B: b, THETA: theta}).evalf()
    assert value == pytest.approx(float(stated), rel=1e-9, abs=1e-11)


@pytest.mark.parametrize("theta", [0.3, 2.0])
@pytest.mark.parametrize("alpha", [Fraction(0), Fraction(3, 10)])
def test_split_kernel_is_the_angular_integral(theta, alpha):
    """E σ(a·x)σ(b·x) = (1/2π) ∫ σ(cos φ) σ(cos(φ − θ)) dφ · ∫ ρ³ e^{−ρ²/2} dρ, with all kinks."""
    mp = mpmath.MPContext()
    mp.dps = 30
    slope = mp.mpf(alpha.numerator) / alpha.denominator
    edges = sorted([-mp.pi / 2, mp.pi / 2, theta - mp.pi / 2, theta + mp.pi / 2, 3 * mp.pi / 2])

    def leaky(z):
        return max(z, slope * z)

    value = mp.quad(lambda phi: leaky(mp.cos(phi)) * leaky(mp.cos(phi - theta)), edges) / mp.pi
    mean, kink_weight = weights(alpha)
    stated = float(mean) * cos(theta) + float(kink_weight) * (sin(theta) - theta * cos(theta)) / (
        2 * pi
    )
    assert float(value) == pytest.approx(stated, rel=1e-14, abs=0)


@pytest.mark.parametrize("alpha", [Fraction(0), Fraction(3, 10), Fraction(0.3), Fraction(99, 100)])
def test_weights(alpha):
    assert weights(alpha) == ((1 + alpha**2) / 2, (1 - alpha) ** 2)


# ---- expressions ---------------------------------------------------------------------------------

SHAPES = [(1, 1, 3, Fraction(0)), (2, 1, 2, Fraction(0)), (2, 2, 2, Fraction(1, 3))]


@pytest.mark.parametrize("shape", SHAPES)
def test_gradient_is_the_derivative_of_the_loss(shape):
    form = expressions(*shape)
    derived = [sp.diff(form.loss, s) for s in form.students]
    for seed in range(3):
        point = expression_point(form.students, form.teachers, seed)
        assert agree(numbers(form.gradient, point), numbers(derived, point), 40)


@pytest.mark.parametrize("shape", SHAPES[:2])
def test_hessian_is_the_second_derivative_and_symmetric(shape):
    form = expressions(*shape)
    point = expression_point(form.students, form.teachers, 5)
    values = sp.Matrix(*form.hessian.shape, numbers(form.hessian, point))
    assert agree(values, values.T, 40)
    first = form.students[0]
    row = [sp.diff(form.loss, first, s) for s in form.students]
    assert agree(values[0, :], numbers(row, point), 40)


def test_loss_is_the_signed_sum_of_kernels():
    form = expressions(2, 1, 2, Fraction(0))
    rows = [(form.students[i, :], 1) for i in range(2)] + [(form.teachers[0, :], -1)]
    textbook = sum(c * e * textbook_kernel(a, b) for a, c in rows for b, e in rows) / 2
    for seed in range(3):
        point = expression_point(form.students, form.teachers, seed)
        assert agree(numbers([form.loss], point), numbers([textbook], point), 40)


def textbook_kernel(a, b):
    norms = sp.sqrt(a.dot(a)) * sp.sqrt(b.dot(b))
    if a == b:
        return a.dot(a) / 2
    theta = sp.acos(a.dot(b) / norms)
    return norms * (sp.sin(theta) + (sp.pi - theta) * sp.cos(theta)) / (2 * sp.pi)


# ---- lowering ------------------------------------------------------------------------------------


def evaluate(expression, symbols, point, arithmetic):
    if arithmetic == "numpy":
        return lower([expression], symbols)(*[float(x) for x in point])[0]
    if arithmetic == "mpmath":
        context = mpmath.MPContext()
        context.dps = 40
        values = [context.mpf(int(x.p)) / int(x.q) for x in point]
        return lower([expression], symbols, "mpmath", context)(*values)[0]
    import flint

    with flint.ctx.workdps(40):
        values = [flint.arb(int(x.p)) / int(x.q) for x in point]
        return lower([expression], symbols, "arb")(*values)[0]


QUANTITIES = {
    "loss": lambda form: form.loss,
    "gradient": lambda form: form.gradient[0],
    "hessian": lambda form: form.hessian[1],
}


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_three_arithmetics_agree(quantity):
    form = expressions(2, 1, 3, Fraction(1, 7))
    expression = QUANTITIES[quantity](form)
    symbols = [*form.students, *form.teachers]
    point = expression_point(form.students, form.teachers, 8)
    (truth,) = numbers([expression], point)
    rational = [point[s] for s in symbols]
    results = {name: evaluate(expression, symbols, rational, name) for name in ARITHMETICS}
    assert float(results["numpy"]) == pytest.approx(float(truth), rel=1e-13, abs=0)
    assert abs(sp.Float(str(results["mpmath"]), 40) - truth) < sp.Float(10) ** -37
    middle = results["arb"].str(38, radius=False)
    assert abs(sp.Float(middle, 40) - truth) < sp.Float(10) ** -36


@pytest.mark.parametrize("arithmetic", ["mpmath", "arb"])
def test_a_float_does_not_enter_many_digits(arithmetic):
    x = sp.Symbol("x", real=True)
    with pytest.raises(ValueError, match=r"^expression: holds the float"):
        lower([0.1 * x], [x], arithmetic, mpmath.MPContext())


@pytest.mark.parametrize("arithmetic", ["mpmath", "arb"])
def test_a_function_without_exact_lowering_is_refused(arithmetic):
    x = sp.Symbol("x", positive=True)
    with pytest.raises(ValueError, match=r"^expression: the function zeta"):
        lower([sp.zeta(x)], [x], arithmetic, mpmath.MPContext())


def test_functions_agree_in_all_arithmetics():
    x = sp.Symbol("x", positive=True)
    third = sp.Rational(1, 3)
    forms = [x**third, x**x, sp.exp(-x), sp.log(1 + x), sp.tanh(x), sp.E * sp.atan(x), abs(x - 1)]
    forms += [sp.tan(x), sp.cosh(x), sp.asinh(x), sp.erf(x), sp.gamma(x), sp.acos(x)]
    context = mpmath.MPContext()
    context.prec = 200
    with flint.ctx.workprec(200):
        balls = lower(forms, [x], "arb")(flint.arb(3) / 7)
    numbers = lower(forms, [x], "mpmath", context)(context.mpf(3) / 7)
    for form, ball, number in zip(forms, balls, numbers, strict=True):
        expected = form.subs(x, sp.Rational(3, 7)).evalf(50)
        assert abs(float(number / expected - 1)) < 1e-49, form
        assert abs(float(mpmath.mpf(ball.str(45, radius=False)) - expected)) < 1e-15, form


def test_rationals_stay_exact():
    x = sp.Symbol("x", real=True)
    context = mpmath.MPContext()
    context.dps = 50
    (value,) = lower([sp.Rational(1, 3) * x], [x], "mpmath", context)(context.mpf(1))
    assert abs(3 * value - 1) < context.mpf(10) ** -49


def test_bad_lowering_is_named():
    x = sp.Symbol("x", real=True)
    with pytest.raises(ValueError, match=r"^arithmetic:"):
        lower([x], [x], "quad")
    with pytest.raises(ValueError, match=r"^context:"):
        lower([x], [x], "mpmath")


@pytest.mark.parametrize("function", [kink, sine_defect])
def test_named_functions_survive_lowering(function):
    x = sp.Symbol("x", real=True)
    (value,) = lower([function(x)], [x])(np.array([1e-60]))
    assert value[0] == pytest.approx(float(function.coefficient(1)) * 1e-180, rel=1e-15, abs=0)
