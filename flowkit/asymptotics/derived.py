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
def exponent(degree: int) -> int:
    """Of a loss that is homogeneous of this degree on the slow manifold: −p/(p − 2)."""
    from symbolic.long_time import P, power_law

    return int(power_law().result.subs(P, degree))


@cache
def relu_exponent() -> int:
    """Of the loss of one ReLU teacher, whose pairs are of degree 3."""
    import sympy as sp

    from symbolic.profile import PAIR, RHO

    return exponent(int(sp.degree(PAIR, RHO)))


def residual_rate(count: int, mean: Any) -> Fraction:
    """At which the residual of so many students decays: count · mean."""
    from symbolic.slow_manifold import fast_rates
    from symbolic.toy_cases import MU, N

    return rational(fast_rates().result, {N: Fraction(count), MU: Fraction(mean)})
