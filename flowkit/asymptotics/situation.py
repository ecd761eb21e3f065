"""Which situation a flow, or its weights at the start, is in, and what the theory says of it."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from math import ceil
from typing import Any

import flint
import numpy as np

from flowkit.asymptotics import quadratic
from flowkit.asymptotics.arrival import DOUBLE, Run, after_deaths, arrived, turns
from flowkit.asymptotics.result import Asymptotics
from flowkit.asymptotics.start import (
    MIRRORED,
    different,
    equal,
    mirrored_constant,
    parallel,
    with_constant,
)
from flowkit.flows.flow import Flow
from flowkit.multiprecision.flow import PreciseFlow
from flowkit.problems.exact import bits
from flowkit.problems.numbers import parallel as on_one_line
from flowkit.problems.phase_retrieval import PhaseRetrieval
from flowkit.problems.problem import Problem
from flowkit.problems.teacher_student import TeacherStudent

Array = np.ndarray


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
            return with_constant(*quadratic.predicted(problem, w0), digits)
    if not isinstance(problem, TeacherStudent):
        raise ValueError(f"problem: no asymptotics are known of a {type(problem).__name__}")
    if not problem.homogeneous:
        raise ValueError(f"problem: no asymptotics are known of {problem.activation} students")
    if len(problem.teacher) == 1:
        return _one_teacher(problem, w0, flow, digits)
    for i, j in combinations(range(len(problem.teacher)), 2):
        if on_one_line(*problem.exact_teacher[[i, j]]):
            raise ValueError(
                f"problem: teachers {i} and {j} are parallel: put them together in one"
            )
    if flow is None:
        raise ValueError("flow_or_w: several teachers need a flow that has come near a minimum")
    return arrived(problem, flow, digits)


def _one_teacher(
    problem: TeacherStudent, w0: Array, flow: Run | None, digits: int | None
) -> Asymptotics:
    """Exact solutions are recognised from the start, anything else from the end."""
    living = [i for i, row in enumerate(w0) if any(row)]
    if not living:
        raise ValueError("flow_or_w: every student is zero")
    rows, v = w0[living], problem.exact_teacher[0]
    with flint.ctx.workprec(bits(digits or DOUBLE)):
        if all(on_one_line(row, v) for row in rows):
            if isinstance(flow, Flow) and turns(flow):
                return after_deaths(problem, flow, on_axis=True)
            return parallel(problem, rows, digits)
        if (rows == rows[0]).all():
            return equal(problem, rows[0], len(rows), digits)
        if flow is None:
            return different(problem, rows, digits)
        found, exact = arrived(problem, flow, digits), mirrored_constant(problem, rows)
        if exact is None or found.constant is None:
            return found
        return with_constant(replace(found, reason=MIRRORED), exact, digits)
