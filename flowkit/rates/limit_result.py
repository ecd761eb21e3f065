"""What `extrapolate` returns."""

from __future__ import annotations

from dataclasses import dataclass, field

from flowkit.rates.many_digits import Mpf, text
from flowkit.rates.results import _html

SHOWN = 8  # last rows of the table in a report


@dataclass(frozen=True)
class Limit:
    """Result of `extrapolate`.

    Attributes
    ----------
    value, error : mpmath.mpf
        The limit and a bound of its error that is believed; `error` is infinite if nothing is.
    digits : int
        Decimal digits of `value` that are believed right.
    method : str
        Which transformation, and of which powers.
    order : int
        Terms that were eliminated.
    t : tuple of mpmath.mpf
        The times of the table, a selection of those given.
    table : list of list of mpmath.mpf
        ``table[i][k]``, of order k, is found from points up to t[i]; ``table[-1][order]`` is the
        value.
    noise : mpmath.mpf
        The part of the error that comes from the errors of the data.
    data_digits : float
        Right digits of the data, at best.
    """

    value: Mpf
    error: Mpf
    digits: int
    method: str
    order: int
    t: tuple[Mpf, ...] = field(repr=False)
    table: list[list[Mpf]] = field(repr=False)
    noise: Mpf = field(repr=False)
    data_digits: float = field(repr=False)

    def _rows(self) -> list[tuple[str, str]]:
        value = text(self.value, self.digits) if self.digits else "unknown"
        first, last = text(self.t[0], 3), text(self.t[-1], 3)
        limited = "errors of the data" if 2 * self.noise >= self.error else "the approach"
        points = f"{len(self.t)} points, t = {first} ... {last}"
        return [
            ("value", value),
            ("error", f"{text(self.error, 2)}, set by {limited}"),
            ("method", f"{self.method}, order {self.order}"),
            ("points", f"{points}, {self.data_digits:.0f} digits"),
        ]

    def report(self) -> str:
        """Several lines of text: the digits that are believed, and the last row of the table."""
        lines = [f"[[Limit]] {self.digits} digits"]
        lines += [f"    {name:<7}  {text}" for name, text in self._rows()]
        lines += [f"    order {k:>2}  {shown}" for k, shown in self._changes()]
        return "\n".join(lines)

    __str__ = report

    def _changes(self) -> list[tuple[int, str]]:
        """Orders up to the one chosen, with their distance to the value."""
        row = self.table[-1][: self.order]
        chosen = list(enumerate(row))[-SHOWN:]
        return [(k, f"off by {text(abs(v - self.value), 2)}") for k, v in chosen]

    def _repr_html_(self) -> str:
        orders = [(f"order {k}", shown) for k, shown in self._changes()]
        return _html("Limit", [("digits", str(self.digits)), *self._rows(), *orders])
