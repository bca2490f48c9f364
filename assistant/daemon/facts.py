"""Events of a pipeline as the facts that clients are told: names, texts and seconds, no objects."""

from __future__ import annotations

from ..types import (
    ActionPerformed,
    ActionResult,
    Confirmed,
    Contradicted,
    Event,
    Hypothesis,
    Intent,
    PartialHypothesisChanged,
    Recognised,
    Rejected,
    SpeechStarted,
    seconds,
)
from .hub import Fact


def fact_of(event: Event) -> tuple[str, Fact]:
    """An event's name and what there is to say of it; times are seconds of its stream."""
    facts: Fact
    match event:
        case SpeechStarted(start):
            name, facts = "speech-started", {"at": _round(start)}
        case PartialHypothesisChanged(at, hypothesis):
            name, facts = "partial", {"at": _round(at), "text": hypothesis.text}
        case Recognised(start, end, intent, hypothesis, early):
            name = "recognised"
            facts = {**_span(start, end), **intent_fact(intent), "early": early}
            facts["log_ratio"] = round(hypothesis.log_ratio, 4)
        case Rejected(start, end, rejection):
            name, facts = "rejected", {**_span(start, end), "reason": rejection.reason}
            facts["nearest"] = _nearest(rejection.best)
        case Confirmed(start, end):
            name, facts = "confirmed", _span(start, end)
        case Contradicted(start, end, early, decision):
            best = decision if isinstance(decision, Hypothesis) else decision.best
            name, facts = "contradicted", {**_span(start, end), "early": intent_fact(early)}
            facts["nearest"] = _nearest(best)
        case ActionPerformed(start, end, result):
            name, facts = "action", {**_span(start, end), **result_fact(result)}
    return name, facts


def intent_fact(intent: Intent) -> Fact:
    """What was understood."""
    return {
        "intent": intent.name,
        "slots": dict(intent.slots),
        "text": intent.text,
        "confidence": round(intent.confidence, 4),
    }


def result_fact(result: ActionResult) -> Fact:
    """What was done about it."""
    return {
        "intent": result.intent,
        "status": result.status.value,
        "description": result.description,
        "output": result.output,
    }


def _nearest(best: Hypothesis | None) -> Fact | None:
    if best is None:
        return None
    return {"text": best.text, "intent": best.intent, "confidence": round(best.confidence, 4)}


def _span(start: int, end: int) -> Fact:
    return {"start": _round(start), "end": _round(end)}


def _round(samples: int) -> float:
    return round(seconds(samples), 3)
