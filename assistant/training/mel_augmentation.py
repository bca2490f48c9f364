"""Augmentation of log-mel while training: every draw of an utterance is heard anew.

What `augmentation.py` does to waveforms once, this does to a batch of cached log-mel in every
update, for a few per cent of the update's time: a vocal tract of another length (the bins are
stretched, Jaitly & Hinton 2013), a room (power decays exponentially, Polack 1988), noise and other
people (powers add up), a microphone's tilt and upper limit. `stretch` changes the speed of a batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..config import FeatureConfig
from ..features import LogMel, normalise
from .batches import Batch, Example, collate
from .draws import Draws
from .manifest import read_samples

FRAMES_PER_SECOND = 100
LEAST_POWER = 1e-12
"""Mel power below which nothing is told apart, relative to the cache's scale."""


@dataclass(frozen=True)
class MelAugmentationConfig:
    """Probabilities and ranges, drawn for each utterance; the speed for each batch."""

    whole: float = 0.15
    """Probability that an utterance stays as it is."""
    stretch: tuple[float, float] = (0.85, 1.2)
    """Factors of speaking rate."""
    warp: tuple[float, float] = (0.9, 1.12)
    """Factors by which the bins are stretched."""
    reverberation: float = 0.4
    """Probability of a room."""
    reverberation_time_s: tuple[float, float] = (0.15, 0.8)
    """Time in which its power decays by 60 dB."""
    direct_db: tuple[float, float] = (-4.0, 14.0)
    """Power of the direct sound over the room's."""
    noise: float = 0.7
    """Probability of a background."""
    babble: float = 0.25
    """Probability that it is other people of the batch."""
    snr_db: tuple[float, float] = (0.0, 30.0)
    """Range of the signal-to-noise ratio, mean power over mean power."""
    tilt_db: float = 9.0
    """Largest tilt of the spectrum from the lowest to the highest bin, either way."""
    band_limit: float = 0.12
    """Probability that the upper bins are missing."""


class MelAugmenter:
    """Draws new versions of cached batches."""

    def __init__(
        self, config: MelAugmentationConfig, frames_per_row: int, noise: Tensor | None = None
    ) -> None:
        """noise: (N, bins) mel power of backgrounds, one after the other; None without."""
        self.config = config
        self.frames_per_row = frames_per_row
        self.noise = noise

    def draw(self, examples: Sequence[Example], rng: np.random.Generator | None) -> Batch:
        """`collate`, and another version of what it gives."""
        batch = collate(examples, rng)
        return batch if rng is None else self(batch, rng)

    def __call__(self, batch: Batch, rng: np.random.Generator) -> Batch:
        """Another version of a batch, with its teacher's posteriors at the same speed."""
        batch = stretch(batch, 1 / rng.uniform(*self.config.stretch))
        count, rows, _ = batch.rows.shape
        frames = batch.rows.reshape(count, rows * self.frames_per_row, -1)
        lengths = batch.lengths * self.frames_per_row
        inside = (torch.arange(frames.shape[1]) < lengths[:, None])[:, :, None]
        draw = Draws(count, rng)
        changed = self._changed(frames, inside, draw)
        kept = draw.chance(self.config.whole)[:, None, None]
        frames = torch.where(kept, frames, changed) * inside
        return replace(batch, rows=frames.reshape(batch.rows.shape))

    def _changed(self, frames: Tensor, inside: Tensor, draw: Draws) -> Tensor:
        config, bins = self.config, frames.shape[2]
        log_mel = warped(4 * frames - 4, draw.uniform(config.warp))
        power = torch.pow(10, log_mel) * inside
        in_room = draw.chance(config.reverberation)
        decay = 10 ** (-6 / FRAMES_PER_SECOND / draw.uniform(config.reverberation_time_s))
        tail = (1 - decay) * 10 ** (-draw.uniform(config.direct_db) / 10) * in_room
        power = reverberated(power, decay, tail)
        noisy = draw.chance(config.noise)
        background = self._background(power, draw)
        ratio = power.mean(dim=(1, 2)) / (background.mean(dim=(1, 2)) + LEAST_POWER)
        gain = noisy * ratio * 10 ** (-draw.uniform(config.snr_db) / 10)
        power = power + background * gain[:, None, None]
        place = torch.linspace(-0.5, 0.5, bins)
        tilt = draw.uniform((-config.tilt_db / 10, config.tilt_db / 10))[:, None] * place
        limited = draw.chance(config.band_limit)
        highest = draw.uniform((0.75 * bins, bins))
        beyond = (torch.arange(bins) - highest[:, None]).clamp(min=0) * limited[:, None]
        log_mel = power.clamp(min=LEAST_POWER).log10() + (tilt - beyond)[:, None]
        loudest = log_mel.masked_fill(~inside, -torch.inf).amax(dim=(1, 2), keepdim=True)
        return normalise(log_mel, loudest)

    def _background(self, power: Tensor, draw: Draws) -> Tensor:
        """Something else to hear, as long as the batch: (B, F, bins) mel power."""
        frames = power.shape[1]
        babble = power.roll(1, 0) + power.roll(2, 0)
        if self.noise is None or len(self.noise) <= frames:
            return babble
        begins = draw.integers(0, len(self.noise) - frames - 1)
        noise = self.noise[begins[:, None] + torch.arange(frames)]
        talking = draw.chance(self.config.babble)[:, None, None]
        return torch.where(talking, babble, noise)


