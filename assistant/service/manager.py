"""systemd's manager of the user's services, asked through `systemctl --user`."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass

from ..actions.process import run_to_end
from ..errors import ActionError

TIMEOUT_S = 10.0
"""Seconds to wait for an answer."""
START_TIMEOUT_S = 120.0
"""Seconds to wait for the daemon to be ready; compiling commands takes it longer."""


@dataclass(frozen=True, slots=True)
class UnitState:
    """What the manager says of a unit."""

    load: str
    """loaded, not-found, masked, bad-setting, …"""
    active: str
    """active, inactive, failed, activating, …"""
    enabled: str
    """enabled, disabled, …; empty where there is no such unit."""
    status: str
    """What the daemon itself said last, in one line."""
    result: str
    """Why it failed last: success, exit-code, watchdog, timeout, …"""
    must_reload: bool
    """Whether its file has changed since the manager read it."""


def systemctl(*arguments: str, timeout_s: float = TIMEOUT_S) -> str:
    """What `systemctl --user` says.

    Raises:
        ActionError: there is none, the manager is not reachable, or it refuses.
    """
    return run_to_end(["systemctl", "--user", *arguments], _environment(), timeout_s)


def is_reachable() -> bool:
    """Whether there is a systemctl, and a manager of the user that answers."""
    if not shutil.which("systemctl"):
        return False
    try:
        systemctl("show", "--property=Version")
    except ActionError:
        return False
    return True


def systemd_version() -> int:
    """The version's number, such as 252; 0 where there is no systemd."""
    try:
        said = run_to_end(["systemctl", "--version"], _environment(), TIMEOUT_S)
    except ActionError:
        return 0
    number = re.match(r"systemd (\d+)", said)
    return int(number[1]) if number else 0


def allows_namespaces() -> bool:
    """Whether a service of the user can have a file system of its own; tried on a service.

    It must not see a file that is hidden from it: where namespaces are restricted, some versions
    of systemd start a service without what needs them, and say nothing.

    Raises:
        ActionError: the manager is not reachable.
    """
    systemctl("show", "--property=Version")
    hidden = "/etc/os-release"
    options = ("--property=PrivateUsers=yes", f"--property=InaccessiblePaths=-{hidden}")
    argv = ["systemd-run", "--user", "--quiet", "--wait", "--collect", *options, "--"]
    try:
        run_to_end([*argv, "test", "!", "-r", hidden], _environment(), TIMEOUT_S)
    except ActionError:
        return False
    return True


def unit_state(name: str) -> UnitState:
    """What the manager says of the unit `name`, be it there or not.

    Raises:
        ActionError: the manager is not reachable.
    """
    names = "LoadState,ActiveState,UnitFileState,StatusText,Result,NeedDaemonReload"
    said = systemctl("show", f"--property={names}", name)
    value = dict(line.partition("=")[::2] for line in said.splitlines())
    return UnitState(
        load=value.get("LoadState", ""),
        active=value.get("ActiveState", ""),
        enabled=value.get("UnitFileState", ""),
        status=value.get("StatusText", ""),
        result=value.get("Result", ""),
        must_reload=value.get("NeedDaemonReload") == "yes",
    )


def _environment() -> dict[str, str]:
    """All there is, in plain English: these are the user's own programs, and asked by the user."""
    return {**os.environ, "LC_ALL": "C", "SYSTEMD_COLORS": "0", "SYSTEMD_PAGER": ""}
