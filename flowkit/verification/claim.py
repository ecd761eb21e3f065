"""What a claim is: a statement, its source, predictions with tolerances, how to measure them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import isfinite
from typing import Any

SIGN = {"<=": 1.0, ">=": -1.0, ">": -1.0}
HOLDS, FAILS, UNDECIDED = "holds", "fails", "undecided"


@dataclass(frozen=True)
class Prediction:
    """What a quantity should be.

    Attributes
    ----------
    value : float
    tolerance : float
        Largest deviation, beyond the measurement's own error, that still confirms it.
    relation : {"=", "<=", ">=", ">"}
        Measured value to predicted value; ">" leaves no room for equality.
    text : str
        The prediction as the paper writes it.
    """

    value: float
    tolerance: float
    relation: str = "="
    text: str = ""

    def verdict(self, measured: Measured) -> str:
        """Compare: "holds" and "fails" only where the error of the measurement allows it."""
        if not (isfinite(measured.value) and isfinite(measured.error) and measured.error >= 0):
            return UNDECIDED
        excess, error = self._excess(measured), measured.error
        if excess + error < self.tolerance or (
            self.relation != ">" and excess + error == self.tolerance
        ):
            return HOLDS
        beyond = excess - error
        strict = self.relation == ">" and beyond == self.tolerance
        return FAILS if beyond > self.tolerance or strict else UNDECIDED

    def margin(self, measured: Measured) -> float:
        """How far the measured value is from where it would contradict; negative beyond that."""
        return self.tolerance - self._excess(measured)

    def _excess(self, measured: Measured) -> float:
        difference = measured.value - self.value
        return abs(difference) if self.relation == "=" else difference * SIGN[self.relation]


@dataclass(frozen=True)
class Measured:
    """A number with its error (half-width), and a remark such as why a fit is undecided."""

    value: float
    error: float
    note: str = ""


@dataclass(frozen=True)
class Evidence:
    """What measuring a claim gives.

    Attributes
    ----------
    values : mapping of str to Measured
    draw : callable, optional
        Draws them on a matplotlib figure (it may resize it).
    runs : tuple of str
        What was run: weights with their seeds, end times, step sizes.
    omits : tuple of str
        Predictions that this profile leaves out on purpose; any other without a value is undecided.
    """

    values: Mapping[str, Measured]
    draw: Callable[[Any], None] | None = None
    runs: tuple[str, ...] = ()
    omits: tuple[str, ...] = ()


@dataclass(frozen=True)
class Profile:
    """How much is run: initialisations per claim."""

    name: str
    sigmas: tuple[float, ...]
    seeds: tuple[int, ...]


PROFILES = {
    "quick": Profile("quick", (0.1, 0.01), (0,)),
    "full": Profile("full", (0.1, 0.01, 0.001), (0, 1, 2)),
}


class Derived(Mapping[str, Prediction]):
    """Predictions that are derived when they are first asked for, by a function of a module."""

    def __init__(self, derive: Callable[[], Mapping[str, Prediction]]) -> None:
        self._derive = derive

    @cached_property
    def _known(self) -> Mapping[str, Prediction]:
        return self._derive()

    def __getitem__(self, name: str) -> Prediction:
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)

    def __repr__(self) -> str:
        return f"Derived({self._derive!r})"


@dataclass(frozen=True)
class Claim:
    """A statement that can be checked numerically.

    Attributes
    ----------
    id : str
        Such as "xu-du/toy-1".
    statement, source : str
        In words and formulas, and where it stands.
    predictions : mapping of str to Prediction
        By the names that `measure` gives its values; "exponent of L" also stands for every
        "exponent of L · run".
    measure : callable
        Profile → Evidence; knows nothing of the predictions.
    group : str
        The heading of a report that it belongs under, such as "Theorems 2 and 12".
    formula : str
        The statement in LaTeX, without dollars; what `latex2mathml` can render.
    cost : float or mapping of str to float
        About how many seconds it takes, or how many in each profile; long claims start first.
    shares : str
        Claims of the same key use the same cached flows, so one process checks them all.
    flows : bool
        Whether it runs compiled flows: it then waits until they are compiled.
    """

    id: str
    statement: str
    source: str
    predictions: Mapping[str, Prediction] = field(repr=False)
    measure: Callable[[Profile], Evidence] = field(repr=False)
    group: str = ""
    formula: str = field(default="", repr=False)
    cost: float | Mapping[str, float] = field(default=1.0, repr=False)
    shares: str = field(default="", repr=False)
    flows: bool = field(default=True, repr=False)

    def prediction(self, name: str) -> Prediction:
        """The prediction for a measured value."""
        return self.predictions[base(name)]

    def seconds(self, profile: str) -> float:
        """What the claim says it costs."""
        return self.cost.get(profile, 1.0) if isinstance(self.cost, Mapping) else self.cost


def base(name: str) -> str:
    """The quantity of "quantity · run"."""
    return name.partition(" · ")[0]
