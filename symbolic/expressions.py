"""Expressions that a user gives: made exact, checked, differentiated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import sympy as sp
from sympy.core.relational import Relational
from sympy.functions.elementary.piecewise import ExprCondPair
from sympy.logic.boolalg import Boolean

from symbolic.lower import FUNCTIONS
from symbolic.special import NAMED

ROUGH = (sp.Derivative, sp.DiracDelta, sp.Heaviside, sp.sign, sp.Subs)
ATOMS = (sp.Symbol, sp.Rational, sp.Float, type(sp.pi), type(sp.E))
KNOWN = (*ATOMS, sp.Add, sp.Mul, sp.Pow, sp.atan2)
CASES = (sp.Piecewise, ExprCondPair, Relational, Boolean)


@dataclass(frozen=True)
class LossExpressions:
    """A scalar and its derivatives.

    Attributes
    ----------
    variables : tuple of sympy.Symbol
        x_1 … x_N.
    loss, gradient, hessian
        A scalar, a Matrix (1, N) and a Matrix (N, N), derived on first use.
    """

    variables: tuple[sp.Symbol, ...]
    loss: sp.Expr

    @cached_property
    def gradient(self) -> sp.Matrix:
        """∂L/∂x."""
        return smooth(sp.Matrix([[sp.diff(self.loss, x) for x in self.variables]]), "expression")

    @cached_property
    def hessian(self) -> sp.Matrix:
        """∂²L/∂x∂x."""
        return smooth(self.gradient.jacobian(list(self.variables)), "expression")

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {sp.latex(self.loss)}$"


@dataclass(frozen=True)
class FieldExpressions:
    """A vector field and its Jacobian.

    Attributes
    ----------
    variables : tuple of sympy.Symbol
        y_1 … y_N.
    time : sympy.Symbol
        t.
    field, jacobian
        A Matrix (1, N) and a Matrix (N, N).
    """

    variables: tuple[sp.Symbol, ...]
    time: sp.Symbol
    field: sp.Matrix

    @cached_property
    def jacobian(self) -> sp.Matrix:
        """∂f/∂y."""
        return smooth(self.field.jacobian(list(self.variables)), "expressions")

    def _repr_latex_(self) -> str:
        rows = [
            rf"\dot{{{sp.latex(y)}}} &= {sp.latex(f)}"
            for y, f in zip(self.variables, self.field, strict=True)
        ]
        return "\\begin{align*}\n" + " \\\\\n".join(rows) + "\n\\end{align*}"


def loss_expressions(expression: Any, variables: Any) -> LossExpressions:
    """Check a scalar of the variables; floats become the exact doubles that they are."""
    symbols = checked_variables(variables)
    loss = exact(expression, "expression", symbols)
    if loss.has(sp.Piecewise):
        raise ValueError("expression: not differentiable: it holds a Piecewise")
    return LossExpressions(symbols, loss)


def field_expressions(expressions: Any, variables: Any, time: Any = None) -> FieldExpressions:
    """Check one component for each variable."""
    symbols = checked_variables(variables)
    if time is None:
        time = sp.Symbol("t", real=True) if sp.Symbol("t", real=True) not in symbols else sp.Dummy()
    if not isinstance(time, sp.Symbol) or time in symbols:
        raise ValueError(f"t: expected a symbol that is not a variable, got {time!r}")
    try:
        listed = list(expressions)
    except TypeError:
        raise ValueError("expressions: expected a list, one for each variable") from None
    if len(listed) != len(symbols):
        raise ValueError(f"expressions: expected {len(symbols)}, got {len(listed)}")
    rows = [exact(f, f"expressions: number {i}", (*symbols, time)) for i, f in enumerate(listed)]
    return FieldExpressions(symbols, time, sp.Matrix([rows]))


def checked_variables(variables: Any) -> tuple[sp.Symbol, ...]:
    """Different symbols, at least one."""
    try:
        listed = (variables,) if isinstance(variables, sp.Symbol) else tuple(variables)
    except TypeError:
        raise ValueError(f"variables: expected SymPy symbols, got {variables!r}") from None
    wrong = [x for x in listed if not isinstance(x, sp.Symbol)]
    if wrong or not listed:
        raise ValueError(f"variables: expected SymPy symbols, got {wrong[0] if wrong else '()'!r}")
    if len(set(listed)) < len(listed):
        raise ValueError("variables: one is listed twice")
    return listed


def exact(expression: Any, name: str, symbols: Sequence[sp.Symbol]) -> sp.Expr:
    """A real scalar of the symbols in which every float is the rational that it is."""
    try:
        expr = sp.sympify(expression, strict=True)
    except (sp.SympifyError, TypeError, AttributeError):
        raise ValueError(f"{name}: not a SymPy expression: {expression!r}") from None
    if not isinstance(expr, sp.Expr) or getattr(expr, "is_Matrix", False):
        raise ValueError(f"{name}: expected a scalar, got {type(expr).__name__}")
    if expr.has(sp.I, sp.nan, sp.zoo, sp.oo, -sp.oo):
        raise ValueError(f"{name}: is not real and finite: {expr}")
    unknown = sorted(map(str, expr.free_symbols - set(symbols)))
    if unknown:
        raise ValueError(f"{name}: depends on {', '.join(unknown)}, not among the variables")
    for part in sp.preorder_traversal(expr):
        if not _known(part):
            raise ValueError(f"{name}: holds {part}, which has no exact evaluation")
        if isinstance(part, sp.Piecewise) and part.args[-1].cond is not sp.true:
            raise ValueError(f"{name}: holds a Piecewise without a last branch for all else")
    return expr.replace(lambda e: isinstance(e, sp.Float), sp.Rational)


def _known(part: sp.Basic) -> bool:
    """Whether all arithmetics can evaluate it."""
    function = isinstance(part, sp.Function) and part.func.__name__ in FUNCTIONS
    return function or isinstance(part, KNOWN + CASES + NAMED)


def smooth(matrix: sp.Matrix, name: str) -> sp.Matrix:
    """The matrix, unless it holds what has no value everywhere."""
    rough = [kind.__name__ for kind in ROUGH if matrix.has(kind)]
    if rough:
        raise ValueError(f"{name}: not differentiable: its derivative holds {rough[0]}")
    return matrix
