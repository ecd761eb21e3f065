"""A kernel in closed form, lowered to balls."""

from __future__ import annotations

from functools import cache
from typing import Any

from flint import arb


class ClosedKernel:
    """K(p, c, q) and its derivatives from one SymPy expression; see `flowkit.problems.gram.Kernel`.

    Parameters
    ----------
    expression : sympy expression
        In `symbolic.gram.P`, `C`, `Q`.

    Raises
    ------
    ValueError
        It depends on something else, or has no exact evaluation.
    """

    def __init__(self, expression: Any) -> None:
        from symbolic.expressions import exact
        from symbolic.gram import C, P, Q, W, partials
        from symbolic.lower import lower

        forms = partials(exact(expression, "kernel", (P, C, Q)))
        arguments = (P, C, Q, W)
        self._value = lower(forms.value, arguments, "arb")
        self._first = lower(forms.first, arguments, "arb")
        self._second = lower(forms.second, arguments, "arb")
        self._own = [lower([form], [P], "arb") for form in forms.own]

    def row(self, square: arb, order: int) -> arb:
        return square

    def own(self, a: arb, order: int) -> arb:
        return arb(self._own[order](a)[0])

    def value(self, a: arb, b: arb, dot: arb, wedge: arb) -> arb:
        return arb(self._value(a, dot, b, wedge)[0])

    def first(self, a: arb, b: arb, dot: arb, wedge: arb) -> tuple[arb, ...]:
        return tuple(map(arb, self._first(a, dot, b, wedge)))

    def second(self, a: arb, b: arb, dot: arb, wedge: arb) -> tuple[arb, ...]:
        return tuple(map(arb, self._second(a, dot, b, wedge)))


@cache
def closed_kernel(expression: Any) -> ClosedKernel:
    """That of an expression, differentiated and lowered once."""
    return ClosedKernel(expression)
