"""Results on disk while a verification is under way, so that one that was killed can go on.

Each finished claim is a file ``partial/<id>.<profile>.json``, complete or not there. It counts if
flowkit's version, its sources, the profile and the claim are those that it was measured with.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import flowkit
from flowkit.files import write_text
from flowkit.verification.claim import Claim
from flowkit.verification.reports.record import result_from_dict, result_to_dict, to_json
from flowkit.verification.reports.report import Report
from flowkit.verification.reports.results import Result

ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


class Store:
    """The folder of a report.

    Parameters
    ----------
    folder : path
        Its parent must exist.
    profile : str
    """

    def __init__(self, folder: Any, profile: str) -> None:
        try:
            self.folder = Path(folder)
        except TypeError:
            raise ValueError(f"store: expected a path, got {folder!r}") from None
        if self.folder.exists() and not self.folder.is_dir():
            raise ValueError(f"store: {str(folder)!r} is not a folder")
        if not self.folder.resolve().parent.is_dir():
            raise ValueError(f"store: no folder {str(self.folder.parent)!r} to write into")
        self.partial = self.folder / "partial"
        self.profile = profile

    def known(self, claims: Iterable[Claim]) -> dict[str, Result]:
        """What is there of these claims, by id."""
        found = {}
        for claim in claims:
            with suppress(OSError, ValueError, KeyError, TypeError):  # else it is measured again
                entry = json.loads(self._file(claim.id).read_text(encoding="utf-8"))
                if entry["key"] == self._key(claim):
                    found[claim.id] = result_from_dict(entry["result"], entry["figure"])
        return found

    def keep(self, claim: Claim, result: Result) -> None:
        """Write one result; one without any value is better measured again."""
        if not result.measured:
            return
        entry = {
            "key": self._key(claim),
            "result": result_to_dict(result),
            "figure": result.figure,
        }
        self.partial.mkdir(parents=True, exist_ok=True)
        write_text(self._file(claim.id), to_json(entry))

    def finish(self, report: Report) -> None:
        """Write the report; what was kept on the way is no longer needed."""
        self.folder.mkdir(exist_ok=True)
        report.save(self.folder / "report.html")
        report.save(self.folder / "report.json")
        for result in report:
            file = self._file(result.claim_id)
            for kept in (file, *self.partial.glob(f".{file.name}.*")):  # with a dot: killed writing
                kept.unlink(missing_ok=True)
        with suppress(OSError):  # not there, or other files are in it
            self.partial.rmdir()

    def _file(self, claim_id: str) -> Path:
        return self.partial / f"{quote(claim_id, safe='')}.{self.profile}.json"

    def _key(self, claim: Claim) -> dict[str, str]:
        return {
            "flowkit": flowkit.__version__,
            "profile": self.profile,
            "sources": sources_fingerprint(),
            "claim": claim_fingerprint(claim),
        }


@cache
def sources_fingerprint() -> str:
    """Of every Python file of flowkit and symbolic: their names and contents."""
    import symbolic

    digest = hashlib.sha256()
    for package in (flowkit, symbolic):
        root = Path(str(package.__file__)).parent
        for file in sorted(root.rglob("*.py")):
            content = file.read_bytes()
            name = f"{package.__name__}/{file.relative_to(root).as_posix()}"
            digest.update(f"{name} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def claim_fingerprint(claim: Claim) -> str:
    """Of what a claim says, predicts and calls, with the file that its functions are from."""
    parts = (claim, claim.formula, claim.measure, claim.predictions)
    digest = hashlib.sha256(ADDRESS.sub("", repr(parts)).encode())
    digest.update(_file_of(claim.measure))
    return digest.hexdigest()


def _file_of(function: Any) -> bytes:
    """The source file of a function, as bytes; its code where there is no file."""
    import inspect

    while hasattr(function, "func"):  # functools.partial
        function = function.func
    function = inspect.unwrap(function)
    with suppress(OSError, TypeError):
        return Path(str(inspect.getsourcefile(function))).read_bytes()
    code = getattr(function, "__code__", None)
    return code.co_code + repr(code.co_consts).encode() if code else b""
