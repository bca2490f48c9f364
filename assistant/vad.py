"""When someone speaks: voice activity and endpointing.

    samples ─► frames ─┬─► detector (webrtcvad) ─► voice? ────────────────┬─ and ─► step ─► events
                       └─► level ─► noise gate ─► above the noise floor? ─┘

The state machine (`step`) takes one decision a frame, and remembers the last ones as bits, so that
the voiced frames of a window are a count of bits. Words in *stars* are fields of `EndpointTiming`:

                          ┌──────────┐
              ┌──────────►│ SILENCE  │◄────────────────────────────────────┐
              │           └────┬─────┘                                     │
    no voiced frame in         │ a voiced frame                            │
    the *start window*    ┌────▼─────┐                                     │
              └───────────┤ STARTING │◄──────────────────┐                 │
                          └────┬─────┘                   │                 │
    START: *start voiced*      │                   END_BY_LENGTH:    END_BY_SILENCE:
    frames of the         ┌────▼─────┐             *maximum* frames  an unvoiced frame, and
    *start window*        │  SPEECH  ├─────────────────┤ at most *end voiced*
                          └─┬──────▲─┘                   │           in the *hangover*
          an unvoiced frame │      │ a voiced frame      │                 │
                          ┌─▼──────┴─┐                   │                 │
                          │  ENDING  ├───────────────────┴─────────────────┘
                          └──────────┘

A frame may take two arrows at once; a frame that meets no condition stays. After END_BY_LENGTH the
decisions are kept, so that speech going on meets START with the next frame; after END_BY_SILENCE
they are forgotten. The stream may end in any state.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

import numpy as np

from .config import EndpointConfig
from .errors import ConfigError
from .noise_gate import DIGITAL_SILENCE_DB, NoiseGate, level_db
from .types import (
    SAMPLE_RATE,
    EndReason,
    Samples,
    SpeechAudio,
    SpeechEnd,
    SpeechEvent,
    SpeechPaused,
    SpeechStart,
)

DETECTOR_GAIN = np.float32(4.0)
"""webrtcvad hears everything 12 dB louder: else it misses speech with peaks of -45 dBFS."""


def _require(holds: bool, rule: str) -> None:
    if not holds:
        raise ConfigError(f"endpoint: {rule}")


# ── the detector ───────────────────────────────────────────────────────────────────────────


class VoiceActivityDetector(Protocol):
    """Says of one frame after the other whether it is speech; may keep state between frames."""

    def is_speech(self, frame: Samples) -> bool:
        """Whether `frame`, shape (`frame_ms` at `SAMPLE_RATE`,), is speech."""

    def reset(self) -> None:
        """Forget the frames so far."""


class WebRtcDetector:
    """The Gaussian mixture detector of the WebRTC project, through `webrtcvad`."""

    def __init__(self, aggressiveness: int) -> None:
        _require(aggressiveness in range(4), "aggressiveness must be 0, 1, 2 or 3")
        self._aggressiveness = aggressiveness
        self.reset()

    def is_speech(self, frame: Samples) -> bool:
        """Whether `frame`, shape (N,) with N of 10, 20 or 30 ms, is speech."""
        scaled = np.rint(frame * (DETECTOR_GAIN * 32768))
        clipped = np.minimum(np.maximum(scaled, -32768), 32767)  # np.clip takes three times as long
        return bool(self._vad.is_speech(clipped.astype(np.int16).tobytes(), SAMPLE_RATE))

    def reset(self) -> None:
        """Start afresh: webrtcvad itself cannot forget."""
        import webrtcvad  # noqa: PLC0415 (lazily: only a machine that listens needs it)

        self._vad = webrtcvad.Vad(self._aggressiveness)


# ── the state machine ──────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class EndpointTiming:
    """`EndpointConfig` in frames."""

    start_window: int
    start_voiced: int
    pre_roll: int
    """Frames an utterance may begin before the decision, the start window included."""
    pause: int
    hangover: int
    end_voiced: int
    maximum: int
    start_mask: int
    """The bits of the history that the start window covers; likewise for the hangover."""
    hangover_mask: int
    history_mask: int

    @classmethod
    def of(cls, config: EndpointConfig) -> EndpointTiming:
        """Round the times of `config` to frames.

        Raises:
            ConfigError: the times contradict one another.
        """
        frame = config.frame_ms
        _require(frame in (10, 20, 30), "frame_ms must be 10, 20 or 30")
        _require(0 < config.start_ratio <= 1, "start_ratio must lie above 0 and up to 1")
        _require(0 <= config.end_ratio < 1, "end_ratio must lie from 0 to below 1")
        _require(config.start_window_ms >= frame, "start_window_ms must be a frame or more")
        _require(config.hangover_ms >= frame, "hangover_ms must be a frame or more")
        _require(config.pre_roll_ms >= 0, "pre_roll_ms must not be negative")
        _require(
            config.minimum_speech_ms <= config.start_window_ms,
            "minimum_speech_ms must fit into start_window_ms",
        )
        _require(config.pause_ms >= frame, "pause_ms must be a frame or more")
        start_window = max(1, round(config.start_window_ms / frame))
        voiced = max(config.start_ratio * start_window, config.minimum_speech_ms / frame, 1)
        # The window may have been rounded down: it cannot hold more voiced frames than frames.
        start_voiced = min(start_window, math.ceil(voiced - 1e-9))
        hangover = max(1, round(config.hangover_ms / frame))
        timing = cls(
            start_window=start_window,
            start_voiced=start_voiced,
            pre_roll=start_window + round(config.pre_roll_ms / frame),
            pause=max(1, round(config.pause_ms / frame)),
            hangover=hangover,
            end_voiced=int(config.end_ratio * config.hangover_ms / frame + 1e-9),
            maximum=config.maximum_utterance_ms // frame,
            start_mask=(1 << start_window) - 1,
            hangover_mask=(1 << hangover) - 1,
            history_mask=(1 << max(start_window, hangover)) - 1,
        )
        _require(
            timing.maximum > timing.pre_roll,
            "maximum_utterance_ms must be longer than start_window_ms + pre_roll_ms",
        )
        return timing


class Phase(Enum):
    """Where the state machine is."""

    SILENCE = "silence"
    STARTING = "starting"
    SPEECH = "speech"
    ENDING = "ending"


class Decision(Enum):
    """What a frame has settled."""

    NONE = "none"
    START = "start"
    END_BY_SILENCE = "end by silence"
    END_BY_LENGTH = "end by length"


_END_REASONS = {
    Decision.END_BY_SILENCE: EndReason.SILENCE,
    Decision.END_BY_LENGTH: EndReason.MAXIMUM_LENGTH,
}


@dataclass(frozen=True, slots=True)
class EndpointState:
    """All that the state machine remembers."""

    phase: Phase = Phase.SILENCE
    history: int = 0
    """The last `hangover` or `start_window` decisions, the newest in bit 0."""
    frames: int = 0
    """Frames seen."""
    start: int = 0
    """First frame of the utterance under way."""
    end: int = 0
    """One past the last frame of the utterance before."""

    @property
    def duration(self) -> int:
        """Frames of the utterance under way; 0 without one."""
        return self.frames - self.start if self.phase in (Phase.SPEECH, Phase.ENDING) else 0

    @property
    def quiet(self) -> int:
        """Unvoiced frames since the last voiced one of the utterance under way; 0 without one."""
        if self.phase is not Phase.ENDING:
            return 0
        return (self.history & -self.history).bit_length() - 1


def step(
    state: EndpointState, voiced: bool, timing: EndpointTiming
) -> tuple[EndpointState, Decision]:
    """Take the decision on one frame; pure. The module's docstring draws it."""
    frames = state.frames + 1
    history = (state.history << 1 | voiced) & timing.history_mask
    start, end = state.start, state.end

    if state.phase in (Phase.SILENCE, Phase.STARTING):
        recent = (history & timing.start_mask).bit_count()
        if recent >= timing.start_voiced:
            start = max(end, frames - timing.pre_roll)
            all_voiced = timing.history_mask  # only silence that follows may fill the hangover
            return EndpointState(Phase.SPEECH, all_voiced, frames, start, end), Decision.START
        phase = Phase.STARTING if recent else Phase.SILENCE
        return EndpointState(phase, history, frames, start, end), Decision.NONE

    if not voiced and (history & timing.hangover_mask).bit_count() <= timing.end_voiced:
        return EndpointState(Phase.SILENCE, 0, frames, start, frames), Decision.END_BY_SILENCE
    if frames - start >= timing.maximum:
        return EndpointState(Phase.STARTING, history, frames, start, frames), Decision.END_BY_LENGTH
    phase = Phase.SPEECH if voiced else Phase.ENDING
    return EndpointState(phase, history, frames, start, end), Decision.NONE


