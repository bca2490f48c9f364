"""Features: samples to log-mel frames to rows of the streaming encoder.

Log-mel is Whisper's (torchaudio, slaney scale and norm, base-10 logarithm), computed in blocks at
fixed places of the utterance, so that any cut of the stream gives the same bits. The encoder reads
it in blocks while someone speaks (`feed`), each a chunk with the look-ahead beyond it, and once
more at full context when the utterance is over (`full_context`), which the final decision uses.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
import torchaudio
from torch import Tensor

from .config import FeatureConfig
from .errors import UsageError
from .nn.encoder import EncoderState, StreamingEncoder
from .types import FeatureChunk, Samples

LOG_FLOOR = 1e-10
"""Mel power below which everything is silence."""
DYNAMIC_RANGE = 8.0
"""Decades below the loudest bin that are kept (Whisper's normalisation)."""


class LogMel:
    """Samples to log-mel frames, (N,) to (N / hop, mel_bins), base-10, not yet normalised."""

    def __init__(self, config: FeatureConfig, device: torch.device | str = "cpu") -> None:
        """device: where it is computed; samples must be there."""
        self.config = config
        self._transform = torchaudio.transforms.MelSpectrogram(
            config.sample_rate,
            n_fft=config.fft_size,
            hop_length=config.hop,
            n_mels=config.mel_bins,
            norm="slaney",
            mel_scale="slaney",
            f_max=config.sample_rate / 2,
            center=False,
        ).to(device)

    @property
    def margin(self) -> int:
        """Samples a frame reaches to either side of its centre."""
        return self.config.fft_size // 2

    def frames(self, samples: Tensor) -> Tensor:
        """Frames of samples that already carry `margin` on both sides: (…, N) to (…, T, bins)."""
        mel: Tensor = self._transform(samples)
        return mel.clamp(min=LOG_FLOOR).log10().transpose(-1, -2)

    def whole(self, samples: Tensor) -> Tensor:
        """Frames of whole utterances (…, N), the edges reflected; N / hop frames, N a multiple."""
        edge = self.margin
        padded = F.pad(samples.reshape(-1, samples.shape[-1]), (edge, edge), mode="reflect")
        frames = self.frames(padded.reshape(*samples.shape[:-1], -1))
        return frames[..., : samples.shape[-1] // self.config.hop, :]


def normalise(log_mel: Tensor, loudest: Tensor) -> Tensor:
    """Whisper's normalisation; `loudest` broadcasts over frames and bins."""
    return (torch.maximum(log_mel, loudest - DYNAMIC_RANGE) + 4.0) / 4.0


@dataclass(frozen=True, slots=True)
class FeatureState:
    """What the extractor carries from chunk to chunk.

    rows: in chunks so far. ahead: (F, bins), log-mel frames after those of the chunks, which the
    look-ahead has needed already. loudest: the loudest bin so far. encoder: its past.
    """

    rows: int
    ahead: Tensor
    loudest: Tensor
    encoder: EncoderState | None


class EncoderStep(Protocol):
    """What the streaming pass needs of an encoder, see `StreamingEncoder`."""

    def initial_state(self, batch: int = 1) -> EncoderState:
        """The state before the first frame."""

    def step(
        self, log_mel: Tensor, state: EncoderState, left_context: int, centre: int | None = None
    ) -> tuple[Tensor, EncoderState]:
        """Encode one block."""


def longest_samples(config: FeatureConfig, encoder: StreamingEncoder | None) -> float:
    """Samples an utterance may have; a Transformer has a position for each of its frames."""
    if encoder is None or not encoder.shape.positions:
        return np.inf
    return encoder.shape.positions * 2 * config.hop


class FeatureExtractor:
    """Stage: samples of one utterance to `FeatureChunk`s."""

    def __init__(
        self,
        config: FeatureConfig,
        encoder: StreamingEncoder | None,
        device: torch.device | str = "cpu",
        streaming_encoder: EncoderStep | None = None,
    ) -> None:
        """streaming_encoder: the same encoder for the streaming pass alone, at lower precision or
        shared with other streams."""
        self.config = config
        self.device = torch.device(device)
        self.log_mel = LogMel(config)
        self.encoder = encoder
        self._streaming: EncoderStep | None = streaming_encoder or encoder
        self._longest = longest_samples(config, encoder)
        self.reset()

    @property
    def columns(self) -> int:
        """Width of a row."""
        width = self.encoder.shape.width if self.encoder is not None else self.config.mel_bins
        return self.config.stack * width

    @property
    def latency_ms(self) -> float:
        """From a chunk's first sample until it is encoded: it, the look-ahead, what frames need."""
        samples = self._samples_needed(self.config.frames_for(self.config.block_rows))
        return samples * 1000 / self.config.sample_rate

    def reset(self) -> None:
        """Forget the utterance."""
        self._pending: list[Samples] = []
        self._held = np.zeros(0, np.float32)
        self._held_start = 0
        self._received = 0
        encoder = self._streaming.initial_state() if self._streaming else None
        nothing = torch.zeros(0, self.config.mel_bins)
        self._state = FeatureState(0, nothing, torch.tensor(-torch.inf), encoder)

    def refuse_longer(self, samples: int) -> None:
        """Refuse an utterance of so many samples if it is too long.

        Raises:
            UsageError: it is longer than the encoder has positions for.
        """
        if samples > self._longest:
            longest = self._longest / self.config.sample_rate
            raise UsageError(f"an utterance may last {longest:g} s at most; cut it shorter")

    def feed(self, item: Samples) -> list[FeatureChunk]:
        """Take samples; return the chunks whose look-ahead is complete.

        Raises:
            UsageError: the utterance is longer than the encoder has positions for.
        """
        self._pending.append(item)
        self._received += len(item)
        self.refuse_longer(self._received)
        centre, width = self.config.chunk_rows, self.config.block_rows
        chunks = []
        while self._received >= self._samples_needed(
            needed := self.config.frames_for(self._state.rows + width)
        ):
            self._compute(needed)
            chunks.append(self._advance(centre, width))
        return chunks

    def flush(self) -> list[FeatureChunk]:
        """The utterance is over: zero-pad to a whole row, return the rest, reset."""
        self._state = replace(self._state, ahead=self.rest())
        chunks = []
        while left := len(self._state.ahead) // self.config.frames_per_row:
            centre, width = self.config.chunk_rows, self.config.block_rows
            chunks.append(self._advance(min(centre, left), min(width, left)))
        self.reset()
        return chunks

    def rest(self) -> Tensor:
        """Log-mel frames (F, bins) of what is in no chunk yet, as `flush` makes them; keeps all."""
        padding = -self._received % (self.config.frames_per_row * self.config.hop)
        frames = (self._received + padding) // self.config.hop - self._computed
        if not frames:
            return self._state.ahead
        held = np.pad(self._all_held(), (0, padding))
        return torch.cat([self._state.ahead, self._next(held, frames, last=True)])

    @torch.inference_mode()
    def full_context(self, log_mel: Tensor) -> Tensor:
        """Rows (T, D) of a whole utterance's log-mel frames (frames_per_row · T, bins)."""
        frames = normalise(log_mel, log_mel.max())[None].to(self.device)
        if self.encoder is None:
            return self._stacked(frames)
        length = torch.tensor([frames.shape[1]], device=self.device)
        return self._stacked(self.encoder(frames, length))

    def whole(self, samples: Samples) -> Tensor:
        """Log-mel frames of a whole utterance, zero-padded to whole rows."""
        row_samples = self.config.frames_per_row * self.config.hop
        padded = np.pad(samples, (0, -len(samples) % row_samples))
        return self.log_mel.whole(torch.from_numpy(padded))

    @property
    def _computed(self) -> int:
        """Log-mel frames computed so far."""
        return self._state.rows * self.config.frames_per_row + len(self._state.ahead)

    def _samples_needed(self, frames: int) -> int:
        # One sample more than the window: reflecting the left edge must not touch the right one.
        return (frames - 1) * self.config.hop + self.log_mel.margin + 1

    def _compute(self, frames: int) -> None:
        """Compute log-mel up to `frames` frames, and drop the samples no other one needs."""
        held = self._all_held()
        computed = self._next(held, frames - self._computed)
        self._state = replace(self._state, ahead=torch.cat([self._state.ahead, computed]))
        keep = max(0, frames * self.config.hop - self.log_mel.margin - self._held_start)
        self._pending, self._held = [], held[keep:]
        self._held_start += keep

    def _all_held(self) -> Samples:
        return np.concatenate([self._held, *self._pending])

    def _next(self, held: Samples, frames: int, last: bool = False) -> Tensor:
        """The next `frames` log-mel frames of the samples `held`; `last`: nothing follows them."""
        margin, hop = self.log_mel.margin, self.config.hop
        begin = self._computed * hop - margin - self._held_start
        end = (self._computed + frames - 1) * hop + margin - self._held_start
        edges = (max(0, -begin), max(0, end - len(held)) if last else 0)
        block = np.pad(held[max(0, begin) : end], edges, mode="reflect")
        return self.log_mel.frames(torch.from_numpy(block))

    @torch.inference_mode()
    def _advance(self, centre: int, width: int) -> FeatureChunk:
        """The chunk of the next `centre` rows, and the look-ahead up to `width` rows."""
        state = self._state
        wanted = self.config.frames_for(width)
        block = state.ahead[:wanted]
        loudest = torch.maximum(state.loudest, block.max())
        frames = normalise(block, loudest)[None].to(self.device)
        encoder = state.encoder
        if self._streaming is not None and encoder is not None:
            if len(block) < wanted:  # the end: a frame of zeros for the convolutions
                frames = F.pad(frames, (0, 0, 0, 1))
            if state.rows:  # the chunk before has used the first one
                frames = frames[:, 1:]
            frames, encoder = self._streaming.step(
                frames.to(encoder.mel_tail.dtype),
                encoder,
                self.config.left_context_rows * self.config.stack,
                centre * self.config.stack,
            )
        rows = self._stacked(frames.float())
        used = centre * self.config.frames_per_row
        self._state = FeatureState(state.rows + centre, state.ahead[used:], loudest, encoder)
        return FeatureChunk(rows, centre, state.ahead[:used])

    def _stacked(self, frames: Tensor) -> Tensor:
        """(1, stack · T, D) to (T, stack · D)."""
        return frames[0].reshape(frames.shape[1] // self.config.stack, -1)
