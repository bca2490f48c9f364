"""The streaming speech encoder: a convolutional stem and Transformer blocks of width 512.

Its shape is that of Whisper's encoder (Radford et al. 2022, arXiv 2212.04356), so that those
weights can be imported; it differs in how it is run. `forward` takes whole utterances with
attention over everything (the full-context pass); `blocked` takes them in blocks of centre frames
and look-ahead (`nn/blocks.py`); `step` takes one block and the keys and values of the past, and
gives exactly what `blocked` gives. A frame attends to its block and to at most `left_context`
frames of the past. Without look-ahead that is a chunk as in U2 (arXiv 2012.05481), whose last
frames know nothing of what follows; they are what costs phonemes, not the chunk's length.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .blocks import block_mask, block_places, into_blocks


@dataclass(frozen=True)
class EncoderShape:
    """Sizes of the encoder; stored beside its weights."""

    mel_bins: int = 80
    width: int = 512
    heads: int = 8
    layers: int = 6
    positions: int = 1500
    """Longest utterance in encoder frames (20 ms each); 0 where places are not told apart, as in
    a convolutional stem without Transformer blocks."""


@dataclass(frozen=True, slots=True)
class EncoderState:
    """What a stream carries from the centre of a block to that of the next.

    mel_tail: (B, 1 or 2, mel_bins), the last log-mel frames (at first, one frame of zeros).
    stem_tail: (B, 1, width), the last output of the first convolution (at first, zeros).
    keys, values: one (B, heads, past, width / heads) a layer, oldest first.
    position: index of the next encoder frame.
    """

    mel_tail: Tensor
    stem_tail: Tensor
    keys: tuple[Tensor, ...]
    values: tuple[Tensor, ...]
    position: int


class Attention(nn.Module):
    """Multi-head self-attention over cached and new frames (Vaswani et al. 2017)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query_key_value = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)

    def forward(
        self, x: Tensor, mask: Tensor | None, past: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """x: (B, T, width). mask: broadcastable to (B, heads, T, past + T), True where seen."""
        batch, frames, width = x.shape
        projected = self.query_key_value(x).view(batch, frames, 3, self.heads, -1)
        query, key, value = projected.permute(2, 0, 3, 1, 4).unbind(0)
        if past is not None:
            key = torch.cat([past[0], key], dim=2)
            value = torch.cat([past[1], value], dim=2)
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        attended = attended.transpose(1, 2).reshape(batch, frames, width)
        return self.output(attended), (key, value)


class Block(nn.Module):
    """Pre-norm Transformer block."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.feed_forward_norm = nn.LayerNorm(width)
        self.expand = nn.Linear(width, 4 * width)
        self.contract = nn.Linear(4 * width, width)

    def forward(
        self, x: Tensor, mask: Tensor | None, past: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """x: (B, T, width) → the same, and the keys and values seen."""
        attended, seen = self.attention(self.attention_norm(x), mask, past)
        x = x + attended
        x = x + self.contract(F.gelu(self.expand(self.feed_forward_norm(x))))
        return x, seen


class StreamingEncoder(nn.Module):
    """Log-mel (normalised as Whisper's) to rows of width 512, one per 20 ms."""

    position_table: Tensor

    def __init__(self, shape: EncoderShape) -> None:
        super().__init__()
        self.shape = shape
        self.conv1 = nn.Conv1d(shape.mel_bins, shape.width, 3)
        self.conv2 = nn.Conv1d(shape.width, shape.width, 3, stride=2)
        self.blocks = nn.ModuleList(Block(shape.width, shape.heads) for _ in range(shape.layers))
        self.norm = nn.LayerNorm(shape.width)
        self.register_buffer("position_table", torch.zeros(shape.positions, shape.width))

    def initial_state(self, batch: int = 1) -> EncoderState:
        """The state before the first frame of `batch` streams."""
        weight = self.conv1.weight
        empty = weight.new_zeros(batch, self.shape.heads, 0, self.shape.width // self.shape.heads)
        return EncoderState(
            mel_tail=weight.new_zeros(batch, 1, self.shape.mel_bins),
            stem_tail=weight.new_zeros(batch, 1, self.shape.width),
            keys=(empty,) * self.shape.layers,
            values=(empty,) * self.shape.layers,
            position=0,
        )

    def step(
        self, log_mel: Tensor, state: EncoderState, left_context: int, centre: int | None = None
    ) -> tuple[Tensor, EncoderState]:
        """Encode one block.

        A block of W encoder frames [s, s + W) needs the log-mel frames up to 2 (s + W), so the
        first call takes 2 W + 1 of them, each later one 2 W, and at the end of the stream a frame
        of zeros stands in the place of the one that never came. Those of the look-ahead are given
        again with the next block.

        Args:
            log_mel: (B, 2 W or 2 W + 1, mel_bins), normalised, the frames from 2 s + 1 on (at
                first, from 0 on).
            left_context: frames of the past attended to.
            centre: frames after which the state goes on, the others are look-ahead; None: all.

        Returns:
            rows (B, W, width), look-ahead included, and the state after the centre.
        """
        mel = torch.cat([state.mel_tail, log_mel], dim=1)
        stem, x = self._stem(mel, state.stem_tail)
        frames = x.shape[1]
        centre = frames if centre is None else min(centre, frames)
        x = self._placed(x, state.position)
        keys, values = [], []
        for block, *past in zip(self.blocks, state.keys, state.values, strict=True):
            x, seen = block(x, None, tuple(past))
            end = seen[0].shape[2] - (frames - centre)
            keys.append(seen[0][:, :, max(0, end - left_context) : end])
            values.append(seen[1][:, :, max(0, end - left_context) : end])
        following = EncoderState(
            mel_tail=mel[:, 2 * centre : 2 * centre + 2],
            stem_tail=stem[:, 2 * centre : 2 * centre + 1],
            keys=tuple(keys),
            values=tuple(values),
            position=state.position + centre,
        )
        return self.norm(x), following

    def step_together(
        self,
        log_mels: Sequence[Tensor],
        states: Sequence[EncoderState],
        left_context: int,
        centre: int | None = None,
    ) -> tuple[Tensor, tuple[EncoderState, ...]]:
        """Encode a block of each of B streams that need not be equally far; like `step` of each.

        Args:
            log_mels: as `step` takes them, (1, F, mel_bins), for blocks of one length W.
            states: one a stream, of a batch of 1.

        Returns:
            rows (B, W, width) and each stream's next state, which shares no memory with another.
        """
        pairs = zip(states, log_mels, strict=True)
        mel = torch.cat([torch.cat([state.mel_tail, log_mel], dim=1) for state, log_mel in pairs])
        stem, x = self._stem(mel, torch.cat([state.stem_tail for state in states]))
        frames = x.shape[1]
        centre = frames if centre is None else min(centre, frames)
        if self.shape.positions:
            table = self.position_table
            x = x + torch.stack([table[s.position : s.position + frames] for s in states])
        pasts = [s.keys[0].shape[2] if s.keys else 0 for s in states]
        longest = max(pasts)
        index = torch.arange(longest + frames, device=x.device)
        begins = torch.tensor([longest - past for past in pasts], device=x.device)
        mask = None if min(pasts) == longest else (index >= begins[:, None])[:, None, None, :]
        end = longest + centre
        kept: list[list[tuple[Tensor, Tensor]]] = [[] for _ in states]
        for number, block in enumerate(self.blocks):
            keys = _aligned([state.keys[number] for state in states])
            values = _aligned([state.values[number] for state in states])
            x, seen = block(x, mask, (keys, values))
            for i, past in enumerate(pasts):
                begin = end - min(past + centre, left_context)
                key, value = (part[i : i + 1, :, begin:end].clone() for part in seen)
                kept[i].append((key, value))
        following = tuple(
            EncoderState(
                mel_tail=mel[i : i + 1, 2 * centre : 2 * centre + 2].clone(),
                stem_tail=stem[i : i + 1, 2 * centre : 2 * centre + 1].clone(),
                keys=tuple(key for key, _ in kept[i]),
                values=tuple(value for _, value in kept[i]),
                position=state.position + centre,
            )
            for i, state in enumerate(states)
        )
        return self.norm(x), following

    def forward(self, log_mel: Tensor, lengths: Tensor) -> Tensor:
        """Encode whole utterances at full context.

        Args:
            log_mel: (B, 2 T, mel_bins), normalised; an even number of frames.
            lengths: (B,), log-mel frames of each utterance, even.

        Returns:
            rows (B, T, width); those past an utterance's length mean nothing.
        """
        x = self._whole_stem(log_mel, lengths)
        inside = torch.arange(x.shape[1], device=lengths.device) < lengths[:, None] // 2
        mask = None if bool(inside.all()) else inside[:, None, None, :]
        for block in self.blocks:
            x, _ = block(x, mask, None)
        return torch.as_tensor(self.norm(x))

    def blocked(
        self,
        log_mel: Tensor,
        lengths: Tensor,
        centre: int,
        lookahead: int = 0,
        left_context: int | None = None,
    ) -> Tensor:
        """Encode all blocks of whole utterances, exactly as `step` would.

        Args:
            log_mel, lengths: as `forward` takes them.
            centre: encoder frames of a block. lookahead: frames seen beyond them.
            left_context: frames of the past a block attends to; None for all.

        Returns:
            rows (B, N, centre + lookahead, width) of the N blocks; those past an utterance's
            length mean nothing.
        """
        x = self._whole_stem(log_mel, lengths)
        blocks = into_blocks(x, centre, lookahead)
        _, count, width, _ = blocks.shape
        places = block_places(count, centre, width, x.device)
        mask = block_mask(places, lengths // 2, centre, left_context)
        x = blocks.reshape(len(x), count * width, -1)
        for block in self.blocks:
            x, _ = block(x, mask, None)
        return torch.as_tensor(self.norm(x).view(len(x), count, width, -1))

    def _stem(self, mel: Tensor, tail: Tensor) -> tuple[Tensor, Tensor]:
        """Log-mel with its tail to what the first and the second convolution give.

        Args:
            tail: (B, 1, width), the first one's output before.

        Returns:
            (B, 2 T + 1, width), `tail` included, and (B, T, width).
        """
        stem = F.gelu(self.conv1(mel.transpose(1, 2)))
        stem = torch.cat([tail.transpose(1, 2), stem], dim=2)
        return stem.transpose(1, 2), F.gelu(self.conv2(stem)).transpose(1, 2)

    def _whole_stem(self, log_mel: Tensor, lengths: Tensor) -> Tensor:
        """The frames (B, T, width) that enter the first block of whole utterances."""
        inside = torch.arange(log_mel.shape[1], device=log_mel.device) < lengths[:, None]
        mel = F.pad(log_mel * inside[:, :, None], (0, 0, 1, 1))
        _, x = self._stem(mel, self.initial_state(len(mel)).stem_tail.to(mel.dtype))
        return self._placed(x, 0)

    def _placed(self, x: Tensor, position: int) -> Tensor:
        """Add the encodings of the places from `position` on."""
        if not self.shape.positions:
            return x
        return x + self.position_table[position : position + x.shape[1]]


def _aligned(pasts: Sequence[Tensor]) -> Tensor:
    """Pasts (1, heads, past, width / heads) of several lengths as one batch, the newest last."""
    longest = max(past.shape[2] for past in pasts)
    return torch.cat([F.pad(past, (0, 0, longest - past.shape[2], 0)) for past in pasts])
