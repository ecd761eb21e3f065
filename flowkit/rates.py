"""Asymptotic decay rates, with honest intervals, from one computed run.

``fit_power_law`` finds p in y ~ C t**p, ``fit_exponential`` finds r in y ~ C exp(-r t) and
``fit_rate`` says which of the two it is.

Method.  With x = ln t (power law) or x = t (exponential) both laws read

    ln y = c + p x + sum_j b_j x**m_j exp(-q_j x),

a straight line plus corrections that die out: 1/t, log t/t, ..., or t^-q with free q.  Each of
seven correction models is fitted to about ten nested windows, all ending at the last point.  A
least-squares error bar would ignore that the errors of a solver are smooth and that every
correction model is incomplete, so the half-width given to a candidate is the sum of

* data: the largest change of p caused by *any* error of the points within their accuracy, or
  within the largest residual if that is larger (an l1 bound: averaging does not help);
* start: the change of p when the window starts later (twice);
* end: the change of p when the last quarter of the window is left out (a backtest of the
  extrapolation).

Start and end enter with the factor _SAFETY, and all is multiplied by a doubt that grows with the
misfit and with corrections that hardly decay in the window.  These factors are calibrated on
ensembles with known limits (tests/test_rates.py); they are not derived.  Models that another
model beats clearly in the same window, or that miss a stated accuracy, are refuted.  The
narrowest candidate wins; its interval is widened to cover every candidate about as narrow.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from statistics import NormalDist
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "ExponentialFit", "PowerLawFit", "RateDecision",
    "fit_exponential", "fit_power_law", "fit_rate",
]  # fmt: skip

Array = NDArray[np.float64]
_MIN_POINTS = 8
_MIN_WINDOW = 6
_ROUNDING = 4e-16
_THIN = 64  # points kept per window: the l1 bound gains nothing from more
_SAFETY = 4.0  # factor on start + end changes and on residuals beyond the stated accuracy
_BLIND = 10.0  # factor on all errors if no accuracy is given
_REFUTED = 10.0  # misfit in units of the stated accuracy
_UNDECIDED = 3.0  # further factor on the interval of undecided fits
_NEAR = 3.0  # candidates up to this much wider than the best one must be covered


class _Data(NamedTuple):
    """Points (x, z = ln y), their accuracies, and dz/dx if it is known."""

    x: Array
    z: Array
    sigma: Array
    slope: Array | None
    slope_sigma: Array
    blind: bool  # no accuracy given: a smooth error cannot be told from a correction


class _Model(NamedTuple):
    """Corrections u**logs * exp(-q * multiples * u); q = 1 per unit of x if ``fixed``."""

    name: str
    multiples: Array
    logs: Array
    fixed: bool


class _Candidate(NamedTuple):
    first: int
    model: _Model
    value: Array  # (p, ln prefactor)
    data_error: Array  # half-widths of both from the errors of the points
    misfit: float  # largest residual in units of its sigma
    power: float  # q
    doubt: float  # factor on all errors: misfit, corrections that hardly decay in the window
    spread: Array = np.full(2, np.inf)  # data_error + start + end


class _Estimate(NamedTuple):
    best: _Candidate
    lower: Array
    upper: Array


def _model(name: str, multiples: Sequence[int], logs: Sequence[int], fixed: bool) -> _Model:
    return _Model(name, np.array(multiples, dtype=float), np.array(logs, dtype=float), fixed)


_EXPONENTIAL_MODELS = (
    _model("none", [], [], True),
    _model("", [1], [0], False),
    _model("", [1, 2], [0, 0], False),
    _model("", [1, 2, 3], [0, 0, 0], False),
)
_POWER_MODELS = (
    *_EXPONENTIAL_MODELS,
    _model("1/t", [1], [0], True),
    _model("log t/t", [1, 1], [0, 1], True),
    _model("log^2 t/t^2", [1, 1, 2, 2, 2], [0, 1, 0, 1, 2], True),
)


def _design(u: Array, powers: Array, logs: Array, slope: bool) -> tuple[Array, Array]:
    """Columns 1, u, corrections (below them d/du if ``slope``) and d corrections/d powers.

    ``powers`` may have leading axes: a batch of designs.
    """
    v, powers = u[:, None], powers[..., None, :]
    decay = np.exp(-v * powers)
    term = v**logs * decay if logs.any() else decay
    line = np.empty((*term.shape[:-1], 2))
    line[..., 0], line[..., 1] = 1.0, u
    if not slope:
        return np.concatenate([line, term], axis=-1), -v * term
    rate = logs * v ** np.maximum(logs - 1, 0) * decay - powers * term
    flat = np.zeros_like(line)
    flat[..., 1] = 1.0
    lines, terms = np.concatenate([line, flat], axis=-2), np.concatenate([term, rate], axis=-2)
    by_power = -np.concatenate([v * term, term + v * rate], axis=-2)
    return np.concatenate([lines, terms], axis=-1), by_power


def _inverse(matrix: Array) -> Array | None:
    """Pseudo-inverse by QR of the column-scaled matrix, None if numerically singular."""
    scale = np.sqrt(np.einsum("ij,ij->j", matrix, matrix))
    if not scale.all():
        return None
    q, r = np.linalg.qr(matrix / scale)
    diagonal = np.abs(np.diag(r))
    if diagonal.min() < 1e-12:
        return None
    return np.asarray(np.linalg.solve(r, q.T) / scale[:, None])


def _start_power(u: Array, z: Array, sigma: Array, model: _Model, slope: bool) -> float:
    """Best q on a coarse grid, solved in one batch."""
    grid = np.geomspace(0.7, 40, 8)
    designs = _design(u, np.outer(grid, model.multiples), model.logs, slope)[0]
    q = np.linalg.qr(designs / sigma[:, None])[0]
    w = z / sigma
    residual = w - (q @ (np.swapaxes(q, 1, 2) @ w)[..., None])[..., 0]
    return float(grid[int(np.argmin((residual**2).sum(axis=1)))])


def _solve(
    u: Array, z: Array, sigma: Array, model: _Model, q: float, slope: bool
) -> tuple[Array, Array, Array, float] | None:
    """Coefficients, weighted residual, inverse Jacobian (last row: ln q) and q.

    A free q starts from the given value and takes damped Gauss-Newton steps.
    """
    best: tuple[Array, Array, Array, float] | None = None
    step, cost, damping = 0.0, math.inf, 1.0
    for _ in range(10):
        design, derivative = _design(u, q * model.multiples, model.logs, slope)
        inverse = _inverse(design / sigma[:, None])
        if inverse is None:
            break
        coef = inverse @ (z / sigma)
        coef += inverse @ ((z - design @ coef) / sigma)
        residual = (z - design @ coef) / sigma
        if model.fixed:
            return coef, residual, inverse, q
        new_cost = float(residual @ residual)
        if best and new_cost >= cost:
            damping /= 4
            if damping < 0.05:
                break
            q = best[3] * math.exp(damping * step)
            continue
        by_q = derivative @ (coef[2:] * q * model.multiples)
        inverse = _inverse(np.column_stack([design, by_q]) / sigma[:, None])
        if inverse is None:
            break
        best = coef, residual, inverse, q
        step, damping = min(0.7, max(-0.7, float(inverse[-1] @ residual))), 1.0
        if new_cost > 0.998 * cost or abs(step) < 1e-6:
            break
        cost, q = new_cost, min(100.0, max(0.2, q * math.exp(step)))
    return best


def _fit_window(data: _Data, model: _Model, first: int, stop: int) -> _Candidate | None:
    x0, width = data.x[first], data.x[stop - 1] - data.x[first]
    index = np.arange(first, stop)
    if len(index) > _THIN:
        index = np.unique(np.searchsorted(data.x, np.linspace(x0, x0 + width, _THIN)))
        index = index[index < stop]
    unknowns = 2 + len(model.multiples) + (not model.fixed)
    if len(index) < max(_MIN_WINDOW, unknowns + 3):
        return None
    u, z, sigma = (data.x[index] - x0) / width, data.z[index], data.sigma[index]
    slope = data.slope is not None
    if data.slope is not None:
        z = np.concatenate([z, width * data.slope[index]])
        sigma = np.concatenate([sigma, width * data.slope_sigma[index]])
    q = width if model.fixed else _start_power(u, z, sigma, model, slope)
    solved = _solve(u, z, sigma, model, q, slope)
    if solved is None:
        return None
    coef, residual, inverse, q = solved
    misfit = float(np.abs(residual).max()) * math.sqrt(len(z) / (len(z) - unknowns))
    doubt = _BLIND if data.blind else max(1.0, misfit) ** 0.25
    if len(model.multiples):
        doubt += 1.0 / q

    def both(c: Array) -> Array:  # (c, p) in u -> (p, ln prefactor) in x
        return np.array([c[1] / width, c[0] - x0 / width * c[1]])

    error = max(1.0, 2.0 * misfit) * np.abs(both(inverse)).sum(axis=1)
    return _Candidate(first, model, both(coef), error, misfit, q / width, doubt)


def _starts(x: Array, forced: bool) -> list[int]:
    """Window starts: the late 100 %, 75 %, 56 %, ... of the span of x, if 6 points remain."""
    span = x[-1] - x[0]
    first = np.searchsorted(x, x[-1] - span * (1 + 1e-12) * 0.75 ** np.arange(11))
    found = sorted({int(i) for i in first if len(x) - i >= _MIN_WINDOW})
    return found[:3] if forced else found


def _estimate(data: _Data, models: Sequence[_Model], narrowest: float, forced: bool) -> _Estimate:
    """Fit all models to all windows, discard the refuted, choose the narrowest."""
    n, pool = len(data.x), list[_Candidate]()
    starts = _starts(data.x, forced)
    table = [[_fit_window(data, model, i, n) for model in models] for i in starts]
    for k, row in enumerate(table):
        if forced and k:
            break
        width = data.x[-1] - data.x[starts[k]]
        reach = max(2.0, 5.0 * min((c.misfit for c in row if c), default=np.inf))
        for m, c in enumerate(row):
            later = [r[m] for r in table[k + 1 : k + 3]]
            shifts = [np.abs(other.value - c.value) for other in later if other and c]
            if c is None or c.misfit > reach:
                continue
            if pool and width < narrowest * (1 + len(c.model.multiples) / 4):
                continue
            start = np.max(shifts, axis=0) if shifts else np.full(2, np.inf)
            pool.append(c._replace(spread=c.doubt * (c.data_error + _SAFETY * start)))
    if not pool:
        return _nothing(data, models[0])
    if not data.blind:  # a model that misses the stated accuracy is wrong, unless all do
        pool = [c for c in pool if c.misfit <= _REFUTED] or pool
    pool.sort(key=lambda c: float(c.spread[0]))
    finalists = [_backtest(data, c) for c in pool[:4]]
    best = min(finalists, key=lambda c: float(c.spread[0]))
    near = np.array([c.value for c in pool if c.spread[0] <= _NEAR * best.spread[0]])
    lower = np.minimum(best.value - best.spread, near.min(axis=0, initial=np.inf))
    upper = np.maximum(best.value + best.spread, near.max(axis=0, initial=-np.inf))
    return _Estimate(best, lower, upper)


def _nothing(data: _Data, model: _Model) -> _Estimate:
    """No window can be fitted (such as exponentials to 40 decades of t): the secant, no bounds."""
    x, z = data.x, data.z
    value = np.array([(z[-1] - z[0]) / (x[-1] - x[0]), z[-1]])
    unknown = np.full(2, np.inf)
    best = _Candidate(0, model, value, unknown, math.inf, 1.0, 1.0, unknown)
    return _Estimate(best, -unknown, unknown)


def _backtest(data: _Data, c: _Candidate) -> _Candidate:
    """Add the change of the result when the last quarter of the window is left out."""
    x = data.x
    stop = int(np.searchsorted(x, x[-1] - 0.25 * (x[-1] - x[c.first])))
    short = _fit_window(data, c.model, c.first, stop)
    change = np.full(2, np.inf) if short is None else np.abs(short.value - c.value)
    return c._replace(spread=c.spread + c.doubt * _SAFETY * change)


def _correction(best: _Candidate, power_law: bool) -> str:
    shape = "t^-{:.2g}" if power_law else "exp(-{:.3g} t)"
    free = ", ".join(shape.format(best.power * k) for k in best.model.multiples)
    return best.model.name or free


# ---- input ---------------------------------------------------------------------------------


def _log_values(y: Any) -> Array:
    """ln y as floats; -inf for 0, nan for negative; mpmath numbers may be far below 1e-308."""
    if np.ndim(y) == 1 and any(hasattr(v, "_mpf_") for v in y):
        import mpmath

        logs = [mpmath.log(v) if v > 0 else (-np.inf if v == 0 else np.nan) for v in y]
        return np.array(logs, dtype=float)
    array = _vector("y", y)
    if np.isinf(array).any():
        raise ValueError("y: contains inf")
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.log(array))


def _vector(name: str, values: Any) -> Array:
    try:
        array = np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        raise ValueError(f"{name}: must be numbers") from None
    if array.ndim != 1:
        raise ValueError(f"{name}: must be one-dimensional, got shape {array.shape}")
    return array


class _Input(NamedTuple):
    t: Array
    log_y: Array
    sigma: Array
    slope: Array | None
    blind: bool
    note: str


def _read(t: Any, y: Any, relative_error: Any, slope: Any, window: Any, positive: bool) -> _Input:
    """Check and clean the arguments; ``positive`` drops t = 0."""
    if y is None:
        if not hasattr(t, "loss"):
            raise ValueError("y: missing (only a flow object may stand alone)")
        flow, t, y = t, t.t, t.loss
        relative_error = flow.loss_error if relative_error is None else relative_error
        slope = flow.local_slope if slope is None else slope
    t, z = _vector("t", t), _log_values(y)
    if len(z) != len(t):
        raise ValueError(f"y: has {len(z)} elements but t has {len(t)}")
    columns = {"t": t, "y": z}
    for name, given in (("relative_error", relative_error), ("slope", slope)):
        if given is not None:
            array = _vector(name, np.full(len(t), given) if np.ndim(given) == 0 else given)
            if len(array) != len(t):
                raise ValueError(f"{name}: has {len(array)} elements but t has {len(t)}")
            columns[name] = array
    if np.isnan(z).any():
        raise ValueError("y: contains NaN or negative values")
    if not np.isfinite(t).all() or (np.diff(t) <= 0).any() or (t < 0).any():
        raise ValueError("t: must be finite, nonnegative and strictly increasing")
    nonzero = int(np.flatnonzero(np.isfinite(z)).max(initial=-1)) + 1
    note = f"{len(z) - nonzero} trailing zeros of y dropped" if nonzero < len(z) else ""
    if not np.isfinite(z[:nonzero]).all():
        raise ValueError("y: contains zeros before its last positive value")
    keep = (np.arange(len(t)) < nonzero) & ((t > 0) | (not positive and slope is None))
    if window is not None:
        if np.shape(window) != (2,) or not window[0] < window[1]:
            raise ValueError("window: must be (t_lo, t_hi) with t_lo < t_hi")
        keep &= (t >= window[0]) & (t <= window[1])
    if keep.sum() < _MIN_POINTS:
        raise ValueError(f"t: {keep.sum()} usable points, at least {_MIN_POINTS} are needed")
    columns = {name: array[keep] for name, array in columns.items()}
    for name in ("relative_error", "slope"):
        if name in columns and not np.isfinite(columns[name]).all():
            raise ValueError(f"{name}: contains NaN or inf")
    sigma = np.abs(columns.get("relative_error", np.zeros(keep.sum())))
    z = columns["y"]
    with np.errstate(over="ignore"):  # subnormal y have lost digits; mpmath numbers have not
        lost = 0.0 if z.min() < -745 else 5e-324 * np.exp(np.minimum(-z, 744.0))
    sigma = np.maximum(sigma + lost, _ROUNDING * np.maximum(1.0, np.abs(z) / 2))
    return _Input(columns["t"], z, sigma, columns.get("slope"), relative_error is None, note)


# ---- results -------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Fit:
    """What `PowerLawFit` and `ExponentialFit` share; `t`, `log_y` are the data after cleaning."""

    _value: ClassVar[str]
    _law: ClassVar[str]
    _log_time: ClassVar[bool]

    interval: tuple[float, float]
    prefactor: float
    prefactor_interval: tuple[float, float]
    window: tuple[float, float]
    status: str
    message: str
    correction: str
    n_points: int
    log_prefactor: float
    t: Array = field(repr=False, compare=False)
    log_y: Array = field(repr=False, compare=False)

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
        value, digits = getattr(self, self._value), self.log_y / math.log(10)
        time = np.log(self.t) if self._log_time else -self.t
        law = self._law[4:].replace("prefactor", f"{self.prefactor:.5g}")
        ax.axvspan(*self.window, color="0.9", zorder=0, label="window")
        ax.plot(self.t, digits, ".", ms=4, label="data")
        ax.plot(
            self.t, (self.log_prefactor + value * time) / math.log(10), lw=1,
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
class PowerLawFit(_Fit):
    """Result of `fit_power_law`: y ~ prefactor * t**exponent for large t.

    Attributes
    ----------
    exponent, prefactor : float
        Values extrapolated to t = infinity; `log_prefactor` does not overflow.
    interval, prefactor_interval : tuple of float
        Where they lie; not necessarily symmetric, infinite if the data say nothing.
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

    exponent: float


