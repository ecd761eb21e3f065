"""A report as terminal table, JSON, and a self-contained HTML page."""

from __future__ import annotations

import base64
import io
import json
from dataclasses import asdict
from math import floor, isfinite, log10
from pathlib import Path
from typing import Any

import flowkit
from flowkit.files import write_text
from flowkit.verification.registry import FAILS, HOLDS, UNDECIDED, Measured, Prediction

MARK = {HOLDS: "✓ holds", FAILS: "✗ fails", UNDECIDED: "? undecided"}
COLOUR = {HOLDS: "green", FAILS: "red", UNDECIDED: "yellow"}


def number(measured: Measured) -> str:
    """Value to the digit that its error reaches, and the error."""
    value, error = measured.value, measured.error
    if not error > 0:
        return f"{value:.6g}"
    if not isfinite(error) or abs(value) <= max(error, 1e-4):
        return f"{value:.2e} ± {error:.1e}"
    decimals = min(15, max(0, 1 - floor(log10(error))))
    return f"{value:.{decimals}f} ± {error:.1e}"


def predicted(prediction: Prediction) -> str:
    """Relation, value and tolerance, and what the paper writes."""
    sign = {"=": "", "<=": "≤ ", ">=": "≥ "}[prediction.relation]
    tolerance = f" ± {prediction.tolerance:.0e}" if prediction.tolerance else ""
    remark = f" ({prediction.text})" if prediction.text else ""
    return f"{sign}{prediction.value:.10g}{tolerance}{remark}"


def text(report: Any, colour: bool = False, width: int = 140) -> str:
    """The table of claim, quantity, prediction, measurement and verdict."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("claim", "quantity", "predicted", "measured", "verdict"):
        table.add_column(name, overflow="fold", no_wrap=name in ("claim", "verdict"))
    for result in report.results:
        for i, row in enumerate(result.rows):
            verdict = f"[{COLOUR[row.verdict]}]{MARK[row.verdict]}[/]"
            cells = (row.name, predicted(row.prediction), number(row.measured), verdict)
            table.add_row(result.claim_id if i == 0 else "", *cells)
            if row.measured.note:
                table.add_row("", f"[dim]{row.measured.note}[/]", "", "", "")
    out = io.StringIO()
    system: Any = "standard" if colour else None
    console = Console(file=out, width=width, force_terminal=colour, color_system=system)
    console.print(table)
    console.print(f"\n{headline(report)}", highlight=False)
    return out.getvalue()


def headline(report: Any) -> str:
    """How many claims hold, and in what time."""
    verdicts = [result.verdict for result in report.results]
    counts = ", ".join(
        f"{verdicts.count(verdict)} {what}"
        for verdict, what in ((HOLDS, "hold"), (FAILS, "fail"), (UNDECIDED, "undecided"))
        if verdicts.count(verdict) or verdict == HOLDS
    )
    seconds = sum(result.seconds for result in report.results)
    return f"{len(verdicts)} claims: {counts} (profile {report.profile}, {seconds:.1f} s of work)"


def to_dict(report: Any) -> dict[str, Any]:
    """Everything but the figures."""
    results = []
    for result in report.results:
        entry = asdict(result) | {"command": result.command}
        del entry["figure"]
        results.append(entry)
    return {
        "flowkit": flowkit.__version__,
        "profile": report.profile,
        "passed": report.passed,
        "results": results,
    }


def summary_html(report: Any) -> str:
    """The table for a notebook."""
    return _template("table").render(_context(report))


def save(report: Any, file: Path) -> None:
    """HTML or JSON by the ending of `file`, complete or not at all."""
    if file.suffix == ".json":
        write_text(file, json.dumps(to_dict(report), indent=1, ensure_ascii=False) + "\n")
    elif file.suffix in (".html", ".htm"):
        write_text(file, _template("page").render(_context(report)))
    else:
        raise ValueError(f"file: {str(file)!r} must end in .html or .json")


def _context(report: Any) -> dict[str, Any]:
    return {
        "report": report,
        "headline": headline(report),
        "version": flowkit.__version__,
        "mark": MARK,
        "number": number,
        "predicted": predicted,
        "image": lambda figure: base64.b64encode(figure.encode()).decode(),
    }


def _template(name: str) -> Any:
    from jinja2 import DictLoader, Environment

    folder = Path(__file__).parent / "templates"
    sources = {file.stem: file.read_text(encoding="utf-8") for file in folder.glob("*.html")}
    environment = Environment(
        loader=DictLoader(sources), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template(name)
