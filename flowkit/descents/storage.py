"""Descents in files, of the format of flows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from flowkit.descents.course import Course
from flowkit.descents.pair_walk import PairWalk
from flowkit.descents.plain_walk import PlainWalk
from flowkit.descents.walk import Row
from flowkit.flows.storage import write_arrays
from flowkit.problems import stored

Array = np.ndarray
KIND = "descent"
KINDS: dict[str, type[PairWalk] | type[PlainWalk]] = {"pairs": PairWalk, "plain": PlainWalk}
PLAIN = ("steps", "grid", "status", "message", "seconds")


def write(file: Path, course: Course, known: dict[str, Array], errors: Array | None) -> None:
    """A descent, complete or not at all; `known` are further arrays that a reader may want."""
    walk, rows = course.walk, course.rows
    state, plain = walk.pack()
    columns = {
        "iteration": np.array([row.iteration for row in rows], dtype=float),
        "loss": np.array([row.loss for row in rows]),
        "gradient_norm": np.array([row.gradient for row in rows]),
    }
    own = list(rows[0].arrays) if rows else []
    for name in own:
        columns[f"row_{name}"] = np.array([row.arrays[name] for row in rows])
    arrays = state | columns | known | {"w0": walk.w0}
    if errors is not None:
        arrays["loss_error"] = errors
    meta = {name: getattr(course, name) for name in PLAIN}
    meta |= {"kind": KIND, "walk": walk.kind, "setting": plain, "rows": own}
    meta |= {"problem": stored.packed(walk.problem), "step_size": walk.step_size}
    write_arrays(file, arrays, meta)


def course(arrays: dict[str, Array], meta: dict[str, Any]) -> Course:
    """What `write` wrote."""
    problem = stored.unpacked(meta["problem"])
    start = (problem, arrays["w0"], meta["step_size"])
    walk = KINDS[meta["walk"]].unpack(*start, arrays, meta["setting"])
    columns = zip(arrays["iteration"], arrays["loss"], arrays["gradient_norm"], strict=True)
    rows = [
        Row(int(k), float(loss), float(gradient), {n: arrays[f"row_{n}"][i] for n in meta["rows"]})
        for i, (k, loss, gradient) in enumerate(columns)
    ]
    return Course(walk, rows=rows, **{name: meta[name] for name in PLAIN})
