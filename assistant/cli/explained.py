"""What an explanation looks like: lines for people, an object for programs.

Marks stand in the text itself, so that it reads the same without colours: `k[g]` is a k of the
sentence in whose place a g was heard, `k[-]` one in whose place nothing was; a `+` is before what
was heard and the sentence does not say.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from rich.text import Text

from ..confidence import WORST_LOG_RATIO
from ..explanation import (
    POOR_FIT,
    Evidence,
    Explanation,
    LstmOpinion,
    PhonemeFit,
    Reading,
    SlotOpinion,
)
from ..types import Rejection, WordTime, seconds
from .render import slots_text, time_span

LABEL_WIDTH = 13
"""Columns of the names at the left."""
HEARD_IN_A_LINE = 10
"""Phonemes in a line, with their times."""
FEW_HEARD = 0.7
"""Share of a sentence's phonemes below which it is said that so few were heard."""


def lines(file: str, note: str, explained: Explanation) -> Iterator[Text]:
    """An explanation for people; `note` is said of where it comes from."""
    utterance = explained.utterance
    where = time_span(utterance.start, utterance.end)
    yield Text.assemble((file or "microphone", "bold"), f"  {where}", (note and f"  {note}", "dim"))
    style = "yellow" if isinstance(utterance.decision, Rejection) else "green"
    yield _entry("reason", Text(explained.reason, style))
    yield from _heard(explained)
    yield from _sentence(explained)
    yield from _readings("together", explained.joint)
    yield from _readings("graph alone", explained.graph)
    if explained.lstm is not None:
        yield from _opinion(explained.lstm)
    if explained.evidence is not None:
        yield from _confidence(explained.evidence)


def _heard(explained: Explanation) -> Iterator[Text]:
    unsaid = explained.unsaid if explained.best else ()
    shown = [
        f"{explained.seconds(h.start_row):5.2f} {'+' if h in unsaid else ' '}{h.phoneme:<3}"
        for h in explained.heard
    ]
    if not shown:
        yield _entry("heard", Text("no phoneme", "dim"))
    for index in range(0, len(shown), HEARD_IN_A_LINE):
        name = "" if index else "heard"
        yield _entry(name, Text(" ".join(shown[index : index + HEARD_IN_A_LINE]).rstrip()))


def _sentence(explained: Explanation) -> Iterator[Text]:
    """The words of the nearest sentence with their times, fits and phonemes."""
    best = explained.best
    if best is None:
        return
    name = "nearest" if isinstance(explained.utterance.decision, Rejection) else "sentence"
    width = max((len(word.word) for word in best.words), default=0)
    for index, word in enumerate(best.words):
        fits = [fit for fit in explained.fits if fit.word == index]
        line = Text(f"{word.word:{width}}  {_times(word, explained)}")
        line.append(f"{_nats(sum(fit.log_ratio for fit in fits)):>7} nats  ")
        for fit in fits:
            line.append_text(_phoneme(fit)).append(" ")
        line.rstrip()
        yield _entry("" if index else name, line)


def _phoneme(fit: PhonemeFit) -> Text:
    if fit.fits:
        return Text(fit.phoneme)
    return Text(f"{fit.phoneme}[{' '.join(fit.heard) or '-'}]", "bold red")


def _readings(name: str, readings: Sequence[Reading]) -> Iterator[Text]:
    for index, reading in enumerate(readings):
        found = reading.hypothesis
        behind = f"{_nats(-reading.behind):>7}" if index else "   best"
        figures = f"{behind}  {_nats(found.log_ratio):>6} a phoneme  {found.confidence:.2f}  "
        meaning = " ".join(filter(None, (found.intent, slots_text(found.slots))))
        line = Text.assemble(figures, (found.text, "" if index else "bold"), f"  →  {meaning}")
        yield _entry("" if index else name, line)


def _opinion(lstm: LstmOpinion) -> Iterator[Text]:
    intents = (f"{name or 'no command'} {probability:.2f}" for name, probability in lstm.intents)
    yield _entry("LSTM alone", Text(",  ".join(intents)))
    if lstm.slots:
        yield _entry("", Text(",  ".join(map(_slot, lstm.slots))))


def _slot(opinion: SlotOpinion) -> str:
    said = "absent"
    if opinion.value is not None:
        said = slots_text({opinion.slot: opinion.value}).removeprefix(f"{opinion.slot}=")
    return f"{opinion.slot}={said} {opinion.probability:.2f}"


