"""From a problem and its initial values to a system in as few dimensions as it needs."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import flint
import numpy as np
from flint import arb, arb_mat

from flowkit.multiprecision.agreement import Agreement
from flowkit.multiprecision.expression_system import FieldSystem, LossSystem
from flowkit.multiprecision.gram_system import GramSystem
from flowkit.multiprecision.log_time import System
from flowkit.multiprecision.matrix_system import MatrixSystem
from flowkit.multiprecision.pair_system import PairSystem
from flowkit.problems.exact import ball
from flowkit.problems.gram_form import GramForm
from flowkit.problems.phase_retrieval import PhaseRetrieval
from flowkit.problems.symbolic_loss import SymbolicLoss, checked_point
from flowkit.problems.teacher_student import TeacherStudent
from flowkit.problems.vector_field import VectorField

Array = np.ndarray
Row = list[arb]


@dataclass(frozen=True)
class Prepared:
    """A system, where it starts, and how its state maps to the user's.

    Attributes
    ----------
    system : System
    start : list of arb
        Flat state at t = 0.
    shape : tuple of int
        Shape of w.
    members : list of int
        For each neuron the row of the state that stands for it.
    frame : arb_mat or None
        Orthonormal rows that span what moves; None for all of R^d.
    """

    system: System
    start: Row
    shape: tuple[int, ...]
    members: list[int]
    frame: arb_mat | None

    def weights(self, y: Row) -> Array:
        """w, an object array of arb, from the flat state."""
        if len(self.shape) == 1:
            flat = y
        else:
            width = len(y) // (max(self.members) + 1)
            rows = [y[i * width : (i + 1) * width] for i in range(max(self.members) + 1)]
            if self.frame is not None:
                rows = (arb_mat(rows) * self.frame).mid().tolist()
            flat = [x for member in self.members for x in rows[member]]
        result = np.empty(len(flat), dtype=object)
        result[:] = flat
        return result.reshape(self.shape)

    def spread(self, known: Agreement) -> Agreement:
        """What two runs say of the numbers of w, from what they say of the state's components."""
        if len(self.shape) == 1:
            return known
        count, groups = len(known.gap), max(self.members) + 1
        sizes, gaps = (x.reshape(count, groups, -1) for x in (known.size, known.gap))
        if self.frame is not None:
            # A combination with unit coefficients is at most √width times the largest.
            gaps = gaps.max(axis=2, keepdims=True) + 0.5 * np.log10(gaps.shape[2])
            sizes = np.full(gaps.shape, np.inf)  # so that only the gap counts
            sizes, gaps = (np.repeat(x, self.shape[1], axis=2) for x in (sizes, gaps))
        return Agreement(*(x[:, self.members].reshape(count, -1) for x in (sizes, gaps)))


def prepared(problem: Any, w0: Any, bits: int) -> Prepared:
    """The system of a problem; constants and initial values are rounded to `bits`.

    Raises
    ------
    ValueError
        An unknown kind of problem, or w0 of the wrong shape, not finite, or where the loss has
        no derivative.
    """
    with flint.ctx.workprec(bits):
        if isinstance(problem, TeacherStudent | PhaseRetrieval):
            return _students(problem, w0)
        if isinstance(problem, SymbolicLoss | VectorField):
            system: System = (
                LossSystem(problem) if isinstance(problem, SymbolicLoss) else FieldSystem(problem)
            )
            point = checked_point(w0, "w0", len(problem.variables))
            start = [ball(x).mid() for x in point]
            return Prepared(system, start, point.shape, [], None)
    known = "TeacherStudent, PhaseRetrieval, SymbolicLoss or VectorField"
    raise ValueError(f"problem: expected a {known}, got {type(problem).__name__}")


def _students(problem: TeacherStudent | PhaseRetrieval, w0: Any) -> Prepared:
    """Equal students, which stay equal, are one; only the span of all vectors moves."""
    students = problem.students(w0, "w0", exact=True)
    rows = [tuple(row) for row in students.tolist()]
    distinct = list(dict.fromkeys(rows))
    members = [distinct.index(row) for row in rows]
    counts = [rows.count(row) for row in distinct]
    pairs = isinstance(problem, TeacherStudent)
    if isinstance(problem, TeacherStudent):
        problem.check_differentiable(students, "w0")
    else:
        distinct, members, counts = rows, list(range(len(rows))), [1] * len(rows)
    vectors = _balls([*distinct, *problem.exact_teacher.tolist()])
    frame = None
    free = pairs or problem.samples is None  # type: ignore[union-attr]
    if free and students.shape[1] > len(vectors):
        frame = _orthonormal(vectors)
        vectors = (arb_mat(vectors) * frame.transpose()).mid().tolist()
    movers, teachers = vectors[: len(distinct)], vectors[len(distinct) :]
    names = [members.index(g) for g in range(len(distinct))]
    system: System
    if isinstance(problem, TeacherStudent) and isinstance(problem.form, GramForm):
        cusp = not problem.form.activation.at_parallel
        system = GramSystem(problem.form.kernel, teachers, counts, names, cusp)
    elif isinstance(problem, TeacherStudent):
        system = PairSystem(teachers, counts, *problem.weights, names)
    else:
        samples = None if problem.samples is None else _balls(problem.samples.tolist())
        scale = Fraction(problem.output_scale)
        system = MatrixSystem(teachers[0], samples, scale, len(distinct))
    start = [x for row in movers for x in row]
    return Prepared(system, start, students.shape, members, frame)


def _balls(rows: Any) -> list[Row]:
    return [[ball(Fraction(x)).mid() for x in row] for row in rows]


def _orthonormal(rows: list[Row]) -> arb_mat:
    """An orthonormal basis of the span of the rows, by Gram–Schmidt, twice."""
    tiny = arb(2) ** (-flint.ctx.prec // 2)
    done: list[arb_mat] = []
    for values in rows:
        v = arb_mat([values])
        before = (v * v.transpose())[0, 0].mid()
        for _ in range(2):
            for u in done:
                v = (v - u * (v * u.transpose())[0, 0]).mid()
        square = (v * v.transpose())[0, 0].mid()
        if square > before * tiny:
            done.append((v / square.sqrt()).mid())
    return arb_mat([u.entries() for u in done])
