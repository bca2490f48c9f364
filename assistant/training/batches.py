"""Batches of cached rows and their phonemes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
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


ORDERED = 1000
"""Classes of length that batches are put into a random order by."""


@dataclass(frozen=True, slots=True)
class Batch:
    """rows (B, T, D), lengths (B,), phonemes (B, L) padded with 0, phoneme_lengths (B,).

    teacher: (B, T, P), a teacher's log-posteriors of the same rows, padded with 0; None without.
    """

    rows: Tensor
    lengths: Tensor
    phonemes: Tensor
    phoneme_lengths: Tensor
    teacher: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Example:
    """An utterance in every copy there is of it, and its phonemes."""

    copies: tuple[tuple[RowSource, CachedUtterance], ...]
    phonemes: tuple[int, ...]
    draws: float = 1.0
    """Times it is drawn in a pass; the fraction is a probability."""
    teachers: tuple[tuple[RowSource, CachedUtterance], ...] = ()
    """A teacher's log-posteriors of every copy, or none at all."""

    @property
    def length(self) -> int:
        """Rows of the first copy."""
        return self.copies[0][1].length


def collate(examples: Sequence[Example], rng: np.random.Generator | None) -> Batch:
    """Read one copy of each example (the first where no generator is given) and pad."""
    chosen = [_draw_copy(len(e.copies), rng) if rng else 0 for e in examples]
    rows = [_read(e.copies[copy]) for e, copy in zip(examples, chosen, strict=True)]
    teacher = None
    if all(e.teachers for e in examples):
        taught = [_read(e.teachers[copy]) for e, copy in zip(examples, chosen, strict=True)]
        teacher = nn.utils.rnn.pad_sequence(taught, batch_first=True)
    padded = nn.utils.rnn.pad_sequence(rows, batch_first=True)
    return labelled(padded, torch.tensor([len(r) for r in rows]), examples, teacher)


Draw = Callable[[Sequence[Example], np.random.Generator | None], Batch]
"""Makes a batch of examples; without a generator of their first copies, as they are."""


def labelled(
    rows: Tensor, lengths: Tensor, examples: Sequence[Example], teacher: Tensor | None = None
) -> Batch:
    """A batch of rows (B, T, D), lengths (B,) each, and what was said."""
    phonemes = [torch.tensor(e.phonemes, dtype=torch.long) for e in examples]
    return Batch(
        rows=rows,
        lengths=lengths,
        phonemes=nn.utils.rnn.pad_sequence(phonemes, batch_first=True),
        phoneme_lengths=torch.tensor([len(p) for p in phonemes]),
        teacher=teacher,
    )


def _read(cached: tuple[RowSource, CachedUtterance]) -> Tensor:
    cache, utterance = cached
    return torch.from_numpy(cache.rows(utterance).astype(np.float32))


def _draw_copy(copies: int, rng: np.random.Generator) -> int:
    """The clean copy in a third of the draws, an augmented one otherwise."""
    return 0 if copies == 1 or rng.random() < 1 / 3 else int(rng.integers(1, copies))


def batches(
    examples: Sequence[Example],
    batch_rows: int,
    rng: np.random.Generator,
    shared: np.random.Generator,
) -> Iterator[list[Example]]:
    """Examples of about one length together, in random order; endless.

    A batch is of examples that all have a teacher, or of such that have none.

    `shared` is the same in all processes, so that they compute batches of about one length at a
    time and none waits for another.
    """
    while True:
        drawn = [e for e in examples for _ in range(int(e.draws + rng.random()))]
        noisy_length = [e.length * rng.uniform(0.9, 1.1) for e in drawn]
        taught = [bool(e.teachers) for e in drawn]
        ordered = [drawn[i] for i in np.lexsort((noisy_length, taught))]
        groups: list[list[Example]] = [[]]
        longest = 0
        for example in ordered:
            longest = max(longest, example.length)
            full = longest * (len(groups[-1]) + 1) > batch_rows
            if groups[-1] and (full or bool(example.teachers) != bool(groups[-1][0].teachers)):
                groups.append([])
                longest = example.length
            groups[-1].append(example)
        for place in shared.permutation(ORDERED):
            yield from groups[place * len(groups) // ORDERED : (place + 1) * len(groups) // ORDERED]


def like_lengths(lengths: Sequence[float], most: float) -> Iterator[list[int]]:
    """Places of utterances, shortest first, as many together as make `most` when padded."""
    group: list[int] = []
    for i in map(int, np.argsort(lengths, kind="stable")):
        if group and lengths[i] * (len(group) + 1) > most:
            yield group
            group = []
        group.append(i)
    if group:
        yield group
