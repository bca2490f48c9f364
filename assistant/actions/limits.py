"""How much and how long: the bounds every action keeps to."""

from __future__ import annotations

import math

OUTPUT_LIMIT = 65_536
"""Bytes kept of what a program or a server says; the rest is read and dropped."""


def check_timeout(timeout_s: float) -> None:
    """Raise ValueError unless `timeout_s` is a number of seconds one can wait."""
    if not (math.isfinite(timeout_s) and timeout_s > 0):
        raise ValueError(f"timeout_s is {timeout_s:g}: write seconds, more than 0")
