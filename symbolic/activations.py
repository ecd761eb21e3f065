"""What a derivation needs to know of an activation.

Every activation answers one question: what is K = E σ(a·x)σ(b·x), x ~ N(0, I), as an expression of
p = a·a, c = a·b and q = b·b?  That is all of an `Activation`.

For a positively homogeneous activation σ(z) = [z]₊ + α·(−[−z]₊) the population loss splits as

    L = ½ mean ‖r‖² + kink · (1/4π) Σ c_a c_b ‖a‖‖b‖ (sin θ_ab − θ_ab cos θ_ab),

so two exact weights say all (`symbolic.pairs.leaky_split` derives them): ReLU and
LeakyReLU are no `Activation` of that kind.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from numbers import Integral
from typing import Any

HIGHEST = 20  # degree of a polynomial


@dataclass(frozen=True)
class ReLU:
    """The rectifier [z]₊ = max(z, 0)."""

    @property
    def alpha(self) -> Fraction:
        """Slope on the negative side, exact."""
        return Fraction(0)

    def __str__(self) -> str:
        return "relu"


@dataclass(frozen=True)
class LeakyReLU:
    """The leaky rectifier max(z, αz), 0 ≤ α < 1.

    Parameters
    ----------
    slope : float
        α, taken as the exact double that it is.

    Raises
    ------
    ValueError
        If α is not in [0, 1).
    """

    slope: float

    def __post_init__(self) -> None:
        number = isinstance(self.slope, int | float)
        if not number or not 0 <= self.slope < 1:
            raise ValueError(f"slope: must lie in [0, 1), got {self.slope!r}")

    @property
    def alpha(self) -> Fraction:
        """Slope on the negative side, exact."""
        return Fraction(self.slope)

    def __str__(self) -> str:
        return f"leaky:{self.slope!r}"


class Activation(ABC):
    """σ, given by its pair kernel; a frozen dataclass with a short name as its `str`.

    Attributes
    ----------
    at_zero, at_parallel : bool
        Whether the loss has derivatives where a student is zero, and where a student is parallel
        to another one or to a teacher.
    """

    at_zero: bool = True
    at_parallel: bool = True

    @abstractmethod
    def kernel(self) -> Any:
        """K as a SymPy expression of `symbolic.gram.P`, `C` and `Q`."""


@dataclass(frozen=True)
class ArcCosine(Activation):
    """[z > 0] zⁿ of order n = 0 (a step) or 2; order 1 is `ReLU`.

    Raises
    ------
    ValueError
        Another order.
    """

    order: int

    at_zero = False

    def __post_init__(self) -> None:
        if not isinstance(self.order, Integral) or self.order not in (0, 2) or self.order is False:
            raise ValueError(f"order: must be 0 or 2 (1 is ReLU), got {self.order!r}")
        object.__setattr__(self, "order", int(self.order))

    @property
    def at_parallel(self) -> bool:  # type: ignore[override]
        """The kernel of order 0 has a cusp there."""
        return self.order > 0

    def kernel(self) -> Any:
        from symbolic.arc_cosine import arccos_0, arccos_2

        return (arccos_2 if self.order else arccos_0)().result

    def __str__(self) -> str:
        return f"arccos:{self.order}"


@dataclass(frozen=True)
class Erf(Activation):
    """erf(z/√2), which runs from −1 to 1 with slope √(2/π) at 0."""

    def kernel(self) -> Any:
        from symbolic.erf_kernel import erf_kernel

        return erf_kernel().result

    def __str__(self) -> str:
        return "erf"


@dataclass(frozen=True)
class Polynomial(Activation):
    """α_0 + α_1 z + α_2 z² + ….

    Parameters
    ----------
    coefficients : sequence of numbers
        α_0, α_1, …: at most 21 of them, not all zero; exact: a float is the double that it is,
        "1/3" a third.

    Raises
    ------
    ValueError
        No such numbers.
    """

    coefficients: tuple[Fraction, ...]

    def __post_init__(self) -> None:
        given = self.coefficients
        try:
            exact = tuple(Fraction(x) for x in given)
        except (TypeError, ValueError, ArithmeticError):
            raise ValueError(f"coefficients: expected rational numbers, got {given!r}") from None
        if not any(exact):
            raise ValueError(f"coefficients: at least one must not be zero, got {given!r}")
        if len(exact) > HIGHEST + 1:
            raise ValueError(f"coefficients: the degree is at most {HIGHEST}, got {len(exact) - 1}")
        object.__setattr__(self, "coefficients", exact)

    def kernel(self) -> Any:
        from symbolic.moments import polynomial_kernel

        return polynomial_kernel(self.coefficients)

    def __str__(self) -> str:
        return f"polynomial:{','.join(map(str, self.coefficients))}"


@dataclass(frozen=True)
class Monomial(Activation):
    """zⁿ, n = 1 … 20.

    Raises
    ------
    ValueError
        Another degree.
    """

    degree: int

    def __post_init__(self) -> None:
        whole = isinstance(self.degree, Integral) and not isinstance(self.degree, bool)
        if not whole or not 1 <= self.degree <= HIGHEST:
            raise ValueError(f"degree: must be an integer in 1 … {HIGHEST}, got {self.degree!r}")
        object.__setattr__(self, "degree", int(self.degree))

    def kernel(self) -> Any:
        return Polynomial((*[Fraction(0)] * self.degree, Fraction(1))).kernel()

    def __str__(self) -> str:
        return f"monomial:{self.degree}"


# Text after the colon → activation.
NAMES: dict[str, Callable[[str], Any]] = {
    "leaky": lambda slope: LeakyReLU(float(slope)),
    "arccos": lambda order: ArcCosine(int(order)),
    "monomial": lambda degree: Monomial(int(degree)),
    "polynomial": lambda numbers: Polynomial(tuple(map(Fraction, numbers.split(",")))),
}
PLAIN: dict[str, Callable[[], Any]] = {"relu": ReLU, "erf": Erf}
FIELDS = ("slope", "order", "degree", "coefficients")
KNOWN = (
    "'relu', 'leaky:ALPHA', 'arccos:0', 'arccos:2', 'erf', 'monomial:DEGREE' and "
    "'polynomial:C0,C1,…'"
)


def parse_activation(text: str) -> Any:
    """Read an activation from its name, such as ``relu``, ``leaky:0.3`` or ``polynomial:0,1,1/2``.

    Raises
    ------
    ValueError
        No such name, or not the numbers that belong to it.
    """
    if text in PLAIN:
        return PLAIN[text]()
    name, _, numbers = text.partition(":")
    if name not in NAMES or not numbers:
        raise ValueError(f"activation: unknown {text!r}; known are {KNOWN}")
    try:
        return NAMES[name](numbers)
    except (ValueError, ArithmeticError) as problem:
        why = str(problem) if str(problem).split(":")[0] in FIELDS else f"known are {KNOWN}"
        raise ValueError(f"activation: {text!r} is none: {why}") from None
