"""Phase retrieval: exponential for one direction of students, t⁻² for more.

Rates, constants and corrections are the last lines of the derivations quadratic-single,
quadratic-rate and quadratic-corrections.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
from flint import arb, fmpq, fmpq_mat

from flowkit.asymptotics.derived import exponent, rational
from flowkit.asymptotics.result import Asymptotics, Term, simple
from flowkit.problems.exact import ball

Array = np.ndarray

DEGREE = 4  # of the reduced loss in the students (quadratic-rate)


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
        return _power_law(rank, int(np.linalg.matrix_rank(w0.astype(float))), square, scale)
    along = inner @ inner / square
    return _one_direction(np.sum(w0 * w0) / along - 1, along, square, scale)


def _one_direction(
    tangent: Fraction, along: Fraction, square: Fraction, scale: Fraction
) -> tuple[Asymptotics, arb]:
    """tan² ∠(w(0), v) and Σ (w_k(0)·v̄)² of parallel students."""
    from symbolic import quadratic_single as source
    from symbolic.quadratic_loss import S
    from symbolic.quadratic_scale import C

    values = {S: square, C: scale, source.START: 1 / (scale * along)}
    if tangent:
        values[source.KAPPA**2] = tangent
        forms, factor = (source.RATE, source.CONSTANT, source.LATER), Fraction(3, 2)
        reason = "one direction of students, which turns to the teacher's"
    else:
        forms = (source.PARALLEL_RATE, source.PARALLEL_CONSTANT, source.PARALLEL_LATER)
        factor, reason = Fraction(1, 2), "students along the teacher"
    rate, constant, later = (rational(form, values) for form in forms)
    shown = Asymptotics(
        kind="exponential",
        rate=simple(rate),
        corrections=(Term(rate=simple(factor * rate), coefficient=float(later)),),
        reason=reason,
    )
    return shown, ball(constant)


def _power_law(rank: int, width: int, square: Fraction, scale: Fraction) -> tuple[Asymptotics, arb]:
    """The students span `rank` dimensions, to the rounding of doubles `width`."""
    from symbolic import quadratic_corrections as source
    from symbolic.quadratic_hessian import quadratic_hessian
    from symbolic.quadratic_loss import S
    from symbolic.quadratic_rate import RATE_CONSTANT, M
    from symbolic.quadratic_scale import C

    values = {M: Fraction(rank - 1), S: square, C: scale}
    constant = rational(RATE_CONSTANT, values)
    uneven = -rational(source.EXPONENT, values)
    # Where both powers are −1 the squares add to the logarithm.
    relative = None if uneven == -1 else rational(source.LOG_COEFFICIENT, values)
    logarithm = None if relative is None else float(constant * relative)
    terms = [Term(power=-1, log_power=1, coefficient=logarithm), Term(power=-1)]
    if rank > 2 and uneven != -1:
        terms.append(Term(power=simple(uneven)))
    reason = f"students span {rank} dimensions: their excess over the teacher falls like 1/t"
    if width < rank:
        reason += f"; to rounding they span {width} only, and this law sets in late"
    shown = Asymptotics(
        kind="power law",
        exponent=exponent(DEGREE),
        corrections=tuple(sorted(terms, key=lambda term: -term.power)),
        fast_rate=simple(scale * rational(quadratic_hessian().result[1], {S: square})),
        reason=reason,
    )
    return shown, ball(constant)


def _rank(w: Array) -> int:
    rows = [[fmpq(x.numerator, x.denominator) for x in row] for row in w.tolist()]
    return int(fmpq_mat(rows).rank())
