"""The microphone's two streams, and when which of them hears.

    microphone ─┬─▸ ambient   endpointed, while `Listening` says that it is listened to
                └─▸ talk      one utterance from the press of a key to its release

They are heard by the commands of the application whose window is active, where it has its own.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from ..engine import Engine
from ..errors import UsageError
from ..kept import Keeper
from ..types import SAMPLE_RATE, Event, Samples, Utterance
from .listening import Listening, Mode
from .streams import Stream, Streams

AMBIENT = "microphone"
TALK = "talk"
PRE_ROLL_S = 0.3
"""Seconds from before a key was pressed that are heard as well: people speak as they press it."""


def check_mode(mode: Mode, engine: Engine) -> None:
    """Raise UsageError where the commands have no wake phrase that the mode would wait for."""
    if mode is Mode.WAKE and not engine.commands.wake_phrases:
        raise UsageError(
            "these commands have no wake phrase; write 'wake_phrases: [hey computer]' into a "
            "command file"
        )


class Ears:
    """What the microphone hears; see the module.

    Attributes:
        contexts: the engines of applications, by name in lower case; set by `use`.
        context: the application whose commands are heard; empty: those of all.
    """

    def __init__(
        self,
        streams: Streams,
        listening: Listening,
        on_event: Callable[[str, Event], None],
        on_change: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """on_event: told the name of a stream and what has happened in it. on_change: told that it
        is listened otherwise."""
        self.listening = listening
        self.contexts: Mapping[str, Engine] = {}
        self.context = ""
        self._streams = streams
        self._on_event = on_event
        self._on_change = on_change
        self._clock = clock
        self._recent: deque[Samples] = deque()
        self._ambient: Stream | None = None
        self._talk: Stream | None = None
        self._release: asyncio.TimerHandle | None = None
        self._finishing: set[asyncio.Task[Any]] = set()
        self._keepers: dict[int, Keeper] = {}

    def open(self) -> None:
        """Prepare the streams, before `hear`."""
        self._ambient = self._new_stream(AMBIENT, whole=False)
        self._talk = self._new_stream(TALK, whole=True)

    @property
    def engine(self) -> Engine:
        """The one that the next utterance is heard by."""
        return self.contexts.get(self.context, self._streams.engine)

    def use(self, contexts: Mapping[str, Engine]) -> None:
        """Take up new engines; that of all is the streams' own."""
        self.contexts = contexts
        before = self._keepers
        engines = (self._streams.engine, *contexts.values())
        self._keepers = {id(e): before.get(id(e)) or e.keeper() for e in engines}
        for key in before.keys() - self._keepers.keys():
            before[key].__exit__(None, None, None)

    def hear(self, samples: Samples) -> None:
        """A block of the microphone; never waits."""
        now = self._clock()
        if self.listening.is_talking(now):
            self._offer(self._talk, samples)
            return
        self._recent.append(samples)
        while sum(map(len, self._recent)) - len(self._recent[0]) > PRE_ROLL_S * SAMPLE_RATE:
            self._recent.popleft()
        if self.listening.hears(now):
            self._offer(self._ambient, samples)

    def talk(self, wanted: str) -> bool:
        """Press (`start`) or release (`stop`) the key, or the other one (`toggle`).

        Returns:
            whether the key is held now.

        Raises:
            UsageError: there is no microphone, or it is muted.
        """
        now = self._clock()
        talking = self.listening.is_talking(now)
        start = {"start": True, "stop": False}.get(wanted, not talking)
        if start and not talking:
            self._press(now)
        elif not start and self.listening.release():
            if self._release is not None:
                self._release.cancel()
            if self._talk is not None:
                task = asyncio.get_running_loop().create_task(self._talk.finish())
                self._finishing.add(task)
                task.add_done_callback(self._finished)
            self._on_change()
        return start

    def mute(self, muted: bool) -> None:
        """Hear nothing, or hear again."""
        if muted:
            self.talk("stop")
            self._recent.clear()
        self.listening.muted = muted
        self._on_change()

    def set_mode(self, mode: Mode) -> None:
        """Listen in another mode from now on.

        Raises:
            UsageError: the commands have no wake phrase to wait for.
        """
        check_mode(mode, self._streams.engine)
        self.listening.mode = mode
        self._on_change()

    async def close(self) -> None:
        """Keep what was heard last; the streams are closed by their owner."""
        if self._release is not None:
            self._release.cancel()
        await asyncio.gather(*self._finishing, return_exceptions=True)
        for keeper in self._keepers.values():
            await asyncio.to_thread(keeper.__exit__, None, None, None)

    def _press(self, now: float) -> None:
        if self._talk is None:
            raise UsageError("there is no microphone to talk to (--no-microphone)")
        if not self.listening.talk(now):
            raise UsageError("the microphone is muted; 'assistant ctl mute off' ends that")
        self._release = asyncio.get_running_loop().call_later(
            self.listening.longest_talk_s, self.talk, "stop"
        )
        for samples in self._recent:
            self._offer(self._talk, samples)
        self._recent.clear()
        self._on_change()

    def _new_stream(self, name: str, whole: bool) -> Stream:
        return self._streams.new(
            name,
            lambda event: self._on_event(name, event),
            whole=whole,
            engine=lambda: self.engine,
            observe=self._observe,
        )

    def _offer(self, stream: Stream | None, samples: Samples) -> None:
        if stream is not None and stream.error is None:
            stream.offer(samples)

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._finishing.discard(task)
        if not task.cancelled():
            task.exception()  # the stream has told why it failed

    def _observe(self, utterance: Utterance) -> None:
        """On a thread of the pool: what `assistant explain` shows."""
        keeper = self._keepers.get(id(self.engine))
        if keeper is not None:
            keeper.observe(utterance)
