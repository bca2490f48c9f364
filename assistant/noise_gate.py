"""The noise gate: which frames stand above steady noise, and above noise that does not end.

    frame ─► level (200 to 4000 Hz) ─┬─────────────────────────────────────────────────┬─► passes?
                                     └─► smoothed ─► minimum over a window: the floor ─┘

The margin rises with the length of the utterance under way.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .config import EndpointConfig
from .errors import ConfigError
from .types import SAMPLE_RATE, Samples

DIGITAL_SILENCE_DB = -90.0
"""dB full scale, one step of 16 bits: quieter frames come from a muted device, not from a room."""

SPEECH_BAND_HZ = (200, 4000)
"""The band whose level is followed."""

SUBWINDOWS = 8
"""Parts of the window; its minimum forgets one of them at a time."""


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
class NoiseState:
    """What is known of the noise, in dB full scale."""

    smoothed: float
    """The level, smoothed over time."""
    current: float
    """Minimum of the smoothed level in the sub-window under way."""
    filled: int
    """Frames of that sub-window so far."""
    minima: tuple[float, ...]
    """Minima of the sub-windows before it, the oldest first."""
    floor: float
    """The noise floor: the least of all these minima."""


@dataclass(frozen=True, slots=True)
class NoiseGate:
    """Lets pass what stands above steady noise.

    The noise floor is the minimum of the smoothed level over a sliding window: speech pauses for
    breath and closes its stops, a fan does not (minimum statistics; R. Martin, "Noise power
    spectral density estimation based on optimal smoothing and minimum statistics", IEEE Trans.
    Speech and Audio Processing 9(5), 2001; here of the whole band). The window's minimum is that
    of a short ring of sub-window minima. The level is smoothed in dB, which follows the drop into
    a short pause sooner than smoothed power does.
    """

    margin_db: float
    margin_rise_db: float
    """What a frame of an utterance adds to the margin, after `rise_after` frames of it."""
    rise_after: int
    minimum_db: float
    smoothing: float
    """Share of the new level in the smoothed one, a frame."""
    subwindow: int
    """Frames of a sub-window."""

    @classmethod
    def of(cls, config: EndpointConfig) -> NoiseGate:
        """The gate that `config` describes.

        Raises:
            ConfigError: a time is not positive, or the margin would fall.
        """
        for name in ("gate_window_ms", "gate_smoothing_ms"):
            if getattr(config, name) <= 0:
                raise ConfigError(f"endpoint: {name} must be positive")
        for name in ("gate_rise_after_ms", "gate_rise_db"):
            if getattr(config, name) < 0:
                raise ConfigError(f"endpoint: {name} must not be negative")
        return cls(
            margin_db=config.gate_margin_db,
            margin_rise_db=config.gate_rise_db * config.frame_ms / 1000,
            rise_after=round(config.gate_rise_after_ms / config.frame_ms),
            minimum_db=config.gate_minimum_db,
            smoothing=1.0 - math.exp(-config.frame_ms / config.gate_smoothing_ms),
            subwindow=max(1, round(config.gate_window_ms / config.frame_ms / SUBWINDOWS)),
        )

    def initial_state(self) -> NoiseState:
        """Nothing heard: the room is taken as quiet, as speech may begin with the first sample."""
        quiet = self.minimum_db - self.margin_db
        return NoiseState(quiet, quiet, 0, (quiet,) * (SUBWINDOWS - 1), quiet)

    def step(self, state: NoiseState, level: float) -> NoiseState:
        """Take the level of a frame, in dB."""
        if level <= DIGITAL_SILENCE_DB:  # says nothing about the room: the floor stays
            return state
        smoothed = state.smoothed + self.smoothing * (level - state.smoothed)
        current = min(state.current, smoothed)
        filled = state.filled + 1
        minima = state.minima
        floor = min(current, *minima)
        if filled == self.subwindow:
            minima = (*minima[1:], current)
            current, filled = math.inf, 0
        return NoiseState(smoothed, current, filled, minima, floor)

    def passes(self, state: NoiseState, level: float, duration: int) -> bool:
        """Whether a frame of `level` dB stands out, `duration` frames into an utterance.

        What goes on for long has to stand out more and more: the pauses of speech keep the floor
        far below it, while noise that swells and fades stays close to its own floor.
        """
        rise = self.margin_rise_db * max(0, duration - self.rise_after)
        return level >= self.minimum_db and level >= state.floor + self.margin_db + rise
