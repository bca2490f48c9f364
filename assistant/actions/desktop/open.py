"""`open`: an application, or an address in the program the user opens such addresses with."""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from ...errors import ActionError
from ..placeholders import Slots, expand, placeholders, without_placeholders
from ..process import start_detached
from .applications import APPLICATION_NAME, find_application
from .programs import first_that_works
from .session import desktop_environment

SCHEMES = ("http", "https", "file", "mailto")
"""What an address may begin with; others, such as `ssh:` or a program's own, may do anything."""

_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(.*)", re.DOTALL)


@dataclass(frozen=True)
class OpenAction:
    """Open an application by the name of its .desktop file, or an address (`SCHEMES`).

    Which application or site it is never comes from what was said: a slot that is the target must
    be in the `map` of the rule. Within an address a slot is one percent-encoded piece of what
    follows the host.
    """

    target: str
    """`firefox`, `https://…/{slot}` or `{slot}`."""

    def __post_init__(self) -> None:
        if _ADDRESS.match(self.target):
            _check_address(self.target, ValueError)
        elif not placeholders(self.target) and not APPLICATION_NAME.fullmatch(self.target):
            raise ValueError(
                f"{self.target!r}: write the name of a .desktop file, such as firefox, or an "
                f"address that begins with one of {', '.join(SCHEMES)}"
            )

    def templates(self) -> Iterable[str]:
        """See `Action`."""
        return (self.target,)

    def slots_to_map(self) -> Iterable[str]:
        """The slots that choose what is opened, whose values the author of the policy lists."""
        return () if _ADDRESS.match(self.target) else placeholders(self.target)

    def describe(self, slots: Slots) -> str:
        """What is opened."""
        return f"open {self._filled(slots)}"

    def perform(self, slots: Slots) -> str:
        """Open it; what it shows stays open."""
        target = self._filled(slots)
        if not _ADDRESS.match(target):
            application = find_application(target.removesuffix(".desktop"))
            start_detached(application.argv, desktop_environment(), application.folder)
            return ""
        _check_address(target, ActionError)
        attempts = [["xdg-open", target], ["gio", "open", target]]
        first_that_works(
            f"opening {target}", [(argv[0], partial(_start, argv)) for argv in attempts]
        )
        return ""

    def _filled(self, slots: Slots) -> str:
        """The target with slot values in place.

        Raises:
            ActionError: a slot is absent, or its value would be `.` or `..` in the path.
        """
        if not _ADDRESS.match(self.target):
            return expand(self.target, slots)
        address = expand(self.target, slots, encode=lambda text: urllib.parse.quote(text, safe=""))
        if {".", ".."} & set(urllib.parse.urlsplit(address).path.split("/")):
            raise ActionError(f"{address} has '.' or '..' in its path, which leads elsewhere")
        return address


def _start(argv: list[str]) -> str:
    start_detached(argv, desktop_environment())
    return ""


def _check_address(address: str, error: type[Exception]) -> None:
    """Raise `error` unless it is an address that may be opened, its host fixed."""
    match = _ADDRESS.match(address)
    scheme = match[1].lower() if match else ""
    if match is None or scheme not in SCHEMES:
        raise error(f"{address!r}: only {', '.join(SCHEMES)} addresses are opened")
    if not re.fullmatch(r"[!-~]*", without_placeholders(address)):
        raise error(f"{address!r}: percent-encode spaces and letters beyond ASCII")
    if scheme != "mailto":
        host = re.match(r"//([^/?#]*)", match[2])
        if host is None or (scheme != "file" and not host[1]):
            raise error(f"{address!r}: write {scheme}://{'' if scheme == 'file' else 'host'}/path")
        if re.search("[{}]", host[1]):
            raise error(f"{address!r}: the host may not depend on a slot: write its name")
