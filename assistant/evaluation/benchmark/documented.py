"""The benchmark's figures in documents: made from a file of `scripts/benchmark.py --json`.

A document names the file in a line of its own, and what stands between its markers is made from it:

    <!-- benchmark: evaluation/benchmark.json -->
    <!-- benchmark:begin -->
    <!-- benchmark:end -->
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.table import Table

from ...errors import UsageError
from ...training.document import fill, read_document
from .tables import tables

PART = "benchmark"
"""Name of the markers."""


def figures_of(document: Path) -> Path | None:
    """The file of figures that a document is made from; None where it names none.

    Raises:
        UsageError: the document cannot be read.
    """
    named = re.search(rf"<!-- {PART}: (\S+) -->", read_document(document))
    return document.parent / named[1] if named else None


def write_figures(document: Path) -> None:
    """Replace what stands between a document's markers.

    Raises:
        UsageError: the document names no file or has no markers, or the file cannot be read.
    """
    path = figures_of(document)
    if path is None:
        raise UsageError(f"{document}: names no figures; add <!-- {PART}: figures.json -->")
    fill(document, PART, markdown(read_figures(path)))


def read_figures(path: Path) -> Mapping[str, Any]:
    """What `scripts/benchmark.py --json` wrote.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        found: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: cannot be read: {error}") from error
    return found


def markdown(found: Mapping[str, Any]) -> str:
    """The same tables as on the terminal."""
    machine = found["machine"]
    about = f"{machine['processor']}, {machine['cores']} cores, torch {machine['torch']}"
    made_from = found["made_from"]
    heard = f"bundle `{made_from['bundle']}`, commands `{made_from['commands']}`"
    return "\n\n".join([f"{about}; {heard}.", *map(_table, tables(found))])


def _table(table: Table) -> str:
    heads = [str(column.header) for column in table.columns]
    rows = zip(*(column.cells for column in table.columns), strict=True)
    lines = [_line(heads), "|---" * len(heads) + "|", *(_line(map(str, row)) for row in rows)]
    parts = [f"**{table.title}**", "\n".join(lines), *_caption(table)]
    return "\n\n".join(parts)


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _caption(table: Table) -> Iterator[str]:
    for line in str(table.caption or "").split("\n"):
        if line:
            yield line
