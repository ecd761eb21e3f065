"""From teacher, quadratic students and weights to a path: span, mixing of students, the run."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction
from math import fsum
from typing import Any, ClassVar

import numpy as np

from flowkit.flows.field import SWITCH, TURNED, Field
from flowkit.flows.frame import Frame, complement, project, two_product
from flowkit.flows.march import March, Start
from flowkit.flows.matrix_field import CLOSE, MatrixField, MatrixSystem, State
from flowkit.flows.path import Path, Piece
from flowkit.flows.setting import Setting
from flowkit.flows.steppers import EXPLICIT, Stepper
from flowkit.problems.pairs import polar
from flowkit.problems.phase_retrieval import PhaseRetrieval

Array = np.ndarray

FEW = 64  # students up to which parallel ones are looked for
REACH = 1e60  # norms whose fourth powers, and their ratios, are doubles


@dataclass(kw_only=True)
class MatrixMarch(March):
    """From a state; coordinates change near the minimum."""

    field: MatrixField
    state: State

    def begin(self) -> Start:
        y = self.field.encode(0.0, self.state)
        return Start(self.field, 0.0, y, [0], self.method(self.field))

    def method(self, field: MatrixField) -> str:
        """Away from the minimum a saddle may be stiff for ever."""
        return "Radau" if self.path.method in EXPLICIT and not field.system.near else ""

    def see_to(self, code: int, piece: Piece, stepper: Stepper) -> Start | None:
        field, t, y = piece.field, self.path.end, piece.steps.y[-1]
        assert isinstance(field, MatrixField)
        if code == SWITCH:  # there it stays
            return Start(field, t, field.arrived(t, y), [])
        if code != TURNED:
            return None
        other, y = field.turned(t, y)
        return Start(other, t, y, piece.alive, self.method(other))


@dataclass
class MatrixSetting(Setting):
    """A `PhaseRetrieval` flow.

    Only WᵀW matters, so n students W = V X are followed as m = min(n, D) rows X.

    Attributes
    ----------
    frame : Frame
        Orthonormal basis of the span; of all inputs for the empirical loss.
    mixing : (n, m)
        V, orthonormal columns; the flow leaves it as it is.
    system, state
        Coordinates and state at t = 0.
    """

    kind: ClassVar[str] = "matrix"

    frame: Frame
    mixing: Array = field(repr=False)
    system: MatrixSystem = field(repr=False)
    state: State = field(repr=False)

    @classmethod
    def of(
        cls, problem: PhaseRetrieval, w0: Any, t_max: float, rtol: float, method: str
    ) -> MatrixSetting:
        """Reduce to the span, mix the students, and sum ρ exactly."""
        students = _checked_start(problem, w0)
        if method == "structured":
            raise ValueError(
                "method: 'structured' is for ReLU students; use auto, Radau, BDF, LSODA or DOP853"
            )
        teacher = problem.teacher[0]
        square, rho = _excess(students, teacher, problem.output_scale)
        axis = teacher / np.linalg.norm(teacher)
        along, across = project(students, teacher)
        rows = complement(axis, across if problem.samples is None else np.eye(len(axis)))
        frame = Frame(np.vstack([axis, rows]), np.array([[np.linalg.norm(teacher)]]))
        mixing, x = _mixed(students, np.column_stack([along, across @ rows.T]))
        if method == "auto":  # one student converges exponentially: nothing becomes stiff
            method = "DOP853" if len(x) == 1 else "Radau"
        inputs = None if problem.samples is None else problem.samples @ frame.basis.T
        a, b = x[:, 0], x[:, 1:]
        near = abs(rho) < CLOSE * square
        m, dim = x.shape
        system = MatrixSystem(m, dim, square, problem.output_scale, inputs, near)
        state = State(rho, problem.output_scale * a @ b, a, b)
        return cls(problem, students, t_max, rtol, method, frame, mixing, system, state)

    def marcher(self, path: Path, t_max: float) -> March:
        return MatrixMarch(path, t_max, field=MatrixField(self.system), state=self.state)

    def students(self, piece: Piece, t: float, y: Array) -> Array:
        return self.frame.lift(self.mixing @ piece.field.students(t, y))

    @property
    def members(self) -> list[list[int]]:
        return [[i] for i in range(len(self.w0))]

    @property
    def dimension(self) -> int:
        return self.system.dim

    def pack(self) -> tuple[dict[str, Array], dict[str, Any]]:
        arrays = {"basis": self.frame.basis, "frame_teachers": self.frame.teachers}
        arrays |= {"mixing": self.mixing, "start_c": self.state.c}
        arrays |= {"start_a": self.state.a, "start_b": self.state.b}
        if self.problem.samples is not None:
            arrays["samples"] = self.problem.samples
        plain = {"rho": self.state.rho, "near": self.system.near, "square": self.system.square}
        return arrays, plain | {"output_scale": self.problem.output_scale}

    @classmethod
    def unpack(
        cls, arrays: dict[str, Array], plain: dict[str, Any], known: dict[str, Any]
    ) -> MatrixSetting:
        scale, samples = plain["output_scale"], arrays.get("samples")
        problem = PhaseRetrieval(arrays["teacher"], scale, samples)
        frame = Frame(arrays["basis"], arrays["frame_teachers"])
        state = State(plain["rho"], *(arrays[f"start_{name}"] for name in "cab"))
        inputs = None if samples is None else samples @ frame.basis.T
        shape = (len(state.a), len(frame.basis))
        system = MatrixSystem(*shape, plain["square"], scale, inputs, plain["near"])
        return cls(
            problem, frame=frame, mixing=arrays["mixing"], system=system, state=state, **known
        )

    def pack_field(self, field: Field) -> tuple[dict[str, Array], dict[str, Any]]:
        return {}, {"near": field.system.near}

    def unpack_field(self, arrays: dict[str, Array], plain: dict[str, Any]) -> Field:
        return MatrixField(replace(self.system, **plain))


def _mixed(students: Array, w: Array) -> tuple[Array, Array]:
    """V (n, m) and X (m, D) of students w in the frame."""
    chosen, mixing = _groups(students)
    lengths = np.linalg.norm(mixing, axis=0)
    mixing, x = mixing / lengths, lengths[:, None] * w[chosen]
    if x.shape[0] <= x.shape[1]:
        return mixing, x
    further, x = np.linalg.qr(x)
    return mixing @ further, x


def _groups(students: Array) -> tuple[list[int], Array]:
    """One of each set of parallel students, and V (n, m) that makes W of ‖·‖ V ones of them."""
    chosen: list[int] = []
    columns: list[Array] = []
    for i, w in enumerate(students):
        for k, j in enumerate(chosen if len(students) <= FEW else []):
            if _parallel(students[j], w):
                largest = np.abs(students[j]).argmax()
                columns[k][i] = w[largest] / students[j][largest]
                break
        else:
            if w.any():
                chosen.append(i)
                columns.append(np.eye(len(students))[i])
    return chosen or [0], np.column_stack(columns or [np.eye(len(students))[0]])


def _parallel(x: Array, y: Array) -> bool:
    """Exactly; also if y is zero."""
    k = np.abs(x).argmax()
    left, right = two_product(x[k : k + 1], y), two_product(x, y[k : k + 1])
    return all((p == q).all() for p, q in zip(left, right, strict=True))


def _checked_start(problem: PhaseRetrieval, w0: Any) -> Array:
    students = problem.students(w0, "w0")
    for name, rows in (("w0", students), ("teacher", problem.teacher)):
        largest = float(polar(rows)[0].max())
        if not (largest == 0 and name == "w0") and not 1 / REACH <= largest <= REACH:
            raise ValueError(
                f"{name}: has norm {largest:.3g}; it must be within [{1 / REACH:g}, {REACH:g}]"
            )
    return students


def _excess(students: Array, teacher: Array, scale: float) -> tuple[float, float]:
    """‖v‖² and ρ = C Σ (w·v̄)² − ‖v‖², both correct to the last digit or so."""
    square = _dot(teacher, teacher)
    total = Fraction(scale) * sum(_dot(w, teacher) ** 2 for w in students)
    return float(square), float((total - square**2) / square)


def _dot(x: Array, y: Array) -> Fraction:
    """x·y to twice the digits of a double."""
    terms = np.concatenate(two_product(x, y)).tolist()
    high = fsum(terms)
    return Fraction(high) + Fraction(fsum([*terms, -high]))
