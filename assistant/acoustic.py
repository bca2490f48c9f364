"""Acoustic stage: feature rows to phoneme log-posteriors, block by block or whole."""

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

    A block is scored as soon as its look-ahead has been heard; at the end none is missing.
    """

    def __init__(self, model: Scoring, row_ms: float) -> None:
        self.model = model
        self.config: AcousticConfig = model.config
        self.row_ms = row_ms
        self.reset()

    @property
    def latency_ms(self) -> float:
        """A block's centre and its look-ahead."""
        return (self.config.chunk_rows + self.config.lookahead_rows) * self.row_ms

    def reset(self) -> None:
        """Forget the utterance."""
        self._rows = torch.zeros(0, self.config.input_size, device=self.model.mean.device)
        self._scored = 0
        self._state = self.model.initial_state()

    def feed(self, item: FeatureChunk) -> list[PosteriorChunk]:
        """Take rows; return the blocks whose look-ahead is complete."""
        self._rows = torch.cat([self._rows, item.rows])
        width = self.config.chunk_rows + self.config.lookahead_rows
        chunks = []
        while len(self._rows) >= width:
            chunks.append(self._score(width, self.config.chunk_rows))
        return chunks

    def flush(self) -> list[PosteriorChunk]:
        """Score what is left, without look-ahead that never came; reset."""
        chunks = []
        while len(self._rows):
            width = self.config.chunk_rows + self.config.lookahead_rows
            available = len(self._rows)
            chunks.append(
                self._score(min(width, available), min(self.config.chunk_rows, available))
            )
        self.reset()
        return chunks

    @torch.inference_mode()
    def full_context(self, rows: Tensor) -> Tensor:
        """Log-posteriors (T, P) of a whole utterance's rows (T, D), every row seeing all others."""
        lengths = torch.tensor([len(rows)], device=rows.device)
        log_probs: Tensor = self.model(rows[None], lengths)
        return log_probs[0].cpu()

    @torch.inference_mode()
    def _score(self, width: int, centre: int) -> PosteriorChunk:
        log_probs, self._state = self.model.step(self._rows[None, :width], self._state, centre)
        chunk = PosteriorChunk(log_probs=log_probs[0].cpu(), start=self._scored)
        self._rows = self._rows[centre:]
        self._scored += centre
        return chunk
