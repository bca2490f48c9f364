"""Sound that was recorded elsewhere: files, and raw PCM on a binary stream.

Everything comes out as blocks of `Samples`; only `AudioFile.whole` holds a file in memory.
"""

from __future__ import annotations

import logging
import os
import re
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import soundfile

from .errors import AudioFileError, UsageError
from .resampling import StreamingResampler, mix_down
from .types import SAMPLE_RATE, Samples

logger = logging.getLogger(__name__)

BLOCK_MS = 100
"""Milliseconds of a file read at a time."""
PCM_BLOCK_BYTES = 65_536
"""Bytes of raw PCM taken at most at a time; fewer are passed on as soon as they are there."""
_UNKNOWN_SIZE = 0x7FFF_0000
"""Chunk sizes from here on are what writers put down that do not know the length (pipes)."""
_UNKNOWN_FRAMES = 2**62
"""libsndfile counts the largest integer there is where a header tells no length."""
_SIZE_MISMATCH = re.compile(r"^\s*(?:data|SSND|Data Size)\s*: (\d+) \(should be (\d+)\)", re.M)
"""How libsndfile's log says that a header (WAV, AIFF, AU) and the file's length disagree."""


class AudioFile:
    """A recording on disk: iterate over it for `Samples`, from the start each time.

    Attributes:
        path: where it is.
        rate: its own sample rate in Hz.
        channels: its own channel count; they are averaged.
        frames: length at its own rate; None if the header does not tell (a FLAC from a pipe).
        truncated: whether it ends sooner than its header promises; complete only after reading.
        invalid_samples: values of the last reading that were NaN or infinite, and became 0.
    """

    def __init__(self, path: Path) -> None:
        """Look at the header.

        Raises:
            AudioFileError: it is missing, unreadable, empty or no audio.
        """
        self.path = path
        self.invalid_samples = 0
        with _open(path) as file:
            self.rate: int = file.samplerate
            self.channels: int = file.channels
            self.frames: int | None = file.frames if file.frames < _UNKNOWN_FRAMES else None
            self.truncated = any(
                int(actual) < int(promised) < _UNKNOWN_SIZE
                for promised, actual in _SIZE_MISMATCH.findall(file.extra_info)
            )
        if self.frames == 0:
            raise AudioFileError(f"{path}: holds no samples; record it again")
        try:
            StreamingResampler(self.rate)
        except UsageError as error:
            raise AudioFileError(f"{path}: {error}") from error

    @property
    def seconds(self) -> float | None:
        """Length in seconds; None if the header does not tell."""
        return None if self.frames is None else self.frames / self.rate

    def __iter__(self) -> Iterator[Samples]:
        """Blocks of about `BLOCK_MS`; damage is read up to, and logged once a reading."""
        self.invalid_samples = 0
        resampler = StreamingResampler(self.rate)
        for frames in self.raw_blocks():
            samples, invalid = mix_down(frames)
            self.invalid_samples += invalid
            yield from resampler.feed(samples)
        yield from resampler.flush()
        if self.truncated:
            logger.warning("%s: ends sooner than promised; read as far as it goes", self.path)
        if self.invalid_samples:
            logger.warning(
                "%s: %d samples were no finite numbers and became silence",
                self.path,
                self.invalid_samples,
            )

    def whole(self) -> Samples:
        """All of it at once.

        Raises:
            AudioFileError: it is damaged before its first sample.
        """
        samples = np.concatenate([np.zeros(0, np.float32), *self])
        if not len(samples):
            raise AudioFileError(f"{self.path}: none of its sound can be read; record it again")
        return samples

    def raw_blocks(self) -> Iterator[npt.NDArray[np.float32]]:
        """Blocks (N, C) at its own rate; libsndfile scales integers to [-1, 1), not floats."""
        block = max(1, self.rate * BLOCK_MS // 1000)
        count = 0
        with _open(self.path) as file:
            damaged = False
            while not damaged:
                buffer = np.zeros((block, self.channels), np.float32)
                try:
                    frames = file.read(out=buffer)
                except soundfile.LibsndfileError:  # what was decoded before is in the buffer
                    frames = buffer[: max(0, file.tell() - count)]
                    damaged = True
                if not len(frames):
                    break
                count += len(frames)
                yield frames
        self.truncated |= damaged or count < (self.frames or 0)


def read_file(path: str | Path) -> AudioFile:
    """Open a recording: WAV, FLAC, Ogg (Vorbis, Opus), MP3 or whatever else libsndfile reads.

    Raises:
        AudioFileError: it is missing, unreadable, empty or no audio; one line, with the remedy.
    """
    return AudioFile(Path(path))


class _SequentialFile(soundfile.SoundFile):  # type: ignore[misc]
    """A file read from beginning to end.

    The base class seeks to where it already is after each read, at which libsndfile's MP3 decoder
    loses its bit reservoir: the seams of the blocks would be silent.
    """

    def seekable(self) -> bool:
        return False


def _open(path: Path) -> _SequentialFile:
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise AudioFileError(f"{path}: is a folder; name a recording in it")
        if not stat.S_ISREG(status.st_mode):
            raise AudioFileError(f"{path}: is no regular file; pipe raw PCM to standard input")
        if status.st_size == 0:
            raise AudioFileError(f"{path}: is empty (0 bytes); record it again")
        path.open("rb").close()  # libsndfile would only say "System error"
    except FileNotFoundError as error:
        raise AudioFileError(f"{path}: there is no such file; check the path") from error
    except PermissionError as error:
        raise AudioFileError(
            f"{path}: may not be read; give yourself permission (chmod u+r)"
        ) from error
    except OSError as error:
        raise AudioFileError(f"{path}: cannot be read: {error.strerror or error}") from error
    try:
        # As bytes, since a name need not be text; Windows' names are.
        return _SequentialFile(os.fsencode(path) if os.name == "posix" else path)
    except soundfile.LibsndfileError as error:
        raise AudioFileError(
            f"{path}: is no audio that libsndfile can read ({error.error_string.rstrip('.')}); "
            "convert it to WAV, FLAC or Ogg, for instance with ffmpeg"
        ) from error
    except TypeError as error:  # what is called .raw has no header to soundfile
        raise AudioFileError(
            f"{path}: raw PCM does not tell its rate; pipe it to standard input, or make it WAV"
        ) from error


def read_pcm(stream: BinaryIO, rate: int = SAMPLE_RATE, channels: int = 1) -> Iterator[Samples]:
    """Raw signed 16-bit little-endian PCM, as `arecord -t raw -f S16_LE` writes it.

    Blocks come as the bytes do: nothing waits for a full buffer. Bytes of an incomplete last frame
    are dropped, with a warning.

    Args:
        stream: binary and blocking, such as `sys.stdin.buffer`.
        rate: Hz.
        channels: interleaved; averaged.

    Raises:
        UsageError: no plausible rate.
    """
    resampler = StreamingResampler(rate)
    read = getattr(stream, "read1", stream.read)  # a raw stream's `read` is just as eager
    rest = b""
    while data := read(PCM_BLOCK_BYTES):
        data = rest + data
        whole = len(data) - len(data) % (2 * channels)
        data, rest = data[:whole], data[whole:]
        frames = np.frombuffer(data, "<i2").reshape(-1, channels).astype(np.float32)
        frames /= 2**15
        yield from resampler.feed(mix_down(frames)[0])
    yield from resampler.flush()
    if rest:
        logger.warning("raw PCM ended within a frame: %d bytes dropped", len(rest))


def realtime(
    blocks: Iterable[Samples],
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = time.sleep,
) -> Iterator[Samples]:
    """Pass on each block when its last sample would have been spoken, counted from the first call.

    A consumer that is slow for a while catches up: the schedule does not move.

    Args:
        blocks: `Samples`.
        clock: seconds, monotonic.
        sleep: waits for that many seconds.
    """
    begin, count = clock(), 0
    for block in blocks:
        count += len(block)
        ahead = begin + count / SAMPLE_RATE - clock()
        if ahead > 0:
            sleep(ahead)
        yield block