@dataclass(frozen=True)
class ExponentialFit(_Fit):
    """Result of `fit_exponential`: y ~ prefactor * exp(-rate*t) for large t.

    `rate` and its `interval` have the unit 1/time and are positive for decay; the other
    attributes are those of `PowerLawFit`.
    """

    _value = "rate"
    _law = "y ~ prefactor * exp(-rate*t)"
    _log_time = False

    rate: float


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
        head = f"[[RateDecision]] {self.kind}, confidence {self.confidence:.6g}\n    {self.message}"
        return "\n".join([head, self.power_law.report(), self.exponential.report()])

    __str__ = report

    def _repr_html_(self) -> str:
        rows = [("kind", self.kind), ("confidence", f"{self.confidence:.6g}")]
        rows += [self.power_law._rows()[0], self.exponential._rows()[0], ("message", self.message)]
        return _html("RateDecision", rows)

    def plot(self, ax: Any = None) -> Any:
        """Plot the exponential fit if that was chosen, else the power law; return the Axes."""
        return (self.exponential if self.kind == "exponential" else self.power_law).plot(ax)


def _with_interval(value: float, interval: tuple[float, float]) -> str:
    return f"{value:.12g}  [{interval[0] - value:+.1e}, {interval[1] - value:+.1e}]"


