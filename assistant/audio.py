"""Where sound comes in: the microphone; recordings and raw PCM are in `recording`.

The PortAudio callback only copies and enqueues. Mixing down and resampling happen on the side of
whoever iterates, so nothing that takes time ever runs in the driver's thread.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from .config import AudioConfig
from .devices import InputDevice, listed, one_line, query_devices, select_device
from .errors import AudioDeviceError, UsageError
from .recording import AudioFile, read_file, read_pcm, realtime
from .resampling import StreamingResampler, mix_down
from .types import Samples

__all__ = [
    "AudioFile",
    "InputDevice",
    "Microphone",
    "list_devices",
    "read_file",
    "read_pcm",
    "realtime",
    "select_device",
]

logger = logging.getLogger(__name__)

Backend = Any
"""The `sounddevice` module (which has no type hints), or a stand-in with its functions."""

STALL_S = 2.0
"""Seconds without a block after which the device counts as lost."""
POLL_S = 0.1
"""Seconds between looks at the device while nothing arrives."""
WARN_EVERY_S = 10.0
"""Seconds at least between warnings that audio was dropped."""
FALLBACK_RATES = (48_000, 44_100, 32_000, 16_000)
"""Hz, tried in turn by a device that refuses its own default rate."""


def list_devices(sounddevice: Backend = None) -> list[InputDevice]:
    """All devices that can record.

    Raises:
        AudioDeviceError: PortAudio is not installed, or there is no such device.
    """
    return query_devices(sounddevice or _portaudio())


def _portaudio() -> Backend:
    try:
        import sounddevice  # noqa: PLC0415 - it loads PortAudio
    except OSError as error:
        remedy = (
            "install libportaudio2, e.g. sudo apt install libportaudio2"
            if sys.platform.startswith("linux")
            else "reinstall it with pip install --force-reinstall sounddevice"
        )
        raise AudioDeviceError(f"PortAudio was not found: {remedy}") from error
    except ImportError as error:
        raise AudioDeviceError(
            "the Python package sounddevice is missing: pip install sounddevice"
        ) from error
    except Exception as error:  # a PortAudioError, out of reach while the import fails
        raise AudioDeviceError(f"PortAudio cannot be started: {one_line(error)}") from error
    return sounddevice


class Microphone:
    """Blocks of `Samples` from a device, opened at the rate and channel count it runs at itself.

        with Microphone(config) as microphone:
            for samples in microphone: ...

    The iteration ends after `close()`. A device that is lost is reopened as soon as it is back,
    with exponential back-off; the audio of the meantime is missing.

    Attributes:
        device: what was opened.
        rate: its rate in Hz.
        channels: how many of its channels are averaged.
        overruns: blocks dropped since the beginning, because the consumer was too slow (the oldest
            go first) or because PortAudio reported an input overflow.
        reconnects: how often the device was lost and came back.
    """

    def __init__(
        self,
        config: AudioConfig | None = None,
        *,
        sounddevice: Backend = None,
        notify: Callable[[str], None] = logger.warning,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], object] | None = None,
    ) -> None:
        """Nothing is opened yet.

        Args:
            config: which device, and the sizes of block and queue.
            sounddevice: the module, or a stand-in.
            notify: is told, one line at a time, that the device was lost, is back or overran.
            clock: seconds, monotonic.
            wait: pauses for that many seconds between attempts; by default `close()` cuts it short.
        """
        self.config = config or AudioConfig()
        self.device: InputDevice | None = None
        self.rate = 0
        self.channels = 0
        self.overruns = 0
        self.reconnects = 0
        self._backend = sounddevice
        self._notify = notify
        self._clock = clock
        self._closed = threading.Event()
        self._wait = wait or self._closed.wait
        self._stream: Any = None
        self._blocks: queue.Queue[npt.NDArray[np.float32]] = queue.Queue()
        self._last_block_at = 0.0
        self._overruns_told = 0
        self._overruns_told_at = -WARN_EVERY_S

    @property
    def latency_ms(self) -> float:
        """Driver's delay, a block, and the resampler's; of the open device."""
        if self._stream is None:
            raise AudioDeviceError("the microphone is not open; its delay is not known yet")
        driver = 1000 * float(self._stream.latency)
        return driver + self.config.block_ms + StreamingResampler(self.rate).latency_ms

    def open(self) -> None:
        """Start recording.

        Raises:
            AudioDeviceError: PortAudio or the device is absent, busy or not what the name says.
        """
        if self._backend is None:
            self._backend = _portaudio()
        self._closed.clear()
        self._start()

    def close(self) -> None:
        """Stop recording; may be called from any thread, and twice."""
        self._closed.set()
        self._stop()

    def __enter__(self) -> Microphone:
        self.open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[Samples]:
        if self.device is None:
            raise AudioDeviceError("the microphone is not open; use it in a with statement")
        while not self._closed.is_set():
            resampler = StreamingResampler(self.rate)
            for block in self.raw_blocks():
                self._tell_overruns()
                yield from resampler.feed(mix_down(block)[0])
            yield from resampler.flush()
            if not self._closed.is_set():
                self._reopen()

    def raw_blocks(self) -> Iterator[npt.NDArray[np.float32]]:
        """Blocks (N, C) at the device's own rate, until it is lost or closed."""
        while (block := self._next_block()) is not None:
            yield block

    # ── the device's life ──

    def _start(self) -> None:
        devices = query_devices(self._backend)
        device = select_device(devices, self._wanted(devices))
        stream = None
        try:
            rate, channels = self._supported(device)
            blocks = queue.Queue[npt.NDArray[np.float32]](
                maxsize=max(1, round(self.config.queue_ms / self.config.block_ms))
            )
            stream = self._backend.InputStream(
                device=device.index,
                samplerate=rate,
                channels=channels,
                dtype="float32",
                blocksize=max(1, round(rate * self.config.block_ms / 1000)),
                callback=self._callback(blocks),
            )
            stream.start()
        except (self._backend.PortAudioError, ValueError) as error:
            if stream is not None:
                stream.close()
            raise AudioDeviceError(
                f"microphone '{device.name}' cannot be opened: {one_line(error)}; close what "
                f"uses it or choose another of: {listed(devices)}"
            ) from error
        self.device, self.rate, self.channels = device, rate, channels
        self._stream, self._blocks = stream, blocks
        self._last_block_at = self._clock()

    def _wanted(self, devices: list[InputDevice]) -> str | None:
        """The configured device; if an index means another one by now, the name it had."""
        wanted, before = self.config.device, self.device
        if wanted is None or not wanted.isdecimal() or before is None:
            return wanted
        if any((device.index, device.name) == (before.index, before.name) for device in devices):
            return wanted
        return before.name.rsplit(" (hw:", 1)[0]  # ALSA numbers its cards anew, too

    def _supported(self, device: InputDevice) -> tuple[int, int]:
        """The native rate, and stereo at most: more channels are a sound server's invention."""
        refusal: Exception | None = None
        for rate in dict.fromkeys((device.default_rate, *FALLBACK_RATES)):
            for channels in dict.fromkeys((min(device.channels, 2), device.channels, 1)):
                try:
                    StreamingResampler(rate)
                    self._backend.check_input_settings(
                        device=device.index, channels=channels, dtype="float32", samplerate=rate
                    )
                except (self._backend.PortAudioError, ValueError, UsageError) as error:
                    refusal = refusal or error
                else:
                    return rate, channels
        raise ValueError(refusal)

    def _callback(
        self, blocks: queue.Queue[npt.NDArray[np.float32]]
    ) -> Callable[[npt.NDArray[np.float32], int, Any, Any], None]:
        def enqueue(frames: npt.NDArray[np.float32], count: int, times: Any, status: Any) -> None:
            if status.input_overflow:
                self.overruns += 1
            if blocks.full():
                with contextlib.suppress(queue.Empty):  # the consumer was faster after all
                    blocks.get_nowait()
                    self.overruns += 1
            blocks.put_nowait(frames.copy())  # there is one producer: the room stays free

        return enqueue

    def _next_block(self) -> npt.NDArray[np.float32] | None:
        """(N, C) at the device's rate, as soon as there is one; None if lost or closed."""
        while not self._closed.is_set():
            alive = self._is_active()
            try:
                block = self._blocks.get(block=alive, timeout=POLL_S)
            except queue.Empty:
                if not alive or self._clock() - self._last_block_at > STALL_S:
                    return None
            else:
                self._last_block_at = self._clock()
                return block
        return None

    def _is_active(self) -> bool:
        stream = self._stream  # `close` may take it away meanwhile
        try:
            return stream is not None and bool(stream.active)
        except self._backend.PortAudioError:
            return False

    def _reopen(self) -> None:
        """Try again until the device is back or the microphone is closed."""
        assert self.device is not None  # noqa: S101 - `__iter__` has seen to it
        self._stop()
        name = self.device.name
        self._notify(f"microphone '{name}' was lost; waiting for it to come back")
        delay = self.config.retry_initial_s
        while not self._closed.is_set():
            self._wait(delay)
            if self._closed.is_set():
                return
            delay = min(2 * delay, self.config.retry_maximum_s)
            try:
                self._rescan()
                self._start()
            except AudioDeviceError as error:
                logger.info("%s", error)
            else:
                self.reconnects += 1
                self._notify(f"microphone '{self.device.name}' is back")
                if self._closed.is_set():  # closed while it was being opened
                    self._stop()
                return

    def _rescan(self) -> None:
        """PortAudio lists the devices once, when it starts (python-sounddevice issue 125)."""
        with contextlib.suppress(self._backend.PortAudioError):
            self._backend._terminate()
        try:
            self._backend._initialize()
        except self._backend.PortAudioError as error:
            raise AudioDeviceError(f"PortAudio cannot be started: {one_line(error)}") from error

    def _stop(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            with contextlib.suppress(self._backend.PortAudioError):
                stream.close()

    def _tell_overruns(self) -> None:
        lost, now = self.overruns - self._overruns_told, self._clock()
        if lost and now - self._overruns_told_at >= WARN_EVERY_S:
            self._notify(f"audio was lost: {lost} blocks dropped; this machine is too slow or busy")
            self._overruns_told, self._overruns_told_at = self.overruns, now
