"""Results as JSON and back.

JSON has no number for NaN and the infinities: they are the strings "nan", "inf" and "-inf", which
Python's `float` reads. Everything else is a number with as many digits as a double has, so that
what is read is what was written.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from math import isfinite
from typing import Any

from flowkit.verification.claim import FAILS, HOLDS, UNDECIDED, Measured, Prediction
from flowkit.verification.reports.results import Result, Results, Row

COPIED = ("claim_id", "group", "statement", "formula", "source", "profile", "verdict")
NUMBERS = ("value", "tolerance", "error")


def report_to_dict(report: Results) -> dict[str, Any]:
    """All that a page shows, but figures."""
    verdicts = Counter(result.verdict for result in report)
    return {
        "flowkit": report.version,
        "profile": report.profile,
        "date": report.date,
        "passed": report.passed,
        "counts": {verdict: verdicts[verdict] for verdict in (HOLDS, FAILS, UNDECIDED)},
        "seconds": plain(report.seconds),
        "results": [result_to_dict(result) for result in report],
    }


def result_to_dict(result: Result) -> dict[str, Any]:
    """A result without its figure."""
    rows = [
        {
            "name": row.name,
            "prediction": plain(asdict(row.prediction)),
            "measured": plain(asdict(row.measured)),
            "margin": plain(row.margin),
            "verdict": row.verdict,
        }
        for row in result.rows
    ]
    return {name: getattr(result, name) for name in COPIED} | {
        "rows": rows,
        "notes": list(result.notes),
        "runs": list(result.runs),
        "command": result.command,
        "seconds": plain(result.seconds),
    }


def result_from_dict(entry: dict[str, Any], figure: str) -> Result:
    """The inverse of `result_to_dict`."""
    rows = tuple(
        Row(
            row["name"],
            Prediction(**_numbers(row["prediction"])),
            Measured(**_numbers(row["measured"])),
            row["verdict"],
        )
        for row in entry["rows"]
    )
    return Result(
        **{name: entry[name] for name in COPIED},
        rows=rows,
        seconds=float(entry["seconds"]),
        figure=figure,
        runs=tuple(entry["runs"]),
        notes=tuple(entry["notes"]),
    )


def plain(value: Any) -> Any:
    """Numbers that JSON has; the others as strings."""
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items()}
    if isinstance(value, float):
        return value if isfinite(value) else str(value)
    return value


def to_json(data: Any) -> str:
    """Valid JSON: a bare NaN is an error, not an output."""
    return json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _numbers(entry: dict[str, Any]) -> dict[str, Any]:
    return entry | {name: float(entry[name]) for name in NUMBERS if name in entry}
