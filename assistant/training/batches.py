"""Batches of cached rows and their phonemes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from .feature_cache import CachedUtterance


class RowSource(Protocol):
    """What an utterance's rows are read from: a `FeatureCache`, or rows kept in memory."""

    def rows(self, utterance: CachedUtterance) -> npt.NDArray[np.float16]:
        """(T, D) rows of one utterance."""


@dataclass(frozen=True, slots=True)
class Batch:
    """rows (B, T, D), lengths (B,), phonemes (B, L) padded with 0, phoneme_lengths (B,)."""

    rows: Tensor
    lengths: Tensor
    phonemes: Tensor
    phoneme_lengths: Tensor


@dataclass(frozen=True, slots=True)
class Example:
    """An utterance in every copy there is of it, and its phonemes."""

    copies: tuple[tuple[RowSource, CachedUtterance], ...]
    phonemes: tuple[int, ...]
    draws: float = 1.0
    """Times it is drawn in a pass; the fraction is a probability."""

    @property
    def length(self) -> int:
        """Rows of the first copy."""
        return self.copies[0][1].length


def collate(examples: Sequence[Example], rng: np.random.Generator | None) -> Batch:
    """Read one copy of each example (the first where no generator is given) and pad."""
    chosen = [e.copies[_draw_copy(len(e.copies), rng) if rng else 0] for e in examples]
    rows = [torch.from_numpy(cache.rows(u).astype(np.float32)) for cache, u in chosen]
    phonemes = [torch.tensor(e.phonemes) for e in examples]
    pad = nn.utils.rnn.pad_sequence
    return Batch(
        rows=pad(rows, batch_first=True),
        lengths=torch.tensor([len(r) for r in rows]),
        phonemes=pad(phonemes, batch_first=True),
        phoneme_lengths=torch.tensor([len(p) for p in phonemes]),
    )


def _draw_copy(copies: int, rng: np.random.Generator) -> int:
    """The clean copy in a third of the draws, an augmented one otherwise."""
    return 0 if copies == 1 or rng.random() < 1 / 3 else int(rng.integers(1, copies))


def batches(
    examples: Sequence[Example], batch_rows: int, rng: np.random.Generator
) -> Iterator[list[Example]]:
    """Examples of about one length together, in random order; endless."""
    while True:
        drawn = [e for e in examples for _ in range(int(e.draws + rng.random()))]
        noisy_length = [e.length * rng.uniform(0.9, 1.1) for e in drawn]
        ordered = [drawn[i] for i in np.argsort(noisy_length)]
        groups: list[list[Example]] = [[]]
        for example in ordered:
            longest = max([e.length for e in groups[-1]] + [example.length])
            if groups[-1] and longest * (len(groups[-1]) + 1) > batch_rows:
                groups.append([])
            groups[-1].append(example)
        for i in rng.permutation(len(groups)):
            yield groups[i]
