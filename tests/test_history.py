"""`assistant history`, as its users meet it."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from assistant.actions import Journal, history
from assistant.actions.journal import JournalEntry, journal_path
from assistant.cli import main


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A journal of five entries, the first of yesterday."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    path = journal_path()
    writer = Journal()
    writer.write(JournalEntry("1", "askTime", text="what time is it", status="done"))
    yesterday = datetime.now().astimezone() - timedelta(days=1)
    values = json.loads(path.read_text(encoding="utf-8"))
    values["when"] = yesterday.isoformat()
    path.write_text(json.dumps(values) + "\n", encoding="utf-8")
    for written in (
        JournalEntry("2", "setLight", {"state": "on"}, "lights on", status="done", output="ok\n"),
        JournalEntry("3", "setLight", status="failed", description="setLight: no answer"),
        JournalEntry("4", "close", text="close it", status="refused", reason="'no' was said"),
        JournalEntry("5", "close", {}, "close [bold]it\x1b[2J", 0.9, "microphone", "done"),
    ):
        writer.write(written)
    return path.parent


def ids(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    assert main(["history", "--json", *arguments]) == 0
    return [json.loads(line)["id"] for line in capsys.readouterr().out.splitlines()]


def test_a_table_tells_when_what_how_and_why(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["history"]) == 0
    heading, *rows = capsys.readouterr().out.splitlines()
    assert heading.split() == ["when", "said", "did", "ended", "why"]
    assert len(rows) == 5
    assert rows[1].startswith(datetime.now().strftime("%Y-%m-%d "))
    assert "lights on" in rows[1] and "⇒  ok" in rows[1] and "done" in rows[1]
    assert "–" in rows[2] and "setLight: no answer" in rows[2] and "failed" in rows[2]
    assert rows[3].rstrip().endswith("'no' was said")
    assert "close [bold]it\\x1b[2J" in rows[4]
    assert rows[4].rstrip().endswith("microphone")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), "12345"),
        (("--last", "2"), "45"),
        (("--last", "7"), "12345"),
        (("-n", "0"), ""),
        (("--intent", "setLight"), "23"),
        (("--status", "done"), "125"),
        (("--status", "done", "--intent", "close", "--last", "1"), "5"),
        (("--since", "2h"), "2345"),
        (("--since", "25h"), "12345"),
        (("--since", "0.5d"), "2345"),
        (("--since", "1999-12-31"), "12345"),
        (("--since", "1999-12-31T10:00+02:00"), "12345"),
        (("--since", "2999-01-01"), ""),
    ],
)
def test_what_is_told_can_be_chosen(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    expected: str,
) -> None:
    assert "".join(ids(capsys, *arguments)) == expected


@pytest.mark.parametrize("since", ["yesterday", "2", "h", "2026-13-01", "99999999999999w"])
def test_a_time_that_is_none_is_explained(
    folder: Path, capsys: pytest.CaptureFixture[str], since: str
) -> None:
    assert main(["history", "--since", since]) == 2
    error = capsys.readouterr().err
    assert f"--since {since}: write how long ago (30m, 2h, 7d) or a date" in error


def test_without_a_journal_it_says_where_one_would_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert main(["history"]) == 0
    shown = capsys.readouterr()
    assert shown.out == ""
    assert f"nothing of the kind in {tmp_path}/assistant/journal.jsonl" in shown.err


def test_damaged_lines_are_a_warning(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with journal_path().open("a", encoding="utf-8") as file:
        file.write("{\n")
    assert len(ids(capsys)) == 5
    main(["history"])
    assert f"warning: damaged lines in {folder} left out: 1" in capsys.readouterr().err


def test_following_goes_on_after_what_there_is(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = iter(
        [
            JournalEntry("6", "close", text="close it again", status="begun"),
            JournalEntry("6", "close", text="close it again", status="done"),
            JournalEntry("7", "askTime", text="the time", status="done"),
        ]
    )

    def sleep(_: float) -> None:
        following = next(steps, None)
        if following is None:
            raise KeyboardInterrupt
        Journal().write(following)

    monkeypatch.setattr(history.time, "sleep", sleep)
    main(["history", "--follow", "--last", "1", "--intent", "close"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[1] for line in lines] == ["close [bold]it\\x1b[2J", "close it again"]


def test_it_answers_without_torch(folder: Path) -> None:
    code = "import sys; from assistant.cli import main; main(['history']); print(*sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "torch" not in shown.stdout.splitlines()[-1].split()
