"""What came out of `verify`, as data: rows, results of claims, all of them together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from math import inf, isnan

import flowkit
from flowkit.verification.claim import FAILS, HOLDS, UNDECIDED, Measured, Prediction, base

RANK = {FAILS: 0, UNDECIDED: 1, HOLDS: 2}
MARK = {HOLDS: "✓ holds", FAILS: "✗ fails", UNDECIDED: "? undecided"}
COUNTED = {HOLDS: "holding", FAILS: "failing", UNDECIDED: "undecided"}


@dataclass(frozen=True)
class Row:
    """One quantity of a claim: its name, the prediction, the measurement, the verdict."""

    name: str
    prediction: Prediction
    measured: Measured
    verdict: str

    @property
    def margin(self) -> float:
        """How far the measured value is from where it would contradict; negative beyond that."""
        return self.prediction.margin(self.measured)

    @property
    def badness(self) -> tuple[int, float, float]:
        """Larger is worse: by verdict, share of the tolerance that is used up, margin."""
        tolerance = self.prediction.tolerance
        used = tolerance - self.margin + self.measured.error
        share = used / tolerance if tolerance else used and used * inf
        worst = inf if isnan(share) else share
        return -RANK[self.verdict], worst, inf if isnan(self.margin) else -self.margin


@dataclass(frozen=True)
class Result:
    """What came out for one claim.

    Attributes
    ----------
    claim_id, statement, source, profile : str
    rows : tuple of Row
        One for each measured quantity, and for each prediction that none was measured for.
    verdict : {"holds", "fails", "undecided"}
        "fails" if any quantity does, "holds" if all do.
    seconds : float
    figure : str
        SVG, empty if the claim draws none.
    group, formula : str
        The claim's heading, and its statement in LaTeX.
    runs : tuple of str
        What was run.
    notes : tuple of str
        Remarks on the claim as a whole.
    """

    claim_id: str
    statement: str
    source: str
    profile: str
    rows: tuple[Row, ...]
    verdict: str
    seconds: float
    figure: str = field(default="", repr=False)
    group: str = ""
    formula: str = ""
    runs: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def command(self) -> str:
        """The command line that reproduces it."""
        return f"flowkit verify {self.claim_id} --profile {self.profile}"

    @property
    def measured(self) -> bool:
        """Whether there is any value at all."""
        return any(not isnan(row.measured.value) for row in self.rows)

    @property
    def worst(self) -> Row | None:
        """The row nearest to a contradiction, or beyond it; the first of equals."""
        return max(self.rows, key=lambda row: row.badness, default=None)

    def by_quantity(self) -> list[tuple[str, list[Row]]]:
        """Rows by quantity; failing and undecided ones first, else in the order measured."""
        groups: dict[str, list[Row]] = {}
        for row in self.rows:
            groups.setdefault(base(row.name), []).append(row)
        for rows in groups.values():
            rows.sort(key=lambda row: RANK[row.verdict])
        return sorted(groups.items(), key=lambda item: RANK[item[1][0].verdict])


@dataclass(frozen=True)
class Results:
    """Results of claims; ``results["xu-du/toy-1"]``.

    Attributes
    ----------
    results : tuple of Result
        In the order of the claims asked for.
    profile : str
    version : str
        Of flowkit.
    date : str
        When the last claim was done, ISO 8601.
    """

    results: tuple[Result, ...]
    profile: str
    version: str = flowkit.__version__
    date: str = field(default_factory=lambda: datetime.now().astimezone().isoformat("T", "seconds"))

    def __getitem__(self, claim_id: str) -> Result:
        for result in self.results:
            if result.claim_id == claim_id:
                return result
        raise KeyError(claim_id)

    def __iter__(self) -> Iterator[Result]:
        return iter(self.results)

    def __len__(self) -> int:
        return len(self.results)

    @property
    def passed(self) -> bool:
        """Whether every claim holds."""
        return all(result.verdict == HOLDS for result in self.results)

    @property
    def holding(self) -> list[Result]:
        """Results of the claims that hold."""
        return self._of(HOLDS)

    @property
    def failed(self) -> list[Result]:
        """Results of the claims that fail."""
        return self._of(FAILS)

    @property
    def undecided(self) -> list[Result]:
        """Results of the claims that could not be decided."""
        return self._of(UNDECIDED)

    def _of(self, verdict: str) -> list[Result]:
        return [result for result in self.results if result.verdict == verdict]

    @property
    def seconds(self) -> float:
        """Work of all processes together."""
        return sum(result.seconds for result in self.results)

    @property
    def headline(self) -> str:
        """How many claims hold, and in what time."""
        counts = ", ".join(
            f"{len(self._of(verdict))} {what}"
            for verdict, what in COUNTED.items()
            if self._of(verdict) or verdict == HOLDS
        )
        claims = "1 claim" if len(self) == 1 else f"{len(self)} claims"
        return f"{claims}: {counts} (profile {self.profile}, {self.seconds:.1f} s of work)"

    def groups(self) -> list[tuple[str, list[Result]]]:
        """Results by heading, in order of first appearance."""
        found: dict[str, list[Result]] = {}
        for result in self.results:
            found.setdefault(result.group, []).append(result)
        return [
            (name or ("Other claims" if len(found) > 1 else ""), r) for name, r in found.items()
        ]
