"""Programs that do the same: whichever is installed and works is used."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence

from ...errors import ActionError
from ..process import ProgramTimeoutError, run_to_end
from .session import desktop_environment

Attempt = tuple[str, Callable[[], str]]
"""A program, and what is done with it; returns its output, raises ActionError."""


def run(argv: Sequence[str], timeout_s: float, given: str = "") -> str:
    """Run a program of the desktop to its end; see `run_to_end`."""
    return run_to_end(argv, desktop_environment(), timeout_s, given)


def first_that_works(what: str, attempts: Sequence[Attempt]) -> tuple[str, str]:
    """Try programs in their order; returns the name of the one that worked, and its output.

    One that was killed because it took too long may have done half of it: none is tried after it.

    Raises:
        ActionError: none of them works; with what was tried and why each did not.
    """
    reasons = []
    for program, attempt in attempts:
        if shutil.which(program) is None:
            reasons.append(f"{program}: not installed")
            continue
        try:
            return program, attempt()
        except ProgramTimeoutError as error:
            raise ActionError(f"{what}: {program}: {error}") from error
        except ActionError as error:
            reasons.append(f"{program}: {error}")
    raise ActionError(f"{what}: no program for it works ({'; '.join(reasons)}); install one")
