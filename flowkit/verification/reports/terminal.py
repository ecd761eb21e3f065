"""A report as a table for a terminal."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterator
from itertools import zip_longest
from typing import Any

from flowkit.verification.claim import FAILS, HOLDS, UNDECIDED
from flowkit.verification.reports.numbers import margin, number, predicted
from flowkit.verification.reports.results import MARK, Result, Results, Row

COLOUR = {HOLDS: "green", FAILS: "red", UNDECIDED: "yellow"}
COLUMNS = ("claim", "quantity", "predicted", "measured", "margin", "verdict")
QUANTITY, PREDICTED, MEASURED, MARGIN = 1, 2, 3, 4
GAP = 2
SHOWN = 12  # rows of a claim
NARROW, NOTE = 30, 100  # a quantity is wrapped, and a note cut, beyond this


def text(report: Results, colour: bool = False, width: int = 140) -> str:
    """Claim, quantity, prediction, measurement, margin and verdict, by headings."""
    from rich.console import Console
    from rich.text import Text

    out = io.StringIO()
    system: Any = "standard" if colour else None
    console = Console(file=out, width=width, force_terminal=colour, color_system=system)

    def put(line: str, style: str = "") -> None:
        console.print(Text(line.rstrip(), style=style), soft_wrap=True)

    rows = [cells(row) for result in report for row in result.rows]
    ids = [result.claim_id for result in report]
    layout = widths(ids, rows, width)
    put(joined(list(COLUMNS), layout), "bold")
    for heading, results in report.groups():
        if heading:
            put(f"── {heading}", "dim")
        for result in results:
            for line, style in lines(result, layout, width):
                put(line, style if colour else "")
    put(f"\n{report.headline}")
    return out.getvalue()


def cells(row: Row) -> list[str]:
    """All columns but the claim."""
    return [
        row.name,
        predicted(row.prediction),
        number(row.measured),
        margin(row.margin),
        MARK[row.verdict],
    ]


def widths(ids: list[str], rows: list[list[str]], width: int) -> list[int]:
    """Of the columns; the margin's is 0 if it does not fit, and long quantities are wrapped."""
    from rich.cells import cell_len

    columns = [ids, *([row[i] for row in rows] for i in range(len(COLUMNS) - 1))]
    titled = zip(COLUMNS, columns, strict=True)
    layout = [max(map(cell_len, (title, *column))) for title, column in titled]
    natural = layout[QUANTITY]
    for predicted_width, margin_width in ((36, layout[MARGIN]), (36, 0), (20, 0)):
        layout[PREDICTED] = min(layout[PREDICTED], predicted_width)
        layout[MARGIN] = margin_width
        taken = sum(w + GAP for i, w in enumerate(layout) if w and i != QUANTITY)
        if width - taken >= min(natural, NARROW):
            break
    layout[QUANTITY] = max(16, min(natural, width - taken))
    return layout


def lines(result: Result, layout: list[int], width: int) -> Iterator[tuple[str, str]]:
    """Lines and styles of one claim."""
    ordered = [row for _, rows in result.by_quantity() for row in rows]
    ordered.sort(key=lambda row: row.verdict == HOLDS)
    shown = max(SHOWN, sum(row.verdict != HOLDS for row in ordered))
    indent = " " * (layout[0] + GAP)
    for i, row in enumerate(ordered[:shown]):
        first = result.claim_id if i == 0 else ""
        for line in wrapped([first, *cells(row)], layout):
            yield line, COLOUR[row.verdict] if row.verdict != HOLDS else ""
        if row.measured.note:
            yield indent + cut(row.measured.note, min(NOTE, width - len(indent))), "dim"
    if len(ordered) > shown:
        yield f"{indent}… and {len(ordered) - shown} more, all holding", "dim"
    for note in result.notes:
        yield indent + cut(note, width - len(indent)), "dim"


def wrapped(row: list[str], layout: list[int]) -> Iterator[str]:
    """One line, or several where a quantity or a prediction is long."""
    parts = [
        textwrap.wrap(cell, layout[i]) if i in (QUANTITY, PREDICTED) else [cell]
        for i, cell in enumerate(row)
    ]
    for line in zip_longest(*parts, fillvalue=""):
        yield joined(list(line), layout)


def joined(row: list[str], layout: list[int]) -> str:
    """Cells, padded to their columns."""
    from rich.cells import cell_len

    padded = (
        cell + " " * (width - cell_len(cell) + GAP)
        for cell, width in zip(row, layout, strict=True)
        if width
    )
    return "".join(padded).rstrip()


def cut(note: str, width: int) -> str:
    """In one line."""
    flat = " ".join(note.split())
    return flat if len(flat) <= width else flat[: max(1, width - 1)] + "…"
