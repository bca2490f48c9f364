"""The C library's heap, which keeps what is free unless it is told to give it back."""

from __future__ import annotations

import ctypes
import sys
from functools import cache
from typing import Any


@cache
def glibc(function: str) -> Any:
    """A function of the C library; None where it is not glibc."""
    return getattr(ctypes.CDLL(None), function, None) if sys.platform == "linux" else None


def give_back() -> None:
    """Give all memory that is free back to the system, between what is used, too."""
    trim = glibc("malloc_trim")
    if trim is not None:
        trim(0)
