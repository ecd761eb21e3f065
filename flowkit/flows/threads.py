"""One BLAS thread while a flow runs.

The matrices are small: a second thread gains nothing, and on a busy machine the two wait for each
other, up to a hundred times longer than the work takes.
"""

from __future__ import annotations

from functools import cache
from typing import Any


def single_thread() -> Any:
    """A context in which BLAS uses one thread."""
    return _controller().limit(limits=1, user_api="blas")


@cache
def _controller() -> Any:
    import scipy.linalg  # noqa: F401 - its BLAS must be loaded to be found
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
