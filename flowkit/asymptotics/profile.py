"""Self-similar profiles: b_i = ‖v‖ β_i/t with β a critical point of F(β) − ½‖β‖² on Σ β_i = 0.

Newton's method with its linear algebra in doubles.  At more digits only the residual is evaluated in
balls, and each iteration gains about as many digits as doubles hold.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from itertools import combinations
from typing import Any

import flint
import mpmath
import numpy as np
from flint import arb

from flowkit.asymptotics.energy import Energy
from flowkit.problems.exact import ball, bits, to_float, to_mpf
from flowkit.problems.problem import checked_digits, checked_matrix
from symbolic.activations import LeakyReLU, ReLU, parse_activation

Array = np.ndarray

LARGEST = 3000  # unknowns of a dense Newton matrix
ITERATIONS = 100
LONGEST = 0.3  # step, of the size of the profile
FROZEN = 1e-7  # steps below it leave the Newton matrix as it is
SETTLED = 1e-13  # of the profile: a step that doubles cannot better
FLAT = 1e-7  # singular values of a profile's span, relative
NEUTRAL = 1e-9  # λ − 1 that is not told from 0


class NoProfile(ArithmeticError):
    """Newton's method found no critical point but β = 0."""


@dataclass(frozen=True)
class Profile:
    """A self-similar solution of the reduced flow, ‖v‖ = 1.

    Attributes
    ----------
    h : (n,)
        Parts of the students along v.
    beta : (n, D)
        b_i(t) = β_i/t across v; floats, or mpmath numbers if a precision was asked for.
    constant : float or mpmath.mpf
        F(β) = lim t³L, in units of ‖v‖².
    error : float
        Of the constant, from the last Newton step.
    log_coefficient : float or mpmath.mpf
        −4 F₄(β): t³L = F(β) + log_coefficient ln t/t + …
    eigenvalues : tuple of float
        λ of D²F on Σ β_i = 0, without those of rotations about v (which are 1), increasing.  One is
        2, a shift of time.  A deviation of the shape decays as t^−(λ−1).
    """

    h: Array
    beta: Array
    constant: Any
    error: float
    log_coefficient: Any
    eigenvalues: tuple[float, ...]
    energy: Energy = field(repr=False, compare=False)

    @property
    def stable(self) -> bool:
        """Whether every deviation decays: all λ > 1."""
        return all(x > 1 + NEUTRAL for x in self.eigenvalues)

    @property
    def slowest(self) -> float | None:
        """The smallest λ but for one of the time shift, 2; None if there is no other."""
        shift = int(np.argmin(np.abs(np.array(self.eigenvalues) - 2)))
        others = [x for i, x in enumerate(self.eigenvalues) if i != shift]
        return min(others, default=None)

    def __repr__(self) -> str:
        kind = "stable" if self.stable else "unstable"
        shown = ", ".join(f"{x:.6g}" for x in self.eigenvalues)
        return f"<Profile n={len(self.h)} constant={float(self.constant):.15g} {kind} λ = {shown}>"


def self_similar_profile(
    h: Any, shape: Any, *, activation: Any = "relu", precision: int | None = None
) -> Profile:
    """The self-similar profile near a shape: w_i = h_i v + ‖v‖ β_i/t, t³L → ‖v‖² F(β).

    Parameters
    ----------
    h : (n,) array_like
        Limits of w_i·v/‖v‖², positive, of sum 1.
    shape : (n, D) array_like
        Where to start: parts of the students across v, of any common scale, in the D dimensions
        across v in which the flow can move; `eigenvalues` are those in these dimensions.  Equal
        rows with equal h stay equal.
    activation : "relu", "leaky:ALPHA", `ReLU` or `LeakyReLU`
    precision : int, optional
        Decimal digits; doubles without it.

    Returns
    -------
    Profile
        Often a saddle if the shape is a rough guess: look at `stable`.

    Raises
    ------
    ValueError
        h or shape is not what is described above, or no profile is near.
    """
    digits = checked_digits(precision)
    if isinstance(activation, str):
        activation = parse_activation(activation)
    if not isinstance(activation, ReLU | LeakyReLU):
        raise ValueError(f"activation: expected a ReLU or LeakyReLU, got {activation!r}")
    rows = checked_matrix(shape, "shape", exact=True)
    parts = _checked_parts(h, len(rows))
    students = list(zip(parts, map(tuple, rows.tolist()), strict=True))
    groups = list(dict.fromkeys(students))
    members = [groups.index(x) for x in students]
    sizes = np.array([members.count(g) for g in range(len(groups))])
    if len(groups) < 2:
        raise ValueError("shape: at least two students must differ")
    if rows[:, 0].size and len(groups) * rows.shape[1] > LARGEST:
        raise ValueError(f"shape: n·D must be at most {LARGEST}, got {rows.size}")
    from symbolic.teacher_student import weights

    with flint.ctx.workprec(53 if digits is None else bits(digits)):
        convert = float if digits is None else ball
        kind = float if digits is None else object
        energy = Energy(
            np.array([convert(x) for x, _ in groups], kind), sizes, *weights(activation.alpha)
        )
        start = np.array([[convert(x) for x in row] for _, row in groups], kind)
        try:
            found = refined(energy, start, rows.shape[1], digits)
        except NoProfile as problem:
            raise ValueError(f"shape: {problem}") from None
    return spread(found, members, digits)


