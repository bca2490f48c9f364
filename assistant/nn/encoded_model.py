"""The encoder and the acoustic model as one network, as they are trained together."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .acoustic_model import AcousticModel
from .encoder import StreamingEncoder


class EncodedAcousticModel(nn.Module):
    """Log-mel to phoneme log-posteriors through the encoder; a block is a chunk of both."""

    def __init__(
        self, encoder: StreamingEncoder, acoustic: AcousticModel, stack: int, left_context_rows: int
    ) -> None:
        """stack: encoder frames a row. left_context_rows: rows of the past a chunk attends to."""
        super().__init__()
        self.encoder = encoder
        self.acoustic = acoustic
        self.stack = stack
        self.left_context = left_context_rows * stack

    def forward(
        self,
        rows: Tensor,
        lengths: Tensor,
        centre: int | None = None,
        lookahead: int = 0,
        truncate: int | None = None,
    ) -> Tensor:
        """Stacked log-mel of whole utterances to log-posteriors, exactly as a stream would see it.

        Args:
            rows: (B, T, 2 · stack · mel_bins), normalised log-mel, a row's frames side by side.
            lengths: (B,) rows of each.
            centre: rows of the encoder's chunk and of the recurrent block; None for full context.
            lookahead: rows that the recurrent block sees beyond its centre.
            truncate: rows over which the recurrent layers' errors flow back; None for all.

        Returns:
            (B, T, P).
        """
        encoded = self.encode(rows, lengths, centre)
        log_probs: Tensor = self.acoustic(encoded, lengths, centre, lookahead, truncate)
        return log_probs

    def encode(self, rows: Tensor, lengths: Tensor, centre: int | None = None) -> Tensor:
        """The acoustic model's input (B, T, stack · width)."""
        batch, count, _ = rows.shape
        log_mel = rows.reshape(batch, count * self.stack * 2, -1)
        encoded: Tensor = self.encoder(
            log_mel,
            lengths * self.stack * 2,
            chunk=centre * self.stack if centre else None,
            left_context=self.left_context if centre else None,
        )
        return torch.as_tensor(encoded.reshape(batch, count, -1))
