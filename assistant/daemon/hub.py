"""The hub: what happens in the daemon, told to whoever has subscribed.

A subscriber that does not keep up loses the oldest events of its own, counted; it holds up nobody.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

Fact = dict[str, Any]
"""An event as JSON has it; `event` is its name."""

BACKLOG = 256
"""Events that wait for a subscriber at most."""


class Subscription:
    """The events of one subscriber, in order; iterate over it without end.

    Attributes:
        dropped: how many were lost, because nobody took them in time.
    """

    def __init__(self, names: Collection[str] | None, backlog: int = BACKLOG) -> None:
        """names: of the events wanted; None for all."""
        self.dropped = 0
        self._names = names
        self._waiting: deque[Fact] = deque()
        self._backlog = backlog
        self._arrived = asyncio.Event()

    def put(self, fact: Fact) -> bool:
        """Let an event wait if it is wanted; False where another one was lost for it."""
        if self._names is not None and fact["event"] not in self._names:
            return True
        fits = len(self._waiting) < self._backlog
        if not fits:
            self._waiting.popleft()
            self.dropped += 1
        self._waiting.append(fact)
        self._arrived.set()
        return fits

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> Fact:
        while not self._waiting:
            self._arrived.clear()
            await self._arrived.wait()
        return self._waiting.popleft()


class Hub:
    """Passes events on; belongs to one event loop.

    Attributes:
        dropped: events lost by subscribers that did not keep up.
    """

    def __init__(self) -> None:
        self.dropped = 0
        self._subscriptions: set[Subscription] = set()

    @property
    def subscribers(self) -> int:
        """How many listen now."""
        return len(self._subscriptions)

    def publish(self, event: str, **facts: Any) -> Fact:
        """Tell all subscribers; never waits."""
        fact: Fact = {"event": event, **facts}
        for subscription in self._subscriptions:
            if not subscription.put(fact):
                self.dropped += 1
        return fact

    @contextmanager
    def subscription(self, names: Collection[str] | None = None) -> Iterator[Subscription]:
        """The events from now on, until the context is left."""
        subscription = Subscription(names)
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)
