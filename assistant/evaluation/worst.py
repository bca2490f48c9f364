"""The utterances to look at first: those that went wrong, the worst first."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .wording import is_several

WORST = 20
"""Utterances that a report shows, and false accepts, at most."""

Entry = Mapping[str, Any]
"""An utterance of a report's JSON."""


@dataclass(frozen=True, slots=True)
class Slip:
    """A recording that went wrong, where it went wrong worst.

    kind: `wrong`, `refused`, `extra slots`, or `phonemes`. also: the other conditions in which the
    same recording went wrong.
    """

    entry: Entry
    kind: str
    also: tuple[str | float, ...]


def worst(utterances: Sequence[Entry], count: int = WORST) -> list[Slip]:
    """The worst `count` recordings, each once, at its worst.

    What was taken for something else comes before what was refused, and last comes what was
    right but for slots that nobody said. Of the wrong ones the most confident is the worst: no
    threshold would have caught it. Of the refused ones the one in the least noise is the worst,
    and then the least confident. Where nothing is labelled, those with the highest phoneme error.
    """
    if any(entry["exact"] is not None for entry in utterances):
        wrong = sorted(filter(is_wrong, utterances), key=_badness)
    else:
        wrong = sorted(filter(phoneme_error, utterances), key=_misheard)
    by_recording: dict[str, list[Entry]] = defaultdict(list)
    for entry in wrong:
        by_recording[entry["path"]].append(entry)
    return [
        Slip(
            entries[0],
            _kind(entries[0]),
            tuple(dict.fromkeys(entry["snr"] for entry in entries[1:])),
        )
        for entries in list(by_recording.values())[:count]
    ]


def false_accepts(negatives: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    """The worst of a report's `negatives`, the most confident first."""
    examples = (negatives or {}).get("examples") or []
    return sorted(examples, key=lambda e: (-float(e["confidence"]), e["path"], e["text"]))[:WORST]


def is_wrong(entry: Entry) -> bool:
    """Whether its labels say so; an utterance without labels is neither right nor wrong."""
    return entry["exact"] is False or entry["strict"] is False


def phoneme_error(entry: Entry) -> float:
    """Errors a phoneme; 0 where there is no text to compare with."""
    phonemes = entry.get("phonemes")
    return phonemes["errors"] / max(1, phonemes["length"]) if phonemes else 0.0


def why(entry: Entry) -> str:
    """What is wrong with a decision, in a sentence; with the recogniser's own reason, if any."""
    expected, got = entry["expected"], entry["got"]
    reason = entry.get("reason") or ""
    if entry["exact"] is None:
        phonemes = entry["phonemes"]
        return f"{phonemes['errors']} phonemes wrong, of {phonemes['length']}."
    if is_several(entry):
        return f"{reason}."
    if got["intent"] is None:
        return f"Refused: {reason}" if reason else "Refused."
    wrong = []
    if expected["intent"] not in (None, got["intent"]):
        wrong.append(f"taken for {got['intent']} (expected: {expected['intent']})")
    for slot, wanted, heard in differing_slots(entry):
        if heard is None:
            wrong.append(f"{slot} “{wanted}” was not heard")
        elif wanted is None:
            wrong.append(f"{slot} “{heard}” was not said")
        else:
            wrong.append(f"{slot} is “{heard}”, should be “{wanted}”")
    if reason:
        wrong.append(reason)
    return ("; ".join(wrong) or "counted as wrong") + "."


def differing_slots(entry: Entry) -> list[tuple[str, Any, Any]]:
    """Slots whose values differ: name, expected, got; None where there is no such value."""
    return [row for row in slot_rows(entry) if str(row[1]) != str(row[2])]


def answer_rows(entry: Entry) -> list[tuple[str, Any, Any]]:
    """The intent and all slots: name, expected, got."""
    expected, got = entry["expected"]["intent"], entry["got"]["intent"]
    intent = got if expected is None else expected  # not labelled: nothing to compare with
    return [("intent", intent, got), *slot_rows(entry)]


def slot_rows(entry: Entry) -> list[tuple[str, Any, Any]]:
    """All slots, expected or got: name, expected, got; None where there is no such value."""
    expected = (entry["expected"] or {}).get("slots") or {}
    got = (entry["got"].get("slots") or {}) if entry["got"]["intent"] is not None else {}
    return [(slot, expected.get(slot), got.get(slot)) for slot in {**expected, **got}]


def _kind(entry: Entry) -> str:
    if entry["exact"] is None:
        return "phonemes"
    if _is_refused(entry):
        return "refused"
    return "extra slots" if entry["exact"] else "wrong"


def _is_refused(entry: Entry) -> bool:
    return entry["got"]["intent"] is None and not is_several(entry)


def _badness(entry: Entry) -> tuple[int, float, float, str]:
    confidence = float(entry["confidence"])
    loudness = -math.inf if isinstance(entry["snr"], str) else -float(entry["snr"])
    if _is_refused(entry):
        return 1, loudness, confidence, str(entry["path"])
    return (0 if not entry["exact"] else 2), -confidence, loudness, str(entry["path"])


def _misheard(entry: Entry) -> tuple[float, str, str]:
    return -phoneme_error(entry), str(entry["path"]), str(entry["snr"])
