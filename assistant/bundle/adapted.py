"""Command sets adapted to one user, and the way back.

    kitchen/            config.yaml (with `adapted`)  intent.safetensors  network.json
    kitchen/base/       the same three files, byte for byte as they were compiled

What is in `base/` counts only while `config.yaml` says `adapted`: compiling the commands again
leaves nothing to undo. At every moment either the old set or the way back to it is whole.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..bundle_files import CONFIG
from ..errors import UsageError
from .acoustic import AcousticBundle
from .commands import FILES, CommandBundle, write_commands
from .storage import read_bundle_config, write_config

BASE = "base"


def base_of(folder: Path) -> Path:
    """Where the command set lies as it was compiled: in `folder`, or in its `base` if adapted.

    Raises:
        BundleError: `folder` is no command set.
    """
    is_adapted = "adapted" in read_bundle_config(folder)
    return folder / BASE if is_adapted and (folder / BASE).is_dir() else folder


def write_adapted(
    folder: Path, commands: CommandBundle, acoustic: AcousticBundle, facts: Mapping[str, Any]
) -> None:
    """Write an adapted set into a folder of its own; `facts` say in its config what was done."""
    write_commands(folder, commands, acoustic)
    config = read_bundle_config(folder)
    write_config(folder / CONFIG, {**config, "adapted": dict(facts)})


def install_adapted(
    folder: Path, commands: CommandBundle, acoustic: AcousticBundle, facts: Mapping[str, Any]
) -> None:
    """Put an adapted set in the place of the compiled one, which is kept in `base`.

    Raises:
        OSError: the folder may not be written; the set is as it was.
    """
    with tempfile.TemporaryDirectory(prefix=".adapted-", dir=folder) as name:
        scratch = Path(name)
        write_adapted(scratch / "new", commands, acoustic, facts)
        if base_of(folder) == folder:
            shutil.rmtree(folder / BASE, ignore_errors=True)  # of an older compilation
            (scratch / BASE).mkdir()
            for file in FILES:
                shutil.copy2(folder / file, scratch / BASE / file)
            (scratch / BASE).rename(folder / BASE)
        for file in FILES:
            (scratch / "new" / file).replace(folder / file)


def undo_adapted(folder: Path) -> None:
    """Put the compiled set back, byte for byte.

    Raises:
        UsageError: it is not adapted, or was written into a folder of its own.
    """
    if "adapted" not in read_bundle_config(folder):
        raise UsageError(f"{folder}: is not adapted; there is nothing to undo")
    base = folder / BASE
    if not base.is_dir():
        raise UsageError(
            f"{folder}: was adapted into a folder of its own; use the set it was made from"
        )
    for file in reversed(FILES):
        if (base / file).is_file():  # else an undo was broken off after it
            (base / file).replace(folder / file)
    base.rmdir()
