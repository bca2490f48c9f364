"""Files that the assistant writes for others: made anew as often as wanted, never over a change.

The first line holds a hash of the rest. While it is right, the file is as it was written and may
be replaced; else somebody has changed it, and it is theirs.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from ..errors import UsageError

_MARK = "# Written by assistant; a changed file is not overwritten. SHA-256 of the rest: "


class Condition(Enum):
    """How a file on disk stands to the one that would be written."""

    ABSENT = "not there"
    CURRENT = "as it should be"
    OUTDATED = "of another version or with other options"
    CHANGED = "changed by somebody"


@dataclass(frozen=True, slots=True)
class InstalledFile:
    """A text file, where it belongs and what is in it; `#` begins a comment in it."""

    path: Path
    content: str

    def text(self) -> str:
        """All of the file, the first line included."""
        return f"{_MARK}{_hash(self.content)}\n{self.content}"

    def condition(self) -> Condition:
        """How what lies there now compares.

        Raises:
            UsageError: it cannot be read, or is no text.
        """
        found = _read(self.path)
        if found is None:
            return Condition.ABSENT
        if found == self.text():
            return Condition.CURRENT
        first, _, rest = found.partition("\n")
        return Condition.OUTDATED if first == _MARK + _hash(rest) else Condition.CHANGED

    def write(self) -> None:
        """Write it, all or nothing; the folders above it are made."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}.")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(self.text())
            Path(name).chmod(0o644)
            Path(name).replace(self.path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                Path(name).unlink()
            raise


def refuse_changed(files: Sequence[InstalledFile]) -> None:
    """Raise UsageError where one of `files` was changed since it was written."""
    changed = [str(file.path) for file in files if file.condition() is Condition.CHANGED]
    if changed:
        raise UsageError(
            f"{', '.join(changed)}: changed by somebody, and left as it is; --force replaces it "
            "(better: put changes into a drop-in, systemctl --user edit assistant)"
        )


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "is no text"
        raise UsageError(f"{path}: {reason}; move it away, then try again") from error


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
