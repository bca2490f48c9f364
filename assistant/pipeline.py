"""The pipeline: the one page that knows the order of the stages.

    samples → Endpointer → FeatureExtractor → AcousticScorer → IntentDecoder → ActionRunner
                 │               │ chunks          │ blocks          │ partial hypotheses
                 │               └ log-mel kept ┐
                 └ end of utterance ────────────┴─ full context → decision → action

While someone speaks the streaming pass gives partial hypotheses; at the endpoint the utterance's
log-mel goes through encoder and acoustic model once more at full context, and that decides.

With early commit a pause may decide before the endpoint, in the same way: the full-context pass
over all that was said so far. It does so only if nothing that may still be said would change the
reading; then `Recognised` is told, marked as early, and its action performed. At the endpoint the
whole utterance is decided as ever, and that closes it: `Confirmed` where it means the same;
else `Contradicted`, which is reported and never acted on, because one utterance acts once at most.
What is observed, and kept for `assistant explain`, is the decision on the whole.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Protocol

import torch

from .acoustic import AcousticScorer
from .features import FeatureExtractor
from .intent import IntentDecoder
from .types import (
    ActionPerformed,
    ActionResult,
    Confirmed,
    Contradicted,
    EndReason,
    Event,
    FeatureChunk,
    Hypothesis,
    Intent,
    PartialHypothesisChanged,
    Recognised,
    Rejected,
    Rejection,
    Samples,
    SpeechAudio,
    SpeechEnd,
    SpeechEvent,
    SpeechPaused,
    SpeechStart,
    SpeechStarted,
    StageDelay,
    Utterance,
)
from .vad import Endpointer


class Performer(Protocol):
    """Does what an intent stands for, as `actions.ActionRunner` does; never raises."""

    def perform(self, intent: Intent) -> ActionResult:
        """Carry out `intent`, or say why not."""


class WholeStream:
    """Stands in for the endpointer where a stream is one utterance from its first sample on."""

    latency_ms = 0.0
    pause_latency_ms = math.inf
    """It tells no pauses."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget the stream."""
        self._received = 0
        self._begun = False

    def feed(self, item: Samples) -> list[SpeechEvent]:
        """Everything is speech."""
        events: list[SpeechEvent] = [] if self._begun else [SpeechStart(0)]
        self._begun = True
        events.append(SpeechAudio(item, self._received))
        self._received += len(item)
        return events

    def flush(self) -> list[SpeechEvent]:
        """The stream's end is the utterance's."""
        events: list[SpeechEvent] = []
        if self._received:
            events = [SpeechEnd(self._received, EndReason.END_OF_STREAM)]
        self.reset()
        return events


