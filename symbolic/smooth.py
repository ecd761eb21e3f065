"""Any smooth activation, by Gauss–Hermite quadrature."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import sympy as sp

from symbolic.activations import Activation
from symbolic.expressions import exact, smooth
from symbolic.gram import WEDGE, C, P
from symbolic.lower import lower

Z, X, Y = sp.symbols("z x y", real=True)
MOST = 1000
REACH, NARROW = 32, 1e-3
AT_ZERO = 6  # derivatives that the Hessian of a zero student asks for


@dataclass(frozen=True)
class Smooth(Activation):
    """σ as a SymPy expression in one symbol.

    Parameters
    ----------
    expression : sympy expression
        Real and finite, with derivatives, for every real argument.  A float in it is the double
        that it is.
    nodes : int
        N of the quadrature, 8 … 1000; what it costs in accuracy, `problem.quadrature_error` says.

    Raises
    ------
    ValueError
        Not a real differentiable scalar of one symbol.
    """

    expression: Any
    nodes: int = field(default=64, kw_only=True)

    def __post_init__(self) -> None:
        if isinstance(self.nodes, bool) or not isinstance(self.nodes, int):
            raise ValueError(f"nodes: expected an integer, got {self.nodes!r}")
        if not 8 <= self.nodes <= MOST:
            raise ValueError(f"nodes: must lie in [8, {MOST}], got {self.nodes}")
        if not isinstance(self.expression, sp.Expr):
            raise ValueError(f"expression: expected a SymPy expression, got {self.expression!r}")
        symbols = sorted(getattr(self.expression, "free_symbols", ()), key=str)
        if len(symbols) != 1:
            found = ", ".join(map(str, symbols)) or "none"
            raise ValueError(f"expression: expected one in one symbol, got {found}")
        given = exact(self.expression, "expression", symbols).xreplace({symbols[0]: Z})
        if given.has(sp.Piecewise, sp.Abs, sp.sign, sp.Heaviside):
            kink = next(iter(given.atoms(sp.Piecewise, sp.Abs, sp.sign, sp.Heaviside)))
            raise ValueError(f"expression: not differentiable: it holds {kink}")
        object.__setattr__(self, "expression", given)
        for k in (1, 2):
            smooth(sp.Matrix([self.derivative(k)]), "expression")
        where = undefined([self.derivative(k) for k in range(3)])
        if where is not None:
            raise ValueError(
                f"expression: has no finite real value or derivative near "
                f"{symbols[0]} = {where:.3g}: {self.expression}"
            )

    def derivative(self, k: int) -> Any:
        """σ⁽ᵏ⁾ in `Z`."""
        return sp.diff(self.expression, Z, k)

    def kernel(self) -> Any:
        """The expectation itself: u = √p x, v = (c x + w y)/√p, x and y independent."""
        u, v = sp.sqrt(P) * X, (C * X + WEDGE * Y) / sp.sqrt(P)
        density = sp.exp(-(X**2 + Y**2) / 2) / (2 * sp.pi)
        product = self.expression.subs(Z, u) * self.expression.subs(Z, v)
        return sp.Integral(product * density, (X, -sp.oo, sp.oo), (Y, -sp.oo, sp.oo))

    def __str__(self) -> str:
        return f"{self.expression}, {self.nodes} nodes"


def undefined(forms: list[Any]) -> float | None:
    """Where on [−REACH, REACH] one of the forms is not seen to be finite, by bisection in balls."""
    from flint import arb

    evaluate = lower(forms, [Z], "arb")
    parts = [(float(k), 1.0) for k in range(-REACH, REACH)]
    while parts:
        left, width = parts.pop()
        ball = arb(left + width / 2, width / 2)
        if all(arb(value).is_finite() for value in evaluate(ball)):
            continue
        if width < NARROW:
            return left
        parts += [(left, width / 2), (left + width / 2, width / 2)]
    return None
