"""What lint says of a command file."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Gravity(IntEnum):
    """How bad it is; an error cannot be understood right at all."""

    ERROR = 0
    WARNING = 1


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to mend, in one line."""

    gravity: Gravity
    kind: str
    """For programs: pronunciation, unused, ambiguous, duplicate, covered, example, alike, near or
    short."""
    where: str
    """File and line; empty where it has no one place."""
    message: str
    rate: float | None = None
    """Predicted share of utterances misunderstood."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """Predicted understanding of an intent, before anyone has spoken."""

    intent: str
    error: float
    """Predicted share of its sentences that are taken for their nearest other one."""
    sentences: int
    """Sentences looked at."""
    said: str
    """The one most at risk."""
    heard: str
    """What it would be taken for; empty where nothing is near."""
    heard_intent: str
    rate: float
    """Predicted share of utterances of `said` taken for `heard`."""


@dataclass(frozen=True, slots=True)
class LintReport:
    """All findings, the gravest first; `intents` is empty where words cannot be pronounced."""

    findings: tuple[Finding, ...]
    intents: tuple[Forecast, ...]

    @property
    def errors(self) -> int:
        """Number of errors."""
        return sum(finding.gravity is Gravity.ERROR for finding in self.findings)
