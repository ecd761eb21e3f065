"""Named functions that textbook formulas lose to cancellation, each with exact and stable numerics.

``kink(θ) = sin θ − θ cos θ = θ³/3 − θ⁵/30 + …`` carries the loss near a minimum and
``sine_defect(θ) = sin θ − θ = −θ³/6 + θ⁵/120 − …`` the gradient.  Both are of third order at 0,
where their textbook forms return rounding noise.  Each knows its derivative, its definition and its
Taylor series, and evaluates with full relative accuracy in NumPy, mpmath and ball arithmetic.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from math import factorial
from typing import Any

import mpmath
import numpy as np
import sympy as sp

# Taylor terms that give a relative truncation error below 2**-54 for |θ| ≤ 1.
TERMS = 9


class OddDefect(sp.Function):
    """An odd entire function of third order at the origin."""

    nargs = 1

    @classmethod
    def eval(cls, argument: sp.Expr) -> sp.Expr | None:
        if argument.is_zero:
            return sp.S.Zero
        if argument.could_extract_minus_sign():
            return -cls(-argument)
        return None

    @classmethod
    def definition(cls, x: sp.Expr) -> sp.Expr:
        raise NotImplementedError

    @classmethod
    def coefficient(cls, k: int) -> sp.Rational:
        """Taylor coefficient of x^(2k+1), k = 1, 2, …"""
        raise NotImplementedError

    def _eval_rewrite_as_sin(self, x: sp.Expr, **_: Any) -> sp.Expr:
        return self.definition(x)

    def doit(self, **_: Any) -> sp.Expr:
        return self.definition(self.args[0])

    def _eval_evalf(self, prec: int) -> Any:
        context = mpmath.MPContext()
        context.prec = prec
        value = mpmath_function(type(self), context)(self.args[0]._to_mpmath(prec))
        return sp.Expr._from_mpmath(value, prec)


class kink(OddDefect):  # noqa: N801 - a mathematical function, named as SymPy names sin
    """sin θ − θ cos θ; its derivative is θ sin θ."""

    @classmethod
    def definition(cls, x: sp.Expr) -> sp.Expr:
        return sp.sin(x) - x * sp.cos(x)

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        return self.args[0] * sp.sin(self.args[0])

    @classmethod
    def coefficient(cls, k: int) -> sp.Rational:
        return sp.Rational((-1) ** (k + 1) * 2 * k, factorial(2 * k + 1))

    def _latex(self, printer: Any, exp: str | None = None) -> str:
        body = rf"s\left({printer._print(self.args[0])}\right)"
        return body if exp is None else rf"{body}^{{{exp}}}"


class sine_defect(OddDefect):  # noqa: N801
    """sin θ − θ; its derivative is cos θ − 1 = −2 sin²(θ/2)."""

    @classmethod
    def definition(cls, x: sp.Expr) -> sp.Expr:
        return sp.sin(x) - x

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        return -2 * sp.sin(self.args[0] / 2) ** 2

    @classmethod
    def coefficient(cls, k: int) -> sp.Rational:
        return sp.Rational((-1) ** k, factorial(2 * k + 1))

    def _latex(self, printer: Any, exp: str | None = None) -> str:
        body = rf"\delta\left({printer._print(self.args[0])}\right)"
        return body if exp is None else rf"{body}^{{{exp}}}"


NAMED = (kink, sine_defect)


def written_out(expr: sp.Expr) -> sp.Expr:
    """The expression with every named function replaced by its definition."""
    return expr.replace(lambda e: isinstance(e, OddDefect), lambda e: e.doit())


def numpy_function(function: type[OddDefect]) -> Callable[[np.ndarray], np.ndarray]:
    """The function on float64 arrays: its Taylor polynomial for |x| ≤ 1, its definition beyond.

    Only as many terms are summed as the largest |x| needs.
    """
    coefficients = [float(function.coefficient(k)) for k in range(1, TERMS + 2)]
    # x² up to which k terms suffice: the first one left out is below an ulp of the first kept.
    ratios = [abs(coefficients[0] / coefficients[k]) for k in range(1, TERMS + 1)]
    limits = [(2.0**-55 * ratio) ** (1 / k) for k, ratio in enumerate(ratios, 1)]
    direct = sp.lambdify(X, function.definition(X), "numpy")

    def evaluate(x: np.ndarray) -> np.ndarray:
        x = np.asarray(x, dtype=float)
        square = x * x
        largest = square.max(initial=0.0)
        terms = coefficients[: bisect_left(limits, largest) + 1]
        total = np.full(square.shape, terms[-1])
        for coefficient in terms[-2::-1]:
            total *= square
            total += coefficient
        total *= square * x
        return total if largest <= 1 else np.where(square > 1, direct(x), total)

    return evaluate


def mpmath_function(function: type[OddDefect], context: Any) -> Callable[[Any], Any]:
    """The function in an mpmath context, correct to its working precision."""
    direct = sp.lambdify(X, function.definition(X), [{"sin": context.sin, "cos": context.cos}])

    def evaluate(x: Any) -> Any:
        x = context.convert(x)
        if x == 0:
            return x
        with context.extraprec(16 + max(0, -3 * int(context.mag(x)))):
            value = direct(x)
        return +value

    return evaluate


def arb_function(function: type[OddDefect]) -> Callable[[Any], Any]:
    """The function on python-flint ``arb`` balls of |x| ≤ 4; the result encloses the true range."""
    import flint

    direct = sp.lambdify(X, function.definition(X), [{"sin": _call("sin"), "cos": _call("cos")}])

    def evaluate(x: Any) -> Any:
        middle, radius = x.mid(), x.rad()
        if middle.is_zero():
            return flint.arb(0, abs(x).upper() ** 3)
        mantissa, exponent = middle.man_exp()
        magnitude = int(exponent) + int(mantissa).bit_length()
        with flint.ctx.extraprec(16 + max(0, -3 * magnitude)):
            value = direct(middle)
        # Both derivatives are bounded by x² in absolute value.
        return +value + flint.arb(0, (abs(x).upper() ** 2 * radius).upper())

    return evaluate


def _call(name: str) -> Callable[[Any], Any]:
    return lambda x: getattr(x, name)()


X = sp.Symbol("x", real=True)
