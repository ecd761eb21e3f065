"""Critical points of F(β) − ½‖β‖² on Σ β_i = 0, by Newton's method.

Its linear algebra is in doubles.  At more digits only the residual is evaluated in balls, and each
iteration gains about as many digits as doubles hold.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
from flint import arb

from flowkit.asymptotics.energy import Energy
from flowkit.problems.exact import to_float

Array = np.ndarray

ITERATIONS = 100
LONGEST = 0.3  # step, of the size of the profile
FROZEN = 1e-6  # steps below it leave the Newton matrix as it is
NEXT = 0.3  # from the start, of its size: a critical point that near is taken, stable or not
STEEP = 0.05  # |λ − 1| of a step downhill, at least
CLOSE = 1e-3  # to a minimum, relative; Newton's method does the rest
SETTLED = 1e-13  # of the profile: a step that doubles cannot better
FLAT = 1e-7  # singular values of a profile's span, relative
NEUTRAL = 1e-9  # λ − 1 that is not told from 0


class NoProfileError(ArithmeticError):
    """No critical point but β = 0 was found."""


def critical_point(energy: Energy, shape: Array, digits: int | None) -> tuple[Array, float]:
    """β (N, D) and the size of the last Newton step, relative; from a shape of any scale.

    Next to the shape if there is a critical point, else the minimum below it.

    Raises
    ------
    NoProfileError
        F is not positive at the shape, or Newton's method does not settle.
    """
    start = scaled(energy, centred(energy, shape))
    near, step = _critical(double(energy), doubles(start))
    if digits is None:
        return near, step
    return _newton(energy, _middles(centred(energy, _balls(near))), near, digits)


def centred(energy: Energy, beta: Array) -> Array:
    """Less the mean over all students."""
    mean = (energy.sizes[:, None] * beta).sum(axis=0) / energy.count
    return np.asarray(beta - mean)


def scaled(energy: Energy, beta: Array) -> Array:
    """The multiple that is critical along itself: F(β) = ‖β‖²/3."""
    return np.asarray(beta * stretch(energy, beta))


def stretch(energy: Energy, beta: Array) -> Any:
    """By what β is to be multiplied for that; t + t₀ if β is b(t), as b = β/(t + t₀)."""
    form = energy.value(beta)
    square = (energy.sizes[:, None] * beta * beta).sum()
    if not form > 0 or not square > 0:
        raise NoProfileError("F is not positive there, no profile is near")
    return square / (3 * form)


def _critical(energy: Energy, start: Array) -> tuple[Array, float]:
    """In doubles.

    β = 0 is a maximum of F − ½‖β‖², stable profiles are its minima, others its saddles.
    """
    try:
        found = _newton(energy, start, start, None)
        if norm(energy, found[0] - start) <= NEXT * norm(energy, start):
            return found
    except NoProfileError:
        pass
    below = _descended(energy, start)
    return _newton(energy, below, below, None)


def _descended(energy: Energy, beta: Array) -> Array:
    """Near a minimum of F − ½‖β‖²: Newton steps with |λ − 1|, shortened until it falls."""
    level = _level(energy, beta)
    for _ in range(ITERATIONS):
        directions, values = _inverse(energy, beta)
        residual = centred(energy, energy.gradient(beta)) - beta
        step = _solve(energy, (directions, np.maximum(np.abs(values), STEEP)), residual)
        length = norm(energy, step) / norm(energy, beta)
        step *= min(1.0, LONGEST / max(length, LONGEST))
        while _level(energy, beta + step) >= level and length > SETTLED:
            step, length = step / 2, length / 2
        beta = beta + step
        level = _level(energy, beta)
        if length < CLOSE:
            break
    return beta


def _level(energy: Energy, beta: Array) -> float:
    return float(energy.value(beta)) - norm(energy, beta) ** 2 / 2


def _newton(energy: Energy, beta: Array, near: Array, digits: int | None) -> tuple[Array, float]:
    """The critical point and the size of the last step, relative; `near` it is in doubles."""
    plain, length = double(energy), energy.number(np.inf)
    goal = SETTLED if digits is None else arb(10) ** -(digits + 5)
    inverse = _inverse(plain, near)
    for _ in range(ITERATIONS):
        residual = centred(energy, energy.gradient(beta)) - beta
        # Scaled, a residual of hundreds of digits is still a double.
        unit = max(map(abs, residual.ravel()))
        if not unit > 0:
            return beta, 0.0
        step = _solve(plain, inverse, doubles(residual / unit))
        size = norm(plain, doubles(beta))
        before, length = length, unit * norm(plain, step) / size
        shorter = min(1.0, LONGEST / max(to_number(length), LONGEST))
        beta = _moved(energy, beta, step * shorter, unit)
        if not norm(plain, doubles(beta)) >= CLOSE * norm(plain, near):
            break
        if length <= goal or (before < FROZEN and length > before / 2):
            return beta, to_number(length)
        if length > FROZEN:
            inverse = _inverse(plain, doubles(beta))
    raise NoProfileError("Newton's method does not settle at a profile")


def _moved(energy: Energy, beta: Array, step: Array, unit: Any) -> Array:
    """β + step · unit; the mean of the step, which is rounding, is not kept."""
    if not energy.exact:
        return centred(energy, beta + step * unit)
    return _middles(centred(energy, beta + _balls(step) * unit))


def _balls(x: Array) -> Array:
    return np.array([arb(value) for value in x.ravel().tolist()], object).reshape(x.shape)


def _middles(x: Array) -> Array:
    return np.array([value.mid() for value in x.ravel()], object).reshape(x.shape)


def _inverse(energy: Energy, beta: Array) -> tuple[Array, Array]:
    """Directions off the rotations, and λ − 1 in them: ½ D²(‖β‖² − 2F) is diagonal there."""
    free = _free(energy, beta)
    values, vectors = np.linalg.eigh(free.T @ energy.hessian(beta) @ free)
    return free @ vectors, values - 1


def _solve(energy: Energy, inverse: tuple[Array, Array], residual: Array) -> Array:
    """The step β with (D²F − 1) β = −residual, none along rotations."""
    directions, values = inverse
    root = np.sqrt(energy.sizes.astype(float))[:, None]
    parts = directions.T @ (root * residual).ravel()
    safe = np.where(np.abs(values) > NEUTRAL, values, np.inf)
    return np.asarray((directions @ (-parts / safe)).reshape(residual.shape) / root)


def _free(energy: Energy, beta: Array) -> Array:
    """Orthonormal columns: √m β of sum zero, orthogonal to all rotations of β."""
    n, dim = beta.shape
    root = np.sqrt(energy.sizes.astype(float))
    fixed = [np.kron(root / np.linalg.norm(root), row) for row in np.eye(dim)]
    turned = []
    for p, q in combinations(range(dim), 2):
        tangent = np.zeros((n, dim))
        tangent[:, p], tangent[:, q] = -beta[:, q], beta[:, p]
        turned.append((root[:, None] * tangent).ravel())
    if turned:
        _, sizes, rows = np.linalg.svd(np.array(turned), full_matrices=False)
        fixed += list(rows[sizes > FLAT * norm(energy, beta)])
    basis = np.linalg.qr(np.array(fixed).T, mode="complete")[0]
    return np.asarray(basis[:, len(fixed) :])


def eigenvalues(energy: Energy, beta: Array, dims: int) -> tuple[float, ...]:
    """λ of D²F at a profile in so many dimensions across v, without rotations; in doubles."""
    _, sizes, rows = np.linalg.svd(beta, full_matrices=False)
    rank = int((sizes > FLAT * sizes[0]).sum())
    flat = beta @ rows[:rank].T
    if dims > rank:  # all further dimensions are alike
        flat = np.column_stack([flat, np.zeros(len(flat))])
    free = _free(energy, flat)
    return tuple(np.linalg.eigvalsh(free.T @ energy.hessian(flat) @ free).tolist())


def norm(energy: Energy, beta: Array) -> float:
    """‖β‖, every student counted; in doubles."""
    return float(np.sqrt((energy.sizes[:, None] * beta * beta).sum()))


def double(energy: Energy) -> Energy:
    """The same in doubles."""
    return Energy(doubles(energy.h), energy.sizes, energy.mean, energy.kink_weight)


def doubles(x: Array) -> Array:
    """An array of floats."""
    if x.dtype != object:
        return x
    return np.array([to_float(value) for value in x.ravel()]).reshape(x.shape)


def to_number(x: Any) -> float:
    """A float of a float or a ball."""
    return to_float(x) if isinstance(x, arb) else float(x)
