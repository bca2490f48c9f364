"""Outcomes on disk while an evaluation runs, so that one that was killed can go on.

A folder with a file of JSON lines for each process that ever worked on it; every line carries the
key of what it is the outcome of. A line that was cut off by the end of its process counts as not
written. The folder goes when the report is written.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from types import TracebackType

from ..errors import UsageError
from .outcome import Outcome


class Journal:
    """The journal in a folder, and this process' own file in it while the context is open."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __enter__(self) -> Journal:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            # Its own file: two processes never write into one, whichever run they belong to.
            number = sum(1 for _ in self.folder.glob("*.jsonl"))
            path = self.folder / f"{number:03}-{os.getpid()}.jsonl"
            self._file = path.open("a", encoding="utf-8")
        except OSError as error:
            raise UsageError(
                f"{self.folder}: the journal cannot be written: {error.strerror or error}"
            ) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def write(self, key: str, outcome: Outcome) -> None:
        """Add a line; it is on its way to the disk when this returns."""
        self._file.write(to_line(key, outcome))
        self._file.flush()

    def read(self) -> dict[str, Outcome]:
        """Everything that any process has written so far, by key."""
        found: dict[str, Outcome] = {}
        for path in sorted(self.folder.glob("*.jsonl")):
            found |= from_lines(path.read_text(encoding="utf-8", errors="replace"))
        return found

    def keys(self) -> set[str]:
        """Of what is written so far; quicker than reading it."""
        found = set()
        for path in self.folder.glob("*.jsonl"):
            with path.open("rb") as lines:
                found |= {
                    line[len(_BEFORE_KEY) :][:64].decode("ascii", "replace") for line in lines
                }
        return found

    def remove(self) -> None:
        """The report is written: nothing is left to go on with."""
        shutil.rmtree(self.folder, ignore_errors=True)


_BEFORE_KEY = b'{"key": "'
"""What a line begins with; 64 digits of a SHA-256 follow."""


def to_line(key: str, outcome: Outcome) -> str:
    """An outcome and its key as a line."""
    return json.dumps({"key": key, **outcome.to_json()}, ensure_ascii=False) + "\n"


def from_lines(text: str) -> dict[str, Outcome]:
    """Outcomes by key; what is no whole line of a journal is passed over."""
    found = {}
    for line in text.split("\n"):
        try:
            stored = json.loads(line)
            found[stored["key"]] = Outcome.from_json(stored)
        except (ValueError, KeyError, TypeError):
            continue
    return found
