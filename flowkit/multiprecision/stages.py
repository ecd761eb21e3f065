"""The stage equations of one step, by Newton's method.

    D (Y − y₀) = h F(Y),    Y the s stage values, one a row

Residuals carry the working precision; the linear systems are solved in doubles, and each iteration
gains about as many digits as the Jacobian is right to.  So that doubles suffice at any stiffness,
the equations are written in a basis V near the Schur basis of the Jacobian, found in many digits:
in it fast and slow directions do not mix.  The Jacobian varies as smoothly as the solution, so it
is evaluated at some of the stages and interpolated to all.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import flint
import numpy as np
from flint import arb, arb_mat

from flowkit.multiprecision.inner import StageSystem
from flowkit.multiprecision.tableau import Tableau

Array = np.ndarray
Row = list[arb]

ITERATIONS = 30
REFRESHES = 5  # Jacobians per step
STALLS = 4  # iterations of a step that may gain nothing
ASTRAY = 20  # bits: an iterate so much larger than anything expected leads nowhere
STALE = 1e-3  # a contraction worse than this asks for a new Jacobian
FEWEST = 8  # stages at which the Jacobian is evaluated


class Field(Protocol):
    """A vector field dy/dx = f(x, y)."""

    size: int

    def field(self, x: arb, y: Row) -> Row: ...
    def jacobian(self, x: arb, y: Row) -> arb_mat: ...


class Measure(Protocol):
    """What counts as a change of size 1.

    Attributes
    ----------
    directions : ndarray, shape (N,), or None
        The same in each direction of a basis in which the Jacobian is nearly diagonal.
    """

    @property
    def directions(self) -> Array | None: ...
    def measure(self, inner: Array, outer: arb_mat, power: int, values: arb_mat) -> float: ...


class StepError(ArithmeticError):
    """The stage equations could not be solved with this step."""


@dataclass(frozen=True)
class Basis:
    """V = S Q: powers of two that bring components to a common size, and an orthogonal matrix.

    Attributes
    ----------
    rotation : arb_mat, shape (N, N)
        Q.
    columns, inverse : arb_mat, shape (N, N)
        V and V⁻¹.
    """

    rotation: arb_mat
    columns: arb_mat
    inverse: arb_mat

    @classmethod
    def standard(cls, size: int) -> Basis:
        eye = arb_mat(_units(size))
        return cls(eye, eye, eye)

    def follow(self, jacobian: arb_mat, units: Array | None = None) -> Basis:
        """One step of simultaneous iteration, Q of the QR decomposition of S⁻¹ J S Q; S from the
        sizes of the components if those are given."""
        size = self.columns.nrows()
        up = down = None
        if units is not None:
            powers = [int(np.frexp(u)[1]) for u in units]
            up, down = _diagonal(powers), _diagonal([-p for p in powers])
            jacobian = down * jacobian * up
        images = (jacobian * self.rotation).mid().transpose().tolist()
        last_resort = _units(size)
        done: list[arb_mat] = []
        for image, before in zip(images, self.rotation.transpose().tolist(), strict=True):
            candidates = (image, before, *last_resort)
            found = (_independent(x, done) for x in candidates)
            done.append(next(unit for unit in found if unit is not None))
        inverse = arb_mat([row.entries() for row in done])
        rotation = inverse.transpose()
        if up is None:
            return Basis(rotation, rotation, inverse)
        return Basis(rotation, up * rotation, inverse * down)

    def of(self, jacobian: arb_mat) -> Array:
        """V⁻¹ J V in doubles."""
        return doubles(((self.inverse * jacobian.mid()).mid() * self.columns).mid())


def _diagonal(powers: list[int]) -> arb_mat:
    size = len(powers)
    two = arb(2)
    return arb_mat(
        [[two**p if i == j else arb(0) for j in range(size)] for i, p in enumerate(powers)]
    )


def _units(size: int) -> list[list[int]]:
    return [[int(i == j) for j in range(size)] for i in range(size)]


def _independent(values: Any, done: list[arb_mat]) -> arb_mat | None:
    """The unit vector of what is left without the directions in `done`, if enough is."""
    v = arb_mat(1, len(values), values)
    length = before = _length(v)
    if before == 0:
        return None
    for _ in range(2):
        for u in done:
            v = (v - u * (v * u.transpose())[0, 0]).mid()
        length = _length(v)
    return (v / length).mid() if length > before * 2.0**-100 else None


def _length(v: arb_mat) -> arb:
    return (v * v.transpose())[0, 0].mid().sqrt().mid()


def doubles(matrix: arb_mat, power: int = 0) -> Array:
    """Entries times 2^power."""
    if power:
        matrix = matrix * arb(2) ** power
    flat = np.fromiter(map(float, matrix.entries()), float, matrix.nrows() * matrix.ncols())
    return flat.reshape(matrix.nrows(), matrix.ncols())


def magnitude(matrix: arb_mat) -> int | None:
    """The exponent e of the largest entry, 2^(e−1) ≤ |x| < 2^e; None if all are zero."""
    largest = float(np.abs(doubles(matrix)).max())
    if 1e-290 < largest < 1e290:  # the quick way
        return int(np.frexp(largest)[1])
    exponents = [exponent(x) for x in matrix.entries() if not x.is_zero()]
    return max(exponents, default=None)


def exponent(x: arb) -> int:
    """e with 2^(e−1) ≤ |x| < 2^e.  Raises StepError if x is not a number."""
    if not x.is_finite():
        raise StepError("the right-hand side is not finite")
    mantissa, power = x.man_exp()
    return int(mantissa).bit_length() + int(power)


@dataclass(frozen=True)
class Nodes:
    """A tableau in doubles, and the stages at which the Jacobian is evaluated."""

    D: Array
    picked: list[int]
    spread: Array  # (s, len(picked)): interpolation from the picked stages to all


@lru_cache(maxsize=32)
def nodes(table: Tableau, good_guess: bool) -> Nodes:
    """A guess that is nearly right needs few more digits, and a Jacobian right to a few."""
    c = np.array([float(x) for x in table.c])
    s = len(c)
    count = min(s, max(FEWEST, s // (6 if good_guess else 3)))
    picked = sorted({round(i) for i in np.linspace(0, s - 1, count)})
    at = c[picked]
    # Scaled by 4, the products of differences neither overflow nor vanish.
    weights = np.array([1 / np.prod(4 * (x - np.delete(at, i))) for i, x in enumerate(at)])
    spread = np.zeros((s, len(at)))
    for k, x in enumerate(c):
        if k in picked:
            spread[k, picked.index(k)] = 1.0
        else:
            spread[k] = weights / (x - at)
            spread[k] /= spread[k].sum()
    return Nodes(doubles(table.D), picked, spread)


class Stages:
    """One step from (x, y) of length h.

    Attributes
    ----------
    evaluations : int
        Calls of the field so far.
    """

    def __init__(
        self,
        field: Field,
        table: Tableau,
        x: arb,
        h: arb,
        y: Row,
        basis: Basis,
        good_guess: bool = False,
        jacobian_bits: int | None = None,
    ) -> None:
        self.field, self.table, self.h, self.basis = field, table, h, basis
        self.nodes = nodes(table, good_guess)
        self.jacobian_bits = jacobian_bits or flint.ctx.prec
        self.x = [(x + h * c).mid() for c in table.c]
        self.start = arb_mat([y] * len(self.x))
        self.evaluations = 0
        self.surprise = 0.0  # size of the first change: how far off the guess was
        self.linear: Any = None

    def solve(self, guess: arb_mat, scale: Measure, tolerance: float) -> arb_mat:
        """Stage values with an error below `tolerance` in the units of `scale`.

        Raises
        ------
        StepError
            No convergence, or a field that is not finite.
        """
        values, refreshes, stalls, before = guess, 1, 0, np.inf
        bound = self._expected(guess) + ASTRAY
        self.linear = self._linearised(values, scale)
        for _ in range(ITERATIONS):
            values, size = self._improved(values, scale)
            self.surprise = self.surprise or size
            astray = (magnitude(values) or 0) > bound
            stalls += size > 0.3 * before
            if not np.isfinite(size) or size > 1e3 * before or astray or stalls > STALLS:
                break
            gain = min(1.0, size / before) if before < np.inf else 1.0
            if size * gain <= tolerance:
                return values
            if gain > STALE and (before < np.inf or size > 1e-6) and refreshes < REFRESHES:
                self.linear, refreshes = self._linearised(values, scale), refreshes + 1
            before = size
        raise StepError("the stage equations did not converge")

    def _expected(self, guess: arb_mat) -> int:
        """The exponent of the largest that is known, or that the field would lead to."""
        first = arb_mat([self.field.field(self.x[0], self.start.tolist()[0])]) * self.h
        known = [magnitude(matrix) for matrix in (guess, self.start, first.mid())]
        return max((e for e in known if e is not None), default=0)

    def _improved(self, values: arb_mat, scale: Measure) -> tuple[arb_mat, float]:
        """One Newton iteration and the size of the change."""
        rows = [self.field.field(x, y) for x, y in zip(self.x, values.tolist(), strict=True)]
        self.evaluations += len(rows)
        residual = self.table.D * (values - self.start).mid() - arb_mat(rows) * self.h
        inner = (residual.mid() * self.basis.inverse.transpose()).mid()
        power = magnitude(inner)
        if power is None:
            return values, 0.0
        change = -self._solved(doubles(inner, -power))
        outer = arb_mat(*change.shape, change.ravel().tolist()) * self.basis.columns.transpose()
        moved = (values + outer * arb(2) ** power).mid()
        return moved, scale.measure(change, outer, power, moved)

    def _solved(self, right: Array) -> Array:
        try:
            change = self.linear.solve(right)
        except np.linalg.LinAlgError as problem:
            raise StepError(str(problem)) from None
        if not np.isfinite(change).all():
            raise StepError("the linear system is singular")
        return change

    def _linearised(self, values: arb_mat, scale: Measure) -> StageSystem:
        """D ⊗ I − h J at the stage values."""
        rows = values.tolist()
        with flint.ctx.workprec(self.jacobian_bits):
            some = [
                self.basis.of(self.field.jacobian(self.x[k], rows[k]) * self.h)
                for k in self.nodes.picked
            ]
        jacobians = np.tensordot(self.nodes.spread, np.array(some), 1)
        if not np.isfinite(jacobians).all():
            raise StepError("the Jacobian is not finite")
        try:
            return StageSystem(self.nodes.D, jacobians, scale.directions)
        except np.linalg.LinAlgError:
            return StageSystem(self.nodes.D, jacobians)
