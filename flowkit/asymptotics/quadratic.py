"""Phase retrieval: exponential for one direction of students, t⁻² for more."""

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


def across_rate(square: Fraction, scale: Fraction) -> Fraction:
    """Rate of F while w turns towards v: 4C‖v‖²; `square` is ‖v‖²."""
    return 4 * scale * square


def along_rate(square: Fraction, scale: Fraction) -> Fraction:
    """Rate of F for students along v: 12C‖v‖²."""
    return 12 * scale * square


def across_constant(tangent: Fraction, square: Fraction) -> Fraction:
    """lim e^(rate t) F = ‖v‖⁴ tan²∠(w(0), v); `tangent` is that square."""
    return square**2 * tangent


def along_constant(along: Fraction, square: Fraction, scale: Fraction) -> Fraction:
    """The same for students along v: ¾ ‖v‖⁴ (‖v‖²/(C a²) − 1)², `along` is a² = Σ (w(0)·v̄)²."""
    return Fraction(3, 4) * square**2 * (square / (scale * along) - 1) ** 2


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
    fast = simple(2 * scale * square)
    if not any(inner):
        reason = "every student is orthogonal to the teacher, and stays so"
        return Asymptotics(kind="no decay", reason=reason), None
    rank = _rank(w0)
    if rank > 1:
        shown = Asymptotics(
            kind="power law",
            exponent=-2,
            corrections=(Term(power=-1),),
            fast_rate=fast,
            reason=f"students span {rank} dimensions: their excess over the teacher falls like 1/t",
        )
        return shown, ball(power_constant(rank, scale))
    along = inner @ inner / square
    tangent = np.sum(w0 * w0) / along - 1
    if tangent:
        rate, constant = across_rate(square, scale), across_constant(tangent, square)
        reason = "one direction of students, which turns to the teacher's"
    else:
        rate, constant = along_rate(square, scale), along_constant(along, square, scale)
        reason = "students along the teacher"
    corrections = (Term(rate=simple(rate if tangent else rate / 2)),)
    shown = Asymptotics(
        kind="exponential",
        rate=simple(rate),
        corrections=corrections,
        fast_rate=simple(6 * scale * square),
        reason=reason,
    )
    return shown, ball(constant)


def _rank(w: Array) -> int:
    rows = [[fmpq(x.numerator, x.denominator) for x in row] for row in w.tolist()]
    return int(fmpq_mat(rows).rank())
