"""Takes: the user's own recordings of commands, in a folder with a manifest.

    takes/manifest.jsonl      {"path": "0001.flac", "text": "dim the lights", "speaker": "me", …}
    takes/0001.flac …

A line names a recording, relative to the manifest, and what is said in it: the sentence (`text`),
or what it means (`intent` and `slots`), or both. Recordings made elsewhere need no more than that.
"""

from __future__ import annotations

import io
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import soundfile

from ..bundle import CommandBundle
from ..errors import AssistantError, UsageError
from ..grammar.network import Reading
from ..grammar.reading import TextReader
from ..recording import read_file
from ..types import SAMPLE_RATE, Samples, SlotValue

MANIFEST = "manifest.jsonl"


@dataclass(frozen=True, slots=True)
class Take:
    """A recording of one command, and what it means."""

    path: Path
    intent: str
    slots: Mapping[str, SlotValue]
    where: str
    """Manifest and line, for messages."""

    @property
    def reading(self) -> Reading:
        """Intent and slots."""
        return self.intent, dict(self.slots)


class TakeFolder:
    """A folder that takes are added to: files of the owner alone, a manifest that only grows."""

    def __init__(self, folder: Path) -> None:
        """Make the folder where there is none.

        Raises:
            OSError: it cannot be made.
        """
        self.folder = folder
        self.manifest = folder / MANIFEST
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def recorded(self, speaker: str) -> Counter[str]:
        """How often each sentence was recorded by `speaker`; a broken line counts for nothing."""
        texts: Counter[str] = Counter()
        if self.manifest.exists():
            content = self.manifest.read_text(encoding="utf-8", errors="replace")
            for line in content.splitlines():
                try:
                    entry = json.loads(line)
                    if entry["speaker"] == speaker and (self.folder / entry["path"]).is_file():
                        texts[entry["text"]] += 1
                except (ValueError, KeyError, TypeError):
                    continue
        return texts

    def add(self, samples: Samples, text: str, reading: Reading, speaker: str) -> Path:
        """Keep a recording as 16-bit FLAC; it lies on the disk before the manifest names it.

        Raises:
            OSError: the disk is full, or the folder may not be written.
        """
        content = io.BytesIO()
        soundfile.write(content, samples, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
        taken = [int(p.stem) for p in self.folder.glob("*.flac") if p.stem.isdecimal()]
        path = self.folder / f"{max(taken, default=0) + 1:04d}.flac"
        _write(path, content.getvalue(), os.O_EXCL)
        intent, slots = reading
        entry = {
            "path": path.name,
            "text": text,
            "intent": intent,
            "slots": slots,
            "speaker": speaker,
            "seconds": round(len(samples) / SAMPLE_RATE, 2),
        }
        line = json.dumps(entry, ensure_ascii=False) + "\n"
        whole = not self.manifest.exists() or self.manifest.read_bytes()[-1:] in (b"", b"\n")
        _write(self.manifest, (line if whole else "\n" + line).encode(), os.O_APPEND)
        return path


def _write(path: Path, content: bytes, flag: int) -> None:
    """Write so that only the owner can read, and that a power cut does not undo it."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | flag | getattr(os, "O_BINARY", 0), 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


@dataclass(frozen=True, slots=True)
class TakeList:
    """What a manifest holds that can be used, and one line for each thing that cannot."""

    takes: tuple[Take, ...]
    problems: tuple[str, ...]


def read_takes(path: Path, commands: CommandBundle) -> TakeList:
    """Read a manifest, or that of a folder, against the commands it is to be used for.

    Raises:
        UsageError: there is no manifest.
    """
    manifest = path / MANIFEST if path.is_dir() else path
    if not manifest.is_file():
        raise UsageError(
            f"{manifest}: no such manifest; record some commands (assistant record), or write a "
            'line {"path": …, "text": …} for each recording'
        )
    reader = _TakeReader(manifest, commands)
    takes: list[Take] = []
    problems: list[str] = []
    with manifest.open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            where = f"{manifest}:{number}"
            try:
                takes.append(reader(line, where))
            except AssistantError as error:
                problems.append(f"{where}: {error}")
    return TakeList(tuple(takes), tuple(problems))


class _TakeReader:
    """Reads the lines of one manifest."""

    def __init__(self, manifest: Path, commands: CommandBundle) -> None:
        self._folder = manifest.parent
        self._commands = commands
        self._read = TextReader(commands.network, commands.language)

    def __call__(self, line: str, where: str) -> Take:
        """One line.

        Raises:
            AssistantError: what is wrong with it.
        """
        try:
            entry = json.loads(line)
        except ValueError as error:
            raise UsageError(f"is not JSON ({error}); correct the line") from error
        if not isinstance(entry, dict) or not isinstance(entry.get("path"), str):
            raise UsageError('names no recording; add "path", relative to the manifest\'s folder')
        path = self._folder / entry["path"]
        read_file(path)  # its header: that it is there, and is audio
        intent, slots = self._reading(entry)
        return Take(path, intent, slots, where)

    def _reading(self, entry: Mapping[str, Any]) -> Reading:
        text, named = entry.get("text"), entry.get("intent")
        slots = entry.get("slots")
        if slots is not None and not isinstance(slots, dict):
            raise UsageError(f'"slots" are names and values ({{"state": "on"}}), found {slots!r}')
        if isinstance(text, str) and text.strip():
            readings = self._read(text)
            if not readings:
                raise UsageError(
                    f"'{text}' is no sentence of these commands; correct it, or add the sentence "
                    "to the command file and compile it again"
                )
            fitting = [
                (intent, said)
                for intent, said in readings
                if named in (None, intent) and slots in (None, said)
            ]
            if not fitting:
                raise UsageError(
                    f"'{text}' means {_shown(readings[0])} to these commands, and the line says "
                    f"{_shown((named, slots or {}))}; correct one of them"
                )
            return fitting[0]
        if not isinstance(named, str):
            raise UsageError('does not say what is said: add "text", or "intent" and "slots"')
        if named not in self._commands.intents:
            raise UsageError(f"no intent '{named}'; one of: {', '.join(self._commands.intents)}")
        for slot, value in (slots or {}).items():
            if value not in self._commands.slots.get(slot, ()):
                raise UsageError(f"these commands have no slot '{slot}' of value {value!r}")
        return named, dict(slots or {})


def _shown(reading: tuple[object, Mapping[str, SlotValue]]) -> str:
    intent, slots = reading
    return " ".join([str(intent), *(f"{slot}={value}" for slot, value in slots.items())])


def held_out(takes: Sequence[Take], every: int = 3) -> Iterator[bool]:
    """Whether each take is kept out of adaptation: one of `every`, spread over the intents.

    Of an intent with that many takes at least one is; the same takes give the same answer.
    """
    order = sorted(range(len(takes)), key=lambda i: takes[i].intent)
    place = {i: number for number, i in enumerate(order)}
    return (place[i] % every == every - 1 for i in range(len(takes)))
