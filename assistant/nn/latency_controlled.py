"""Latency-controlled recurrent layers (Zhang et al. 2016, arXiv 1510.08983; Xue & Yan 2017).

The rows are cut into blocks of `centre` rows, each seen together with `lookahead` rows more:

    rows      0 . . . . . . . . . 1 . . . . . . . . . 2 . . . .
    block 0   [ centre ][ look ]
    block 1             [ centre ][ look ]
    block 2                       [ centre ][ look ]
    forward   ─────────→·········       its state goes on after the centre, not the look-ahead
    backward  ←──────────────────       begins afresh at the right edge of every block

The whole block goes through the stack of layers, so the delay stays `lookahead` however deep the
stack is. `forward` computes all blocks of whole utterances at once; `step` computes one block with
the state of the past, and gives the same. A look-ahead without end is the full bidirectional
network (Schuster & Paliwal 1997); without the backward direction nothing is looked ahead at.

The cell is one of torch's: Elman's (1990), the LSTM (Hochreiter & Schmidhuber 1997; with the
forget gate of Gers et al. 2000) or the GRU (Cho et al. 2014).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .blocks import BlockedLayers

CELLS: dict[str, type[nn.RNN] | type[nn.GRU] | type[nn.LSTM]] = {
    "rnn": nn.RNN,
    "gru": nn.GRU,
    "lstm": nn.LSTM,
}
"""By their names in a configuration."""

Carried = tuple[Tensor, ...]
"""What a cell hands to the next row: its hidden state, and an LSTM's memory; (B, H) each."""


@dataclass(frozen=True, slots=True)
class RecurrentState:
    """What the forward direction carries over after the last centre row.

    hidden: (B, H) a layer. memory: the same of an LSTM's memory cells; empty for other cells.
    """

    hidden: tuple[Tensor, ...]
    memory: tuple[Tensor, ...] = ()

    @classmethod
    def together(cls, states: Sequence[RecurrentState]) -> RecurrentState:
        """The states of several streams as one of a batch."""
        hidden, memory = (
            tuple(torch.cat(layer) for layer in zip(*parts, strict=True))
            for parts in ([s.hidden for s in states], [s.memory for s in states])
        )
        return cls(hidden, memory)

    def apart(self) -> tuple[RecurrentState, ...]:
        """Each stream's own, of a batch of 1, sharing no memory with another's."""
        return tuple(
            RecurrentState(
                tuple(layer[i : i + 1].clone() for layer in self.hidden),
                tuple(layer[i : i + 1].clone() for layer in self.memory),
            )
            for i in range(len(self.hidden[0]) if self.hidden else 0)
        )


class _Layer(nn.Module):
    """One layer over blocks."""

    def __init__(self, input_size: int, hidden_size: int, cell: str, bidirectional: bool) -> None:
        super().__init__()
        make = CELLS[cell]
        self.forwards = make(input_size, hidden_size, batch_first=True)
        self.backwards = make(input_size, hidden_size, batch_first=True) if bidirectional else None

    def blocked(
        self, blocks: Tensor, seen: Tensor, centre: int, truncate: int | None = None
    ) -> Tensor:
        """All blocks of whole utterances.

        Args:
            blocks: (B, N, centre + lookahead, D).
            seen: (B, N), rows of each block that exist.
            truncate: rows over which a direction's errors flow back; None for all.

        Returns:
            (B, N, centre + lookahead, H a direction).
        """
        batch, count, width, columns = blocks.shape
        core = blocks[:, :, :centre].reshape(batch, count * centre, columns)
        ahead, saved = _run(self.forwards, core, centre, truncate)
        ahead = ahead.view(batch, count, centre, -1)
        if width > centre:
            further = blocks[:, :, centre:].reshape(batch * count, width - centre, columns)
            extension, _ = _advance(self.forwards, further, tuple(s.flatten(0, 1) for s in saved))
            ahead = torch.cat([ahead, extension.view(batch, count, width - centre, -1)], dim=2)
        if self.backwards is None:
            return ahead
        order = _reversal(width, seen.reshape(-1))
        flat = blocks.reshape(batch * count, width, columns)
        back, _ = _run(self.backwards, _reorder(flat, order), width, truncate)
        return torch.cat([ahead, _reorder(back, order).view(batch, count, width, -1)], dim=3)

    def step(self, block: Tensor, carried: Carried, centre: int) -> tuple[Tensor, Carried]:
        """One block (B, centre + lookahead, D) → (B, …, H a direction), carried on."""
        ahead, saved = _advance(self.forwards, block[:, :centre], carried)
        if block.shape[1] > centre:
            extension, _ = _advance(self.forwards, block[:, centre:], saved)
            ahead = torch.cat([ahead, extension], dim=1)
        if self.backwards is None:
            return ahead, saved
        back = self.backwards(block.flip(1))[0].flip(1)
        return torch.cat([ahead, back], dim=2), saved


