"""Numbers of the theory, read off the derivations whose last lines they are."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from functools import cache
from typing import Any

from flint import arb

from flowkit.problems.exact import ball


def rational(expr: Any, values: Mapping[Any, Fraction]) -> Fraction:
    """A rational expression at rational numbers, exactly."""
    import sympy as sp

    exact = {s: sp.Rational(x.numerator, x.denominator) for s, x in values.items()}
    value = expr.subs(exact)
    return Fraction(int(value.p), int(value.q))


def balls(expressions: Any, values: Mapping[Any, Any]) -> list[arb]:
    """Expressions at balls or rationals, at the working precision."""
    from symbolic.lower import lower

    numbers = [x if isinstance(x, arb) else ball(Fraction(x)) for x in values.values()]
    return [arb(x) for x in lower(list(expressions), list(values), "arb")(*numbers)]


@cache
def exponent() -> int:
    """Of the loss of one ReLU teacher: −p/(p − 2), p the degree of the slow manifold's energy."""
    import sympy as sp

    from symbolic.long_time import P, power_law
    from symbolic.profile import PAIR, RHO

    return int(power_law().result.subs(P, sp.degree(PAIR, RHO)))
