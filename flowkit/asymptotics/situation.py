"""Which situation a flow, or its weights at the start, is in, and what the theory says of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from math import ceil, exp
from typing import Any

import flint
import numpy as np
from flint import arb

from flowkit.asymptotics import quadratic
from flowkit.asymptotics.closed_forms import Exponentials, equal_students, parallel_students
from flowkit.asymptotics.ends import End, FarError, end, last_time
from flowkit.asymptotics.power_law import EXPONENT, power_law
from flowkit.asymptotics.rates import slowest_rate
from flowkit.asymptotics.result import Asymptotics, Term, simple
from flowkit.flows.event import Event
from flowkit.flows.flow import Flow
from flowkit.multiprecision.flow import PreciseFlow
from flowkit.problems.exact import ball, bits, to_float, to_mpf
from flowkit.problems.phase_retrieval import PhaseRetrieval
from flowkit.problems.problem import Problem
from flowkit.problems.teacher_student import TeacherStudent

Array = np.ndarray
Run = Flow | PreciseFlow

DOUBLE = 30  # digits in which closed forms are evaluated if doubles are wanted


def asymptotics(problem: Problem, flow_or_w: Any) -> Asymptotics:
    """See `Problem.asymptotics`."""
    flow = flow_or_w if isinstance(flow_or_w, Flow | PreciseFlow) else None
    if flow is not None and repr(flow.problem) != repr(problem):
        raise ValueError("flow_or_w: a flow of another problem")
    digits = None if flow is None or isinstance(flow, Flow) else ceil(flow.digits_asked)
    given = flow_or_w if flow is None else flow.w0
    w0 = problem.students(given, "flow_or_w", exact=True)
    if isinstance(problem, PhaseRetrieval):
        with flint.ctx.workprec(bits(digits or DOUBLE)):
            return _with_constant(*quadratic.predicted(problem, w0), digits)
    if not isinstance(problem, TeacherStudent):
        raise ValueError(f"problem: no asymptotics are known of a {type(problem).__name__}")
    if len(problem.teacher) == 1:
        return _one_teacher(problem, w0, flow, digits)
    if flow is None:
        raise ValueError("flow_or_w: several teachers need a flow that has come near a minimum")
    return _from_end(problem, flow, digits)


def _with_constant(shown: Asymptotics, constant: arb | None, digits: int | None) -> Asymptotics:
    """In the user's numbers, with the rounding as error."""
    if constant is None:
        return shown
    if digits is not None:
        return replace(shown, constant=to_mpf(constant), error=to_float(constant.rad()))
    value = to_float(constant)
    return replace(shown, constant=value, error=abs(value) * 2.0**-53 + to_float(constant.rad()))


# ---- one teacher ---------------------------------------------------------------------------------


def _one_teacher(
    problem: TeacherStudent, w0: Array, flow: Run | None, digits: int | None
) -> Asymptotics:
    """Exact solutions are recognised from the start, anything else from the end."""
    v = problem.exact_teacher[0]
    living = [i for i, row in enumerate(w0) if any(row)]
    if not living:
        raise ValueError("flow_or_w: every student is zero")
    rows = w0[living]
    square = v @ v
    parts = [row @ v / square for row in rows]
    with flint.ctx.workprec(bits(digits or DOUBLE)):
        if all((row == part * v).all() for row, part in zip(rows, parts, strict=True)):
            if isinstance(flow, Flow) and _turns(flow):
                return _after_deaths(problem, flow, parallel=True)
            return _parallel(problem, parts, square, digits)
        if (rows == rows[0]).all():
            return _equal(problem, rows[0], len(rows), digits)
        if flow is None:
            return _different(problem, rows, digits)
    return _from_end(problem, flow, digits)


def _parallel(
    problem: TeacherStudent, parts: list[Fraction], square: Fraction, digits: int | None
) -> Asymptotics:
    found = parallel_students(parts, square, problem.weights[0])
    facing = sum(x > 0 for x in parts)
    if isinstance(found, str):
        kind = "undecided" if facing or problem.activation.alpha else "no decay"
        return Asymptotics(kind=kind, reason=f"students parallel to the teacher: {found}")
    reason = f"students parallel to the teacher, {facing} of them facing it: the flow is linear"
    return _exponential(problem, found, facing, reason, digits)


def _equal(problem: TeacherStudent, w: Array, count: int, digits: int | None) -> Asymptotics:
    found = equal_students(w, problem.exact_teacher[0], count, *problem.weights)
    reason = "one student" if count == 1 else f"{count} equal students, which follow one"
    return _exponential(problem, found, count, f"{reason}: an exact solution", digits)


def _exponential(
    problem: TeacherStudent, found: Exponentials, count: int, reason: str, digits: int | None
) -> Asymptotics:
    convert: Callable[[arb], Any] = to_float if digits is None else to_mpf
    later = [simple(rate - found.rates[0]) for rate in found.rates[1:]]
    known = [convert(x) for x in found.coefficients[1:]] or [None] * len(later)
    shown = Asymptotics(
        kind="exponential",
        rate=simple(found.rates[0]),
        corrections=tuple(Term(rate=x, coefficient=c) for x, c in zip(later, known, strict=True)),
        fast_rate=simple(count * Fraction(problem.weights[0])),
        reason=reason,
    )
    return _with_constant(shown, found.coefficients[0], digits)


