"""`key` and `type`: presses of keys, and text typed into what has the focus."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ...errors import ActionError
from ..limits import check_timeout
from ..placeholders import Slots, expand, placeholders
from .keyboard import KEYBOARD
from .keys import parse_keys

LONGEST_TEXT = 1000
"""Characters typed at most."""


@dataclass(frozen=True)
class KeyAction:
    """Press keys, as in `ctrl+shift+t`; the names are those of `keys.KEYS`."""

    keys: str
    """Chords, a space between them; placeholders for a slot that says some."""
    timeout_s: float = 5.0
    """Seconds for each program that is tried."""

    def __post_init__(self) -> None:
        if not placeholders(self.keys):
            parse_keys(self.keys)
        check_timeout(self.timeout_s)

    def templates(self) -> Iterable[str]:
        """See `Action`."""
        return (self.keys,)

    def slots_to_map(self) -> Iterable[str]:
        """Every slot: some keys log the user out, so the author lists those that can be said."""
        return placeholders(self.keys)

    def describe(self, slots: Slots) -> str:
        """The keys."""
        return f"press {expand(self.keys, slots)}"

    def perform(self, slots: Slots) -> str:
        """Press them, one chord after the other."""
        try:
            chords = parse_keys(expand(self.keys, slots))
        except ValueError as error:
            raise ActionError(str(error)) from error
        KEYBOARD.press(chords, self.timeout_s)
        return ""


@dataclass(frozen=True)
class TypeAction:
    """Type text into what has the focus.

    A line break or another control character would press a key that was not foreseen, and run what
    was typed into a terminal; such text is refused. Where it is wanted, `key: enter` presses it.
    """

    text: str
    """One line; placeholders everywhere."""
    timeout_s: float = 10.0
    """Seconds for each program that is tried; a letter takes some milliseconds."""

    def __post_init__(self) -> None:
        _check_text(self.text, ValueError)
        check_timeout(self.timeout_s)

    def templates(self) -> Iterable[str]:
        """See `Action`."""
        return (self.text,)

    def describe(self, slots: Slots) -> str:
        """The text."""
        return f"type '{expand(self.text, slots)}'"

    def perform(self, slots: Slots) -> str:
        """Type it."""
        text = expand(self.text, slots)
        _check_text(text, ActionError)
        KEYBOARD.type(text, self.timeout_s)
        return ""


def _check_text(text: str, error: type[Exception]) -> None:
    if not 0 < len(text) <= LONGEST_TEXT:
        raise error(f"a text of {len(text)} characters: write 1 to {LONGEST_TEXT}")
    if not text.isprintable():
        raise error(f"{text!r} has a line break or control character, which would press a key")
