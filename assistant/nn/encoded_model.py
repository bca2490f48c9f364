"""The encoder and the acoustic model as one network, as they are trained together."""

from __future__ import annotations

from torch import Tensor, nn

from .acoustic_model import AcousticModel
from .encoder import StreamingEncoder


class EncodedAcousticModel(nn.Module):
    """Log-mel to phoneme log-posteriors through the encoder; a block is one of both."""

    def __init__(
        self, encoder: StreamingEncoder, acoustic: AcousticModel, stack: int, left_context_rows: int
    ) -> None:
        """stack: encoder frames a row. left_context_rows: rows of the past a block attends to."""
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
            centre: rows of a block; None for full context.
            lookahead: rows that encoder and acoustic model see beyond them.
            truncate: rows over which the recurrent layers' errors flow back; None for all.

        Returns:
            (B, T, P).
        """
        if centre is None:
            log_probs: Tensor = self.acoustic(
                self.encode(rows, lengths), lengths, None, 0, truncate
            )
            return log_probs
        blocks = self.encoder.blocked(
            self._log_mel(rows),
            lengths * self.stack * 2,
            centre * self.stack,
            lookahead * self.stack,
            self.left_context,
        )
        batch, count, _, _ = blocks.shape
        blocks = blocks.reshape(batch, count, centre + lookahead, -1)
        return self.acoustic.blocked(blocks, lengths, centre, truncate)[:, : rows.shape[1]]

    def encode(self, rows: Tensor, lengths: Tensor) -> Tensor:
        """The acoustic model's input (B, T, stack · width) at full context."""
        encoded: Tensor = self.encoder(self._log_mel(rows), lengths * self.stack * 2)
        return encoded.reshape(len(rows), rows.shape[1], -1)

    def _log_mel(self, rows: Tensor) -> Tensor:
        """(B, frames, mel_bins)."""
        batch, count, _ = rows.shape
        return rows.reshape(batch, count * self.stack * 2, -1)
