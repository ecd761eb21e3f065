"""Expressions as the source of a Python function of numbers or NumPy arrays."""

from __future__ import annotations

import keyword
import textwrap
from typing import Any

import sympy as sp
from sympy.core.function import AppliedUndef
from sympy.printing.numpy import NumPyPrinter

from symbolic.special import NAMED, TERMS, OddDefect

WIDTH = 100
MODULES = ("builtins", "math", "numpy")
MATRIX = (
    "def matrix(rows, columns, *entries):",
    '    """Shape (rows, columns) and, for arrays, theirs."""',
    "    stacked = numpy.stack(numpy.broadcast_arrays(*entries))",
    "    return stacked.reshape(rows, columns, *stacked.shape[1:])",
)


class SourcePrinter(NumPyPrinter):
    """NumPy, with what sums of factorials need of Python itself."""

    def _print_floor(self, expr: Any) -> str:
        return f"math.floor({self._print(expr.args[0])})"

    def _print_factorial(self, expr: Any) -> str:
        return f"math.gamma({self._print(expr.args[0] + 1)})"


def function(name: str, statement: str, result: Any) -> str:
    """A module with one function, of the symbols of `result` in alphabetical order.

    Raises
    ------
    ValueError
        The result holds functions of which nothing is known.
    """
    shaped = isinstance(result, sp.MatrixBase | sp.Tuple)
    entries = [sp.sympify(e) for e in (result if shaped else [result])]
    if any(e.has(AppliedUndef) for e in entries):
        raise ValueError(f"name: the result of {name!r} holds functions of which nothing is known")
    symbols = sorted(result.free_symbols, key=str)
    names = {s: sp.Symbol(_identifier(str(s))) for s in symbols}
    renamed = [e.xreplace(names) for e in entries]
    # A common part of a sum may hold its index.
    shared, reduced = (
        ([], renamed)
        if any(e.has(sp.Sum) for e in renamed)
        else sp.cse(renamed, sp.numbered_symbols("x_"), list=True)
    )
    printer = SourcePrinter({"fully_qualified_modules": True, "allow_unknown_functions": True})
    body = [f"    {symbol} = {printer.doprint(e)}" for symbol, e in shared]
    values = [printer.doprint(e) for e in reduced]
    arguments = ", ".join(str(x) for x in names.values())
    definition = [
        f"def {name.replace('-', '_')}({arguments}):",
        f'    """Result of the derivation {name}."""',
        *body,
        f"    return {_returned(result, values)}",
    ]
    helpers = [
        line for f in NAMED if any(e.has(f) for e in entries) for line in ["", "", *_stable(f)]
    ]
    if isinstance(result, sp.MatrixBase):
        helpers += ["", "", *MATRIX]
    code = "\n".join([*helpers, "", "", *definition, ""])
    imports = [f"import {module}" for module in MODULES if f"{module}." in code]
    heading = textwrap.wrap(f'"""{statement}.', WIDTH)
    return "\n".join([*heading, '"""', "", *imports, code])


def _returned(result: Any, values: list[str]) -> str:
    listed = ", ".join(values)
    if isinstance(result, sp.MatrixBase):
        return f"matrix({result.rows}, {result.cols}, {listed})"
    return f"({listed},)" if isinstance(result, sp.Tuple) else listed


def _stable(function: type[OddDefect]) -> list[str]:
    """A named function: its series near zero, its definition beyond."""
    x = sp.Symbol("x")
    definition = NumPyPrinter().doprint(function.definition(x))
    coefficients = [float(function.coefficient(k)) for k in range(TERMS + 1, 0, -1)]
    return [
        f"def {function.__name__}(x):",
        f'    """{function.definition(x)}, without cancellation."""',
        "    x = numpy.asarray(x, dtype=float)",
        "    square = x * x",
        "    coefficients = [",
        *(f"        {c!r}," for c in coefficients),
        "    ]",
        "    series = x * square * numpy.polyval(coefficients, square)",
        f"    return numpy.where(square > 1, {definition}, series)",
    ]


def _identifier(name: str) -> str:
    plain = "".join(c if c.isalnum() else "_" for c in name).strip("_")
    return f"{plain}_" if keyword.iskeyword(plain) else plain
