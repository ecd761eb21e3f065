"""Files that are complete or not there: written beside their destination, then moved into place."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SAVE_EVERY = 30.0  # seconds between checkpoints


@contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """A temporary path that becomes `file` when the block ends well, and vanishes when it does not.

    Raises
    ------
    ValueError
        If the folder of `file` does not exist, or `file` is a folder itself.
    """
    if not file.parent.is_dir():
        raise ValueError(f"file: no folder {str(file.parent)!r} to write into")
    if file.is_dir():
        raise ValueError(f"file: {str(file)!r} is a folder")
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.", suffix=file.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        temporary.replace(file)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_text(file: Path, content: str) -> None:
    """Write UTF-8 text, complete or not at all."""
    with replacing(file) as temporary:
        temporary.write_text(content, encoding="utf-8")


def saver(checkpoint: Any, write: Callable[..., None]) -> Callable[..., None] | None:
    """A function that writes at most every half minute; None without a file to write."""
    if checkpoint is None:
        return None
    checkpoint_file(checkpoint)
    last = time.monotonic()

    def save(*state: Any) -> None:
        nonlocal last
        if time.monotonic() - last > SAVE_EVERY:
            write(*state)
            last = time.monotonic()

    return save


def checkpoint_file(value: Any) -> Path:
    """Where a run is saved on the way; ValueError if a file cannot be written there."""
    try:
        file = Path(value)
    except TypeError:
        raise ValueError(f"checkpoint: expected a path, got {value!r}") from None
    if not file.parent.is_dir():
        raise ValueError(f"checkpoint: no folder {str(file.parent)!r} to write into")
    if file.is_dir():
        raise ValueError(f"checkpoint: {str(file)!r} is a folder")
    return file
