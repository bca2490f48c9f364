"""What is evaluated: anything that decides what was said in a recording.

The assistant itself goes through its own pipeline, event by event, as a microphone would feed it.
A peer is a function of an utterance's samples; the assistant's endpointer cuts a recording into
utterances for it, so that both are asked about the same stretches of sound.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

import numpy as np
from torch import Tensor

from ..pipeline import Pipeline, WholeStream
from ..types import (
    SAMPLE_RATE,
    Confirmed,
    Contradicted,
    Event,
    Hypothesis,
    PartialHypothesisChanged,
    Recognised,
    Rejected,
    Rejection,
    Samples,
    SlotValue,
    SpeechAudio,
    SpeechEnd,
    SpeechStart,
    SpeechStarted,
    Utterance,
)
from ..vad import Endpointer
from .wording import several_heard

BLOCK = 320
"""Samples fed at a time where no other cut is asked for: 20 ms, as a microphone would."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What an utterance was taken for.

    intent: None where it was refused, nothing was heard, or (of a recording) several commands were.
    slots, text: of the accepted reading, or of the nearest one where it was refused. confidence: in
    [0, 1], of the same reading; 0 where there is none. nearest: the intent of the nearest reading
    where it was refused. reason: why there is no intent, or that what followed contradicts an early
    decision; else empty.
    """

    intent: str | None
    slots: Mapping[str, SlotValue]
    text: str
    confidence: float
    nearest: str | None = None
    reason: str = ""

    @property
    def accepted(self) -> bool:
        """Whether something would have been done."""
        return self.intent is not None


@dataclass(frozen=True, slots=True)
class Times:
    """When things happened to an utterance [start, end), as samples of the stream.

    decided: the last sample that had been heard when it was decided; before `end` where it was
    decided early. speech_start, speech_end: the first word's and the last word's edge in the
    decided sentence's alignment; None where nothing was accepted or there is no alignment.
    first_partial: the last sample heard before the first partial result; None where there was none.
    ended_by_stream: the recording was over before the endpointer would have ended the utterance, so
    that `end` says nothing about it.
    """

    start: int
    end: int
    decided: int
    speech_start: int | None = None
    speech_end: int | None = None
    first_partial: int | None = None
    early: bool = False
    ended_by_stream: bool = False


NOTHING = Decision(None, {}, "", 0.0, None, "no utterance was found in the recording")
"""What a recording is taken for in which nobody was heard to speak."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What came out of one recording: an entry an utterance, in the order of time.

    log_probs: (T, P) log-posteriors of the full-context pass; empty for what has none. decision_ms:
    wall-clock time from the last sample of an utterance to its decision; empty where not measured.
    """

    decisions: tuple[Decision, ...] = ()
    times: tuple[Times, ...] = ()
    log_probs: tuple[Tensor, ...] = ()
    decision_ms: tuple[float, ...] = ()

    @property
    def decision(self) -> Decision:
        """The recording's own decision; see `of_recording`."""
        return of_recording(self.decisions)


def of_recording(decisions: tuple[Decision, ...]) -> Decision:
    """What a recording was taken for whose utterances were decided like this.

    The endpointer may cut a recording into several utterances. If one of them alone was accepted,
    that is what would have been done, and it counts. If none was, the one with the highest
    confidence says why. If several were accepted, more would have been done than was asked for: the
    recording has no intent and that reason, whatever they were, and so is never right.
    """
    accepted = [d for d in decisions if d.accepted]
    if len(accepted) == 1:
        return accepted[0]
    if accepted:
        return Decision(None, {}, "", 0.0, None, several_heard(d.text for d in accepted))
    return max(decisions, key=lambda d: d.confidence, default=NOTHING)


class Recogniser(Protocol):
    """Decides what was said in a recording."""

    name: str
    """For people: "assistant", "whisper-base", …"""

    def decide(self, samples: Samples) -> Heard:
        """A whole recording, mono, 16 kHz, as one stream from its first sample to its last."""


class Pipelines(Protocol):
    """Builds pipelines from what was read once: `Engine`, or what stands in for it."""

    def pipeline(
        self, *, whole: bool = False, observe: Callable[[Utterance], None] | None = None
    ) -> Pipeline:
        """A pipeline for one stream; see `Engine.pipeline`."""


