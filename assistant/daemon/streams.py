"""Streams: the audio of any number of sources at once, each with a pipeline of its own.

    source ──feed──▸ queue (bounded) ──▸ thread of the pool: Pipeline ──▸ events, on the event loop
                                              └── steps of the networks, batched with other streams'

A source that can wait (a socket) waits while its queue is full; one that cannot (a microphone)
loses its oldest audio, counted. New commands are taken up between utterances, never within one.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from ..engine import Engine
from ..errors import AssistantError, UsageError
from ..pipeline import Pipeline
from ..types import (
    SAMPLE_RATE,
    Confirmed,
    Contradicted,
    Event,
    Recognised,
    Rejected,
    Samples,
    Utterance,
)
from .batching import BatchedAcousticModel, BatchedEncoder, Batcher

logger = logging.getLogger(__name__)

QUEUE_S = 4.0
"""Seconds of audio that wait for a stream's pipeline at most."""
PORTION_S = 0.7
"""Seconds of audio a pipeline is given at a time at most, so that others have their turn."""
MOST_STREAMS = 64


@dataclass
class Counts:
    """What has happened in all streams, for the metrics."""

    streams: int = 0
    audio_s: float = 0.0
    dropped_s: float = 0.0
    failures: int = 0
    utterances: dict[str, int] = field(default_factory=dict)
    """By how they ended: recognised, rejected, contradicted."""


class Streams:
    """All streams, the engine they share, and the threads they are computed on."""

    def __init__(self, engine: Engine, threads: int | None = None) -> None:
        """threads: pipelines computed at a time; by default four for each core."""
        self.counts = Counts()
        self._open: set[Stream] = set()
        self.batcher = Batcher()
        self._engine = engine
        self._networks = _Networks.of(engine, self.batcher)
        workers = threads or min(32, 4 * (os.cpu_count() or 1))
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="stream")

    @property
    def engine(self) -> Engine:
        """The one that new utterances are heard by."""
        return self._engine

    def use(self, engine: Engine) -> None:
        """Hear by another engine from each stream's next utterance on."""
        if engine.acoustic is not self._engine.acoustic:
            self._networks = _Networks.of(engine, self.batcher)
        self._engine = engine

    @property
    def open(self) -> int:
        """How many streams there are now."""
        return len(self._open)

    def new(
        self,
        name: str,
        on_event: Callable[[Event], None],
        *,
        whole: bool = False,
        engine: Callable[[], Engine] | None = None,
        observe: Callable[[Utterance], None] | None = None,
    ) -> Stream:
        """A stream, to be closed in the end; its events come on the event loop.

        Args:
            whole: what comes until `finish` is one utterance.
            engine: tells which one the next utterance is heard by; by default that of all.

        Raises:
            UsageError: there are too many.
        """
        if len(self._open) >= MOST_STREAMS:
            raise UsageError(f"{MOST_STREAMS} streams are open; close one, or try again later")
        stream = Stream(self, name, on_event, whole, engine or (lambda: self._engine), observe)
        self._open.add(stream)
        self.counts.streams += 1
        return stream

    async def close(self) -> None:
        """Close all streams, and end the threads."""
        await asyncio.gather(*(stream.close() for stream in list(self._open)))
        self._pool.shutdown(wait=True, cancel_futures=True)
        self.batcher.close()


@dataclass(frozen=True)
class _Networks:
    """The engine's networks, for all streams together."""

    encoder: BatchedEncoder | None
    acoustic: BatchedAcousticModel

    @classmethod
    def of(cls, engine: Engine, batcher: Batcher) -> _Networks:
        encoder = BatchedEncoder(engine.streaming, batcher) if engine.streaming else None
        return cls(encoder, BatchedAcousticModel(engine.acoustic.model, batcher))


