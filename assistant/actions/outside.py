"""Programs that outlive an action, where the assistant is a service of systemd."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from ..errors import ActionError


def outside(argv: Sequence[str], names: Iterable[str], folder: Path | None = None) -> Sequence[str]:
    """The command line that has the user's service manager start `argv`, where we are its service.

    As our child it would be killed as we are restarted, count as our memory, and inherit the
    service's sandbox, in which no browser and no Flatpak can make its own. `systemd-run --scope`
    would not do: the program is still a child. Elsewhere `argv` is given back as it is.

    Args:
        argv: the program and its arguments.
        names: variables it sees, their values taken from the environment of the call.
        folder: the one it works in; the user's home where absent.

    Raises:
        ActionError: there is no such program; systemd-run would only fail.
    """
    if os.environ.get("SYSTEMD_EXEC_PID") != str(os.getpid()):  # inherited by all that we start
        return argv
    if shutil.which(argv[0]) is None:
        raise ActionError(f"program '{argv[0]}' was not found: install it, or change the policy")
    options = [f"--setenv={name}" for name in names]
    if folder is not None:
        options.append(f"--working-directory={folder}")
    run = ("systemd-run", "--user", "--quiet", "--collect", "--service-type=exec")
    return [*run, *options, "--", *argv]
