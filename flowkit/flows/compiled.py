"""Numba where it can be had, plain Python with NumPy where not.

Compiled code is cached beside the modules (or in the user's cache), so only the first run of an
installation compiles; that is said on standard error while it lasts.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

# No "nnan", "ninf": a NaN must stay visible.
REORDER = {"contract", "nsz", "arcp", "reassoc"}
PATIENCE = 1.5  # seconds; loading compiled code takes less

try:
    if os.environ.get("FLOWKIT_COMPILED", "1") == "0":
        raise ImportError
    from numba import njit

    COMPILED = True
except ImportError:
    COMPILED = False


def _discard_stale() -> None:
    """Remove cached code older than a source here: Numba looks at a function's own file only.

    Code elsewhere in the package calls what is compiled here, and goes with it.
    """
    folder = Path(__file__).parent
    newest = max(source.stat().st_mtime for source in folder.glob("*.py"))
    for index in folder.parent.glob("*/__pycache__/*.nb[ic]"):
        with suppress(OSError):  # another process may be at it
            if index.stat().st_mtime < newest:
                index.unlink(missing_ok=True)


if COMPILED:
    _discard_stale()


def compiled(function: F) -> F:
    """The function compiled, in the order of operations that it states."""
    return _compile(function) if COMPILED else function


def vectorised(function: F) -> F:
    """The function compiled; sums may be reordered so that they use vector instructions."""
    return _compile(function, fastmath=REORDER) if COMPILED else function


def _compile(function: F, **options: Any) -> F:
    # Names with an underscore are called by compiled code only, and need no way in from Python.
    inner = function.__name__.startswith("_")
    options |= {"no_cfunc_wrapper": True, "no_cpython_wrapper": inner}
    return njit(cache=True, error_model="numpy", **options)(function)


@contextmanager
def announced() -> Iterator[None]:
    """Say what takes so long if the block compiles."""
    timer = threading.Timer(PATIENCE, _say)
    timer.daemon = True
    if COMPILED:
        timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _say() -> None:
    text = "flowkit: compiling, once per installation (half a minute) …"
    print(text, file=sys.stderr, flush=True)
