"""`key` and `type`: real presses on an X server of the test's own, and stand-ins elsewhere."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from action_support import describe, mistake, perform
from desktop_support import (  # noqa: F401 - fixtures
    calls,
    ended,
    eventually,
    need,
    no_desktop_fixture,
    stand_in,
    x_server_fixture,
)

from assistant.actions.desktop import press
from assistant.actions.desktop.keyboard import Keyboard
from assistant.actions.desktop.keys import KEYS, parse_keys
from assistant.types import ActionStatus


@pytest.fixture(autouse=True)
def keyboard(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that remembers nothing of other tests."""
    monkeypatch.setattr(press, "KEYBOARD", Keyboard())


@pytest.fixture
def read_line(x_server: str, tmp_path: Path) -> Iterator[Path]:
    """A file that has what was typed into a terminal, once enter was pressed."""
    need("xdotool")
    need("xterm")
    note, ready = tmp_path / "note", tmp_path / "ready"
    lines = 'while [ -z "$line" ]; do read -r line; touch "$1"; done'
    code = f'{lines}; printf "%s" "$line" > "$2.part"; mv "$2.part" "$2"'
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    reader = ["-e", "sh", "-c", code, "sh", str(ready), str(note)]
    terminal = ["xterm", "-u8", "-class", "Reader", *reader]
    with ended(subprocess.Popen(terminal, env=environment, stderr=subprocess.DEVNULL)):
        search = ["xdotool", "search", "--sync", "--onlyvisible", "--class", "Reader"]
        found = subprocess.run(search, capture_output=True, text=True, check=True).stdout.split()

        def is_listening() -> bool:
            focus = ["xdotool", "windowfocus", "--sync", found[-1], "key", "Return"]
            subprocess.run(focus, check=False, stderr=subprocess.DEVNULL)
            return ready.exists()

        eventually(is_listening)
        yield note


def test_typed_text_and_pressed_keys_arrive(read_line: Path) -> None:
    text = 'say "hi" $(id) -- --file; ~ \\n'
    result = perform({"type": "{text}!"}, text=text)
    assert result.status is ActionStatus.DONE, result.description
    result = perform({"key": "backspace enter"})
    assert result.status is ActionStatus.DONE, result.description
    eventually(read_line.exists)
    assert read_line.read_text(encoding="utf-8") == text


def test_letters_beyond_ascii_arrive(read_line: Path) -> None:
    need("setxkbmap")
    subprocess.run(["setxkbmap", "de"], check=True)  # one that has them, as their speakers do
    assert perform({"type": "große Füße"}).status is ActionStatus.DONE
    assert perform({"key": "enter"}).status is ActionStatus.DONE
    eventually(read_line.exists)
    assert read_line.read_text(encoding="utf-8") == "große Füße"


def test_chords_arrive(read_line: Path) -> None:
    perform({"type": "all of this goes"})
    assert perform({"key": "ctrl+u a shift+b 7 ctrl+m"}).status is ActionStatus.DONE
    eventually(read_line.exists)
    assert read_line.read_text() == "aB7"


