"""Any rate and channel count to mono at `SAMPLE_RATE`, one stretch of a stream at a time.

A windowed-sinc low-pass evaluated only where an output sample lies (polyphase form): Smith,
"Digital Audio Resampling", CCRMA. Kaiser's window and its design formulas: Oppenheim & Schafer,
"Discrete-Time Signal Processing", 3rd ed., section 7.5.3. Outputs are always computed in blocks
that begin at multiples of `BLOCK`, so however the stream is cut the same numbers are added in the
same order: the result is identical to the last bit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from .errors import UsageError
from .types import SAMPLE_RATE, Samples

BLOCK = 160
"""Output samples computed together."""
PASS_BAND = 0.9
"""End of the pass band, as a share of the lower of the two Nyquist frequencies."""
STOP_BAND_DB = 80.0
"""Attenuation from that Nyquist frequency on."""
LOWEST_RATE, HIGHEST_RATE = 1_000, 768_000
"""Hz; a rate outside is a damaged header rather than sound."""
LARGEST_VALUE = 2.0**31
"""Float recordings may be scaled like integers; what exceeds the widest of these is damage."""
_TABLE_PHASES = 1_280
"""Kernels are tabulated up to this many phases; 11.025 kHz, the worst usual rate, has 640."""


def mix_down(frames: npt.NDArray[np.float32]) -> tuple[Samples, int]:
    """Average the channels, with what is not a sample replaced by 0.

    Args:
        frames: (N, C) float32.

    Returns:
        (N,) mono samples, and how many of the N·C values were NaN, infinite or absurdly large.
    """
    valid = np.abs(frames) <= LARGEST_VALUE  # false for NaN
    invalid = frames.size - int(np.count_nonzero(valid))
    if invalid:
        frames = np.where(valid, frames, np.float32(0))
    return frames.mean(axis=1, dtype=np.float32), invalid


@dataclass(frozen=True, slots=True)
class ResamplerState:
    """What one block leaves to the next."""

    output: int
    """Index of the next output sample, a multiple of `BLOCK`."""
    history: Samples
    """(H,) inputs already consumed that the next block still needs."""
    consumed: int
    """Input samples consumed so far; the last one is the last of `history`."""


@dataclass(frozen=True, slots=True)
class PolyphaseFilter:
    """The low-pass between `rate` and `SAMPLE_RATE`: pure, state in, state out.

    Output k lies at input position k·down/up, that is at phase (k·down mod up)/up after an input
    sample, and each phase has its own kernel of 2·`reach` taps.
    """

    rate: int
    up: int
    down: int
    reach: int
    """Input samples a kernel looks back, and ahead."""
    cutoff: float
    """Where the response is halved, as a share of the input's Nyquist frequency."""
    beta: float
    """Shape of the Kaiser window."""
    table: Samples | None
    """(up, 2·reach) kernels of all phases, unless there are too many."""

    @classmethod
    def design(cls, rate: int) -> PolyphaseFilter:
        """Filter from `rate` in Hz to `SAMPLE_RATE`.

        Raises:
            UsageError: no plausible sample rate.
        """
        if not LOWEST_RATE <= rate <= HIGHEST_RATE:
            raise UsageError(
                f"a sample rate of {rate} Hz cannot be used; "
                f"record at {LOWEST_RATE} to {HIGHEST_RATE} Hz"
            )
        common = math.gcd(rate, SAMPLE_RATE)
        nyquist = min(rate, SAMPLE_RATE) / 2
        transition = 2 * math.pi * (1 - PASS_BAND) * nyquist / rate  # radians a sample
        bare = cls(
            rate=rate,
            up=SAMPLE_RATE // common,
            down=rate // common,
            reach=math.ceil((STOP_BAND_DB - 8) / (2.285 * transition) / 2),
            cutoff=(1 + PASS_BAND) / 2 * nyquist / (rate / 2),
            beta=0.1102 * (STOP_BAND_DB - 8.7),
            table=None,
        )
        if bare.up > _TABLE_PHASES:
            return bare
        return replace(bare, table=bare._kernels(np.arange(bare.up)))

    def _kernels(self, phases: npt.NDArray[np.int64]) -> Samples:
        """(K,) phases to (K, 2·reach) kernels, each with a gain of 1 at 0 Hz."""
        taps = np.arange(1 - self.reach, self.reach + 1)
        distance = taps - phases[:, None] / self.up
        window = np.i0(self.beta * np.sqrt(np.maximum(0, 1 - (distance / self.reach) ** 2)))
        kernels = np.sinc(self.cutoff * distance) * window
        kernels /= kernels.sum(axis=1, keepdims=True)
        return np.asarray(kernels, np.float32)

    def initial(self) -> ResamplerState:
        """The stream begins: silence before it."""
        return ResamplerState(0, np.zeros(self.reach - 1, np.float32), 0)

    def needed(self, state: ResamplerState) -> int:
        """Input samples that `step` takes in this state."""
        last = (state.output + BLOCK - 1) * self.down // self.up
        return last + self.reach + 1 - state.consumed

    def step(self, inputs: Samples, state: ResamplerState) -> tuple[Samples, ResamplerState]:
        """(`needed(state)`,) inputs to (`BLOCK`,) outputs."""
        window = np.concatenate((state.history, inputs))
        position = np.arange(state.output, state.output + BLOCK + 1) * self.down
        sample, phase = np.divmod(position, self.up)
        offset = sample - sample[0]
        phase = phase[:-1]
        kernels = self._kernels(phase) if self.table is None else self.table[phase]
        taps = np.lib.stride_tricks.sliding_window_view(window, 2 * self.reach)[offset[:-1]]
        outputs: Samples = np.einsum("kt,kt->k", taps, kernels)
        following = ResamplerState(
            state.output + BLOCK, window[offset[-1] :].copy(), state.consumed + len(inputs)
        )
        return outputs, following


