"""Where a flow of teacher and students has come to: clusters of students around their teachers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import exp, log
from typing import Any

import numpy as np
from flint import arb, arb_mat

from flowkit.asymptotics.newton import doubles
from flowkit.flows.cluster_field import ClusterField
from flowkit.flows.flow import Flow, Sample
from flowkit.flows.pair_field import PairField
from flowkit.flows.pair_setting import PairSetting
from flowkit.multiprecision.flow import PreciseFlow
from flowkit.problems.exact import to_mpf

Array = np.ndarray

FARTHEST = 1e90  # later states of a flow in doubles are a magnified picture
FADED = 1e-100  # of ‖v‖: a student behind its teacher that is shorter will not come back
FAR = "the students have not come close to their teachers yet"
NEAR = 0.3  # angles, and residuals in units of ‖v‖, within which students are a cluster


@dataclass(frozen=True)
class Cluster:
    """The students of one teacher v, equal ones a row.

    Attributes
    ----------
    length : float or arb
        ‖v‖.
    members : list of list of int
        Students of each row.
    h : (N,)
        Parts of one student along v, in units of ‖v‖, sum 1: less its share of the residual.
    b : (N, D)
        Parts across v, in units of ‖v‖, in the frame of the flow.
    """

    length: Any
    members: list[list[int]]
    h: Array
    b: Array

    @property
    def sizes(self) -> Array:
        """Students of each row."""
        return np.array([len(group) for group in self.members])

    @property
    def count(self) -> int:
        """All students."""
        return int(self.sizes.sum())


@dataclass(frozen=True)
class End:
    """A state near a global minimum.

    Attributes
    ----------
    t : float or arb
    clusters : list of Cluster
    cube : float or arb
        t³L.
    accuracy : float
        Relative error of the loss; infinite if nobody has looked.
    dims : int
        Dimensions across a teacher in which the flow can move.
    lift : callable
        Rows of the frame as rows (…, d) of the user.
    """

    t: Any
    clusters: list[Cluster]
    cube: Any
    accuracy: float
    dims: int
    lift: Callable[[Array], Array]


class FarError(ArithmeticError):
    """The flow is not near a global minimum."""


def last_time(flow: Flow | PreciseFlow) -> Any:
    """The end of a run, as far as it is of use."""
    if isinstance(flow, Flow):
        return min(flow.path.end, FARTHEST)
    return flow.run.end.expm1().mid()


def earlier_time(flow: Flow | PreciseFlow, t: Any) -> Any:
    """About half of t; of a flow in doubles, where a step ended."""
    if isinstance(flow, Flow):
        times = flow.path.times
        return float(times[max(np.searchsorted(times, t / 2, side="right") - 1, 0)])
    return (t / 2).mid()


def end(flow: Flow | PreciseFlow, t: Any) -> End:
    """The state at time t (float or arb); `flint.ctx.prec` must be that of the run.

    Raises
    ------
    FarError
        It is not near a global minimum.
    """
    return _double_end(flow, t) if isinstance(flow, Flow) else _precise_end(flow, t)


def _double_end(flow: Flow, t: float) -> End:
    setting, (piece, y) = flow.setting, flow.path.at(t)
    assert isinstance(setting, PairSetting)
    teachers, groups = setting.frame.teachers, [setting.groups[i] for i in piece.alive]
    if isinstance(piece.field, ClusterField):
        _, c, beta = piece.field.state(t, y)
        owner = piece.field.system.owner
    else:
        assert isinstance(piece.field, PairField)
        if len(teachers) > 1:
            raise FarError(FAR)
        w = piece.field.students(t, y)
        c, beta, owner = w[:, 0], w.copy(), np.zeros(len(w), dtype=int)
        beta[:, 0] = 0.0
    log_loss = float(Sample(flow, np.array([t])).log_loss[0])
    return End(
        t=t,
        clusters=_clusters(teachers, groups, owner, c, beta, setting.length),
        cube=exp(log_loss + 3 * log(t)) if t > 0 else 0.0,
        accuracy=float(flow._error_at(np.array([t]))[0]),
        dims=_rank(np.vstack([teachers, setting.w])) - 1,
        lift=setting.frame.lift,
    )


def _precise_end(flow: PreciseFlow, t: arb) -> End:
    system: Any = flow.ready.system
    y = flow._at([min(t.log1p().mid(), flow.run.end)])[0]
    start, teachers = _rows(flow.ready.start, system.d), _array(system.teachers)
    w = _rows(y, system.d)
    members = flow.ready.members
    groups = [[i for i, g in enumerate(members) if g == row] for row in range(len(w))]
    units = teachers / np.array([[_root((v * v).sum())] for v in teachers], object)
    owner = np.argmax(doubles(w @ units.T), axis=1)
    c = (w * units[owner]).sum(axis=1)
    return End(
        t=t,
        clusters=_clusters(teachers, groups, owner, c, w - c[:, None] * units[owner], 1),
        cube=(system.loss(y) * t**3).mid(),
        accuracy=10.0 ** -min(flow.digits_at(to_mpf(t)), 300) if flow.certified else np.inf,
        dims=_rank(doubles(np.vstack([teachers, start]))) - 1,
        lift=partial(_lifted, flow.ready.frame),
    )


def _clusters(
    teachers: Array, groups: list[list[int]], owner: Array, c: Array, beta: Array, unit: float
) -> list[Cluster]:
    """Students by teacher; `unit` is the frame's length in the user's."""
    found = []
    for k, v in enumerate(teachers):
        length = _root((v * v).sum())
        mine = np.flatnonzero(owner == k)
        behind = c[mine] <= 0
        square = c * c + (beta * beta).sum(axis=1)
        if (square[mine[behind]] > (FADED * length) ** 2).any():
            raise FarError("a student behind its teacher has not faded yet")
        rows = mine[~behind]
        members = [groups[i] for i in rows]
        if not members:
            raise FarError(FAR)
        h, b = c[rows] / length, beta[rows] / length
        sizes = np.array([len(group) for group in members])
        excess = (sizes * h).sum() - 1
        tangents = doubles((b * b).sum(axis=1) / (h * h))
        if tangents.max() > NEAR**2 or abs(excess) > NEAR:
            raise FarError(FAR)
        found.append(Cluster(length * unit, members, h - excess / int(sizes.sum()), b))
    return found


def _root(x: Any) -> Any:
    return x.mid().sqrt().mid() if isinstance(x, arb) else np.sqrt(x)


def _array(rows: Any) -> Array:
    return np.array([[x.mid() for x in row] for row in rows], dtype=object)


def _rows(flat: list[arb], width: int) -> Array:
    return _array([flat[i : i + width] for i in range(0, len(flat), width)])


def _lifted(frame: arb_mat | None, rows: Array) -> Array:
    if frame is None:
        return rows
    return np.array((arb_mat(rows.tolist()) * frame).mid().tolist(), dtype=object)


def _rank(rows: Array) -> int:
    scaled = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return int(np.linalg.matrix_rank(scaled, tol=1e-12))
