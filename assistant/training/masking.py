"""Masks on log-mel or feature rows while training (SpecAugment, Park et al. 2019)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
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


def masked(
    rows: Tensor,
    lengths: Tensor,
    frames_per_row: int | None,
    row_rate: float,
    config: MaskingConfig,
    rng: np.random.Generator,
) -> Tensor:
    """Rows with stretches and bands of every utterance set to its mean.

    Args:
        rows: (B, T, D). lengths: (B,), rows of each.
        frames_per_row: log-mel frames side by side in a row; None where a row is not log-mel.
        row_rate: rows a second.
    """
    device, (count, longest, columns) = rows.device, rows.shape
    inside = (torch.arange(longest) < lengths.cpu()[:, None]).to(device)[:, :, None]
    spoken = lengths.to(device)[:, None, None]
    mean = (rows * inside).sum(dim=1, keepdim=True) / spoken
    hidden = np.zeros((count, longest), bool)
    for utterance, length in zip(hidden, lengths.tolist(), strict=True):
        for _ in range(rng.poisson(config.time_masks_per_second * length / row_rate)):
            utterance[_stretch(length, config.time_mask_rows, rng)] = True
    rows = torch.where(torch.from_numpy(hidden).to(device)[:, :, None] & inside, mean, rows)
    if frames_per_row is None:
        return rows
    bands: npt.NDArray[np.bool_] = np.zeros((count, columns // frames_per_row), bool)
    for utterance in bands:
        for _ in range(config.frequency_masks):
            utterance[_stretch(len(utterance), config.frequency_mask_bins, rng)] = True
    level = mean.mean(dim=2, keepdim=True)
    columns_hidden = torch.from_numpy(np.tile(bands, frames_per_row)).to(device)[:, None]
    return torch.where(columns_hidden & inside, level, rows)


def _stretch(length: int, widest: int, rng: np.random.Generator) -> slice:
    """A random stretch inside of `length`."""
    width = int(rng.integers(0, widest + 1))
    begin = int(rng.integers(0, max(1, length - width)))
    return slice(begin, begin + width)
