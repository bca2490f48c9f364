"""Memory that stays flat: bounds for what C libraries keep, and what is free goes back.

Nothing leaks, but pipelines run on many threads and on utterances of every length. glibc gives each
thread a heap of its own, which falls into pieces, and oneDNN keeps what it has prepared for a
thousand shapes: in two hours of audio from eight clients the process grew from 1.05 to 1.26 GB.
"""

from __future__ import annotations

import asyncio
import os

from ..heap import give_back, glibc

SHAPES = {"ONEDNN_PRIMITIVE_CACHE_CAPACITY": "128", "LRU_CACHE_CAPACITY": "64"}
"""Prepared computations that oneDNN keeps, and those that torch keeps for it; a thousand each by
default."""
HEAPS = 2
"""Heaps that glibc's threads share."""
TIDY_S = 20.0
"""Seconds after which memory that is free goes back to the system."""

OF_ITS_OWN = 1 << 20
"""Bytes from which on a block is no part of a heap, and goes back as soon as it is free. Without
this glibc raises the limit up to 32 MB, and the heaps fall into pieces around tensors."""

_M_ARENA_MAX, _M_MMAP_THRESHOLD = -8, -3
"""The parameters' numbers in glibc's malloc.h."""


def bound_memory() -> None:
    """Set the bounds that the environment does not set; before torch is imported."""
    for name, count in SHAPES.items():
        os.environ.setdefault(name, count)
    mallopt = glibc("mallopt")
    if mallopt is not None and "MALLOC_ARENA_MAX" not in os.environ:
        mallopt(_M_ARENA_MAX, HEAPS)
        mallopt(_M_MMAP_THRESHOLD, OF_ITS_OWN)


async def tidy_memory() -> None:
    """Give back what is free, again and again."""
    while glibc("malloc_trim") is not None:
        await asyncio.sleep(TIDY_S)
        await asyncio.to_thread(give_back)
