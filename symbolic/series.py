"""Coefficients of power series, as expressions that stand unevaluated in a derivation."""

from __future__ import annotations

from functools import cache
from typing import Any

import sympy as sp

from symbolic.special import written_out


class Coefficient(sp.Expr):
    """[xᵏ] f(x): the coefficient of x**k in the expansion of f at x = 0."""

    def __new__(cls, expr: Any, x: sp.Symbol, k: int) -> Coefficient:
        return sp.Expr.__new__(cls, sp.sympify(expr), x, sp.Integer(k))

    def doit(self, **hints: Any) -> sp.Expr:
        expr, x, k = self.args
        return taylor(expr.doit(**hints), x, int(k)).coeff(x, k)

    def _latex(self, printer: Any) -> str:
        expr, x, k = self.args
        power = printer._print(x**k)
        body = printer.parenthesize(expr, sp.printing.precedence.PRECEDENCE["Mul"])
        return rf"\left[{power}\right] {body}"


@cache
def taylor(expr: sp.Expr, x: sp.Symbol, order: int) -> sp.Expr:
    """The expansion at x = 0 up to and including x**order, as a sum of powers of x."""
    series = sp.series(written_out(expr), x, 0, order + 1).removeO()
    return sp.collect(sp.expand(series), x)
