"""What is taken for a command that is none: false accepts an hour, against false rejects (DET)."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

from ..types import SAMPLE_RATE
from . import intervals
from .metrics import DIGITS, Result, agrees
from .recogniser import Decision

EXAMPLES = 20
"""False accepts that a report lists, the most confident first."""
POINTS = 200
"""Of a DET curve, at most."""


def hours(negatives: Sequence[Result]) -> float:
    """Of audio in which no command is said."""
    return sum(r.outcome.samples for r in negatives) / SAMPLE_RATE / 3600


def false_accepts(negatives: Sequence[Result]) -> dict[str, Any] | None:
    """The report's `negatives`; None where nothing was heard. An accepted utterance is one."""
    heard, length = [r for r in negatives if r.outcome.evaluated], hours(negatives)
    if not heard:
        return None
    accepted = [(r, d) for r in heard for d in r.outcome.decisions if d.accepted]
    accepted.sort(key=lambda found: -found[1].confidence)
    return {
        "hours": round(length, DIGITS),
        "recordings": len(heard),
        "utterances": sum(len(r.outcome.decisions) for r in heard),
        "false_accepts": len(accepted),
        "false_accepts_per_hour": round(len(accepted) / length, DIGITS),
        "interval": [round(edge / length, DIGITS) for edge in intervals.poisson(len(accepted))],
        "examples": [
            {"path": r.item.path, "intent": d.intent, "text": d.text, "confidence": d.confidence}
            for r, d in accepted[:EXAMPLES]
        ],
    }


def det(
    positives: Sequence[Result], negatives: Sequence[Result], threshold: float | None
) -> list[dict[str, float]]:
    """Detection error tradeoff (Martin et al. 1997) over thresholds of confidence.

    A recording is falsely rejected where no utterance of it has a right reading at or above the
    threshold; an utterance of the negatives is falsely accepted where its nearest reading, whatever
    it is, is at or above it. What was refused for another reason than the threshold in use counts
    as a confidence of 0: lowering the threshold would not have let it pass.

    Args:
        positives: of one condition. threshold: the one in use, which is among those shown; None
            where there is none.
    """
    labelled, length = [r for r in positives if r.item.labelled], hours(negatives)
    if not labelled or not length:
        return []
    right = sorted(_confidence_of_right(r, threshold) for r in labelled)
    wrong = sorted(_confidence(d, threshold) for r in negatives for d in r.outcome.decisions)
    thresholds = _spread(sorted({*right, *wrong, 0.0, 1.0} - {-1.0}))
    return [
        {
            "threshold": at,
            "false_reject_rate": round(bisect_left(right, at) / len(right), DIGITS),
            "false_accepts_per_hour": round((len(wrong) - bisect_left(wrong, at)) / length, DIGITS),
        }
        for at in sorted({*thresholds, *(() if threshold is None else (threshold,))})
    ]


def _confidence_of_right(result: Result, threshold: float | None) -> float:
    """The highest of the utterances whose reading agrees with the labels; -1 where none does."""
    right = (d for d in result.outcome.decisions if agrees(result.item, d))
    return max((_confidence(d, threshold) for d in right), default=-1.0)


def _confidence(decision: Decision, threshold: float | None) -> float:
    """0 where a decision was refused although the threshold in use would have let it pass."""
    passes = threshold is None or decision.confidence >= threshold
    return 0.0 if passes and not decision.accepted else decision.confidence


def _spread(values: Sequence[float]) -> list[float]:
    """At most `POINTS` of them, evenly by rank, the first and last included."""
    if len(values) <= POINTS:
        return list(values)
    step = (len(values) - 1) / (POINTS - 1)
    return [values[round(index * step)] for index in range(POINTS)]
