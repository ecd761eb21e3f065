"""kink and sine_defect: exact properties, and full relative accuracy in three arithmetics."""

import flint
import mpmath
import numpy as np
import pytest
import sympy as sp
from hypothesis import given
from hypothesis import strategies as st

from symbolic.special import NAMED, arb_function, kink, mpmath_function, numpy_function

X = sp.Symbol("x", real=True)
DEFINITION = {"kink": "sin(x) - x*cos(x)", "sine_defect": "sin(x) - x"}
# Beyond this the result is below the smallest normal double.
SMALLEST = 1e-102


def truth(function, x, digits=60):
    """The definition, with so many digits that its cancellation costs nothing."""
    mp = mpmath.MPContext()
    magnitude = -int(mpmath.mag(x)) if x else 0
    mp.prec = int(3.33 * digits) + 64 + 4 * max(0, magnitude)
    x = mp.mpf(x)
    return mp.sin(x) - x * mp.cos(x) if function is kink else mp.sin(x) - x


def ulps(value, exact):
    return abs(float((mpmath.mpf(float(value)) - exact) / exact)) / np.finfo(float).eps


def points():
    decades = np.geomspace(1e-150, np.pi, 451)
    near_one = 1 + np.linspace(-0.05, 0.05, 101)
    return np.concatenate([decades, near_one, np.linspace(0.5, np.pi, 400)])


@pytest.mark.parametrize("function", NAMED)
def test_definition_and_oddness(function):
    assert (
        sp.simplify(function(X).doit() - sp.sympify(DEFINITION[function.__name__], {"x": X})) == 0
    )
    assert function(-X) == -function(X)
    assert function(sp.Integer(0)) == 0


@pytest.mark.parametrize("function", NAMED)
def test_derivative(function):
    derived = sp.diff(function(X), X)
    assert sp.simplify(sp.expand_trig(derived - sp.diff(function(X).doit(), X))) == 0


@pytest.mark.parametrize("function", NAMED)
def test_taylor_coefficients(function):
    series = sp.series(function(X).doit(), X, 0, 24).removeO()
    for k in range(1, 12):
        assert series.coeff(X, 2 * k + 1) == function.coefficient(k)


@pytest.mark.parametrize("function", NAMED)
@pytest.mark.parametrize("sign", [1, -1])
def test_doubles_one_by_one(function, sign):
    evaluate = numpy_function(function)
    for x in sign * points():
        value = float(evaluate(np.array(x)))
        if abs(x) >= SMALLEST:
            assert ulps(value, truth(function, x)) <= 4, x
        else:
            assert abs(value) <= SMALLEST**3


@pytest.mark.parametrize("function", NAMED)
def test_doubles_in_company(function):
    """The number of terms follows the largest entry: no neighbour may spoil an entry."""
    evaluate, x = numpy_function(function), points()
    x = x[x >= SMALLEST]
    for largest in (1e-9, 1e-2, 0.3, 1.0, np.pi):
        some = x[x <= largest]
        values = evaluate(some.reshape(-1, 1)).ravel()
        assert max(ulps(v, truth(function, y)) for v, y in zip(values, some, strict=True)) <= 4


@pytest.mark.parametrize("function", NAMED)
@given(x=st.floats(1e-100, float(np.pi)))
def test_doubles_anywhere(function, x):
    assert ulps(numpy_function(function)(np.array([x]))[0], truth(function, x)) <= 4


@pytest.mark.parametrize("function", NAMED)
@given(x=st.floats(1e-150, float(np.pi)))
def test_mpmath_anywhere(function, x):
    context = mpmath.MPContext()
    context.dps = 60
    exact = truth(function, x, 90)
    value = mpmath_function(function, context)(x)
    assert abs(value - exact) <= abs(exact) * mpmath.mpf(10) ** -59


@pytest.mark.parametrize("function", NAMED)
def test_sympy_evaluates_small_arguments(function):
    x = sp.Rational(1, 10**40)
    value = function(x).evalf(50)
    leading = function.coefficient(1) * x**3 + function.coefficient(2) * x**5
    assert abs(value / leading - 1) < sp.Float(10) ** -48


def ball_of_truth(function, x):
    """A ball around the true value at the exact arb x, thousands of bits thin."""
    with flint.ctx.workprec(4000):
        return x.sin() - x * x.cos() if function is kink else x.sin() - x


@pytest.mark.parametrize("function", NAMED)
@given(x=st.floats(-float(np.pi), float(np.pi)))
def test_ball_of_a_point_encloses_and_is_tight(function, x):
    with flint.ctx.workprec(200):
        value = arb_function(function)(flint.arb(x))
        assert value.contains(ball_of_truth(function, flint.arb(x)))
        if x:
            assert value.rad() <= abs(value).lower() * flint.arb(2) ** -180


@pytest.mark.parametrize("function", NAMED)
@given(
    x=st.floats(-3.0, 3.0),
    radius=st.floats(1e-30, 0.5),
    inside=st.lists(st.floats(-1.0, 1.0), min_size=1, max_size=5),
)
def test_ball_encloses_the_range(function, x, radius, inside):
    with flint.ctx.workprec(120):
        value = arb_function(function)(flint.arb(x, radius))
        for share in [-1.0, 1.0, *inside]:
            point = (flint.arb(x) + flint.arb(radius) * share).mid()
            if flint.arb(x, radius).contains(point):
                assert value.contains(ball_of_truth(function, point))