def _html(title: str, rows: Sequence[tuple[str, str]]) -> str:
    body = "".join(f"<tr><th>{escape(k)}</th><td>{escape(v)}</td></tr>" for k, v in rows)
    return f"<table><caption>{escape(title)}</caption>{body}</table>"


# ---- the three functions -------------------------------------------------------------------


def _level_factor(level: float) -> float:
    if not 0 < level < 1:
        raise ValueError("level: must lie between 0 and 1")
    return NormalDist().inv_cdf((1 + level) / 2) / NormalDist().inv_cdf(0.975)


def _common(
    found: _Estimate, given: _Input, factor: float, ok: bool, reason: str
) -> tuple[Array, dict[str, Any]]:
    """Interval of p and the fields both results share."""
    mid, first = found.best.value, found.best.first
    fall = given.log_y[first] - given.log_y[-1]
    factor *= 1.0 if ok else _UNDECIDED
    ends = mid + factor * np.array([found.lower - mid, found.upper - mid])
    if fall < math.log(2):  # a plateau tells nothing about what follows
        ends, reason = np.array([[-np.inf] * 2, [np.inf] * 2]), "y does not even halve (plateau?)"
    with np.errstate(over="ignore"):
        prefactor, interval = float(np.exp(mid[1])), np.exp(ends[:, 1])
    return ends[:, 0], {
        "prefactor": prefactor,
        "prefactor_interval": (float(interval[0]), float(interval[1])),
        "log_prefactor": float(mid[1]),
        "window": (float(given.t[first]), float(given.t[-1])),
        "n_points": len(given.t) - first,
        "status": "converged" if ok else "undecided",
        "message": "; ".join(filter(None, [reason, given.note])),
        "t": given.t,
        "log_y": given.log_y,
    }


