"""Applications: the .desktop files of the user and the system, and the programs they start.

Source: the Desktop Entry Specification 1.5 of freedesktop.org, of which it reads `Exec`, `TryExec`,
`Path`, `Terminal`, `Name`, `Icon` and `Hidden`.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from ...errors import ActionError

APPLICATION_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+@-]*")
"""What the name of a .desktop file may be, without `.desktop`: no path, and no option."""

_ESCAPES = {"s": " ", "n": "\n", "t": "\t", "r": "\r", "\\": "\\"}
_TERMINALS = (("xdg-terminal-exec",), ("x-terminal-emulator", "-e"))
"""What opens a terminal with a program in it: the proposed standard, and Debian's."""


@dataclass(frozen=True)
class Application:
    """What a .desktop file says: the program, its arguments, and the folder it works in."""

    argv: tuple[str, ...]
    folder: Path | None = None


def find_application(name: str) -> Application:
    """The application whose file is `name`.desktop; a user's file comes before the system's.

    Raises:
        ActionError: there is none, or it cannot be started as it stands.
    """
    if not APPLICATION_NAME.fullmatch(name):
        raise ActionError(f"{name!r} is no name of an application, such as org.gnome.Nautilus")
    for folder in data_folders():
        for candidate in _candidates(folder / "applications", name):
            if candidate.is_file():
                return read_application(candidate)
    known = sorted({p.stem for f in data_folders() for p in (f / "applications").glob("*.desktop")})
    near = get_close_matches(name, known, 3)
    hint = f"did you mean {' or '.join(near)}?" if near else "ls /usr/share/applications names some"
    raise ActionError(f"no application '{name}' is installed (no {name}.desktop was found); {hint}")


def read_application(path: Path) -> Application:
    """What the .desktop file `path` starts, ready to be run.

    Raises:
        ActionError: it cannot be read, starts nothing, or its program is not installed.
    """
    try:
        entry = dict(_entries(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError) as error:
        raise ActionError(f"{path} cannot be read: {error}") from error
    if entry.get("Hidden") == "true" or not entry.get("Exec"):
        raise ActionError(f"{path} starts no program (it is hidden, or has no 'Exec')")
    argv = list(_arguments(entry["Exec"], entry, path))
    if not argv:
        raise ActionError(f"{path} starts no program: its 'Exec' is {entry['Exec']!r}")
    for program in (entry.get("TryExec"), argv[0]):
        if program and shutil.which(program) is None:
            raise ActionError(f"{path} starts '{program}', which is not installed")
    if entry.get("Terminal") == "true":
        terminal = next((t for t in _TERMINALS if shutil.which(t[0])), None)
        if terminal is None:
            raise ActionError(f"{path} needs a terminal: install xdg-terminal-exec")
        argv = [*terminal, *argv]
    folder = Path(entry["Path"]) if entry.get("Path") else None
    return Application(tuple(argv), folder)


def data_folders() -> list[Path]:
    """The XDG data folders, the most important first (XDG Base Directory Specification 0.8)."""
    home = os.environ.get("XDG_DATA_HOME", "") or str(Path.home() / ".local" / "share")
    rest = os.environ.get("XDG_DATA_DIRS", "") or "/usr/local/share:/usr/share"
    return [Path(folder) for folder in (home, *rest.split(":")) if Path(folder).is_absolute()]


def _candidates(folder: Path, name: str) -> Iterator[Path]:
    """Where the file may lie: dashes of a name may stand for folders (`kde4-kate`)."""
    yield folder / f"{name}.desktop"
    parts = name.split("-")
    for cut in range(1, len(parts)):
        yield folder.joinpath(*parts[:cut]) / f"{'-'.join(parts[cut:])}.desktop"


def _entries(text: str) -> Iterator[tuple[str, str]]:
    """Keys and values of the group `[Desktop Entry]`, their escapes undone."""
    within = False
    for line in text.splitlines():
        if line.startswith("["):
            within = line.strip() == "[Desktop Entry]"
        elif within and (match := re.match(r"([A-Za-z0-9-]+)\s*=\s*(.*)", line)):
            yield match[1], re.sub(r"\\([sntr\\])", lambda m: _ESCAPES[m[1]], match[2])


def _arguments(command: str, entry: Mapping[str, str], path: Path) -> Iterator[str]:
    """The arguments of an `Exec`, by its own rules of quoting, field codes put in place.

    An argument may be quoted as a whole by `"`, within which `\\` precedes `"`, `` ` ``, `$` and
    `\\`. No file is opened with it, so the codes of files (`%f`, `%U` …) are left out.
    """
    pattern = re.compile(r'"((?:[^"\\]|\\.)*)"|(\S+)')
    for match in pattern.finditer(command):
        if match[1] is not None:
            yield re.sub(r'\\(["`$\\])', r"\1", match[1]).replace("%%", "%")
        elif match[2] == "%i":
            yield from ("--icon", entry["Icon"]) if entry.get("Icon") else ()
        elif match[2] == "%c":
            yield entry.get("Name", "")
        elif match[2] == "%k":
            yield str(path)
        elif argument := re.sub(r"%(.)", lambda m: "%" if m[1] == "%" else "", match[2]):
            yield argument
