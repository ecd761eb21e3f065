"""Claims checked in several processes, each led by a thread of this one.

The processes are started afresh and never import the caller's main module, so a script needs no
``if __name__ == "__main__":``. One that dies costs the claim that it was at, and is replaced.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Lock, Thread

from flowkit.verification.check import check, describe, lost, prepare
from flowkit.verification.claim import Claim
from flowkit.verification.reports.results import Result
from flowkit.verification.tasks import Tasks, grouped
from flowkit.verification.worker import BROKEN, READY

# Control-C reaches every process of a terminal, and is the parent's affair.
START = """
import signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
sys.path[:] = {path!r}
from flowkit.verification.worker import main
main()
"""
# Every core has its process: threads of linear algebra would only wait for each other.
ALONE = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
Process = subprocess.Popen[bytes]
Event = str | Result  # the id of a claim that has begun, or what came out


def check_here(claims: list[Claim], profile: str) -> Generator[Event, None, None]:
    """One after another in this process."""
    for claim in claims:
        yield claim.id
        prepare(claim)
        yield check(claim, profile)


def check_in_processes(
    claims: list[Claim], profile: str, jobs: int
) -> Generator[Event, None, None]:
    """As they begin and finish. Claims that no other process can load are checked here, last."""
    packed = {claim.id: _pack(claim) for claim in claims}
    portable = [claim for claim in claims if packed[claim.id] is not None]
    tasks = grouped(portable, profile)
    crew = Crew(Tasks(tasks), packed, profile, min(jobs, len(tasks)))
    try:
        yield from crew.events()
    finally:
        crew.end()
    yield from check_here([claim for claim in claims if packed[claim.id] is None], profile)


def _pack(claim: Claim) -> bytes | None:
    """As bytes, or None if another process could not load it."""
    try:
        packed = pickle.dumps(claim)
    except Exception:  # a lambda, a local function
        return None
    return None if b"__main__" in packed else packed


class Crew:
    """Threads, each with a process of its own, that take tasks until there are no more."""

    def __init__(
        self, tasks: Tasks, packed: dict[str, bytes | None], profile: str, size: int
    ) -> None:
        self.tasks, self.packed, self.profile = tasks, packed, profile
        self.outbox: SimpleQueue[Event | None] = SimpleQueue()  # None: a thread has ended
        self.processes: set[Process] = set()
        self.ended = False
        self.lock = Lock()
        self.threads = [Thread(target=self._lead, daemon=True) for _ in range(size)]

    def events(self) -> Iterator[Event]:
        """Until all threads have ended."""
        for thread in self.threads:
            thread.start()
        working = len(self.threads)
        while working:
            try:
                event = self.outbox.get(timeout=0.5)  # so that Control-C is heard everywhere
            except Empty:
                continue
            if event is None:
                working -= 1
            else:
                yield event

    def end(self) -> None:
        """Kill what still runs."""
        self.tasks.close()
        with self.lock:
            self.ended = True
            for process in self.processes:
                process.kill()
        for thread in self.threads:
            if thread.ident is not None:
                thread.join()

    def _lead(self) -> None:
        process = None
        try:
            with suppress(OSError, EOFError):  # tried again for each claim
                process = self._start()  # it loads its modules while others compile
            while (task := self.tasks.take()) is not None:
                for claim in task.claims:
                    process = self._check(claim, process)
        finally:
            if process is not None:
                self._dismiss(process)
            self.outbox.put(None)

    def _check(self, claim: Claim, process: Process | None) -> Process | None:
        """Put out what comes out; the process to go on with."""
        if self.ended:
            return process
        self.outbox.put(claim.id)
        began = time.perf_counter()
        try:
            process = process or self._start()
            self.outbox.put(self._ask(process, claim))
        except (OSError, EOFError, pickle.UnpicklingError) as problem:
            why = describe(problem)
            if process is not None:
                why = f"the process that measured it ended with code {self._dismiss(process)}"
            self.tasks.compiled(False)
            if not self.ended:
                self.outbox.put(lost(claim, self.profile, why, time.perf_counter() - began))
            return None
        return process

    def _ask(self, process: Process, claim: Claim) -> Result:
        assert process.stdin is not None and process.stdout is not None
        pickle.dump((self.packed[claim.id], self.profile), process.stdin)
        process.stdin.flush()
        kind, answer = pickle.load(process.stdout)
        if kind == READY:
            if claim.flows:
                self.tasks.compiled()
            kind, answer = pickle.load(process.stdout)
        if kind == BROKEN:
            return lost(claim, self.profile, answer)
        return answer

    def _start(self) -> Process:
        command = [sys.executable, "-c", START.format(path=sys.path)]
        pipe = subprocess.PIPE
        with self.lock:
            if self.ended:
                raise EOFError
            process = subprocess.Popen(command, stdin=pipe, stdout=pipe, env=os.environ | ALONE)
            self.processes.add(process)
        return process

    def _dismiss(self, process: Process) -> int:
        """End a process that has nothing to do, and give its exit code."""
        try:
            process.communicate(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
        with self.lock:
            self.processes.discard(process)
        return process.returncode
