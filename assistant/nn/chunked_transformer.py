"""A Transformer encoder over rows (Vaswani et al. 2017), whole or in blocks with look-ahead.

The blocks are those of `nn/blocks.py`. `step` keeps the keys and values of the centre rows and
gives what the blocked `forward` gives; they grow with the utterance, as the memory of a recurrent
network does not. Without the backward direction a row attends to itself and the past alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .blocks import BlockedLayers, block_mask, block_places
from .encoder import Block

HEAD_WIDTH = 64
"""Columns of an attention head, as in Vaswani et al.; a narrower network has one head."""


@dataclass(frozen=True, slots=True)
class TransformerState:
    """keys, values: of all centre rows so far, (B, heads, past, width / heads) a layer."""

    keys: tuple[Tensor, ...]
    values: tuple[Tensor, ...]


class ChunkedTransformer(BlockedLayers):
    """A stack of pre-norm Transformer blocks: (B, T, D) to (B, T, width)."""

    def __init__(
        self,
        input_size: int,
        width: int,
        layers: int,
        dropout: float = 0.0,
        bidirectional: bool = True,
    ) -> None:
        """width: even, and beyond `HEAD_WIDTH` a multiple of it. bidirectional: else causal."""
        super().__init__()
        self.output_size = width
        self.bidirectional = bidirectional
        self.heads = max(1, width // HEAD_WIDTH)
        self.enter = nn.Linear(input_size, width)
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(Block(width, self.heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def initial_state(self, batch: int = 1) -> TransformerState:
        """The state before the first row of `batch` streams."""
        weight = self.enter.weight
        empty = weight.new_zeros(batch, self.heads, 0, self.output_size // self.heads)
        return TransformerState((empty,) * len(self.layers), (empty,) * len(self.layers))

    def step(
        self, block: Tensor, state: TransformerState, centre: int
    ) -> tuple[Tensor, TransformerState]:
        """One block.

        Args:
            block: (B, centre + lookahead, D); shorter at the end of the stream.
            centre: rows whose output is wanted; the rest is look-ahead.

        Returns:
            (B, centre, width) and the next state.
        """
        if not self.bidirectional:
            block = block[:, :centre]
        past = state.keys[0].shape[2]
        place = torch.arange(past, past + block.shape[1], device=block.device)
        x = self._entered(block, place)
        seen = None
        if not self.bidirectional:
            seen = torch.arange(past + block.shape[1], device=block.device) <= place[:, None]
        keys, values = [], []
        for layer, *kept in zip(self.layers, state.keys, state.values, strict=True):
            x, (key, value) = layer(x, seen, tuple(kept))
            keys.append(key[:, :, : past + centre])
            values.append(value[:, :, : past + centre])
        return self.norm(x)[:, :centre], TransformerState(tuple(keys), tuple(values))

    def blocked(
        self, blocks: Tensor, lengths: Tensor, centre: int, truncate: int | None = None
    ) -> Tensor:
        """See `BlockedLayers`; `truncate` is without effect: errors flow from row to row alone."""
        if not self.bidirectional:
            blocks = blocks[:, :, :centre]
        batch, count, width, columns = blocks.shape
        places = block_places(count, centre, width, blocks.device)
        mask = block_mask(places, lengths, centre)
        place = places.flatten()
        if not self.bidirectional:
            causal = place <= place[:, None]
            mask = mask & causal
        hidden = self._entered(blocks.reshape(batch, count * width, columns), place)
        for layer in self.layers:
            hidden, _ = layer(hidden, mask, None)
        hidden = self.norm(hidden).view(batch, count, width, -1)
        return torch.as_tensor(hidden[:, :, :centre].reshape(batch, count * centre, -1))

    def _entered(self, rows: Tensor, place: Tensor) -> Tensor:
        entered = self.enter(rows)
        return torch.as_tensor(
            self.dropout(entered + sinusoids(place, self.output_size).to(entered.dtype))
        )


def sinusoids(place: Tensor, width: int) -> Tensor:
    """Positions (T,) to (T, width): sines and cosines, wavelengths from 2 π to 20,000 π rows."""
    steps = torch.arange(width // 2, device=place.device)
    angles = place[:, None] * torch.exp(-math.log(10_000) * steps / (width // 2)).double()
    return torch.cat([angles.sin(), angles.cos()], dim=1)
