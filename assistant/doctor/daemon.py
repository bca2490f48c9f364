"""The daemon: whether it answers, and the unit that starts it."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

from ..daemon.ctl import default_socket
from ..errors import ActionError
from ..service import manager
from ..service.installation import autostart_path, unit_path
from ..service.unit import NAME
from .check import Check, fault, good, skipped, warning

TIMEOUT_S = 1.0
LINE_LIMIT = 65_536
"""Bytes of an answer that are read at most."""

RESTRICTION = Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")


def check_daemon() -> Iterator[Check]:
    """Control socket, unit, sandbox."""
    yield _control_socket(default_socket())
    if not shutil.which("systemctl"):
        yield skipped(
            "service", "there is no systemd here; 'assistant service install --autostart'"
        )
        return
    yield from _unit()


def _control_socket(path: str) -> Check:
    name = "control socket"
    if not path.startswith("/"):
        return skipped(name, f"{path}: is asked with a token ('assistant ctl status')")
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(TIMEOUT_S)
            connection.connect(path)
            connection.sendall(b'{"type": "status"}\n')
            with connection.makefile("rb") as lines:
                answer = json.loads(lines.readline(LINE_LIMIT))
        said = ", ".join(f"{k} {answer[k]}" for k in ("stage", "version", "microphone"))
    except (FileNotFoundError, ConnectionRefusedError):
        remedy = "assistant service install, or assistant serve by hand, if you want one"
        return warning(name, f"no daemon runs at {path}", remedy)
    except TimeoutError:
        remedy = "systemctl --user restart assistant; journalctl --user -u assistant says more"
        return fault(name, f"{path} does not answer within {TIMEOUT_S:g} s", remedy)
    except (OSError, ValueError, TypeError, KeyError) as error:
        return fault(name, f"{path}: {error!r}", "is it another program's? stop that one")
    return good(name, said)


def _unit() -> Iterator[Check]:
    if not unit_path().is_file():
        if autostart_path().is_file():
            yield good("service", f"started by {autostart_path()}")
        else:
            remedy = "assistant service install, if it shall start by itself"
            yield warning("service", "no unit is installed", remedy)
        return
    try:
        state = manager.unit_state(NAME)
    except ActionError as error:
        yield warning("service", f"systemd cannot be asked: {error}", "ask in your own session")
        return
    found = f"{state.load}, {state.enabled or 'not enabled'}, {state.active}"
    log = "journalctl --user -u assistant -e says why"
    if state.must_reload:
        yield warning("service", f"{found}; its file changed", "systemctl --user daemon-reload")
    elif state.active in ("active", "reloading", "activating"):
        yield good("service", found)
    elif state.active == "failed" or state.load not in ("loaded", "not-found"):
        yield fault("service", f"{found} ({state.result})", log)
    else:
        yield warning("service", found, f"systemctl --user enable --now {NAME}")
    yield from _sandbox()


def _sandbox() -> Iterator[Check]:
    """Ubuntu's AppArmor keeps the part of the sandbox that needs namespaces from being there."""
    uses = "\nPrivateUsers=yes" in unit_path().read_text(encoding="utf-8", errors="replace")
    restricted = RESTRICTION.is_file() and RESTRICTION.read_text(encoding="ascii").strip() == "1"
    if uses and restricted:
        yield warning(
            "sandbox",
            "AppArmor restricts namespaces: ProtectSystem= and InaccessiblePaths= do nothing",
            "assistant service install --no-namespaces makes the unit say so; "
            "the rest of the sandbox holds",
        )
    elif uses:
        yield good("sandbox", "with namespaces")
    else:
        yield good("sandbox", "without namespaces")
