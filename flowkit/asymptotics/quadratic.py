"""Phase retrieval: exponential for one direction of students, t⁻² for more.

With W = (a, B) along and across v̄, ρ = C‖a‖² − ‖v‖² and Q = C BᵀB, where aᵀB = 0 (it attracts):

    ρ̇ = −2C (ρ + ‖v‖²)(3ρ + tr Q),    Q̇ = −2C (2Q² + (ρ + tr Q) Q).

ρ is fast: ρ = −tr Q/3 + (d/dt tr Q)/(18 C ‖v‖²) + …  So Q = x I on m dimensions obeys
ẋ = −k x² + (m k/9‖v‖²) x³, k = 4C (m + 3)/3, and F = m (m + 3) x²/6: a logarithm in the next order.
The traceless part of Q falls by t^−3/(m+3) relative to x, and counts by its square.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
from flint import arb, fmpq, fmpq_mat

from flowkit.asymptotics.result import Asymptotics, Term, simple
from flowkit.problems.exact import ball

Array = np.ndarray


def power_constant(rank: int, scale: Fraction) -> Fraction:
    """lim t²F for rank(W(0)) = m + 1 ≥ 2, with output scale C: 3m/(32 C² (m + 3))."""
    m = rank - 1
    return Fraction(3 * m, 32 * (m + 3)) / scale**2


def log_coefficient(rank: int, square: Fraction, scale: Fraction) -> Fraction:
    """Of ln t/t in t²F: the constant times m/(6 C ‖v‖² (m + 3)); `square` is ‖v‖²."""
    m = rank - 1
    return power_constant(rank, scale) * m / (6 * scale * square * (m + 3))


def uneven_power(rank: int) -> Fraction:
    """Of t, by which the squared differences between the eigenvalues of Q fall: −6/(m + 3)."""
    return Fraction(-6, rank + 2)


def across_rate(square: Fraction, scale: Fraction) -> Fraction:
    """Rate of F while w turns towards v: 4C‖v‖²."""
    return 4 * scale * square


def along_rate(square: Fraction, scale: Fraction) -> Fraction:
    """Rate of F for students along v: 12C‖v‖²."""
    return 12 * scale * square


def across_constants(
    tangent: Fraction, along: Fraction, square: Fraction, scale: Fraction
) -> tuple[Fraction, Fraction]:
    """F = c e^(−rate t) + c′ e^(−5/2 rate t) + …: c = ‖v‖⁴ T, c′ = 2‖v‖⁴ T (‖v‖²/(C a²) − 1 − 3T).

    T = tan² ∠(w(0), v) is `tangent`, a² = Σ (w(0)·v̄)² is `along`.  With τ² = T e^(−rate t) and
    1/a(t)² = (C/‖v‖²)(1 + 3τ² + δ), δ ~ e^(−3/2 rate t), what is of order τ⁴ cancels.
    """
    constant = square**2 * tangent
    return constant, 2 * constant * (square / (scale * along) - 1 - 3 * tangent)


def along_constants(
    along: Fraction, square: Fraction, scale: Fraction
) -> tuple[Fraction, Fraction]:
    """F = c e^(−rate t) + c′ e^(−3/2 rate t) + … for students along v; `along` is Σ (w(0)·v̄)²."""
    excess = square / (scale * along) - 1
    return Fraction(3, 4) * square**2 * excess**2, Fraction(-3, 2) * square**2 * excess**3


def predicted(problem: Any, w0: Array) -> tuple[Asymptotics, arb | None]:
    """The prediction without its constant, and the constant; from exact weights (n, d).

    Raises
    ------
    ValueError
        The empirical loss.
    """
    if problem.samples is not None:
        raise ValueError("samples: asymptotics are known of the population loss only")
    v, scale = problem.exact_teacher[0], Fraction(problem.output_scale)
    square, inner = v @ v, w0 @ v
    if not any(inner):
        reason = "every student is orthogonal to the teacher, and stays so"
        return Asymptotics(kind="no decay", reason=reason), None
    rank = _rank(w0)
    if rank > 1:
        return _power_law(rank, square, scale), ball(power_constant(rank, scale))
    along = inner @ inner / square
    tangent = np.sum(w0 * w0) / along - 1
    if tangent:
        rate, factor = across_rate(square, scale), Fraction(3, 2)
        constant, later = across_constants(tangent, along, square, scale)
        reason = "one direction of students, which turns to the teacher's"
    else:
        rate, factor = along_rate(square, scale), Fraction(1, 2)
        constant, later = along_constants(along, square, scale)
        reason = "students along the teacher"
    shown = Asymptotics(
        kind="exponential",
        rate=simple(rate),
        corrections=(Term(rate=simple(factor * rate), coefficient=float(later)),),
        reason=reason,
    )
    return shown, ball(constant)


def _power_law(rank: int, square: Fraction, scale: Fraction) -> Asymptotics:
    uneven = uneven_power(rank)
    # Where both powers are −1 the squares add to the logarithm.
    logarithm = None if uneven == -1 else float(log_coefficient(rank, square, scale))
    terms = [Term(power=-1, log_power=1, coefficient=logarithm), Term(power=-1)]
    if rank > 2 and uneven != -1:
        terms.append(Term(power=simple(uneven)))
    return Asymptotics(
        kind="power law",
        exponent=-2,
        corrections=tuple(sorted(terms, key=lambda term: -term.power)),
        fast_rate=simple(2 * scale * square),
        reason=f"students span {rank} dimensions: their excess over the teacher falls like 1/t",
    )


def _rank(w: Array) -> int:
    rows = [[fmpq(x.numerator, x.denominator) for x in row] for row in w.tolist()]
    return int(fmpq_mat(rows).rank())