def fit_power_law(
    t: Any,
    y: Any = None,
    *,
    relative_error: ArrayLike | None = None,
    slope: ArrayLike | None = None,
    window: tuple[float, float] | None = None,
    level: float = 0.95,
    tolerance: float = 2e-3,
) -> PowerLawFit:
    """Exponent p and prefactor C of y ~ C t**p for t -> infinity.

    Parameters
    ----------
    t : (n,) array_like or flow
        Times, strictly increasing; t = 0 is dropped.  A flow object (arrays ``t``, ``loss``,
        ``loss_error``, ``local_slope``) stands for t, y, relative_error and slope.
    y : (n,) array_like
        Positive values, n >= 8; mpmath numbers are allowed.  Trailing zeros are dropped.
    relative_error : float or (n,) array_like, optional
        Relative accuracy of y, taken as a bound.  Without it the residuals are used, which
        cannot show an error that itself grows like ln t: give it if you know it.
    slope : (n,) array_like, optional
        Exact d ln y / d ln t, fitted together with y.
    window : (t_lo, t_hi), optional
        Use all of these points instead of an automatic window.
    level : float
        The half-widths are calibrated for 0.95 and scaled like normal quantiles for others.
    tolerance : float
        Largest half-width of the exponent that counts as converged.

    Returns
    -------
    PowerLawFit
        "converged" if the half-width is at most `tolerance` and within the window y halves and
        t grows by a decade; else "undecided" with an interval three times as wide.

    Raises
    ------
    ValueError
        Names the offending argument.

    Notes
    -----
    The interval covers corrections 1/t, log t/t, their squares and up to three powers t^-q, and
    what resembles them.  An approach like 1/log t is slower than every t^-q: its interval may
    be too narrow by a small factor.  A regime that starts after the last point cannot be seen.

    References
    ----------
    C. Brezinski and M. Redivo Zaglia, Extrapolation Methods, North-Holland, 1991.
    """
    given, factor = _read(t, y, relative_error, slope, window, positive=True), _level_factor(level)
    x, s, sigma = np.log(given.t), given.slope, given.sigma
    slope_sigma = sigma if s is None else sigma * np.maximum(1, np.abs(s))
    data = _Data(x, given.log_y, sigma, s, slope_sigma, given.blind)
    found = _estimate(data, _POWER_MODELS, math.log(10), window is not None)
    first, half = found.best.first, factor * float(found.upper[0] - found.lower[0]) / 2
    ok, reason = True, f"limit of the local slope known to {half:.0e}"
    if x[-1] - x[first] < math.log(10) * (1 - 1e-9):
        ok, reason = False, "run too short: less than one decade of t"
    elif given.log_y[first] - given.log_y[-1] < math.log(2) or not half <= tolerance:
        local = np.gradient(given.log_y, x) if s is None else s
        drift = abs(local[-1] - np.interp(x[-1] - math.log(10), x, local))
        ok, reason = False, f"run too short: the local slope still drifts by {drift:.0e} per decade"
        reason += f" and its limit is uncertain by {half:.0e}"
    (low, high), common = _common(found, given, factor, ok, reason)
    return PowerLawFit(
        exponent=float(found.best.value[0]), interval=(float(low), float(high)),
        correction=_correction(found.best, True), **common,
    )  # fmt: skip