class Pipeline:
    """Samples of one stream in, events out."""

    def __init__(
        self,
        endpointer: Endpointer | WholeStream,
        features: FeatureExtractor,
        acoustic: AcousticScorer,
        intent: IntentDecoder,
        actions: Performer | None = None,
        observe: Callable[[Utterance], None] | None = None,
        early_commit: bool = False,
    ) -> None:
        """actions: None where an intent is only reported. observe: given every utterance as it is
        decided at its end, before its events come out; it must not take long. early_commit: whether
        a pause may decide."""
        self.endpointer = endpointer
        self.features = features
        self.acoustic = acoustic
        self.intent = intent
        self.actions = actions
        self.observe = observe
        self.early_commit = early_commit
        self.reset()

    def reset(self) -> None:
        """Forget the stream."""
        self.endpointer.reset()
        self._begin(0)

    def feed(self, samples: Samples) -> list[Event]:
        """Take any amount of audio; return what has happened."""
        return [event for heard in self.endpointer.feed(samples) for event in self._hear(heard)]

    def flush(self) -> list[Event]:
        """The stream is over: finish the utterance, if one is under way, and reset."""
        events = [event for heard in self.endpointer.flush() for event in self._hear(heard)]
        self.reset()
        return events

    def delays(self) -> tuple[StageDelay, ...]:
        """The latency ledger: what every stage waits for, from its own parameters."""
        config = self.features.config
        pause = StageDelay(
            "pause",
            self.endpointer.pause_latency_ms,
            "early commit: decision at a pause, where nothing that may follow changes it",
        )
        return (
            StageDelay("endpointer", self.endpointer.latency_ms, "hangover: decision after speech"),
            *((pause,) if self.early_commit else ()),
            StageDelay(
                "features",
                self.features.latency_ms,
                f"chunk of {config.chunk_rows} rows of {config.row_ms:.0f} ms, "
                f"look-ahead of {config.lookahead_rows}, half a window; none of it at the end",
            ),
            StageDelay(
                "acoustic model", self.acoustic.latency_ms, "its blocks are those of the features"
            ),
            StageDelay("intent", self.intent.latency_ms, "the last row decides"),
        )

    def _begin(self, start: int) -> None:
        self._start = start
        self._log_mel: list[torch.Tensor] = []
        self._partial: Hypothesis | None = None
        self._early: Intent | None = None
        self.features.reset()
        self.acoustic.reset()
        self.intent.reset()

    def _hear(self, heard: SpeechEvent) -> Iterator[Event]:
        match heard:
            case SpeechStart(start):
                self._begin(start)
                yield SpeechStarted(start)
            case SpeechAudio(samples, start):
                for chunk in self.features.feed(samples):
                    yield from self._follow(chunk, start + len(samples))
            case SpeechPaused(at):
                if self.early_commit and self._early is None:
                    yield from self._decide_early(at)
            case SpeechEnd(end):
                yield from self._decide(end)

    def _follow(self, chunk: FeatureChunk, at: int) -> Iterator[Event]:
        """The streaming pass: a chunk of rows may change the partial hypothesis."""
        self._log_mel.append(chunk.log_mel)
        for posteriors in self.acoustic.feed(chunk):
            for hypothesis in self.intent.feed(posteriors):
                if self._early is not None:
                    continue  # it is decided: what is read now will not be acted on
                if self._partial is None or _reading(hypothesis) != _reading(self._partial):
                    self._partial = hypothesis
                    yield PartialHypothesisChanged(at, hypothesis)

    def _heard(self) -> torch.Tensor | None:
        """The full-context pass over the utterance so far: (T, P); None where nothing was said."""
        log_mel = torch.cat([*self._log_mel, self.features.rest()])
        if not len(log_mel):
            return None
        return self.acoustic.full_context(self.features.full_context(log_mel))

    def _decide_early(self, at: int) -> Iterator[Event]:
        """Someone has paused: act now, if nothing that may follow would change what is meant."""
        log_probs = self._heard()
        hypothesis = self.intent.decide_early(log_probs) if log_probs is not None else None
        if hypothesis is not None:
            self._early = _intent(hypothesis)
            yield from self._act(at, hypothesis, early=True)

    def _decide(self, end: int) -> Iterator[Event]:
        """The utterance is over: the full-context pass over it, and what follows from it."""
        start, early = self._start, self._early
        log_probs = self._heard()
        if log_probs is None:
            log_probs = torch.zeros(0, self.acoustic.config.phonemes)
            decision: Hypothesis | Rejection = Rejection("no speech: nothing was said")
        else:
            decision = self.intent.decide(log_probs)
        if self.observe is not None:
            self.observe(Utterance(start, end, log_probs, decision))
        if early is not None:
            same = isinstance(decision, Hypothesis) and (
                (decision.intent, decision.slots) == (early.name, early.slots)
            )
            yield Confirmed(start, end) if same else Contradicted(start, end, early, decision)
        elif isinstance(decision, Rejection):
            yield Rejected(start, end, decision)
        else:
            yield from self._act(end, decision)

    def _act(self, end: int, hypothesis: Hypothesis, early: bool = False) -> Iterator[Event]:
        """The utterance up to `end` was understood: the only place where anything is done."""
        intent = _intent(hypothesis)
        yield Recognised(self._start, end, intent, hypothesis, early)
        if self.actions is not None:
            yield ActionPerformed(self._start, end, self.actions.perform(intent))


def _intent(accepted: Hypothesis) -> Intent:
    return Intent(accepted.intent, accepted.slots, accepted.text, accepted.confidence)


def _reading(hypothesis: Hypothesis) -> tuple[str, str]:
    return hypothesis.intent, hypothesis.text
