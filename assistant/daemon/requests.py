"""The requests of the control socket, by their type; docs/control.md has them for people."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from ..errors import UsageError
from ..grammar.network import WordNetwork
from ..grammar.sampling import sample_sentence
from .control import taken
from .daemon import Daemon
from .hub import Fact
from .listening import Mode

LONGEST_TEXT = 1000
"""Characters of a text to be understood at most."""
EXAMPLES = 400
"""Sentences drawn to find an example for each intent."""

Values = Mapping[str, Any]


class Requests:
    """What may be asked of a daemon that is ready."""

    def __init__(self, daemon: Daemon, reload: Callable[[], Awaitable[Fact]]) -> None:
        """reload: reads configuration and commands again; raises AssistantError."""
        self._daemon = daemon
        self._reload = reload
        self._kinds: dict[str, Callable[[Values], Awaitable[Fact]]] = {
            "talk": self._talk,
            "mute": self._mute,
            "mode": self._mode,
            "say": self._say,
            "answer": self._answer,
            "commands": self._commands,
            "last": self._last,
            "reload": self._reloaded,
        }

    async def handle(self, kind: str, values: Values) -> Fact:
        """Do what a request asks.

        Raises:
            UsageError: there is no such request, or it cannot be done.
        """
        if kind not in self._kinds:
            known = ", ".join(("status", "subscribe", *self._kinds, "stop"))
            raise UsageError(f"unknown request '{kind}'; one of: {known}")
        return await self._kinds[kind](values)

    async def _talk(self, values: Values) -> Fact:
        wanted = taken(values, do=("toggle", str))["do"]
        if wanted not in ("start", "stop", "toggle"):
            raise UsageError(f"do: found '{wanted}'; one of: start, stop, toggle")
        return {"talking": self._daemon.ears.talk(wanted)}

    async def _mute(self, values: Values) -> Fact:
        wanted = taken(values, on=(None, bool))["on"]
        muted = not self._daemon.ears.listening.muted if wanted is None else wanted
        self._daemon.ears.mute(muted)
        return {"muted": muted}

    async def _mode(self, values: Values) -> Fact:
        self._daemon.ears.set_mode(Mode.of(taken(values, mode=(..., str))["mode"]))
        return {"mode": self._daemon.ears.listening.mode.value}

    async def _say(self, values: Values) -> Fact:
        asked = taken(values, text=(..., str), act=(True, bool))
        if not 0 < len(asked["text"]) <= LONGEST_TEXT:
            raise UsageError(f"text: a sentence of at most {LONGEST_TEXT} characters")
        return await self._daemon.say(asked["text"], asked["act"])

    async def _answer(self, values: Values) -> Fact:
        asked = taken(values, answer=(..., str), question=("", str))
        if asked["answer"] not in ("yes", "no", "undo"):
            raise UsageError(f"answer: found '{asked['answer']}'; one of: yes, no, undo")
        result = await self._daemon.answer(asked["answer"], asked["question"], "control")
        return {"status": result.status.value, "description": result.description}

    async def _commands(self, values: Values) -> Fact:
        taken(values)
        engine = self._daemon.streams.engine
        commands = engine.commands
        examples = await asyncio.to_thread(_examples, commands.network, len(commands.intents))
        rules = self._daemon.dialogue.runner.policy.rules
        return {
            "commands": engine.config.commands,
            "language": commands.language,
            "wake_phrases": list(commands.wake_phrases),
            "intents": [
                {
                    "intent": intent,
                    "example": examples.get(intent, ""),
                    "actions": [rule.summary() for rule in rules.get(intent, ())],
                }
                for intent in commands.intents
            ],
        }

    async def _last(self, values: Values) -> Fact:
        taken(values)
        if self._daemon.last is None:
            raise UsageError("nothing was heard yet")
        return {"last": self._daemon.last}

    async def _reloaded(self, values: Values) -> Fact:
        taken(values)
        return await self._reload()


def _examples(network: WordNetwork, intents: int) -> dict[str, str]:
    """A sentence for each intent; not on the event loop, where audio would wait for it."""
    rng = random.Random(0)  # noqa: S311 - examples, no secrets
    examples: dict[str, str] = {}
    for _ in range(EXAMPLES):
        if len(examples) == intents:
            break
        sentence = sample_sentence(network, rng)
        examples.setdefault(sentence.intent, " ".join(sentence.words))
    return examples
