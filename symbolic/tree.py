"""Expressions as nested lists and back: what a file may hold, with nothing in it to be executed."""

from __future__ import annotations

from typing import Any

import sympy as sp

from symbolic.lower import FUNCTIONS
from symbolic.special import NAMED

HEADS: dict[str, Any] = {name: getattr(sp, name) for name in ("Add", "Mul", "Pow", "atan2")}
HEADS |= {name: getattr(sp, name) for name in FUNCTIONS}
HEADS |= {f.__name__: f for f in NAMED}


def tree(expr: sp.Expr) -> Any:
    """["Add", …] of an expression that can be lowered."""
    if expr.is_Symbol:
        return ["symbol", str(expr)]
    if expr.is_Rational:
        return ["number", f"{expr.p}/{expr.q}"]
    if expr in (sp.pi, sp.E):
        return ["constant", str(expr)]
    name = expr.func.__name__
    if name not in HEADS:
        raise ValueError(f"expression: {name} cannot be stored")
    return [name, *map(tree, expr.args)]


def expression(stored: Any) -> sp.Expr:
    """The expression of a tree; symbols are real."""
    head, *rest = stored
    if head == "symbol":
        return sp.Symbol(rest[0], real=True)
    if head == "number":
        return sp.Rational(rest[0])
    if head == "constant":
        return {"pi": sp.pi, "E": sp.E}[rest[0]]
    return HEADS[head](*map(expression, rest))


def symbols(names: list[str]) -> list[sp.Symbol]:
    """Real symbols."""
    return [sp.Symbol(name, real=True) for name in names]
