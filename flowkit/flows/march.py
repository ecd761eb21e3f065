"""From a start to t_max through pieces: coordinates change, neurons die and come back, stops."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from flowkit.flows import zero_neuron
from flowkit.flows.collocation import (
    AHEAD,
    BEHIND,
    GROWN,
    NEAR_ZERO,
    REACHED,
    STUCK,
    SWITCH,
    TURNED,
    UNEVEN,
)
from flowkit.flows.coordinates import LINEAR, POWER, System, encode, size
from flowkit.flows.kernel import polar, remainder
from flowkit.flows.path import Happening, Path, Piece, state_of
from flowkit.flows.steppers import Stepper, Steps, make, step_at
from flowkit.flows.stops import Stop, first_stop
from flowkit.flows.threads import single_thread
from flowkit.problems import pairs

Array = np.ndarray

DENSE = 400  # length of a state up to which a Newton matrix is formed
RELEASE = 1e-7  # of the loss, which γ is compared with
SPENT = 1e-250  # a loss below which γ is out of the range of doubles
SETTLED = 1e-5  # of ‖v‖²: a loss below which the others have settled
RELEASED = "leaves zero: a direction has turned downhill"

Report = Callable[[float, float, float], None]


class Start(NamedTuple):
    """Where a piece begins: system, time, r, students, and the groups that are alive.

    `stiff` if a neuron has just left zero: its direction is fast in all directions, differently.
    """

    system: System
    t: float
    r: Array
    w: Array
    alive: list[int]
    stiff: bool = False


@dataclass
class Limits:
    """When to stop before t_max."""

    steps: int = 20_000
    seconds: float = np.inf
    stops: list[Stop] = field(default_factory=list)


def initial_system(teachers: Array, sizes: Array, weights: tuple[float, float]) -> System:
    """All students facing, POWER, without a pivot: `fitted` finds it."""
    mean, kink_weight = weights
    sizes = np.asarray(sizes, dtype=float)
    tau = 1 / (sizes.sum() * mean)
    power = 1.0 if len(teachers) == 1 else 0.0
    ones = np.ones(len(sizes))
    return System(
        sizes, ones, ones, np.array(teachers), mean, kink_weight, POWER, -1, 0, power, tau, 0.0
    )


def fitted(
    system: System, t: float, r: Array, w: Array, linear: bool = False
) -> tuple[System, Array]:
    """The system whose coordinates fit (r, w): who is behind, who is centred; and its r.

    With several teachers everybody counts as facing.
    """
    facing = system.facing.copy()
    norms, _ = pairs.polar(w)
    if len(system.teachers) == 1:
        cosine = w[:, 0] / norms
        facing[cosine < BEHIND] = -1.0
        facing[cosine > AHEAD] = 1.0
    r = r + (system.sizes * (facing - system.facing) / 2) @ w
    centred = ((facing > 0) & (norms > UNEVEN * norms.mean())).astype(float)
    pivot = int(np.argmax(centred * system.sizes * norms)) if centred.any() else -1
    tau = 1 / (system.sizes.sum() * system.mean)
    size_v = float(np.linalg.norm(system.teachers[0]))
    small = system.sizes @ norms < 0.2 * GROWN * size_v
    early = int(pivot >= 0 and len(system.teachers) == 1 and small)
    mode = LINEAR if linear and centred.all() and not early else POWER
    fit = {"facing": facing, "centred": centred, "pivot": pivot, "mode": mode, "early": early}
    return system._replace(start=t, tau=tau, **fit), r


@dataclass
class March:
    """Fills a path piece by piece."""

    whole: System
    path: Path
    t_max: float
    limits: Limits = field(default_factory=Limits)
    report: Report | None = None
    save: Callable[[], None] | None = None
    began: float = field(default_factory=time.monotonic)

    def run(self, r: Array, w: Array) -> Path:
        """From t = 0."""
        system, r = fitted(self.whole, 0.0, r, w)
        return self._go(Start(system, 0.0, r, w, list(range(len(w)))))

    def resume(self) -> Path:
        """From where the path ends."""
        piece, t = self.path.pieces[-1], self.path.end
        r, w = state_of(piece.system, t, piece.steps.y[-1])
        self.path.status, self.path.message = "finished", "reached t_max"
        stiff = piece.method != self.path.method
        return self._go(Start(piece.system, t, r, w, piece.alive, stiff))

    def _go(self, start: Start | None) -> Path:
        try:
            with single_thread():
                while start is not None:
                    start = self._piece(start)
        except KeyboardInterrupt:
            self._stop("interrupted", f"interrupted at t = {self.path.end:.6g}")
        return self.path

    def _piece(self, start: Start) -> Start | None:
        """Steps in one set of coordinates; returns where the next piece starts."""
        system, t, r, w, alive, stiff = start
        y = np.empty(size(system))
        encode(system, t, np.ascontiguousarray(r), np.ascontiguousarray(w), y)
        method = "Radau" if stiff and len(y) <= DENSE else self.path.method
        first = step_at(system, t, y) if alive else _nothing(system, t, y)
        piece = Piece(system, alive, method, first)
        self.path.pieces.append(piece)
        if not alive:
            self._stand_still(piece)
            return None
        if t >= self.t_max:
            return None
        stepper = make(method, system, t, y, self.path.rtol, self.t_max)
        try:
            return self._steps(piece, stepper)
        finally:
            for name, value in stepper.cost.items():
                self.path.cost[name] = self.path.cost.get(name, 0) + value

    def _steps(self, piece: Piece, stepper: Stepper) -> Start | None:
        dead = self._dead(piece)
        size_v = float(np.linalg.norm(piece.system.teachers))
        near = zero_neuron.NEAR * size_v
        while True:
            watch = self._watch(piece) if dead else np.inf
            most = max(1, self.limits.steps - self._taken(stepper))
            code, steps = stepper.advance(self.t_max, near, watch, most)
            known = len(piece.t)
            piece.extend(steps)
            if len(steps.t):
                self._say(steps)
            stop = first_stop(self.limits.stops, self.path, piece, known)
            if stop is not None:
                self._stop(*stop)
                return None
            change = self._see_to(code, piece, stepper, dead)
            if change is not None:
                return change
            if code == REACHED:
                return None
            if code == STUCK:
                self._stop("failed", f"no step succeeds at t = {self.path.end:.6g}")
                return None
            if self._exhausted(stepper):
                return None
            smallest = float(stepper.work.norms[: len(stepper.work.w)].min())
            near = zero_neuron.NEAR * size_v
            if smallest < near:  # it was looked at: again when it is much smaller
                near = 0.3 * smallest

    def _see_to(self, code: int, piece: Piece, stepper: Stepper, dead: list[int]) -> Start | None:
        """What the last step calls for: a death, a release, other coordinates; or nothing."""
        t, work = self.path.end, stepper.work
        here = Start(piece.system, t, work.r.copy(), work.w.copy(), piece.alive)
        if dead and t >= self._watch(piece):
            change = self._release(piece, dead)
            if change is not None:
                return change
        if code == NEAR_ZERO:
            value = float(piece.steps.loss[-1])
            change = self._death(here, work) or self._fading(here, work, value)
            return change or self._straight(here, value)
        if code == TURNED:
            return self._refit(here)
        if code == SWITCH:
            return self._refit(here, linear=piece.system.mode == POWER)
        return None

    def _refit(self, at: Start, linear: bool = False) -> Start:
        system, r = fitted(at.system, at.t, at.r, at.w, linear)
        return Start(system, at.t, r, at.w, at.alive)

    def _stand_still(self, piece: Piece) -> None:
        """All neurons are at zero: the state stays as it is until t_max."""
        if piece.t[-1] < self.t_max:
            last = piece.steps
            same = (x[-1:] for x in last[1:])
            piece.extend(Steps(np.array([self.t_max]), *same))

    def _death(self, at: Start, work: Any) -> Start | None:
        """The start without a neuron that reaches zero now; None if none does."""
        fate = zero_neuron.dying(at.system, at.r, at.w)
        if fate is None or at.t + fate[1] >= self.t_max:
            return None
        out, remaining = fate
        rest, r, w = zero_neuron.drop(at.system, at.r, at.w, work.w_dot, out, remaining)
        t = at.t + remaining
        return self._without(at, out, Start(rest, t, r, w, []), "zero-neuron", "reached zero norm")

    def _fading(self, at: Start, work: Any, value: float) -> Start | None:
        fate = zero_neuron.fading(at.system, at.r, at.w, work.w_dot, value)
        if fate is None:
            return None
        i, lost = fate
        system, r, w = zero_neuron.without(at.system, at.r, at.w, i)
        text = "has faded, opposite to the teacher: it counts as zero from here on"
        if lost:
            text = "has faded below rounding: it counts as zero, and the loss is uncertain"
            self.path.lost = min(self.path.lost, at.t)
        return self._without(at, [i], Start(system, at.t, r, w, []), "fading-neuron", text)

    def _straight(self, at: Start, value: float) -> Start | None:
        w = zero_neuron.straight(at.system, at.r, at.w, value)
        return None if w is None else self._refit(at._replace(w=w))

    def _without(self, at: Start, out: list[int], rest: Start, kind: str, text: str) -> Start:
        self.path.watched = rest.t
        self.path.events += [Happening(kind, at.alive[i], rest.t, text) for i in out]
        alive = [group for i, group in enumerate(at.alive) if i not in out]
        system, r = rest.system, rest.r
        if alive:
            system, r = fitted(system, rest.t, r, rest.w)
        return Start(system, rest.t, r, rest.w, alive)

    def _release(self, piece: Piece, dead: list[int]) -> Start | None:
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
        system, r, w, alive = self.path.state(high)
        piece.keep(int(np.searchsorted(piece.t, high)))
        self.path.watched = high
        self.path.events += [Happening("released-neuron", g, high, RELEASED) for g in dead]
        sizes = self.whole.sizes[dead]
        back, r, w = zero_neuron.release(system, r, w, sizes, *self._weakest(high))
        fit, r = fitted(back, high, r, w)
        return Start(fit, high, r, w, alive + dead, stiff=True)

    def _watch(self, piece: Piece) -> float:
        """When to look at the dead neurons next: seldom, once the others have settled."""
        teachers = piece.system.teachers
        learnt = float(piece.steps.loss[-1]) < SETTLED * float((teachers**2).sum())
        return (1.5 if learnt else 1.1) * self.path.watched

    def _dead(self, piece: Piece) -> list[int]:
        """Groups that reached zero; those that faded are not at zero, and nothing releases them."""
        faded = {what.group for what in self.path.events if what.kind == "fading-neuron"}
        groups = set(range(len(self.whole.sizes)))
        return sorted(groups - set(piece.alive) - faded)

    def _weakest(self, t: float) -> tuple[float, Array]:
        system, r, w, _ = self.path.state(t)
        return zero_neuron.weakest(system, r, w)

    def _say(self, steps: Steps) -> None:
        if self.report:
            t, value, slope = (float(x[-1]) for x in (steps.t, steps.loss, steps.gradient))
            self.report(t, value, -t * slope * slope / value if value > 0 else np.nan)
        if self.save:
            self.save()

    def _taken(self, stepper: Stepper) -> int:
        """Steps so far."""
        return int(self.path.cost.get("steps", 0) + stepper.cost["steps"])

    def _exhausted(self, stepper: Stepper) -> bool:
        taken, t = self._taken(stepper), self.path.end
        if taken >= self.limits.steps:
            self._stop("step limit", f"{taken} steps taken by t = {t:.6g}")
        elif time.monotonic() - self.began >= self.limits.seconds:
            self._stop("time limit", f"{self.limits.seconds:g} s spent by t = {t:.6g}")
        else:
            return False
        return True

    def _stop(self, status: str, message: str) -> None:
        self.path.status, self.path.message = status, message


def _nothing(system: System, t: float, y: Array) -> Steps:
    """Every neuron is at zero: L = ½ E (Σ σ(v·x))²."""
    k, dim = system.teachers.shape
    norms, units, offsets = np.empty(k), np.empty((k, dim)), np.empty((k, dim))
    polar(system.teachers, np.ones(k), norms, units, offsets)
    total = system.teachers.sum(axis=0)
    linear = 0.5 * system.mean * (total @ total)
    value = linear + system.kink_weight * remainder(offsets, norms)
    return Steps(np.array([t]), np.array([y]), np.array([value]), np.zeros(1))
