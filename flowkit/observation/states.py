"""Students of a run with the teacher's axis split off, to the accuracy that the run has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import flint
import numpy as np
from flint import arb, arb_mat

from flowkit.descents.descent import Descent
from flowkit.descents.pair_walk import PairWalk
from flowkit.descents.walk import Walk
from flowkit.flows import coordinates, kernel
from flowkit.flows.cluster_field import ClusterField
from flowkit.flows.coordinates import System, Work
from flowkit.flows.flow import Flow, Sample
from flowkit.flows.frame import project
from flowkit.flows.pair_field import PairField
from flowkit.flows.pair_setting import PairSetting
from flowkit.flows.path import Path, Piece
from flowkit.multiprecision.flow import PreciseFlow
from flowkit.multiprecision.log_time import time
from flowkit.observation.geometry import lengths, tidy
from flowkit.problems.pairs import residual

Array = np.ndarray


VARYING = ("along", "across", "residual", "velocity", "loss", "gradient_norm")


@dataclass(frozen=True)
class States:
    """m states of n students, in doubles or (object arrays) in balls of `bits`.

    Attributes
    ----------
    t : (m,)
    along : (m, n)
        w_i·v̄ of the first teacher.
    across : (m, n, p)
        w_i − (w_i·v̄)v̄ in a frame of what moves.
    residual : (m, 1 + p)
        r = Σ w_i − Σ v_k, its part along v̄ first.
    velocity : (m, n, 1 + p)
        −∂L/∂w_i.
    teachers : (k, 1 + p)
    lift : callable
        Rows (…, 1 + p) as rows (…, d) of the user.
    loss, gradient_norm : (m,)
    bits : int
        0 in doubles.
    flat : bool
        Whether there are directions that nothing moves in.
    """

    t: Array
    along: Array
    across: Array
    residual: Array
    velocity: Array
    teachers: Array
    lift: Callable[[Array], Array]
    loss: Array
    gradient_norm: Array
    bits: int = 0
    flat: bool = False

    @property
    def length(self) -> Any:
        """‖v‖."""
        return lengths(self.teachers[:1])[0]

    def at(self, place: Any) -> States:
        """The states at these places; None: all."""
        if place is None:
            return self
        chosen: dict[str, Any] = {name: getattr(self, name)[place] for name in ("t", *VARYING)}
        return replace(self, **chosen)

    def nudged(self, relative: Array, seed: int) -> States:
        """Every number changed by its share of `relative` (m,), up or down."""
        draw = np.random.default_rng(seed)

        def nudge(x: Array) -> Array:
            signs = draw.choice([-1.0, 1.0], x.shape)
            share = relative.reshape(-1, *(1,) * (x.ndim - 1))
            change = signs * share
            if self.bits:
                change = np.frompyfunc(arb, 1, 1)(change)
            return np.asarray(x * (1 + change))

        with flint.ctx.workprec(self.bits or 53):
            changed: dict[str, Any] = {name: nudge(getattr(self, name)) for name in VARYING}
            return replace(self, **changed)


def of_weights(problem: Any, w: Array) -> States:
    """States of weights (m, n, d), as exact as they are."""
    m, n, d = w.shape
    axis = problem.teacher[0]
    rows = _projected(w.reshape(m * n, d), axis).reshape(m, n, 1 + d)
    r = np.array([residual(students, problem.teacher) for students in w])
    moves = -np.array([_gradient(problem, students) for students in w])
    unit = axis / np.linalg.norm(axis)
    return States(
        t=np.full(m, np.nan),
        along=rows[:, :, 0],
        across=rows[:, :, 1:],
        residual=_projected(r, axis),
        velocity=_projected(moves.reshape(m * n, d), axis).reshape(m, n, 1 + d),
        teachers=_projected(problem.teacher, axis),
        lift=lambda rows: rows[..., 1:] + rows[..., :1] * unit,
        loss=np.array([problem.loss(students) for students in w]),
        gradient_norm=lengths(moves.reshape(m, -1)),
    )


def _projected(vectors: Array, axis: Array) -> Array:
    """(N, 1 + d): parts along the axis, then what is left."""
    return np.column_stack(project(vectors, axis))


def _gradient(problem: Any, w: Array) -> Array:
    """∇L; zero for students at zero, where it does not exist."""
    alive = w.any(axis=1)
    found = np.zeros(w.shape)
    if alive.any():
        found[alive] = problem.gradient(w[alive])
    return found


def of_flow(flow: Flow, t: Array, path: Path | None = None) -> States:
    """States of a flow in doubles."""
    sample = Sample(flow, t, path)
    setting = flow.setting
    if not isinstance(setting, PairSetting):
        found = of_weights(flow.problem, sample.w)
        return replace(found, t=t, loss=sample.loss, gradient_norm=sample.gradient_norm)
    rows = [
        _expanded(setting, piece.alive, *_frame_state(piece, float(x), y))
        for piece, steps in sample._parts
        for x, y in zip(steps.t, steps.y, strict=True)
    ]
    return _in_frame(setting, rows, t, sample.loss, sample.gradient_norm)


def of_descent(descent: Descent, at: Array, walk: Walk) -> States:
    """Stored states of a descent by their places, or those of the same made by another walk."""
    t, loss, gradient = descent.t[at], descent.loss[at], descent.gradient_norm[at]
    if not isinstance(walk, PairWalk):
        found = of_weights(descent.problem, descent.w[at])
        return replace(found, t=t, loss=loss, gradient_norm=gradient)
    stored = walk is descent.course.walk
    found_rows: dict[int, Any] = {}
    for place in range(int(at.max()) + 1):
        row = descent._rows[place]
        if not stored:
            walk.advance(row.iteration)
            row = walk.row()
        if place in at:
            system, r, w, alive = walk.state(row)
            moving = _moving(system, coordinates.workspace(system), r, w)
            norm = row.loss, row.gradient
            found_rows[place] = _expanded(walk.setting, alive, *moving), norm
    rows = [found_rows[place][0] for place in at.tolist()]
    ends = np.array([found_rows[place][1] for place in at.tolist()])
    return _in_frame(walk.setting, rows, t, ends[:, 0], ends[:, 1])


def _in_frame(
    setting: PairSetting, rows: list[Any], t: Array, loss: Array, gradient_norm: Array
) -> States:
    w, r, w_dot = (np.array(column) for column in zip(*rows, strict=True))
    return States(
        t=t,
        along=w[:, :, 0],
        across=w[:, :, 1:],
        residual=r,
        velocity=w_dot,
        teachers=setting.frame.teachers * setting.length,
        lift=setting.frame.lift,
        loss=loss,
        gradient_norm=gradient_norm,
        flat=setting.w0.shape[1] > setting.dimension,
    )


def _frame_state(piece: Piece, t: float, y: Array) -> tuple[Array, Array, Array]:
    """Students, r and ẇ of the living groups, in the frame."""
    if isinstance(piece.field, ClusterField):
        state, found = piece.field.state(t, y), piece.field.system
        w = state.c[:, None] * found.units[found.owner] + state.beta
        return w, state.r.sum(axis=0), piece.field.velocity(state)
    assert isinstance(piece.field, PairField)
    system, work = piece.field.system, piece.field.work
    if not piece.alive:
        nobody = np.zeros((0, system.teachers.shape[1]))
        return nobody, -system.teachers.sum(axis=0), nobody
    return _moving(system, work, *piece.field.state(t, y))


def _moving(system: System, work: Work, r: Array, w: Array) -> tuple[Array, Array, Array]:
    """w, Σ w − Σ v and ẇ from w and the r of those in front."""
    work.r[:], work.w[:] = r, w
    coordinates.directions(system, work)
    kernel.pull(work.units, work.offsets, work.weights, work.g, work.stiffness)
    coordinates.velocity(system, work)
    return w, r + (system.sizes * (system.facing < 0)) @ w, work.w_dot.copy()


def _expanded(
    setting: PairSetting, alive: list[int], w: Array, r: Array, w_dot: Array
) -> tuple[Array, Array, Array]:
    """Of all students, in the user's units; those at zero have zero rows."""
    full, moves = (np.zeros((len(setting.w0), len(r))) for _ in range(2))
    for row, group in enumerate(alive):
        members = setting.groups[group]
        full[members], moves[members] = w[row], w_dot[row]
    return full * setting.length, r * setting.length, moves * setting.length


