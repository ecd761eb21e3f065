"""What every problem with a teacher and students offers: loss, gradient, Hessian at any point."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from flowkit.problems.numbers import rationals

Array = np.ndarray

# A double evaluation is kept if its error bound, relative to the result, is below this.
TRUSTED = 2e-13


class Problem(ABC):
    """A loss of students (n, d); subclasses evaluate it in doubles with a bound, and exactly.

    Double-precision results are correct to a relative error of 1e-12 (gradient, Hessian: of their
    norm) at every point: each evaluation carries a rounding bound, and where that exceeds 2e-13 the
    numbers are computed again from the exact weights.
    """

    teacher: Array
    exact_teacher: Array

    @property
    def dimension(self) -> int:
        """d, the dimension of the inputs."""
        return int(self.teacher.shape[1])

    def loss(self, W: Any, precision: int | None = None) -> Any:
        """L(W).

        Parameters
        ----------
        W : array_like, shape (n, d)
            Students, taken as exact numbers: a float is the double that it is, the string "0.1" a
            tenth; mpmath numbers and Fractions are welcome.
        precision : int, optional
            Decimal digits of an mpmath result; all of them are correct.

        Returns
        -------
        float or mpmath.mpf

        Raises
        ------
        ValueError
            Not finite, wrong shape, or a precision that is not an integer ≥ 15.
        """
        students = self.students(W, exact=precision is not None)
        return self._correct("loss", students, precision)[()]

    def gradient(self, W: Any, precision: int | None = None) -> Array:
        """∂L/∂W, shape (n, d); arguments as for `loss`."""
        students = self._differentiable(W, precision)
        return self._correct("gradient", students, precision).reshape(students.shape)

    def hessian(self, W: Any, precision: int | None = None) -> Array:
        """Second derivatives, shape (n·d, n·d), row-major; arguments as for `loss`."""
        students = self._differentiable(W, precision)
        size = students.size
        return self._correct("hessian", students, precision).reshape(size, size)

    def asymptotics(self, flow_or_w: Any) -> Any:
        """How the loss ends: law, constant and next corrections, as the theory predicts them.

        Parameters
        ----------
        flow_or_w : Flow, PreciseFlow or array_like (n, d)
            A flow of this problem, the further the better, or students at t = 0.  Weights alone
            give the law, and the constant only where it does not depend on the whole flow.

        Returns
        -------
        Asymptotics
            In many digits from a flow that has them; its `reason` says which situation this is.

        Raises
        ------
        ValueError
            A flow of another problem, students of the wrong shape, several teachers without a flow
            that has come near a minimum, or a loss of which nothing is known.
        """
        from flowkit.asymptotics.situation import asymptotics

        return asymptotics(self, flow_or_w)

    def _correct(self, quantity: str, students: Array, precision: int | None) -> Array:
        """In doubles if those can be trusted, else exactly."""
        if precision is None:
            value, bound = getattr(self, f"_{quantity}")(students)
            # (The norm of a number squares it.)
            if bound <= TRUSTED * (np.linalg.norm(value) if np.ndim(value) else value):
                return np.asarray(value)
        return self._exact(students, quantity, checked_digits(precision))

    def students(self, W: Any, name: str = "W", exact: bool = False) -> Array:
        """Validate weights (n, d); Fractions of the numbers given where `exact`."""
        students = checked_matrix(W, name, exact)
        if students.shape[1] != self.dimension:
            shape = np.shape(W)
            raise ValueError(f"{name}: expected shape (n, {self.dimension}), got {shape}")
        return students

    def _differentiable(self, W: Any, precision: int | None) -> Array:
        """Students at which the loss has derivatives."""
        return self.students(W, exact=precision is not None)

    @abstractmethod
    def expressions(self, n: int) -> Any:
        """The SymPy loss, gradient, Hessian of n students."""

    @abstractmethod
    def _loss(self, students: Array) -> tuple[float, float]:
        """The loss and a bound on its rounding error."""

    @abstractmethod
    def _gradient(self, students: Array) -> tuple[Array, float]: ...

    @abstractmethod
    def _hessian(self, students: Array) -> tuple[Array, float]: ...

    @abstractmethod
    def _exact(self, students: Array, quantity: str, digits: int | None) -> Array:
        """ "loss", "gradient" or "hessian" from the exact weights, all digits correct; flat."""


def checked_count(n: Any) -> int:
    """A number of students."""
    if not isinstance(n, int) or n < 1:
        raise ValueError(f"n: must be an integer of at least 1, got {n!r}")
    return n


def checked_digits(precision: Any) -> int | None:
    """A precision in decimal digits; None stays None, a double."""
    if precision is None:
        return None
    if isinstance(precision, bool) or not isinstance(precision, int | np.integer):
        raise ValueError(f"precision: must be an integer, got {precision!r}")
    if precision < 15:
        raise ValueError(f"precision: must be at least 15 digits, got {precision}")
    return int(precision)


def checked_matrix(values: Any, name: str, exact: bool = False) -> Array:
    """A finite 2-D array of floats (or, where `exact`, of Fractions); a teacher may be 1-D."""
    try:
        if np.iscomplexobj(np.asarray(values)):
            raise TypeError
        array = np.array(values, dtype=object if exact else float)
        finite = np.isfinite(array.astype(float)).all()
        if exact and finite:
            array = rationals(array)
    except (TypeError, ValueError, ArithmeticError):
        raise ValueError(f"{name}: expected an array of real numbers") from None
    if array.ndim == 1 and name == "teacher":
        array = array[None, :]
    if array.ndim != 2 or 0 in array.shape:
        row = "sample" if name == "samples" else "neuron"
        raise ValueError(f"{name}: expected a matrix, one {row} a row, got shape {array.shape}")
    if not finite:
        raise ValueError(f"{name}: holds a NaN or an infinity")
    return array


def checked_teacher(values: Any) -> tuple[Array, Array]:
    """Teachers (k, d) as doubles and as Fractions, no row zero."""
    teacher = checked_matrix(values, "teacher")
    zero = np.flatnonzero(~teacher.any(axis=1))
    if zero.size:
        raise ValueError(f"teacher: row {zero[0]} is zero")
    return teacher, checked_matrix(values, "teacher", exact=True)
