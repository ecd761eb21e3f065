"""The result of a descent: losses with their errors, weights, and its file."""

from __future__ import annotations

import html
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from flowkit.descents import storage
from flowkit.descents.course import Course
from flowkit.descents.pair_walk import PairWalk
from flowkit.descents.walk import RUNNING
from flowkit.flows.compiled import COMPILED
from flowkit.flows.coordinates import System
from flowkit.flows.flow import FLOOR, log_slope, significant
from flowkit.flows.threads import single_thread

Array = np.ndarray

SAFETY = 10.0  # of the difference to a run with simulated rounding
# A difference from which on it has been amplified, by a student that jumps over zero, say: one run
# is a sample, and more are made.
SENSITIVE, MORE = 1e-10, 3
UNDERFLOW = 1e-290  # losses below have no relative accuracy left


class Descent:
    """Gradient descent W ← W − η ∇L(W), stored at some iterations.

    Attributes
    ----------
    iteration : (m,) array of int
        The iterations stored; where a run stopped early, the last one done is the last.
    loss : (m,) array
        L; accurate relatively, see `loss_error`.
    gradient_norm : (m,) array
        ‖∇L‖; nan where a neuron is zero, or the descent has diverged.
    status : str
        "finished", or the cause of an early stop: "diverged", "zero neuron" (there is no gradient),
        "interrupted", "time limit", "failed"; "unfinished" in a checkpoint.  A run that ends in a
        cycle is "finished".
    message : str
        The same in words.
    problem, w0, step_size, steps
        What was asked for.
    """

    # `local_slope` is the derivative of a flow: fits of a descent do not use it.
    slope_is_exact = False

    def __init__(self, course: Course, errors: Array | None = None) -> None:
        self.course, walk = course, course.walk
        self.problem, self.w0, self.step_size = walk.problem, walk.w0, walk.step_size
        self.steps, self.status, self.message = course.steps, course.status, course.message
        self._rows = list(course.rows)
        self.iteration = np.array([row.iteration for row in self._rows], dtype=np.int64)
        self.loss = np.array([row.loss for row in self._rows])
        self.gradient_norm = np.array([row.gradient for row in self._rows])
        self._seconds, self._known = course.seconds, errors

    @cached_property
    def w(self) -> Array:
        """Students, shape (m, n, d), or (m, N) for a SymbolicLoss."""
        return np.array([self.course.walk.students(row) for row in self._rows])

    @property
    def t(self) -> Array:
        """η times the iteration, the time of the flow that the descent follows, shape (m,)."""
        return self.step_size * self.iteration

    @property
    def local_slope(self) -> Array:
        """−t ‖∇L‖²/L, d ln L/d ln t of the flow, of the descent up to order η; nan where L = 0."""
        return log_slope(self.t, self.gradient_norm, self.loss)

    @property
    def loss_error(self) -> Array:
        """Estimated relative error of `loss`, shape (m,); computed on first use.

        The descent is run again with random errors of four units in the last place in every pull
        and slope (and in w0 as it is rotated); ten times the difference of the losses is the
        estimate, the largest of four runs if the first differs by more than 1e-10.  Where the loss
        is that of weights in doubles (several teachers, other problems) what their rounding does
        to it is added.
        """
        if self._known is None:
            self._known = self._estimated()
        return self._known

    def _estimated(self) -> Array:
        gaps = self._gaps(seed=1)
        if gaps.max() > SENSITIVE:
            gaps = np.maximum.reduce([gaps, *(self._gaps(seed) for seed in range(2, 2 + MORE))])
        # A difference may pass through zero: neighbours speak for each other.
        padded = np.pad(gaps, 1, mode="edge")
        around = np.maximum(gaps, 0.3 * np.maximum(padded[:-2], padded[2:]))
        rounding = np.array([self.course.walk.rounding(row) for row in self._rows])
        errors = np.maximum(SAFETY * around + rounding, FLOOR)
        vanished = (self.loss < UNDERFLOW) & (self.loss[0] > 0)
        return np.where(vanished | ~(errors < 1), np.inf, errors)

    def _gaps(self, seed: int) -> Array:
        """Relative differences of the losses to those of a run with simulated rounding."""
        other = self.course.walk.rough(seed)
        gaps = np.full(len(self._rows), np.inf)
        with single_thread(), np.errstate(all="ignore"):
            for i, row in enumerate(self._rows):
                if other.advance(row.iteration) != RUNNING and other.iteration < row.iteration:
                    break
                gaps[i] = 0.0 if row.loss == 0 else abs(other.row().loss / row.loss - 1)
        if self.iteration[0] == 0:
            gaps[0] = 0.0  # both start from the same state
        return gaps

    def _states(self) -> Iterator[tuple[System, Array, Array, list[int]]]:
        """The state at each stored iteration in the frame of the flow; (leaky) ReLU only.

        Yields
        ------
        system : flowkit.flows.coordinates.System
            Of the groups of equal students: `sizes` (N,), `facing` (N,), `teachers` (k, D).  The
            other fields are those of a fresh system.
        r : (D,)
            Σ of the facing students − Σ of the teachers, to full relative accuracy.
        w : (N, D)
            Students, first axis along the first teacher, every coordinate accurate relatively.
        alive : list of int
            The group in ``course.walk.setting.groups`` of each row of w: all of them.

        Lengths are in units of ``course.walk.setting.length``, as in `PairField.state`.
        """
        walk = self.course.walk
        if not isinstance(walk, PairWalk):
            raise ValueError("problem: only (leaky) ReLU students have states in a frame")
        for row in self._rows:
            yield walk.state(row)

    @property
    def stats(self) -> dict[str, Any]:
        """Cost and settings of the run."""
        done = int(self.iteration[-1])
        known = {"iterations": done, "seconds": self._seconds, "compiled": COMPILED}
        return known | self.course.walk.size

    def save(self, file: Any) -> None:
        """Write a netCDF file that `flowkit.load` reads; complete or not at all.

        `loss_error` is in it if it has been asked for before; if not, the loaded descent computes
        it on first use.
        """
        storage.write(Path(file), self.course, {"w": self.w, "t": self.t}, self._known)

    def to_dict(self) -> dict[str, Any]:
        """Plain lists for JSON."""
        return {
            "iteration": self.iteration.tolist(),
            "t": self.t.tolist(),
            "loss": self.loss.tolist(),
            "loss_error": self.loss_error.tolist(),
            "gradient_norm": self.gradient_norm.tolist(),
            "w": self.w.tolist(),
            "step_size": self.step_size,
            "status": self.status,
            "message": self.message,
            "stats": self.stats,
        }

    def plot(self, ax: Any = None) -> Any:
        """Loss against iterations, log-log; returns the matplotlib Axes."""
        from flowkit.plots import plot_descent

        return plot_descent(self, ax)

    @property
    def _last(self) -> str:
        error = 1e-6 if self._known is None else float(self._known[-1])
        return significant(float(self.loss[-1]), error)

    def __repr__(self) -> str:
        shape = " ".join(f"{k}={v}" for k, v in zip("nd", self.w0.shape, strict=False))
        return (
            f"<Descent {shape} step_size={self.step_size:g} iterations=0…{self.iteration[-1]} "
            f"loss={self._last} {self.status}>"
        )

    def _repr_html_(self) -> str:
        rows = {
            "problem": repr(self.problem),
            "students": "×".join(map(str, self.w0.shape)),
            "step size": f"{self.step_size:g}",
            "iterations": f"0 … {self.iteration[-1]}",
            "final loss": self._last,
            "status": f"{self.status}: {self.message}",
        }
        cells = "".join(
            f"<tr><th style='text-align:left'>{k}</th>"
            f"<td style='text-align:left'>{html.escape(v)}</td></tr>"
            for k, v in rows.items()
        )
        return f"<table>{cells}</table>"


def unpacked(arrays: dict[str, Array], meta: dict[str, Any]) -> Descent:
    """The descent in a file that was read."""
    return Descent(storage.course(arrays, meta), arrays.get("loss_error"))
