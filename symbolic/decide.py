"""Whether two expressions are equal: decided by SymPy where it can, else seen at random points."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import sympy as sp
from sympy.core.function import AppliedUndef

from symbolic.special import written_out

DIGITS = 50
POINTS, MANY = 5, 40  # the latter for cases
WORKING = (100, 1000)  # digits at which the two sides are subtracted; the latter if they cancel
GRAIN = 10**6  # points are multiples of a millionth of their range

Range = tuple[Any, Any]
Point = dict[sp.Symbol, sp.Expr]


def vanishes(expr: sp.Expr) -> bool:
    """Whether SymPy reduces the expression to zero, by the cheapest means that does."""
    means = (lambda e: e, sp.expand, written_out, _half_angles, sp.simplify)
    return any(reduce(expr) == 0 for reduce in means)


def _half_angles(expr: sp.Expr) -> sp.Expr:
    """Sines and cosines as rational functions of tan(x/2): decides every identity between them."""
    written = sp.expand_trig(sp.expand(written_out(expr)))
    if not written.has(sp.sin, sp.cos):
        return sp.cancel(sp.together(written))
    tangents: dict[sp.Expr, sp.Symbol] = {}

    def rational(e: sp.Expr) -> sp.Expr:
        t = tangents.setdefault(e.args[0], sp.Dummy("t"))
        return 2 * t / (1 + t**2) if isinstance(e, sp.sin) else (1 - t**2) / (1 + t**2)

    form = written.replace(lambda e: isinstance(e, sp.sin | sp.cos), rational)
    return sp.cancel(sp.together(form))


def evaluable(expr: sp.Expr) -> bool:
    """Whether the expression has a number at a point: no abstract function is left in it."""
    return not expr.has(AppliedUndef, sp.Derivative, sp.Subs, sp.MatrixSymbol)


def point_of_difference(
    before: sp.Expr, after: sp.Expr, domain: Mapping[sp.Symbol, Range], draw: random.Random
) -> Point | None:
    """A random point where the two differ in their first 50 digits, None if there is none.

    Raises
    ------
    ArithmeticError
        They cancel beyond a thousand digits.
    """
    symbols = sorted(before.free_symbols | after.free_symbols, key=str)
    left, right = written_out(before), written_out(after)
    count = MANY if left.has(sp.Piecewise) or right.has(sp.Piecewise) else POINTS
    for _ in range(count if symbols else 1):
        point = {s: _drawn(s, domain, draw) for s in symbols}
        if not _agree(left, right, point):
            return point
    return None


def _agree(left: sp.Expr, right: sp.Expr, point: Point) -> bool:
    """Whether no digit of the difference is certain, or it is below 50 digits of the right side."""
    for working in WORKING:
        # (Substituting first would factor integers as soon as a power is not whole.)
        gap, scale = (abs(_value(x, point, working)) for x in (left - right, right))
        if not gap.is_number or not gap.is_finite:
            return False
        uncertain = gap.is_Float and gap._prec <= 1
        if gap <= sp.Float(10) ** -DIGITS * (scale or int(uncertain)):
            return True
        if not uncertain:
            return False
    raise ArithmeticError("cancels beyond a thousand digits")


def _value(expr: sp.Expr, point: Point, working: int) -> sp.Expr:
    return sp.sympify(expr).evalf(3, subs=point, maxn=working)


def _drawn(symbol: sp.Symbol, domain: Mapping[sp.Symbol, Range], draw: random.Random) -> sp.Expr:
    low, high = (sp.Rational(x) if isinstance(x, float) else x for x in _range(symbol, domain))
    if symbol.is_integer:
        return sp.Integer(draw.randint(int(low), int(high)))
    part = low + (high - low) * sp.Rational(draw.randrange(1, GRAIN), GRAIN)
    if symbol in domain or symbol.is_real:
        return part
    other = low + (high - low) * sp.Rational(draw.randrange(1, GRAIN), GRAIN)
    return sp.I * other if symbol.is_imaginary else part + sp.I * other


def _range(symbol: sp.Symbol, domain: Mapping[sp.Symbol, Range]) -> Range:
    """Where to draw a symbol: as given, or by what is assumed of it."""
    if symbol in domain:
        return domain[symbol]
    high = sp.Integer(7) if symbol.is_integer else sp.Integer(3)
    low = sp.S.One if symbol.is_integer else sp.S.Zero
    return (low, high) if symbol.is_nonnegative else (-high, high)
