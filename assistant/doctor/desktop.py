"""The desktop session: programs that actions use, and services on D-Bus."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..actions.desktop import bus as dbus
from ..actions.desktop.active_window import why_no_active_window
from ..actions.desktop.keyboard import TOOLS
from ..actions.desktop.session import Session, session, session_name
from ..errors import ActionError
from .check import Check, good, skipped, warning

if TYPE_CHECKING:
    from dbus_fast.aio import MessageBus

TIMEOUT_S = 3.0
"""Seconds that the bus and each service may take."""

NOTIFICATIONS = "org.freedesktop.Notifications"
PORTAL = dbus.BusObject(
    "org.freedesktop.portal.Desktop", "/org/freedesktop/portal/desktop", dbus.PROPERTIES
)
WINDOW_TOOLS = {
    Session.X11: ("wmctrl", "xdotool", "xprop"),
    Session.SWAY: ("swaymsg",),
    Session.HYPRLAND: ("hyprctl",),
}
SHORTCUTS = "org.freedesktop.portal.GlobalShortcuts"


def check_desktop() -> Iterator[Check]:
    """Session, typing, volume, notifications, shortcuts; nothing where there is no session."""
    kind = session()
    if kind is Session.NONE:
        yield skipped("session", "none here (no DISPLAY, no WAYLAND_DISPLAY): actions on it fail")
        return
    yield good("session", session_name())
    yield _any_of("typing", TOOLS[kind], "type and press actions")
    yield _any_of("volume", ("wpctl", "pactl"), "volume actions")
    yield _any_of("opening", ("xdg-open", "gio"), "opening sites and files")
    if kind in (Session.X11, Session.SWAY, Session.HYPRLAND):
        yield _all_of("windows", WINDOW_TOOLS[kind], "window and workspace actions")
        why = why_no_active_window()
        known = "the active window is known"
        yield warning("contexts", why) if why else good("contexts", known)
    else:
        yield skipped("windows", "this compositor lets no program control windows")
    yield from _services()


def _any_of(name: str, programs: tuple[str, ...], purpose: str) -> Check:
    there = [program for program in programs if shutil.which(program)]
    if there:
        return good(name, ", ".join(there))
    listed = ", ".join(programs)
    remedy = f"install {' or '.join(programs)} for {purpose}"
    return warning(name, f"none of {listed}" if len(programs) > 1 else f"no {listed}", remedy)


def _all_of(name: str, programs: tuple[str, ...], purpose: str) -> Check:
    missing = [program for program in programs if not shutil.which(program)]
    if not missing:
        return good(name, ", ".join(programs))
    return warning(
        name, f"no {', '.join(missing)}", f"install {' and '.join(missing)} for {purpose}"
    )


def _services() -> Iterator[Check]:
    try:
        named, shortcuts = dbus.on_session_bus(_ask, 4 * TIMEOUT_S)
    except ActionError as error:
        yield warning("D-Bus", str(error))
        return
    yield good("D-Bus", "the session bus answers")
    if NOTIFICATIONS in named:
        yield good("notifications", "there is a service for them")
    else:
        remedy = "install a notification daemon (dunst, mako, …) to see results on the desktop"
        yield warning("notifications", "no service shows them", remedy)
    if shortcuts:
        yield good("shortcuts", f"portal GlobalShortcuts, version {shortcuts}")
    else:
        yield warning(
            "shortcuts",
            "no portal for global shortcuts",
            "install xdg-desktop-portal and your desktop's part of it (-gnome, -kde, -hyprland), "
            "or bind a key to 'assistant ctl talk' in the desktop's settings",
        )


async def _ask(bus: MessageBus) -> tuple[set[str], int]:
    """Names that are there or can be started; version of the portal for shortcuts, 0 for none."""
    lists = [
        dbus.call(bus, dbus.DAEMON, member, timeout_s=TIMEOUT_S)
        for member in ("ListNames", "ListActivatableNames")
    ]
    named = {str(name) for reply in await asyncio.gather(*lists) for name in reply.body[0]}
    if PORTAL.service not in named:
        return named, 0
    try:
        reply = await dbus.call(bus, PORTAL, "Get", "ss", SHORTCUTS, "version", timeout_s=TIMEOUT_S)
    except ActionError:
        return named, 0
    return named, int(reply.body[0].value)
