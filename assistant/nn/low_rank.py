"""Low-rank updates of the encoder: how a language adapts it without having a copy of its own.

Each linear layer of the Transformer blocks becomes `W + up · down` with W frozen (LoRA, Hu et al.
2021, arXiv 2106.09685); biases and layer norms are trained as they are. A bundle keeps the update
alone, and `merge` adds it to the shared encoder when the bundle is read: inference costs nothing
more, and every language starts from the same file.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .encoder import StreamingEncoder


class LowRankLinear(nn.Module):
    """A frozen linear layer and a trained update of small rank: (…, I) to (…, O)."""

    weight: Tensor

    def __init__(
        self, layer: nn.Linear, rank: int, dtype: torch.dtype, dropout: float = 0.0
    ) -> None:
        """See `adapt`."""
        super().__init__()
        self.register_buffer("weight", layer.weight.detach().to(dtype), persistent=False)
        self.bias = nn.Parameter(layer.bias.detach().clone())
        self.down = nn.Parameter(torch.randn(rank, layer.in_features) / layer.in_features**0.5)
        self.up = nn.Parameter(torch.zeros(layer.out_features, rank))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """The sum of both, without ever forming the updated matrix."""
        frozen = F.linear(x, self.weight.to(x.dtype), self.bias)
        share = self.dropout(x.new_ones(len(x), *[1] * (x.ndim - 1)))
        return frozen + F.linear(F.linear(x, self.down) * share, self.up)


def adapt(
    encoder: StreamingEncoder,
    rank: int,
    dtype: torch.dtype = torch.float32,
    dropout: float = 0.0,
) -> None:
    """Make an encoder trainable by low-rank updates, in place; at first it computes what it did.

    Args:
        dtype: of the frozen weights; bfloat16 saves a conversion a step where it is computed.
        dropout: probability, while training, that an utterance is heard without the update of a
            layer: what all of them have learnt together by heart, few of them have.
    """
    encoder.requires_grad_(False)
    for parent in list(encoder.blocks.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, nn.Linear):
                setattr(parent, name, LowRankLinear(layer, rank, dtype, dropout))
            elif isinstance(layer, nn.LayerNorm):
                layer.requires_grad_(True)
    encoder.norm.requires_grad_(True)


def update_of(encoder: StreamingEncoder) -> dict[str, Tensor]:
    """The trained tensors of an adapted encoder, by name."""
    return {n: p.detach() for n, p in encoder.named_parameters() if p.requires_grad}


@torch.no_grad()
def merge(encoder: StreamingEncoder, update: Mapping[str, Tensor]) -> None:
    """Add an update to an encoder that was never adapted, in place.

    Raises:
        KeyError: the update is of an encoder with other layers.
        RuntimeError: a shape does not fit.
    """
    parameters = dict(encoder.named_parameters())
    for name, value in update.items():
        layer, _, kind = name.rpartition(".")
        if kind == "up":
            low_rank = value.float() @ update[f"{layer}.down"].float()
            parameters[f"{layer}.weight"].add_(low_rank)
        elif kind != "down":
            parameters[name].copy_(value)
