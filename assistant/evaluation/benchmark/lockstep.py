"""Many streams through features, encoder and acoustic model in one batch, chunk after chunk.

All streams begin at the same sample, so that a chunk of one is a chunk of all. It is the streaming
pass of `FeatureExtractor` and `AcousticScorer` as a pure function: `step` takes a chunk's samples
and the state and gives log-posteriors and the next state; a stream's results are those it has when
it runs by itself. There is no end of an utterance here: what it costs to decide is measured for
one stream.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, fields
from typing import TypeVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from ...config import FeatureConfig
from ...engine import Engine
from ...features import LogMel, normalise
from ...nn.acoustic_model import AcousticModel, AcousticState
from ...nn.encoder import EncoderState, StreamingEncoder

State = TypeVar("State")


@dataclass(frozen=True, slots=True)
class LockstepState:
    """What B streams carry from chunk to chunk.

    tail: (B, N), the samples that the next frames reach back to; none before the first.
    frames: log-mel frames computed so far. loudest: (B, 1, 1), the loudest bin so far.
    rows: (B, R, D), rows whose look-ahead is still to come.
    """

    tail: Tensor
    frames: int
    loudest: Tensor
    encoder: EncoderState | None
    rows: Tensor
    acoustic: AcousticState


class Lockstep:
    """The streaming pass for a batch of streams."""

    def __init__(
        self,
        config: FeatureConfig,
        encoder: StreamingEncoder | None,
        acoustic: AcousticModel,
        device: torch.device | str = "cpu",
    ) -> None:
        """encoder, acoustic: on `device`, where all is computed, log-mel as well."""
        self.config = config
        self.encoder = encoder
        self.acoustic = acoustic
        self.device = torch.device(device)
        self.log_mel = LogMel(config, self.device)

    @classmethod
    def of(cls, engine: Engine) -> Lockstep:
        """With an engine's networks, as its pipelines use them while someone speaks."""
        bundle = engine.acoustic
        return cls(bundle.features, engine.streaming, bundle.model, engine.device)

    @property
    def chunk_samples(self) -> int:
        """Samples of a chunk."""
        return self._chunk_frames * self.config.hop

    @property
    def chunk_seconds(self) -> float:
        """Seconds of a chunk: a step that takes longer falls behind."""
        return self.chunk_samples / self.config.sample_rate

    def samples_wanted(self, state: LockstepState) -> int:
        """Samples that the next step takes; the first takes more: half a window, a frame ahead."""
        if state.frames:
            return self.chunk_samples
        return (self._next_frames(state) - 1) * self.config.hop + self.log_mel.margin

    def initial_state(self, batch: int) -> LockstepState:
        """The state before the first sample of `batch` streams."""
        zeros = torch.zeros
        return LockstepState(
            tail=zeros(batch, 0, device=self.device),
            frames=0,
            loudest=torch.full((batch, 1, 1), -torch.inf, device=self.device),
            encoder=self.encoder.initial_state(batch) if self.encoder is not None else None,
            rows=zeros(batch, 0, self.acoustic.config.input_size, device=self.device),
            acoustic=self.acoustic.initial_state(batch),
        )

    @torch.inference_mode()
    def step(self, samples: Tensor, state: LockstepState) -> tuple[Tensor, LockstepState]:
        """One chunk.

        Args:
            samples: (B, `samples_wanted`), on the device.

        Returns:
            log-posteriors (B, T, P) of the blocks whose look-ahead is complete, T = 0 where none
            is, and the next state.
        """
        count, margin = self._next_frames(state), self.log_mel.margin
        held = torch.cat([state.tail, samples], dim=1)
        first = state.frames == 0
        log_mel = self.log_mel.frames(F.pad(held, (margin, 0), mode="reflect") if first else held)
        loudest = torch.maximum(state.loudest, log_mel.amax(dim=(1, 2), keepdim=True))
        rows, encoder = self._encoded(normalise(log_mel, loudest), state.encoder)
        rows = torch.cat([state.rows, rows], dim=1)
        log_probs, rows, acoustic = self._scored(rows, state.acoustic)
        following = LockstepState(
            tail=held[:, -(2 * margin - self.config.hop) :],
            frames=state.frames + count,
            loudest=loudest,
            encoder=encoder,
            rows=rows,
            acoustic=acoustic,
        )
        return log_probs, following

    @property
    def _chunk_frames(self) -> int:
        per_row = self.config.stack * (2 if self.encoder is not None else 1)
        return self.config.chunk_rows * per_row

    def _next_frames(self, state: LockstepState) -> int:
        return self._chunk_frames + int(self.encoder is not None and state.frames == 0)

    def _encoded(
        self, frames: Tensor, state: EncoderState | None
    ) -> tuple[Tensor, EncoderState | None]:
        if self.encoder is not None and state is not None:
            left_context = self.config.left_context_rows * self.config.stack
            frames = frames.to(state.mel_tail.dtype)
            frames, state = self.encoder.step(frames, state, left_context)
        batch, count, _ = frames.shape
        return frames.float().reshape(batch, count // self.config.stack, -1), state

    def _scored(self, rows: Tensor, state: AcousticState) -> tuple[Tensor, Tensor, AcousticState]:
        centre = self.acoustic.config.chunk_rows
        width = centre + self.acoustic.config.lookahead_rows
        blocks = [rows.new_zeros(len(rows), 0, self.acoustic.config.phonemes)]
        while rows.shape[1] >= width:
            log_probs, state = self.acoustic.step(rows[:, :width], state, centre)
            blocks.append(log_probs)
            rows = rows[:, centre:]
        return torch.cat(blocks, dim=1), rows, state


def repeated(state: State, batch: int) -> State:
    """The state of one stream as that of `batch` streams, each with a copy of its own."""
    return cast("State", _repeated(state, batch))


def _repeated(part: object, batch: int) -> object:
    if isinstance(part, Tensor):
        return part.repeat(batch, *[1] * (part.ndim - 1))
    if isinstance(part, tuple):
        return tuple(_repeated(one, batch) for one in part)
    if dataclasses.is_dataclass(part) and not isinstance(part, type):
        return dataclasses.replace(
            part, **{f.name: _repeated(getattr(part, f.name), batch) for f in fields(part)}
        )
    return part


def state_bytes(state: object) -> int:
    """Bytes of all tensors of a state."""
    if isinstance(state, Tensor):
        return state.nbytes
    if isinstance(state, tuple):
        return sum(map(state_bytes, state))
    if dataclasses.is_dataclass(state):
        return sum(state_bytes(getattr(state, f.name)) for f in fields(state))
    return 0
