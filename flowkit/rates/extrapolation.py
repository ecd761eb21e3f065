"""A straight line plus corrections that die out, extrapolated to its end.

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
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
_MIN_WINDOW = 6
_THIN = 64  # points kept per window: the l1 bound gains nothing from more
_SAFETY = 4.0  # factor on start + end changes and on residuals beyond the stated accuracy
_BLIND = 10.0  # factor on all errors if no accuracy is given
_REFUTED = 10.0  # misfit in units of the stated accuracy
_NEAR = 3.0  # candidates up to this much wider than the best one must be covered


class Points(NamedTuple):
    """Points (x, z = ln y), their accuracies, and dz/dx if it is known."""

    x: Array
    z: Array
    sigma: Array
    slope: Array | None
    slope_sigma: Array
    blind: bool  # no accuracy given: a smooth error cannot be told from a correction


class Model(NamedTuple):
    """Corrections u**logs * exp(-q * multiples * u); q = 1 per unit of x if ``fixed``."""

    name: str
    multiples: Array
    logs: Array
    fixed: bool


class Candidate(NamedTuple):
    first: int
    model: Model
    value: Array  # (p, ln prefactor)
    data_error: Array  # half-widths of both from the errors of the points
    misfit: float  # largest residual in units of its sigma
    power: float  # q
    doubt: float  # factor on all errors: misfit, corrections that hardly decay in the window
    spread: Array = np.full(2, np.inf)  # data_error + start + end


class Estimate(NamedTuple):
    best: Candidate
    lower: Array
    upper: Array


def _model(name: str, multiples: Sequence[int], logs: Sequence[int], fixed: bool) -> Model:
    return Model(name, np.array(multiples, dtype=float), np.array(logs, dtype=float), fixed)


EXPONENTIAL_MODELS = (
    _model("none", [], [], True),
    _model("", [1], [0], False),
    _model("", [1, 2], [0, 0], False),
    _model("", [1, 2, 3], [0, 0, 0], False),
)
POWER_MODELS = (
    *EXPONENTIAL_MODELS,
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


def _start_power(u: Array, z: Array, sigma: Array, model: Model, slope: bool) -> float:
    """Best q on a coarse grid, solved in one batch."""
    grid = np.geomspace(0.7, 40, 8)
    designs = _design(u, np.outer(grid, model.multiples), model.logs, slope)[0]
    q = np.linalg.qr(designs / sigma[:, None])[0]
    w = z / sigma
    residual = w - (q @ (np.swapaxes(q, 1, 2) @ w)[..., None])[..., 0]
    return float(grid[int(np.argmin((residual**2).sum(axis=1)))])


def _solve(
    u: Array, z: Array, sigma: Array, model: Model, q: float, slope: bool
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


def _fit_window(data: Points, model: Model, first: int, stop: int) -> Candidate | None:
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
    return Candidate(first, model, both(coef), error, misfit, q / width, doubt)


def _starts(x: Array, forced: bool) -> list[int]:
    """Window starts: the late 100 %, 75 %, 56 %, ... of the span of x, if 6 points remain."""
    span = x[-1] - x[0]
    first = np.searchsorted(x, x[-1] - span * (1 + 1e-12) * 0.75 ** np.arange(11))
    found = sorted({int(i) for i in first if len(x) - i >= _MIN_WINDOW})
    return found[:3] if forced else found


def estimate(data: Points, models: Sequence[Model], narrowest: float, forced: bool) -> Estimate:
    """Fit all models to all windows, discard the refuted, choose the narrowest."""
    n, pool = len(data.x), list[Candidate]()
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
    return Estimate(best, lower, upper)


def _nothing(data: Points, model: Model) -> Estimate:
    """No window can be fitted (such as exponentials to 40 decades of t): the secant, no bounds."""
    x, z = data.x, data.z
    value = np.array([(z[-1] - z[0]) / (x[-1] - x[0]), z[-1]])
    unknown = np.full(2, np.inf)
    best = Candidate(0, model, value, unknown, math.inf, 1.0, 1.0, unknown)
    return Estimate(best, -unknown, unknown)


def _backtest(data: Points, c: Candidate) -> Candidate:
    """Add the change of the result when the last quarter of the window is left out."""
    x = data.x
    stop = int(np.searchsorted(x, x[-1] - 0.25 * (x[-1] - x[c.first])))
    short = _fit_window(data, c.model, c.first, stop)
    change = np.full(2, np.inf) if short is None else np.abs(short.value - c.value)
    return c._replace(spread=c.spread + c.doubt * _SAFETY * change)


def correction_text(best: Candidate, power_law: bool) -> str:
    shape = "t^-{:.2g}" if power_law else "exp(-{:.3g} t)"
    free = ", ".join(shape.format(best.power * k) for k in best.model.multiples)
    return best.model.name or free
