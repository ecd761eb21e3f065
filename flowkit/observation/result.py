"""What the papers look at along a run, each quantity with its error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from html import escape
from itertools import combinations
from typing import Any, NamedTuple

import flint
import numpy as np
from flint import arb

from flowkit.flows.flow import significant
from flowkit.observation import geometry, spectrum
from flowkit.observation.states import States
from flowkit.problems.exact import to_float, to_mpf
from flowkit.problems.teacher_student import TeacherStudent

Array = np.ndarray

ROUNDING = 4e-16


class Label(NamedTuple):
    """Symbol, meaning, and the power of ‖v‖ that the quantity scales with."""

    symbol: str
    meaning: str
    unit: float


LABELS = {
    "theta": Label("θ_i", "angle between w_i and v, (m, n)", 0),
    "theta_max": Label("max θ_i", "largest of them, (m,)", 0),
    "pair_theta": Label("θ_ij", "angle between w_i and w_j, (m, n, n)", 0),
    "norms": Label("‖w_i‖", "norms, (m, n)", 1),
    "h": Label("h_i", "projection w_i·v̄, (m, n)", 1),
    "balance": Label("max h_i / min h_j", "of those not at zero; inf where an h_j ≤ 0, (m,)", 0),
    "H": Label("H", "‖v‖ − Σ h_i, (m,)", 1),
    "r": Label("r", "Σ w_i − v, (m, d)", 1),
    "r_norm": Label("‖r‖", "its norm, (m,)", 1),
    "z": Label("z_i", "tangential part w_i − h_i v̄, (m, n, d)", 1),
    "z_norms": Label("‖z_i‖", "their norms, (m, n)", 1),
    "Z": Label("Z", "potential Σ_{i<j} ‖z_i − z_j‖, (m,)", 1),
    "Z_rate": Label("dZ/dt", "its exact derivative, no differencing, (m,)", 1),
    "kappa": Label("κ_ij", "angle between z_i and z_j, nan where one is 0, (m, n, n)", 0),
    "kappa_max": Label("κ_max", "largest of them, (m,)", 0),
    "loss": Label("L", "loss, (m,)", 2),
    "gradient_norm": Label("‖∇L‖", "norm of the gradient, (m,)", 1),
    "gradient_ratio": Label("‖∇L‖/L^⅔", "lower bound of the paper's Phase 3, (m,)", -1 / 3),
    "local_slope": Label("d ln L/d ln t", "−t‖∇L‖²/L, exact, (m,)", 0),
    "hessian_min": Label("λ_min", "smallest eigenvalue of the Hessian, (m,)", 0),
    "hessian_max": Label("λ_max", "largest eigenvalue of the Hessian, (m,)", 0),
}
SHOWN = [name for name in LABELS if not name.startswith("hessian")]


class Observables:
    """Angles, projections, residuals and potentials at m times; `LABELS` says what each is.

    Every quantity of `names` is an attribute, and an entry: ``o.theta``, ``o["theta"]``; computed
    on first use.  ``o.error("theta")`` is its estimated absolute error, of the same shape.  From a
    flow in many digits they are mpmath numbers.  Students at zero have h = 0, z = 0, θ = nan.

    Attributes
    ----------
    t : (m,)
        Times; for weights without a run nan.
    names : tuple of str
    """

    names = tuple(LABELS)

    def __init__(
        self,
        problem: Any,
        states: States,
        nearby: Callable[[], tuple[list[States], float]],
        digits: int = 15,
    ) -> None:
        self.problem, self.states = problem, states
        self._look_nearby, self._digits = nearby, digits

    def __getitem__(self, name: str) -> Array:
        if name not in LABELS:
            raise ValueError(f"name: unknown {name!r}; known are {', '.join(LABELS)}")
        return np.asarray(getattr(self, name))

    def __len__(self) -> int:
        return len(self.states.t)

    def error(self, name: str) -> Array:
        """Estimated absolute error of a quantity, an array of its shape, in doubles.

        Of a flow in doubles the difference to a run with a finer tolerance, and rounding; of a
        descent to runs with simulated rounding; of others the largest change when every number of
        the state moves up or down by its relative error.  Like the estimate of any difference, a
        single entry may be far too small where two runs cross.
        """
        nearby, factor = self._nearby
        here = self[name]
        value, widest = _floats(here), np.zeros(here.shape)
        with np.errstate(invalid="ignore"):
            for other in nearby:
                there = other[name]
                gap = np.where(here == there, 0.0, np.abs(_floats(here - there)))
                widest = np.maximum(widest, np.where(np.isnan(gap), np.inf, gap))
            rounding = 0.0 if self.states.bits else ROUNDING
            errors = factor * widest + rounding * np.abs(value)
            return np.asarray(np.where(np.isnan(value), np.nan, errors))

    @cached_property
    def _nearby(self) -> tuple[list[Observables], float]:
        found, factor = self._look_nearby()
        others = [Observables(self.problem, s, self._look_nearby, self._digits) for s in found]
        return others, factor

    # --- quantities -------------------------------------------------------------------------

    @property
    def t(self) -> Array:
        return self._numbers(self.states.t)

    @property
    def loss(self) -> Array:
        return self._numbers(self.states.loss)

    @property
    def gradient_norm(self) -> Array:
        return self._numbers(self.states.gradient_norm)

    @property
    def h(self) -> Array:
        return self._numbers(self.states.along)

    @cached_property
    def H(self) -> Array:
        return self._numbers(self._of(lambda s: self._beyond - s.residual[:, 0]))

    @property
    def _beyond(self) -> Any:
        """What Σ v_k·v̄ exceeds ‖v‖ by: nothing for one teacher."""
        return 0 if len(self.states.teachers) == 1 else -self.states.teachers[1:, 0].sum()

    @cached_property
    def r(self) -> Array:
        return self._numbers(self._of(lambda s: s.lift(s.residual)))

    @cached_property
    def r_norm(self) -> Array:
        return self._numbers(self._of(lambda s: geometry.lengths(s.residual)))

    @cached_property
    def z(self) -> Array:
        return self._numbers(self._of(_tangential))

    @cached_property
    def z_norms(self) -> Array:
        return self._numbers(self._of(lambda s: geometry.lengths(s.across)))

    @cached_property
    def norms(self) -> Array:
        return self._numbers(self._of(lambda s: geometry.lengths(_whole(s))))

    @cached_property
    def theta(self) -> Array:
        def angles(s: States) -> Array:
            found = geometry.arctan2(geometry.lengths(s.across), s.along)
            found[~_alive(s)] = geometry.nan_like(found)
            return found

        return self._numbers(self._of(angles))

    @cached_property
    def theta_max(self) -> Array:
        return _largest(self.theta)

    @cached_property
    def pair_theta(self) -> Array:
        def angles(s: States) -> Array:
            parts = []
            for along, across, alive in zip(s.along, s.across, _alive(s), strict=True):
                found = geometry.pair_angles(*geometry.directions(along, across))
                found[~alive] = geometry.nan_like(found)
                found[:, ~alive] = geometry.nan_like(found)
                parts.append(found)
            return np.array(parts)

        return self._numbers(self._of(angles))

    @cached_property
    def balance(self) -> Array:
        def ratio(s: States) -> Array:
            infinite = arb("inf") if s.bits else np.inf
            found = np.full(len(s.t), infinite)
            for k, (h, alive) in enumerate(zip(s.along, _alive(s), strict=True)):
                if alive.any() and h[alive].min() > 0:
                    found[k] = h[alive].max() / h[alive].min()
            return found

        return self._numbers(self._of(ratio))

    @cached_property
    def Z(self) -> Array:
        def potential(s: States) -> Array:
            return sum((geometry.lengths(gap) for gap, _ in _gaps(s)), start=0 * s.along[:, 0])

        return self._numbers(self._of(potential))

    @cached_property
    def Z_rate(self) -> Array:
        def rate(s: States) -> Array:
            total = 0 * s.along[:, 0]
            for gap, change in _gaps(s):
                size = geometry.lengths(gap)
                inner = (gap * change).sum(axis=-1)
                growing = geometry.lengths(change)  # where two parts leave each other
                apart = size > 0
                total = total + np.where(apart, inner / np.where(apart, size, 1), growing)
            return total

        return self._numbers(self._of(rate))

    @cached_property
    def kappa(self) -> Array:
        return self._numbers(
            self._of(lambda s: np.array([geometry.angles_of(rows) for rows in s.across]))
        )

    @cached_property
    def kappa_max(self) -> Array:
        n = self.kappa.shape[1]
        upper = self.kappa[:, *np.triu_indices(n, 1)]
        return _largest(upper)

    @cached_property
    def gradient_ratio(self) -> Array:
        def ratio(s: States) -> Array:
            root = geometry.cube_root(s.loss)
            seen = s.loss > 0
            safe = np.where(seen, root, 1)
            return np.where(seen, s.gradient_norm / safe / safe, geometry.nan_like(s.loss))

        return self._numbers(self._of(ratio))

    @cached_property
    def local_slope(self) -> Array:
        def slope(s: States) -> Array:
            seen = s.loss > 0
            safe = np.where(seen, s.loss, 1)
            found = -s.t * (s.gradient_norm / safe) * s.gradient_norm
            return np.where(seen, found, geometry.nan_like(s.loss))

        return self._numbers(self._of(slope))

    @property
    def hessian_min(self) -> Array:
        return self._extremes[:, 0]

    @property
    def hessian_max(self) -> Array:
        return self._extremes[:, 1]

    @cached_property
    def _extremes(self) -> Array:
        if not (isinstance(self.problem, TeacherStudent) and self.problem.homogeneous):
            raise ValueError("hessian: only for (leaky) ReLU; problem.hessian(W) gives any other")
        rows, teachers = _whole(self.states), self.states.teachers
        if self.states.flat:  # one direction stands for all that nothing moves in
            rows, teachers = (_with_zeros(x, self.states.bits) for x in (rows, teachers))
        found = [
            spectrum.extremes(self.problem, students, teachers, loss, self._digits)
            for students, loss in zip(rows, self.states.loss, strict=True)
        ]
        return self._numbers(np.array(found, dtype=object))

    # --- shown ------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """Plain lists by name, doubles, without the Hessian."""
        return {"t": _floats(self.t).tolist()} | {
            name: _floats(self[name]).tolist() for name in SHOWN
        }

    def plot(self) -> Any:
        """Angles, projections, residuals, Z, κ, gradient ratio and slope against t; the Figure."""
        from flowkit.observation.drawing import plot_observables

        return plot_observables(self)

    def _rows(self) -> list[tuple[str, str, str, str]]:
        """Symbol, meaning, first and last value of each number of one entry a time."""
        listed = []
        for name in SHOWN:
            values = _floats(self[name])
            if values.ndim == 1 and len(values):
                errors = self.error(name)
                first, last = (_shown(values[i], errors[i]) for i in (0, -1))
                listed.append((LABELS[name].symbol, LABELS[name].meaning, first, last))
        return listed

    def __repr__(self) -> str:
        n = self.states.along.shape[1]
        if not len(self):
            return "<Observables at no time>"
        first, last = _floats(self.t)[[0, -1]]
        return f"<Observables of {n} students at {len(self)} times {first:.4g} … {last:.4g}>"

    def _repr_html_(self) -> str:
        first, last = _floats(self.t)[[0, -1]]
        head = f"<tr><th></th><th></th><th>t = {first:.4g}</th><th>t = {last:.4g}</th></tr>"
        body = "".join(
            "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>"
            for row in self._rows()
        )
        return f"<table>{head}{body}</table>"

    def _of(self, quantity: Callable[[States], Any]) -> Array:
        """At the precision of the states."""
        with flint.ctx.workprec(self.states.bits or 53):
            return np.asarray(quantity(self.states))

    def _numbers(self, values: Array) -> Array:
        """For the user: doubles, or mpmath numbers."""
        if values.dtype != object:
            return values
        precise = self.states.bits and self._digits > 15
        convert = np.frompyfunc(_mpf if precise else _double, 1, 1)
        return np.asarray(convert(values).astype(object if precise else float))


def _whole(s: States) -> Array:
    return np.concatenate([s.along[..., None], s.across], axis=-1)


def _tangential(s: States) -> Array:
    return s.lift(np.concatenate([0 * s.along[..., None], s.across], axis=-1))


def _alive(s: States) -> Array:
    return np.array([[any(row) for row in rows] for rows in _whole(s).tolist()])


def _gaps(s: States) -> Iterator[tuple[Array, Array]]:
    """z_i − z_j (m, p) of every pair, and how it changes."""
    moves = s.velocity[..., 1:]
    for i, j in combinations(range(s.along.shape[1]), 2):
        yield s.across[:, i] - s.across[:, j], moves[:, i] - moves[:, j]


def _with_zeros(rows: Array, bits: int) -> Array:
    zeros = np.zeros((*rows.shape[:-1], 1), dtype=object if bits else float)
    return np.concatenate([rows, zeros], axis=-1)


def _largest(values: Array) -> Array:
    """Along the last axis, nan left out; nan if nothing is left."""
    real = np.array([[x == x for x in row] for row in values], dtype=bool).reshape(values.shape)
    rows = [row[keep] for row, keep in zip(values, real, strict=True)]
    found = np.empty(len(rows), dtype=values.dtype)
    found[:] = [row.max() if len(row) else geometry.nan_like(values) for row in rows]
    return found


def _mpf(x: Any) -> Any:
    return to_mpf(x) if hasattr(x, "man_exp") else x


def _double(x: Any) -> float:
    return to_float(x) if hasattr(x, "man_exp") else float(x)


def _floats(values: Array) -> Array:
    return np.asarray(values, dtype=float)


def _shown(value: float, error: float) -> str:
    if not np.isfinite(value):
        return str(value)
    relative = error / abs(value) if value else 0.0
    return f"{significant(value, max(relative, 1e-15)) if value else 0} ± {error:.0e}"