class LatencyControlledRNN(BlockedLayers):
    """A stack of latency-controlled layers: (B, T, D) to (B, T, H a direction)."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        layers: int,
        dropout: float = 0.0,
        cell: str = "gru",
        bidirectional: bool = True,
    ) -> None:
        """cell: a name in `CELLS`. bidirectional: whether layers also read blocks backwards."""
        super().__init__()
        self.output_size = hidden_size * (2 if bidirectional else 1)
        sizes = [input_size] + [self.output_size] * (layers - 1)
        self.layers = nn.ModuleList(_Layer(s, hidden_size, cell, bidirectional) for s in sizes)
        self.dropout = nn.Dropout(dropout)
        self.hidden_size = hidden_size
        self.bidirectional = bidirectional
        self.has_memory = cell == "lstm"

    def initial_state(self, batch: int = 1) -> RecurrentState:
        """The state before the first row of `batch` streams."""
        weight = next(self.parameters())
        zeros = tuple(weight.new_zeros(batch, self.hidden_size) for _ in self.layers)
        return RecurrentState(zeros, zeros if self.has_memory else ())

    @property
    def _stack(self) -> list[_Layer]:
        return [layer for layer in self.layers if isinstance(layer, _Layer)]

    def step(
        self, block: Tensor, state: RecurrentState, centre: int
    ) -> tuple[Tensor, RecurrentState]:
        """One block.

        Args:
            block: (B, centre + lookahead, D); shorter at the end of the stream.
            centre: rows whose output is wanted; the rest is look-ahead.

        Returns:
            (B, centre, H a direction) and the next state.
        """
        x = block if self.bidirectional else block[:, :centre]
        kept = [state.hidden, state.memory] if self.has_memory else [state.hidden]
        following = []
        for layer, *carried in zip(self._stack, *kept, strict=True):
            x, saved = layer.step(x, tuple(carried), centre)
            following.append(saved)
        return x[:, :centre], RecurrentState(*zip(*following, strict=True))

    def blocked(
        self, blocks: Tensor, lengths: Tensor, centre: int, truncate: int | None = None
    ) -> Tensor:
        """See `BlockedLayers`; (B, N · centre, H a direction)."""
        batch, count, width, _ = blocks.shape
        if not self.bidirectional:
            blocks, width = blocks[:, :, :centre], centre
        begins = torch.arange(count, device=blocks.device) * centre
        seen = (lengths[:, None] - begins).clamp(0, width)
        for layer in self._stack:
            blocks = self.dropout(layer.blocked(blocks, seen, centre, truncate))
        return blocks[:, :, :centre].reshape(batch, count * centre, -1)


def _advance(
    cell: nn.RNN | nn.GRU | nn.LSTM, x: Tensor, carried: Carried | None
) -> tuple[Tensor, Carried]:
    """A cell over rows (B, T, D) → (B, T, H), from what it carries (None: nothing) onwards."""
    before = None if carried is None else tuple(c[None].contiguous() for c in carried)
    if isinstance(cell, nn.LSTM):
        output, (hidden, memory) = cell(x, before)
        return output, (hidden[0], memory[0])
    output, hidden = cell(x, before[0] if before else None)
    return output, (hidden[0],)


def _run(
    cell: nn.RNN | nn.GRU | nn.LSTM, x: Tensor, every: int, truncate: int | None
) -> tuple[Tensor, Carried]:
    """A cell over whole utterances, cut off from the past's errors every `truncate` rows.

    Returns:
        (B, T, H), and what is carried after every `every` rows, (B, T / every, H) each.
    """
    rows = x.shape[1]
    cuts = {rows, *(range(truncate, rows, truncate) if truncate else ())}
    if isinstance(cell, nn.LSTM):  # torch gives its memory at the end of a call alone
        cuts |= set(range(every, rows, every))
    outputs, memories, begin = [], [], 0
    carried: Carried | None = None
    for end in sorted(cuts):
        output, carried = _advance(cell, x[:, begin:end], carried)
        outputs.append(output)
        if end % every == 0:
            memories.append(carried[1:])
        if truncate and end % truncate == 0:
            carried = tuple(c.detach() for c in carried)
        begin = end
    whole = torch.cat(outputs, dim=1)
    memory = (torch.stack(m, dim=1) for m in zip(*memories, strict=True))
    return whole, (whole[:, every - 1 :: every], *memory)


def _reversal(width: int, seen: Tensor) -> Tensor:
    """(M, width): for each of M blocks, the places that reverse its first `seen` rows."""
    place = torch.arange(width, device=seen.device)[None]
    return torch.where(place < seen[:, None], seen[:, None] - 1 - place, place)


def _reorder(x: Tensor, order: Tensor) -> Tensor:
    return x.gather(1, order[:, :, None].expand(-1, -1, x.shape[2]))
