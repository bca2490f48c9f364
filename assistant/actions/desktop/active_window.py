"""The active window: which application has the focus, where the session tells."""

from __future__ import annotations

import logging
import shutil
from dataclasses import dataclass
from functools import lru_cache

from ...errors import ActionError
from .session import session_name
from .window_managers import window_manager

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ActiveWindow:
    """The window that has the focus."""

    application: str
    """`app_id` on Wayland (`org.mozilla.firefox`), the class of WM_CLASS on X11 (`Firefox`)."""
    title: str
    pid: int | None = None


def active_window(timeout_s: float = 0.5) -> ActiveWindow | None:
    """The window that has the focus; None where none has, or the session does not tell.

    Asks one program or two, which takes some milliseconds; it waits `timeout_s` for each at most.
    `why_no_active_window` says why a session does not tell.
    """
    if why_no_active_window():
        return None
    try:
        window = window_manager().active(timeout_s)
    except ActionError as error:
        _warn_once(str(error))
        return None
    return ActiveWindow(window.application, window.title, window.pid) if window else None


def why_no_active_window() -> str:
    """Why the session does not tell which window is active, in one line; empty where it does."""
    try:
        manager = window_manager()
    except ActionError as error:
        return str(error)
    if shutil.which(manager.asked) is None:
        return f"{session_name()}: which window is active is asked of {manager.asked}: install it"
    return ""


@lru_cache(maxsize=16)
def _warn_once(reason: str) -> None:
    """It is asked again and again: each reason is said once."""
    logger.warning("the active window is not known: %s", reason)
