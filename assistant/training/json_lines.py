"""Files of JSON lines that grow while a program works, and outlive its being stopped."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

Entry = dict[str, Any]


def read_entries(path: Path) -> list[Entry]:
    """What is in a file, but for a last line half written; nothing where there is no file."""
    if not path.exists():
        return []
    # Not `splitlines`, which parts a text at U+2028 and other ends of lines that JSON leaves alone.
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines if line.endswith("\n")]


def as_lines(entries: Iterable[Entry]) -> str:
    """Entries as a file has them."""
    return "".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in entries)


def keep_only(path: Path, entries: Iterable[Entry]) -> None:
    """Leave these entries in a file, where it has others or half a line."""
    text = as_lines(entries)
    if path.exists() and path.read_text(encoding="utf-8") != text:
        temporary = path.with_suffix(".part")
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
