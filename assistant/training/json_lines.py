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
    # In bytes: what was cut off may end within a letter, and a text may hold U+2028, where
    # `str.splitlines` would part it.
    return [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]


def as_lines(entries: Iterable[Entry]) -> str:
    """Entries as a file has them."""
    return "".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in entries)


def keep_only(path: Path, entries: Iterable[Entry]) -> None:
    """Leave these entries in a file, where it has others or half a line."""
    content = as_lines(entries).encode()
    if path.exists() and path.read_bytes() != content:
        temporary = path.with_suffix(".part")
        temporary.write_bytes(content)
        temporary.replace(path)
