"""Time spent in calls, by stage, and percentiles of times."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np


class Stopwatch:
    """Adds up the time spent in calls, by stage; calls within calls count once.

    Attributes:
        spent: seconds of each stage.
        calls: how often each was called.
    """

    def __init__(self) -> None:
        self.spent: dict[str, float] = defaultdict(float)
        self.calls: Counter[str] = Counter()
        self._inner = [0.0]

    def wrap(self, owner: object, method: str, stage: str) -> None:
        """Measure every call of a method from now on."""
        called: Callable[..., Any] = getattr(owner, method)

        def measured(*arguments: object, **options: object) -> object:
            self._inner.append(0.0)
            self.calls[stage] += 1
            begin = time.perf_counter()
            try:
                return called(*arguments, **options)
            finally:
                whole = time.perf_counter() - begin
                self.spent[stage] += whole - self._inner.pop()
                self._inner[-1] += whole

        setattr(owner, method, measured)

    def clear(self) -> None:
        """Begin at nothing."""
        self.spent.clear()
        self.calls.clear()


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """Median, 95th and 99th percentile and maximum, in milliseconds, and of how many."""
    values = np.percentile(np.array(seconds) * 1000, [50, 95, 99, 100])
    named = dict(
        zip(("p50", "p95", "p99", "max"), (round(float(v), 3) for v in values), strict=True)
    )
    return {**named, "n": len(seconds)}
