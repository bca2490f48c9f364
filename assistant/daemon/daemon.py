"""The daemon: from what is understood to deeds, and what clients may ask of it.

    microphone ─▸ Ears ─▸ understood ─▸ meant for the assistant? ─┐
    control socket ── say ────────────────────────────────────────┴▸ Dialogue ─▸ action, journal
                   ── yes, no, undo ───────────────────────────────▸ Dialogue

Everything here runs on one event loop; pipelines and actions have threads of their own.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ..actions.dialogue import Dialogue
from ..errors import UsageError
from ..grammar.reading import TextReader
from ..types import (
    ActionResult,
    Contradicted,
    Event,
    Intent,
    Recognised,
    Rejected,
    SpeechStarted,
)
from . import background
from .ears import TALK, Ears, check_mode
from .facts import fact_of, intent_fact, result_fact
from .hub import Fact, Hub
from .listening import Attention, Listening, Mode
from .loading import Loaded
from .streams import Streams

logger = logging.getLogger(__name__)

WAITING_ACTIONS = 16
"""Actions that wait for their turn at most; what is understood then is refused."""


class Daemon:
    """Acts and answers; see the module.

    Attributes:
        ears: what the microphone hears.
        actions: how many ended in which way, by `ActionStatus`.
        last: what the last utterance of the microphone was taken for.
    """

    def __init__(
        self,
        loaded: Loaded,
        dialogue: Dialogue,
        hub: Hub,
        listening: Listening,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """clock: seconds, never set back."""
        self.streams = Streams(loaded.engine)
        self.ears = Ears(self.streams, listening, self._heard, self._tell_state, clock)
        self._mode = loaded.config.daemon.mode
        self.dialogue = dialogue
        self.hub = hub
        self.actions: Counter[str] = Counter()
        self.last: Fact | None = None
        self._clock = clock
        self._acting = ThreadPoolExecutor(1, thread_name_prefix="action")
        self._answering = ThreadPoolExecutor(2, thread_name_prefix="answer")
        self._waiting_actions = 0
        self._tasks: set[asyncio.Task[Any]] = set()
        self.use(loaded)

    def use(self, loaded: Loaded) -> None:
        """Other commands, policy and settings, from the next utterance on.

        A mode that was chosen meanwhile stays, unless the configuration now says another.

        Raises:
            UsageError: the commands have no wake phrase to wait for; nothing has changed then.
        """
        engine, config, listening = loaded.engine, loaded.config, self.ears.listening
        wanted = config.daemon.mode
        mode = listening.mode if wanted == self._mode else Mode.of(wanted)
        check_mode(mode, engine)
        self._reader = TextReader(engine.commands.network, engine.commands.language)
        self.dialogue.runner, self.dialogue.config = loaded.runner, config.dialogue
        self.streams.use(engine)
        self.ears.use(loaded.contexts)
        if self.ears.context not in loaded.contexts:
            self.set_context("")
        listening.follow_up_s = config.dialogue.follow_up_s
        self._mode = wanted
        if mode is not listening.mode:
            self.ears.set_mode(mode)

    def set_context(self, application: str) -> None:
        """The window of another application is active now, upper or lower case; empty: of none."""
        folded = application.casefold()
        context = folded if folded in self.ears.contexts else ""
        if context != self.ears.context:
            self.ears.context = context
            self.hub.publish("context", application=context)

    async def say(self, text: str, act: bool) -> Fact:
        """What a text means, and where `act`, what was done about it.

        Raises:
            UsageError: it is none of the sentences.
        """
        words, readings = await asyncio.to_thread(self._reader.read, text)
        if not readings:
            raise UsageError(f"'{text}' is none of the sentences; 'assistant show' lists some")
        name, slots = readings[0]
        intent = Intent(name, slots, " ".join(words), 1.0)
        facts = intent_fact(intent)
        if act:
            facts["action"] = result_fact(await self.act(intent, "text"))
        return facts

    async def act(self, intent: Intent, source: str) -> ActionResult:
        """Do what an intent stands for, after those before it; tells the hub."""
        loop = asyncio.get_running_loop()
        if self._waiting_actions >= WAITING_ACTIONS:
            why = f"{WAITING_ACTIONS} actions wait already"
            refuse = self.dialogue.turn_away
            refused = await loop.run_in_executor(self._answering, refuse, intent, why, source)
            return self._acted(refused, source)
        self._waiting_actions += 1
        try:
            result = await loop.run_in_executor(self._acting, self.dialogue.hear, intent, source)
        finally:
            self._waiting_actions -= 1
        return self._acted(result, source)

    async def answer(self, answer: str, question: str, source: str) -> ActionResult:
        """`yes`, `no` or `undo`, pressed.

        Args:
            question: which one, where it is known; of undo, what was offered.
        """
        methods = {
            "yes": self.dialogue.accept,
            "no": self.dialogue.refuse,
            "undo": self.dialogue.undo,
        }
        loop = asyncio.get_running_loop()
        result = await loop.run_in_executor(self._answering, methods[answer], question, source)
        return self._acted(result, source)

    def state(self) -> Fact:
        """What the daemon does at the moment."""
        now, engine, listening = self._clock(), self.streams.engine, self.ears.listening
        pending = self.dialogue.pending
        return {
            "mode": listening.mode.value,
            "muted": listening.muted,
            "talking": listening.is_talking(now),
            "awake": listening.is_awake(now),
            "commands": engine.config.commands,
            "bundle": engine.acoustic.folder.name,
            "context": self.ears.context,
            "question": pending.description if pending else "",
            "undo": self.dialogue.can_undo or "",
            "acts": self.dialogue.runner.execute,
            "streams": self.streams.open,
        }

    async def close(self) -> None:
        """Hear no more; what is being done is done to its end."""
        await self.streams.close()
        await self.ears.close()
        for executor in (self._acting, self._answering):
            await asyncio.to_thread(executor.shutdown, wait=True, cancel_futures=True)
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # ── what the microphone hears ─────────────────────────────────────────────────────────────

    def _heard(self, source: str, event: Event) -> None:
        name, facts = fact_of(event)
        self.hub.publish(name, source=source, **facts)
        now, listening = self._clock(), self.ears.listening
        match event:
            case SpeechStarted():
                if listening.is_awake(now):  # what has begun in time is in time
                    listening.stay_awake(now)
            case Recognised():
                self.last = {"event": name, **facts}
                logger.info("understood: %s (%.2f)", event.intent.text, event.intent.confidence)
                self._understood(source, event.intent, now)
            case Rejected() | Contradicted():
                self.last = {"event": name, **facts}
                logger.info("%s: %s", name, facts.get("reason", ""))

    def _understood(self, source: str, intent: Intent, now: float) -> None:
        listening, attention = self.ears.listening, Attention.ACT
        if source == TALK:
            listening.stay_awake(now)
        else:
            phrases = self.ears.engine.commands.wake_phrases
            attention = listening.attention(intent, phrases, now)
        match attention:
            case Attention.ACT:
                self._spawn(self.act(intent, source))
            case Attention.WOKEN:
                self.hub.publish("woken", source=source)
            case Attention.NOT_MEANT:
                self.hub.publish("not-meant", source=source, text=intent.text)

    def _acted(self, result: ActionResult, source: str) -> ActionResult:
        self.actions[result.status.value] += 1
        pending = self.dialogue.pending
        if pending is not None:
            self.ears.listening.stay_awake(self._clock(), pending.seconds_left)
        logger.info("%s: %s", result.status.value, result.description)
        question, undo = pending.id if pending else "", self.dialogue.can_undo or ""
        self.hub.publish(
            "action", source=source, **result_fact(result), question=question, undo=undo
        )
        return result

    def _spawn(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        task = background.start(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _tell_state(self) -> None:
        self.hub.publish("state", **self.state())
