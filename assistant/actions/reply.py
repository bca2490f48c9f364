"""`reply`: an answer to what the assistant has asked, or the wish to take the last action back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from ..errors import ActionError
from .placeholders import Slots


class Reply(Enum):
    """What the user wants of the assistant's own doing."""

    ACCEPT = "accept"
    REFUSE = "refuse"
    UNDO = "undo"


@dataclass(frozen=True)
class ReplyAction:
    """Answer for `Dialogue`; it does nothing of its own, and nothing where nothing was asked."""

    answer: str
    """accept, refuse or undo; undo also refuses, where something was asked."""

    def __post_init__(self) -> None:
        if self.answer not in [reply.value for reply in Reply]:
            choices = ", ".join(reply.value for reply in Reply)
            raise ValueError(f"found {self.answer!r}: write one of {choices}")

    @property
    def reply(self) -> Reply:
        """The answer."""
        return Reply(self.answer)

    def templates(self) -> Iterable[str]:
        """See `Action`."""
        return ()

    def describe(self, slots: Slots) -> str:
        """The answer."""
        return self.answer

    def perform(self, slots: Slots) -> str:
        """Never: `Dialogue` knows what is meant."""
        raise ActionError("nothing was asked")
