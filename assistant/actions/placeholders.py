"""Placeholders: `{slot}` in a text stands for the value of that slot."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from ..errors import ActionError
from ..types import SlotValue
from .text import slot_text

Slots = Mapping[str, SlotValue]
"""Slot values by the names of their slots."""

_BRACES = re.compile(r"\{\{|\}\}|\{(?P<slot>[^\W\d]\w*)\}|\{[^{}]*\}?|\}")
"""Doubled braces, a placeholder, or else braces that are a mistake."""


def placeholders(text: str) -> list[str]:
    """The slots `text` names as `{slot}`, in order; `{{` and `}}` are braces themselves.

    Raises:
        ValueError: a brace is neither.
    """
    names = []
    for match in _BRACES.finditer(text):
        if match["slot"]:
            names.append(match["slot"])
        elif match[0] not in ("{{", "}}"):
            raise ValueError(
                f"{match[0]!r} in {text!r} is no placeholder: write {{slot}}, "
                "or {{ and }} for the braces themselves"
            )
    return names


def without_placeholders(text: str) -> str:
    """What remains of `text` when everything in braces is taken out."""
    return _BRACES.sub("", text)


def expand(text: str, slots: Slots, encode: Callable[[str], str] = str) -> str:
    """Put slot values, each through `encode`, in place of the placeholders of `text`.

    One pass: braces inside a value stay as they are.

    Raises:
        ActionError: a slot was not said and has no default.
    """

    def replacement(match: re.Match[str]) -> str:
        return encode(slot_text(_value(slots, match["slot"]))) if match["slot"] else match[0][0]

    return _BRACES.sub(replacement, text)


def expand_to_value(text: str, slots: Slots) -> SlotValue:
    """As `expand`, but a text that is one placeholder alone gives the value: a number stays one.

    Raises:
        ActionError: a slot was not said and has no default.
    """
    alone = _BRACES.fullmatch(text)
    return _value(slots, alone["slot"]) if alone and alone["slot"] else expand(text, slots)


def _value(slots: Slots, slot: str) -> SlotValue:
    if slot not in slots:
        raise ActionError(
            f"slot '{slot}' was not said and has no default; add one under 'defaults'"
        )
    return slots[slot]
