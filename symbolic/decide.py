"""Whether an expression vanishes: decided by SymPy where it can, else seen at random points."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import sympy as sp
from sympy.core.function import AppliedUndef

from symbolic.special import written_out

DIGITS = 50
POINTS = 5
WORKING = 100  # digits at which the two sides are subtracted
GRAIN = 10**6  # points are multiples of a millionth of their range

Range = tuple[Any, Any]


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
) -> dict[sp.Symbol, sp.Expr] | None:
    """A random point where the two differ in their first 50 digits, None if there is none."""
    symbols = sorted(before.free_symbols | after.free_symbols, key=str)
    left, right = written_out(before), written_out(after)
    for _ in range(POINTS if symbols else 1):
        point = {s: _drawn(s, domain, draw) for s in symbols}
        # (Substituting first would factor integers as soon as a power is not whole.)
        target = right.evalf(3, subs=point, maxn=WORKING)
        gap = (left - right).evalf(3, subs=point, maxn=WORKING)
        scale = abs(target) if target.is_number and target != 0 else 1
        if not gap.is_number or not gap.is_finite or abs(gap) > sp.Float(10) ** -DIGITS * scale:
            return point
    return None


def _drawn(symbol: sp.Symbol, domain: Mapping[sp.Symbol, Range], draw: random.Random) -> sp.Expr:
    low, high = domain.get(symbol) or _admissible(symbol)
    if symbol.is_integer:
        return sp.Integer(draw.randint(int(low), int(high)))
    return low + (high - low) * sp.Rational(draw.randrange(1, GRAIN), GRAIN)


def _admissible(symbol: sp.Symbol) -> Range:
    """Where to draw a symbol, by what is assumed of it."""
    high = sp.Integer(7) if symbol.is_integer else sp.Integer(3)
    low = sp.S.One if symbol.is_integer else sp.S.Zero
    return (low, high) if symbol.is_nonnegative else (-high, high)