class Stream:
    """The audio of one source; see `Streams.new`.

    Attributes:
        error: why the stream has ended before its source has; None while it goes well.
        dropped_s: seconds of audio lost, because the machine was too slow.
    """

    def __init__(
        self,
        streams: Streams,
        name: str,
        on_event: Callable[[Event], None],
        whole: bool,
        engine: Callable[[], Engine],
        observe: Callable[[Utterance], None] | None,
    ) -> None:
        self.name = name
        self.error: AssistantError | None = None
        self.dropped_s = 0.0
        self._streams = streams
        self._on_event = on_event
        self._whole = whole
        self._choose = engine
        self._observe = observe
        self._waiting: deque[Samples] = deque()
        self._waiting_samples = 0
        self._ends = 0
        self._ended = 0
        self._arrived = asyncio.Event()
        self._progress = asyncio.Event()
        self._idle = True
        self._engine = engine()
        self._pipeline = self._new_pipeline()
        self._task = asyncio.create_task(self._run(), name=f"stream {name}")

    async def feed(self, samples: Samples) -> None:
        """Take audio; waits while too much of it waits already.

        Raises:
            AssistantError: the stream has failed.
        """
        await self._until(lambda: self._waiting_samples <= QUEUE_S * SAMPLE_RATE)
        self._put(samples)

    def offer(self, samples: Samples) -> None:
        """Take audio that cannot wait: the oldest is lost where there is too much."""
        self._put(samples)
        while self._waiting_samples > QUEUE_S * SAMPLE_RATE:
            lost = self._waiting.popleft()
            self._waiting_samples -= len(lost)
            self.dropped_s += len(lost) / SAMPLE_RATE
            self._streams.counts.dropped_s += len(lost) / SAMPLE_RATE

    async def finish(self) -> None:
        """The audio is over: returns when all of it was heard; more may follow as a new one.

        Raises:
            AssistantError: the stream has failed.
        """
        self._ends += 1
        end = self._ends
        self._arrived.set()
        await self._until(lambda: self._ended >= end)

    async def close(self) -> None:
        """Give the stream up; what it has not heard yet is lost."""
        self._streams._open.discard(self)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        if self.error is None:  # whoever waits for it need not wait any more
            self.error = AssistantError(f"stream {self.name} was closed")
        self._progress.set()

    # ── hearing ──

    def _put(self, samples: Samples) -> None:
        self._waiting.append(samples)
        self._waiting_samples += len(samples)
        self._arrived.set()

    async def _until(self, holds: Callable[[], bool]) -> None:
        """Wait for something that the pipeline's progress brings about."""
        while self.error is None and not holds():
            self._progress.clear()
            await self._progress.wait()
        if self.error is not None:
            raise self.error

    def _new_pipeline(self) -> Pipeline:
        networks = self._streams._networks
        return self._engine.pipeline(
            whole=self._whole,
            observe=self._observe,
            encoder=networks.encoder,
            acoustic=networks.acoustic,
        )

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while self.error is None:
            portion, is_last = await self._next()
            try:
                events = await loop.run_in_executor(
                    self._streams._pool, self._hear, portion, is_last
                )
            except AssistantError as error:
                self.error = error
            except Exception as error:
                logger.exception("stream %s failed", self.name)
                self.error = AssistantError(f"unexpected {type(error).__name__}: {error}")
            else:
                for event in events:
                    self._count(event)
                    self._on_event(event)
            if self.error is not None:
                self._streams.counts.failures += 1
            if is_last:
                self._ended += 1
            self._progress.set()

    async def _next(self) -> tuple[Samples, bool]:
        """What waits, up to a portion, and whether the audio is over after it."""
        while not self._waiting and self._ends == self._ended:
            self._arrived.clear()
            await self._arrived.wait()
        taken: list[Samples] = []
        while self._waiting and sum(map(len, taken)) < PORTION_S * SAMPLE_RATE:
            taken.append(self._waiting.popleft())
            self._waiting_samples -= len(taken[-1])
        self._progress.set()
        is_last = self._ends > self._ended and not self._waiting
        return np.concatenate(taken) if taken else np.zeros(0, np.float32), is_last

    def _hear(self, samples: Samples, is_last: bool) -> list[Event]:
        """On a thread of the pool."""
        with self._streams.batcher.hearing():
            if self._idle:
                self._take_up(self._choose())
            events = self._pipeline.feed(samples) if len(samples) else []
            if is_last:
                events += self._pipeline.flush()
        self._streams.counts.audio_s += len(samples) / SAMPLE_RATE
        for event in events:
            self._idle = isinstance(event, Rejected | Confirmed | Contradicted) or (
                isinstance(event, Recognised) and not event.early
            )
        self._idle = self._idle or is_last
        return events

    def _take_up(self, engine: Engine) -> None:
        """Between utterances: hear by another engine, if there is one."""
        if engine is self._engine:
            return
        before, self._engine = self._engine, engine
        same = (
            before.acoustic is engine.acoustic and before.config.endpoint == engine.config.endpoint
        )
        if same and before.config.early_commit == engine.config.early_commit:
            self._pipeline.intent = engine.decoder()  # the endpointer still knows the noise
        else:
            self._pipeline = self._new_pipeline()

    def _count(self, event: Event) -> None:
        name = {Recognised: "recognised", Rejected: "rejected", Contradicted: "contradicted"}.get(
            type(event)
        )
        if name is not None:
            counts = self._streams.counts.utterances
            counts[name] = counts.get(name, 0) + 1
