"""What is evaluated: recordings with what was said in them, and what is wrong with the list.

A manifest is JSON lines: `path` (relative to the manifest) and any of `intent`, `slots`, `text`
and `speaker`; other keys are not read, and null is the same as absent. A line that cannot be used
never stops the rest, and is never left out without a word: it becomes a `Problem`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from ..bundle import CommandBundle
from ..errors import AudioFileError, UsageError
from ..recording import read_file
from ..types import SlotValue


@dataclass(frozen=True, slots=True)
class Item:
    """A recording and its labels; None is not labelled.

    line: of the manifest, from 1. path: as the manifest writes it. file: where it is. slots: every
    slot that was said; an empty mapping says that there are none.
    """

    line: int
    path: str
    file: Path
    intent: str | None = None
    slots: Mapping[str, SlotValue] | None = None
    text: str | None = None
    speaker: str | None = None

    @property
    def labelled(self) -> bool:
        """Whether a decision can be right or wrong."""
        return self.intent is not None or self.slots is not None


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a line of a manifest, or with the recording it names."""

    line: int | None
    path: str | None
    what: str


@dataclass(frozen=True)
class Vocabulary:
    """What a command set can answer: its intents, and the values of each slot."""

    intents: frozenset[str]
    slots: Mapping[str, frozenset[SlotValue]]

    @classmethod
    def of(cls, commands: CommandBundle) -> Vocabulary:
        """Values that are said, and those that a sentence has without saying them."""
        slots = {slot: set(values) for slot, values in commands.slots.items()}
        for final in commands.network.finals.values():
            for slot, value in final.slots.items():
                slots.setdefault(slot, set()).add(value)
        return cls(frozenset(commands.intents), {s: frozenset(v) for s, v in slots.items()})

    def objections(self, item: Item) -> Iterator[str]:
        """Labels that no decision could ever agree with."""
        if item.intent is not None and item.intent not in self.intents:
            yield f"intent '{item.intent}' is not in the command set{_near(item.intent, self)}"
        for slot, value in (item.slots or {}).items():
            if slot not in self.slots:
                yield f"slot '{slot}' is not in the command set{_near(slot, self)}"
            elif value not in self.slots[slot]:
                yield f"slot '{slot}' has no value {value!r} in the command set"


def _near(name: str, known: Vocabulary) -> str:
    near = get_close_matches(name, [*known.intents, *known.slots], n=1)
    return f"; did you mean '{near[0]}'?" if near else ""


def read_items(
    manifest: Path, vocabulary: Vocabulary | None, check_audio: bool = True
) -> tuple[list[Item], list[Problem]]:
    """The recordings of a manifest that can be evaluated, and what is wrong with the others.

    Args:
        vocabulary: of the command set; None measures phonemes alone, and needs `text`. A label that
            it does not know is left out of what is compared: nothing could ever agree with it.
        check_audio: whether each file's header is looked at.

    Raises:
        UsageError: the manifest itself cannot be read.
    """
    items, problems = [], []
    for number, line in manifest_lines(manifest):
        try:
            item = _parse(line, number, manifest)
        except UnusableLineError as error:
            problems.append(Problem(number, None, f"broken line: {error}"))
            continue
        if check_audio and (fault := audio_fault(item.file)):
            problems.append(Problem(number, item.path, fault))
            continue
        objections = list(vocabulary.objections(item)) if vocabulary else []
        problems += [Problem(number, item.path, what) for what in objections]
        if objections or vocabulary is None:
            item = replace(item, intent=None, slots=None)
        if item.labelled or item.text is not None:
            items.append(item)
        elif not objections:
            wanted = "text" if vocabulary is None else "intent, slots or text"
            problems.append(Problem(number, item.path, f"has no {wanted} to compare with"))
    return items, problems


def audio_fault(file: Path) -> str | None:
    """Why a recording cannot be read, by its header; None where it can."""
    try:
        read_file(file)
    except AudioFileError as error:
        return str(error).removeprefix(f"{file}: ")
    return None


def manifest_lines(manifest: Path) -> Iterator[tuple[int, bytes]]:
    """The lines of a manifest that are not empty, with their numbers from 1.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        content = manifest.read_bytes()
    except OSError as error:
        raise UsageError(f"{manifest}: cannot be read: {error.strerror or error}") from error
    for number, line in enumerate(content.split(b"\n"), 1):
        if line.strip():
            yield number, line


class UnusableLineError(ValueError):
    """A line of a manifest that says nothing; its text is why."""


def parse_line(line: bytes) -> dict[str, Any]:
    """The object of a line, which has a `path`.

    Raises:
        UnusableLineError: it is none.
    """
    try:
        entry = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError:
        raise UnusableLineError("is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise UnusableLineError(f"is no JSON ({error.msg} at column {error.colno})") from None
    if not isinstance(entry, dict):
        raise UnusableLineError("is no JSON object")
    if not text_of(entry, "path"):
        raise UnusableLineError("has no path")
    return entry


def text_of(entry: Mapping[str, Any], key: str) -> str | None:
    """A key's text; None where it is absent or null.

    Raises:
        UnusableLineError: it is no text.
    """
    value = entry.get(key)
    if value is not None and not isinstance(value, str):
        raise UnusableLineError(f"{key}: expected text, found {value!r}")
    return value


def _parse(line: bytes, number: int, manifest: Path) -> Item:
    entry = parse_line(line)
    path = entry["path"]
    slots = entry.get("slots")
    if slots is not None and not (
        isinstance(slots, dict) and all(isinstance(v, str | int | float) for v in slots.values())
    ):
        raise UnusableLineError("slots: expected names with texts or numbers")
    return Item(
        line=number,
        path=path,
        file=manifest.parent / path,
        intent=text_of(entry, "intent"),
        slots=slots,
        text=text_of(entry, "text"),
        speaker=text_of(entry, "speaker"),
    )
