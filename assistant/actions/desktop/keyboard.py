"""The keyboard, as programs press it: dotool, wtype, ydotool or xdotool, whichever works here."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence
from functools import partial

from ...errors import ActionError
from .keys import Chord
from .programs import first_that_works, run
from .session import Session, session, session_name

TOOLS = {
    Session.X11: ("xdotool", "dotool", "ydotool"),
    Session.SWAY: ("wtype", "dotool", "ydotool"),
    Session.HYPRLAND: ("wtype", "dotool", "ydotool"),
    Session.WAYLAND: ("dotool", "ydotool", "wtype"),
    Session.NONE: ("dotool", "ydotool"),
}
"""What can press keys in a session, the best first. xdotool knows X11 alone, and on Wayland says
nothing where it reaches no window. wtype needs the protocol of virtual keyboards, which GNOME and
KDE lack. dotool and ydotool need a rule of udev that lets the user write to /dev/uinput."""

_WTYPE_MODIFIERS = {"ctrl": "ctrl", "shift": "shift", "alt": "alt", "super": "logo"}
_WTYPE_WAITS = ("-s", "50")
"""Milliseconds until Sway has made wtype's keyboard known. Without them one lone key in four is
lost right after another wtype has ended."""


class Keyboard:
    """Presses keys and types text with the program that works, and remembers which it was."""

    def __init__(self) -> None:
        self._works: dict[tuple[Session, str], str] = {}
        self._lock = threading.Lock()

    def press(self, chords: Sequence[Chord], timeout_s: float) -> None:
        """Press each chord, one after the other.

        Raises:
            ActionError: no program works; with what was tried and why each did not.
        """
        self._with_tool("pressing keys", {n: partial(f, chords, timeout_s) for n, f in _PRESS})

    def type(self, text: str, timeout_s: float) -> None:
        """Type `text`, one line, into what has the focus.

        Raises:
            ActionError: no program works; with what was tried and why each did not.
        """
        self._with_tool("typing", {name: partial(f, text, timeout_s) for name, f in _TYPE})

    def _with_tool(self, what: str, uses: dict[str, Callable[[], str]]) -> None:
        kind = session()
        with self._lock:  # two texts at once would be mixed, letter by letter
            remembered = self._works.get((kind, what), "")
            tools = sorted(TOOLS[kind], key=lambda tool: tool != remembered)
            where = f"{what} in this session ({session_name()})"
            self._works[kind, what], _ = first_that_works(where, [(t, uses[t]) for t in tools])


KEYBOARD = Keyboard()
"""The one there is."""


def _xdotool_press(chords: Sequence[Chord], timeout_s: float) -> str:
    keys = [chord.keysyms() for chord in chords]
    return run(["xdotool", "key", "--clearmodifiers", *keys], timeout_s)


def _dotool_press(chords: Sequence[Chord], timeout_s: float) -> str:
    names = [chord.keysyms(prefix="x:") for chord in chords]
    lines = [f"key {name.replace('ISO_Level3_Shift', 'altgr')}\n" for name in names]
    return run(["dotool"], timeout_s, given="".join(lines))


def _ydotool_press(chords: Sequence[Chord], timeout_s: float) -> str:
    events = []
    for codes in (chord.codes() for chord in chords):
        events += [f"{code}:1" for code in codes] + [f"{code}:0" for code in reversed(codes)]
    return run(["ydotool", "key", *events], timeout_s)


def _wtype_press(chords: Sequence[Chord], timeout_s: float) -> str:
    arguments = []
    for chord in chords:
        modifiers = [_WTYPE_MODIFIERS.get(m, m) for m in chord.modifiers]
        arguments += [word for m in modifiers for word in ("-M", m)]
        arguments += ["-k", Chord(chord.key).keysyms()]
        arguments += [word for m in reversed(modifiers) for word in ("-m", m)]
    return run(["wtype", *_WTYPE_WAITS, *arguments], timeout_s)


def _xdotool_type(text: str, timeout_s: float) -> str:
    """A letter that no key of the layout has gets one for the time of its press.

    A program under load may look only after that; hence more milliseconds for those.
    """
    for piece in re.findall(r"[ -~]+|[^ -~]+", text):
        delay_ms = "12" if piece.isascii() else "50"
        options = ["--clearmodifiers", "--delay", delay_ms, "--file", "-"]
        run(["xdotool", "type", *options], timeout_s, given=piece)
    return ""


def _dotool_type(text: str, timeout_s: float) -> str:
    return run(["dotool"], timeout_s, given=f"type {text}\n")


def _ydotool_type(text: str, timeout_s: float) -> str:
    if not text.isascii():
        raise ActionError("it types letters of ASCII only")
    return run(["ydotool", "type", "--file", "-"], timeout_s, given=text)


def _wtype_type(text: str, timeout_s: float) -> str:
    return run(["wtype", *_WTYPE_WAITS, "-"], timeout_s, given=text)


_PRESS = (
    ("xdotool", _xdotool_press),
    ("dotool", _dotool_press),
    ("ydotool", _ydotool_press),
    ("wtype", _wtype_press),
)
_TYPE = (
    ("xdotool", _xdotool_type),
    ("dotool", _dotool_type),
    ("ydotool", _ydotool_type),
    ("wtype", _wtype_type),
)
