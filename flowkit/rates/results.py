"""What the fits return: numbers with intervals, reports, tables and plots."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from flowkit.rates.many_digits import right_digits, text

Array = NDArray[np.float64]
Number = Any  # float; mpmath.mpf if the data have more digits


@dataclass(frozen=True)
class Fit:
    """What `PowerLawFit` and `ExponentialFit` share; `t`, `log_y` are the data after cleaning."""

    _value: ClassVar[str]
    _law: ClassVar[str]
    _log_time: ClassVar[bool]

    interval: tuple[Number, Number]
    prefactor: Number
    prefactor_interval: tuple[Number, Number]
    window: tuple[float, float]
    status: str
    message: str
    correction: str
    n_points: int
    log_prefactor: Number
    t: Array = field(repr=False, compare=False)
    log_y: Array = field(repr=False, compare=False)
    digits: int | None = field(default=None, kw_only=True)

    def _rows(self) -> list[tuple[str, str]]:
        value = _with_interval(getattr(self, self._value), self.interval)
        return [
            (self._value, value),
            ("prefactor", _with_interval(self.prefactor, self.prefactor_interval)),
            ("law", self._law),
            ("correction", self.correction),
            ("window", "t = {:.3g} ... {:.3g}".format(*self.window) + f", {self.n_points} points"),
            ("message", self.message),
        ]

    def report(self) -> str:
        """Several lines of text: what was found, how surely and from which points."""
        title = f"[[{type(self).__name__}]] {self.status}"
        return "\n".join([title, *(f"    {name:<10}  {text}" for name, text in self._rows())])

    __str__ = report

    def _repr_html_(self) -> str:
        return _html(type(self).__name__, [("status", self.status), *self._rows()])

    def plot(self, ax: Any = None) -> Any:
        """Draw data, fitted law and shaded window, for a converged power law also the local slope.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; default a new figure.

        Returns
        -------
        matplotlib Axes
            With log10 y (y itself may underflow) over t or, for a power law, log t.
        """
        if ax is None:
            import matplotlib.pyplot as plt

            ax = plt.subplots(layout="constrained")[1]
        value, digits = float(getattr(self, self._value)), self.log_y / math.log(10)
        time = np.log(self.t) if self._log_time else -self.t
        law = self._law[4:].replace("prefactor", f"{float(self.prefactor):.5g}")
        ax.axvspan(*self.window, color="0.9", zorder=0, label="window")
        ax.plot(self.t, digits, ".", ms=4, label="data")
        ax.plot(
            self.t, (float(self.log_prefactor) + value * time) / math.log(10), lw=1,
            label=law.replace(self._value, f"{value:.6g}"),
        )  # fmt: skip
        pad = 0.05 * np.ptp(digits) + 0.1
        ax.set(xlabel="t", ylabel="log10 y", ylim=(digits.min() - pad, digits.max() + pad))
        ax.set_title(self.status, fontsize="medium", loc="left")
        ax.legend(loc="lower left", fontsize="small")
        if self._log_time:
            ax.set_xscale("log")
        if self._log_time and self.status == "converged":  # then the upper right is free
            inset = ax.inset_axes((0.58, 0.62, 0.4, 0.35))
            inset.plot(self.t, np.gradient(self.log_y, time), lw=1)
            inset.axhline(value, color="C1", lw=1)
            inset.set_xscale("log")
            inset.set_title("local slope", fontsize="small")
            inset.tick_params(labelsize="small")
        return ax


@dataclass(frozen=True)
class PowerLawFit(Fit):
    """Result of `fit_power_law`: y ~ prefactor * t**exponent for large t.

    Attributes
    ----------
    exponent, prefactor : float or mpmath.mpf
        Values extrapolated to t = infinity; `log_prefactor` does not overflow.  They are mpf if
        the data have more digits than doubles.
    interval, prefactor_interval : tuple of float or mpmath.mpf
        Where they lie; not necessarily symmetric, infinite if the data say nothing.
    digits : int or None
        Digits of the exponent that are believed; None for data in doubles.
    window : tuple of float
        First and last time of the points used; `n_points` is their number.
    status, message : str
        "converged" or "undecided", and why.
    correction : str
        Correction model of the best candidate, e.g. "1/t", "log t/t", "t^-0.31" or "none".
    """

    _value = "exponent"
    _law = "y ~ prefactor * t**exponent"
    _log_time = True

    exponent: Number


@dataclass(frozen=True)
class ExponentialFit(Fit):
    """Result of `fit_exponential`: y ~ prefactor * exp(-rate*t) for large t.

    `rate` and its `interval` have the unit 1/time and are positive for decay; the other
    attributes are those of `PowerLawFit`.
    """

    _value = "rate"
    _law = "y ~ prefactor * exp(-rate*t)"
    _log_time = False

    rate: Number


@dataclass(frozen=True)
class RateDecision:
    """Result of `fit_rate`.

    Attributes
    ----------
    kind : str
        "power law", "exponential" or "undecided".
    confidence : float
        1 - (relative half-width of the chosen law) / (that of the other law, at most 1): near 1
        if the other law cannot hold, 0 if undecided.  A figure of merit, not a probability.
    power_law, exponential : PowerLawFit, ExponentialFit
        Both fits.
    message : str
        Why.
    """

    kind: str
    confidence: float
    power_law: PowerLawFit
    exponential: ExponentialFit
    message: str

    def report(self) -> str:
        """Several lines of text: the decision and both fits."""
        head = f"[[RateDecision]] {self.kind}, confidence {_surely(self.confidence)}"
        return "\n".join(
            [head, f"    {self.message}", self.power_law.report(), self.exponential.report()]
        )

    __str__ = report

    def _repr_html_(self) -> str:
        rows = [("kind", self.kind), ("confidence", _surely(self.confidence))]
        rows += [self.power_law._rows()[0], self.exponential._rows()[0], ("message", self.message)]
        return _html("RateDecision", rows)

    def plot(self, ax: Any = None) -> Any:
        """Plot the exponential fit if that was chosen, else the power law; return the Axes."""
        return (self.exponential if self.kind == "exponential" else self.power_law).plot(ax)


def _surely(confidence: float) -> str:
    return "> 0.999999" if confidence > 0.999999 else f"{confidence:.6g}"


def _with_interval(value: Number, interval: tuple[Number, Number]) -> str:
    """The value to the digit that its interval reaches, and the ends relative to it."""
    low, high = interval[0] - value, interval[1] - value
    digits = right_digits(value, max(high, -low)) if hasattr(value, "_mpf_") else 0
    if digits > 15:
        return f"{text(value, digits)}  [-{text(abs(low), 2)}, +{text(abs(high), 2)}]"
    value, low, high = float(value), float(low), float(high)
    half = max(high, -low)
    if 0 < half < abs(value):
        decimals = 1 - math.floor(math.log10(half))
        shown = f"{value:.{decimals}f}" if 0 <= decimals <= 15 else f"{value:.3g}"
    else:
        shown = f"{value:.3g}"
    return f"{shown}  [{low:+.1e}, {high:+.1e}]"


def _html(title: str, rows: Sequence[tuple[str, str]]) -> str:
    body = "".join(f"<tr><th>{escape(k)}</th><td>{escape(v)}</td></tr>" for k, v in rows)
    return f"<table><caption>{escape(title)}</caption>{body}</table>"
