"""A report as terminal table, JSON, and a self-contained HTML page."""

from __future__ import annotations

import base64
import io
import json
from dataclasses import asdict, dataclass
from math import floor, isfinite, log10
from pathlib import Path
from typing import Any

import flowkit
from flowkit.files import write_text
from flowkit.verification.claim import FAILS, HOLDS, UNDECIDED, Measured, Prediction

MARK = {HOLDS: "✓ holds", FAILS: "✗ fails", UNDECIDED: "? undecided"}
COLOUR = {HOLDS: "green", FAILS: "red", UNDECIDED: "yellow"}


@dataclass(frozen=True)
class Row:
    """One quantity of a claim: its name, the prediction, the measurement, the verdict."""

    name: str
    prediction: Prediction
    measured: Measured
    verdict: str


@dataclass(frozen=True)
class Result:
    """What came out for one claim.

    Attributes
    ----------
    claim_id, statement, source, profile : str
    rows : tuple of Row
        One for each measured quantity.
    verdict : {"holds", "fails", "undecided"}
        "fails" if any quantity does, "holds" if all do.
    seconds : float
    figure : str
        SVG, empty if the claim draws none.
    """

    claim_id: str
    statement: str
    source: str
    profile: str
    rows: tuple[Row, ...]
    verdict: str
    seconds: float
    figure: str

    @property
    def command(self) -> str:
        """The command line that reproduces it."""
        return f"flowkit verify {self.claim_id} --profile {self.profile}"


@dataclass(frozen=True)
class Report:
    """Results of `verify`; ``report.save("report.html")`` or ``"report.json"``."""

    results: tuple[Result, ...]
    profile: str

    @property
    def passed(self) -> bool:
        """Whether every claim holds."""
        return all(result.verdict == HOLDS for result in self.results)

    def save(self, file: Any) -> None:
        """Write HTML (self-contained, figures inside) or JSON, by the file's ending."""
        save(self, Path(file))

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return to_dict(self)

    def __str__(self) -> str:
        return text(self)

    def _repr_html_(self) -> str:
        return str(_template("table").render(_context(self)))


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


def text(report: Report, colour: bool = False, width: int = 140) -> str:
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


def headline(report: Report) -> str:
    """How many claims hold, and in what time."""
    verdicts = [result.verdict for result in report.results]
    counts = ", ".join(
        f"{verdicts.count(verdict)} {what}"
        for verdict, what in ((HOLDS, "holding"), (FAILS, "failing"), (UNDECIDED, "undecided"))
        if verdicts.count(verdict) or verdict == HOLDS
    )
    seconds = sum(result.seconds for result in report.results)
    claims = "1 claim" if len(verdicts) == 1 else f"{len(verdicts)} claims"
    return f"{claims}: {counts} (profile {report.profile}, {seconds:.1f} s of work)"


def to_dict(report: Report) -> dict[str, Any]:
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


def save(report: Report, file: Path) -> None:
    """HTML or JSON by the ending of `file`, complete or not at all."""
    if file.suffix == ".json":
        write_text(file, json.dumps(to_dict(report), indent=1, ensure_ascii=False) + "\n")
    elif file.suffix in (".html", ".htm"):
        write_text(file, _template("page").render(_context(report)))
    else:
        raise ValueError(f"file: {str(file)!r} must end in .html or .json")


def _context(report: Report) -> dict[str, Any]:
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
