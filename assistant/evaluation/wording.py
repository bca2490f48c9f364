"""What the figures of a report are called, wherever people read them."""

from __future__ import annotations

VERSION = 1
"""Of a report's form."""
LATENCIES = {
    "endpoint_delay_ms": "end of speech to endpoint",
    "end_of_speech_to_decision_ms": "end of speech to decision",
    "early_decision_ms": "the same where it was decided early",
    "first_partial_ms": "beginning of speech to first partial result",
}
"""By their keys in a report's `latency`."""


def condition_name(snr: object) -> str:
    """A condition as a report has it: `clean`, or `6 dB`."""
    return f"{snr:g} dB" if isinstance(snr, int | float) else str(snr)
