"""How good a recording is: speech, noise, clipping and the channels, in decibels.

All decibels are of full scale: a sine of full amplitude has -3 dB, digital silence -120 dB here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Frames = npt.NDArray[np.float32]
"""Sound as a device or a file has it, at its own rate: shape (N, channels), within [-1, 1]."""

Floats = npt.NDArray[np.float64]

SILENCE_DB = -120.0
"""What digital silence counts as, well below one step of 16 bits (-90 dB)."""
FULL_SCALE = 0.999
"""Amplitude from which a sample counts as full scale: 32734 of 32767."""
FLAT_TOP = 3
"""Equal samples in a row at a channel's extreme that are no wave's top any more."""
FLAT_TOP_FROM = 0.03
"""Extreme from which flat tops are looked for; in faint sound they are steps of 16 bits."""
BAND_HZ = (100.0, 7_000.0)
"""Speech and noise are compared within it: without hum, rumble and offset below."""
FRAME_S = 0.02
"""Seconds of a frame whose level is taken for the noise floor."""


@dataclass(frozen=True, slots=True)
class SoundLevels:
    """What was measured of a recording."""

    seconds: float
    peak_db: float
    """Highest sample of any channel."""
    speech_db: float
    """Active speech level of the channels' average, after ITU-T P.56."""
    noise_db: float
    """Noise floor of the same: the level that the quietest tenth of all frames stays below."""
    clipped: float
    """Share of samples at full scale or in flat tops, in [0, 1]."""
    offset: float
    """Greatest mean of a channel, as an amplitude in [0, 1]."""
    channels_db: tuple[float, ...]
    """Level of each channel, its offset left out."""
    cancelled_db: float
    """How much is lost as channels are averaged: 0 where they are the same, 3 where they are
    unrelated, much where one is the other upside down."""
    treble_db: float
    """Level above 4 kHz relative to the whole; telephone sound has none. 0 where the rate is too
    low to say."""

    @property
    def signal_to_noise_db(self) -> float:
        """How far speech stands above the noise floor."""
        return self.speech_db - self.noise_db


def measure(frames: Frames, rate: int) -> SoundLevels:
    """Measure a recording.

    Args:
        frames: at least 0.1 s; NaN and infinite samples count as 0.
        rate: Hz.

    Raises:
        ValueError: there are fewer.
    """
    if len(frames) < rate / 10:
        raise ValueError(f"only {len(frames) / rate:.2f} s of sound")
    sound = np.nan_to_num(frames.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    offsets = sound.mean(axis=0)
    centred = sound - offsets
    mixed = centred.mean(axis=1)
    channels = tuple(_power_db(float(power)) for power in np.mean(centred**2, axis=0))
    spectrum = np.fft.rfft(mixed)
    frequencies = np.fft.rfftfreq(mixed.size, 1 / rate)
    in_band = (frequencies >= BAND_HZ[0]) & (frequencies <= BAND_HZ[1])
    speech = np.fft.irfft(np.where(in_band, spectrum, 0), mixed.size)
    average = _power_db(float(np.mean(centred**2)))
    return SoundLevels(
        seconds=len(frames) / rate,
        peak_db=_power_db(float(np.abs(sound).max()) ** 2),
        speech_db=active_speech_level(speech, rate),
        noise_db=_noise_floor(speech, rate),
        clipped=float(np.mean([_clipped(channel) for channel in sound.T])),
        offset=float(np.abs(offsets).max()),
        channels_db=channels,
        cancelled_db=max(0.0, average - _power_db(float(np.mean(mixed**2)))),
        treble_db=_treble(spectrum, frequencies, rate),
    )


def active_speech_level(speech: Floats, rate: int) -> float:
    """Level of speech while it lasts, pauses left out; of steady noise, the noise's own level.

    Method B of ITU-T P.56 (12/2011): speech is active while its envelope, of two poles of 30 ms,
    has been above a threshold within the last 200 ms; the threshold is the one that the level of
    what is active then stands 15.9 dB above. The envelope is computed each millisecond.

    Args:
        speech: (N,), without offset.
        rate: Hz.
    """
    step = max(1, round(rate / 1000))
    count = speech.size // step
    rectified = np.abs(speech[: count * step]).reshape(count, step).mean(axis=1)
    energy = float(np.sum(speech[: count * step] ** 2)) / step
    decay = math.exp(-1 / 30)
    time = np.arange(600)  # 20 time constants
    envelope = np.convolve(rectified, (1 - decay) ** 2 * (time + 1) * decay**time)[:count]
    before: tuple[float, float] | None = None
    for threshold_db in np.arange(SILENCE_DB, 0.0, 1.0):  # from the lowest, all active, upwards
        above = envelope >= 10 ** (threshold_db / 20)
        if not above.any():
            break
        last = np.maximum.accumulate(np.where(above, np.arange(count), -count))
        active = int(np.count_nonzero(np.arange(count) - last <= 200))
        level = _power_db(energy / active)
        margin = level - float(threshold_db)
        if margin <= 15.9:
            if before is None:
                return level
            share = (before[1] - 15.9) / (before[1] - margin)
            return before[0] + share * (level - before[0])
        before = level, margin
    return before[0] if before else SILENCE_DB


def _noise_floor(speech: Floats, rate: int) -> float:
    size = round(rate * FRAME_S)
    count = speech.size // size
    powers = np.mean(speech[: count * size].reshape(count, size) ** 2, axis=1)
    return _power_db(float(np.quantile(powers, 0.1)))


def _clipped(channel: Floats) -> float:
    """Share of samples at full scale, or in a row of equal ones at the channel's own extremes."""
    size = np.abs(channel)
    wrong = size >= FULL_SCALE
    for extreme in (channel.max(), channel.min()):
        if abs(extreme) < FLAT_TOP_FROM:
            continue
        there = np.concatenate(([0], (channel == extreme).astype(np.int8), [0]))
        begins, ends = (np.flatnonzero(np.diff(there) == edge) for edge in (1, -1))
        for begin, end in zip(begins, ends, strict=True):
            if end - begin >= FLAT_TOP:
                wrong[begin:end] = True
    return float(np.mean(wrong))


def _treble(
    spectrum: npt.NDArray[np.complexfloating], frequencies: npt.NDArray[np.floating], rate: int
) -> float:
    if rate < 12_000:
        return 0.0
    power = np.abs(spectrum) ** 2
    whole = float(power[frequencies >= BAND_HZ[0]].sum())
    above = float(power[(frequencies >= 4_200) & (frequencies <= 8_000)].sum())
    return _power_db(above / whole) if whole > 0 else 0.0


def _power_db(power: float) -> float:
    return max(SILENCE_DB, 10 * math.log10(power)) if power > 0 else SILENCE_DB
