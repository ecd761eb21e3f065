"""What weights at the start tell of one teacher: exact solutions, symmetry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
from flint import arb

from flowkit.asymptotics.closed_forms import Exponentials, equal_students, parallel_students
from flowkit.asymptotics.derived import balls, relu_exponent, residual_rate
from flowkit.asymptotics.result import Asymptotics, Term, simple
from flowkit.problems.exact import ball, to_float, to_mpf
from flowkit.problems.numbers import parallel as on_one_line
from flowkit.problems.teacher_student import TeacherStudent

Array = np.ndarray

MIRRORED = "mirror images about the teacher, which they stay: each learns half of it"


def parallel(problem: TeacherStudent, rows: Array, digits: int | None) -> Asymptotics:
    """Students (Fractions) taken as parallel to the teacher."""
    v = problem.exact_teacher[0]
    square = v @ v
    parts = [row @ v / square for row in rows]
    found = parallel_students(parts, square, problem.weights[0])
    facing = sum(x > 0 for x in parts)
    if isinstance(found, str):
        alike = problem.one_sided and len(set(parts)) == 1
        kind = "no decay" if alike and not facing else "undecided"
        return Asymptotics(kind=kind, reason=f"students parallel to the teacher: {found}")
    reason = f"students parallel to the teacher, {facing} of them facing it: the flow is linear"
    return _exponential(problem, found, facing, reason, digits)


def equal(problem: TeacherStudent, w: Array, count: int, digits: int | None) -> Asymptotics:
    """`count` students equal to w (Fractions), not parallel to the teacher."""
    found = equal_students(w, problem.exact_teacher[0], count, *problem.weights)
    reason = "one student" if count == 1 else f"{count} equal students, which follow one"
    return _exponential(problem, found, count, f"{reason}: an exact solution", digits)


def _exponential(
    problem: TeacherStudent, found: Exponentials, count: int, reason: str, digits: int | None
) -> Asymptotics:
    convert: Callable[[arb], Any] = to_float if digits is None else to_mpf
    terms = zip(found.rates[1:], found.coefficients[1:], strict=True)
    shown = Asymptotics(
        kind="exponential",
        rate=simple(found.rates[0]),
        corrections=tuple(
            Term(rate=simple(rate - found.rates[0]), coefficient=convert(x)) for rate, x in terms
        ),
        fast_rate=simple(residual_rate(count, problem.weights[0])),
        reason=reason,
    )
    return with_constant(shown, found.coefficients[0], digits)


def different(problem: TeacherStudent, rows: Array, digits: int | None) -> Asymptotics:
    """Students (Fractions) of different directions: the exponent, the constant of mirror images."""
    shown = Asymptotics(
        kind="power law",
        exponent=relu_exponent(),
        fast_rate=simple(residual_rate(len(rows), problem.weights[0])),
        reason=(
            "students of different directions: t⁻³ unless all but one reach zero; the constant "
            "depends on the whole flow: ask with a flow"
        ),
    )
    constant = mirrored_constant(problem, rows)
    if constant is None:
        return shown
    shown = replace(shown, corrections=(Term(power=-1),), eigenvalues=(2.0,), stable=True)
    return with_constant(replace(shown, reason=MIRRORED), constant, digits)


def mirrored_constant(problem: TeacherStudent, rows: Array) -> arb | None:
    """lim t³L of m equal students and m mirror images of them about v; None for others."""
    v = problem.exact_teacher[0]
    distinct = [np.array(x) for x in dict.fromkeys(map(tuple, rows.tolist()))]
    if len(distinct) != 2:
        return None
    count, other = (sum((row == x).all() for row in rows) for x in distinct)
    total, gap = distinct[0] + distinct[1], distinct[0] - distinct[1]
    if count != other or gap @ v or not on_one_line(total, v):
        return None
    from symbolic.long_time import two_neurons
    from symbolic.slow_manifold import H1, H2
    from symbolic.toy_cases import KAPPA, V

    half, square = Fraction(1, 2), ball(Fraction(v @ v))
    values = {H1: half, H2: half, KAPPA: Fraction(problem.weights[1]), V: square.sqrt()}
    (constant,) = balls([two_neurons().result], values)
    return constant / int(count) ** 3


def with_constant(shown: Asymptotics, constant: arb | None, digits: int | None) -> Asymptotics:
    """In the user's numbers, with the rounding as error."""
    if constant is None:
        return shown
    if digits is not None:
        return replace(shown, constant=to_mpf(constant), error=to_float(constant.rad()))
    value = to_float(constant)
    return replace(shown, constant=value, error=abs(value) * 2.0**-53 + to_float(constant.rad()))