def fit_exponential(
    t: Any,
    y: Any = None,
    *,
    relative_error: ArrayLike | None = None,
    slope: ArrayLike | None = None,
    window: tuple[float, float] | None = None,
    level: float = 0.95,
    tolerance: float = 2e-3,
) -> ExponentialFit:
    """Rate r and prefactor C of y ~ C exp(-r t) for t -> infinity.

    Parameters are those of `fit_power_law`, except that t = 0 is kept unless `slope` is given
    and that `tolerance` is relative to the rate.

    Returns
    -------
    ExponentialFit
        "converged" if the half-width is at most `tolerance` times the rate and y falls by e**5
        or more within the window; else "undecided" with an interval three times as wide.

    Raises
    ------
    ValueError
        Names the offending argument.

    Notes
    -----
    Corrections are up to three terms exp(-q t), exp(-2 q t), ... with free q.  Algebraic factors
    such as t**-1.5 are not modelled; they widen the interval.
    """
    given, factor = _read(t, y, relative_error, slope, window, positive=False), _level_factor(level)
    s, slope_sigma = given.slope, given.sigma
    if s is not None:
        s, slope_sigma = s / given.t, given.sigma * np.maximum(1, np.abs(s)) / given.t
    data = _Data(given.t, given.log_y, given.sigma, s, slope_sigma, given.blind)
    found = _estimate(data, _EXPONENTIAL_MODELS, 0.0, window is not None)
    rate, half = -float(found.best.value[0]), factor * float(found.upper[0] - found.lower[0]) / 2
    fall = given.log_y[found.best.first] - given.log_y[-1]
    ok, reason = True, f"limit of the local rate known to {half:.0e}"
    if fall < 5:
        ok, reason = False, f"y falls only by a factor {math.exp(fall):.3g} within the window"
    elif not half <= tolerance * rate:
        ok, reason = False, "not exponential, or run too short: rate uncertain by "
        reason += f"{half / max(abs(rate), 1e-300):.0e} of its value"
    (low, high), common = _common(found, given, factor, ok, reason)
    return ExponentialFit(
        rate=rate, interval=(-float(high), -float(low)),
        correction=_correction(found.best, False), **common,
    )  # fmt: skip


