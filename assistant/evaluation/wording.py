"""What the figures of a report are called, wherever people read them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

VERSION = 1
"""Of a report's form."""
LATENCIES = {
    "endpoint_delay_ms": "end of speech to endpoint",
    "end_of_speech_to_decision_ms": "end of speech to decision",
    "early_decision_ms": "the same where it was decided early",
    "first_partial_ms": "beginning of speech to first partial result",
}
"""By their keys in a report's `latency`."""

SEVERAL = "several commands"
"""What a recording was taken for in which more than one command was accepted."""


def several_heard(texts: Iterable[str]) -> str:
    """The reason why such a recording is wrong."""
    quoted = [f"'{text}'" for text in texts]
    return f"{len(quoted)} commands were heard: {', '.join(quoted)}"


def is_several(entry: Mapping[str, Any]) -> bool:
    """Whether an utterance of a report has that reason: no intent, and yet it was not refused."""
    return re.match(r"\d+ commands were heard: ", entry.get("reason") or "") is not None


def condition_name(snr: object) -> str:
    """A condition as a report has it: `clean`, or `6 dB`."""
    return f"{snr:g} dB" if isinstance(snr, int | float) else str(snr)
