"""The history: the journal read back, an entry for each intent however many lines it has."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from ..types import ActionStatus
from .journal import (
    BEGUN,
    EXPIRED,
    FILES,
    INTERRUPTED,
    JournalEntry,
    journal_path,
    process_identity,
)

_LEFT_BEHIND = {BEGUN: INTERRUPTED, ActionStatus.UNCONFIRMED.value: EXPIRED}

POLL_S = 0.25
"""Seconds between looks at a journal that is followed."""


@dataclass(frozen=True, slots=True)
class History:
    """Entries from the oldest to the newest, and how many lines were damaged."""

    entries: tuple[JournalEntry, ...]
    damaged: int = 0


def read_journal(
    folder: Path | None = None,
    limit: int | None = None,
    wanted: Callable[[JournalEntry], bool] | None = None,
) -> History:
    """What the journal says, each entry as its last line leaves it and with the time of its first.

    What had begun in a process that is no more is `INTERRUPTED`, what it had asked `EXPIRED`. Lines
    that are no entries are passed over and counted.

    Args:
        folder: by default the user's state folder; without a journal the history is empty.
        limit: entries at most, the newest.
        wanted: whether an entry is to be told and counted against `limit`.

    Raises:
        OSError: a file cannot be read.
        RuntimeError: the user has no home folder.
    """
    # The newest file first: should another process rename them now, lines are read twice, which
    # does no harm, and none is missed.
    contents = [_content(journal_path(folder, number)) for number in range(FILES)]
    entries: dict[str, JournalEntry] = {}
    damaged = 0
    for line in b"\n".join(reversed(contents)).split(b"\n"):
        if not line:
            continue
        entry = _parsed(line)
        if entry is None:
            damaged += 1
            continue
        first = entries.get(entry.id, entry)
        entries[entry.id] = replace(entry, when=first.when)
    told = [entry for entry in map(_as_it_is, entries.values()) if wanted is None or wanted(entry)]
    return History(tuple(told if limit is None else told[max(0, len(told) - limit) :]), damaged)


def follow_journal(
    folder: Path | None = None, pause: Callable[[], object] = lambda: time.sleep(POLL_S)
) -> Iterator[JournalEntry]:
    """What is written from this call on, but for the lines of actions that only begin; endless.

    Args:
        folder: by default the user's state folder.
        pause: waits a while, after all there is was read.
    """
    path = journal_path(folder)
    file = _open(path)
    if file is not None:
        file.seek(0, os.SEEK_END)
    return _follow(path, file, pause)


def _follow(
    path: Path, file: BinaryIO | None, pause: Callable[[], object]
) -> Iterator[JournalEntry]:
    rest = b""
    try:
        while True:
            # Asked before reading: what was written before the file was renamed is still read.
            is_over = file is None or _is_replaced(path, file)
            *lines, rest = (rest + (file.read() if file is not None else b"")).split(b"\n")
            for entry in filter(None, map(_parsed, lines)):
                if entry.status != BEGUN:
                    yield entry
            if is_over:
                if file is not None:
                    file.close()
                file, rest = _open(path), b""
            if file is None or not is_over:
                pause()
    finally:
        if file is not None:
            file.close()


def _open(path: Path) -> BinaryIO | None:
    try:
        return path.open("rb")
    except FileNotFoundError:
        return None


def _is_replaced(path: Path, file: BinaryIO) -> bool:
    """Whether `path` is another file by now, or `file` has been emptied."""
    ours = os.fstat(file.fileno())
    try:
        return not os.path.samestat(path.stat(), ours) or ours.st_size < file.tell()
    except FileNotFoundError:
        return True


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def _parsed(line: bytes) -> JournalEntry | None:
    """The entry of a line; None where it is damaged. Keys of a newer version are passed over."""
    try:
        values = json.loads(line)
        known = {f.name: values[f.name] for f in fields(JournalEntry) if f.name in values}
        entry = JournalEntry(**known)
        return entry if _is_sound(entry) else None
    except (ValueError, TypeError, RecursionError):
        return None


def _is_sound(entry: JournalEntry) -> bool:
    values: dict[str, Any] = {f.name: getattr(entry, f.name) for f in fields(entry)}
    slots, confidence = values.pop("slots"), values.pop("confidence")
    return (
        all(isinstance(value, str) for value in values.values())
        and isinstance(slots, Mapping)
        and all(isinstance(value, str | int | float) for value in slots.values())
        and isinstance(confidence, int | float)
        and datetime.fromisoformat(entry.when).tzinfo is not None
    )


def _as_it_is(entry: JournalEntry) -> JournalEntry:
    """With the status that is left of what never ended, where its process has."""
    left = _LEFT_BEHIND.get(entry.status)
    if left is None or not entry.process:
        return entry
    number = entry.process.partition("@")[0]
    runs = number.isdecimal() and process_identity(int(number)) == entry.process
    return entry if runs else replace(entry, status=left)
