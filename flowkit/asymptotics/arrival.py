"""What the end of a flow of teachers and students tells."""

from __future__ import annotations

from dataclasses import replace
from math import exp, inf
from typing import Any

import flint
import numpy as np

from flowkit.asymptotics.derived import residual_rate
from flowkit.asymptotics.ends import End, FarError, earlier_time, end, last_time
from flowkit.asymptotics.power_law import power_law
from flowkit.asymptotics.rates import slowest_rate
from flowkit.asymptotics.result import Asymptotics, simple
from flowkit.asymptotics.start import equal, parallel
from flowkit.flows.event import Event
from flowkit.flows.flow import Flow
from flowkit.multiprecision.flow import PreciseFlow
from flowkit.problems.exact import bits
from flowkit.problems.teacher_student import TeacherStudent

Run = Flow | PreciseFlow

DOUBLE = 30  # digits in which closed forms are evaluated if doubles are wanted
LARGEST = 700.0  # exponent of a double


def arrived(problem: TeacherStudent, flow: Run, digits: int | None) -> Asymptotics:
    """The prediction from the last state of a flow.

    Raises
    ------
    ValueError
        Several teachers, and the flow is not near a global minimum.
    """
    with flint.ctx.workprec(53 if isinstance(flow, Flow) else flow.run.bits):
        t = last_time(flow)
        try:
            last, before = end(flow, t), end(flow, earlier_time(flow, t))
            if [x.members for x in last.clusters] != [x.members for x in before.clusters]:
                raise FarError("students have died or turned lately")
        except FarError as why:
            if len(problem.teacher) > 1:
                raise ValueError(f"flow_or_w: {why}; run it further") from None
            return Asymptotics(kind="undecided", reason=f"{why}: run it further")
        fast_rate = _fast_rate(problem, last, digits)
        if all(len(cluster.members) == 1 for cluster in last.clusters):
            return _lonely(problem, flow, last, fast_rate, digits)
        return power_law(problem, last, before, len(flow.w0), digits, fast_rate)


def _fast_rate(problem: TeacherStudent, last: End, digits: int | None) -> Any:
    """The slowest rate of the residuals: n mean of one teacher, else of the Hessian at V."""
    counts = [cluster.count for cluster in last.clusters]
    if len(counts) == 1:
        return simple(residual_rate(counts[0], problem.weights[0]))
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
    died = {event.neuron for event in turns(flow)}
    faded = len(flow.w0) - count - len(died)
    if not faded:
        assert isinstance(flow, Flow)
        return after_deaths(problem, flow, on_axis=False)
    if not problem.one_sided:
        return Asymptotics(kind="undecided", reason="a student was lost behind the teacher")
    rate = 2 * residual_rate(min(count, faded), problem.weights[0])
    reason = (
        f"{count} equal students are left of {len(flow.w0)}; {faded} faded behind the teacher, and "
        "the constant depends on the whole flow"
    )
    return Asymptotics(kind="exponential", rate=simple(rate), fast_rate=fast_rate, reason=reason)


def turns(flow: Run) -> list[Event]:
    """Where students reached zero, or left it."""
    return [event for event in flow.events if event.kind in ("zero-neuron", "released-neuron")]


def after_deaths(problem: TeacherStudent, flow: Flow, on_axis: bool) -> Asymptotics:
    """From the last death on the others follow an exact solution, in a time that begins there."""
    t = float(np.nextafter(turns(flow)[-1].t, np.inf))
    students = problem.students(flow(t), exact=True)
    rows = students[[any(row) for row in students]]
    with flint.ctx.workprec(bits(DOUBLE)):
        found = (
            parallel(problem, rows, None) if on_axis else equal(problem, rows[0], len(rows), None)
        )
    if found.constant is None or found.rate is None or float(found.rate) * t > LARGEST:
        return replace(found, constant=None, error=inf)
    rate = float(found.rate)
    error = found.error + 10 * float(flow._error_at(np.array([t]))[0]) * found.constant
    since = [(term, (rate + float(term.rate)) * t) for term in found.corrections]
    return replace(
        found,
        constant=found.constant * exp(rate * t),
        error=error * exp(rate * t),
        corrections=tuple(
            replace(term, coefficient=(term.coefficient or 0.0) * exp(x))
            for term, x in since
            if x < LARGEST
        ),
        reason=f"{len(rows)} of {len(flow.w0)} students are left; {found.reason}",
    )
