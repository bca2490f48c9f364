"""The daemon on a desktop: what was done as notifications with buttons, and a key to talk by."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from typing import Any

from ..actions.desktop.notifier import Notifier
from ..actions.desktop.shortcuts import PushToTalk
from ..config import DaemonConfig
from ..errors import ActionError, UsageError
from ..types import ActionStatus
from . import background
from .daemon import Daemon
from .ears import AMBIENT, TALK
from .hub import Fact

TITLES = {
    ActionStatus.DONE.value: "Done",
    ActionStatus.FAILED.value: "Failed",
    ActionStatus.UNCONFIRMED.value: "Shall I?",
    ActionStatus.REFUSED.value: "Not done",
    ActionStatus.UNDONE.value: "Taken back",
    ActionStatus.DRY_RUN.value: "Would do",
}
"""What is shown, by status; nothing is of what has no action."""
SPOKEN = (AMBIENT, TALK)
"""Sources of which all is shown; of others, only what they ask."""


def on_desktop(
    daemon: Daemon, config: DaemonConfig, tell: Callable[[str], None]
) -> list[Coroutine[Any, Any, None]]:
    """What goes on beside the daemon in a session that has a desktop, until it is cancelled."""
    desktop = Desktop(daemon, tell)
    in_session = "DBUS_SESSION_BUS_ADDRESS" in os.environ
    showing = [desktop.show()] if config.notifications and in_session else []
    return showing + ([desktop.hold_key(config.shortcut)] if config.shortcut else [])


class Desktop:
    """Shows the daemon's actions until it is cancelled; see the module."""

    def __init__(
        self, daemon: Daemon, tell: Callable[[str], None], notifier: Notifier | None = None
    ) -> None:
        """tell: told in a line what there is to know."""
        self._daemon = daemon
        self._tell = tell
        self._notifier = notifier or Notifier()
        self._answers: set[asyncio.Task[Any]] = set()

    async def show(self) -> None:
        """A notification for each action; the newest takes the place of the one before."""
        shown = 0
        try:
            with self._daemon.hub.subscription({"action"}) as actions:
                async for action in actions:
                    is_question = action["status"] == ActionStatus.UNCONFIRMED.value
                    if action["status"] in TITLES and (action["source"] in SPOKEN or is_question):
                        shown = await self._show(action, shown)
        finally:
            await self._notifier.close()

    async def _show(self, action: Fact, replaces: int) -> int:
        buttons: dict[str, str] = {}
        given = ""
        if action["status"] == ActionStatus.UNCONFIRMED.value:
            buttons, given = {"yes": "Yes", "no": "No"}, action["question"]
        elif action["status"] == ActionStatus.DONE.value and action["undo"]:
            buttons, given = {"undo": "Undo"}, action["undo"]
        body = action["output"] or action["description"]
        title = f"{TITLES[action['status']]}: {action['intent']}"
        press = self._pressed(given) if buttons else None
        return await self._notifier.show(title, body, buttons, press, replaces)

    def _pressed(self, given: str) -> Callable[[str], None]:
        """What a button does; `given` is the question, or what was offered to be undone."""

        def press(button: str) -> None:
            answer = self._daemon.answer(button, given, "notification")
            task = background.start(answer)
            self._answers.add(task)
            task.add_done_callback(self._answers.discard)

        return press

    async def hold_key(self, trigger: str) -> None:
        """Let the desktop's key for push-to-talk, as `CTRL+space`, be that of the daemon."""
        while True:
            key = PushToTalk(
                lambda: self._talk("start"), lambda: self._talk("stop"), trigger=trigger
            )
            try:
                self._tell(f"push-to-talk: {await key.bind()}")
                await key.wait_until_lost()
            except ActionError as error:
                self._tell(str(error))
                return
            finally:
                await key.close()

    def _talk(self, wanted: str) -> None:
        try:
            self._daemon.ears.talk(wanted)
        except UsageError as error:
            self._tell(str(error))