# ── the stage ──────────────────────────────────────────────────────────────────────────────


class Endpointer:
    """Samples in, utterances out: `SpeechStart`, one `SpeechAudio` a frame, `SpeechEnd`.

    A `SpeechPaused` follows the frame with which a pause is long enough for one. Utterances never
    overlap; the audio of one is contiguous from its `start` to its `end`. At the end of the stream
    the last `SpeechAudio` may be shorter than a frame.
    """

    def __init__(
        self, config: EndpointConfig, detector: VoiceActivityDetector | None = None
    ) -> None:
        """Listen as `config` says; `detector` takes the place of webrtcvad.

        Raises:
            ConfigError: `config` contradicts itself.
        """
        self._timing = EndpointTiming.of(config)
        self._gate = NoiseGate.of(config)
        self._detector = detector or WebRtcDetector(config.aggressiveness)
        self._frame_samples = config.frame_ms * SAMPLE_RATE // 1000
        self._frame: Samples
        self._filled: int
        self.reset()

    @property
    def latency_ms(self) -> float:
        """Milliseconds at most from the last voiced sample to `SpeechEnd`: hangover and a frame."""
        return (self._timing.hangover + 1) * self._frame_samples * 1000 / SAMPLE_RATE

    @property
    def pause_latency_ms(self) -> float:
        """Milliseconds at most from the last voiced sample to `SpeechPaused`."""
        return (self._timing.pause + 1) * self._frame_samples * 1000 / SAMPLE_RATE

    def feed(self, item: Samples) -> list[SpeechEvent]:
        """Take samples, shape (N,) for any N; return the events they settle."""
        events: list[SpeechEvent] = []
        taken = 0
        while taken < item.size:
            piece = item[taken : taken + self._frame_samples - self._filled]
            self._frame[self._filled : self._filled + piece.size] = piece
            self._filled += piece.size
            taken += piece.size
            if self._filled == self._frame_samples:
                frame, self._frame, self._filled = self._frame, np.empty_like(self._frame), 0
                self._take(frame, events)
        return events

    def flush(self) -> list[SpeechEvent]:
        """End an utterance under way with `EndReason.END_OF_STREAM`, its tail included; reset."""
        events: list[SpeechEvent] = []
        if self._state.phase in (Phase.SPEECH, Phase.ENDING):
            end = self._state.frames * self._frame_samples
            if self._filled:
                events.append(SpeechAudio(self._frame[: self._filled], end))
            events.append(SpeechEnd(end + self._filled, EndReason.END_OF_STREAM))
        self.reset()
        return events

    def reset(self) -> None:
        """Forget everything; the next sample is sample 0."""
        self._detector.reset()
        self._state = EndpointState()
        self._noise = self._gate.initial_state()
        self._ring: deque[Samples] = deque(maxlen=self._timing.pre_roll)
        self._frame = np.empty(self._frame_samples, np.float32)
        self._filled = 0

    def _take(self, frame: Samples, events: list[SpeechEvent]) -> None:
        """Decide on one frame and add what it settles to `events`."""
        level = level_db(frame)
        before = self._state
        self._noise = self._gate.step(self._noise, level)
        passes = self._gate.passes(self._noise, level, before.duration)
        # The detector hears what the gate refuses, too: it learns the noise from it.
        voiced = level > DIGITAL_SILENCE_DB and self._detector.is_speech(frame)
        self._state, decision = step(before, voiced and passes, self._timing)

        self._ring.append(frame)
        if decision is Decision.START:
            events.append(SpeechStart(self._state.start * self._frame_samples))
            first = self._state.frames - len(self._ring)
            for index, past in enumerate(self._ring, first):
                if index >= self._state.start:
                    events.append(SpeechAudio(past, index * self._frame_samples))
        elif before.phase in (Phase.SPEECH, Phase.ENDING):
            events.append(SpeechAudio(frame, before.frames * self._frame_samples))
        if self._state.quiet == self._timing.pause:
            events.append(SpeechPaused(self._state.frames * self._frame_samples))
        if decision in _END_REASONS:
            end = self._state.end * self._frame_samples
            events.append(SpeechEnd(end, _END_REASONS[decision]))
