"""The kinds of action there are, by their key in the policy file."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

from .desktop.media import MediaAction
from .desktop.notifications import NotifyAction
from .desktop.open import OpenAction
from .desktop.press import KeyAction, TypeAction
from .desktop.volume import VolumeAction
from .desktop.windows import WindowAction, WorkspaceAction
from .home_assistant import HomeAssistantAction
from .http import HttpAction
from .log import LogAction
from .mqtt import MqttAction
from .placeholders import Slots
from .reply import ReplyAction
from .run import RunAction


class Action(Protocol):
    """A kind of action: a frozen dataclass whose fields are its keys in the policy file.

    Its first field may be written alone (`log: text` for `log: {message: text}`); a ValueError of
    `__post_init__` becomes a ConfigError that names the file and the intent. One whose slots choose
    what is done names those in `slots_to_map() -> Iterable[str]`: the rule must map them.
    """

    def templates(self) -> Iterable[str]:
        """Every text in which placeholders may stand."""

    def describe(self, slots: Slots) -> str:
        """What `perform` does, for people, without doing it and without secrets."""

    def perform(self, slots: Slots) -> str:
        """Do it; returns the output for the user, raises ActionError."""


ACTION_KINDS: dict[str, type[Action]] = {
    "log": LogAction,
    "run": RunAction,
    "http": HttpAction,
    "home_assistant": HomeAssistantAction,
    "mqtt": MqttAction,
    "reply": ReplyAction,
    "media": MediaAction,
    "volume": VolumeAction,
    "open": OpenAction,
    "key": KeyAction,
    "type": TypeAction,
    "notify": NotifyAction,
    "window": WindowAction,
    "workspace": WorkspaceAction,
}
"""Kind of action by its key in the policy file."""

RULE_KEYS = ("when", "defaults", "map", "confirm", "consequence", "undo", "cool_down_s")
"""The other keys of a rule, which no kind may take."""

ActionClass = TypeVar("ActionClass", bound=type[Action])


def action_kind(name: str) -> Callable[[ActionClass], ActionClass]:
    """Class decorator: register an `Action` dataclass as the kind `name` of the policy file.

    Raises:
        ValueError: the policy file has that key already.
    """

    def register(kind: ActionClass) -> ActionClass:
        if name in ACTION_KINDS or name in RULE_KEYS:
            raise ValueError(f"'{name}' is already a key of the policy file")
        ACTION_KINDS[name] = kind
        return kind

    return register