@lru_cache(maxsize=8)
def polyphase_filter(rate: int) -> PolyphaseFilter:
    """`PolyphaseFilter.design(rate)`, designed once."""
    return PolyphaseFilter.design(rate)


class StreamingResampler:
    """A `Stage` from mono samples at `rate` to `Samples` at `SAMPLE_RATE`.

    The output is aligned in time with the input (the filter's delay is waited for, not passed on)
    and ceil(N · SAMPLE_RATE / rate) samples long. At `SAMPLE_RATE` already, it is the identity.
    """

    def __init__(self, rate: int) -> None:
        """`rate` in Hz.

        Raises:
            UsageError: no plausible sample rate.
        """
        self.rate = rate
        self._filter = polyphase_filter(rate)
        self._state: ResamplerState
        self._needed: int  # input samples of the next block
        self._pending: list[Samples]
        self._pending_size: int
        self.reset()

    @property
    def latency_ms(self) -> float:
        """Longest wait for an output: the kernel's look-ahead and the rest of the block."""
        if self.rate == SAMPLE_RATE:
            return 0.0
        return 1000 * ((self._filter.reach + 1) / self.rate + (BLOCK - 1) / SAMPLE_RATE)

    def feed(self, item: npt.NDArray[np.floating]) -> list[Samples]:
        """Take (N,) samples at `rate`; return at most one array."""
        chunk = np.array(item, np.float32)  # a copy: the caller may reuse the memory
        if chunk.ndim != 1:
            raise ValueError(f"expected mono samples of shape (N,), got {chunk.shape}")
        if self.rate == SAMPLE_RATE:
            return [chunk] if chunk.size else []
        self._pending.append(chunk)
        self._pending_size += chunk.size
        if self._pending_size < self._needed:
            return []
        stream = np.concatenate(self._pending)
        outputs, taken = [], 0
        while stream.size - taken >= self._needed:
            end = taken + self._needed
            outputs.append(self._step(stream[taken:end]))
            taken = end
        self._pending, self._pending_size = [stream[taken:].copy()], stream.size - taken
        return [np.concatenate(outputs)]

    def flush(self) -> list[Samples]:
        """The tail, with silence after it; then reset."""
        if self.rate == SAMPLE_RATE:
            return []
        received = self._state.consumed + self._pending_size
        length = -(-received * self._filter.up // self._filter.down)
        missing = length - self._state.output
        stream, outputs = np.concatenate((*self._pending, np.empty(0, np.float32))), []
        while self._state.output < length:
            inputs, stream = stream[: self._needed], stream[self._needed :]
            outputs.append(self._step(np.pad(inputs, (0, self._needed - inputs.size))))
        self.reset()
        return [np.concatenate(outputs)[:missing]] if outputs else []

    def reset(self) -> None:
        """Forget everything."""
        self._state = self._filter.initial()
        self._needed = self._filter.needed(self._state)
        self._pending = []
        self._pending_size = 0

    def _step(self, inputs: Samples) -> Samples:
        outputs, self._state = self._filter.step(inputs, self._state)
        self._needed = self._filter.needed(self._state)
        return outputs
