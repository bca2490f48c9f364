"""When someone speaks: voice activity, a gate against steady noise, and endpointing.

    samples ─► frames ─┬─► detector (webrtcvad) ─► voice? ─────────┬─ and ─► step ─► events
                       └─► level ─► gate ─► above the noise floor? ┘

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
from .types import (
    SAMPLE_RATE,
    EndReason,
    Samples,
    SpeechAudio,
    SpeechEnd,
    SpeechEvent,
    SpeechStart,
)

DIGITAL_SILENCE_DB = -90.0
"""dB full scale, one step of 16 bits: quieter frames come from a muted device, not from a room."""

SPEECH_BAND_HZ = (200, 4000)
"""The band whose level the gate follows."""

DETECTOR_GAIN = np.float32(4.0)
"""webrtcvad hears everything 12 dB louder: else it misses speech with peaks of -45 dBFS."""

GATE_SUBWINDOWS = 8
"""Parts of the gate's window; its minimum forgets one of them at a time."""


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


# ── the level gate ─────────────────────────────────────────────────────────────────────────


def level_db(frame: Samples) -> float:
    """Level of a frame, shape (N,), within `SPEECH_BAND_HZ`; dB, a full-scale square wave is 0.

    Rumble, hum and the offset of cheap microphones lie below the band, half of all hiss above it.
    -inf for digital silence, and for frames that hold no number.
    """
    if not 0.0 < float(np.dot(frame, frame)) < math.inf:
        return -math.inf
    low, high = (round(edge * frame.size / SAMPLE_RATE) for edge in SPEECH_BAND_HZ)
    band = np.fft.rfft(frame)[low : high + 1]
    power = 2.0 * float(np.vdot(band, band).real) / frame.size**2  # Parseval
    return 10.0 * math.log10(power) if power > 0.0 else -math.inf


@dataclass(frozen=True, slots=True)
class GateState:
    """What the gate knows of the noise, in dB full scale."""

    smoothed: float
    """The level, smoothed over time."""
    current: float
    """Minimum of the smoothed level in the sub-window under way."""
    filled: int
    """Frames of that sub-window so far."""
    minima: tuple[float, ...]
    """Minima of the sub-windows before it, the oldest first."""


@dataclass(frozen=True, slots=True)
class LevelGate:
    """Lets pass what stands above steady noise.

    The noise floor is the minimum of the smoothed level over a sliding window: speech pauses for
    breath and closes its stops, a fan does not (minimum statistics; R. Martin, "Noise power
    spectral density estimation based on optimal smoothing and minimum statistics", IEEE Trans.
    Speech and Audio Processing 9(5), 2001; here of the whole band). The window's minimum is that
    of a short ring of sub-window minima. The level is smoothed in dB, which follows the drop into
    a short pause sooner than smoothed power does.
    """

    margin_db: float
    minimum_db: float
    smoothing: float
    """Share of the new level in the smoothed one, a frame."""
    subwindow: int
    """Frames of a sub-window."""

    @classmethod
    def of(cls, config: EndpointConfig) -> LevelGate:
        """The gate that `config` describes.

        Raises:
            ConfigError: a time is not positive.
        """
        _require(config.gate_window_ms > 0, "gate_window_ms must be positive")
        _require(config.gate_smoothing_ms > 0, "gate_smoothing_ms must be positive")
        return cls(
            margin_db=config.gate_margin_db,
            minimum_db=config.gate_minimum_db,
            smoothing=1.0 - math.exp(-config.frame_ms / config.gate_smoothing_ms),
            subwindow=max(1, round(config.gate_window_ms / config.frame_ms / GATE_SUBWINDOWS)),
        )

    def initial_state(self) -> GateState:
        """Nothing heard: the room is taken as quiet, as speech may begin with the first sample."""
        quiet = self.minimum_db - self.margin_db
        return GateState(quiet, quiet, 0, (quiet,) * (GATE_SUBWINDOWS - 1))

    def step(self, state: GateState, level: float) -> tuple[GateState, bool]:
        """Take the level of a frame (dB); say whether it stands above the noise."""
        if level <= DIGITAL_SILENCE_DB:  # says nothing about the room: the floor stays
            return state, False
        smoothed = state.smoothed + self.smoothing * (level - state.smoothed)
        current = min(state.current, smoothed)
        filled = state.filled + 1
        minima = state.minima
        floor = min(current, *minima)
        if filled == self.subwindow:
            minima = (*minima[1:], current)
            current, filled = math.inf, 0
        passes = level >= self.minimum_db and level >= floor + self.margin_db
        return GateState(smoothed, current, filled, minima), passes


# ── the state machine ──────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class EndpointTiming:
    """`EndpointConfig` in frames."""

    start_window: int
    start_voiced: int
    pre_roll: int
    """Frames an utterance may begin before the decision, the start window included."""
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
        start_window = max(1, round(config.start_window_ms / frame))
        start_voiced = math.ceil(
            max(config.start_ratio * start_window, config.minimum_speech_ms / frame, 1) - 1e-9
        )
        hangover = max(1, round(config.hangover_ms / frame))
        timing = cls(
            start_window=start_window,
            start_voiced=start_voiced,
            pre_roll=start_window + round(config.pre_roll_ms / frame),
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

    Utterances never overlap; the audio of one is contiguous from its `start` to its `end`. At the
    end of the stream the last `SpeechAudio` may be shorter than a frame.
    """

    def __init__(
        self, config: EndpointConfig, detector: VoiceActivityDetector | None = None
    ) -> None:
        """Listen as `config` says; `detector` takes the place of webrtcvad.

        Raises:
            ConfigError: `config` contradicts itself.
        """
        self._timing = EndpointTiming.of(config)
        self._gate = LevelGate.of(config)
        self._detector = detector or WebRtcDetector(config.aggressiveness)
        self._frame_samples = config.frame_ms * SAMPLE_RATE // 1000
        self._frame: Samples
        self._filled: int
        self.reset()

    @property
    def latency_ms(self) -> float:
        """Milliseconds at most from the last voiced sample to `SpeechEnd`: hangover and a frame."""
        return (self._timing.hangover + 1) * self._frame_samples * 1000 / SAMPLE_RATE

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
        self._gate_state = self._gate.initial_state()
        self._ring: deque[Samples] = deque(maxlen=self._timing.pre_roll)
        self._frame = np.empty(self._frame_samples, np.float32)
        self._filled = 0

    def _take(self, frame: Samples, events: list[SpeechEvent]) -> None:
        """Decide on one frame and add what it settles to `events`."""
        level = level_db(frame)
        # The detector hears what the gate will refuse, too: it learns the noise from it.
        voiced = level > DIGITAL_SILENCE_DB and self._detector.is_speech(frame)
        self._gate_state, passes = self._gate.step(self._gate_state, level)
        before = self._state
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
        if decision in _END_REASONS:
            end = self._state.end * self._frame_samples
            events.append(SpeechEnd(end, _END_REASONS[decision]))
