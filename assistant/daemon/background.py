"""Tasks that nobody waits for: what goes wrong in one is told in the log."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from ..errors import AssistantError

logger = logging.getLogger(__name__)


def start(work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    """Begin it; the caller keeps the task, or else it may be collected before its end."""
    task = asyncio.get_running_loop().create_task(work)
    task.add_done_callback(_ended)
    return task


def _ended(task: asyncio.Task[Any]) -> None:
    error = None if task.cancelled() else task.exception()
    if isinstance(error, AssistantError):
        logger.error("%s", error)
    elif error is not None:
        logger.error("unexpected %s: %s", type(error).__name__, error, exc_info=error)
