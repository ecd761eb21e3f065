"""Runs in netCDF-3 files (classic format, readable by xarray, ncdump and the like)."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path as FilePath
from typing import Any

import numpy as np

from flowkit.files import replacing
from flowkit.flows.field import Steps
from flowkit.flows.path import Happening, Path, Piece
from flowkit.flows.prepare import SETTINGS
from flowkit.flows.setting import Setting

Array = np.ndarray
FORMAT = "flowkit-flow-3"
PLAIN = ("method", "rtol", "status", "message", "cost", "watched", "lost", "seconds")
PLAIN_SETTING = ("t_max", "rtol", "method")


def write(file: FilePath, setting: Setting, path: Path, known: dict[str, Array]) -> None:
    """A run, complete or not at all; `known` are further arrays that a reader may want."""
    arrays, plain = setting.pack()
    path_arrays, meta = _pack(setting, path)
    arrays |= path_arrays | known | {"w0": setting.w0, "teacher": setting.problem.teacher}
    meta |= {"kind": setting.kind, "setting": plain}
    meta |= {name: getattr(setting, name) for name in PLAIN_SETTING}
    write_arrays(file, arrays, meta)


def write_arrays(file: FilePath, arrays: dict[str, Array], meta: dict[str, Any]) -> None:
    """Arrays and plain data that `load` reads, complete or not at all."""
    with replacing(file) as temporary:
        _write(temporary, arrays, json.dumps(meta))


def unpacked(arrays: dict[str, Array], meta: dict[str, Any]) -> tuple[Setting, Path]:
    """What `write` wrote and `load` read."""
    kind = next(kind for kind in SETTINGS.values() if kind.kind == meta["kind"])
    known = {name: meta[name] for name in PLAIN_SETTING} | {"w0": arrays["w0"]}
    setting = kind.unpack(arrays, meta["setting"], known)
    return setting, _unpack(setting, arrays, meta)


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


def _pack(setting: Setting, path: Path) -> tuple[dict[str, Array], dict[str, Any]]:
    """A path as arrays and plain data."""
    arrays: dict[str, Array] = {}
    pieces = []
    for i, piece in enumerate(path.pieces):
        field, plain = setting.pack_field(piece.field)
        for name, array in (field | piece.steps._asdict()).items():
            arrays[f"piece{i}_{name}"] = array
        listed = {"field": plain, "arrays": list(field)}
        pieces.append({"alive": piece.alive, "method": piece.method, **listed})
    plain = {name: getattr(path, name) for name in PLAIN}
    events = [asdict(event) for event in path.events]
    return arrays, {"pieces": pieces, "events": events, "path": plain}


def _unpack(setting: Setting, arrays: dict[str, Array], meta: dict[str, Any]) -> Path:
    """The path that `_pack` took apart."""
    pieces = []
    for i, saved in enumerate(meta["pieces"]):
        named = {name: arrays[f"piece{i}_{name}"] for name in saved["arrays"]}
        field = setting.unpack_field(named, saved["field"])
        steps = Steps(*(arrays[f"piece{i}_{name}"] for name in Steps._fields))
        pieces.append(Piece(field, saved["alive"], saved["method"], steps))
    events = [Happening(**event) for event in meta["events"]]
    return Path(pieces=pieces, events=events, **meta["path"])


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
