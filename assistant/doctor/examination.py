"""All topics, one after the other."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ..config import AssistantConfig
from ..errors import AssistantError
from .check import Check, fault, from_error

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Examined:
    """What is looked at."""

    config: AssistantConfig = field(default_factory=AssistantConfig)
    actions: str | None = None
    """The policy file; the command set's own where absent."""
    recording: Path | None = None
    """Judged in the place of the microphone."""
    seconds: float = 3.0
    """How long the microphone is listened to."""
    say: Callable[[str], None] = lambda line: None
    """Told, in a line, what the user should do meanwhile."""


Topic = Callable[[Examined], Iterator[Check]]


def examine(examined: Examined, names: Iterable[str] = ()) -> Iterator[tuple[str, Check]]:
    """Every finding with its topic, as it is found; `names` are the topics, all by default."""
    for name in names or TOPICS:
        try:
            for check in TOPICS[name](examined):
                yield name, check
        except AssistantError as error:
            yield name, from_error(name, error)
        except Exception as error:  # a broken library is a finding, whatever it raises
            logger.debug("%s could not be examined", name, exc_info=True)
            reason = " ".join(str(error).split())[:300]
            found = f"cannot be examined: {type(error).__name__}: {reason}"
            yield name, fault(name, found, "mend what it names; if that is nothing, report it")


def _packages(_: Examined) -> Iterator[Check]:
    from .packages import check_packages  # noqa: PLC0415 - see the package

    yield from check_packages()


def _sound(examined: Examined) -> Iterator[Check]:
    from .microphone import check_microphone, check_recording  # noqa: PLC0415

    if examined.recording is not None:
        yield from check_recording(examined.recording)
    else:
        yield from check_microphone(examined.config.audio, examined.seconds, examined.say)


def _permissions(_: Examined) -> Iterator[Check]:
    from .permissions import check_permissions  # noqa: PLC0415

    yield from check_permissions()


def _desktop(_: Examined) -> Iterator[Check]:
    from .desktop import check_desktop  # noqa: PLC0415

    yield from check_desktop()


def _model(examined: Examined) -> Iterator[Check]:
    from .model import check_model  # noqa: PLC0415

    yield from check_model(examined.config, examined.actions, examined.recording, examined.say)


def _daemon(_: Examined) -> Iterator[Check]:
    from .daemon import check_daemon  # noqa: PLC0415

    yield from check_daemon()


TOPICS: dict[str, Topic] = {
    "packages": _packages,
    "sound": _sound,
    "permissions": _permissions,
    "desktop": _desktop,
    "model": _model,
    "daemon": _daemon,
}
"""What is looked at, in this order; the names are those of `assistant doctor --only`."""
