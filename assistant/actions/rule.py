"""One rule of the policy: an action, when it applies, and with which slot values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..errors import ActionError
from ..types import SlotValue
from .kinds import Action
from .placeholders import Slots
from .text import slot_text


@dataclass(frozen=True)
class Rule:
    """One action, when it applies, and how slot values are prepared for it."""

    action: Action
    when: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """The texts each of these slots may have for the rule to apply; empty: always."""
    defaults: Slots = field(default_factory=dict)
    """Values of slots that were not said."""
    map: Mapping[str, Slots] = field(default_factory=dict)
    """What replaces the value of a slot, by its text; a value that is not listed is refused."""

    def fits(self, said: Slots) -> bool:
        """Whether every slot of `when` has, said or by default, one of its texts."""
        values = {**self.defaults, **said}
        return all(s in values and slot_text(values[s]) in texts for s, texts in self.when.items())

    def slots(self, said: Slots) -> Slots:
        """The values the action works with: defaults filled in, then mapped.

        Raises:
            ActionError: a value is not in the map, or cannot be passed on (NUL, half a character).
        """
        values = {**self.defaults, **said}
        for slot, value in values.items():
            if isinstance(value, str) and re.search("[\0\ud800-\udfff]", value):
                raise ActionError(f"slot '{slot}' = {value!r} has a NUL or is not valid text")
        return {slot: self._mapped(slot, value) for slot, value in values.items()}

    def _mapped(self, slot: str, value: SlotValue) -> SlotValue:
        if slot not in self.map:
            return value
        words, text = self.map[slot], slot_text(value)
        if text not in words:
            raise ActionError(
                f"slot '{slot}' = {text!r} is not in the map of the policy; "
                f"add it there, beside {', '.join(words)}"
            )
        return words[text]