def stretch(batch: Batch, factor: float) -> Batch:
    """A batch that lasts `factor` times as long, its teacher's posteriors too.

    Log-mel is interpolated frame by frame, posteriors row by row.
    """
    rows = max(1, round(batch.rows.shape[1] * factor))
    lengths = (batch.lengths * rows // batch.rows.shape[1]).clamp(min=1)
    teacher = batch.teacher
    if teacher is not None:
        before = torch.arange(teacher.shape[1]) < batch.lengths[:, None]
        inside = torch.arange(rows) < lengths[:, None]
        said = _resized(teacher.exp() * before[:, :, None], rows)
        said = said / said.sum(dim=-1, keepdim=True).clamp(min=1e-6)  # at an end half is padding
        teacher = said.clamp(min=1e-6).log() * inside[:, :, None]
    return replace(batch, rows=_resized_frames(batch.rows, rows), lengths=lengths, teacher=teacher)


def warped(log_mel: Tensor, factors: Tensor) -> Tensor:
    """Log-mel (B, F, bins) with its bins stretched by factors (B,); the highest bin goes on."""
    bins = log_mel.shape[2]
    place = (torch.arange(bins, device=factors.device) / factors[:, None]).clamp(max=bins - 1)
    below = place.long().clamp(max=bins - 2)
    share = (place - below)[:, None]
    below = below[:, None].expand(-1, log_mel.shape[1], -1)
    return torch.lerp(log_mel.gather(2, below), log_mel.gather(2, below + 1), share)


def reverberated(power: Tensor, decay: Tensor, tail: Tensor) -> Tensor:
    """Mel power (B, F, bins) in rooms: what was said, and what is left of all before.

    Args:
        decay: (B,) share of the power that a frame hands on. tail: (B,) power of the first
            frame of what is left.
    """
    decay, tail = decay[:, None], tail[:, None]
    left = torch.zeros_like(power[:, 0])
    heard = torch.empty_like(power)
    for t in range(power.shape[1]):
        heard[:, t] = power[:, t] + tail * left
        left = decay * left + power[:, t]
    return heard


def noise_power(paths: Sequence[Path], longest_s: float = 60.0) -> Tensor:
    """Mel power (N, bins) of background recordings, one after the other, float32."""
    config = FeatureConfig()
    log_mel = LogMel(config)
    heard = [read_samples(path)[: int(longest_s * config.sample_rate)] for path in paths]
    whole = [h[: len(h) // config.hop * config.hop] for h in heard if len(h) > config.fft_size]
    return torch.cat([torch.pow(10, log_mel.whole(torch.from_numpy(h))) for h in whole])


def _resized(x: Tensor, rows: int) -> Tensor:
    """(B, T, D) to (B, rows, D), interpolated."""
    return F.interpolate(x.transpose(1, 2), rows, mode="linear").transpose(1, 2)


def _resized_frames(stacked: Tensor, rows: int) -> Tensor:
    """Rows of frames side by side (B, T, n · bins) to (B, rows, n · bins), frame by frame."""
    count, before, columns = stacked.shape
    bins = FeatureConfig().mel_bins
    frames = stacked.reshape(count, before * columns // bins, bins)
    return _resized(frames, rows * columns // bins).reshape(count, rows, columns)
