"""One finding of the doctor."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from ..errors import AssistantError


class Verdict(Enum):
    """How grave it is."""

    GOOD = "good"
    WARNING = "warning"
    """It works, but not as well as it could; or something that some users want is absent."""
    FAULT = "fault"
    """The assistant cannot work like this."""
    SKIPPED = "skipped"
    """It does not apply here, or could not be looked at."""


@dataclass(frozen=True, slots=True)
class Check:
    """What was looked at, what was found, and how to mend it: one line each."""

    name: str
    verdict: Verdict
    found: str
    remedy: str = ""


def good(name: str, found: str) -> Check:
    """All is well."""
    return Check(name, Verdict.GOOD, found)


def warning(name: str, found: str, remedy: str = "") -> Check:
    """See `Verdict.WARNING`."""
    return Check(name, Verdict.WARNING, found, remedy)


def fault(name: str, found: str, remedy: str = "") -> Check:
    """See `Verdict.FAULT`."""
    return Check(name, Verdict.FAULT, found, remedy)


def from_error(name: str, error: AssistantError) -> Check:
    """A fault, from an error, whose one line says what is wrong and then how to mend it."""
    text = str(error)
    for separator in ("; ", ": "):
        found, _, remedy = text.partition(separator)
        if remedy:
            return fault(name, found, remedy)
    return fault(name, text)


def skipped(name: str, found: str) -> Check:
    """See `Verdict.SKIPPED`."""
    return Check(name, Verdict.SKIPPED, found)
