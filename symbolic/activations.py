"""What a derivation needs to know of an activation.

For a positively homogeneous activation σ(z) = [z]₊ + α·(−[−z]₊) the population loss splits as

    L = ½ mean ‖r‖² + kink · (1/4π) Σ c_a c_b ‖a‖‖b‖ (sin θ_ab − θ_ab cos θ_ab),

so two exact weights say all (`symbolic.pairs.leaky_split` derives them).
"""

from dataclasses import dataclass
from fractions import Fraction


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


def parse_activation(text: str) -> ReLU | LeakyReLU:
    """Read an activation from its name: ``relu`` or ``leaky:ALPHA``."""
    if text == "relu":
        return ReLU()
    name, _, slope = text.partition(":")
    if name == "leaky" and slope:
        try:
            return LeakyReLU(float(slope))
        except ValueError:
            raise ValueError(f"activation: {slope!r} is not a slope in [0, 1)") from None
    raise ValueError(f"activation: unknown {text!r}; known are 'relu' and 'leaky:ALPHA'")