def of_precise_flow(flow: PreciseFlow, points: list[arb]) -> States:
    """States of a flow in many digits at ln(1 + t), in balls."""
    system: Any = flow.ready.system
    rows = getattr(system, "teachers", None)
    with flint.ctx.workprec(flow.run.bits):
        teachers = _array(rows if rows is not None else [list(system.teacher)])
        axis = teachers[0] / lengths(teachers[:1])[0]
        members = np.array(flow.ready.members)
        found, states = [], flow._at(points)
        for x, y in zip(points, states, strict=True):
            w, moves = (
                _array([z[i : i + system.d] for i in range(0, len(z), system.d)])[members]
                for z in (y, system.field(time(x), y))
            )
            r = w.sum(axis=0) - teachers.sum(axis=0)
            found.append([_split(z, axis) for z in (w, r[None], moves)])
        columns = [np.array(column, dtype=object) for column in zip(*found, strict=True)]
        w, r, moves = (tidy(column) for column in columns)
        return States(
            t=np.array([time(x) for x in points], dtype=object),
            along=w[:, :, 0],
            across=w[:, :, 1:],
            residual=r[:, 0],
            velocity=moves,
            teachers=tidy(_split(teachers, axis)),
            lift=lambda rows: _lifted(rows, axis, flow.ready.frame),
            loss=np.array([system.loss(y) for y in states], dtype=object),
            gradient_norm=lengths(moves.reshape(len(points), -1)),
            bits=flow.run.bits,
            flat=flow.ready.frame is not None,
        )


def _array(rows: Any) -> Array:
    return np.array([[x.mid() for x in row] for row in rows], dtype=object)


def _split(rows: Array, axis: Array) -> Array:
    """(…, 1 + p): parts along the axis, then what is left."""
    along = (rows * axis).sum(axis=1)
    return tidy(np.concatenate([along[:, None], rows - along[:, None] * axis], axis=1))


def _lifted(rows: Array, axis: Array, frame: arb_mat | None) -> Array:
    whole = rows[..., 1:] + rows[..., :1] * axis
    if frame is None:
        return np.asarray(whole)
    flat = whole.reshape(-1, whole.shape[-1])
    lifted = (arb_mat(flat.tolist()) * frame).mid().tolist()
    return np.array(lifted, dtype=object).reshape(*rows.shape[:-1], -1)