def fit_rate(t: Any, y: Any = None, **keywords: Any) -> RateDecision:
    """Decide whether y decays like a power of t or exponentially.

    Parameters are those of `fit_power_law`.

    Returns
    -------
    RateDecision
        A law is chosen only if its fit is converged and its relative half-width is at most a
        tenth of that of the other law.

    Raises
    ------
    ValueError
        Names the offending argument.
    """
    power, exponential = fit_power_law(t, y, **keywords), fit_exponential(t, y, **keywords)
    fits: dict[str, _Fit] = {"power law": power, "exponential": exponential}
    values = {"power law": power.exponent, "exponential": exponential.rate}
    widths = {
        kind: min(1.0, (fit.interval[1] - fit.interval[0]) / 2 / max(abs(values[kind]), 1e-300))
        for kind, fit in fits.items()
    }
    kind, other = sorted(widths, key=lambda name: widths[name])
    confidence = 1 - widths[kind] / widths[other]
    if fits[kind].status != "converged" or confidence < 0.9:
        kind, confidence = "undecided", 0.0
        message = f"power law: {power.message}; exponential: {exponential.message}"
    else:
        message = (
            f"relative uncertainty {widths[kind]:.0e} as {kind}, {widths[other]:.0e} as {other}"
        )
    return RateDecision(kind, confidence, power, exponential, message)
