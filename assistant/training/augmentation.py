"""Augmentation of waveforms: what rooms, microphones and neighbours do to speech.

Every copy draws, in the order of nature: speed of speech, room, other people and noise, distance,
microphone. Probabilities and ranges are fields of `AugmentationConfig`.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import soundfile
import torch
import torchaudio.functional as AF

from ..types import SAMPLE_RATE, Samples

CODECS = (("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III"), ("WAV", "ULAW"), ("WAV", "GSM610"))
"""libsndfile's containers and codecs of lossy links; the first two compress as much as they can."""

TALKERS = (1, 4)
"""People who talk in the background, fewest and most."""
CUTOFF_HZ = (3000.0, 6000.0)
"""Limits of narrow-band microphones and links."""
CLIPPED_AT = (0.2, 0.6)
"""Share of the loudest sample at which an overdriven input clips."""
REVERBERATION_TIME_S = (0.15, 0.9)
"""Of simulated rooms: until the tail has decayed by 60 dB."""
ONSET_S = (0.002, 0.012)
"""Of simulated rooms: from the direct sound to the beginning of the tail."""
DIRECT_TO_REVERBERANT_DB = (-6.0, 12.0)
"""Of simulated rooms."""


@dataclass(frozen=True)
class AugmentationConfig:
    """Probabilities and ranges of one augmented copy."""

    speeds: tuple[float, ...] = (0.85, 0.9, 1.0, 1.0, 1.1, 1.2)
    """Factors of speaking rate, drawn with equal chance."""
    reverberation: float = 0.6
    """Probability of a room."""
    measured: float = 0.5
    """Share of rooms that are measured responses, where there are some; the rest is simulated."""
    noise: float = 0.85
    """Probability of background noise."""
    babble: float = 0.2
    """Probability that the noise is other people's speech."""
    snr_db: tuple[float, float] = (0.0, 25.0)
    """Range of the signal-to-noise ratio, mean power over mean power."""
    level_db: tuple[float, float] = (-42.0, -12.0)
    """Range of the copy's root-mean-square level, full scale."""
    band_limit: float = 0.15
    """Probability of a narrow-band microphone or link."""
    clipping: float = 0.08
    """Probability of an overdriven input."""
    codec: float = 0.12
    """Probability of a lossy link: a telephone, a headset, a web page."""
    vocal_tract: tuple[float, float] = (0.94, 1.07)
    """Factors by which the bins of log-mel are stretched (Jaitly & Hinton 2013), where it is made
    of every draw anew: a copy of a waveform has none."""


class Augmenter:
    """Draws augmented copies of utterances."""

    def __init__(
        self,
        config: AugmentationConfig,
        noises: Sequence[Samples],
        responses: Sequence[Samples],
        speech: Sequence[Samples],
    ) -> None:
        """noises, responses, speech: background recordings, room responses, babble to draw from."""
        self.config = config
        self.noises = noises
        self.responses = responses
        self.speech = speech

    def __call__(self, samples: Samples, rng: np.random.Generator) -> Samples:
        """One augmented copy; as long as the original but for the change of speed."""
        config = self.config
        copy = self._speed(samples, rng)
        if rng.random() < config.reverberation:
            copy = convolve(copy, self._room(rng))
        if rng.random() < config.noise:
            copy = mix(copy, self._background(len(copy), rng), rng.uniform(*config.snr_db))
        if rng.random() < config.band_limit:
            copy = low_pass(copy, float(rng.uniform(*CUTOFF_HZ)))
        copy = copy * (10 ** (rng.uniform(*config.level_db) / 20) / (root_mean_square(copy) + 1e-9))
        if rng.random() < config.clipping:
            limit = np.abs(copy).max() * rng.uniform(*CLIPPED_AT)
            copy = np.clip(copy, -limit, limit)
        if rng.random() < config.codec:
            copy = coded(copy, CODECS[int(rng.integers(len(CODECS)))])
        return np.clip(copy, -1.0, 1.0).astype(np.float32)

    def _speed(self, samples: Samples, rng: np.random.Generator) -> Samples:
        factor = self.config.speeds[int(rng.integers(len(self.config.speeds)))]
        if factor == 1.0:
            return samples
        # Pitch moves with speed: another way to meet speakers who were never recorded.
        changed = AF.resample(torch.from_numpy(samples), round(20 * factor), 20)
        return np.asarray(changed.numpy(), np.float32)

    def _room(self, rng: np.random.Generator) -> Samples:
        if self.responses and rng.random() < self.config.measured:
            return self.responses[int(rng.integers(len(self.responses)))]
        return simulated_room(rng)

    def _background(self, length: int, rng: np.random.Generator) -> Samples:
        if self.speech and (not self.noises or rng.random() < self.config.babble):
            count = rng.integers(*TALKERS, endpoint=True)
            talkers = [excerpt(self.speech, length, rng) for _ in range(count)]
            babble: Samples = np.sum(talkers, axis=0, dtype=np.float32)
            return babble
        return excerpt(self.noises, length, rng)


