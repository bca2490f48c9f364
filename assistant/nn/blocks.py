"""Blocks of rows with look-ahead: how rows are cut into them, and who sees whom.

    rows      0 . . . . . . . . . 1 . . . . . . . . . 2 . . . .
    block 0   [ centre ][ look ]
    block 1             [ centre ][ look ]
    block 2                       [ centre ][ look ]

A row of look-ahead is computed for the block it is looked ahead at in, and again for its own. Where
rows attend, a row sees the whole of its block and the centre rows of the blocks before, as these
were computed in their own blocks: never beyond the block, so the delay stays `lookahead` however
deep the stack is. It is what latency-controlled recurrent layers do (Zhang et al. 2016), and the
right context of the Emformer (Shi et al. 2021, arXiv 2010.10759).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class BlockedLayers(nn.Module):
    """Layers over rows: (B, T, D) to (B, T, H), whole or in blocks, as a stream takes them."""

    bidirectional: bool
    """Whether a row sees those after it; else there is nothing to look ahead for."""

    def forward(
        self,
        x: Tensor,
        lengths: Tensor,
        centre: int | None = None,
        lookahead: int = 0,
        truncate: int | None = None,
    ) -> Tensor:
        """Whole utterances, blocked exactly as a stream's `step` would take them.

        Args:
            x: (B, T, D). lengths: (B,) rows of each.
            centre: rows of a block; None for the full context.
            lookahead: rows seen beyond the centre.
            truncate: rows over which errors flow back through time in each layer (truncated
                back-propagation through time, Werbos 1990; Williams & Peng 1990); None for all.

        Returns:
            (B, T, H); rows past an utterance's length mean nothing.
        """
        rows = x.shape[1]
        if centre is None or centre >= rows or not self.bidirectional:
            centre, lookahead = rows, 0
        return self.blocked(into_blocks(x, centre, lookahead), lengths, centre, truncate)[:, :rows]

    def blocked(
        self, blocks: Tensor, lengths: Tensor, centre: int, truncate: int | None = None
    ) -> Tensor:
        """All blocks of whole utterances, whose look-ahead may differ from the rows it stands for.

        Args:
            blocks: (B, N, centre + lookahead, D). lengths, centre, truncate: as in `forward`.

        Returns:
            (B, N · centre, H).
        """
        raise NotImplementedError


def into_blocks(x: Tensor, centre: int, lookahead: int) -> Tensor:
    """Rows (B, T, D) to blocks (B, N, centre + lookahead, D); zeros where there are no rows."""
    rows = x.shape[1]
    count = -(-rows // centre)
    padded = nn.functional.pad(x, (0, 0, 0, count * centre + lookahead - rows))
    return padded.unfold(1, centre + lookahead, centre).transpose(2, 3)


def block_places(count: int, centre: int, width: int, device: torch.device) -> Tensor:
    """(count, width): the row at each place of each block; beyond the last for padding."""
    begins = torch.arange(count, device=device) * centre
    return begins[:, None] + torch.arange(width, device=device)


def block_mask(
    places: Tensor, lengths: Tensor, centre: int, left_context: int | None = None
) -> Tensor:
    """Who sees whom where the blocks lie one after the other: (B, 1, M, M), M rows in all blocks.

    Args:
        places: (N, centre + lookahead), of `block_places`.
        lengths: (B,) rows of each utterance.
        left_context: rows before its block that a row sees at most; None for all.
    """
    count, width = places.shape
    place = places.flatten()
    begin = places[:, :1].expand(-1, width).flatten()
    is_centre = (torch.arange(width, device=place.device) < centre).repeat(count)
    seen = (begin[:, None] == begin) | ((place < begin[:, None]) & is_centre)
    if left_context is not None:
        seen = seen & (place >= begin[:, None] - left_context)
    seen = seen & (place < lengths[:, None])[:, None]
    # A row past the end must see something, or its softmax is not a number.
    return (seen | torch.eye(len(place), dtype=torch.bool, device=place.device))[:, None]
