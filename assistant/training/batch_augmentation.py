"""Augmentation of waveforms a batch at a time, on the device that trains.

What `augmentation.py` does to one utterance for a cache of copies, drawn from the same
probabilities and ranges, but for the lossy codecs, which libsndfile has and a GPU has not. Speed is
drawn for the batch, the rest for each utterance.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torchaudio.functional as AF
from torch import Tensor

from ..errors import UsageError
from ..types import SAMPLE_RATE, Samples
from .augmentation import (
    CLIPPED_AT,
    CUTOFF_HZ,
    DIRECT_TO_REVERBERANT_DB,
    ONSET_S,
    REVERBERATION_TIME_S,
    TALKERS,
    AugmentationConfig,
)
from .draws import Draws

SIMULATED_SAMPLES = int(REVERBERATION_TIME_S[1] * SAMPLE_RATE)
"""The longest simulated reverberation."""
EVERYTHING_HZ = 1e5
"""A limit of frequency that limits nothing."""
FEWEST = 1e-9
"""Added to levels that are divided by."""


class BatchAugmenter:
    """Draws augmented versions of batches of waveforms."""

    def __init__(
        self,
        config: AugmentationConfig,
        noises: Sequence[Samples],
        responses: Sequence[Samples],
        device: torch.device,
    ) -> None:
        """noises, responses: background recordings and room responses to draw from."""
        self.config = config
        self._noise = torch.from_numpy(np.concatenate(noises)).to(device) if noises else None
        direct = [r[int(np.abs(r).argmax()) :] for r in responses]
        longest = max([SIMULATED_SAMPLES, *map(len, direct)])
        padded = [np.pad(r / np.abs(r).max(), (0, longest - len(r))) for r in direct]
        self._rooms = torch.from_numpy(np.array(padded, np.float32).reshape(-1, longest)).to(device)

    def at_another_speed(
        self, speech: Tensor, lengths: Tensor, rng: np.random.Generator
    ) -> tuple[Tensor, Tensor]:
        """The batch (B, N) with its lengths (B,) at another speed, and pitch with it."""
        factor = self.config.speeds[int(rng.integers(len(self.config.speeds)))]
        if factor == 1.0:
            return speech, lengths
        origin = round(20 * factor)
        return AF.resample(speech, origin, 20), lengths * 20 // origin

    def __call__(self, speech: Tensor, lengths: Tensor, rng: np.random.Generator) -> Tensor:
        """Another version of a batch.

        Args:
            speech: (B, N), silent where an utterance is over. lengths: (B,), samples of each.
        """
        config = self.config
        inside = within(speech, lengths)
        draw = Draws(len(speech), rng, speech.device)
        in_room = draw.chance(config.reverberation)[:, None]
        heard = torch.where(in_room, convolved(speech, self._drawn_rooms(draw)), speech)
        heard = heard * inside
        level = root_mean_square(heard, inside)
        noise = self._background(speech, draw) * inside
        snr = level / (root_mean_square(noise, inside) + FEWEST)
        gain = snr * 10 ** (-draw.uniform(config.snr_db)[:, None] / 20)
        heard = heard + draw.chance(config.noise)[:, None] * gain * noise
        cutoff = torch.where(
            draw.chance(config.band_limit)[:, None], draw.uniform(CUTOFF_HZ)[:, None], EVERYTHING_HZ
        )
        heard = low_passed(heard, cutoff)
        wanted = 10 ** (draw.uniform(config.level_db)[:, None] / 20)
        heard = heard * wanted / (root_mean_square(heard, inside) + FEWEST)
        loudest = heard.abs().amax(dim=1, keepdim=True)
        clipped = loudest * torch.where(
            draw.chance(config.clipping)[:, None], draw.uniform(CLIPPED_AT)[:, None], 1.0
        )
        limit = clipped.clamp(max=1.0)
        return heard.clamp(min=-limit, max=limit) * inside

    def noise_alone(self, speech: Tensor, lengths: Tensor, rng: np.random.Generator) -> Tensor:
        """Background noise, as it was recorded, of the shape and the lengths of a batch.

        Raises:
            UsageError: there is none, or less than the longest utterance needs.
        """
        samples = speech.shape[1]
        if self._noise is None or len(self._noise) <= samples:
            raise UsageError(
                f"noise: {samples / SAMPLE_RATE:.0f} s of it at once are needed, and there are not "
                "as many; name more recordings (--noise)"
            )
        draw = Draws(len(speech), rng, speech.device)
        return self._excerpts(self._noise, samples, draw) * within(speech, lengths)

    def _background(self, speech: Tensor, draw: Draws) -> Tensor:
        """Something else to hear for each utterance, as long as the batch."""
        samples = speech.shape[1]
        talkers = draw.integers(*TALKERS)[:, None]
        babble = torch.zeros_like(speech)
        for number in range(1, TALKERS[1] + 1):
            babble += speech.roll(number, 0) * (talkers >= number)
        if self._noise is None or len(self._noise) <= samples:
            return babble
        noise = self._excerpts(self._noise, samples, draw)
        among_people = draw.chance(self.config.babble)[:, None]
        return torch.where(among_people, babble, noise)

    @staticmethod
    def _excerpts(noise: Tensor, samples: int, draw: Draws) -> Tensor:
        begins = draw.integers(0, len(noise) - samples - 1)[:, None]
        return noise[begins + torch.arange(samples, device=noise.device)]

    def _drawn_rooms(self, draw: Draws) -> Tensor:
        """(B, L) responses: measured ones, and ones simulated as `simulated_room` does."""
        device, samples = self._rooms.device, self._rooms.shape[1]
        time = torch.arange(samples, device=device) / SAMPLE_RATE
        decay_s = draw.uniform(REVERBERATION_TIME_S)[:, None]
        tails = torch.randn(draw.count, samples, device=device) * 10 ** (-3 * time / decay_s)
        tails = tails * (time >= draw.uniform(ONSET_S)[:, None]) * (time < decay_s)
        ratio = 10 ** (-draw.uniform(DIRECT_TO_REVERBERANT_DB)[:, None] / 20)
        rooms = tails * ratio / (tails.square().sum(dim=1, keepdim=True) + FEWEST).sqrt()
        rooms[:, 0] = 1.0
        if len(self._rooms):
            measured = draw.chance(self.config.measured)
            which = draw.integers(0, len(self._rooms) - 1)
            rooms = torch.where(measured[:, None], self._rooms[which], rooms)
        return rooms


def within(samples: Tensor, lengths: Tensor) -> Tensor:
    """(B, N): whether a sample is one of its utterance's, which has so many of them (B,)."""
    places = torch.arange(samples.shape[1], device=samples.device)
    return places < lengths.to(samples.device)[:, None]


