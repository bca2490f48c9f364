"""Memory that stays flat: bounds for what C libraries keep, and what is free goes back.

Nothing leaks, but pipelines run on many threads and on utterances of every length. glibc gives each
thread a heap of its own, which falls into pieces, and oneDNN keeps what it has prepared for a
thousand shapes: in two hours of audio from eight clients the process grew from 1.05 to 1.26 GB.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import sys
from functools import cache
from typing import Any

SHAPES = 128
"""Prepared computations that oneDNN keeps."""
HEAPS = 2
"""Heaps that glibc's threads share."""
TIDY_S = 20.0
"""Seconds after which memory that is free goes back to the system."""

_M_ARENA_MAX = -8
"""The parameter's number in glibc's malloc.h."""


def bound_memory() -> None:
    """Set the bounds that the environment does not set; before torch is imported."""
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", str(SHAPES))
    mallopt = _glibc("mallopt")
    if mallopt is not None and "MALLOC_ARENA_MAX" not in os.environ:
        mallopt(_M_ARENA_MAX, HEAPS)


async def tidy_memory() -> None:
    """Give back what is free, again and again."""
    trim = _glibc("malloc_trim")
    while trim is not None:
        await asyncio.sleep(TIDY_S)
        await asyncio.to_thread(trim, 0)


@cache
def _glibc(function: str) -> Any:
    """A function of the C library; None where it is not glibc."""
    return getattr(ctypes.CDLL(None), function, None) if sys.platform == "linux" else None
