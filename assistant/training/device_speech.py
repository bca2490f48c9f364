"""All speech of a training in the memory of the device that trains, every draw heard anew.

Thirty hours are 3.5 GB of samples. Batches are gathered, augmented and made log-mel where they are
learnt from, so that nothing waits for a processor or a disk; a teacher hears what its student
hears, at the same speed but clean. A processor reads them from the files of the cache, which are
mapped: in its memory once, for however many processes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from ..config import FeatureConfig
from ..features import LogMel, normalise
from ..nn.precision import fastest
from .batch_augmentation import BatchAugmenter
from .batches import Batch, Example, labelled
from .draws import Draws
from .feature_cache import CachedUtterance
from .mel_augmentation import warped
from .metrics import greedy_phonemes
from .rows import LOG_MEL_PER_ROW, SAMPLES_PER_ROW

CLEAN = 0.25
"""Share of the utterances that are heard as they are, but for the speed."""


class DeviceSpeech:
    """Draws batches of log-mel from cached samples (`SampleRows`)."""

    def __init__(
        self,
        examples: Sequence[Example],
        device: torch.device,
        augmenter: BatchAugmenter,
        teacher: nn.Module | None = None,
        views: int = 1,
        noise_alone: float = 0.0,
    ) -> None:
        """Bring the first copy of all examples to the device, if it has memory of its own.

        Args:
            teacher: log-mel rows and lengths to log-posteriors; None learns from texts alone.
            views: times that a batch has all of its examples, one time after the other, each in a
                room and noise of its own.
            noise_alone: probability that noise is heard in the place of an example.
        """
        self.device, self.augmenter, self.teacher = device, augmenter, teacher
        self.views, self.noise_alone = views, noise_alone
        self.log_mel = LogMel(FeatureConfig(), device)
        on_cpu = device.type == "cpu"
        self._gathered = _from_files if on_cpu else _OnDevice(examples, device).gathered

    @torch.no_grad()
    def draw(self, examples: Sequence[Example], rng: np.random.Generator | None) -> Batch:
        """A batch of log-mel rows; without a generator of clean speech, once, without a teacher.

        What was said in an example without phonemes is what the teacher hears.
        """
        speech, lengths = self._gathered(examples)
        teacher = None
        if rng is not None:
            speech, lengths = self.augmenter.at_another_speed(speech, lengths, rng)
        rows = -(-lengths // SAMPLES_PER_ROW)
        speech = _of_length(speech, int(rows.max()) * SAMPLES_PER_ROW)
        if rng is not None:
            if self.teacher is not None:
                teacher = self._taught(self.teacher, self._log_mel(speech, rows), rows)
                examples = _with_phonemes(examples, teacher, rows)
            if self.noise_alone:
                alone = Draws(len(speech), rng, self.device).chance(self.noise_alone)
                noise = self.augmenter.noise_alone(speech, lengths, rng)
                speech = torch.where(alone[:, None], noise, speech)
                examples, teacher = _with_nothing_said(alone, examples, teacher)
            if teacher is not None:
                teacher = teacher.repeat(self.views, 1, 1)
            examples = [*examples] * self.views
            speech, lengths, rows = (
                speech.repeat(self.views, 1),
                lengths.repeat(self.views),
                rows.repeat(self.views),
            )
            draw = Draws(len(speech), rng, self.device)
            kept = draw.chance(CLEAN)
            speech = torch.where(kept[:, None], speech, self.augmenter(speech, lengths, rng))
            factors = torch.where(kept, 1.0, draw.uniform(self.augmenter.config.vocal_tract))
            return labelled(self._log_mel(speech, rows, factors), rows, examples, teacher)
        return labelled(self._log_mel(speech, rows), rows, examples)

    def _log_mel(self, speech: Tensor, rows: Tensor, factors: Tensor | None = None) -> Tensor:
        """(B, T, 4 · bins), normalised as `FeatureExtractor.full_context` does; 0 for padding.

        factors: (B,), by which the bins are stretched.
        """
        frames = self.log_mel.whole(speech)
        if factors is not None:
            frames = warped(frames, factors)
        inside = torch.arange(frames.shape[1], device=self.device) // LOG_MEL_PER_ROW
        inside = (inside < rows.to(self.device)[:, None])[:, :, None]
        loudest = frames.masked_fill(~inside, -torch.inf).amax(dim=(1, 2), keepdim=True)
        normalised = normalise(frames, loudest) * inside
        return normalised.reshape(len(speech), frames.shape[1] // LOG_MEL_PER_ROW, -1)

    def _taught(self, teacher: nn.Module, log_mel: Tensor, rows: Tensor) -> Tensor:
        with fastest(self.device):
            log_probs: Tensor = teacher(log_mel, rows.to(self.device))
        return log_probs.float()


def _with_phonemes(
    examples: Sequence[Example], log_probs: Tensor, lengths: Tensor
) -> list[Example]:
    """Examples that have no phonemes with those that log-posteriors (B, T, P) have."""
    without = [i for i, example in enumerate(examples) if not example.phonemes]
    found = list(examples)
    for i, heard in zip(without, log_probs[without].cpu(), strict=True):
        phonemes = tuple(greedy_phonemes(heard[: int(lengths[i])]))
        found[i] = replace(examples[i], phonemes=phonemes)
    return found


def _with_nothing_said(
    where: Tensor, examples: Sequence[Example], teacher: Tensor | None
) -> tuple[list[Example], Tensor | None]:
    """Examples and a teacher's log-posteriors (B, T, P) of them; blank `where` (B,) it says so."""
    found = [
        replace(example, phonemes=()) if nothing else example
        for example, nothing in zip(examples, where.tolist(), strict=True)
    ]
    if teacher is not None:
        blank = torch.full_like(teacher[0, 0], -torch.inf)
        blank[0] = 0.0
        teacher = torch.where(where[:, None, None], blank, teacher)
    return found, teacher


