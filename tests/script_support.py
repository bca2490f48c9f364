"""What tests of the scripts share: a script as a module, so that it runs in the test's process."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

SCRIPTS = Path(__file__).parent.parent / "scripts"


def load_script(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module of scripts/<name>.py, known by `<name>_script` for the time of the test."""
    specification = importlib.util.spec_from_file_location(f"{name}_script", SCRIPTS / f"{name}.py")
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    monkeypatch.setitem(sys.modules, specification.name, module)
    specification.loader.exec_module(module)
    return module


def script_runner(name: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Runs scripts/<name>.py with arguments, in the test's process."""
    script = load_script(name, monkeypatch)

    def run(*arguments: object) -> None:
        monkeypatch.setattr("sys.argv", [f"{name}.py", *map(str, arguments)])
        script.main()

    return run
