"""This very program: the command line that starts it again, and how it gets what it lacks."""

from __future__ import annotations

import shlex
import sys

from .resources import data_folder

PROGRAM = (sys.executable, "-P", "-m", "assistant")
"""The command line of `assistant`, by this very Python. -P: nothing is imported from the folder it
is started in."""


def install_line(extra: str = "") -> str:
    """What one types to install the package, with an extra of it, into this very Python.

    No index has the package: a checkout is installed as it is; an installed wheel knows itself what
    belongs to its extras.
    """
    folder = data_folder()
    extras = f"[{extra}]" if extra else ""
    is_checkout = (folder / "pyproject.toml").is_file()
    what = ["-e", f"{folder}{extras}"] if is_checkout else [f"assistant{extras}"]
    return shlex.join([sys.executable, "-m", "pip", "install", *what])