def _of_length(speech: Tensor, samples: int) -> Tensor:
    """(B, N) cut or padded with silence to (B, samples)."""
    missing = max(0, samples - speech.shape[1])
    return torch.nn.functional.pad(speech, (0, missing))[:, :samples]


class _OnDevice:
    """The first copy of all examples in a device's memory."""

    def __init__(self, examples: Sequence[Example], device: torch.device) -> None:
        self._device = device
        self._begins: dict[CachedUtterance, int] = {}
        size = (sum(e.length for e in examples), SAMPLES_PER_ROW)
        # Filled piece by piece: there is never a second copy of hours of speech in memory.
        self._rows = torch.empty(size, dtype=torch.float16, device=device)
        begin = 0
        for example in examples:
            cache, utterance = example.copies[0]
            self._begins[utterance] = begin
            samples = torch.from_numpy(np.array(cache.rows(utterance)))
            self._rows[begin : begin + utterance.length] = samples.to(device)
            begin += utterance.length

    def gathered(self, examples: Sequence[Example]) -> tuple[Tensor, Tensor]:
        """Samples (B, N), silent where an utterance is over, and lengths (B,) in samples."""
        lengths = torch.tensor([e.length for e in examples])
        begins = torch.tensor([self._begins[e.copies[0][1]] for e in examples])
        offsets = torch.arange(int(lengths.max()))
        places = (begins[:, None] + offsets).clamp(max=len(self._rows) - 1).to(self._device)
        inside = (offsets < lengths[:, None]).to(self._device)
        samples = self._rows[places].float() * inside[:, :, None]
        return samples.flatten(1), lengths * SAMPLES_PER_ROW


def _from_files(examples: Sequence[Example]) -> tuple[Tensor, Tensor]:
    """What `_OnDevice.gathered` gives, from the files of the cache."""
    first = [e.copies[0] for e in examples]
    rows = [torch.from_numpy(np.array(cache.rows(utterance))) for cache, utterance in first]
    lengths = torch.tensor([len(one) for one in rows])
    padded = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
    return padded.float().flatten(1), lengths * SAMPLES_PER_ROW
