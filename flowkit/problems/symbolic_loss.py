"""Any smooth loss that SymPy can write down."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from flowkit.problems.numbers import rationals
from flowkit.problems.problem import checked_digits

Array = np.ndarray


class SymbolicLoss:
    """L(x) of variables x = (x_1, …, x_N), and its gradient flow dx/dt = −∇L(x).

    Parameters
    ----------
    expression : sympy expression
        A real scalar of the variables, twice differentiable where it is used.  A float in it is
        taken as the exact double that it is: write a tenth as ``sympy.Rational(1, 10)``.
    variables : sequence of sympy.Symbol
        Their order is that of the components of x.

    Raises
    ------
    ValueError
        Not a real scalar of the variables, or not differentiable.
    """

    def __init__(self, expression: Any, variables: Any) -> None:
        from symbolic.expressions import loss_expressions

        self._expressions = loss_expressions(expression, variables)
        self._lowered = self._lower()

    def __repr__(self) -> str:
        names = ", ".join(map(str, self.variables))
        return f"SymbolicLoss({self._expressions.loss}, ({names}))"

    def _repr_latex_(self) -> str:
        return self._expressions._repr_latex_()

    @property
    def variables(self) -> tuple[Any, ...]:
        """x_1, …, x_N."""
        return self._expressions.variables

    def expressions(self, n: int | None = None) -> Any:
        """Loss, gradient and Hessian as SymPy expressions."""
        return self._expressions

    def _lower(self) -> dict[str, Any]:
        """Callables in ball arithmetic, each returning a flat list."""
        from symbolic.lower import lower

        source, variables = self._expressions, self.variables
        forms = {
            "loss": [source.loss],
            "gradient": list(source.gradient),
            "hessian": list(source.hessian),
        }
        return {name: lower(form, variables, "arb") for name, form in forms.items()}

    def loss(self, x: Any, precision: int | None = None) -> Any:
        """L(x).

        Parameters
        ----------
        x : array_like, shape (N,)
            Taken as exact numbers: a float is the double that it is, the string "0.1" a tenth.
        precision : int, optional
            Decimal digits of an mpmath result, all of them correct; a float without.

        Raises
        ------
        ValueError
            Wrong shape, not finite, a precision below 15, or L has no real value at x.
        """
        return self._correct("loss", x, precision)[0]

    def gradient(self, x: Any, precision: int | None = None) -> Array:
        """∂L/∂x, shape (N,); arguments as for `loss`."""
        return self._correct("gradient", x, precision)

    def hessian(self, x: Any, precision: int | None = None) -> Array:
        """∂²L/∂x∂x, shape (N, N); arguments as for `loss`."""
        size = len(self.variables)
        return self._correct("hessian", x, precision).reshape(size, size)

    def _correct(self, quantity: str, x: Any, precision: int | None) -> Array:
        point = checked_point(x, "x", len(self.variables))
        return correct(self._lowered[quantity], point, precision)


def correct(evaluate: Callable[..., list[Any]], point: Any, precision: int | None) -> Array:
    """What a callable in ball arithmetic gives at rationals, with all digits right."""
    from flowkit.problems import exact

    digits = checked_digits(precision)
    target = exact.FLOAT_BITS if digits is None else exact.bits(digits)
    values = exact.certify(
        lambda: [exact.number(v) for v in evaluate(*map(exact.ball, point))], target
    )
    convert = exact.to_float if digits is None else exact.to_mpf
    return np.array([convert(v) for v in values], float if digits is None else object)


def checked_point(x: Any, name: str, size: int) -> Array:
    """A vector of `size` exact rationals."""
    try:
        point = rationals(np.atleast_1d(np.asarray(x, dtype=object)))
    except (TypeError, ValueError, ArithmeticError):
        raise ValueError(f"{name}: expected {size} finite real numbers") from None
    if point.shape != (size,):
        raise ValueError(f"{name}: expected shape ({size},), got {np.shape(x)}")
    return point
