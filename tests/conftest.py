"""What every test shares."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings

from assistant.grammar.commands import CommandSet, load_commands

# One thread: blocks this small are slower with more, and results the same on every machine.
torch.set_num_threads(1)

# How long an example takes says something of the machine, nothing of the code.
settings.register_profile("untimed", settings(), deadline=None)
settings.load_profile("untimed")


@pytest.fixture(scope="session", autouse=True)
def state_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The user's state folder is not touched, by no process that a test starts either."""
    folder = tmp_path_factory.mktemp("state")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOCALAPPDATA" if sys.platform == "win32" else "XDG_STATE_HOME", str(folder))
        yield folder


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder `tests/data`: recordings and expectations."""
    return Path(__file__).parent / "data"


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., CommandSet]:
    """Write texts as command files and load them together."""

    def write_and_load(*texts: str) -> CommandSet:
        paths = [tmp_path / f"{number}.yaml" for number in range(len(texts))]
        for path, text in zip(paths, texts, strict=True):
            path.write_text(text, encoding="utf-8")
        return load_commands(paths)

    return write_and_load
