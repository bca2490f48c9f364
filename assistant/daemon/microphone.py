"""The microphone of the daemon: a thread that reads it, and hands blocks to the event loop.

That there is none is no reason to end: it is looked for again. One that is unplugged is the
business of `audio.Microphone`, which waits for it to come back.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import Any

from ..audio import Microphone
from ..config import AudioConfig
from ..errors import AudioDeviceError
from ..types import Samples

logger = logging.getLogger(__name__)

RETRY_S = 10.0
"""Seconds between looks for a microphone where there was none."""


class MicrophoneThread:
    """Reads the microphone until it is closed.

    Attributes:
        problem: why nothing is heard at the moment; empty where all is well.
    """

    def __init__(
        self,
        config: AudioConfig,
        hear: Callable[[Samples], None],
        tell: Callable[[str], None],
        open_microphone: Callable[..., Microphone] = Microphone,
        retry_s: float = RETRY_S,
    ) -> None:
        """hear: given every block, on the event loop; must not wait. tell: told, on the event loop,
        in a line, what happens to the device."""
        self.problem = "the microphone is being opened"
        self._config = config
        self._hear = hear
        self._tell = tell
        self._open = open_microphone
        self._retry_s = retry_s
        self._loop = asyncio.get_running_loop()
        self._closed = threading.Event()
        self._microphone: Microphone | None = None
        self._opened = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="microphone", daemon=True)
        self._thread.start()

    @property
    def overruns(self) -> int:
        """Blocks of audio lost before they came here."""
        return self._microphone.overruns if self._microphone else 0

    @property
    def reconnects(self) -> int:
        """How often the device was lost and came back."""
        return self._microphone.reconnects if self._microphone else 0

    @property
    def description(self) -> str:
        """The device, or why there is none."""
        microphone = self._microphone
        if self.problem or microphone is None:
            return self.problem
        return f"{microphone.device}, {microphone.rate} Hz"

    async def opened(self) -> None:
        """Wait until the first attempt to open it has ended, well or not."""
        await self._opened.wait()

    async def close(self) -> None:
        """Stop reading."""
        self._closed.set()
        if self._microphone is not None:
            self._microphone.close()
        await asyncio.to_thread(self._thread.join, 5.0)

    def _run(self) -> None:
        while not self._closed.is_set():
            try:
                self._read()
            except AudioDeviceError as error:
                if str(error) != self.problem:
                    self._say(f"{error}; it is looked for every {self._retry_s:g} s")
                self.problem = str(error)
            except Exception as error:
                logger.exception("the microphone failed")
                self.problem = f"unexpected {type(error).__name__}: {error}"
            self._call(self._opened.set)
            self._closed.wait(self._retry_s)

    def _read(self) -> None:
        microphone = self._open(self._config, notify=self._notify)
        with microphone:
            self._microphone = microphone
            self.problem = ""
            self._say(f"listening to {microphone.device}, {microphone.rate} Hz")
            self._call(self._opened.set)
            for samples in microphone:
                self._call(self._hear, samples)

    def _notify(self, line: str) -> None:
        self.problem = line if "was lost" in line else ""
        self._say(line)

    def _say(self, line: str) -> None:
        self._call(self._tell, line)

    def _call(self, function: Callable[..., Any], *arguments: Any) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function, *arguments)
