"""Flows of (leaky) ReLU students: sides and coordinates change, neurons die and come back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from flowkit.flows import zero_neuron
from flowkit.flows.cluster_field import ClusterField, clusters, settled, state_of
from flowkit.flows.collocation import AHEAD, BEHIND, GROWN, UNEVEN
from flowkit.flows.coordinates import (
    LINEAR,
    POWER,
    System,
    Work,
    encode,
    initial_system,
    size,
)
from flowkit.flows.field import FULL, NEAR_ZERO, SWITCH, TURNED
from flowkit.flows.march import March, Start
from flowkit.flows.pair_field import PairField
from flowkit.flows.path import Happening, Piece
from flowkit.flows.steppers import Stepper
from flowkit.problems import pairs

Array = np.ndarray

# Length of a state up to which a Newton matrix is formed where it pays; and where it is needed.
DENSE, LARGEST = 400, 1500
RELEASE = 1e-7  # of the loss, which γ is compared with
SPENT = 1e-250  # a loss below which γ is out of the range of doubles
SETTLED = 1e-5  # of ‖v‖²: a loss below which the others have settled
RELEASED = "leaves zero: a direction has turned downhill"


class State(NamedTuple):
    """A system, its time, r (D,) and students (N, D), and the groups that are alive."""

    system: System
    t: float
    r: Array
    w: Array
    alive: list[int]

    def start(self, stiff: bool = False) -> Start:
        """In the coordinates of the system; `stiff` where all directions are fast, differently."""
        y = np.empty(size(self.system))
        r, w = np.ascontiguousarray(self.r), np.ascontiguousarray(self.w)
        encode(self.system, self.t, r, w, y)
        method = "Radau" if stiff and len(y) <= DENSE else ""
        return Start(PairField(self.system), self.t, y, self.alive, method)


def fitted(
    system: System, t: float, r: Array, w: Array, linear: bool = False
) -> tuple[System, Array]:
    """The system whose coordinates fit (r, w): who is behind, who is centred; and its r.

    With several teachers everybody counts as facing, and is kept as it is, beside r.
    """
    single = len(system.teachers) == 1
    facing = system.facing.copy()
    norms, _ = pairs.polar(w)
    if single:
        cosine = w[:, 0] / norms
        facing[cosine < BEHIND] = -1.0
        facing[cosine > AHEAD] = 1.0
    r = r + (system.sizes * (facing - system.facing) / 2) @ w
    centred = (single & (facing > 0) & (norms > UNEVEN * norms.mean())).astype(float)
    pivot = int(np.argmax(centred * system.sizes * norms)) if centred.any() else -1
    tau = 1 / (system.sizes.sum() * system.mean)
    size_v = float(np.linalg.norm(system.teachers[0]))
    small = system.sizes @ norms < 0.2 * GROWN * size_v
    early = int(pivot >= 0 and small)
    mode = LINEAR if linear and centred.all() and not early else POWER
    fit = {"facing": facing, "centred": centred, "pivot": pivot, "mode": mode, "early": early}
    return system._replace(start=t, tau=tau, **fit), r


@dataclass(kw_only=True)
class PairMarch(March):
    """From students w (N, D) with residual r (D,), groups as in `whole`."""

    whole: System
    r: Array
    w: Array

    def begin(self) -> Start:
        system, r = fitted(self.whole, 0.0, self.r, self.w)
        return State(system, 0.0, r, self.w, list(range(len(self.w)))).start()

    def near(self, stepper: Stepper | None) -> float:
        near = zero_neuron.NEAR * float(np.linalg.norm(self.whole.teachers))
        if stepper is None:
            return near
        if isinstance(stepper.field, ClusterField):
            return 0.0
        work = _work(stepper)
        smallest = float(work.norms[: len(work.w)].min())
        # One that is below was looked at: again when it is much smaller.
        return 0.3 * smallest if smallest < near else near

    def watch(self, piece: Piece) -> float:
        """When to look at the dead neurons next: seldom, once the others have settled."""
        if not self._dead(piece):
            return np.inf
        teachers = self.whole.teachers
        learnt = float(piece.steps.loss[-1]) < SETTLED * float((teachers**2).sum())
        return (1.5 if learnt else 1.1) * self.path.watched

    def see_to(self, code: int, piece: Piece, stepper: Stepper) -> Start | None:
        t = self.path.end
        if t >= self.watch(piece):
            change = self._release(piece)
            if change is not None:
                return change
        if isinstance(piece.field, ClusterField):
            return self._refit(self._state(t)) if code == TURNED else None
        work = _work(stepper)
        here = State(piece.field.system, t, work.r.copy(), work.w.copy(), piece.alive)
        if code == NEAR_ZERO:
            value = float(piece.steps.loss[-1])
            change = self._death(here, work) or self._fading(here, work, value)
            return change or self._held(here, work)
        if code == TURNED:
            return self._refit(here)
        if code in (SWITCH, FULL) and len(self.whole.teachers) > 1:
            return self._clusters(here)
        if code == SWITCH:
            return self._refit(here, linear=here.system.mode == POWER)
        return None

    def _refit(self, at: State, linear: bool = False) -> Start:
        system, r = fitted(at.system, at.t, at.r, at.w, linear)
        return at._replace(system=system, r=r).start()

    def _clusters(self, at: State) -> Start | None:
        """Each teacher with the students that learn it."""
        found = clusters(at.system, at.w, at.t)
        if found is None or at.w.size > LARGEST:
            return None
        field = settled(found, at.w)
        y = field.encode(at.t, state_of(field.system, at.w))
        method = "Radau" if self.path.method == "structured" else ""
        return Start(field, at.t, y, at.alive, method)

    def _death(self, at: State, work: Work) -> Start | None:
        """The start without a neuron that reaches zero now; None if none does."""
        fate = zero_neuron.dying(at.system, at.r, at.w, work.w_dot)
        if fate is None or at.t + fate[1] >= self.t_max:
            return None
        out, remaining = fate
        rest, r, w = zero_neuron.drop(at.system, at.r, at.w, work.w_dot, out, remaining)
        t = at.t + remaining
        return self._without(at, out, State(rest, t, r, w, []), "zero-neuron", "reached zero norm")

    def _fading(self, at: State, work: Work, value: float) -> Start | None:
        fate = zero_neuron.fading(at.system, at.r, at.w, work.w_dot, value)
        if fate is None:
            return None
        i, lost = fate
        system, r, w = zero_neuron.without(at.system, at.r, at.w, i)
        text = "has faded, opposite to the teacher: it counts as zero from here on"
        if lost:
            text = "has faded below rounding: it counts as zero, and the loss is uncertain"
            self.path.lost = min(self.path.lost, at.t)
        return self._without(at, [i], State(system, at.t, r, w, []), "fading-neuron", text)

    def _held(self, at: State, work: Work) -> Start | None:
        """The start with other students held on the axis; None if they stay the same."""
        held = zero_neuron.held(at.system, work)
        if (held == at.system.held).all():
            return None
        at.w[held > 0, 1:] = 0.0
        return self._refit(at._replace(system=at.system._replace(held=held)))

    def _without(self, at: State, out: list[int], rest: State, kind: str, text: str) -> Start:
        self.path.watched = rest.t
        self.path.events += [Happening(kind, at.alive[i], rest.t, text) for i in out]
        alive = [group for i, group in enumerate(at.alive) if i not in out]
        if not alive and kind == "zero-neuron":
            found = zero_neuron.weakest(rest.system, rest.r, rest.w)
            if found[0] < 0:  # nobody else is left to change it: at once
                return self._released(rest, [at.alive[i] for i in out], found).start()
        system, r = rest.system, rest.r
        if alive:
            system, r = fitted(system, rest.t, r, rest.w)
        return State(system, rest.t, r, rest.w, alive).start()

    def _released(self, at: State, groups: list[int], found: tuple[float, Array]) -> State:
        """With these groups just off zero, where γ is least, as found by `weakest`."""
        self.path.events += [Happening("released-neuron", g, at.t, RELEASED) for g in groups]
        back, r, w = zero_neuron.release(at.system, at.r, at.w, self.whole.sizes[groups], *found)
        fit, r = fitted(back, at.t, r, w)
        return State(fit, at.t, r, w, at.alive + groups)

    def _release(self, piece: Piece) -> Start | None:
        """The start with the dead neurons back if zero no longer holds them; else None.

        Looked at whenever t has grown by a tenth or a half since the last look, then located by
        bisection.
        """
        t = self.path.end
        before, self.path.watched = max(self.path.watched, float(piece.t[0])), t
        # Clearly negative: as soon as it has grown, the neuron itself makes γ larger.
        value = float(piece.steps.loss[-1])
        limit = -RELEASE * value
        if value < SPENT or self._weakest(t)[0] >= limit:
            return None
        low, high = before, t
        while high - low > 1e-9 * high:
            middle = 0.5 * (low + high)
            low, high = (middle, high) if self._weakest(middle)[0] >= limit else (low, middle)
        at = self._state(high)
        dead = self._dead(piece)
        piece.keep(int(np.searchsorted(piece.t, high)))
        self.path.watched = high
        return self._released(at, dead, self._weakest(high)).start(stiff=True)

    def _dead(self, piece: Piece) -> list[int]:
        """Groups that reached zero; those that faded are not at zero, and nothing releases them."""
        faded = {what.group for what in self.path.events if what.kind == "fading-neuron"}
        groups = set(range(len(self.whole.sizes)))
        return sorted(groups - set(piece.alive) - faded)

    def _weakest(self, t: float) -> tuple[float, Array]:
        at = self._state(t)
        return zero_neuron.weakest(at.system, at.r, at.w)

    def _state(self, t: float) -> State:
        """The state at any t in range."""
        piece, y = self.path.at(t)
        if isinstance(piece.field, PairField):
            return State(piece.field.system, t, *piece.field.state(t, y), piece.alive)
        assert isinstance(piece.field, ClusterField)
        sizes = self.whole.sizes[piece.alive]
        weights = (self.whole.mean, self.whole.kink_weight)
        system = initial_system(self.whole.teachers, sizes, weights)
        r, w = piece.field.residual(t, y), piece.field.students(t, y)
        return State(system, t, r, w, piece.alive)


def _work(stepper: Stepper) -> Work:
    assert isinstance(stepper.field, PairField)
    return stepper.field.work