def _checked_parts(h: Any, count: int) -> list[Fraction]:
    """Positive, of sum 1."""
    try:
        parts = list(checked_matrix([h], "h", exact=True)[0])
    except (TypeError, ValueError):
        raise ValueError("h: expected a list of finite real numbers") from None
    if len(parts) != count:
        raise ValueError(f"h: expected {count} numbers, one for each row of shape, got {len(parts)}")
    if min(parts) <= 0 or abs(sum(parts) - 1) > Fraction(1, 10**9):
        raise ValueError("h: expected positive numbers of sum 1")
    return parts


def spread(found: Profile, members: list[int], digits: int | None) -> Profile:
    """A row for every student, in the user's numbers."""
    convert = np.frompyfunc(to_mpf, 1, 1)
    numbers: dict[str, Any] = {
        "h": found.h[members],
        "beta": found.beta[members],
        "constant": found.constant,
        "log_coefficient": found.log_coefficient,
    }
    if digits is not None:
        numbers = {name: convert(x) for name, x in numbers.items()}
    rest = (found.error, found.eigenvalues, found.energy)
    return Profile(
        numbers["h"], numbers["beta"], numbers["constant"], rest[0], numbers["log_coefficient"],
        *rest[1:],
    )  # fmt: skip


def refined(energy: Energy, shape: Array, dims: int, digits: int | None) -> Profile:
    """Newton's method from a shape of any scale, N groups a row; numbers stay floats or arb.

    Raises
    ------
    NoProfile
        It does not settle, or it settles at β = 0.
    """
    beta = scaled(energy, centred(energy, shape))
    beta, step = _newton(energy, beta, digits)
    value = energy.value(beta)
    plain = double(energy)
    return Profile(
        h=energy.h,
        beta=beta,
        constant=value.mid() if energy.exact else float(value),
        error=3 * to_number(value) * (step + 2.0 ** -(flint.ctx.prec if energy.exact else 50)),
        log_coefficient=-4 * energy.fourth(beta),
        eigenvalues=eigenvalues(plain, doubles(beta), dims),
        energy=energy,
    )


def centred(energy: Energy, beta: Array) -> Array:
    """Less the mean over all students."""
    mean = (energy.sizes[:, None] * beta).sum(axis=0) / energy.count
    return np.asarray(beta - mean)


def scaled(energy: Energy, beta: Array) -> Array:
    """The multiple that is critical along itself: F(β) = ‖β‖²/3."""
    form = energy.value(beta)
    square = (energy.sizes[:, None] * beta * beta).sum()
    if not form > 0 or not square > 0:
        raise NoProfile("F is not positive there, no profile is near")
    return np.asarray(beta * (square / (3 * form)))


def _newton(energy: Energy, beta: Array, digits: int | None) -> tuple[Array, float]:
    """The critical point and the size of the last step, relative."""
    plain, inverse, length = double(energy), None, np.inf
    goal = SETTLED if digits is None else 10.0 ** -min(digits + 5, 300)
    for _ in range(ITERATIONS):
        residual = centred(energy, energy.gradient(beta)) - beta
        size = norm(plain, doubles(beta))
        if inverse is None or length > FROZEN:
            inverse = _inverse(plain, doubles(beta))
        # Scaled, a residual of hundreds of digits is still a double.
        unit = max(map(abs, residual.ravel()))
        if not unit > 0:
            return beta, 0.0
        step = _solve(plain, inverse, doubles(residual / unit))
        before, length = length, norm(plain, step) * to_number(unit) / size
        if not np.isfinite(length):
            break
        shorter = min(1.0, LONGEST / length) if length > 0 else 1.0
        beta = _moved(beta, step * shorter, unit)
        if length <= goal or (before <= 100 * SETTLED and length > before / 2 and digits is None):
            if norm(plain, doubles(beta)) < FROZEN:
                break
            return beta, length
    raise NoProfile("Newton's method does not settle at a profile")


def _moved(beta: Array, step: Array, unit: Any) -> Array:
    if beta.dtype != object:
        return np.asarray(beta + step * unit)
    moved = [x + arb(y) * unit for x, y in zip(beta.ravel(), step.ravel().tolist(), strict=True)]
    return np.array([x.mid() for x in moved], object).reshape(beta.shape)


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


def worst(*errors: Any) -> float:
    """A sum of errors, infinite if one is unknown."""
    total = mpmath.fsum(errors)
    return float(total) if mpmath.isfinite(total) else float("inf")
