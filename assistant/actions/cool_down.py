"""Cool-down: the same intent with the same slots is not acted on again at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable

from .runner import Prepared
from .text import slot_text


class CoolDown:
    """What is under way or was done a moment ago; whoever shares it between threads locks."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """clock: seconds, never set back."""
        self._clock = clock
        self._until: dict[Hashable, float] = {}

    def objection(self, prepared: Prepared) -> str:
        """Why the action may not be performed now; empty where it may."""
        left_s = self._until.get(_identity(prepared), -math.inf) - self._clock()
        if left_s <= 0:
            return ""
        if math.isinf(left_s):
            return "the same is under way"
        pause_s = prepared.rule.cool_down_s
        return f"not repeated within {pause_s:g} s; possible again in {math.ceil(left_s)} s"

    def begin(self, prepared: Prepared) -> None:
        """The action is under way from now on."""
        now = self._clock()
        self._until = {key: until for key, until in self._until.items() if until > now}
        if prepared.rule.cool_down_s:
            self._until[_identity(prepared)] = math.inf

    def end(self, prepared: Prepared) -> None:
        """The action has been performed: its pause begins."""
        key = _identity(prepared)
        if key in self._until:
            self._until[key] = self._clock() + prepared.rule.cool_down_s

    def forget(self, prepared: Prepared) -> None:
        """The action came to nothing, or was taken back: it may be performed again."""
        self._until.pop(_identity(prepared), None)


def _identity(prepared: Prepared) -> Hashable:
    """The same for the same intent with the same slots."""
    slots = sorted((name, slot_text(value)) for name, value in prepared.slots.items())
    return prepared.intent.name, tuple(slots)
