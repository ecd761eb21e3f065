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
SCRIPT = re.compile(
    r"(?<![A-Za-z_])(?P<base>[^\W\d_][⁻′⁰¹²³⁴⁵⁶⁷⁸⁹]*)"
    r"_(?:\{(?P<braced>[^{}]*)\}|(?P<sub>max|min|[^\W_]{1,2}(?![A-Za-z0-9_])))"
    r"|\^(?:\((?P<round>[^()]*)\)|\{(?P<curly>[^{}]*)\}|(?P<sup>[−-]?\w+(?:\.\d+)?))"
)
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
    """Text in which `code` is marked as in Markdown, and indices and powers are as by `scripts`."""
    from markupsafe import Markup, escape

    parts = re.split(r"`([^`]+)`", str(escape(text)))
    shown = [f"<code>{x}</code>" if i % 2 else scripts(x) for i, x in enumerate(parts)]
    return Markup("".join(shown))


def scripts(text: str) -> str:
    """Indices and powers of escaped text raised and lowered: κ_max, Σ_{i<j}, L^⅔, C^(−1/6).

    An index follows a single letter: names of programs, such as default_rng, stay as they are.
    """

    def script(match: re.Match[str]) -> str:
        if match["base"]:
            return f"{match['base']}<sub>{match['braced'] or match['sub']}</sub>"
        power = match["round"] or match["curly"] or match["sup"]
        return f"<sup>{power}</sup>".replace("-", "−")

    return SCRIPT.sub(script, text)


def typeset(text: str) -> Any:
    """Numbers as they are printed: 1.8e-12 is 1.8·10⁻¹²."""
    from markupsafe import Markup, escape

    def power(match: re.Match[str]) -> str:
        value, exponent = match["value"], int(match["power"])
        if exponent == 0:
            return value
        factor = "" if value == "1" else f"{value}·"
        return f"{factor}10<sup>{exponent}</sup>".replace("-", "−")

    return Markup(MINUS.sub("−", POWER.sub(power, scripts(str(escape(text))))))


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
