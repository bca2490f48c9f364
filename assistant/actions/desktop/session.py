"""The desktop session the assistant runs in: what it is, and what its programs are given."""

from __future__ import annotations

import os
from enum import Enum

from ..environment import variables
from ..process import DEFAULT_ENVIRONMENT

DESKTOP_ENVIRONMENT = (
    *DEFAULT_ENVIRONMENT,
    *("LC_ALL", "LC_CTYPE", "LC_MESSAGES", "LANGUAGE", "SHELL", "LOGNAME", "DESKTOP_SESSION"),
    *("XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_CONFIG_DIRS", "XDG_CACHE_HOME", "XDG_STATE_HOME"),
    *("XDG_SESSION_TYPE", "XDG_SESSION_ID", "XDG_SEAT", "XMODIFIERS", "GTK_IM_MODULE"),
    *("QT_IM_MODULE", "QT_QPA_PLATFORM", "QT_QPA_PLATFORMTHEME", "GTK_THEME", "SSH_AUTH_SOCK"),
    *("SWAYSOCK", "I3SOCK", "HYPRLAND_INSTANCE_SIGNATURE", "YDOTOOL_SOCKET"),
    *("DOTOOL_XKB_LAYOUT", "DOTOOL_XKB_VARIANT", "PULSE_SERVER", "PIPEWIRE_RUNTIME_DIR"),
)
"""Variables the programs of the desktop are given (those that are set), and no others: a token for
another action is not among them."""


class Session(Enum):
    """What kind of desktop session it is."""

    X11 = "X11"
    SWAY = "Sway"
    HYPRLAND = "Hyprland"
    WAYLAND = "Wayland"
    """Another compositor, such as that of GNOME or KDE, which lets no program control windows."""
    NONE = "no desktop session"


def session() -> Session:
    """The session of this process, from the variables that sessions set."""
    if os.environ.get("WAYLAND_DISPLAY") or not os.environ.get("DISPLAY"):
        if os.environ.get("SWAYSOCK"):
            return Session.SWAY
        if os.environ.get("HYPRLAND_INSTANCE_SIGNATURE"):
            return Session.HYPRLAND
        return Session.WAYLAND if os.environ.get("WAYLAND_DISPLAY") else Session.NONE
    return Session.X11


def session_name() -> str:
    """The session for people, such as "GNOME on Wayland"."""
    kind = session()
    desktop = os.environ.get("XDG_CURRENT_DESKTOP", "").rpartition(":")[2]
    return f"{desktop} on Wayland" if kind is Session.WAYLAND and desktop else kind.value


def desktop_environment() -> dict[str, str]:
    """Name and value of those of `DESKTOP_ENVIRONMENT` that are set."""
    return variables(DESKTOP_ENVIRONMENT)
