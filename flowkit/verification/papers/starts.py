"""Initialisations: problem, initial weights and the end of the run, with a name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np

from flowkit.flows.flow import Flow
from flowkit.problems.teacher_student import TeacherStudent
from flowkit.verification.claim import Measured
from flowkit.verification.papers.measures import tried, whole_flow

Array = np.ndarray
EARLIER = 1e40
COARSE = 1e-7  # of flows with several teachers, whose steps cost more
Rows = dict[str, Measured]
LATE = 1e80  # where even slow profiles have been reached; doubles hold L to t = 1e100


@dataclass(frozen=True, eq=False)
class Start:
    """A run to be: what it is called, what is drawn alike (`kind`), from where, to when."""

    kind: str
    name: str
    problem: TeacherStudent
    w0: Array
    t_max: float = LATE
    rtol: float = 1e-10

    @cached_property
    def flow(self) -> Flow:
        """The flow to t_max, run when first asked for."""
        return whole_flow(self.problem, self.w0, self.t_max, rtol=self.rtol)

    @property
    def finished(self) -> bool:
        """Whether the run comes to its end."""
        try:
            return bool(self.flow)
        except ArithmeticError:
            return False


def rows(name: str, measure: Callable[[Flow], Measured], starts: Iterable[Start]) -> Rows:
    """A value for each start; nothing, with the reason, for a run that does not finish."""
    return {f"{name} · {x.name}": tried(lambda x=x: measure(x.flow)) for x in starts}


def finished(starts: Iterable[Start]) -> list[Start]:
    """Those whose runs come to their end."""
    return [start for start in starts if start.finished]


def teacher(d: int, length: float = 1.0, activation: str = "relu") -> TeacherStudent:
    """The problem of the teacher length · e₁ in d dimensions."""
    return TeacherStudent(length * np.eye(d)[0], activation)


def normal(n: int, sigma: float, seed: int) -> Array:
    """W(0) = σ N(0, I), d = n + 2."""
    return sigma * np.random.default_rng(seed).standard_normal((n, n + 2))


@cache
def gaussian(n: int, sigma: float, seed: int, t_max: float = LATE) -> Start:
    """One teacher e₁ and normal W(0)."""
    name = f"n = {n}, σ = {sigma:g}, seed {seed}"
    return Start(f"n = {n}", name, teacher(n + 2), normal(n, sigma, seed), t_max)


@cache
def alone(kind: str) -> Start:
    """Two students of which one survives.

    "zero": both along v = e₁, and one long enough to press the other one into zero.  "fading":
    both off the axis, the other one behind.  Its own direction frees a student that is pressed into
    zero by one w only, unless w lies along v: γ(−w̄) = −K(−w̄, v) < 0.
    """
    w0 = {
        "zero": [[2.0, 0.0, 0.0], [0.1, 0.0, 0.0]],
        "fading": [[2.0, 0.1, 0.0], [-0.1, 0.0, 0.01]],
    }[kind]
    return Start("one student left", f"one student left, {kind}", teacher(3), np.array(w0), 300.0)


# --- other distributions; σ is the scale of an entry, or the length of a row ---------------------


def student_t(n: int, sigma: float, seed: int) -> Array:
    """W(0) = `σ * default_rng(seed).standard_t(2, (n, n + 2))`: heavy tails, infinite variance."""
    return sigma * np.random.default_rng(seed).standard_t(2, (n, n + 2))


def uniform(n: int, sigma: float, seed: int) -> Array:
    """W(0) = `default_rng(seed).uniform(-σ, σ, (n, n + 2))`."""
    return np.random.default_rng(seed).uniform(-sigma, sigma, (n, n + 2))


def orthogonal(n: int, sigma: float, seed: int) -> Array:
    """`q, r = qr(default_rng(seed).standard_normal((n + 2, n + 2)))` of numpy.linalg, W(0) =
    `σ * (q * sign(diag(r)))[:n]`: rows of length σ, at right angles.
    """
    square = np.random.default_rng(seed).standard_normal((n + 2, n + 2))
    q, r = np.linalg.qr(square)
    return sigma * (q * np.sign(np.diag(r)))[:n]


def fan(n: int, sigma: float) -> Array:
    """w_i = σ (cos φ_i, sin φ_i, 0, …), φ_i = iπ/(n + 2), i = 1 … n: on one side, in a plane."""
    angle = np.pi * np.arange(1, n + 1) / (n + 2)
    return sigma * np.eye(2, n + 2).T.dot([np.cos(angle), np.sin(angle)]).T


def one_hot(n: int, sigma: float) -> Array:
    """w_i = σ e_i, i = 1 … n: the first along the teacher, the others across it."""
    return sigma * np.eye(n, n + 2)


def simplex(n: int, sigma: float) -> Array:
    """w_i = σ (½, √¾ c_i, 0) with c_i = (e_i − (1, …, 1)/n)/√(1 − 1/n) in n dimensions: of
    length σ, at 60° to the teacher, across it the corners of a regular simplex.
    """
    corners = (np.eye(n) - 1 / n) / np.sqrt(1 - 1 / n)
    rows = np.zeros((n, n + 2))
    rows[:, 0], rows[:, 1 : n + 1] = 0.5, np.sqrt(0.75) * corners
    return sigma * rows


RANDOM: dict[str, Any] = {
    "Student t₂": student_t,
    "uniform": uniform,
    "orthogonal": orthogonal,
}
FIXED: dict[str, Any] = {"fan": fan, "one-hot": one_hot, "simplex": simplex}


@cache
def other(kind: str, n: int, sigma: float, seed: int | None = None) -> Start:
    """One teacher e₁ and W(0) of another distribution, or fixed.

    Symmetry may hold a fixed start at an unstable profile, which rounding ends after t = 1e40.
    """
    if seed is None:
        w0, name = FIXED[kind](n, sigma), f"{kind}, n = {n}, σ = {sigma:g}"
    else:
        w0, name = RANDOM[kind](n, sigma, seed), f"{kind}, n = {n}, σ = {sigma:g}, seed {seed}"
    return Start(kind, name, teacher(n + 2), w0, LATE if seed is not None else EARLIER)


# --- other problems -------------------------------------------------------------------------------


@cache
def leaky(n: int, alpha: float, sigma: float, seed: int) -> Start:
    """Leaky students of slope α."""
    name = f"α = {alpha:g}, n = {n}, σ = {sigma:g}, seed {seed}"
    problem = teacher(n + 2, activation=f"leaky:{alpha!r}")
    return Start(f"α = {alpha:g}", name, problem, normal(n, sigma, seed))


@cache
def mirrored(alpha: float) -> Start:
    """Toy case 1 with slope α: two mirror images about the teacher."""
    problem = TeacherStudent([1.0, 0.0], f"leaky:{alpha!r}" if alpha else "relu")
    w0 = np.array([[0.3, 0.2], [0.3, -0.2]])
    return Start(f"α = {alpha:g}", f"mirror images, α = {alpha:g}", problem, w0)


@cache
def scaled(n: int, length: float, seed: int, weights: float) -> Start:
    """Teacher of this length, W(0) of 0.1 `weights` N(0, I)."""
    name = f"‖v‖ = {length:g}, n = {n}, seed {seed}"
    w0 = weights * normal(n, 0.1, seed)
    return Start(f"‖v‖ = {length:g}", name, teacher(n + 2, length), w0)


@cache
def several(k: int, n: int, kind: str, sigma: float, seed: int | str, t_max: float) -> Start:
    """k teachers, orthonormal or of default_rng(100 + k).standard_normal((k, d)), d = n + 2.

    The seed "equal" stands for n equal students σ(1, …, 1).
    """
    d = n + 2
    rows = np.eye(k, d)
    if kind == "generic":
        rows = np.random.default_rng(100 + k).standard_normal((k, d))
    w0 = np.full((n, d), sigma) if seed == "equal" else normal(n, sigma, int(seed))
    name = f"k = {k}, {kind}, n = {n}, σ = {sigma:g}, seed {seed}"
    return Start(f"k = {k}, n = {n}", name, TeacherStudent(rows), w0, t_max, COARSE)
