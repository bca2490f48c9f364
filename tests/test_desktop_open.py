"""`open`, with .desktop files of the test's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from action_support import describe, mistake, perform
from desktop_support import calls, eventually, stand_in

from assistant.actions.desktop.applications import find_application
from assistant.errors import ActionError
from assistant.types import ActionStatus, SlotValue


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of all programs that are installed, beside `user` and `system` for data."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "user"))
    monkeypatch.setenv("XDG_DATA_DIRS", f"{tmp_path}/system:{tmp_path}/absent")
    return folder


def install(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    head = ["# a comment", "[Other]", "Exec=wrong", "[Desktop Entry]", "Type=Application"]
    path.write_text("\n".join([*head, *lines, "[Desktop Action New]", "Exec=wrong", ""]))


def test_an_application_is_started_in_its_folder(programs: Path, tmp_path: Path) -> None:
    log = stand_in(programs, "paint", 'pwd >> "${0%/*}/folder"')
    entry = tmp_path / "system/applications/org.example.Paint.desktop"
    install(entry, "Name=Paint", "Exec=paint --new %U", f"Path={tmp_path}")
    result = perform({"open": "org.example.Paint"})
    assert result.status is ActionStatus.DONE, result.description
    assert eventually(lambda: calls(log)) == ["--new"]
    assert eventually(lambda: calls(programs / "folder")) == [str(tmp_path)]


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("tool %f --a %%d %F %u", ["--a", "%d"]),
        (r'tool "two words" "a\\"b\\$c\\\\d" plain', ["two words", 'a"b$c\\d', "plain"]),
        ("tool %i %c %k", ["--icon", "pen", "The Tool", "FILE"]),
        ("tool --file=%f; rm $HOME `id`", ["--file=;", "rm", "$HOME", "`id`"]),
        (r"tool a\sb", ["a", "b"]),
    ],
)
def test_the_command_of_an_application_is_read_as_the_specification_says(
    programs: Path, tmp_path: Path, command: str, arguments: list[str]
) -> None:
    stand_in(programs, "tool", "")
    entry = tmp_path / "user/applications/tool.desktop"
    install(entry, f"Exec={command}", "Icon=pen", "Name=The Tool", "Name[de]=Das Werkzeug")
    expected = [str(entry) if argument == "FILE" else argument for argument in arguments]
    assert find_application("tool").argv == ("tool", *expected)


def test_the_user_comes_before_the_system_and_dashes_may_be_folders(
    programs: Path, tmp_path: Path
) -> None:
    stand_in(programs, "a", "")
    install(tmp_path / "system/applications/x.desktop", "Exec=a system")
    install(tmp_path / "user/applications/x.desktop", "Exec=a user")
    install(tmp_path / "system/applications/kde4/y-z.desktop", "Exec=a kde")
    assert find_application("x").argv == ("a", "user")
    assert find_application("kde4-y-z").argv == ("a", "kde")


def test_a_program_of_the_terminal_gets_one(programs: Path, tmp_path: Path) -> None:
    stand_in(programs, "top", "")
    install(tmp_path / "user/applications/top.desktop", "Exec=top", "Terminal=true")
    with pytest.raises(ActionError, match="needs a terminal: install xdg-terminal-exec"):
        find_application("top")
    stand_in(programs, "xdg-terminal-exec", "")
    assert find_application("top").argv == ("xdg-terminal-exec", "top")


def test_what_cannot_be_started_is_said(programs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "user/applications"
    install(folder / "gone.desktop", "Exec=gone")
    install(folder / "hidden.desktop", "Exec=sh", "Hidden=true")
    install(folder / "broken.desktop", "Exec=broken")
    stand_in(programs, "broken", "exit 3")
    said = {name: perform({"open": name}).description for name in ("gone", "hidden", "broken")}
    assert said["gone"].endswith("gone.desktop starts 'gone', which is not installed")
    assert said["hidden"].endswith("starts no program (it is hidden, or has no 'Exec')")
    assert said["broken"] == "test: 'broken' ended with status 3"
    assert perform({"open": "hiden"}).description == (
        "test: no application 'hiden' is installed (no hiden.desktop was found); did you mean "
        "hidden?"
    )


def test_an_address_is_opened_by_whichever_program_works(programs: Path) -> None:
    stand_in(programs, "xdg-open", "exit 3")
    log = stand_in(programs, "gio", "")
    rule = {"open": "https://example.org/find?q={query}"}
    result = perform(rule, query="cats & dogs; $(id) --help")
    assert result.status is ActionStatus.DONE, result.description
    expected = "open|https://example.org/find?q=cats%20%26%20dogs%3B%20%24%28id%29%20--help"
    assert eventually(lambda: calls(log)) == [expected]
    log = stand_in(programs, "xdg-open", "")
    assert perform(rule, query="x").status is ActionStatus.DONE
    assert eventually(lambda: calls(log)[1:]) == ["https://example.org/find?q=x"]


def test_no_program_for_addresses_is_said(programs: Path) -> None:
    assert perform({"open": "https://example.org/"}).description == (
        "test: opening https://example.org/: no program for it works (xdg-open: not installed; "
        "gio: not installed); install one"
    )


@pytest.mark.parametrize(
    ("target", "slots", "message"),
    [
        ("https://example.org/{page}", {"page": ".."}, "which leads elsewhere"),
        ("file:///srv/{name}", {"name": "."}, "which leads elsewhere"),
    ],
)
def test_a_value_cannot_climb_in_the_path(
    target: str, slots: dict[str, SlotValue], message: str
) -> None:
    assert message in perform({"open": target}, **slots).description


@pytest.mark.parametrize("word", ["ssh://host/", "javascript:alert(1)", "/bin/sh", "--help", "a/b"])
def test_what_the_map_gives_is_an_application_or_an_address_of_the_list(word: str) -> None:
    result = perform({"map": {"site": {"x": word}}, "open": "{site}"}, site="x")
    assert result.status is ActionStatus.FAILED


def test_a_slot_that_is_the_target_must_be_mapped() -> None:
    assert "slot 'site' chooses what is done: list its values under 'map'" in mistake(
        {"open": "{site}"}
    )
    rule = {"map": {"site": {"news": "https://example.org/"}}, "open": "{site}"}
    assert describe(rule, site="news") == "open https://example.org/"
    assert perform(rule, site="https://evil.example/").status is ActionStatus.FAILED


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("ssh://host/", "'ssh://host/': only http, https, file, mailto addresses are opened"),
        ("https://{host}/", "the host may not depend on a slot"),
        ("file://{name}", "the host may not depend on a slot"),
        ("https:///x", "write https://host/path"),
        ("https://example.org/a b", "percent-encode spaces"),
        ("two words", "write the name of a .desktop file, such as firefox, or an address"),
        ("/usr/bin/firefox", "write the name of a .desktop file"),
        ("--help", "write the name of a .desktop file"),
        ("", "write the name of a .desktop file"),
    ],
)
def test_mistakes_are_explained(rule: Any, message: str) -> None:
    assert message in mistake({"open": rule})
