"""`window` and `workspace`: where the session lets a program control them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ...errors import ActionError
from ..limits import check_timeout
from ..placeholders import Slots, expand, placeholders
from ..text import slot_text
from .session import session_name
from .window_managers import WindowManager, window_manager

OPERATIONS = ("close", "minimize", "maximize", "restore", "fullscreen", "focus")
LAST_WORKSPACE = 99


@dataclass(frozen=True)
class WindowAction:
    """Control the active window, or bring that of an application to the front.

    `fullscreen` switches to and fro. It works on X11, Sway and Hyprland; the compositors of GNOME
    and KDE on Wayland let no program do it, which is said.
    """

    operation: str
    """One of `OPERATIONS`; placeholders for a slot that says one."""
    application: str = ""
    """For `focus`: the application, as `ActiveWindow` names it; placeholders."""
    timeout_s: float = 5.0
    """Seconds for each program."""

    def __post_init__(self) -> None:
        if not placeholders(self.operation):
            _check_operation(self.operation, ValueError)
            _check_application(self.operation, self.application, ValueError)
        check_timeout(self.timeout_s)

    def templates(self) -> Iterable[str]:
        """See `Action`."""
        return (self.operation, self.application)

    def describe(self, slots: Slots) -> str:
        """The operation, and on what."""
        operation, application = self._expanded(slots)
        return f"{operation} {application or 'the active window'}"

    def perform(self, slots: Slots) -> str:
        """Tell the window manager."""
        operation, application = self._expanded(slots)
        _check_operation(operation, ActionError)
        manager = window_manager()
        if operation == "focus":
            self._focus(manager, application)
            return ""
        operations = manager.operations(self.timeout_s)
        if operation not in operations:
            raise ActionError(f"{session_name()} has no '{operation}': it tiles its windows")
        operations[operation]()
        return ""

    def _expanded(self, slots: Slots) -> tuple[str, str]:
        operation, application = expand(self.operation, slots), expand(self.application, slots)
        if operation in OPERATIONS:  # a summary describes placeholders
            _check_application(operation, application, ActionError)
        return operation, application

    def _focus(self, manager: WindowManager, application: str) -> None:
        windows = list(manager.windows(self.timeout_s))
        wanted = application.casefold()
        found = [w for w in windows if w.application.casefold() == wanted]
        found += [w for w in windows if w.application.casefold().endswith(f".{wanted}")]
        if not found or not wanted:
            known = ", ".join(sorted({w.application for w in windows if w.application})) or "none"
            raise ActionError(f"no window of '{application}' is open; there are: {known}")
        manager.focus(found[0], self.timeout_s)


@dataclass(frozen=True)
class WorkspaceAction:
    """Go to another workspace; where, see `WindowAction`."""

    to: object
    """`next`, `previous`, a number from 1, or a placeholder for a slot that says one."""
    timeout_s: float = 5.0
    """Seconds for each program."""

    def __post_init__(self) -> None:
        if not placeholders(self._text()):
            _check_workspace(self._text(), ValueError)
        check_timeout(self.timeout_s)

    def templates(self) -> Iterable[str]:
        """See `Action`."""
        return (self._text(),)

    def describe(self, slots: Slots) -> str:
        """Where to."""
        return f"go to workspace {expand(self._text(), slots)}"

    def perform(self, slots: Slots) -> str:
        """Tell the window manager."""
        workspace = expand(self._text(), slots)
        _check_workspace(workspace, ActionError)
        window_manager().switch(workspace, self.timeout_s)
        return ""

    def _text(self) -> str:
        return slot_text(self.to) if isinstance(self.to, str | int | float) else str(self.to)


def _check_operation(operation: str, error: type[Exception]) -> None:
    if operation not in OPERATIONS:
        raise error(f"window operation {operation!r}: write one of {', '.join(OPERATIONS)}")


def _check_application(operation: str, application: str, error: type[Exception]) -> None:
    if (operation == "focus") != bool(application):
        raise error(
            f"window operation {operation!r} of application {application!r}: 'focus' has an "
            "application, and it alone: write {operation: focus, application: firefox}"
        )


def _check_workspace(workspace: str, error: type[Exception]) -> None:
    number = int(workspace) if workspace.isascii() and workspace.isdecimal() else 0
    if workspace not in ("next", "previous") and not 1 <= number <= LAST_WORKSPACE:
        raise error(f"workspace {workspace!r}: write next, previous or 1 to {LAST_WORKSPACE}")
