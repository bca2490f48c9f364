"""Why an utterance was decided as it was: what was heard, what fitted it how well, what else could.

A decision rests on one figure: how much less probable the best sentence is than the free phoneme
loop, a phoneme (the likelihood ratio of Rose & Paul 1990). Both are Viterbi paths over the same
rows, so the figure is a sum over rows, and every phoneme of the sentence has its share of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from .confidence import Calibration
from .grammar.graph import GraphPath
from .grammar.layout import BLANK, Floats
from .grammar.nbest import best_readings
from .intent import IntentDecoder, less_blank
from .nn.intent_model import IntentScores
from .types import SAMPLE_RATE, Hypothesis, Rejection, SlotValue, Utterance

POOR_FIT = -math.log(10)
"""Nats: a phoneme whose rows are ten times less probable than what was heard in them fits badly."""

READINGS = 4
"""Readings that are listed, the best included."""


@dataclass(frozen=True, slots=True)
class HeardPhoneme:
    """A phoneme of the free loop's best path, its rows [start_row, end_row), its probability there.

    The probability is the highest of the rows.
    """

    phoneme: str
    start_row: int
    end_row: int
    probability: float


@dataclass(frozen=True, slots=True)
class PhonemeFit:
    """A phoneme of the best sentence in rows [start_row, end_row), and what was heard in them.

    word: index of its word. log_ratio: nats, its share of the path's log-likelihood ratio, at most
    0. heard: phonemes of the free loop that lie in its rows; none where the blank won.
    """

    phoneme: str
    word: int
    start_row: int
    end_row: int
    log_ratio: float
    heard: tuple[str, ...]

    @property
    def fits(self) -> bool:
        """Whether it is about as probable as what was heard."""
        return self.log_ratio > POOR_FIT


@dataclass(frozen=True, slots=True)
class Reading:
    """A reading with its confidence; `behind` is how many nats the best of its list is ahead."""

    hypothesis: Hypothesis
    behind: float


@dataclass(frozen=True, slots=True)
class SlotOpinion:
    """What the LSTM takes for the most probable value of a slot; None: it is not said."""

    slot: str
    value: SlotValue | None
    probability: float


@dataclass(frozen=True, slots=True)
class LstmOpinion:
    """What the LSTM alone heard.

    intents: the most probable first, with their probabilities; None is "no command".
    slots: every slot that it heard, or that the best sentence says.
    """

    intents: tuple[tuple[str | None, float], ...]
    slots: tuple[SlotOpinion, ...]


@dataclass(frozen=True, slots=True)
class Evidence:
    """How the best sentence's fit became a confidence.

    phonemes: its length. log_ratio: nats a phoneme. between: the share of it (nats, of the whole
    sentence) lost in rows of no phoneme, where something was heard that the sentence does not say.
    worst_word and worst_ratio: the word that fits worst, and its nats a phoneme. share_heard: of
    the sentence's phonemes, how many were heard at all where it is said.
    confidence and threshold: in [0, 1]. needed: the log_ratio that would just reach the threshold.
    """

    phonemes: int
    log_ratio: float
    between: float
    worst_word: str
    worst_ratio: float
    share_heard: float
    calibration: Calibration
    confidence: float
    threshold: float
    needed: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """All that `assistant explain` shows; rows last `row_ms` milliseconds each.

    fits and evidence are those of the best joint reading; empty where no sentence fits at all.
    columns: names of the posteriors' columns.
    """

    utterance: Utterance
    row_ms: float
    columns: tuple[str, ...]
    reason: str
    heard: tuple[HeardPhoneme, ...]
    fits: tuple[PhonemeFit, ...]
    evidence: Evidence | None
    joint: tuple[Reading, ...]
    graph: tuple[Reading, ...]
    lstm: LstmOpinion | None

    @property
    def best(self) -> Hypothesis | None:
        """The nearest sentence, accepted or not."""
        return self.joint[0].hypothesis if self.joint else None

    @property
    def unsaid(self) -> tuple[HeardPhoneme, ...]:
        """What was heard in no row of the nearest sentence's phonemes: it does not say that."""
        rows = {row for fit in self.fits for row in range(fit.start_row, fit.end_row)}
        return tuple(h for h in self.heard if rows.isdisjoint(range(h.start_row, h.end_row)))

    def seconds(self, row: int) -> float:
        """Where a row begins, in seconds of the stream."""
        return self.utterance.start / SAMPLE_RATE + row * self.row_ms / 1000


