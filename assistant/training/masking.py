"""Masks on log-mel or feature rows while training (SpecAugment, Park et al. 2019)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor


@dataclass(frozen=True)
class MaskingConfig:
    """How much of an utterance is hidden."""

    time_masks_per_second: float = 0.4
    """Stretches of rows hidden, a second of speech."""
    time_mask_rows: int = 6
    """Longest such stretch."""
    frequency_masks: int = 2
    """Bands hidden, an utterance; log-mel only."""
    frequency_mask_bins: int = 12
    """Widest such band."""


def mask(
    rows: Tensor,
    lengths: Tensor,
    frames_per_row: int | None,
    row_rate: float,
    config: MaskingConfig,
    rng: np.random.Generator,
) -> None:
    """Set stretches and bands of every utterance to its mean, in place.

    Args:
        rows: (B, T, D). lengths: (B,), rows of each.
        frames_per_row: log-mel frames side by side in a row; None where a row is not log-mel.
        row_rate: rows a second.
    """
    for utterance, count in zip(rows, lengths.tolist(), strict=True):
        spoken = utterance[:count]
        mean = spoken.mean(dim=0)
        for _ in range(rng.poisson(config.time_masks_per_second * count / row_rate)):
            width = int(rng.integers(0, config.time_mask_rows + 1))
            begin = int(rng.integers(0, max(1, count - width)))
            spoken[begin : begin + width] = mean
        if frames_per_row is None:
            continue
        bands = spoken.view(count, frames_per_row, -1)
        for _ in range(config.frequency_masks):
            width = int(rng.integers(0, config.frequency_mask_bins + 1))
            begin = int(rng.integers(0, bands.shape[2] - width))
            bands[:, :, begin : begin + width] = spoken.mean()
