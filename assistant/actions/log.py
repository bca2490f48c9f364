"""`log`: a line in the log."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass

from .placeholders import Slots, expand
from .text import one_line

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LogAction:
    """Write a line to the log and nothing else."""

    message: str
    """The line; placeholders everywhere."""

    def templates(self) -> Iterable[str]:
        """See `Action`."""
        return (self.message,)

    def describe(self, slots: Slots) -> str:
        """The message."""
        return expand(self.message, slots)

    def perform(self, slots: Slots) -> str:
        """Log the message at level INFO."""
        logger.info("%s", one_line(self.describe(slots)))
        return ""
