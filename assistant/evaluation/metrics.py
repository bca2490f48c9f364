"""Rates of a condition: what was right, what was refused, how the slots fared.

exact: intent and every labelled slot right. strict: nothing else was understood besides. A label
that an item does not have cannot be wrong: without `slots`, exact and strict are the intent alone.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..types import SlotValue
from . import intervals
from .intervals import Interval
from .items import Item
from .mixing import Snr, snr_name
from .outcome import Outcome
from .recogniser import Decision
from .wording import SEVERAL

DIGITS = 6
"""Of every figure in a report."""


@dataclass(frozen=True, slots=True)
class Result:
    """What came out of a recording under a condition."""

    item: Item
    snr: Snr
    outcome: Outcome

    @property
    def several(self) -> bool:
        """Whether more than one command was accepted: that is never right, and not refused."""
        return sum(d.accepted for d in self.outcome.decisions) > 1

    @property
    def got(self) -> Mapping[str, SlotValue]:
        """The slots that were understood: none where it was refused."""
        decision = self.outcome.decision
        return decision.slots if decision.accepted else {}

    @property
    def exact(self) -> bool:
        """Whether it was accepted, with intent and every labelled slot right."""
        decision = self.outcome.decision
        return decision.accepted and agrees(self.item, decision)

    @property
    def strict(self) -> bool:
        """Whether it was exact, without slots that are not labelled."""
        return self.exact and (self.item.slots is None or self.got.keys() == self.item.slots.keys())

    @property
    def slot_counts(self) -> tuple[int, int]:
        """(2 · right, labelled + understood): their ratio of sums is the slots' micro F1."""
        labelled = self.item.slots or {}
        right = sum(self.got.get(slot) == value for slot, value in labelled.items())
        return 2 * right, len(labelled) + len(self.got)


def agrees(item: Item, decision: Decision) -> bool:
    """Whether a reading, accepted or nearest, has the intent and every slot of the labels."""
    intent = decision.intent or decision.nearest
    return item.intent in (None, intent) and all(
        slot in decision.slots and decision.slots[slot] == value
        for slot, value in (item.slots or {}).items()
    )


def condition(results: Sequence[Result], snr: Snr, seed: int) -> dict[str, Any]:
    """A line of the report's `conditions`; null where nothing was labelled to measure it by."""
    labelled = [r for r in results if r.item.labelled]
    with_intent = [r for r in labelled if r.item.intent is not None]
    spoken = [r for r in results if r.outcome.phonemes is not None]
    found: dict[str, Any] = {"snr": snr_name(snr), "n": len(labelled or spoken)}
    rates: tuple[tuple[str, list[Result], Callable[[Result], bool]], ...] = (
        (
            "intent_accuracy",
            with_intent,
            lambda r: r.outcome.decision.intent == r.item.intent,
        ),
        ("exact", labelled, lambda r: r.exact),
        ("strict", labelled, lambda r: r.strict),
        ("rejected", labelled, lambda r: not any(d.accepted for d in r.outcome.decisions)),
    )
    for name, among, holds in rates:
        found |= _figure(name, *_rate(among, holds, seed))
    slots = [(r, *r.slot_counts) for r in labelled if r.item.slots is not None]
    found |= _figure("slot_f1", *_ratio(slots, seed))
    errors = [(r, p.errors, p.length) for r in spoken if (p := r.outcome.phonemes) is not None]
    found |= _figure("phoneme_error", *_ratio(errors, seed))
    return found


def confusion(results: Sequence[Result]) -> dict[str, Any]:
    """How often each pair of expected and got occurred; None is refused, absent or not labelled.

    What a recording of several accepted commands was taken for is `SEVERAL`.
    """
    intents: Counter[tuple[SlotValue | None, SlotValue | None]] = Counter()
    slots: dict[str, Counter[tuple[SlotValue | None, SlotValue | None]]] = defaultdict(Counter)
    for result in results:
        if result.item.intent is not None:
            got = SEVERAL if result.several else result.outcome.decision.intent
            intents[result.item.intent, got] += 1
        if result.item.slots is not None:
            for slot in {*result.item.slots, *result.got}:
                heard = SEVERAL if result.several else result.got.get(slot)
                slots[slot][result.item.slots.get(slot), heard] += 1
    return {
        "intents": _pairs(intents),
        "slots": {slot: _pairs(slots[slot]) for slot in sorted(slots)},
    }


def _pairs(counted: Counter[tuple[SlotValue | None, SlotValue | None]]) -> list[dict[str, Any]]:
    ordered = sorted(counted.items(), key=lambda entry: (-entry[1], repr(entry[0])))
    return [{"expected": e, "got": g, "count": count} for (e, g), count in ordered]


def _rate(
    results: Sequence[Result], holds: Callable[[Result], bool], seed: int
) -> tuple[float | None, Interval | None]:
    """Wilson's interval where recordings are independent, a bootstrap where speakers differ."""
    if not results:
        return None, None
    right = [holds(r) for r in results]
    if _several_speakers(results):
        return _ratio([(r, int(one), 1) for r, one in zip(results, right, strict=True)], seed)
    return sum(right) / len(right), intervals.wilson(sum(right), len(right))


def _ratio(
    counted: Sequence[tuple[Result, int, int]], seed: int
) -> tuple[float | None, Interval | None]:
    """A ratio of sums with its interval, over speakers where there are several, else recordings."""
    above, below = [c[1] for c in counted], [c[2] for c in counted]
    if not sum(below):
        return None, None
    by_speaker = _several_speakers([result for result, *_ in counted])
    groups = [_group(result.item, by_speaker) for result, *_ in counted]
    return sum(above) / sum(below), intervals.bootstrap(above, below, groups, seed)


def _several_speakers(results: Sequence[Result]) -> bool:
    """Whether speakers can be drawn; one alone has no spread, and the recordings are."""
    return len({r.item.speaker for r in results if r.item.speaker}) > 1


def _group(item: Item, by_speaker: bool) -> str:
    return f"speaker {item.speaker}" if by_speaker and item.speaker else f"line {item.line}"


def _figure(name: str, value: float | None, interval: Interval | None) -> dict[str, Any]:
    return {
        name: None if value is None else round(value, DIGITS),
        f"{name}_interval": None if interval is None else [round(e, DIGITS) for e in interval],
    }
