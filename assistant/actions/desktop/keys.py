"""Keys in one notation, and what each is called by the tools that press them.

A chord is written as people write it: `ctrl+shift+t`; several, one after the other, with a space
between them: `ctrl+k ctrl+s`. Keysyms are X11's names (keysymdef.h, XF86keysym.h), which xdotool,
wtype and dotool share; codes are Linux's (input-event-codes.h), of the place on a US keyboard.
"""

from __future__ import annotations

from dataclasses import dataclass

MODIFIERS = {
    "ctrl": ("ctrl", 29),
    "shift": ("shift", 42),
    "alt": ("alt", 56),
    "super": ("super", 125),
    "altgr": ("ISO_Level3_Shift", 100),
}
"""Modifiers: what xdotool calls them, and Linux's code."""

_LETTER_CODES = {
    **dict(zip("qwertyuiop", range(16, 26), strict=True)),
    **dict(zip("asdfghjkl", range(30, 39), strict=True)),
    **dict(zip("zxcvbnm", range(44, 51), strict=True)),
}
_FUNCTION_CODES = (*range(59, 69), 87, 88, *range(183, 195))

KEYS: dict[str, tuple[str, int]] = {
    **{letter: (letter, code) for letter, code in sorted(_LETTER_CODES.items())},
    **{digit: (digit, code) for digit, code in zip("1234567890", range(2, 12), strict=True)},
    **{f"f{n}": (f"F{n}", code) for n, code in enumerate(_FUNCTION_CODES, start=1)},
    "enter": ("Return", 28),
    "escape": ("Escape", 1),
    "tab": ("Tab", 15),
    "space": ("space", 57),
    "backspace": ("BackSpace", 14),
    "delete": ("Delete", 111),
    "insert": ("Insert", 110),
    "home": ("Home", 102),
    "end": ("End", 107),
    "page-up": ("Prior", 104),
    "page-down": ("Next", 109),
    "up": ("Up", 103),
    "down": ("Down", 108),
    "left": ("Left", 105),
    "right": ("Right", 106),
    "menu": ("Menu", 127),
    "print": ("Print", 99),
    "pause": ("Pause", 119),
    "caps-lock": ("Caps_Lock", 58),
    "minus": ("minus", 12),
    "equal": ("equal", 13),
    "left-bracket": ("bracketleft", 26),
    "right-bracket": ("bracketright", 27),
    "semicolon": ("semicolon", 39),
    "apostrophe": ("apostrophe", 40),
    "grave": ("grave", 41),
    "backslash": ("backslash", 43),
    "comma": ("comma", 51),
    "period": ("period", 52),
    "slash": ("slash", 53),
    "play-pause": ("XF86AudioPlay", 164),
    "next-track": ("XF86AudioNext", 163),
    "previous-track": ("XF86AudioPrev", 165),
    "stop": ("XF86AudioStop", 166),
    "mute": ("XF86AudioMute", 113),
    "volume-down": ("XF86AudioLowerVolume", 114),
    "volume-up": ("XF86AudioRaiseVolume", 115),
    "brightness-down": ("XF86MonBrightnessDown", 224),
    "brightness-up": ("XF86MonBrightnessUp", 225),
}
"""Every key there is a name for: its keysym, and Linux's code."""

LONGEST_SEQUENCE = 16
"""Chords at most that are pressed one after the other."""


@dataclass(frozen=True)
class Chord:
    """A key that is pressed while modifiers are held."""

    key: str
    """One of `KEYS`."""
    modifiers: tuple[str, ...] = ()
    """Of `MODIFIERS`."""

    def keysyms(self, prefix: str = "") -> str:
        """`ctrl+shift+t` with keysyms, as xdotool has it; dotool marks the key by a prefix."""
        return "+".join([*(MODIFIERS[m][0] for m in self.modifiers), prefix + KEYS[self.key][0]])

    def codes(self) -> list[int]:
        """Linux's codes, modifiers first."""
        return [*(MODIFIERS[m][1] for m in self.modifiers), KEYS[self.key][1]]


def parse_keys(text: str) -> list[Chord]:
    """The chords `text` says, in order.

    Raises:
        ValueError: one is no key, or a modifier alone or said twice; or there are too many.
    """
    chords = [_chord(written) for written in text.split()]
    if not 0 < len(chords) <= LONGEST_SEQUENCE:
        raise ValueError(f"key {text!r}: write 1 to {LONGEST_SEQUENCE} keys, a space between them")
    return chords


def _chord(written: str) -> Chord:
    *modifiers, key = written.lower().split("+")
    for modifier in modifiers:
        if modifier not in MODIFIERS or modifiers.count(modifier) > 1:
            known = ", ".join(MODIFIERS)
            raise ValueError(f"key {written!r}: before the key write one or more of {known}, once")
    if key not in KEYS:
        named = ", ".join(name for name in KEYS if len(name) > 3)
        raise ValueError(
            f"key {written!r}: there is no key {key!r}: write a letter, a digit, f1 to f24, tab, "
            f"end, up or one of {named}"
        )
    return Chord(key, tuple(modifiers))
