"""What came out of one recording under one condition: a line of the journal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from ..training.metrics import ErrorRate
from .recogniser import Decision, Times, of_recording

DIGITS = 6
"""Of a confidence: more would tell apart what no rounding of a network's sums keeps the same."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What deciding a recording took on this machine; it is never the same twice.

    seconds: of the whole recording. peak_mb: resident memory of the process so far, at most; None
    where the system does not tell.
    """

    seconds: float
    decision_ms: tuple[float, ...] = ()
    peak_mb: float | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """decisions, times: one an utterance. samples: the recording's length. phonemes: greedy errors
    against the labelled text; None where there is none. fault: what is wrong with the recording;
    where there are no samples, it could not be read and nothing was decided.
    """

    decisions: tuple[Decision, ...] = ()
    times: tuple[Times, ...] = ()
    samples: int = 0
    phonemes: ErrorRate | None = None
    fault: str | None = None
    cost: Cost = Cost(0.0)

    @property
    def decision(self) -> Decision:
        """The recording's own decision; see `of_recording`."""
        return of_recording(self.decisions)

    @property
    def evaluated(self) -> bool:
        """Whether the recording could be read."""
        return self.samples > 0

    def to_json(self) -> dict[str, Any]:
        """Plain values, ready for a line of JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Outcome:
        """The same outcome back.

        Raises:
            KeyError, TypeError: it is none.
        """
        phonemes, cost = stored["phonemes"], stored["cost"]
        return cls(
            decisions=tuple(Decision(**d) for d in stored["decisions"]),
            times=tuple(Times(**t) for t in stored["times"]),
            samples=stored["samples"],
            phonemes=ErrorRate(**phonemes) if phonemes else None,
            fault=stored["fault"],
            cost=Cost(cost["seconds"], tuple(cost["decision_ms"]), cost["peak_mb"]),
        )


def rounded(decision: Decision) -> Decision:
    """With a confidence of `DIGITS`, and slots as JSON keeps them."""
    confidence = round(decision.confidence, DIGITS)
    return replace(decision, confidence=confidence, slots=dict(decision.slots))
