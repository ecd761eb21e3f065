"""What a process that checks claims does: reads claims from standard input, writes results.

Messages are pickles. To it: (pickled claim, profile). From it: (READY, None) when flows are
compiled, then (DONE, result) or (BROKEN, why).
"""

from __future__ import annotations

import os
import pickle
import sys
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread
from typing import Any, BinaryIO

READY, DONE, BROKEN = "ready", "done", "broken"


def main() -> None:
    """Until standard input ends: the parent has no more to do, or has itself been killed."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a claim prints must not get between the messages
    inbox: SimpleQueue[tuple[bytes, str]] = SimpleQueue()
    Thread(target=_read, args=(sys.stdin.buffer, inbox), daemon=True).start()
    _load()
    while True:
        for message in _answers(*inbox.get()):
            pickle.dump(message, out)
            out.flush()


def _load() -> None:
    """What nearly every claim needs, while there is nothing else to do."""
    with suppress(Exception):  # a claim that needs it will say so
        import flowkit.flows.pair_setting
        import flowkit.plots
        import flowkit.verification.registry  # noqa: F401


def _answers(packed: bytes, profile: str) -> Any:
    from flowkit.verification.check import check, describe, prepare

    try:
        claim = pickle.loads(packed)
    except Exception as problem:
        yield READY, None
        yield BROKEN, describe(problem)
        return
    prepare(claim)
    yield READY, None
    yield DONE, check(claim, profile)


def _read(source: BinaryIO, inbox: SimpleQueue[tuple[bytes, str]]) -> None:
    try:
        while True:
            inbox.put(pickle.load(source))
    except (EOFError, OSError, pickle.UnpicklingError):
        os._exit(0)
