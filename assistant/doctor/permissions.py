"""What this user may reach: the sound, the runtime folder, the keyboard of others."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

from .check import Check, fault, good, skipped, warning

CONNECT_TIMEOUT_S = 1.0

DEVICES = Path("/dev")


def check_permissions() -> Iterator[Check]:
    """Each, where it applies to this system."""
    if not sys.platform.startswith("linux"):
        yield skipped("permissions", f"those of {sys.platform} are in its settings: microphone")
        return
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    yield _runtime_folder(runtime)
    yield _sound(runtime)
    yield _keyboard()


def _runtime_folder(named: str) -> Check:
    """XDG Base Directory Specification 0.8: the user's own, of mode 0700."""
    name = "runtime folder"
    if not named:
        remedy = "log in by a session of your own (not su); over ssh: loginctl enable-linger"
        return warning(name, "XDG_RUNTIME_DIR is not set: sockets lie in /tmp", remedy)
    try:
        status = Path(named).stat()
    except OSError as error:
        return fault(name, f"{named}: {error.strerror}", "log in anew; without sudo or su")
    mode = stat.S_IMODE(status.st_mode)
    if status.st_uid != os.getuid():
        return fault(name, f"{named} is another user's", "log in anew; without sudo or su")
    if mode & 0o077:
        return fault(name, f"{named} is open to others (mode {mode:04o})", f"chmod 700 {named}")
    return good(name, f"{named}, yours alone")


def _sound(runtime: str) -> Check:
    name = "sound server"
    sockets = {
        "PipeWire": Path(os.environ.get("PIPEWIRE_RUNTIME_DIR", runtime)) / "pipewire-0",
        "PulseAudio": Path(runtime) / "pulse" / "native",
    }
    refused = []
    for server, path in sockets.items():
        if not path.is_absolute() or not path.exists():
            continue
        if reason := _refusal(path):
            refused.append(f"{server} at {path}: {reason}")
        else:
            return good(name, f"{server} answers at {path}")
    if refused:
        remedy = "systemctl --user restart pipewire wireplumber pipewire-pulse (or pulseaudio)"
        return fault(name, "; ".join(refused), remedy)
    recorders = sorted((DEVICES / "snd").glob("pcm*c"))
    if not recorders:
        return warning(
            name,
            "none, and the kernel has no device that records",
            "plug a microphone in; in a container or over ssh there may be none",
        )
    if any(os.access(path, os.R_OK | os.W_OK) for path in recorders):
        return good(name, f"none; {recorders[0]} is open to you directly (ALSA)")
    return fault(
        name,
        f"none, and you may not open {recorders[0]}",
        "sudo usermod -aG audio $USER, then log in anew; or install pipewire",
    )


def _keyboard() -> Check:
    """dotool and ydotool press keys through the kernel."""
    name = "/dev/uinput"
    users = [program for program in ("dotool", "ydotoold") if shutil.which(program)]
    if not users:
        return skipped(name, "neither dotool nor ydotool is installed, which would need it")
    if os.access(DEVICES / "uinput", os.W_OK):
        return good(name, f"{' and '.join(users)} may press keys")
    return warning(
        name,
        f"{' and '.join(users)} may not press keys: it is not open to you",
        "sudo usermod -aG input $USER, then log in anew; and a rule of udev: "
        'KERNEL=="uinput", GROUP="input", MODE="0660"',
    )


def _refusal(path: Path) -> str:
    """Why a unix socket does not answer; empty where it does."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(CONNECT_TIMEOUT_S)
            connection.connect(str(path))
    except OSError as error:
        return error.strerror or str(error)
    return ""
