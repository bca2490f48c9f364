"""Installs the service, removes it, and says how things stand."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..actions.process import ProgramTimeoutError, run_to_end
from ..errors import ActionError, AssistantError, UsageError
from ..program import PROGRAM, install_line
from . import entries, manager, unit
from .files import Condition, InstalledFile, refuse_changed

Tell = Callable[[str], None]
"""Takes one line on what was done, or is to be done next."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be installed."""

    daemon: Sequence[str]
    """Options of `assistant serve`."""
    headless: bool | None = None
    """Whether it starts without a graphical session; None: as the session here suggests."""
    namespaces: bool | None = None
    """Whether the sandbox uses namespaces; None: where a service of the user can have them."""
    autostart: bool = False
    """An autostart entry in the place of the unit, for sessions without systemd."""


def unit_path() -> Path:
    """Where the unit belongs: systemd.unit(5), `$XDG_CONFIG_HOME/systemd/user`."""
    return _folder("XDG_CONFIG_HOME", ".config") / "systemd" / "user" / unit.NAME


def menu_path() -> Path:
    """Where the desktop entry belongs."""
    return _folder("XDG_DATA_HOME", ".local/share") / "applications" / entries.NAME


def autostart_path() -> Path:
    """Where the autostart entry belongs."""
    return _folder("XDG_CONFIG_HOME", ".config") / "autostart" / entries.NAME


def files_for(wanted: Wanted) -> tuple[InstalledFile, ...]:
    """The files that make the service, none of them written yet.

    Raises:
        UsageError: a path cannot be said in them.
    """
    command = (*PROGRAM, "serve", *wanted.daemon)
    try:
        menu = InstalledFile(menu_path(), entries.menu_entry(PROGRAM))
        if wanted.autostart:
            entry = entries.autostart_entry(command)
            return InstalledFile(autostart_path(), entry), menu
        text = unit.Unit(
            command, _namespaces(wanted), _headless(wanted), manager.systemd_version()
        ).text()
    except ValueError as error:
        raise UsageError(str(error)) from error
    return InstalledFile(unit_path(), text), menu


def install(wanted: Wanted, start: bool, force: bool, dry_run: bool, tell: Tell) -> None:
    """Write the files; have systemd know, enable and start the service, where it answers.

    Raises:
        UsageError: the user has changed a file, or this Python finds the package only by chance.
        AssistantError: the service does not start.
    """
    files = files_for(wanted)
    if not force:
        refuse_changed(files)
    _check_importable()
    for file in files:
        found = file.condition()
        if found is Condition.CURRENT:
            tell(f"{file.path}: is as it should be")
        elif dry_run:
            tell(f"{file.path}: would be written ({found.value})")
        else:
            file.write()
            tell(f"{file.path}: written ({found.value} before)")
    if wanted.autostart:
        tell("the daemon starts with your next session; now: assistant serve")
    elif dry_run:
        tell("nothing was changed; 'assistant service show' prints the unit")
    elif manager.is_reachable():
        _start(start, tell)
    else:
        tell("no systemd manager of this user answers here (su, a container, no systemd?)")
        tell("in your own session: systemctl --user daemon-reload")
        tell(f"then: systemctl --user enable --now {unit.NAME}")
        tell("where there is no systemd: assistant service install --autostart")


def uninstall(force: bool, dry_run: bool, tell: Tell) -> None:
    """Stop the service and remove its files, all but those the user has changed.

    Raises:
        UsageError: the user has changed a file; nothing is done then.
    """
    files = [InstalledFile(path, "") for path in (unit_path(), autostart_path(), menu_path())]
    there = [file for file in files if file.condition() is not Condition.ABSENT]
    if not force:
        refuse_changed(there)
    stops = not dry_run and manager.is_reachable()
    if stops and files[0] in there:
        manager.systemctl("disable", "--now", unit.NAME, timeout_s=manager.START_TIMEOUT_S)
        tell(f"{unit.NAME}: stopped and disabled")
    for file in there:
        if not dry_run:
            file.path.unlink()
        tell(f"{file.path}: {'would be removed' if dry_run else 'removed'}")
    if stops and files[0] in there:
        manager.systemctl("daemon-reload")
    if not there:
        tell("nothing is installed")


def state() -> tuple[bool, list[str]]:
    """Whether the service runs; and for people, a line on each thing there is to know."""
    files = [InstalledFile(path, "") for path in (unit_path(), autostart_path(), menu_path())]
    lines = [f"{f.path}: {_presence(f)}" for f in files]
    try:
        found = manager.unit_state(unit.NAME)
    except ActionError as error:
        return False, [*lines, f"systemd: {error}"]
    lines.append(f"{unit.NAME}: {found.load}, {found.enabled or 'not enabled'}, {found.active}")
    if found.status:
        lines.append(f"it says: {found.status}")
    if found.result not in ("", "success"):
        lines.append(f"it failed ({found.result}): journalctl --user -u assistant -e")
    if found.must_reload:
        lines.append("its file has changed: systemctl --user daemon-reload")
    return found.active in ("active", "reloading"), lines


def _start(start: bool, tell: Tell) -> None:
    manager.systemctl("daemon-reload")
    manager.systemctl("reenable", unit.NAME)  # its target may be another now
    tell(f"{unit.NAME}: enabled")
    if start:
        try:
            manager.systemctl("restart", unit.NAME, timeout_s=manager.START_TIMEOUT_S)
        except ProgramTimeoutError:
            tell(f"{unit.NAME}: still starting (compiling commands?); assistant service status")
            return
        except ActionError as error:
            raise AssistantError(
                f"{unit.NAME} does not start ({error}); journalctl --user -u assistant -e says why"
            ) from error
        tell(f"{unit.NAME}: started")
    else:
        tell(f"to start it: systemctl --user start {unit.NAME}")
    tell("its log: journalctl --user -u assistant -f")
    tell("without anybody logged in, as on a server: loginctl enable-linger")


def _check_importable() -> None:
    """Raise UsageError unless the service's Python finds the package from any folder."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    try:
        run_to_end([sys.executable, "-P", "-c", "import assistant"], environment, 30.0)
    except ActionError as error:
        raise UsageError(
            f"{sys.executable} does not find assistant from elsewhere; install it there first: "
            f"{install_line()}"
        ) from error


def _headless(wanted: Wanted) -> bool:
    """As wanted; else unless a graphical session runs that systemd knows of."""
    if wanted.headless is not None:
        return wanted.headless
    try:
        return manager.unit_state("graphical-session.target").active != "active"
    except ActionError:
        return not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _namespaces(wanted: Wanted) -> bool:
    """As wanted; else as a trial says; where it cannot be tried, with them."""
    if wanted.namespaces is not None:
        return wanted.namespaces
    try:
        return manager.allows_namespaces()
    except ActionError:
        return True


def _presence(file: InstalledFile) -> str:
    match file.condition():
        case Condition.ABSENT:
            return "not there"
        case Condition.CHANGED:
            return "there, changed by somebody"
        case _:
            return "there"


def _folder(variable: str, inside_home: str) -> Path:
    """A folder of the XDG Base Directory Specification 0.8; relative ones are to be ignored."""
    named = os.environ.get(variable, "")
    return Path(named) if Path(named).is_absolute() else Path.home() / inside_home
