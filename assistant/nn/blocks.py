"""Blocks of rows with look-ahead, for the networks that attend: where they are, who sees whom.

    rows      0 . . . . . . . . . 1 . . . . . . . . . 2 . . . .
    block 0   [ centre ][ look ]
    block 1             [ centre ][ look ]
    block 2                       [ centre ][ look ]

A row of look-ahead is computed for the block it is looked ahead at in, and again for its own. A row
attends to the whole of its block and to the centre rows of the blocks before, as these were
computed in their own blocks: never beyond the block, so the delay stays `lookahead` however deep
the stack is. It is what latency-controlled recurrent layers do (Zhang et al. 2016), and the right
context of the Emformer (Shi et al. 2021, arXiv 2010.10759).
"""

from __future__ import annotations

import torch
from torch import Tensor


def block_places(rows: int, centre: int, lookahead: int, device: torch.device) -> Tensor:
    """(N, centre + lookahead): the row at each place of each block; beyond the last for padding."""
    begins = torch.arange(0, rows, centre, device=device)
    return begins[:, None] + torch.arange(centre + lookahead, device=device)


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
