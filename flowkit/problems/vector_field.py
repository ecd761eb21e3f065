"""Any ordinary differential equation that SymPy can write down."""

from __future__ import annotations

from typing import Any

import numpy as np

from flowkit.problems.symbolic_loss import checked_point, correct

Array = np.ndarray


class VectorField:
    """dy/dt = f(t, y), y = (y_1, …, y_N); no loss, only a field.

    Parameters
    ----------
    expressions : sequence of sympy expressions
        f_1 … f_N, differentiable.  A float in them is taken as the exact double that it is: write
        0.04 as ``sympy.Rational(4, 100)``.
    variables : sequence of sympy.Symbol
        y_1 … y_N.
    t : sympy.Symbol, optional
        The time, if f depends on it.

    Raises
    ------
    ValueError
        Not one real expression of the variables and t for each variable.
    """

    def __init__(self, expressions: Any, variables: Any, t: Any = None) -> None:
        from symbolic.expressions import field_expressions

        self._expressions = field_expressions(expressions, variables, t)
        self._lowered = self._lower()

    def __repr__(self) -> str:
        names = ", ".join(map(str, self.variables))
        return f"VectorField({list(self._expressions.field)}, ({names}), {self._expressions.time})"

    def _repr_latex_(self) -> str:
        return self._expressions._repr_latex_()

    @property
    def variables(self) -> tuple[Any, ...]:
        """y_1, …, y_N."""
        return self._expressions.variables

    def expressions(self, n: int | None = None) -> Any:
        """Field and Jacobian as SymPy expressions."""
        return self._expressions

    def _lower(self) -> dict[str, Any]:
        """Callables of (t, y_1, …, y_N) in ball arithmetic, each returning a flat list."""
        from symbolic.lower import lower

        source = self._expressions
        arguments = (source.time, *source.variables)
        forms = {"field": list(source.field), "jacobian": list(source.jacobian)}
        return {name: lower(form, arguments, "arb") for name, form in forms.items()}

    def field(self, t: Any, y: Any, precision: int | None = None) -> Array:
        """f(t, y), shape (N,).

        Parameters
        ----------
        t : number
        y : array_like, shape (N,)
            Both taken as exact numbers: a float is the double that it is, "0.1" a tenth.
        precision : int, optional
            Decimal digits of an mpmath result, all of them correct; floats without.

        Raises
        ------
        ValueError
            Wrong shape, not finite, a precision below 15, or no real value there.
        """
        return self._correct("field", t, y, precision)

    def jacobian(self, t: Any, y: Any, precision: int | None = None) -> Array:
        """∂f/∂y, shape (N, N); arguments as for `field`."""
        size = len(self.variables)
        return self._correct("jacobian", t, y, precision).reshape(size, size)

    def _correct(self, quantity: str, t: Any, y: Any, precision: int | None) -> Array:
        point = [*checked_point(t, "t", 1), *checked_point(y, "y", len(self.variables))]
        return correct(self._lowered[quantity], point, precision)
