"""One rule of the policy: an action, when it applies, what follows from it, with which values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from ..errors import ActionError
from ..types import SlotValue
from .kinds import ACTION_KINDS, Action
from .placeholders import Slots, placeholders
from .text import slot_text


class Confirm(Enum):
    """When an action waits for the user to confirm it."""

    ALWAYS = "always"
    WHEN_UNSURE = "when-unsure"
    NEVER = "never"


class Consequence(Enum):
    """What it would mean if an action were performed by mistake."""

    HARMLESS = "harmless"
    REVERSIBLE = "reversible"
    SERIOUS = "serious"


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
    confirm: Confirm = Confirm.NEVER
    """Whether the user must confirm it first."""
    consequence: Consequence = Consequence.HARMLESS
    """What it would mean if it were performed by mistake."""
    undo: Action | None = None
    """What takes it back, with the slot values of the original."""
    cool_down_s: float = 0.0
    """Seconds in which it is not repeated with the same slots."""

    def slots_named(self) -> dict[str, None]:
        """The slots that the action and its undo name, in order."""
        texts = (*self.action.templates(), *(self.undo.templates() if self.undo else ()))
        return {slot: None for text in texts for slot in placeholders(text)}

    def summary(self) -> str:
        """Kind and action for people, placeholders as they are, when it applies and its limits."""
        conditions = [
            f"{slot} is {' or '.join(sorted(texts))}" for slot, texts in self.when.items()
        ]
        applies = f"  when {', '.join(conditions)}" if conditions else ""
        more = []
        if self.consequence is Consequence.SERIOUS:
            more.append("consequence: serious")
        if self.confirm is not Confirm.NEVER:
            more.append(f"confirm: {self.confirm.value}")
        if self.cool_down_s:
            more.append(f"cool_down_s: {self.cool_down_s:g}")
        if self.undo is not None:
            more.append(f"undo: {self._text(self.undo)}")
        limits = f"  ({', '.join(more)})" if more else ""
        return f"{self._text(self.action)}{applies}{limits}"

    def _text(self, action: Action) -> str:
        kind = next(name for name, kind in ACTION_KINDS.items() if type(action) is kind)
        try:
            text = action.describe({slot: f"{{{slot}}}" for slot in self.slots_named()})
        except ActionError as error:  # what it lacks, such as a variable, is to be seen here
            return f"{kind}: {error}"
        text = text.replace("%7B", "{").replace("%7D", "}")  # in URLs braces are encoded
        return f"{kind}: {text}"

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
