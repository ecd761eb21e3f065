"""Traces of products of named matrices, which print by the names and count by the entries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sympy as sp


class NamedTrace(sp.Expr):
    """tr of a matrix expression in symbols; ``doit`` puts their entries in."""

    is_commutative = True

    def doit(self, **_: Any) -> sp.Expr:
        """The trace as a polynomial in the entries."""
        product, entries = self.args
        return sp.Matrix(product.xreplace(dict(entries)).doit()).trace()

    def _latex(self, printer: Any) -> str:
        return rf"\operatorname{{tr}}\left({printer._print(self.args[0])}\right)"

    def _sympystr(self, printer: Any) -> str:
        return f"tr({printer._print(self.args[0])})"


def trace(product: Any, matrices: Mapping[sp.MatrixSymbol, sp.Matrix]) -> NamedTrace:
    """tr(product), a matrix expression in symbols that stand for the given matrices."""
    pairs = [sp.Tuple(symbol, sp.ImmutableMatrix(m)) for symbol, m in matrices.items()]
    return NamedTrace(product, sp.Tuple(*pairs))


def named(name: str, rows: int = 2, columns: int = 2) -> tuple[sp.MatrixSymbol, sp.Matrix]:
    """A matrix symbol, and the matrix of its entries: name_ij, name_i of a column."""

    def entry(i: int, j: int) -> sp.Symbol:
        return sp.Symbol(f"{name}_{i + 1}" + (f"{j + 1}" if columns > 1 else ""), real=True)

    return sp.MatrixSymbol(name, rows, columns), sp.Matrix(rows, columns, entry)