def excerpt(pool: Sequence[Samples], length: int, rng: np.random.Generator) -> Samples:
    """A random part of a random recording of the pool, repeated where it is too short."""
    chosen = pool[int(rng.integers(len(pool)))]
    offset = int(rng.integers(len(chosen)))
    repeats = -(-(offset + length) // len(chosen))
    return np.tile(chosen, repeats)[offset : offset + length]


def root_mean_square(samples: Samples) -> float:
    """Level of a signal, linear."""
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))) if len(samples) else 0.0


def mix(speech: Samples, noise: Samples, snr_db: float) -> Samples:
    """Speech with noise of the same length at a signal-to-noise ratio of mean powers."""
    gain = root_mean_square(speech) / (root_mean_square(noise) + 1e-9) * 10 ** (-snr_db / 20)
    return np.asarray(speech + gain * noise, np.float32)


def convolve(samples: Samples, response: Samples) -> Samples:
    """The signal in a room, aligned to the direct sound and cut to the original length."""
    direct = int(np.abs(response).argmax())
    size = 2 ** (len(samples) + len(response)).bit_length()  # a length that transforms fast
    spectrum = np.fft.rfft(samples, size) * np.fft.rfft(response, size)
    wet = np.fft.irfft(spectrum, size)[direct : direct + len(samples)]
    return np.asarray(wet, np.float32)


def simulated_room(rng: np.random.Generator) -> Samples:
    """A room response: direct sound, then noise that decays exponentially (Polack 1988)."""
    reverberation_time = rng.uniform(*REVERBERATION_TIME_S)
    length = int(reverberation_time * SAMPLE_RATE)
    time = np.arange(length) / SAMPLE_RATE
    tail = rng.standard_normal(length) * 10 ** (-3 * time / reverberation_time)
    onset = int(rng.uniform(*ONSET_S) * SAMPLE_RATE)
    tail[:onset] = 0
    direct_to_reverberant_db = rng.uniform(*DIRECT_TO_REVERBERANT_DB)
    tail *= 10 ** (-direct_to_reverberant_db / 20) / np.sqrt(np.sum(tail**2) + 1e-9)
    tail[0] = 1.0
    return tail.astype(np.float32)


def coded(samples: Samples, codec: tuple[str, str]) -> Samples:
    """The signal after a lossy codec (libsndfile's), as long as before."""
    form, subtype = codec
    options = {"compression_level": 0.99} if form in ("OGG", "MP3") else {}
    file = io.BytesIO()
    soundfile.write(
        file, np.clip(samples, -1, 1), SAMPLE_RATE, format=form, subtype=subtype, **options
    )
    file.seek(0)
    decoded, _ = soundfile.read(file, dtype="float32")
    decoded = decoded[: len(samples)]
    return np.pad(decoded, (0, len(samples) - len(decoded)))


def low_pass(samples: Samples, cutoff: float) -> Samples:
    """Remove what lies above `cutoff` Hz, with a soft edge, by the spectrum."""
    spectrum = np.fft.rfft(samples)
    frequency = np.fft.rfftfreq(len(samples), 1 / SAMPLE_RATE)
    spectrum *= 1 / (1 + np.exp((frequency - cutoff) / 100))
    return np.asarray(np.fft.irfft(spectrum, len(samples)), np.float32)
