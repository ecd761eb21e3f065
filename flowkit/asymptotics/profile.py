"""Self-similar profiles: b_i = ‖v‖ β_i/t with β a critical point of F(β) − ½‖β‖² on Σ β_i = 0."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import flint
import numpy as np

from flowkit.asymptotics.energy import Energy
from flowkit.asymptotics.newton import (
    NEUTRAL,
    NoProfileError,
    critical_point,
    double,
    doubles,
    eigenvalues,
    to_number,
)
from flowkit.problems.exact import ball, bits, to_mpf
from flowkit.problems.problem import checked_digits, checked_matrix
from symbolic.activations import LeakyReLU, ReLU, parse_activation

Array = np.ndarray

LARGEST = 2000  # unknowns of a dense Newton matrix


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

    @property
    def stable(self) -> bool:
        """Whether every deviation decays: all λ > 1."""
        return all(x > 1 + NEUTRAL for x in self.eigenvalues)

    @property
    def slowest(self) -> float | None:
        """The smallest λ but for one of the time shift, 2; None if there is no other."""
        return min(self.others, default=None)

    @property
    def others(self) -> tuple[float, ...]:
        """The λ but for one of the time shift, 2."""
        if not self.eigenvalues:
            return ()
        shift = int(np.argmin(np.abs(np.array(self.eigenvalues) - 2)))
        return self.eigenvalues[:shift] + self.eigenvalues[shift + 1 :]

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
        Limits of w_i·v/‖v‖², positive, of sum 1 (to 1e-12; they are divided by their sum).
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
    if len(groups) * rows.shape[1] > LARGEST:
        raise ValueError(f"shape: n·D must be at most {LARGEST}, got {rows.size}")
    from symbolic.pairs import weights

    with flint.ctx.workprec(53 if digits is None else bits(digits)):
        convert = float if digits is None else ball
        kind = float if digits is None else object
        energy = Energy(
            np.array([convert(x) for x, _ in groups], kind), sizes, *weights(activation.alpha)
        )
        start = np.array([[convert(x) for x in row] for _, row in groups], kind)
        try:
            found = refined(energy, start, rows.shape[1], digits)
        except NoProfileError as problem:
            raise ValueError(f"shape: {problem}") from None
    return spread(found, members, digits)


def _checked_parts(h: Any, count: int) -> list[Fraction]:
    """Positive, of sum 1."""
    try:
        parts = list(checked_matrix([h], "h", exact=True)[0])
    except (TypeError, ValueError):
        raise ValueError("h: expected a list of finite real numbers") from None
    if len(parts) != count:
        raise ValueError(
            f"h: expected {count} numbers, one for each row of shape, got {len(parts)}"
        )
    total = sum(parts)
    if min(parts) <= 0 or abs(total - 1) > Fraction(1, 10**12):
        raise ValueError("h: expected positive numbers of sum 1")
    return [part / total for part in parts]


def spread(found: Profile, members: list[int], digits: int | None) -> Profile:
    """A row for every student, in the user's numbers."""
    convert = np.frompyfunc(float if digits is None else to_mpf, 1, 1)
    kind = float if digits is None else object
    return replace(
        found,
        h=convert(found.h[members]).astype(kind),
        beta=convert(found.beta[members]).astype(kind),
        constant=convert(found.constant),
        log_coefficient=convert(found.log_coefficient),
    )


def refined(energy: Energy, shape: Array, dims: int, digits: int | None) -> Profile:
    """Newton's method from a shape of any scale, N groups a row; numbers stay floats or arb.

    Raises
    ------
    NoProfileError
        See `critical_point`.
    """
    beta, step = critical_point(energy, shape, digits)
    value = energy.value(beta)
    rounding = 2.0**-50 if digits is None else 10.0 ** -min(digits + 3, 300)
    return Profile(
        h=energy.h,
        beta=beta,
        constant=value.mid() if energy.exact else float(value),
        error=3 * to_number(value) * (step + rounding),
        log_coefficient=-4 * energy.fourth(beta),
        eigenvalues=eigenvalues(double(energy), doubles(beta), dims),
    )