def _confidence(evidence: Evidence) -> Iterator[Text]:
    ratio = f"{_nats(evidence.log_ratio)} nats a phoneme, {evidence.phonemes} phonemes"
    verdict = "reaches" if evidence.confidence >= evidence.threshold else "is below"
    line = f"{evidence.confidence:.2f} of {ratio}; {verdict} the threshold {evidence.threshold:.2f}"
    yield _entry("confidence", Text(line, "bold"))
    remarks = [f"'{evidence.worst_word}' fits worst: {_nats(evidence.worst_ratio)} a phoneme"]
    if evidence.share_heard < FEW_HEARD:
        remarks.append(f"{evidence.share_heard:.0%} of its phonemes were heard")
    if evidence.needed > WORST_LOG_RATIO:
        remarks.append(f"{_nats(evidence.needed)} a phoneme would just reach it")
    if evidence.between < POOR_FIT:
        unsaid = f"{_nats(evidence.between)} nats for what the sentence does not say"
        remarks.append(unsaid)
    yield _entry("", Text("; ".join(remarks), "dim"))


def _nats(value: float) -> str:
    return f"{round(value, 2) + 0.0:.2f}"  # + 0.0: there is no -0.00


def _times(word: WordTime, explained: Explanation) -> str:
    return f"{explained.seconds(word.start_row):6.2f}–{explained.seconds(word.end_row):.2f} s"


def _entry(name: str, line: Text) -> Text:
    return Text.assemble((f"  {name:{LABEL_WIDTH}}", "cyan"), line)


# ── for programs ───────────────────────────────────────────────────────────────────────────


def explanation_object(file: str, explained: Explanation) -> dict[str, Any]:
    """An explanation as JSON can hold it; times are seconds from the start of the stream.

    `alignment` is of the nearest sentence, `hypotheses.together` has it first; log ratios and
    `behind` are in nats.
    """
    utterance, best = explained.utterance, explained.best
    lstm, decision = explained.lstm, utterance.decision
    return {
        "file": file,
        "start": round(seconds(utterance.start), 3),
        "end": round(seconds(utterance.end), 3),
        "accepted": not isinstance(decision, Rejection),
        "reason": explained.reason,
        "heard": [
            {
                "phoneme": h.phoneme,
                **_span(h.start_row, h.end_row, explained),
                "probability": round(h.probability, 4),
                "said": h not in explained.unsaid,
            }
            for h in explained.heard
        ],
        "words": [
            {"word": word.word, **_span(word.start_row, word.end_row, explained)}
            for word in (best.words if best else ())
        ],
        "alignment": [
            {
                "phoneme": fit.phoneme,
                "word": fit.word,
                **_span(fit.start_row, fit.end_row, explained),
                "log_ratio": round(fit.log_ratio, 4) + 0.0,
                "heard": list(fit.heard),
                "fits": fit.fits,
            }
            for fit in explained.fits
        ],
        "hypotheses": {
            "together": [_reading_object(reading) for reading in explained.joint],
            "graph": [_reading_object(reading) for reading in explained.graph],
            "lstm": None
            if lstm is None
            else {
                "intents": [[name, round(p, 4)] for name, p in lstm.intents],
                "slots": {o.slot: [o.value, round(o.probability, 4)] for o in lstm.slots},
            },
        },
        "confidence": _evidence_object(explained.evidence),
    }


def _span(start_row: int, end_row: int, explained: Explanation) -> dict[str, float]:
    return {
        "start": round(explained.seconds(start_row), 3),
        "end": round(explained.seconds(end_row), 3),
    }


def _reading_object(reading: Reading) -> dict[str, Any]:
    found = reading.hypothesis
    return {
        "intent": found.intent,
        "slots": dict(found.slots),
        "text": found.text,
        "behind": round(reading.behind, 4),
        "log_ratio": round(found.log_ratio, 4) + 0.0,
        "confidence": round(found.confidence, 4),
    }


def _evidence_object(evidence: Evidence | None) -> dict[str, Any] | None:
    if evidence is None:
        return None
    return {
        "confidence": round(evidence.confidence, 4),
        "threshold": evidence.threshold,
        "phonemes": evidence.phonemes,
        "log_ratio": round(evidence.log_ratio, 4) + 0.0,
        "log_ratio_needed": None if math.isnan(evidence.needed) else round(evidence.needed, 4),
        "between": round(evidence.between, 4) + 0.0,
        "worst_word": evidence.worst_word,
        "worst_ratio": round(evidence.worst_ratio, 4) + 0.0,
        "share_heard": round(evidence.share_heard, 4),
        "calibration": {
            "weights": list(evidence.calibration.weights),
            "bias": evidence.calibration.bias,
        },
    }
