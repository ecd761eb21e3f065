"""Descent of (leaky) ReLU students in the frame of the flow."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any, ClassVar

import numpy as np

from flowkit.descents.pair_steps import Rest, iterate
from flowkit.descents.walk import (
    DIVERGED,
    GROWTH,
    ROUNDING,
    RUNNING,
    ULP,
    ZERO,
    Row,
    Walk,
    sensitivity,
)
from flowkit.flows.collocation import gradient_norm
from flowkit.flows.compiled import announced
from flowkit.flows.coordinates import System, initial_system, loss, workspace
from flowkit.flows.frame import Frame
from flowkit.flows.pair_setting import PairSetting
from flowkit.problems.teacher_student import TeacherStudent

Array = np.ndarray


class PairWalk(Walk):
    """State: r and w in the frame, each in two parts, and who faces the teacher."""

    kind: ClassVar[str] = "pairs"

    def __init__(self, setting: PairSetting, step_size: float, rounding: float = 0.0) -> None:
        self.setting, self.step_size, self._roughness = setting, step_size, rounding
        self.problem, self.w0 = setting.problem, setting.w0
        sizes = np.array([len(group) for group in setting.groups], dtype=float)
        mean, kink_weight = map(float, self.problem.weights)
        system = initial_system(setting.frame.teachers, sizes, (mean, kink_weight))
        self.system = system._replace(facing=system.facing.copy())
        self.work = workspace(self.system)
        self.work.r[:], self.work.w[:] = setting.r, setting.w
        self.rest = Rest(np.zeros_like(setting.r), np.zeros_like(setting.w), np.array([0, 1]))
        norms = np.linalg.norm(setting.w, axis=1).sum()
        self.bound = GROWTH * float(norms + np.linalg.norm(setting.frame.teachers))

    @classmethod
    def of(cls, problem: TeacherStudent, w0: Any, step_size: float) -> PairWalk:
        return cls(PairSetting.of(problem, w0, 1.0, 1e-10, "structured"), step_size)

    @property
    def iteration(self) -> int:
        return int(self.rest.counter[0])

    @property
    def _accurate(self) -> bool:
        """One teacher: nothing cancels, and the loss of the state is that of the students."""
        return len(self.system.teachers) == 1

    def advance(self, target: int) -> int:
        absolute = 0.0
        if not self._accurate:
            absolute = self._roughness * float(np.linalg.norm(self.system.teachers))
        state = (self.system, self.work, self.rest, self.step_size, target, self.bound)
        loaded = getattr(iterate, "signatures", True)  # (plain Python has none)
        with nullcontext() if loaded else announced():
            code = int(iterate(*state, self._roughness, absolute))
        if code == ZERO:
            group = self.setting.groups[int(np.argmin(self.work.norms[: len(self.work.w)]))]
            self.message = f"neuron {group[0]} is exactly zero, where there is no gradient"
        elif code == DIVERGED:
            self.message = self._diverged()
        return code

    def _diverged(self) -> str:
        text = f"the weights have grown {GROWTH:g} times"
        if self._accurate:
            largest = float(self.system.sizes.sum() * self.system.mean)
            text += f"; near a minimum no step size above 2/λ_max = {2 / largest:.4g} is stable"
        return text

    def row(self) -> Row:
        system, work, unit = self.system, self.work, self.setting.unit
        code = self.advance(self.iteration)
        arrays = {"r": work.r.copy(), "frame_w": work.w.copy(), "facing": system.facing.copy()}
        gradient = float(gradient_norm(system, work)) * unit if code == RUNNING else np.nan
        value = max(float(loss(system, work)), 0.0) * unit**2  # (of rounding alone, it may be less)
        row = Row(self.iteration, value, gradient, arrays)
        return row if self._accurate else row._replace(loss=self._exact(row))

    def _exact(self, row: Row) -> float:
        w = self.students(row)
        return float(self.problem.loss(w)) if np.isfinite(w).all() else np.inf

    def students(self, row: Row) -> Array:
        everybody = list(range(len(self.setting.groups)))
        return self.setting.lifted(row.arrays["frame_w"], everybody)

    def state(self, row: Row) -> tuple[System, Array, Array, list[int]]:
        """The system, r (D,), students (N, D) and groups of a row: `Descent._states`."""
        system = self.system._replace(facing=row.arrays["facing"])
        groups = list(range(len(self.setting.groups)))
        return system, row.arrays["r"], row.arrays["frame_w"], groups

    def rough(self, seed: int) -> PairWalk:
        other = PairWalk(self.setting, self.step_size, ROUNDING)
        other.rest.counter[1] = seed
        random = np.random.default_rng(seed)
        other.work.w[:] *= 1 + ULP * random.uniform(-1, 1, other.work.w.shape)
        return other

    def rounding(self, row: Row) -> float:
        return 0.0 if self._accurate else sensitivity(self.problem, self.students(row), row.loss)

    @property
    def size(self) -> dict[str, Any]:
        groups = len(self.setting.groups)
        return {"method": "frame", "dimension": self.setting.dimension, "groups": groups}

    def pack(self) -> tuple[dict[str, Array], dict[str, Any]]:
        arrays, plain = self.setting.pack()
        state = {
            "state_r": self.work.r,
            "state_w": self.work.w,
            "low_r": self.rest.r,
            "low_w": self.rest.w,
            "state_facing": self.system.facing,
        }
        kept = {"length": plain["length"], "groups": plain["groups"]}
        return arrays | state, kept | {"count": self.rest.counter.tolist()}

    @classmethod
    def unpack(
        cls,
        problem: Any,
        w0: Array,
        step_size: float,
        arrays: dict[str, Array],
        plain: dict[str, Any],
    ) -> PairWalk:
        frame = Frame(arrays["basis"], arrays["frame_teachers"])
        start = (arrays["start_r"], arrays["start_w"])
        fixed = (problem, w0, 1.0, 1e-10, "structured", frame)
        walk = cls(PairSetting(*fixed, plain["length"], plain["groups"], *start), step_size)
        work, rest = walk.work, walk.rest
        work.r[:], work.w[:] = arrays["state_r"], arrays["state_w"]
        rest.r[:], rest.w[:] = arrays["low_r"], arrays["low_w"]
        rest.counter[:] = plain["count"]
        count = len(work.w)
        walk.system.facing[:] = work.flip[:count] = arrays["state_facing"]
        return walk
