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
    ahead: (B, F, bins), log-mel frames of the look-ahead. loudest: (B, 1, 1), the loudest bin.
    """

    tail: Tensor
    ahead: Tensor
    loudest: Tensor
    encoder: EncoderState | None
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
        if not self._is_first(state):
            return self.chunk_samples
        frames = self.config.frames_for(self.config.block_rows)
        return (frames - 1) * self.config.hop + self.log_mel.margin

    def initial_state(self, batch: int) -> LockstepState:
        """The state before the first sample of `batch` streams."""
        zeros = torch.zeros
        return LockstepState(
            tail=zeros(batch, 0, device=self.device),
            ahead=zeros(batch, 0, self.config.mel_bins, device=self.device),
            loudest=torch.full((batch, 1, 1), -torch.inf, device=self.device),
            encoder=self.encoder.initial_state(batch) if self.encoder is not None else None,
            acoustic=self.acoustic.initial_state(batch),
        )

    @torch.inference_mode()
    def step(self, samples: Tensor, state: LockstepState) -> tuple[Tensor, LockstepState]:
        """One chunk.

        Args:
            samples: (B, `samples_wanted`), on the device.

        Returns:
            log-posteriors (B, T, P) of the chunk, and the next state.
        """
        margin = self.log_mel.margin
        held = torch.cat([state.tail, samples], dim=1)
        first = self._is_first(state)
        log_mel = self.log_mel.frames(F.pad(held, (margin, 0), mode="reflect") if first else held)
        block = torch.cat([state.ahead, log_mel], dim=1)
        loudest = torch.maximum(state.loudest, log_mel.amax(dim=(1, 2), keepdim=True))
        frames = normalise(block, loudest)
        rows, encoder = self._encoded(
            frames if first else frames[:, self.config.frames_ahead :], state.encoder
        )
        log_probs, acoustic = self.acoustic.step(rows, state.acoustic, self.config.chunk_rows)
        following = LockstepState(
            tail=held[:, -(2 * margin - self.config.hop) :],
            ahead=block[:, self._chunk_frames :],
            loudest=loudest,
            encoder=encoder,
            acoustic=acoustic,
        )
        return log_probs, following

    @property
    def _chunk_frames(self) -> int:
        return self.config.chunk_rows * self.config.frames_per_row

    @staticmethod
    def _is_first(state: LockstepState) -> bool:
        return not state.tail.shape[1]

    def _encoded(
        self, frames: Tensor, state: EncoderState | None
    ) -> tuple[Tensor, EncoderState | None]:
        stack = self.config.stack
        if self.encoder is not None and state is not None:
            frames = frames.to(state.mel_tail.dtype)
            left_context, centre = self.config.left_context_rows * stack, self.config.chunk_rows
            frames, state = self.encoder.step(frames, state, left_context, centre * stack)
        batch, count, _ = frames.shape
        return frames.float().reshape(batch, count // stack, -1), state


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
