"""Desktop entries: the assistant in the menu, and its start where no systemd does that.

Desktop Entry Specification 1.5 and Desktop Application Autostart Specification 0.5,
freedesktop.org.
"""

from __future__ import annotations

from collections.abc import Sequence

NAME = "assistant.desktop"


def menu_entry(program: Sequence[str]) -> str:
    """The entry of the menu: push-to-talk, and mute and reload as its actions.

    Desktops let the user bind a key to such an entry, which then is the key to talk.

    program: the command line of `assistant` itself.
    """
    return "\n".join(
        (
            "[Desktop Entry]",
            "Type=Application",
            "Version=1.5",
            "Name=Assistant: talk",
            "GenericName=Voice commands",
            "Comment=Listen to one command now (push to talk)",
            f"Exec={_exec([*program, 'ctl', 'talk', 'toggle'])}",
            "Icon=audio-input-microphone",
            "Terminal=false",
            "StartupNotify=false",
            "Categories=Utility;Accessibility;",
            "Keywords=voice;speech;microphone;",
            "Actions=mute;reload;",
            *_action("mute", "Mute, or hear again", [*program, "ctl", "mute"]),
            *_action("reload", "Reload configuration", [*program, "ctl", "reload"]),
            "",
        )
    )


def autostart_entry(daemon: Sequence[str]) -> str:
    """The entry that starts the daemon with the session, where the user's manager does not.

    daemon: the command line of `assistant serve`.
    """
    return "\n".join(
        (
            "[Desktop Entry]",
            "Type=Application",
            "Version=1.5",
            "Name=Assistant",
            "Comment=Voice commands on this machine",
            f"Exec={_exec(daemon)}",
            "Icon=audio-input-microphone",
            "Terminal=false",
            "NoDisplay=true",
            "",
        )
    )


def quoted(argument: str) -> str:
    """One argument of `Exec=`: always in quotes, no field codes, nothing expanded.

    Raises:
        ValueError: it holds a control character, which an entry cannot say.
    """
    if not argument.isprintable():
        raise ValueError(f"{argument!r} cannot stand in a desktop entry: rename it")
    text = "".join(f"\\{c}" if c in '"`$\\' else c for c in argument).replace("%", "%%")
    # Values of an entry have escapes of their own, which are undone before the quotes are read.
    return '"' + text.replace("\\", "\\\\") + '"'


def _exec(argv: Sequence[str]) -> str:
    return " ".join(map(quoted, argv))


def _action(key: str, name: str, argv: Sequence[str]) -> tuple[str, ...]:
    return ("", f"[Desktop Action {key}]", f"Name={name}", f"Exec={_exec(argv)}")
