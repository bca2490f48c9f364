"""Window managers: what each is asked and told, by the program that speaks to it.

X11's are told through wmctrl and xdotool (EWMH 1.5) and asked through xprop; Sway through swaymsg,
Hyprland through hyprctl.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from ...errors import ActionError
from .programs import run
from .session import Session, session, session_name


@dataclass(frozen=True)
class Window:
    """A window: its identifier, the application it belongs to, its title and process."""

    identifier: str
    application: str
    """`app_id` on Wayland; WM_CLASS on X11."""
    title: str = ""
    pid: int | None = None


class X11:
    """Any window manager of X11 that follows EWMH."""

    asked = "xprop"
    """The program that tells which window is active."""

    def operations(self, timeout_s: float) -> Mapping[str, Callable[[], str]]:
        """What can be done to the active window."""

        def wmctrl(*arguments: str) -> Callable[[], str]:
            return partial(run, ["wmctrl", *arguments], timeout_s)

        state = partial(wmctrl, "-r", ":ACTIVE:", "-b")
        return {
            "close": wmctrl("-c", ":ACTIVE:"),
            "minimize": partial(run, ["xdotool", "getactivewindow", "windowminimize"], timeout_s),
            "maximize": state("add,maximized_vert,maximized_horz"),
            "restore": state("remove,maximized_vert,maximized_horz"),
            "fullscreen": state("toggle,fullscreen"),
        }

    def focus(self, window: Window, timeout_s: float) -> None:
        """Bring `window` to the front, its workspace too."""
        run(["wmctrl", "-i", "-a", window.identifier], timeout_s)

    def switch(self, workspace: str, timeout_s: float) -> None:
        """Go to a workspace: `next`, `previous`, or its number from 1."""
        if not workspace.isdecimal():
            step = ["1"] if workspace == "next" else ["--", "-1"]
            run(["xdotool", "set_desktop", "--relative", *step], timeout_s)
            return
        count = int(run(["xdotool", "get_num_desktops"], timeout_s).strip() or 0)
        if int(workspace) > count:  # a window manager would say nothing
            raise ActionError(f"there is no workspace {workspace}: there are {count}")
        run(["xdotool", "set_desktop", str(int(workspace) - 1)], timeout_s)  # X11 counts from 0

    def windows(self, timeout_s: float) -> Iterable[Window]:
        """Every window, the oldest first."""
        # wmctrl lists them too, but with a dot between instance and class, which both may hold.
        root = run(["xprop", "-root", "-notype", "_NET_CLIENT_LIST"], timeout_s)
        for identifier in re.findall("0x[0-9a-f]+", root):
            with suppress(ActionError):  # closed since
                yield self._window(identifier, timeout_s)

    def active(self, timeout_s: float) -> Window | None:
        """The window that has the focus; None where none has."""
        root = run(["xprop", "-root", "-notype", "_NET_ACTIVE_WINDOW"], timeout_s)
        match = re.search(r"# (0x[0-9a-f]+)", root)
        if match is None or int(match[1], 16) == 0:
            return None
        return self._window(match[1], timeout_s)

    @staticmethod
    def _window(identifier: str, timeout_s: float) -> Window:
        names = ["WM_CLASS", "_NET_WM_NAME", "WM_NAME", "_NET_WM_PID"]
        said = run(["xprop", "-id", identifier, *names], timeout_s)
        values = {m[1]: m for m in re.finditer(r"^(\w+)\((\w+)\) = (.*)$", said, re.MULTILINE)}
        classes = _x_strings(values.get("WM_CLASS"))
        titles = _x_strings(values.get("_NET_WM_NAME")) or _x_strings(values.get("WM_NAME"))
        pid = values["_NET_WM_PID"][3] if "_NET_WM_PID" in values else ""
        return Window(
            identifier,
            classes[-1] if classes else "",
            titles[0] if titles else "",
            int(pid) if pid.isdecimal() else None,
        )


class Sway:
    """Sway, a tiling compositor: it has no maximised windows; minimised go to the scratchpad."""

    asked = "swaymsg"

    def operations(self, timeout_s: float) -> Mapping[str, Callable[[], str]]:
        """What can be done to the active window."""
        commands = {
            "close": "kill",
            "minimize": "move scratchpad",
            "restore": "scratchpad show",
            "fullscreen": "fullscreen toggle",
        }
        return {name: partial(self._tell, text, timeout_s) for name, text in commands.items()}

    def focus(self, window: Window, timeout_s: float) -> None:
        """Give `window` the focus, on its workspace."""
        self._tell(f"[con_id={window.identifier}] focus", timeout_s)

    def switch(self, workspace: str, timeout_s: float) -> None:
        """Go to a workspace: `next`, `previous`, or its number."""
        words = {"next": "next", "previous": "prev"}
        self._tell(f"workspace {words.get(workspace, f'number {workspace}')}", timeout_s)

    def windows(self, timeout_s: float) -> Iterable[Window]:
        """Every window."""
        return [window for window, _ in self._tree(timeout_s)]

    def active(self, timeout_s: float) -> Window | None:
        """The window that has the focus; None where none has."""
        return next((window for window, focused in self._tree(timeout_s) if focused), None)

    def _tree(self, timeout_s: float) -> Iterable[tuple[Window, bool]]:
        waiting = [_json(["swaymsg", "--raw", "-t", "get_tree"], timeout_s)]
        while waiting:
            node = waiting.pop()
            waiting += [*node.get("nodes", ()), *node.get("floating_nodes", ())]
            if node.get("pid"):
                x11 = node.get("window_properties") or {}
                application = node.get("app_id") or x11.get("class") or ""
                title = node.get("name") or ""
                window = Window(str(int(node["id"])), application, title, node["pid"])
                yield window, bool(node.get("focused"))

    def _tell(self, command: str, timeout_s: float) -> str:
        return run(["swaymsg", "--", command], timeout_s)


class Hyprland:
    """Hyprland, a tiling compositor: minimised windows go to a special workspace."""

    asked = "hyprctl"

    def operations(self, timeout_s: float) -> Mapping[str, Callable[[], str]]:
        """What can be done to the active window."""
        dispatched = {
            "close": ("killactive",),
            "minimize": ("movetoworkspacesilent", "special:minimized"),
            "restore": ("togglespecialworkspace", "minimized"),
            "maximize": ("fullscreen", "1"),
            "fullscreen": ("fullscreen", "0"),
        }
        return {n: partial(self._dispatch, words, timeout_s) for n, words in dispatched.items()}

    def focus(self, window: Window, timeout_s: float) -> None:
        """Give `window` the focus, on its workspace."""
        self._dispatch(("focuswindow", f"address:{window.identifier}"), timeout_s)

    def switch(self, workspace: str, timeout_s: float) -> None:
        """Go to a workspace: `next`, `previous`, or its number."""
        words = {"next": "e+1", "previous": "e-1"}
        self._dispatch(("workspace", words.get(workspace, workspace)), timeout_s)

    def windows(self, timeout_s: float) -> Iterable[Window]:
        """Every window."""
        return [self._window(client) for client in _json(["hyprctl", "clients", "-j"], timeout_s)]

    def active(self, timeout_s: float) -> Window | None:
        """The window that has the focus; None where none has."""
        client = _json(["hyprctl", "activewindow", "-j"], timeout_s)
        return self._window(client) if client else None

    @staticmethod
    def _window(client: Mapping[str, Any]) -> Window:
        return Window(client["address"], client["class"], client["title"], client.get("pid"))

    def _dispatch(self, words: tuple[str, ...], timeout_s: float) -> str:
        said = run(["hyprctl", "dispatch", *words], timeout_s).strip()
        if said != "ok":  # hyprctl ends with status 0 whatever happens
            raise ActionError(f"Hyprland did not do it: {said}")
        return ""


WindowManager = X11 | Sway | Hyprland

WINDOW_MANAGERS: Mapping[Session, WindowManager] = {
    Session.X11: X11(),
    Session.SWAY: Sway(),
    Session.HYPRLAND: Hyprland(),
}
"""Those that let a program control windows; GNOME's and KDE's on Wayland do not."""


def window_manager() -> WindowManager:
    """The window manager of this session.

    Raises:
        ActionError: it lets no program control windows, or there is no session.
    """
    kind = session()
    if manager := WINDOW_MANAGERS.get(kind):
        return manager
    if kind is Session.NONE:
        raise ActionError(
            "there is no desktop session (neither DISPLAY nor WAYLAND_DISPLAY is set): start the "
            "assistant in it"
        )
    raise ActionError(
        f"{session_name()} lets no program see or control windows and workspaces; log in to a "
        "session of X11, Sway or Hyprland for that, or use the keys of your desktop with 'key'"
    )


def _json(argv: list[str], timeout_s: float) -> Any:
    said = run(argv, timeout_s)
    try:
        return json.loads(said)
    except ValueError as error:
        raise ActionError(f"'{argv[0]}' said {said[:80]!r}, which is no JSON") from error


def _x_strings(printed: re.Match[str] | None) -> list[str]:
    r"""The strings in what xprop prints: quoted, a comma between, bytes beyond ASCII as `\303`.

    Groups 2 and 3 are type and value. Text of the type COMPOUND_TEXT, one string, is not escaped.
    """
    if printed is None:
        return []
    if printed[2] == "COMPOUND_TEXT":
        return [printed[3][1:-1]]

    def plain(match: re.Match[str]) -> bytes:
        return bytes([int(match[1], 8) & 0xFF]) if match[1] else match[2].encode()

    strings = []
    for quoted in re.findall(r'"((?:[^"\\]|\\.)*)"', printed[3]):
        pieces = re.finditer(r"\\([0-7]{3})|\\?(.)", quoted, re.DOTALL)
        strings.append(b"".join(map(plain, pieces)).decode(errors="replace"))
    return strings
