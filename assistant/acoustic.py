"""Acoustic stage: feature rows to phoneme log-posteriors, chunk by chunk or whole."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from .config import AcousticConfig
from .nn.acoustic_model import AcousticState
from .types import FeatureChunk, PosteriorChunk


class Scoring(Protocol):
    """What the stage needs of an acoustic model, see `AcousticModel`."""

    config: AcousticConfig
    mean: Tensor

    def initial_state(self, batch: int = 1) -> AcousticState:
        """The state before the first row."""

    def step(
        self, block: Tensor, state: AcousticState, centre: int
    ) -> tuple[Tensor, AcousticState]:
        """One block of rows."""

    def __call__(self, rows: Tensor, lengths: Tensor) -> Tensor:
        """Whole utterances."""


class AcousticScorer:
    """Stage: `FeatureChunk`s of one utterance to `PosteriorChunk`s.

    A chunk with its look-ahead is a block of the acoustic model.
    """

    latency_ms = 0.0
    """Nothing is waited for: the look-ahead comes with the chunk."""

    def __init__(self, model: Scoring) -> None:
        self.model = model
        self.config: AcousticConfig = model.config
        self.reset()

    def reset(self) -> None:
        """Forget the utterance."""
        self._state = self.model.initial_state()

    @torch.inference_mode()
    def feed(self, item: FeatureChunk) -> list[PosteriorChunk]:
        """Score a chunk."""
        block = item.rows[None]
        log_probs, self._state = self.model.step(block, self._state, item.centre)
        return [PosteriorChunk(log_probs[0].cpu())]

    def flush(self) -> list[PosteriorChunk]:
        """The utterance is over, and nothing of it is left; reset."""
        self.reset()
        return []

    @torch.inference_mode()
    def full_context(self, rows: Tensor) -> Tensor:
        """Log-posteriors (T, P) of a whole utterance's rows (T, D), every row seeing all others."""
        lengths = torch.tensor([len(rows)], device=rows.device)
        log_probs: Tensor = self.model(rows[None], lengths)
        return log_probs[0].cpu()
