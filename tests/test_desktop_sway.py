"""Keys, text, windows, workspaces and the active window in a real Sway, which has no screen."""

from __future__ import annotations

import os
import pwd
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from action_support import perform
from desktop_support import (  # noqa: F401 - fixtures
    ended,
    eventually,
    need,
    no_desktop_fixture,
)

from assistant.actions.desktop.active_window import ActiveWindow, active_window
from assistant.types import ActionStatus

CONFIG = """\
output HEADLESS-1 resolution 640x480
exec foot --app-id=writing sh -c 'cat > typed'
"""


@pytest.fixture
def sway(no_desktop: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of a running Sway, which is the session's; `typed` has what is typed there."""
    for program in ("sway", "foot", "wtype"):
        need(program)
    with tempfile.TemporaryDirectory(prefix="sway") as name:
        folder = Path(name)
        (folder / "config").write_text(CONFIG)
        argv = ["sway", "--config", "config"]
        if os.geteuid() == 0:  # which Sway refuses
            nobody = pwd.getpwnam("nobody")
            os.chown(folder, nobody.pw_uid, nobody.pw_gid)
            argv = [
                "setpriv",
                "--reuid=nobody",
                f"--regid={nobody.pw_gid}",
                "--clear-groups",
                *argv,
            ]
        headless = {"WLR_BACKENDS": "headless", "WLR_RENDERER": "pixman"}
        environment = {
            **os.environ,
            **headless,
            "WLR_LIBINPUT_NO_DEVICES": "1",
            "XDG_RUNTIME_DIR": name,
            "HOME": name,
            "LC_ALL": "C.UTF-8",
        }
        quiet = subprocess.DEVNULL
        compositor = subprocess.Popen(argv, cwd=name, env=environment, stdout=quiet, stderr=quiet)
        with ended(compositor):
            eventually(lambda: list(folder.glob("sway-ipc.*.sock")))
            (socket,) = folder.glob("sway-ipc.*.sock")
            monkeypatch.setenv("SWAYSOCK", str(socket))
            monkeypatch.setenv("XDG_RUNTIME_DIR", name)
            monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-1")
            eventually(lambda: application() == "writing")
            yield folder


def application() -> str:
    return (active_window() or ActiveWindow("", "")).application


def done(kind: str, what: object) -> None:
    result = perform({kind: what})
    assert result.status is ActionStatus.DONE, result.description


def test_text_and_keys_arrive(sway: Path) -> None:
    done("type", "hello wörld 42, não")
    done("key", "enter")
    done("type", "second")
    done("key", "backspace enter")
    expected = "hello wörld 42, não\nsecon\n"
    eventually(lambda: (sway / "typed").read_text(encoding="utf-8") == expected)
    done("key", "ctrl+d")  # the end of what `cat` reads
    eventually(lambda: application() == "")


def test_windows_and_workspaces(sway: Path) -> None:
    # By default foot starts the user's shell, and that of `nobody` ends at once.
    subprocess.run(
        ["swaymsg", "exec", "foot --app-id=other sleep 60"], check=True, capture_output=True
    )
    eventually(lambda: application() == "other")
    done("window", {"operation": "focus", "application": "Writing"})
    assert application() == "writing"
    done("workspace", 3)
    assert application() == ""  # nothing is there
    done("workspace", 1)
    assert application() == "writing"
    done("window", "close")
    eventually(lambda: application() == "other")
    refused = perform({"window": "maximize"})
    assert "Sway has no 'maximize'" in refused.description
