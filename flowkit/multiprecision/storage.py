"""Flows in many digits as files: JSON, every number exact, compressed, with a checksum.

(netCDF has no numbers of more than 64 bits.)
"""

from __future__ import annotations

import gzip
import hashlib
import json
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import flint
import numpy as np
from flint import arb, arb_mat

from flowkit.files import replacing
from flowkit.multiprecision.agreement import Agreement, Certificate
from flowkit.multiprecision.march import Piece, Run, Settings
from flowkit.multiprecision.prepare import prepared
from flowkit.multiprecision.tableau import tableau
from flowkit.problems import stored

if TYPE_CHECKING:
    from flowkit.multiprecision.flow import PreciseFlow

FORMAT = b"flowkit-precise-1 "
RUN = ("bits", "status", "message", "rejected", "evaluations", "seconds", "floored")


def recognises(file: Path) -> bool:
    """Whether the file begins like one of ours."""
    try:
        with file.open("rb") as source:
            return source.read(len(FORMAT)) == FORMAT
    except OSError:
        return False


def write(file: Path, flow: PreciseFlow) -> None:
    """A flow, complete or not at all."""
    run, known = flow.run, flow.certificate
    content = {
        "problem": stored.packed(flow.problem),
        "w0": [[str(x) for x in row] for row in np.atleast_2d(flow.w0)],
        "vector": flow.w0.ndim == 1,
        "t_max": str(flow.t_max),
        "precision": flow.precision,
        "digits": flow.digits_asked,
        "t_eval": None if flow.t_eval is None else [str(t) for t in flow.t_eval],
        "prepared": flow.prepared_bits,
        "settings": vars(run.settings),
        "run": {name: getattr(run, name) for name in RUN},
        "pieces": [_pack_piece(piece) for piece in run.pieces],
        "certify": flow.certify,
        "certificate": None if known is None else _pack_certificate(known),
    }
    body = gzip.compress(json.dumps(content).encode(), mtime=0)
    digest = hashlib.sha256(body).hexdigest().encode()
    with replacing(file) as temporary:
        temporary.write_bytes(FORMAT + digest + b"\n" + body)


def read(file: Path) -> PreciseFlow:
    """What `write` wrote; ValueError if it was altered."""
    from flowkit.multiprecision.flow import PreciseFlow

    head, _, body = file.read_bytes().partition(b"\n")
    if head[len(FORMAT) :] != hashlib.sha256(body).hexdigest().encode():
        raise ValueError(f"file: {str(file)!r} is truncated or altered")
    content = json.loads(gzip.decompress(body))
    problem = stored.unpacked(content["problem"])
    rows = [[Fraction(x) for x in row] for row in content["w0"]]
    w0 = np.array(rows[0] if content["vector"] else rows, dtype=object)
    times = content["t_eval"]
    flow = PreciseFlow(
        problem,
        prepared(problem, w0, content["prepared"]),
        w0,
        Fraction(content["t_max"]),
        content["precision"],
        content["digits"],
        None if times is None else [Fraction(t) for t in times],
    )
    flow.prepared_bits = content["prepared"]
    run = Run(Settings(**content["settings"]), flow.ready.start, **content["run"])
    run.pieces = [_unpack_piece(piece, run.settings.stages) for piece in content["pieces"]]
    flow.run = run
    if content["certificate"] is not None:
        flow.certificate = _unpack_certificate(content["certificate"])
    flow.certify = content["certify"]
    flow.refresh()
    return flow


def _pack_certificate(known: Certificate) -> dict[str, Any]:
    parts = {"loss": known.loss, "state": known.state}
    packed: dict[str, Any] = {
        name: None if part is None else [part.size.tolist(), part.gap.tolist()]
        for name, part in parts.items()
    }
    return packed | {"x": known.x.tolist()}


def _unpack_certificate(saved: dict[str, Any]) -> Certificate:
    parts = [
        None if saved[name] is None else Agreement(*map(np.array, saved[name]))
        for name in ("loss", "state")
    ]
    assert parts[1] is not None
    return Certificate(np.array(saved["x"]), parts[0], parts[1])


def _pack_number(x: arb) -> str:
    mantissa, exponent = x.man_exp()
    return f"{int(mantissa):x}p{int(exponent)}"


def _unpack_number(text: str) -> arb:
    mantissa, _, exponent = text.partition("p")
    with flint.ctx.workprec(4 * len(mantissa) + 64):
        return arb(int(mantissa, 16)) * arb(2) ** int(exponent)


def _pack_piece(piece: Piece) -> dict[str, Any]:
    numbers = [[_pack_number(x) for x in row] for row in piece.values.tolist()]
    ends = {name: _pack_number(getattr(piece, name)) for name in ("x", "h", "end")}
    return ends | {"bits": piece.bits, "values": numbers}


def _unpack_piece(packed: dict[str, Any], stages: int) -> Piece:
    x, h, end = (_unpack_number(packed[name]) for name in ("x", "h", "end"))
    values = arb_mat([[_unpack_number(x) for x in row] for row in packed["values"]])
    return Piece(x, h, end, values, tableau(stages, packed["bits"]), packed["bits"])
