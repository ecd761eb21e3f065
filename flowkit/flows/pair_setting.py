"""From a `TeacherStudent` and weights to a path: span, units, equal students, the run."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from math import frexp
from typing import Any, ClassVar

import numpy as np

from flowkit.flows.cluster_field import ClusterField, ClusterSystem
from flowkit.flows.compiled import announced
from flowkit.flows.coordinates import System, initial_system
from flowkit.flows.field import Field
from flowkit.flows.frame import Frame, reduce
from flowkit.flows.march import March
from flowkit.flows.pair_field import PairField
from flowkit.flows.pair_march import DENSE, PairMarch
from flowkit.flows.path import Path, Piece
from flowkit.flows.setting import Setting
from flowkit.problems.pairs import polar
from flowkit.problems.teacher_student import TeacherStudent

Array = np.ndarray

REACH = 1e250
SMALLEST = 1e-150  # of ‖v‖, for the largest student
GROUPS = ("sizes", "facing", "centred", "held")
SCALARS = ("mean", "kink_weight", "mode", "pivot", "early", "power", "tau", "start")


@dataclass
class PairSetting(Setting):
    """A `TeacherStudent` flow.

    Attributes
    ----------
    frame : Frame
        Orthonormal basis of the span.
    length : float
        Unit of length in the frame, a power of two near ‖v‖.
    groups : list of list of int
        Equal students, which stay equal, form one group.
    r : (D,)
    w : (N, D)
    """

    kind: ClassVar[str] = "pairs"

    frame: Frame
    length: float
    groups: list[list[int]]
    r: Array = field(repr=False)
    w: Array = field(repr=False)

    @classmethod
    def of(
        cls, problem: TeacherStudent, w0: Any, t_max: float, rtol: float, method: str
    ) -> PairSetting:
        """Reduce to the span and choose the method if that is "auto"."""
        students = _checked_start(problem, w0)
        equal: dict[bytes, list[int]] = {}
        for i, row in enumerate(students + 0.0):  # −0.0 is 0.0
            equal.setdefault(row.tobytes(), []).append(i)
        groups = list(equal.values())
        rows = students[[group[0] for group in groups]]
        sizes = np.array([len(group) for group in groups])
        length = 2.0 ** frexp(float(polar(problem.teacher)[0].max()))[1]
        frame, r, w = reduce(rows / length, problem.teacher / length, sizes)
        if method == "auto":
            # Several teachers: all directions are fast, and a Newton matrix pays.
            dense = len(problem.teacher) > 1 and w.size <= DENSE
            method = "Radau" if dense else "structured"
        return cls(problem, students, t_max, rtol, method, frame, length, groups, r, w)

    def marcher(self, path: Path, t_max: float) -> March:
        warm_up()
        sizes = np.array([len(group) for group in self.groups], dtype=float)
        mean, kink_weight = map(float, self.problem.weights)
        whole = initial_system(self.frame.teachers, sizes, (mean, kink_weight))
        return PairMarch(path, t_max, whole=whole, r=self.r, w=self.w)

    def students(self, piece: Piece, t: float, y: Array) -> Array:
        return self.lifted(piece.field.students(t, y), piece.alive)

    def lifted(self, w: Array, alive: list[int]) -> Array:
        """Students (n, d) of the user from those of the living groups, in the frame."""
        full = np.zeros(self.w0.shape)
        lifted = self.frame.lift(w * self.length)
        for row, group in enumerate(alive):
            full[self.groups[group]] = lifted[row]
        return full

    @property
    def unit(self) -> float:
        return self.length

    @property
    def members(self) -> list[list[int]]:
        return self.groups

    @property
    def dimension(self) -> int:
        return int(self.frame.basis.shape[0])

    def pack(self) -> tuple[dict[str, Array], dict[str, Any]]:
        arrays = {
            "basis": self.frame.basis,
            "frame_teachers": self.frame.teachers,
            "start_r": self.r,
            "start_w": self.w,
        }
        plain = {"length": self.length, "groups": self.groups}
        return arrays, plain | {"activation": str(self.problem.activation)}

    @classmethod
    def unpack(
        cls, arrays: dict[str, Array], plain: dict[str, Any], known: dict[str, Any]
    ) -> PairSetting:
        problem = TeacherStudent(arrays["teacher"], plain.pop("activation"))
        frame = Frame(arrays["basis"], arrays["frame_teachers"])
        start: dict[str, Any] = {"r": arrays["start_r"], "w": arrays["start_w"]}
        return cls(problem, frame=frame, **start, **plain, **known)

    def pack_field(self, field: Field) -> tuple[dict[str, Array], dict[str, Any]]:
        if isinstance(field, ClusterField):
            arrays = {name: getattr(field.system, name) for name in ("sizes", "owner")}
            return arrays, {"rate": field.system.rate, "start": field.system.start}
        arrays = {name: getattr(field.system, name) for name in GROUPS}
        return arrays, {name: getattr(field.system, name) for name in SCALARS}

    def unpack_field(self, arrays: dict[str, Array], plain: dict[str, Any]) -> Field:
        values: dict[str, Any] = arrays | plain
        if "owner" in values:
            values["mean"], values["kink_weight"] = map(float, self.problem.weights)
            values["owner"] = values["owner"].astype(int)
            return ClusterField(ClusterSystem(self.frame.teachers, **values))
        return PairField(System(teachers=self.frame.teachers, **values))


@cache
def warm_up() -> None:
    """Compile, or load what was compiled before, on the smallest of flows; once per process."""
    teachers, w = np.array([[1.0, 0.0]]), np.array([[1.0, 0.1], [1.0, -0.2]])
    system = initial_system(teachers, np.ones(2), (0.5, 1.0))
    path = Path("structured", 1e-6)
    with announced():
        PairMarch(path, 1e-3, whole=system, r=w.sum(axis=0) - teachers[0], w=w).run()


def _checked_start(problem: TeacherStudent, w0: Any) -> Array:
    """Students to start from, (n, d)."""
    students = problem.students(w0, "w0")
    zero = np.flatnonzero(~students.any(axis=1))
    if zero.size:
        raise ValueError(f"w0: neuron {zero[0]} is zero, where the loss has no derivative")
    teachers, _ = polar(problem.teacher)
    norms, _ = polar(students)
    largest = float(teachers.max())
    for i, norm in enumerate(norms):
        if not 1 / REACH <= norm / largest <= REACH:
            raise ValueError(
                f"w0: neuron {i} has norm {norm:.3g}; it must be within a factor {REACH:g} of the "
                f"teacher's {largest:.3g}"
            )
    if norms.max() < SMALLEST * largest:
        raise ValueError(
            f"w0: all neurons are smaller than {norms.max():.3g}; one must be at least "
            f"{SMALLEST:g} of the teacher's {largest:.3g}"
        )
    return students
