"""Phoneme error: greedy CTC decoding and edit distance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from ..grammar.graph import greedy


@dataclass(frozen=True, slots=True)
class ErrorRate:
    """Insertions, deletions and substitutions over the length of the references."""

    errors: int
    length: int

    @property
    def rate(self) -> float:
        """Errors a reference phoneme."""
        return self.errors / max(1, self.length)

    def __add__(self, other: ErrorRate) -> ErrorRate:
        return ErrorRate(self.errors + other.errors, self.length + other.length)


def greedy_phonemes(log_probs: Tensor) -> list[int]:
    """`greedy` of a tensor (T, P)."""
    return greedy(log_probs.float().cpu().numpy())


def edit_distance(first: Sequence[int], second: Sequence[int]) -> int:
    """Levenshtein distance, a row at a time."""
    reference = np.asarray(second)
    column = np.arange(len(reference) + 1)
    for i, symbol in enumerate(first, 1):
        change = np.minimum(column[1:] + 1, column[:-1] + (reference != symbol))
        # Insertions run along the row: a running minimum once the slope of one is taken out.
        row = np.concatenate([[i], change]) - np.arange(len(reference) + 1)
        column = np.minimum.accumulate(row) + np.arange(len(reference) + 1)
    return int(column[-1])


def phoneme_error(decoded: Sequence[int], reference: Sequence[int]) -> ErrorRate:
    """The errors of one utterance."""
    return ErrorRate(edit_distance(decoded, reference), len(reference))
