"""What people are told to type runs, whichever folder they are in."""

import shlex
import sys

from assistant import program
from assistant.program import install_line


def test_a_checkout_installs_itself_by_its_path(tmp_path, monkeypatch):
    checkout = tmp_path / "my assistant"
    checkout.mkdir()
    (checkout / "pyproject.toml").touch()
    monkeypatch.setattr(program, "data_folder", lambda: checkout)
    pip = [sys.executable, "-m", "pip", "install"]
    assert shlex.split(install_line()) == [*pip, "-e", str(checkout)]
    assert shlex.split(install_line("daemon")) == [*pip, "-e", f"{checkout}[daemon]"]


def test_a_wheel_that_is_installed_adds_its_extra(tmp_path, monkeypatch):
    monkeypatch.setattr(program, "data_folder", lambda: tmp_path)
    line = [sys.executable, "-m", "pip", "install", "assistant[daemon]"]
    assert shlex.split(install_line("daemon")) == line
