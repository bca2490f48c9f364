"""Where models and configuration lie: inside the package in a wheel, else in the repository.

And where what the assistant remembers lies: in the user's state folder.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from .bundle_files import CONFIG, ENCODER_FOLDER
from .errors import BundleError, ConfigError

_PACKAGE = Path(__file__).resolve().parent


def data_folder() -> Path:
    """The folder that holds `models/` and `configs/`."""
    installed = _PACKAGE / "_data"
    return installed if installed.is_dir() else _PACKAGE.parent


def state_folder() -> Path:
    """The user's folder for what the assistant remembers; it need not exist yet.

    `assistant` in $XDG_STATE_HOME or ~/.local/state (XDG Base Directory Specification 0.8), in
    %LOCALAPPDATA% on Windows, in ~/Library/Application Support on macOS.

    Raises:
        RuntimeError: the user has no home folder.
    """
    named = os.environ.get("LOCALAPPDATA" if sys.platform == "win32" else "XDG_STATE_HOME", "")
    if named and Path(named).is_absolute():  # relative paths are to be ignored
        return Path(named) / "assistant"
    inside = "Library/Application Support" if sys.platform == "darwin" else ".local/state"
    return Path.home() / inside / "assistant"


def cache_folder() -> Path:
    """The user's folder for what can be made again; it need not exist yet.

    `assistant` in $XDG_CACHE_HOME or ~/.cache (XDG Base Directory Specification 0.8), `Cache` in
    the state folder on Windows, ~/Library/Caches on macOS.

    Raises:
        RuntimeError: the user has no home folder.
    """
    if sys.platform == "win32":
        return state_folder() / "Cache"
    named = os.environ.get("XDG_CACHE_HOME", "")
    if named and Path(named).is_absolute():
        return Path(named) / "assistant"
    inside = "Library/Caches" if sys.platform == "darwin" else ".cache"
    return Path.home() / inside / "assistant"


def find_bundle(name: str) -> Path:
    """An acoustic bundle: a folder, or the name of one that travels with the package.

    Raises:
        BundleError: there is neither, with the names there are.
    """
    return _find(name, bundle_shelf(), "bundle")


def find_commands(name: str, bundle: Path) -> Path:
    """A compiled command set: a folder, or the name of one inside the bundle."""
    return _find(name, bundle / "commands", "compiled command set")


def is_meant(named: str, place: Path, shelf: Path) -> bool:
    """Whether `named` means what lies at `place`, and not what is called so on the shelf.

    A bare name is that of a bundle or a set on the shelf first, unless there is one at `place` as
    well: many a folder is called home.

    Args:
        shelf: folder of the bundles, or of a bundle's command sets.
    """
    if not named or not place.exists():
        return False
    return not _is_on_shelf(named, shelf) or (place / CONFIG).is_file()


def bundle_shelf() -> Path:
    """The folder of the bundles that travel with the package."""
    return data_folder() / "models"


def command_files(folder: Path) -> tuple[Path, ...]:
    """The command files below a folder, without hidden ones: editors keep drafts and locks so."""
    found = folder.rglob("*.yaml")
    shown = (p for p in found if not any(n.startswith(".") for n in p.relative_to(folder).parts))
    return tuple(sorted(shown))


def find_config(name: str) -> Path:
    """A file of `configs/`: a path, or the name of one that travels with the package."""
    for candidate in (Path(name), data_folder() / "configs" / name):
        if candidate.is_file():
            return candidate
    raise ConfigError(f"{name}: no such file, and none of the package's own configurations")


def _find(name: str, shelf: Path, what: str) -> Path:
    if (Path(name) / CONFIG).is_file():
        return Path(name)
    if _is_on_shelf(name, shelf):
        return shelf / name
    known = sorted(
        p.parent.name for p in shelf.glob(f"*/{CONFIG}") if p.parent.name != ENCODER_FOLDER
    )
    raise BundleError(
        f"{name}: no such {what}; a folder with a {CONFIG}, or one of: {', '.join(known)}"
    )


def _is_on_shelf(name: str, shelf: Path) -> bool:
    """Whether a bare name is there; one with a separator is a path, `./home` the folder."""
    is_bare = Path(name).name == name != os.pardir
    return is_bare and (shelf / name / CONFIG).is_file()
