"""A question that was asked before something is done, and what others may know of it."""

from __future__ import annotations

from dataclasses import dataclass

from .journal import JournalEntry
from .runner import Prepared


@dataclass(frozen=True, slots=True)
class Pending:
    """A question that waits for yes or no.

    id: for `Dialogue.accept` and `refuse`. intent: its name. description: the question.
    seconds_left: until it expires.
    """

    id: str
    intent: str
    description: str
    seconds_left: float


@dataclass(frozen=True, slots=True)
class Question:
    """What was asked: entry and prepared action are those of a yes; `expires` by the clock."""

    entry: JournalEntry
    prepared: Prepared
    text: str
    expires: float

    def pending(self, now: float) -> Pending:
        """As it is told to others."""
        name, left = self.prepared.intent.name, max(0.0, self.expires - now)
        return Pending(self.entry.id, name, self.text, left)
