"""The acoustic model: feature rows to phoneme log-posteriors, many to many, trained with CTC."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..config import AcousticConfig
from .chunked_transformer import ChunkedTransformer, TransformerState
from .latency_controlled import LatencyControlledRNN, RecurrentState

AcousticState = RecurrentState | TransformerState


class AcousticModel(nn.Module):
    """Normalise, project, layers over time, CTC head (Graves et al. 2006): (B, T, D) to (B, T, P).

    The layers are latency-controlled recurrent ones or, for comparison, a Transformer encoder.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, config: AcousticConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("mean", torch.zeros(config.input_size))
        self.register_buffer("scale", torch.ones(config.input_size))
        self.project = nn.Linear(config.input_size, config.projection_size)
        self.recurrent = _layers(config)  # so named in every bundle's file
        self.head = nn.Linear(self.recurrent.output_size, config.phonemes)

    @torch.no_grad()
    def normalise_as(self, rows: Tensor) -> None:
        """Take the mean and the deviation of rows (N, D) of training speech for the input's."""
        self.mean.copy_(rows.mean(dim=0))
        self.scale.copy_(1 / (rows.std(dim=0) + 1e-3))

    def initial_state(self, batch: int = 1) -> AcousticState:
        """The state before the first row of `batch` streams."""
        return self.recurrent.initial_state(batch)

    def step(
        self, block: Tensor, state: AcousticState, centre: int
    ) -> tuple[Tensor, AcousticState]:
        """One block of rows (B, centre + lookahead, D) → log-posteriors (B, centre, P), state."""
        hidden, following = self.recurrent.step(
            self._input(block),
            state,  # type: ignore[arg-type]  # the state that these layers gave
            centre,
        )
        return self._output(hidden), following

    def forward(
        self,
        rows: Tensor,
        lengths: Tensor,
        centre: int | None = None,
        lookahead: int = 0,
        truncate: int | None = None,
    ) -> Tensor:
        """Whole utterances (B, T, D) → log-posteriors (B, T, P); full context without `centre`."""
        hidden = self.recurrent(self._input(rows), lengths, centre, lookahead, truncate)
        return self._output(hidden)

    def blocked(
        self, blocks: Tensor, lengths: Tensor, centre: int, truncate: int | None = None
    ) -> Tensor:
        """All blocks (B, N, centre + lookahead, D) of whole utterances → (B, N · centre, P)."""
        return self._output(self.recurrent.blocked(self._input(blocks), lengths, centre, truncate))

    def _input(self, rows: Tensor) -> Tensor:
        return torch.nn.functional.gelu(self.project((rows - self.mean) * self.scale))

    def _output(self, hidden: Tensor) -> Tensor:
        return nn.functional.log_softmax(self.head(hidden).float(), dim=-1)


def _layers(config: AcousticConfig) -> LatencyControlledRNN | ChunkedTransformer:
    if config.cell == "transformer":
        return ChunkedTransformer(
            config.projection_size,
            config.hidden_size,
            config.layers,
            config.dropout,
            config.bidirectional,
        )
    return LatencyControlledRNN(
        config.projection_size,
        config.hidden_size,
        config.layers,
        config.dropout,
        config.cell,
        config.bidirectional,
    )