def _different(problem: TeacherStudent, rows: Array, digits: int | None) -> Asymptotics:
    """From weights at the start: the exponent, and the constant of mirror images."""
    mean, kink_weight = map(Fraction, problem.weights)
    shown = Asymptotics(
        kind="power law",
        exponent=EXPONENT,
        fast_rate=simple(len(rows) * mean),
        reason=(
            "students of different directions: t⁻³ unless all but one reach zero; the constant "
            "depends on the whole flow: ask with a flow"
        ),
    )
    count = _mirror_images(rows, problem.exact_teacher[0])
    if not count:
        return shown
    square = problem.exact_teacher[0] @ problem.exact_teacher[0]
    constant = arb.pi() ** 2 * ball(Fraction(square) / (6 * kink_weight**2 * count**3))
    reason = "mirror images about the teacher, which they stay: each learns half of it"
    shown = replace(
        shown, reason=reason, corrections=(Term(power=-1),), eigenvalues=(2.0,), stable=True
    )
    return _with_constant(shown, constant, digits)


def _mirror_images(rows: Array, v: Array) -> int:
    """m if the students are m equal ones and m mirror images of them about v; else 0."""
    distinct = [np.array(x) for x in dict.fromkeys(map(tuple, rows.tolist()))]
    if len(distinct) != 2:
        return 0
    counts = [sum((row == x).all() for row in rows) for x in distinct]
    total, gap = distinct[0] + distinct[1], distinct[0] - distinct[1]
    mirrored = gap @ v == 0 and (total * (v @ v) == (total @ v) * v).all() and total @ v != 0
    return counts[0] if mirrored and counts[0] == counts[1] else 0


# ---- from where a flow has come to ---------------------------------------------------------------


def _from_end(problem: TeacherStudent, flow: Run, digits: int | None) -> Asymptotics:
    several = len(problem.teacher) > 1
    precise = 53 if isinstance(flow, Flow) else flow.run.bits
    with flint.ctx.workprec(precise):
        t = last_time(flow)
        try:
            last, before = end(flow, t), end(flow, t / 2)
        except FarError as why:
            if several:
                raise ValueError(f"flow_or_w: {why}; run it further") from None
            fast = simple(len(flow.w0) * Fraction(problem.weights[0]))
            reason = f"{why}: run it further"
            return Asymptotics(kind="undecided", reason=reason, fast_rate=fast)
        same = [len(x.members) for x in last.clusters] == [len(x.members) for x in before.clusters]
        if not same:
            raise ValueError("flow_or_w: students have died or turned lately; run it further")
        fast_rate = _fast_rate(problem, last, digits)
        if all(len(cluster.members) == 1 for cluster in last.clusters):
            return _lonely(problem, flow, last, fast_rate, digits)
        return power_law(problem, last, before, len(flow.w0), digits, fast_rate)


def _fast_rate(problem: TeacherStudent, last: End, digits: int | None) -> Any:
    """The slowest rate of the residuals: n mean of one teacher, else of the Hessian at V."""
    counts = [cluster.count for cluster in last.clusters]
    if len(counts) == 1:
        return simple(counts[0] * Fraction(problem.weights[0]))
    return slowest_rate(problem, counts, last.dims + 1, digits)


def _lonely(
    problem: TeacherStudent, flow: Run, last: End, fast_rate: Any, digits: int | None
) -> Asymptotics:
    """Every teacher has one student left, or equal ones: exponential."""
    if len(last.clusters) > 1:
        reason = (
            "every teacher is learnt by one student, or by equal ones: the Hessian at the minimum "
            "sets the rate; the constant depends on the whole flow"
        )
        return Asymptotics(
            kind="exponential", rate=2 * fast_rate, fast_rate=fast_rate, reason=reason
        )
    count = last.clusters[0].count
    died = {event.neuron for event in _turns(flow)}
    faded = len(flow.w0) - count - len(died)
    if not faded:
        assert isinstance(flow, Flow)
        return _after_deaths(problem, flow, parallel=False)
    rate = 2 * min(Fraction(problem.weights[0]) * n for n in (count, faded))
    reason = (
        f"{count} equal students are left of {len(flow.w0)}; {faded} faded behind the teacher, and "
        "the constant depends on the whole flow"
    )
    return Asymptotics(kind="exponential", rate=simple(rate), fast_rate=fast_rate, reason=reason)


def _turns(flow: Run) -> list[Event]:
    """Where students reached zero, or left it."""
    return [event for event in flow.events if event.kind in ("zero-neuron", "released-neuron")]


def _after_deaths(problem: TeacherStudent, flow: Flow, parallel: bool) -> Asymptotics:
    """From the last death on the others follow an exact solution, in a time that begins there."""
    t = float(np.nextafter(_turns(flow)[-1].t, np.inf))
    v = problem.exact_teacher[0]
    rows = [row for row in problem.students(flow(t), exact=True) if any(row)]
    with flint.ctx.workprec(bits(DOUBLE)):
        if parallel:
            found = _parallel(problem, [row @ v / (v @ v) for row in rows], v @ v, None)
        else:
            found = _equal(problem, rows[0], len(rows), None)
    if found.constant is None or found.rate is None:
        return found
    since = exp(float(found.rate) * t)
    error = found.error + 10 * float(flow._error_at(np.array([t]))[0]) * found.constant
    return replace(
        found,
        constant=found.constant * since,
        error=error * since,
        corrections=tuple(replace(term, coefficient=None) for term in found.corrections),
        reason=f"{len(rows)} of {len(flow.w0)} students are left; {found.reason}",
    )
