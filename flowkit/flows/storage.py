"""Runs in netCDF-3 files (classic format, readable by xarray, ncdump and the like)."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path as FilePath
from typing import Any

import numpy as np

from flowkit.files import replacing
from flowkit.flows.charts import LinearChart, PowerChart
from flowkit.flows.field import Field
from flowkit.flows.flow import Flow
from flowkit.flows.frame import Frame
from flowkit.flows.stepping import Path, Piece
from flowkit.problems.teacher_student import TeacherStudent

Array = np.ndarray
FORMAT = "flowkit-flow-1"


def save(flow: Flow, file: FilePath) -> None:
    """Write the run, complete or not at all."""
    arrays, meta = _pack(flow)
    with replacing(file) as temporary:
        _write(temporary, arrays, json.dumps(meta))


def load(file: Any) -> Flow:
    """Read a run written by `Flow.save`; it can be evaluated at any t as before.

    Raises
    ------
    ValueError
        No such file, not a flowkit run, truncated or altered.
    """
    name = FilePath(file)
    try:
        arrays, text = _read(name)
    except FileNotFoundError:
        raise ValueError(f"file: {str(name)!r} does not exist") from None
    except Exception as problem:
        raise ValueError(f"file: {str(name)!r} is not a readable flowkit run ({problem})") from None
    return _unpack(arrays, json.loads(text))


def _pack(flow: Flow) -> tuple[dict[str, Array], dict[str, Any]]:
    path = flow.path
    arrays = {
        "t": flow.t,
        "w": flow.w,
        "loss": flow.loss,
        "loss_error": flow.loss_error,
        "local_slope": flow.local_slope,
        "w0": flow.w0,
        "teacher": flow.problem.teacher,
        "basis": flow.frame.basis,
        "frame_teachers": flow.frame.teachers,
        "error_times": flow._errors[0],
        "errors": flow._errors[1],
    }
    pieces = []
    for i, piece in enumerate(path.pieces):
        chart = piece.chart
        arrays |= {
            f"piece{i}_t": np.array(piece.t),
            f"piece{i}_y": np.array(piece.y),
            f"piece{i}_sizes": chart.field.sizes,
        }
        start = chart.start if isinstance(chart, LinearChart) else None
        pieces.append({"alive": piece.alive, "pivot": chart.pivot, "linear_from": start})
    meta = {
        "activation": str(flow.problem.activation),
        "t_max": flow.t_max,
        "rtol": flow.rtol,
        "members": flow.members,
        "pieces": pieces,
        "events": path.events,
        "path": {k: getattr(path, k) for k in _PLAIN},
    }
    return arrays, meta


_PLAIN = ("tolerance", "status", "message", "steps", "nfev", "njev", "nlu")


def _unpack(arrays: dict[str, Array], meta: dict[str, Any]) -> Flow:
    problem = TeacherStudent(arrays["teacher"], meta["activation"])
    mean, kink_weight = map(float, problem.weights)
    pieces = []
    for i, saved in enumerate(meta["pieces"]):
        sizes = arrays[f"piece{i}_sizes"]
        field = Field(arrays["frame_teachers"], sizes, mean, kink_weight)
        start = saved["linear_from"]
        if start is None:
            chart: Any = PowerChart(field, saved["pivot"])
        else:
            chart = LinearChart(field, saved["pivot"], start)
        times, states = arrays[f"piece{i}_t"], arrays[f"piece{i}_y"]
        pieces.append(Piece(chart, saved["alive"], times.tolist(), list(states)))
    path = Path(pieces, events=[(kind, g, t) for kind, g, t in meta["events"]], **meta["path"])
    frame = Frame(arrays["basis"], arrays["frame_teachers"])
    settings = (meta["t_max"], meta["rtol"], path, frame, meta["members"], arrays["t"])
    flow = Flow(problem, arrays["w0"], *settings)
    flow.__dict__["_errors"] = (arrays["error_times"], arrays["errors"])
    return flow


def _digest(arrays: dict[str, Array], text: str) -> str:
    total = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        total.update(name.encode())
        total.update(np.ascontiguousarray(arrays[name], dtype=">f8").tobytes())
    return total.hexdigest()


def _write(file: FilePath, arrays: dict[str, Array], text: str) -> None:
    from scipy.io import netcdf_file

    with netcdf_file(str(file), "w") as target:
        target.format, target.settings = FORMAT, text
        target.digest = _digest(arrays, text)
        for name, array in arrays.items():
            names = tuple(f"{name}_{axis}" for axis in range(array.ndim))
            for label, size in zip(names, array.shape, strict=True):
                target.createDimension(label, size)
            variable = target.createVariable(name, ">f8", names)
            variable[...] = array


def _read(file: FilePath) -> tuple[dict[str, Array], str]:
    from scipy.io import netcdf_file

    if file.is_dir():
        raise ValueError("it is a folder")
    file.open("rb").close()
    with netcdf_file(str(file), "r", mmap=False) as source:
        if getattr(source, "format", b"") != FORMAT.encode():
            raise ValueError("no flowkit header")
        arrays = {name: v[...].astype(float) for name, v in source.variables.items()}
        text, digest = source.settings.decode(), source.digest.decode()
    if digest != _digest(arrays, text):
        raise ValueError("truncated or altered")
    return arrays, text
