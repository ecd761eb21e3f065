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
from flowkit.flows.stepping import Path, Piece

Array = np.ndarray
FORMAT = "flowkit-flow-1"
PLAIN = ("tolerance", "status", "message", "steps", "nfev", "njev", "nlu")


def save(file: FilePath, arrays: dict[str, Array], meta: dict[str, Any]) -> None:
    """Write arrays and what JSON can hold, complete or not at all."""
    with replacing(file) as temporary:
        _write(temporary, arrays, json.dumps(meta))


def load(file: FilePath) -> tuple[dict[str, Array], dict[str, Any]]:
    """Read what `save` wrote; ValueError for a file that is missing, foreign or altered."""
    try:
        arrays, text = _read(file)
    except FileNotFoundError:
        raise ValueError(f"file: {str(file)!r} does not exist") from None
    except Exception as problem:
        reason = " ".join(str(problem).split())
        raise ValueError(f"file: {str(file)!r} is not a readable flowkit run ({reason})") from None
    return arrays, json.loads(text)


def pack(path: Path) -> tuple[dict[str, Array], dict[str, Any]]:
    """A path as arrays and plain data."""
    arrays: dict[str, Array] = {}
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
    plain = {name: getattr(path, name) for name in PLAIN}
    return arrays, {"pieces": pieces, "events": path.events, "path": plain}


def unpack(arrays: dict[str, Array], meta: dict[str, Any], weights: tuple[float, float]) -> Path:
    """The path that `pack` took apart; weights are (mean, kink_weight)."""
    pieces = []
    for i, saved in enumerate(meta["pieces"]):
        field = Field(arrays["frame_teachers"], arrays[f"piece{i}_sizes"], *weights)
        start = saved["linear_from"]
        if start is None:
            chart: Any = PowerChart(field, saved["pivot"])
        else:
            chart = LinearChart(field, saved["pivot"], start)
        times, states = arrays[f"piece{i}_t"], arrays[f"piece{i}_y"]
        pieces.append(Piece(chart, saved["alive"], times.tolist(), list(states)))
    events = [(kind, group, t) for kind, group, t in meta["events"]]
    return Path(pieces, events=events, **meta["path"])


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