class AssistantRecogniser:
    """The assistant's own pipeline: endpointer, features, acoustic model, intent; nothing acts."""

    name = "assistant"

    def __init__(self, engine: Pipelines, whole: bool = False, cut: int | None = None) -> None:
        """whole: the recording is one utterance, without VAD. cut: samples fed at a time."""
        self._whole = whole
        self._cut = cut or BLOCK
        self._heard: list[Utterance] = []
        self._pipeline: Pipeline = engine.pipeline(whole=whole, observe=self._heard.append)
        self._row = round(self._pipeline.features.config.row_ms * SAMPLE_RATE / 1000)

    def decide(self, samples: Samples) -> Heard:
        """Feed the recording cut by cut, and flush at its end."""
        self._heard.clear()
        self._pipeline.reset()
        decisions: list[Decision] = []
        times: list[Times] = []
        spent: list[float] = []
        first_partial: int | None = None
        early: Recognised | None = None
        for event, milliseconds in self._events(samples):
            match event:
                case SpeechStarted():
                    first_partial, early = None, None
                case PartialHypothesisChanged(at) if first_partial is None and not self._whole:
                    first_partial = (
                        at  # without VAD there are no frames: it would depend on the cut
                    )
                case Recognised(early=True):
                    early = event
                case Recognised() | Rejected() | Confirmed() | Contradicted():
                    utterance = self._heard[len(decisions)]
                    decisions.append(_decision(utterance, early, event))
                    times.append(self._times(utterance, early, first_partial, len(samples)))
                    spent.append(milliseconds)
        # A large cut decides several things at once: the time of one of them cannot be told.
        return Heard(
            tuple(decisions),
            tuple(times),
            tuple(u.log_probs for u in self._heard),
            tuple(spent) if self._cut <= BLOCK else (),
        )

    def _times(
        self, utterance: Utterance, early: Recognised | None, first_partial: int | None, length: int
    ) -> Times:
        start = utterance.start
        acted = early.hypothesis if early is not None else utterance.decision
        words = acted.words if isinstance(acted, Hypothesis) else ()
        return Times(
            start=start,
            end=utterance.end,
            decided=early.end if early is not None else utterance.end,
            speech_start=start + words[0].start_row * self._row if words else None,
            speech_end=start + words[-1].end_row * self._row if words else None,
            first_partial=first_partial,
            early=early is not None,
            ended_by_stream=utterance.end >= length,
        )

    def _events(self, samples: Samples) -> Iterator[tuple[Event, float]]:
        """What happens, each with the milliseconds of the call that it came out of."""
        calls: list[Callable[[], list[Event]]] = [
            partial(self._pipeline.feed, samples[begin : begin + self._cut])
            for begin in range(0, len(samples), self._cut)
        ]
        for call in (*calls, self._pipeline.flush):
            called = time.perf_counter()
            events = call()
            milliseconds = (time.perf_counter() - called) * 1000
            yield from ((event, milliseconds) for event in events)


def _decision(utterance: Utterance, early: Recognised | None, closing: Event) -> Decision:
    """What was acted on: the early decision where there was one, else that on the whole."""
    decision = decision_of(early.hypothesis if early is not None else utterance.decision)
    if isinstance(closing, Contradicted):
        return replace(decision, reason="decided early, and contradicted by what followed")
    return decision


def decision_of(decided: Hypothesis | Rejection) -> Decision:
    """What the intent stage made of an utterance."""
    if isinstance(decided, Hypothesis):
        return Decision(decided.intent, decided.slots, decided.text, decided.confidence)
    best = decided.best
    if best is None:
        return Decision(None, {}, "", 0.0, None, decided.reason)
    return Decision(None, best.slots, best.text, best.confidence, best.intent, decided.reason)


Peer = Callable[[Samples], Decision]
"""A peer: an utterance's samples (mono, 16 kHz) to what it takes them for."""


class PeerRecogniser:
    """A peer behind the assistant's endpointer, or on whole recordings without it."""

    def __init__(
        self, name: str, peer: Peer, endpointer: Endpointer | WholeStream | None = None
    ) -> None:
        """endpointer: cuts recordings into utterances; None for whole recordings."""
        self.name = name
        self._peer = peer
        self._endpointer = endpointer or WholeStream()

    def decide(self, samples: Samples) -> Heard:
        """Ask the peer about every utterance; a decision takes no time of the stream."""
        decisions: list[Decision] = []
        times: list[Times] = []
        spent: list[float] = []
        for start, said in self._utterances(samples):
            called = time.perf_counter()
            decisions.append(self._peer(said))
            spent.append((time.perf_counter() - called) * 1000)
            end = start + len(said)
            times.append(Times(start, end, decided=end, ended_by_stream=end >= len(samples)))
        return Heard(tuple(decisions), tuple(times), decision_ms=tuple(spent))

    def _utterances(self, samples: Samples) -> Iterator[tuple[int, Samples]]:
        self._endpointer.reset()
        start, audio = 0, [np.zeros(0, np.float32)]
        for event in [*self._endpointer.feed(samples), *self._endpointer.flush()]:
            match event:
                case SpeechStart(start):
                    audio = []
                case SpeechAudio(piece, _):
                    audio.append(piece)
                case SpeechEnd(_, _):
                    yield start, np.concatenate(audio)
