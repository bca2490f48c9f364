"""Slot values and messages as text."""

from __future__ import annotations

from ..types import SlotValue


def slot_text(value: SlotValue) -> str:
    """A slot value as people write it: numbers without a needless `.0`."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def one_line(text: str) -> str:
    """`text` for people: newlines and other control characters (terminal escapes) spelt out."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
