"""A report as one HTML page that needs nothing else: mathematics as MathML, figures inside."""

from __future__ import annotations

import base64
import re
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from flowkit.verification.claim import HOLDS
from flowkit.verification.reports.mathematics import mathml
from flowkit.verification.reports.numbers import margin, number, predicted
from flowkit.verification.reports.results import COUNTED, MARK, Result, Results, Row

FOLDED_RUNS = 6
INLINE_NOTES = 12  # with more rows, notes of those that hold are folded
POWER = re.compile(r"(?P<value>[\d.]+)e(?P<power>[+-]\d+)")
MINUS = re.compile(r"(?<![\w.])-(?=\d|inf)")


def page(report: Results) -> str:
    """The whole page."""
    return str(_template("page").render(_context(report)))


def table(report: Results) -> str:
    """One line a claim, for notebooks."""
    return str(_template("table").render(_context(report), compact=True))


def formula(latex: str) -> Any:
    """In display style; the LaTeX itself, as code, where it cannot be converted."""
    from markupsafe import Markup, escape

    try:
        return Markup(mathml(latex))
    except Exception:
        return Markup(f"<code>{escape(latex)}</code>")


def words(text: str) -> Any:
    """Text in which `code` is marked as in Markdown."""
    from markupsafe import Markup, escape

    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def typeset(text: str) -> Any:
    """Numbers as they are printed: 1.8e-12 is 1.8·10⁻¹²."""
    from markupsafe import Markup, escape

    def power(match: re.Match[str]) -> str:
        value, exponent = match["value"], int(match["power"])
        if exponent == 0:
            return value
        factor = "" if value == "1" else f"{value}·"
        return f"{factor}10<sup>{exponent}</sup>".replace("-", "−")

    return Markup(MINUS.sub("−", POWER.sub(power, str(escape(text)))))


def run_of(row: Row) -> str:
    """What a row's name says beyond its quantity."""
    return row.name.partition(" · ")[2] or row.name


def folded_notes(result: Result) -> list[Row]:
    """Rows whose notes are not worth a line each."""
    if len(result.rows) <= INLINE_NOTES:
        return []
    return [row for row in result.rows if row.measured.note and row.verdict == HOLDS]


def _context(report: Results) -> dict[str, Any]:
    return {
        "report": report,
        "date": datetime.fromisoformat(report.date).strftime("%Y-%m-%d %H:%M"),
        "counts": [(v, MARK[v], COUNTED[v], len(report._of(v))) for v in MARK],
        "mark": MARK,
        "number": lambda measured: typeset(number(measured)),
        "predicted": lambda prediction: typeset(predicted(prediction)),
        "margin": lambda value: typeset(margin(value)),
        "formula": formula,
        "words": words,
        "run_of": run_of,
        "folded_notes": folded_notes,
        "folded_runs": FOLDED_RUNS,
        "image": lambda figure: base64.b64encode(figure.encode()).decode(),
    }


@cache
def _environment() -> Any:
    from jinja2 import DictLoader, Environment

    folder = Path(__file__).parent / "templates"
    files = [*folder.glob("*.html"), *folder.glob("*.css")]
    sources = {file.stem: file.read_text(encoding="utf-8") for file in files}
    return Environment(
        loader=DictLoader(sources), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )


def _template(name: str) -> Any:
    return _environment().get_template(name)