def root_mean_square(samples: Tensor, inside: Tensor) -> Tensor:
    """(B, 1): the level of each utterance (B, N), where `inside`."""
    power = (samples.square() * inside).sum(dim=1) / inside.sum(dim=1).clamp(min=1)
    return power.sqrt()[:, None]


def convolved(samples: Tensor, responses: Tensor) -> Tensor:
    """Waveforms (B, N) in rooms (B, L) whose direct sound comes first; as long as before."""
    size = 2 ** (samples.shape[1] + responses.shape[1]).bit_length()
    spectrum = torch.fft.rfft(samples, size) * torch.fft.rfft(responses, size)
    heard: Tensor = torch.fft.irfft(spectrum, size)
    return heard[:, : samples.shape[1]]


def low_passed(samples: Tensor, cutoff: Tensor) -> Tensor:
    """Waveforms (B, N) without what lies above cutoff (B, 1) Hz, with a soft edge."""
    size = 2 ** (samples.shape[1]).bit_length()
    spectrum = torch.fft.rfft(samples, size)
    frequency = torch.fft.rfftfreq(size, 1 / SAMPLE_RATE, device=samples.device)
    spectrum = spectrum * torch.sigmoid((cutoff - frequency) / 100)
    heard: Tensor = torch.fft.irfft(spectrum, size)
    return heard[:, : samples.shape[1]]
