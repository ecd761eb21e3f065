"""Expression → callable in one arithmetic: float64 arrays, mpmath numbers or python-flint balls.

Common subexpressions are shared, rationals stay exact, and the named functions of
`symbolic.special` are replaced by numerics that do not cancel.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import sympy as sp
from sympy.printing.pycode import PythonCodePrinter

from symbolic.special import NAMED, arb_function, mpmath_function, numpy_function

ARITHMETICS = ("numpy", "mpmath", "arb")

# SymPy's name: (mpmath's, python-flint's method)
FUNCTIONS = {
    name: (name, name)
    for name in (
        *("sin", "cos", "tan", "cot", "sec", "csc", "asin", "acos", "atan", "exp", "log"),
        *("sinh", "cosh", "tanh", "coth", "asinh", "acosh", "atanh", "erf", "erfc", "gamma"),
    )
} | {"Abs": ("fabs", "__abs__"), "loggamma": ("loggamma", "lgamma")}


class ExactPrinter(PythonCodePrinter):
    """Prints rationals as calls, so that no double enters a high-precision expression."""

    def _print_Rational(self, expr: sp.Rational) -> str:
        return f"rational({expr.p}, {expr.q})"

    def _print_Pi(self, expr: sp.Expr) -> str:
        return "pi()"

    def _print_Float(self, expr: sp.Float) -> str:
        raise ValueError(f"expression: holds the float {expr}; write it as a rational")

    def _print_Exp1(self, expr: sp.Expr) -> str:
        return "exp(rational(1, 1))"

    def _print_Function(self, expr: sp.Function) -> str:
        name = expr.func.__name__
        if name not in FUNCTIONS and name != "atan2" and not isinstance(expr, NAMED):
            raise ValueError(f"expression: the function {name} has no exact lowering")
        arguments = ", ".join(self._print(a) for a in expr.args)
        return f"{name}({arguments})"

    def _print_Pow(self, expr: sp.Pow, **_: Any) -> str:
        base, exponent = expr.as_base_exp()
        if base is sp.E:
            return f"exp({self._print(exponent)})"
        if exponent == sp.Rational(1, 2):
            return f"sqrt({self._print(base)})"
        if exponent.is_Integer:
            return f"power({self._print(base)}, {int(exponent)})"
        if (2 * exponent).is_Integer:
            return f"power(sqrt({self._print(base)}), {int(2 * exponent)})"
        return f"raised({self._print(base)}, {self._print(exponent)})"


# The parent knows these by names of the math module.
for _name in (*FUNCTIONS, "atan2"):
    setattr(ExactPrinter, f"_print_{_name}", ExactPrinter._print_Function)


def lower(
    expressions: Sequence[sp.Expr],
    arguments: Sequence[sp.Symbol],
    arithmetic: str = "numpy",
    context: Any = None,
) -> Callable[..., list[Any]]:
    """Compile expressions into one callable that returns a list.

    Parameters
    ----------
    expressions : sequence of sympy.Expr
        Real scalars in `arguments`; no floats.
    arguments : sequence of sympy.Symbol
        The order in which the callable takes its numbers.
    arithmetic : {"numpy", "mpmath", "arb"}
        float64 arrays, numbers of the mpmath `context`, or balls at ``flint.ctx.prec``.
    context : mpmath context, optional
        For "mpmath"; its working precision when the callable runs is the one that counts.

    Raises
    ------
    ValueError
        Unknown arithmetic, or an expression that cannot be lowered exactly.
    """
    if arithmetic == "numpy":
        names = {f.__name__: numpy_function(f) for f in NAMED}
        return sp.lambdify(arguments, list(expressions), [names, "numpy"], cse=True)
    if arithmetic not in ARITHMETICS:
        raise ValueError(f"arithmetic: must be one of {ARITHMETICS}, got {arithmetic!r}")
    printer = ExactPrinter({"fully_qualified_modules": False, "allow_unknown_functions": True})
    modules = _mpmath_names(context) if arithmetic == "mpmath" else _arb_names()
    # Symbols may bear any name, that of a function too.
    inner = [sp.Dummy() for _ in arguments]
    renamed = dict(zip(arguments, inner, strict=True))
    forms = [sp.sympify(expr).xreplace(renamed) for expr in expressions]
    return sp.lambdify(inner, forms, [modules], printer=printer, cse=True)


def _mpmath_names(context: Any) -> dict[str, Any]:
    if context is None:
        raise ValueError("context: lowering to mpmath needs an mpmath context of its own")
    names = {name: getattr(context, theirs) for name, (theirs, _) in FUNCTIONS.items()}
    names |= {name: getattr(context, name) for name in ("sqrt", "atan2")}
    names["power"] = names["raised"] = lambda x, n: context.convert(x) ** n
    names["rational"] = lambda p, q: context.mpf(p) / q
    names["pi"] = lambda: +context.pi
    return names | {f.__name__: mpmath_function(f, context) for f in NAMED}


def _arb_names() -> dict[str, Any]:
    import flint

    def of_balls(method: Any) -> Any:
        # python-flint does not check what its unbound methods are given: constants are integers.
        return lambda *values: method(*map(flint.arb, values))

    names: dict[str, Any] = {
        name: of_balls(getattr(flint.arb, theirs)) for name, (_, theirs) in FUNCTIONS.items()
    }
    names |= {
        "power": _power,
        "raised": lambda x, y: flint.arb(x) ** flint.arb(y),
        "sqrt": of_balls(flint.arb.sqrt),
        "atan2": of_balls(flint.arb.atan2),
        "rational": lambda p, q: flint.arb(p) / q,
        "pi": flint.arb.pi,
    }
    return names | {f.__name__: arb_function(f) for f in NAMED}


def _power(x: Any, n: int) -> Any:
    """xⁿ by products: python-flint's own power is not a number for a ball around zero."""
    if n < 0:
        return 1 / _power(x, -n)
    result, square = None, x
    while n:
        if n & 1:
            result = square if result is None else result * square
        n >>= 1
        if n:
            square = square * square
    return 1 if result is None else result
