"""Documents with parts that are made: what stands between two markers is written by a script."""

from __future__ import annotations

from pathlib import Path

from ..errors import UsageError


def read_document(document: Path) -> str:
    """The text of a document.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        return document.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{document}: cannot be read: {error.strerror or error}") from error


def markers(name: str) -> tuple[str, str]:
    """The lines between which the part of this name stands."""
    return f"<!-- {name}:begin -->", f"<!-- {name}:end -->"


def part(document: Path, name: str) -> str:
    """What stands between the markers now.

    Raises:
        UsageError: the document has no such markers.
    """
    return _split(document, name)[1].strip()


def fill(document: Path, name: str, content: str) -> None:
    """Replace what stands between the markers.

    Raises:
        UsageError: the document has no such markers.
    """
    before, _, after = _split(document, name)
    document.write_text(f"{before}\n\n{content}\n\n{after}", encoding="utf-8")


def _split(document: Path, name: str) -> tuple[str, str, str]:
    begin, end = markers(name)
    text = document.read_text(encoding="utf-8") if document.exists() else ""
    before, found, rest = text.partition(begin)
    content, closed, after = rest.partition(end)
    if not found or not closed:
        raise UsageError(
            f"{document}: needs the lines '{begin}' and '{end}' where the tables belong"
        )
    return before + begin, content, end + after
