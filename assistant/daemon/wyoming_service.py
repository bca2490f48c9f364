"""What the connections of a Wyoming server share: the ears, the commands as text, and counts."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from ..actions.text import one_line
from ..bundle import CommandBundle
from ..errors import ConfigError
from ..grammar.reading import TextReader
from ..grammar.wording import language_family
from ..types import ActionResult, Intent
from .streams import Streams

Act = Callable[[Intent, str], Awaitable[ActionResult]]
"""Does what an intent stands for, once; the text says where it came from."""

LONGEST_TEXT = 500
"""Characters of a text that is read; no command is as long."""
_ENDLESS_NUMBER = re.compile(r"\d{13}")
_SUGGESTIONS = 6
"""Words named that could have come."""


@dataclass
class WyomingCounts:
    """What has happened on all connections, for the metrics.

    connections: open now. events: received, by type; those of no type we know are "unknown".
    malformed: connections ended because of what came. dropped: clients turned away because there
    were too many, or given up because they did not read.
    """

    connections: int = 0
    events: dict[str, int] = field(default_factory=dict)
    malformed: int = 0
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class NotUnderstood:
    """A text that is no command; `reason` is for people, one line."""

    reason: str


class WyomingService:
    """What is offered at the moment: by the engine that `streams` has now."""

    def __init__(self, streams: Streams, act: Act | None, version: str) -> None:
        """act: None where texts are only understood. version: of the package, for people."""
        self.streams = streams
        self.act = act
        self.version = version
        self.counts = WyomingCounts()
        self._reader: tuple[CommandBundle, TextReader] | None = None

    @property
    def languages(self) -> list[str]:
        """What is spoken, as BCP 47 has it: of the commands, and of the voices learnt from."""
        engine = self.streams.engine
        return sorted({_tag(engine.commands.language), _tag(engine.acoustic.language)})

    def refusal(self, language: str | None) -> str | None:
        """Why a language is not understood; None where it is, whatever its region."""
        known = self.languages
        if language is None or language_family(language) in map(language_family, known):
            return None
        wanted = one_line(language[:40])
        return f"language '{wanted}' is not understood here; choose {' or '.join(known)}"

    async def understand(self, text: str, language: str | None) -> Intent | NotUnderstood:
        """Read a text as the commands would be said; of several readings the first."""
        if refusal := self.refusal(language):
            return NotUnderstood(refusal)
        if len(text) > LONGEST_TEXT or _ENDLESS_NUMBER.search(text):
            return NotUnderstood("this is longer than any command")
        return await asyncio.to_thread(self._read, text)

    def _read(self, text: str) -> Intent | NotUnderstood:
        commands = self.streams.engine.commands
        if self._reader is None or self._reader[0] is not commands:
            self._reader = (commands, TextReader(commands.network, commands.language))
        reader = self._reader[1]
        try:
            words, readings = reader.read(text)
            if readings:
                name, slots = readings[0]
                return Intent(name, slots, " ".join(words), confidence=1.0)
            return NotUnderstood(_why_not(reader, text))
        except ConfigError as error:
            return NotUnderstood(str(error))


def _why_not(reader: TextReader, text: str) -> str:
    """Up to where the words lead, and what could have come there."""
    reached = reader.furthest(text)
    if not reached.words:
        return "nothing was said"
    begun, rest = " ".join(reached.words[: reached.count]), reached.words[reached.count :]
    shown = ", ".join(reached.following[:_SUGGESTIONS])
    more = ", …" if len(reached.following) > _SUGGESTIONS else ""
    if not begun:
        return f"no command begins with '{rest[0]}', but with: {shown}{more}"
    if not reached.following:
        return f"'{begun}' is a command without '{' '.join(rest)}'"
    if not rest:
        return f"'{begun}' is not all of a command; it may go on with: {shown}{more}"
    return f"no command goes on with '{rest[0]}' after '{begun}', but with: {shown}{more}"


def _tag(language: str) -> str:
    """A language as BCP 47 writes it: en-us to en-US."""
    family, *regions = language.replace("_", "-").split("-")
    return "-".join([family.lower(), *(r.upper() if len(r) == 2 else r for r in regions)])