def explain(
    utterance: Utterance, decoder: IntentDecoder, columns: Sequence[str], row_ms: float
) -> Explanation:
    """Explain the decision of `utterance` by what `decoder` finds in its posteriors.

    Args:
        utterance: with the log-posteriors that were decided.
        decoder: the commands that decided it.
        columns: names of the posteriors' columns; the first is the blank.
        row_ms: milliseconds of a row.

    Raises:
        BundleError: the posteriors do not fit the commands.
    """
    rows: Floats = utterance.log_probs.float().numpy()
    searched: Floats = less_blank(utterance.log_probs.float()).numpy()
    scores = decoder.intent_scores(utterance.log_probs) if len(rows) else None
    found: dict[float, list[GraphPath]] = {}
    for weight in (decoder.config.lstm_weight, 0.0):
        if len(rows) and weight not in found:
            slots, intents = decoder.bonuses(scores, weight)
            found[weight] = best_readings(
                decoder.graph, searched, slots, intents, READINGS, decoder.config.filler_penalty
            )
    joint, alone = found.get(decoder.config.lstm_weight, []), found.get(0.0, [])
    heard = heard_phonemes(rows, columns)
    fits = phoneme_fits(joint[0], searched, heard, columns) if joint else ()
    evidence = _evidence(joint[0], utterance.log_probs, fits, decoder) if joint else None
    return Explanation(
        utterance=utterance,
        row_ms=row_ms,
        columns=tuple(columns),
        reason=_reason(utterance.decision, decoder.threshold),
        heard=heard,
        fits=fits,
        evidence=evidence,
        joint=_readings(joint, utterance.log_probs, decoder),
        graph=_readings(alone, utterance.log_probs, decoder),
        lstm=_opinion(scores, decoder, joint[0].slots if joint else {}) if scores else None,
    )


def heard_phonemes(log_probs: Floats, columns: Sequence[str]) -> tuple[HeardPhoneme, ...]:
    """Phonemes of the free loop's best path through `log_probs` (T, P), with their rows."""
    if not len(log_probs):
        return ()
    ids = log_probs.argmax(axis=1)
    starts = [0, *(np.flatnonzero(ids[1:] != ids[:-1]) + 1).tolist(), len(ids)]
    return tuple(
        HeardPhoneme(
            columns[ids[start]], start, end, float(np.exp(log_probs[start:end, ids[start]].max()))
        )
        for start, end in pairwise(starts)
        if ids[start] != BLANK
    )


def phoneme_fits(
    path: GraphPath, scores: Floats, heard: Sequence[HeardPhoneme], columns: Sequence[str]
) -> tuple[PhonemeFit, ...]:
    """The phonemes of `path` beside what was `heard` in their rows of `scores` (T, P).

    A phoneme heard in no row of the sentence's phonemes is noise to it, and beside none of them.
    """
    relative = scores - scores.max(axis=1, keepdims=True)
    ends = [word.end_row for word in path.words]
    return tuple(
        PhonemeFit(
            phoneme=columns[phoneme],
            word=int(np.searchsorted(ends, start, side="right")),
            start_row=start,
            end_row=end,
            log_ratio=float(relative[start:end, phoneme].sum(dtype=np.float64)),
            heard=tuple(h.phoneme for h in heard if h.start_row < end and start < h.end_row),
        )
        for phoneme, (start, end) in zip(path.phonemes, path.spans, strict=True)
    )


def _evidence(
    path: GraphPath, log_probs: Tensor, fits: Sequence[PhonemeFit], decoder: IntentDecoder
) -> Evidence:
    fit = decoder.weigh(path, log_probs).fit
    calibration, threshold = decoder.calibration, decoder.threshold
    worst = int(np.argmin(fit.word_ratios))
    return Evidence(
        phonemes=fit.phonemes,
        log_ratio=fit.log_ratio,
        between=min(0.0, fit.log_ratio * fit.phonemes - sum(one.log_ratio for one in fits)),
        worst_word=path.words[worst].word,
        worst_ratio=fit.word_ratios[worst],
        share_heard=fit.heard,
        calibration=calibration,
        confidence=calibration.confidence(fit.evidence),
        threshold=threshold,
        needed=_needed(calibration, fit.evidence, threshold),
    )


def _needed(calibration: Calibration, evidence: Sequence[float], threshold: float) -> float:
    """The log ratio a phoneme with which `evidence` would just reach the threshold."""
    weight, *others = calibration.weights
    if weight <= 0 or not 0 < threshold < 1:
        return math.nan
    rest = calibration.bias + sum(w * e for w, e in zip(others, evidence[1:], strict=True))
    return (math.log(threshold / (1 - threshold)) - rest) / weight


def _readings(
    paths: Sequence[GraphPath], log_probs: Tensor, decoder: IntentDecoder
) -> tuple[Reading, ...]:
    return tuple(
        Reading(decoder.hypothesis(decoder.weigh(path, log_probs)), paths[0].score - path.score)
        for path in paths
    )


def _opinion(
    scores: IntentScores, decoder: IntentDecoder, said: Mapping[str, SlotValue]
) -> LstmOpinion:
    intents = scores.intent[0].softmax(0)
    order = torch.argsort(intents, descending=True)[: READINGS - 1].tolist()
    names = (None, *decoder.intents)
    slots = []
    for (slot, values), logits in zip(decoder.slots.items(), scores.slots, strict=True):
        probabilities = logits[0].softmax(0)
        best = int(probabilities.argmax())
        if best or slot in said:
            value = values[best - 1] if best else None
            slots.append(SlotOpinion(slot, value, float(probabilities[best])))
    return LstmOpinion(tuple((names[i], float(intents[i])) for i in order), tuple(slots))


def _reason(decision: Hypothesis | Rejection, threshold: float) -> str:
    if isinstance(decision, Rejection):
        return decision.reason
    return (
        f"a command: '{decision.text}', confidence {decision.confidence:.2f} "
        f"is at least {threshold:.2f}"
    )
