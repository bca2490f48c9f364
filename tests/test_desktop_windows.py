"""`window`, `workspace` and the active window: real ones of openbox on an X server of the test's
own, and stand-ins for the programs of Sway and Hyprland."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from action_support import describe, mistake, perform
from desktop_support import (  # noqa: F401 - fixtures
    calls,
    ended,
    eventually,
    need,
    no_desktop_fixture,
    stand_in,
    x_server_fixture,
)

from assistant.actions import parse_policy
from assistant.actions.desktop.active_window import (
    ActiveWindow,
    active_window,
    why_no_active_window,
)
from assistant.actions.desktop.windows import WindowAction
from assistant.errors import ActionError
from assistant.types import ActionResult, ActionStatus


def output(*argv: str) -> str:
    """What a program says; it may fail, as one asked of a window that has just gone."""
    return subprocess.run(argv, check=False, capture_output=True, text=True).stdout


class Windows:
    """Windows of a real X server, with a window manager."""

    def __init__(self) -> None:
        self.processes: list[subprocess.Popen[bytes]] = []

    def open(self, application: str, title: str, instance: str = "xterm") -> None:
        command = ["xterm", "-u8", "-class", application, "-name", instance, "-T", title]
        command += ["-e", "sleep", "600"]
        environment = {**os.environ, "LC_ALL": "C.UTF-8"}
        process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        self.processes.append(process)
        eventually(lambda: self.state(application) is not None)
        eventually(lambda: (active_window() or ActiveWindow("", "")).application == application)

    def state(self, application: str) -> str | None:
        """What the window manager says of a window; None where there is none."""
        for line in output("wmctrl", "-l", "-x").splitlines():
            if line.split()[2].endswith(f".{application}"):
                return output("xprop", "-id", line.split()[0], "_NET_WM_STATE", "WM_STATE")
        return None

    def workspace(self) -> int:
        return int(output("xdotool", "get_desktop")) + 1


@pytest.fixture
def windows(x_server: str, tmp_path: Path) -> Iterator[Windows]:
    for program in ("openbox", "xterm", "wmctrl", "xdotool", "xprop"):
        need(program)
    environment = {**os.environ, "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    command = ["openbox", "--sm-disable"]
    with ended(subprocess.Popen(command, env=environment, **quiet)):  # type: ignore[call-overload]
        eventually(lambda: "#" in output("xprop", "-root", "_NET_CLIENT_LIST"))
        windows = Windows()
        try:
            yield windows
        finally:
            for process in windows.processes:
                process.kill()
                process.wait()


def done(rule: Any, **slots: Any) -> ActionResult:
    result = perform(rule, **slots)
    assert result.status is ActionStatus.DONE, result.description
    return result


def test_the_active_window_is_told(windows: Windows) -> None:
    assert why_no_active_window() == ""
    assert active_window() is None
    windows.open("Editor", 'a "b" \\c, é — 名')
    windows.open("Browser", "news")
    title = ["-f", "_NET_WM_NAME", "8u", "-set", "_NET_WM_NAME", 'q "é" \\']
    output("xprop", "-id", output("xdotool", "getactivewindow").strip(), *title)
    assert active_window() == ActiveWindow("Browser", 'q "é" \\', windows.processes[1].pid)
    done({"window": {"operation": "focus", "application": "editor"}})
    eventually(
        lambda: (
            active_window() == ActiveWindow("Editor", 'a "b" \\c, é — 名', windows.processes[0].pid)
        )
    )


def test_the_active_window_is_controlled(windows: Windows) -> None:
    windows.open("Editor", "x")
    for operation, state, is_so in (
        ("maximize", "_NET_WM_STATE_MAXIMIZED_VERT", True),
        ("restore", "_NET_WM_STATE_MAXIMIZED_VERT", False),
        ("fullscreen", "_NET_WM_STATE_FULLSCREEN", True),
        ("fullscreen", "_NET_WM_STATE_FULLSCREEN", False),
        ("minimize", "Iconic", True),
    ):
        done({"window": "{operation}"}, operation=operation)
        eventually(lambda s=state, i=is_so: (s in (windows.state("Editor") or "")) is i)


def test_the_active_window_and_no_other_is_closed(windows: Windows) -> None:
    windows.open("Editor", "x")
    windows.open("Browser", "x")
    done({"window": "close"})
    eventually(lambda: windows.state("Browser") is None)
    assert windows.state("Editor") is not None


def test_workspaces_are_switched(windows: Windows) -> None:
    assert windows.workspace() == 1
    for to, there in ((3, 3), ("next", 4), ("previous", 3), ("1", 1)):
        done({"workspace": "{to}"}, to=to)
        eventually(lambda number=there: windows.workspace() == number)
    assert "there is no workspace 9: there are 4" in perform({"workspace": 9}).description


def test_a_window_that_is_not_open_is_said(windows: Windows) -> None:
    windows.open("Editor", "x")
    rule = {"window": {"operation": "focus", "application": "{application}"}}
    assert perform(rule, application="Browser").description == (
        "test: no window of 'Browser' is open; there are: Editor"
    )


def test_a_window_is_found_by_the_name_it_has_as_the_active_one(windows: Windows) -> None:
    windows.open("Org.gnome.Nautilus", "x", instance="org.gnome.Nautilus")
    windows.open("Google-chrome", "x", instance="web.example.org")
    rule = {"window": {"operation": "focus", "application": "{application}"}}
    for wanted, application in (
        ("Org.gnome.Nautilus", "Org.gnome.Nautilus"),
        ("Google-chrome", "Google-chrome"),
        ("Nautilus", "Org.gnome.Nautilus"),
    ):
        done(rule, application=wanted)
        eventually(lambda a=application: (active_window() or ActiveWindow("", "")).application == a)
    result = perform(rule, application="x")
    assert result.description.endswith("there are: Google-chrome, Org.gnome.Nautilus")


@pytest.fixture
def sway(no_desktop: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-1")
    monkeypatch.setenv("SWAYSOCK", "/run/sway")
    editor = {"id": 7, "pid": 70, "app_id": "org.gnome.Editor", "name": "x", "focused": False}
    browser = {"id": 8, "pid": 80, "app_id": None, "name": 'a "b"', "focused": True}
    browser["window_properties"] = {"class": "Firefox"}
    tree = {"nodes": [{"id": 1, "nodes": [editor], "floating_nodes": [browser]}]}
    stand_in(tmp_path, "swaymsg", f"[ $1 = -- ] || echo '{json.dumps(tree)}'")
    return tmp_path / "swaymsg.log"


def test_sway_is_told(sway: Path) -> None:
    done({"window": "close"})
    done({"window": "fullscreen"})
    done({"workspace": "previous"})
    done({"workspace": 3})
    assert calls(sway) == [
        "--|kill",
        "--|fullscreen toggle",
        "--|workspace prev",
        "--|workspace number 3",
    ]
    assert "Sway has no 'maximize': it tiles" in perform({"window": "maximize"}).description


def test_a_name_never_becomes_a_command_of_sway(sway: Path) -> None:
    rule = {"window": {"operation": "focus", "application": "{application}"}}
    done(rule, application="editor")
    assert calls(sway)[-1] == "--|[con_id=7] focus"
    result = perform(rule, application='"] exec xterm; ["')
    assert result.status is ActionStatus.FAILED
    assert not [call for call in calls(sway) if "exec" in call]


def test_no_other_window_is_closed_than_the_one_that_is_named(sway: Path) -> None:
    rule = {"window": {"operation": "{operation}", "application": "{application}"}}
    for operation, application in (("close", "firefox"), ("focus", "")):
        asked = perform({**rule, "confirm": "always"}, operation=operation, application=application)
        assert asked.status is ActionStatus.FAILED  # before a question that would promise it
        assert asked.description.startswith(
            f"test: window operation '{operation}' of application '{application}': "
            "'focus' has an application, and it alone"
        )
        window = WindowAction("{operation}", "{application}")
        with pytest.raises(ActionError, match="'focus' has an application, and it alone"):
            window.perform({"operation": operation, "application": application})
    assert calls(sway) == []
    done(rule, operation="close", application="")
    done(rule, operation="focus", application="firefox")
    assert calls(sway)[0] == "--|kill"
    assert calls(sway)[-1] == "--|[con_id=8] focus"


def test_sway_tells_the_active_window(sway: Path) -> None:
    assert active_window() == ActiveWindow("Firefox", 'a "b"', 80)


@pytest.fixture
def hyprland(no_desktop: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-1")
    monkeypatch.setenv("HYPRLAND_INSTANCE_SIGNATURE", "abc")
    client = {"address": "0x55", "class": "kitty", "title": "~", "pid": 42}
    stand_in(
        tmp_path,
        "hyprctl",
        f"""case "$*" in
            clients*) echo '[{json.dumps(client)}]';;
            activewindow*) echo '{json.dumps(client)}';;
            *99) echo 'Invalid workspace';;
            *) echo ok;;
        esac""",
    )
    return tmp_path / "hyprctl.log"


def test_hyprland_is_told_and_believed_only_when_it_says_ok(hyprland: Path) -> None:
    done({"window": "minimize"})
    done({"window": {"operation": "focus", "application": "kitty"}})
    done({"workspace": "next"})
    assert [call for call in calls(hyprland) if call.startswith("dispatch")] == [
        "dispatch|movetoworkspacesilent|special:minimized",
        "dispatch|focuswindow|address:0x55",
        "dispatch|workspace|e+1",
    ]
    result = perform({"workspace": 99})
    assert result.description == "test: Hyprland did not do it: Invalid workspace"
    assert active_window() == ActiveWindow("kitty", "~", 42)


def test_a_session_that_does_not_allow_it_says_so(
    no_desktop: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "there is no desktop session" in perform({"window": "close"}).description
    assert "there is no desktop session" in why_no_active_window()
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    monkeypatch.setenv("DISPLAY", ":0")  # XWayland
    monkeypatch.setenv("XDG_CURRENT_DESKTOP", "ubuntu:GNOME")
    for rule in ({"window": "close"}, {"workspace": 2}):
        assert "GNOME on Wayland lets no program see or control" in perform(rule).description
    assert active_window() is None
    assert "GNOME on Wayland lets no program" in why_no_active_window()


def test_a_missing_program_is_said(
    no_desktop: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("DISPLAY", ":99")
    assert "program 'wmctrl' was not found: install it" in perform({"window": "close"}).description
    assert why_no_active_window() == "X11: which window is active is asked of xprop: install it"
    assert active_window() is None
    stand_in(tmp_path, "xprop", "exec /bin/sleep 60")
    assert active_window(timeout_s=0.1) is None


def test_they_are_described() -> None:
    assert describe({"window": "close"}) == "close the active window"
    rule = {"window": {"operation": "focus", "application": "{name}"}}
    assert describe(rule, name="firefox") == "focus firefox"
    rule = {"window": {"operation": "{what}", "application": "{name}"}}
    (written,) = parse_policy({"intents": {"test": rule}}, "policy.yaml").rules["test"]
    assert written.summary() == "window: {what} {name}"
    assert describe({"workspace": "{n}"}, n=2.0) == "go to workspace 2"


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"window": "shred"}, "window operation 'shred': write one of close, minimize"),
        ({"window": "focus"}, "'focus' has an application, and it alone"),
        ({"window": {"operation": "close", "application": "a"}}, "'focus' has an application"),
        ({"window": {"operation": "close", "timeout_s": 0}}, "timeout_s is 0"),
        ({"workspace": "left"}, "workspace 'left': write next, previous or 1 to 99"),
        ({"workspace": 0}, "workspace '0': write next"),
        ({"workspace": -1}, "workspace '-1': write next"),
        ({"workspace": [1]}, "workspace '[1]': write next"),
    ],
)
def test_mistakes_are_explained(rule: Any, message: str) -> None:
    assert message in mistake(rule)
