"""What `problem.asymptotics` returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from html import escape
from math import inf
from typing import Any

import mpmath
import numpy as np

from flowkit.rates.many_digits import right_digits, text

Array = np.ndarray
Number = Any  # int, Fraction, float, or mpmath.mpf where the flow has more digits


@dataclass(frozen=True)
class Term:
    """coefficient · t^power · (ln t)^log_power · e^(−rate t), added to the constant.

    Absolute: to t^−exponent L of a power law, to e^(rate t) L of an exponential.  The coefficient
    is None where it depends on the whole flow.
    """

    power: Number = 0
    log_power: int = 0
    rate: Number = 0
    coefficient: Number | None = None

    def __str__(self) -> str:
        factors = [] if self.coefficient is None else [f"{float(self.coefficient):.6g}"]
        if self.log_power:
            factors.append("ln t" if self.log_power == 1 else f"(ln t)^{self.log_power}")
        if self.power:
            factors.append(f"t^{_exact(self.power)}")
        if self.rate:
            factors.append(f"exp(-{_exact(self.rate)} t)")
        return ("c " if self.coefficient is None else "") + " ".join(factors)


@dataclass(frozen=True, kw_only=True, repr=False)
class Asymptotics:
    """How the loss ends: L ~ constant · t^exponent, or L ~ constant · e^(−rate t).

    Attributes
    ----------
    kind : str
        "power law", "exponential", "no decay" (L does not tend to 0) or "undecided".
    exponent : int or None
        Of a power law.
    rate : int, Fraction, float, mpf or None
        Of an exponential, in 1/time.
    constant : float, mpf or None
        lim t^−exponent L, or lim e^(rate t) L; None if it is not known, `reason` says why.
    error : float
        Of the constant, absolute: from the digits of the flow, the limit of h, and Newton's method;
        infinite without a constant.
    corrections : tuple of Term
        What comes next, the slowest decay first.
    eigenvalues : tuple of float
        λ of D²F at the profile, without rotations; of several teachers one after the other.
    stable : bool or None
        Whether all λ > 1; None without a profile.
    h : (n,) array or None
        Limits of the students' parts along their teacher, in units of its norm; 0: the student does
        not count.
    profile : (n, d) array or None
        β: across its teacher v a student tends to ‖v‖ β_i/t.
    fast_rate : int, Fraction, float, mpf or None
        At which the residual Σ w − v falls to what the slow directions leave of it.
    reason : str
        Which situation was recognised, and why.
    """

    kind: str
    reason: str
    exponent: int | None = None
    rate: Number | None = None
    constant: Number | None = None
    error: float = inf
    corrections: tuple[Term, ...] = ()
    eigenvalues: tuple[float, ...] = ()
    stable: bool | None = None
    h: Array | None = field(default=None, compare=False)
    profile: Array | None = field(default=None, repr=False, compare=False)
    fast_rate: Number | None = None

    def loss(self, t: Any) -> Any:
        """The leading prediction of L at time t, a number or an array like t.

        Raises
        ------
        ValueError
            There is no constant, or t is no positive number.
        """
        if self.constant is None:
            raise ValueError("constant: not known, so there is no prediction of the loss")
        if isinstance(t, list | tuple | np.ndarray):
            t = np.array(t)
            t = t.astype(float) if t.dtype.kind in "iu" else t
        try:
            positive = bool(np.all(t > 0 if self.exponent is not None else t >= 0))
        except TypeError:
            positive = False
        if not positive:
            raise ValueError(f"t: expected positive numbers, got {t!r}")
        if self.exponent is not None:
            return self.constant * t**self.exponent
        rate = _number(self.rate, self.constant)
        precise = hasattr(self.constant, "_mpf_")
        return self.constant * (np.frompyfunc(mpmath.exp, 1, 1) if precise else np.exp)(-rate * t)

    @property
    def law(self) -> str:
        """The law in words."""
        if self.exponent is not None:
            return f"L ~ constant t^{self.exponent}"
        if self.rate is not None:
            return f"L ~ constant exp(-{_exact(self.rate)} t)"
        return "none"

    def _rows(self) -> list[tuple[str, str]]:
        rows = [("law", self.law), ("constant", self._constant())]
        if self.corrections:
            rows.append(("next", ", ".join(map(str, self.corrections))))
        if self.eigenvalues:
            shown = ", ".join(f"{x:.6g}" for x in self.eigenvalues)
            rows.append(("λ", f"{shown} ({'stable' if self.stable else 'unstable'})"))
        if self.fast_rate is not None:
            rows.append(("fast rate", _exact(self.fast_rate)))
        return [*rows, ("reason", self.reason)]

    def _constant(self) -> str:
        if self.constant is None:
            return "unknown"
        digits = right_digits(mpmath.mpf(self.constant), mpmath.mpf(self.error))
        shown = text(mpmath.mpf(self.constant), max(1, digits))
        return f"{shown}, error {self.error:.1e}"

    def __repr__(self) -> str:
        return f"<Asymptotics {self.kind}: {self.law}, constant {self._constant()}>"

    def report(self) -> str:
        """Several lines of text."""
        lines = [f"[[Asymptotics]] {self.kind}"]
        return "\n".join([*lines, *(f"    {name:<9}  {shown}" for name, shown in self._rows())])

    __str__ = report

    def _repr_html_(self) -> str:
        return _table("Asymptotics", [("kind", self.kind), *self._rows()])

    def _repr_latex_(self) -> str:
        if self.exponent is not None:
            factor = f"t^{{{self.exponent}}}"
        elif self.rate is not None:
            factor = f"e^{{-{_exact(self.rate)} t}}"
        else:
            return r"$L \not\to 0$" if self.kind == "no decay" else "$L = ?$"
        constant = "C" if self.constant is None else f"{float(self.constant):.10g}"
        return f"$L \\sim {constant}\\, {factor}$"


def _table(title: str, rows: Sequence[tuple[str, str]]) -> str:
    body = "".join(f"<tr><th>{escape(k)}</th><td>{escape(v)}</td></tr>" for k, v in rows)
    return f"<table><caption>{escape(title)}</caption>{body}</table>"


def _exact(x: Number) -> str:
    """An integer or fraction as it is, unless it is long; else ten digits."""
    short = isinstance(x, int) or (isinstance(x, Fraction) and x.denominator < 1000)
    return str(x) if short else f"{float(x):.10g}"


def _number(x: Number, like: Number) -> Number:
    """A rate as a number of the same kind."""
    if not isinstance(x, Fraction):
        return x
    return mpmath.mpf(x.numerator) / x.denominator if hasattr(like, "_mpf_") else float(x)


def simple(x: Number) -> Number:
    """An integer where a Fraction is one."""
    return int(x) if isinstance(x, Fraction) and x.denominator == 1 else x
