"""When the microphone is listened to, and which of what it hears is meant for the assistant.

    always          whatever is understood counts
    wake            a wake phrase comes first, or was said a moment ago
    push-to-talk    only while a key is held, or `assistant ctl talk start` has said so

After something was understood, and while a question waits for an answer, the next command may come
without either, for `follow_up_s` (and as long as the question waits). Talking is always possible;
muted, nothing is heard. It knows no audio and no clock: the caller says what time it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from ..errors import ConfigError
from ..grammar.commands import WAKE
from ..types import Intent


class Mode(Enum):
    """When the microphone is listened to."""

    ALWAYS = "always"
    WAKE = "wake"
    PUSH_TO_TALK = "push-to-talk"

    @classmethod
    def of(cls, text: str) -> Mode:
        """A mode by its name.

        Raises:
            ConfigError: there is none of this name.
        """
        try:
            return cls(text)
        except ValueError:
            known = ", ".join(mode.value for mode in cls)
            raise ConfigError(f"mode: found '{text}'; write one of: {known}") from None


class Attention(Enum):
    """What an understood sentence is to the assistant."""

    ACT = "act"
    WOKEN = "woken"
    """A wake phrase alone: whoever said it will go on."""
    NOT_MEANT = "not meant"
    """Nobody had said the wake phrase."""


@dataclass
class Listening:
    """How it is listened now; times are seconds of a monotonic clock.

    follow_up_s: how long a next command may come without wake phrase or key. longest_talk_s: after
    which a key that is held is taken for released.
    """

    mode: Mode = Mode.ALWAYS
    follow_up_s: float = 8.0
    longest_talk_s: float = 20.0
    muted: bool = False
    _talking_since: float | None = None
    _awake_until: float = 0.0

    def talk(self, now: float) -> bool:
        """The key is pressed; False where it was already, or where it is muted."""
        if self.muted or self.is_talking(now):
            return False
        self._talking_since = now
        return True

    def release(self) -> bool:
        """The key is released; False where it was not pressed."""
        was, self._talking_since = self._talking_since is not None, None
        return was

    def is_talking(self, now: float) -> bool:
        """Whether the key is held; not for ever."""
        since = self._talking_since
        return since is not None and now - since < self.longest_talk_s

    def stay_awake(self, now: float, seconds: float | None = None) -> None:
        """The next command may come without wake phrase or key, for `follow_up_s` by default."""
        until = now + (self.follow_up_s if seconds is None else seconds)
        self._awake_until = max(self._awake_until, until)

    def is_awake(self, now: float) -> bool:
        """Whether a command may come without wake phrase or key."""
        return now < self._awake_until

    def hears(self, now: float) -> bool:
        """Whether what the microphone hears is listened to, apart from talking."""
        return not self.muted and (self.mode is not Mode.PUSH_TO_TALK or self.is_awake(now))

    def attention(self, intent: Intent, wake_phrases: Sequence[str], now: float) -> Attention:
        """What a sentence is that was understood, and began to be said at about `now`."""
        if intent.name == WAKE:
            self.stay_awake(now)
            return Attention.WOKEN
        called = any(intent.text.startswith(f"{phrase} ") for phrase in wake_phrases)
        if self.mode is Mode.WAKE and not (called or self.is_awake(now)):
            return Attention.NOT_MEANT
        self.stay_awake(now)
        return Attention.ACT
