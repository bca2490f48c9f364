"""Latency-controlled bidirectional GRU (Zhang et al. 2016, arXiv 1510.08983; Xue & Yan 2017).

The rows are cut into blocks of `centre` rows, each seen together with `lookahead` rows more:

    rows      0 . . . . . . . . . 1 . . . . . . . . . 2 . . . .
    block 0   [ centre ][ look ]
    block 1             [ centre ][ look ]
    block 2                       [ centre ][ look ]
    forward   ─────────→·········       its state goes on after the centre, not the look-ahead
    backward  ←──────────────────       begins afresh at the right edge of every block

The whole block goes through the stack of layers, so the delay stays `lookahead` however deep the
stack is. `forward` computes all blocks of whole utterances at once; `step` computes one block with
the state of the past, and gives the same. A look-ahead without end is the full bidirectional GRU
(Schuster & Paliwal 1997; Cho et al. 2014).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class LCBGRUState:
    """hidden: (B, H) a layer, the forward GRU's state after the last centre row."""

    hidden: tuple[Tensor, ...]


class _Layer(nn.Module):
    """One bidirectional layer over blocks."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.forwards = nn.GRU(input_size, hidden_size, batch_first=True)
        self.backwards = nn.GRU(input_size, hidden_size, batch_first=True)

    def blocked(
        self, blocks: Tensor, seen: Tensor, centre: int, truncate: int | None = None
    ) -> Tensor:
        """All blocks of whole utterances.

        Args:
            blocks: (B, N, centre + lookahead, D).
            seen: (B, N), rows of each block that exist.
            truncate: rows over which the forward direction's errors flow back; None for all.

        Returns:
            (B, N, centre + lookahead, 2 H).
        """
        batch, count, width, columns = blocks.shape
        hidden = self.forwards.hidden_size
        core = blocks[:, :, :centre].reshape(batch, count * centre, columns)
        ahead = _run(self.forwards, core, truncate).view(batch, count, centre, hidden)
        if width > centre:
            saved = ahead[:, :, -1].reshape(1, batch * count, hidden).contiguous()
            further = blocks[:, :, centre:].reshape(batch * count, width - centre, columns)
            extension = self.forwards(further, saved)[0].view(batch, count, -1, hidden)
            ahead = torch.cat([ahead, extension], dim=2)
        order = _reversal(width, seen.reshape(-1))
        flat = blocks.reshape(batch * count, width, columns)
        back = _run(self.backwards, _reorder(flat, order), truncate)
        return torch.cat([ahead, _reorder(back, order).view(batch, count, width, hidden)], dim=3)

    def step(self, block: Tensor, hidden: Tensor, centre: int) -> tuple[Tensor, Tensor]:
        """One block (B, centre + lookahead, D) → (B, …, 2 H) and the state after the centre."""
        ahead, saved = self.forwards(block[:, :centre], hidden[None].contiguous())
        if block.shape[1] > centre:
            ahead = torch.cat([ahead, self.forwards(block[:, centre:], saved)[0]], dim=1)
        back = self.backwards(block.flip(1))[0].flip(1)
        return torch.cat([ahead, back], dim=2), saved[0]


class LCBGRU(nn.Module):
    """A stack of latency-controlled bidirectional layers: (B, T, D) to (B, T, 2 H)."""

    def __init__(
        self, input_size: int, hidden_size: int, layers: int, dropout: float = 0.0
    ) -> None:
        super().__init__()
        sizes = [input_size] + [2 * hidden_size] * (layers - 1)
        self.layers = nn.ModuleList(_Layer(size, hidden_size) for size in sizes)
        self.dropout = nn.Dropout(dropout)
        self.hidden_size = hidden_size

    def initial_state(self, batch: int = 1) -> LCBGRUState:
        """The state before the first row of `batch` streams."""
        weight = next(self.parameters())
        return LCBGRUState(tuple(weight.new_zeros(batch, self.hidden_size) for _ in self.layers))

    @property
    def _stack(self) -> list[_Layer]:
        return [layer for layer in self.layers if isinstance(layer, _Layer)]

    def step(self, block: Tensor, state: LCBGRUState, centre: int) -> tuple[Tensor, LCBGRUState]:
        """One block.

        Args:
            block: (B, centre + lookahead, D); shorter at the end of the stream.
            centre: rows whose output is wanted; the rest is look-ahead.

        Returns:
            (B, centre, 2 H) and the next state.
        """
        x, following = block, []
        for layer, hidden in zip(self._stack, state.hidden, strict=True):
            x, saved = layer.step(x, hidden, centre)
            following.append(saved)
        return x[:, :centre], LCBGRUState(tuple(following))

    def forward(
        self,
        x: Tensor,
        lengths: Tensor,
        centre: int | None = None,
        lookahead: int = 0,
        truncate: int | None = None,
    ) -> Tensor:
        """Whole utterances, blocked exactly as `step` would take them.

        Args:
            x: (B, T, D). lengths: (B,) rows of each.
            centre: rows of a block; None for the full bidirectional model.
            lookahead: rows seen beyond the centre.
            truncate: rows over which errors flow back through time in each layer (truncated
                back-propagation through time, Werbos 1990; Williams & Peng 1990); None for all.

        Returns:
            (B, T, 2 H); rows past an utterance's length mean nothing.
        """
        batch, rows, _ = x.shape
        if centre is None or centre >= rows:
            centre, lookahead = rows, 0
        count = -(-rows // centre)
        padded = torch.nn.functional.pad(x, (0, 0, 0, count * centre + lookahead - rows))
        blocks = padded.unfold(1, centre + lookahead, centre).transpose(2, 3)
        begins = torch.arange(count, device=x.device) * centre
        seen = (lengths[:, None] - begins).clamp(0, centre + lookahead)
        for layer in self._stack:
            blocks = self.dropout(layer.blocked(blocks, seen, centre, truncate))
        return blocks[:, :, :centre].reshape(batch, count * centre, -1)[:, :rows]


def _run(gru: nn.GRU, x: Tensor, truncate: int | None) -> Tensor:
    """A GRU over (B, T, D), its state cut off from the past's errors every `truncate` rows."""
    if truncate is None or truncate >= x.shape[1]:
        return torch.as_tensor(gru(x)[0])
    outputs, state = [], None
    for piece in x.split(truncate, dim=1):
        output, state = gru(piece, state)
        state = state.detach()
        outputs.append(output)
    return torch.cat(outputs, dim=1)


def _reversal(width: int, seen: Tensor) -> Tensor:
    """(M, width): for each of M blocks, the places that reverse its first `seen` rows."""
    place = torch.arange(width, device=seen.device)[None]
    return torch.where(place < seen[:, None], seen[:, None] - 1 - place, place)


def _reorder(x: Tensor, order: Tensor) -> Tensor:
    return x.gather(1, order[:, :, None].expand(-1, -1, x.shape[2]))
