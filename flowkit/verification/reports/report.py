"""The report of `verify`: results that show and save themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flowkit.files import write_text
from flowkit.verification.reports.page import page, table
from flowkit.verification.reports.record import report_to_dict, to_json
from flowkit.verification.reports.results import Results
from flowkit.verification.reports.terminal import text


class Report(Results):
    """`Results` of `verify`; ``report["xu-du/toy-1"]``, ``report.save("report.html")``."""

    def to_dict(self) -> dict[str, Any]:
        """All but the figures as plain data; see `flowkit.verification.reports.record`."""
        return report_to_dict(self)

    def save(self, file: Any) -> None:
        """Write HTML (self-contained, figures inside) or JSON, by the file's ending."""
        file = Path(file)
        if file.suffix == ".json":
            write_text(file, to_json(self.to_dict()))
        elif file.suffix in (".html", ".htm"):
            write_text(file, page(self))
        else:
            raise ValueError(f"file: {str(file)!r} must end in .html or .json")

    def __repr__(self) -> str:
        return f"<Report of {self.headline}>"

    def __str__(self) -> str:
        return text(self)

    def _repr_html_(self) -> str:
        return table(self)
