"""The journal: what was heard, what was done about it and why, in the user's state folder.

An action has a line before it begins and one when it has ended, with the same id. Lines are not
held back, so that a process that is killed in between leaves the first one behind: the action is
then told to be interrupted, and nobody begins it again.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import Any

from ..resources import state_folder
from ..types import Intent, SlotValue

BEGUN = "begun"
"""Status of a line before its action; it is the last one while the action is under way."""
INTERRUPTED = "interrupted"
"""Status of what had begun as its process ended; whether it took effect is not known."""
EXPIRED = "expired"
"""Status of a question that nobody answered in time."""
REPLACED = "replaced"
"""Status of a question after which something else was wanted."""

FILE_BYTES = 1_048_576
"""Bytes of a file at most; the next line begins a new one."""
FILES = 5
"""Files kept: journal.jsonl, and journal.1.jsonl (the newer) to journal.4.jsonl."""
TEXT_LIMIT = 500
"""Characters kept of each text."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """What is known of one intent; each line of the journal is such an entry as JSON."""

    id: str
    """The same in all lines of one intent."""
    intent: str
    slots: Mapping[str, SlotValue] = field(default_factory=dict)
    text: str = ""
    """What was said."""
    confidence: float = 1.0
    source: str = ""
    """Where it came from, such as a microphone or a socket."""
    status: str = BEGUN
    """A value of `ActionStatus`, or one of the constants of this module."""
    description: str = ""
    """What was (or would be) done."""
    reason: str = ""
    """Why: who confirmed it, or why it was refused."""
    output: str = ""
    """What the program or server said."""
    when: str = ""
    """ISO 8601 with offset, of the first line; set by `Journal`."""
    process: str = ""
    """What wrote the line; set by `Journal`."""

    @classmethod
    def of(cls, intent: Intent, source: str) -> JournalEntry:
        """The entry of an intent that was just heard."""
        return cls(
            secrets.token_hex(6),
            intent.name,
            intent.slots,
            intent.text,
            intent.confidence,
            source,
        )


def journal_path(folder: Path | None = None, number: int = 0) -> Path:
    """A file of the journal in `folder` or the user's state folder; 0 is the newest.

    Raises:
        RuntimeError: the user has no home folder.
    """
    name = f"journal.{number}.jsonl" if number else "journal.jsonl"
    return (folder or state_folder()) / name


class Journal:
    """Appends entries; several threads and processes may at once.

    What cannot be written (full disk, no permission) is dropped with one warning, until writing is
    possible again; whoever acts is not disturbed.

    Attributes:
        dropped: entries that could not be written.
    """

    def __init__(self, folder: Path | None = None) -> None:
        """folder: by default the user's state folder."""
        self.dropped = 0
        self._folder = folder
        self._process = process_identity(os.getpid())
        self._lock = threading.Lock()
        self._failing = False

    def write(self, entry: JournalEntry) -> None:
        """Append `entry` as one line, with the present time; never raises."""
        line = _line(entry, self._process)
        with self._lock:
            try:
                self._append(line)
            except (OSError, RuntimeError) as error:  # RuntimeError: the user has no home folder
                self.dropped += 1
                if not self._failing:
                    reason = getattr(error, "strerror", None) or error
                    log.warning(
                        "the journal cannot be written, so actions go unrecorded: %s", reason
                    )
                self._failing = True
            else:
                if self._failing:
                    log.warning("the journal is written again; %d lines are lost", self.dropped)
                self._failing = False

    def _append(self, line: bytes) -> None:
        path = journal_path(self._folder)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if _is_full(path, len(line)):
            _rotate(path.parent, len(line))
        # Opened anew each time: another process may have renamed the file.
        with _opened(path) as file:
            size = os.fstat(file).st_size
            if size and os.pread(file, 1, size - 1) != b"\n":  # torn by a full disk
                line = b"\n" + line
            # One call, so that lines of several processes do not mix.
            if os.write(file, line) < len(line):
                raise OSError("a line was cut short; the disk may be full")


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        yield file
    finally:
        os.close(file)


def _is_full(path: Path, more: int) -> bool:
    """Whether the file has no room for `more` bytes."""
    try:
        return path.stat().st_size + more > FILE_BYTES
    except FileNotFoundError:  # not there yet, or just renamed by another process
        return False


def _rotate(folder: Path, more: int) -> None:
    """Rename each file to the next number, the last one is lost; room is made for `more` bytes.

    While another process does so, nothing: the file then grows by a line.
    """
    with _opened(folder / "journal.lock") as lock:
        if sys.platform != "win32":
            import fcntl  # noqa: PLC0415 - Windows has none

            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # let go of on closing
            except BlockingIOError:
                return
        if not _is_full(journal_path(folder), more):
            return  # another process has just done so
        for number in reversed(range(FILES - 1)):
            older = journal_path(folder, number)
            if older.exists():
                older.replace(journal_path(folder, number + 1))


def _line(entry: JournalEntry, process: str) -> bytes:
    values: dict[str, Any] = {f.name: getattr(entry, f.name) for f in fields(entry)}
    values["slots"] = {name: _clipped(value) for name, value in entry.slots.items()}
    values = {name: _clipped(value) for name, value in values.items()}
    values["when"] = datetime.now().astimezone().isoformat(timespec="milliseconds")
    values["process"] = process
    # Half a character, as file names may have it, becomes the escape that JSON knows.
    text = json.dumps(values, ensure_ascii=False)
    return text.encode("utf-8", "backslashreplace") + b"\n"


def _clipped(value: object) -> object:
    if isinstance(value, str) and len(value) > TEXT_LIMIT:
        return value[: TEXT_LIMIT - 1] + "…"
    return value


def process_identity(number: int) -> str:
    """Number and start of a running process: no later one has the same; empty where it has ended.

    Empty as well where the system has no /proc, which is any but Linux.
    """
    try:
        status = Path(f"/proc/{number}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    state, *others = status.rpartition(")")[2].split()  # the name before it may contain anything
    return f"{number}@{others[18]}" if state not in "ZX" else ""
