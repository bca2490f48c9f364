"""Audio of Wyoming events: PCM in any usual format to `Samples`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import UsageError
from ..resampling import StreamingResampler, mix_down
from ..types import Samples

LOWEST_RATE, HIGHEST_RATE = 8_000, 192_000
"""Hz; what microphones and sound servers have."""
MOST_CHANNELS = 32
_TYPES = {1: "i1", 2: "<i2", 4: "<i4"}
"""By width in bytes: signed, little-endian; 8 bits too, as the library's own converter has it."""


@dataclass(frozen=True, slots=True)
class PcmFormat:
    """rate: Hz. width: bytes a sample. channels: interleaved."""

    rate: int
    width: int
    channels: int

    def check(self) -> None:
        """Refuse what cannot be heard.

        Raises:
            UsageError: such audio is not taken.
        """
        if not LOWEST_RATE <= self.rate <= HIGHEST_RATE:
            raise UsageError(
                f"audio of {self.rate} Hz cannot be used; send {LOWEST_RATE} to {HIGHEST_RATE} Hz"
            )
        if self.width not in _TYPES:
            raise UsageError(f"samples of {self.width} bytes cannot be used; send 2")
        if not 1 <= self.channels <= MOST_CHANNELS:
            raise UsageError(f"audio of {self.channels} channels cannot be used; send 1")


class PcmDecoder:
    """Bytes of one format to `Samples`, cut anywhere."""

    def __init__(self, audio_format: PcmFormat) -> None:
        """Raises UsageError as `PcmFormat.check` does."""
        audio_format.check()
        self.format = audio_format
        self._frame = audio_format.width * audio_format.channels
        self._resampler = StreamingResampler(audio_format.rate)
        self._rest = b""

    @property
    def bytes_per_second(self) -> int:
        """How much of it is a second."""
        return self._frame * self.format.rate

    def feed(self, data: bytes) -> list[Samples]:
        """Take bytes; what is left of a frame waits for the next ones."""
        data = self._rest + data
        whole = len(data) - len(data) % self._frame
        data, self._rest = data[:whole], data[whole:]
        frames = np.frombuffer(data, _TYPES[self.format.width]).astype(np.float32)
        frames /= 2.0 ** (8 * self.format.width - 1)
        return self._resampler.feed(mix_down(frames.reshape(-1, self.format.channels))[0])

    def flush(self) -> list[Samples]:
        """The tail."""
        self._rest = b""
        return self._resampler.flush()
