"""What the rows of a cache are: log-mel, or the samples themselves.

Log-mel is computed once and read in every pass, which is what processors need. A GPU computes it
from samples in less time than the rest of an update takes, and so can hear every draw through
another room and another noise (`device_speech`).
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from ..config import FeatureConfig
from ..features import FeatureExtractor
from ..types import SAMPLE_RATE, Samples

ROWS_PER_SECOND = 25
"""Rows a second of speech: one per 40 ms."""
LOG_MEL_PER_ROW = 4
"""Log-mel frames of 10 ms in a row."""
SAMPLES_PER_ROW = SAMPLE_RATE // ROWS_PER_SECOND


class RowMaker(Protocol):
    """Makes the rows of a cache."""

    @property
    def columns(self) -> int:
        """Width of a row."""

    def rows(self, samples: Samples) -> Tensor:
        """(T, columns) of a whole utterance, padded with silence to whole rows."""


class LogMelRows:
    """Rows of normalised log-mel, four frames side by side."""

    def __init__(self) -> None:
        features = FeatureConfig(encoder=False, stack=LOG_MEL_PER_ROW)
        self._extractor = FeatureExtractor(features, None)

    @property
    def columns(self) -> int:
        """See `RowMaker`."""
        return self._extractor.columns

    def rows(self, samples: Samples) -> Tensor:
        """See `RowMaker`."""
        return self._extractor.full_context(self._extractor.whole(samples))


class SampleRows:
    """Rows of samples, full scale 1; in float16, whose noise lies 66 dB below each sample."""

    columns = SAMPLES_PER_ROW

    def rows(self, samples: Samples) -> Tensor:
        """See `RowMaker`."""
        padded = np.pad(samples, (0, -len(samples) % self.columns))
        return torch.from_numpy(padded).view(-1, self.columns)
