"""How long the assistant waits, in the time of the stream: the same on every machine.

The end of speech is the end of the last phoneme of the decided sentence, by its alignment with the
posteriors; speech begins with its first phoneme. Computing comes on top of these figures, and is in
`compute`. They are taken from utterances that were right, that are the only one of their recording,
and that the endpointer itself has ended: where the recording ends first, nobody knows how long it
would have waited. Without VAD there are none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..types import SAMPLE_RATE
from .metrics import Result

DIGITS = 1
"""Of milliseconds: rows of posteriors are 40 ms long."""


def latencies(result: Result) -> dict[str, float | None] | None:
    """Milliseconds of one recording; None where there is nothing to tell them from.

    endpoint_delay: end of speech to the endpointer's end. decision: end of speech to the decision,
    which an early commit brings forward. early_decision: the same where it did, else None.
    first_partial: beginning of speech to the first partial result, None where there was none.
    """
    times = result.outcome.times
    right = result.exact if result.item.labelled else result.outcome.decision.accepted
    if not right or len(times) != 1:
        return None
    (time,) = times
    if time.speech_start is None or time.speech_end is None or time.ended_by_stream:
        return None
    decision = _milliseconds(time.decided - time.speech_end)
    partial = time.first_partial
    return {
        "endpoint_delay": _milliseconds(time.end - time.speech_end),
        "decision": decision,
        "early_decision": decision if time.early else None,
        "first_partial": None if partial is None else _milliseconds(partial - time.speech_start),
    }


def summary(results: Sequence[Result]) -> dict[str, Any]:
    """The report's `latency`; null where nothing was measured."""
    found = [one for result in results if (one := latencies(result)) is not None]
    named = {
        "endpoint_delay_ms": "endpoint_delay",
        "end_of_speech_to_decision_ms": "decision",
        "early_decision_ms": "early_decision",
        "first_partial_ms": "first_partial",
    }
    return {
        name: percentiles([v for one in found if (v := one[key]) is not None])
        for name, key in named.items()
    }


def percentiles(milliseconds: Sequence[float]) -> dict[str, float | int] | None:
    """Median, 95th percentile and how many there are; None of nothing."""
    if not milliseconds:
        return None
    median, high = np.percentile(milliseconds, [50, 95])
    return {
        "median": round(float(median), DIGITS),
        "p95": round(float(high), DIGITS),
        "n": len(milliseconds),
    }


def _milliseconds(samples: int) -> float:
    return round(samples * 1000 / SAMPLE_RATE, DIGITS)