def test_every_key_is_one_that_x11_knows(x_server: str) -> None:
    need("xdotool")
    names = [chord.keysyms() for name in KEYS for chord in parse_keys(name)]
    done = subprocess.run(
        ["xdotool", "key", "--delay", "0", *names], check=False, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture
def programs(no_desktop: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of all programs that are installed, in a session of Sway."""
    monkeypatch.setenv("PATH", f"{tmp_path}")
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-1")
    monkeypatch.setenv("SWAYSOCK", "/run/sway")
    return tmp_path


READ = """
while read -r line; do echo "$line" >> "$0.given"; done
[ -z "$line" ] || echo "$line" >> "$0.given"
"""


@pytest.mark.parametrize(
    ("tool", "told", "given"),
    [
        ("wtype", ["-s|50|-M|ctrl|-M|logo|-k|Return|-m|logo|-m|ctrl|-k|a", "-s|50|-"], ["-x é"]),
        ("dotool", ["", ""], ["key ctrl+super+x:Return", "key x:a", "type -x é"]),
    ],
)
def test_each_tool_is_told_in_its_own_words(
    programs: Path, tool: str, told: list[str], given: list[str]
) -> None:
    log = stand_in(programs, tool, READ)
    assert perform({"key": "Ctrl+Super+Enter a"}).status is ActionStatus.DONE
    assert perform({"type": "-x é"}).status is ActionStatus.DONE
    assert calls(log) == told
    assert calls(programs / f"{tool}.given") == given


def test_ydotool_is_told_codes_and_types_ascii_only(programs: Path) -> None:
    log = stand_in(programs, "ydotool", READ)
    assert perform({"key": "ctrl+alt+f12"}).status is ActionStatus.DONE
    assert perform({"type": "--help"}).status is ActionStatus.DONE
    result = perform({"type": "é"})
    assert "ydotool: it types letters of ASCII only" in result.description
    assert calls(log) == ["key|29:1|56:1|88:1|88:0|56:0|29:0", "type|--file|-"]
    assert calls(programs / "ydotool.given") == ["--help"]


def test_what_worked_is_remembered(programs: Path) -> None:
    first = stand_in(programs, "wtype", "echo 'no virtual keyboard' >&2; exit 1")
    second = stand_in(programs, "dotool", READ)
    for _ in range(3):
        assert perform({"key": "a"}).status is ActionStatus.DONE
    assert (len(calls(first)), len(calls(second))) == (1, 3)


def test_where_none_works_each_is_named_with_the_reason(programs: Path) -> None:
    stand_in(programs, "wtype", "echo 'no virtual keyboard' >&2; exit 1")
    assert perform({"key": "a"}).description == (
        "test: pressing keys in this session (Sway): no program for it works (wtype: 'wtype' ended "
        "with status 1: no virtual keyboard; dotool: not installed; ydotool: not installed); "
        "install one"
    )


def test_what_was_killed_half_way_is_not_typed_again(programs: Path) -> None:
    stand_in(programs, "wtype", "exec /bin/sleep 60")
    other = stand_in(programs, "dotool", READ)
    result = perform({"type": {"text": "abc", "timeout_s": 0.2}})
    assert "wtype: the program did not end within 0.2 s" in result.description
    assert not calls(other)


@pytest.mark.parametrize("text", ["a\nrm -rf /\n", "\t", "\x1b[A", "", "x" * 1001])
def test_text_that_would_press_other_keys_is_refused(programs: Path, text: str) -> None:
    log = stand_in(programs, "wtype", READ)
    assert perform({"type": "{text}"}, text=text).status is ActionStatus.FAILED
    assert not calls(log)


def test_a_slot_chooses_only_among_mapped_keys(programs: Path) -> None:
    log = stand_in(programs, "wtype", READ)
    assert "slot 'key' chooses what is done: list its values under 'map'" in mistake(
        {"key": "{key}"}
    )
    rule = {"map": {"key": {"undo": "ctrl+z", "bad": "-k"}}, "key": "{key}"}
    assert describe(rule, key="undo") == "press ctrl+z"
    assert perform(rule, key="undo").status is ActionStatus.DONE
    assert perform(rule, key="bad").status is ActionStatus.FAILED
    assert calls(log) == ["-s|50|-M|ctrl|-k|z|-m|ctrl"]


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"key": "ctrl+hyper+t"}, "before the key write one or more of ctrl, shift, alt, super"),
        ({"key": "ctrl+ctrl+t"}, "before the key write one or more of"),
        ({"key": "ctrl+"}, "there is no key ''"),
        ({"key": "ctrl"}, "there is no key 'ctrl': write a letter, a digit, f1 to f24, tab"),
        ({"key": ""}, "write 1 to 16 keys, a space between them"),
        ({"key": "a " * 17}, "write 1 to 16 keys"),
        ({"key": {"keys": "a", "timeout_s": 0}}, "timeout_s is 0"),
        ({"type": "a\nb"}, "has a line break or control character"),
        ({"type": ""}, "a text of 0 characters: write 1 to 1000"),
    ],
)
def test_mistakes_are_explained(rule: Any, message: str) -> None:
    assert message in mistake(rule)
