"""The journal: lines of several writers, full disks, and processes that are killed as they act."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from assistant.actions import ActionRunner, Dialogue, Journal, journal, parse_policy
from assistant.actions.history import follow_journal, read_journal
from assistant.actions.journal import BEGUN, FILES, TEXT_LIMIT, JournalEntry, journal_path
from assistant.config import DialogueConfig
from assistant.types import ActionStatus, Intent

PLAY = Intent("play", {"song": "é \udc80\n", "level": 2}, "toca é", 0.9)


def entry(status: str = "done", intent: Intent = PLAY, **values: str) -> JournalEntry:
    made = JournalEntry.of(intent, "test")
    return JournalEntry(
        made.id, made.intent, made.slots, made.text, made.confidence, made.source, status, **values
    )


def statuses(folder: Path) -> list[str]:
    return [told.status for told in read_journal(folder).entries]


def wait_until(is_so: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


# ── what is written ────────────────────────────────────────────────────────────────────────


def test_an_entry_comes_back_as_it_was(tmp_path: Path) -> None:
    written = entry(description="play é", reason="needs no confirmation", output="fine")
    Journal(tmp_path / "state").write(written)
    (read,) = read_journal(tmp_path / "state").entries
    assert read == JournalEntry(
        written.id, "play", dict(PLAY.slots), "toca é", 0.9, "test", "done", "play é",
        "needs no confirmation", "fine", read.when, read.process,
    )  # fmt: skip
    assert read.when[-6] in "+-"  # an offset


def test_a_line_is_json_with_every_field(tmp_path: Path) -> None:
    Journal(tmp_path).write(entry(output="x" * 900))
    values = json.loads((tmp_path / "journal.jsonl").read_text(encoding="utf-8"))
    assert list(values) == [
        *("id", "intent", "slots", "text", "confidence", "source", "status", "description"),
        *("reason", "output", "when", "process"),
    ]
    assert len(values["output"]) == TEXT_LIMIT


def test_only_the_user_may_read_it(tmp_path: Path) -> None:
    Journal(tmp_path / "a" / "state").write(entry())
    assert (tmp_path / "a" / "state").stat().st_mode & 0o777 == 0o700
    assert journal_path(tmp_path / "a" / "state").stat().st_mode & 0o777 == 0o600


def test_it_lies_in_the_state_folder(state_home: Path) -> None:
    assert journal_path() == state_home / "assistant" / "journal.jsonl"


def test_the_lines_of_an_intent_are_one_entry(tmp_path: Path) -> None:
    writer = Journal(tmp_path)
    begun, other = entry(BEGUN), entry("needs confirmation")
    writer.write(begun)
    writer.write(other)
    assert statuses(tmp_path) == ["begun", "needs confirmation"]  # this process still runs
    first = read_journal(tmp_path).entries[0].when
    time.sleep(0.002)
    writer.write(JournalEntry(begun.id, begun.intent, status="done"))
    assert statuses(tmp_path) == ["done", "needs confirmation"]
    assert read_journal(tmp_path).entries[0].when == first


def test_a_question_ends_with_the_process_that_asked(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from assistant.actions.journal import *\n"
        "Journal(Path(sys.argv[1])).write(JournalEntry('1', 'play', status='needs confirmation'))"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    assert statuses(tmp_path) == ["expired" if sys.platform == "linux" else "needs confirmation"]


def test_the_newest_that_are_wanted_are_told(tmp_path: Path) -> None:
    writer = Journal(tmp_path)
    for number in range(6):
        writer.write(entry(description=str(number), reason="odd" if number % 2 else "even"))
    history = read_journal(tmp_path, limit=2, wanted=lambda told: told.reason == "odd")
    assert [told.description for told in history.entries] == ["3", "5"]
    assert read_journal(tmp_path, limit=0).entries == ()
    assert read_journal(tmp_path / "none").entries == ()


# ── damage ─────────────────────────────────────────────────────────────────────────────────


def test_damaged_lines_are_counted_and_passed_over(tmp_path: Path) -> None:
    writer = Journal(tmp_path)
    writer.write(entry())
    path = journal_path(tmp_path)
    good = path.read_bytes()
    values = json.loads(good)
    damaged = [
        good[:40],
        b"\xff\xfe",
        b"[]",
        b"1",
        b"[" * 100_000,
        json.dumps({"id": "a"}).encode(),
        *(
            json.dumps({**values, **wrong}).encode()
            for wrong in (
                {"id": 3},
                {"slots": {"a": []}},
                {"slots": "a"},
                {"confidence": "high"},
                {"when": ""},
                {"when": "2026-11-25"},
                {"when": None},
            )
        ),
    ]
    newer = json.dumps({**values, "id": "newer", "more": 1}).encode()
    path.write_bytes(b"\n".join([*damaged, good, newer]) + b"\n")
    history = read_journal(tmp_path)
    assert [told.id for told in history.entries] == [values["id"], "newer"]
    assert history.damaged == len(damaged)


def test_a_full_disk_is_one_warning_and_writing_resumes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = journal_path(tmp_path)
    path.symlink_to("/dev/full")
    writer = Journal(tmp_path)
    for _ in range(3):
        writer.write(entry())
    assert writer.dropped == 3
    assert caplog.messages == [
        "the journal cannot be written, so actions go unrecorded: No space left on device"
    ]
    path.unlink()
    writer.write(entry())
    assert statuses(tmp_path) == ["done"]
    assert caplog.messages[1:] == ["the journal is written again; 3 lines are lost"]
    assert writer.dropped == 3


def test_a_line_that_is_cut_short_spoils_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = Journal(tmp_path)
    write = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda file, line: write(file, line[:50]))
        writer.write(entry("failed"))
    assert writer.dropped == 1
    Journal(tmp_path).write(entry("done"))  # another process would find it so, too
    history = read_journal(tmp_path)
    assert [told.status for told in history.entries] == ["done"]
    assert history.damaged == 1


def test_acting_goes_on_without_a_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    writer = Journal(tmp_path / "file" / "state")
    policy = parse_policy({"intents": {"play": {"log": "play"}}}, "policy.yaml")
    dialogue = Dialogue(ActionRunner(policy, execute=True), DialogueConfig(), writer)
    assert dialogue.hear(Intent("play", {}, "play", 1.0)).status is ActionStatus.DONE
    assert writer.dropped == 2
    assert len([m for m in caplog.messages if "journal" in m]) == 1

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "open", full)
    writer = Journal(tmp_path)
    writer.write(entry())
    assert writer.dropped == 1


# ── several files, several processes ───────────────────────────────────────────────────────


def test_old_entries_move_on_and_leave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "FILE_BYTES", 2000)
    writer = Journal(tmp_path)
    for number in range(100):
        writer.write(entry(description=str(number)))
    files = sorted(path.name for path in tmp_path.glob("*.jsonl"))
    numbered = [f"journal.{number}.jsonl" for number in range(1, FILES)]
    assert files == sorted([*numbered, "journal.jsonl"])
    assert all(path.stat().st_size <= 2000 for path in tmp_path.glob("*.jsonl"))
    told = [int(told.description) for told in read_journal(tmp_path).entries]
    assert told == list(range(told[0], 100))
    assert len(told) > 2 * FILES


WRITER = """
import sys
from pathlib import Path
from assistant.actions import journal
from assistant.types import Intent
journal.FILE_BYTES = 30_000
writer = journal.Journal(Path(sys.argv[1]))
for number in range(150):
    writer.write(journal.JournalEntry.of(Intent(sys.argv[2], {"n": number}, "", 1.0), ""))
sys.exit(writer.dropped)
"""


def test_several_processes_write_at_once(tmp_path: Path) -> None:
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), name]) for name in "ab"
    ]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    history = read_journal(tmp_path)
    told = [(told.intent, told.slots["n"]) for told in history.entries]
    assert sorted(told) == [(name, number) for name in "ab" for number in range(150)]
    assert history.damaged == 0
    assert len(list(tmp_path.glob("*.jsonl"))) > 1


def test_while_another_process_rotates_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl  # noqa: PLC0415 - Windows has none

    monkeypatch.setattr(journal, "FILE_BYTES", 500)
    with (tmp_path / "journal.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        writer = Journal(tmp_path)
        for _ in range(5):
            writer.write(entry())
    assert writer.dropped == 0
    assert len(read_journal(tmp_path).entries) == 5
    assert [path.name for path in tmp_path.glob("*.jsonl")] == ["journal.jsonl"]


def test_a_file_renamed_while_its_size_is_asked_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = Journal(tmp_path)
    writer.write(entry())
    current, stat = tmp_path / "journal.jsonl", Path.stat

    def renamed_at_once(path: Path, **options: bool) -> os.stat_result:
        if path == current and path.exists(follow_symlinks=False):
            path.rename(tmp_path / "journal.1.jsonl")
        return stat(path, **options)

    monkeypatch.setattr(Path, "exists", lambda path, **options: os.path.lexists(path))
    monkeypatch.setattr(Path, "stat", renamed_at_once)
    writer.write(entry())
    monkeypatch.undo()
    assert writer.dropped == 0
    assert len(read_journal(tmp_path).entries) == 2


# ── a process that is killed as it acts ────────────────────────────────────────────────────

ACTOR = """
import sys
from pathlib import Path
from assistant.actions import ActionRunner, Dialogue, Journal, parse_policy
from assistant.config import DialogueConfig
from assistant.types import Intent
rule = {"run": {"argv": [sys.argv[2]], "timeout_s": 60}, "undo": {"log": "undone"}}
policy = parse_policy({"intents": {"play": rule}}, "policy.yaml")
journal = Journal(Path(sys.argv[1]))
dialogue = Dialogue(ActionRunner(policy, execute=True), DialogueConfig(), journal)
dialogue.hear(Intent("play", {}, "play it", 1.0), "test")
"""


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Path]:
    """A program that notes its number in the file `acted` and goes on for long."""
    path, acted = tmp_path / "act", tmp_path / "acted"
    path.write_text(f"#!/bin/sh\necho $$ >> '{acted}'\nexec sleep 60\n", encoding="utf-8")
    path.chmod(0o700)
    yield path
    for number in acted.read_text(encoding="utf-8").split():
        with suppress(ProcessLookupError):
            os.kill(int(number), signal.SIGKILL)


@pytest.mark.skipif(sys.platform != "linux", reason="who has ended is known from /proc")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_what_was_cut_off_is_told_as_interrupted_and_not_done_again(
    tmp_path: Path, program: Path, how: signal.Signals
) -> None:
    acted = tmp_path / "acted"
    actor = subprocess.Popen([sys.executable, "-c", ACTOR, str(tmp_path), str(program)])
    try:
        wait_until(lambda: acted.exists() and acted.read_text(encoding="utf-8").endswith("\n"))
        assert statuses(tmp_path) == ["begun"]
    finally:
        actor.send_signal(how)
    assert actor.wait(20) == -how
    (told,) = read_journal(tmp_path).entries
    assert (told.status, told.text, told.description) == ("interrupted", "play it", str(program))

    policy = parse_policy({"intents": {"play": {"run": [str(program)]}}}, "policy.yaml")
    restarted = Dialogue(ActionRunner(policy, execute=True), DialogueConfig(), Journal(tmp_path))
    for result in (restarted.accept(), restarted.undo()):
        assert result.status is ActionStatus.NONE
    assert len(acted.read_text(encoding="utf-8").split()) == 1
    assert statuses(tmp_path) == ["interrupted"]


# ── following ──────────────────────────────────────────────────────────────────────────────


def test_following_tells_what_is_written_from_then_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "FILE_BYTES", 600)
    writer = Journal(tmp_path)
    writer.write(entry(description="old"))
    path = journal_path(tmp_path)
    half = b""

    def append(written: bytes) -> None:
        with path.open("ab") as file:
            file.write(written)

    def pause() -> None:
        nonlocal half
        match next(steps):
            case 0:
                writer.write(entry(BEGUN, description="not yet"))
                writer.write(entry(description="first"))
            case 1:
                whole = path.read_bytes().splitlines(keepends=True)[-1]
                whole = whole.replace(b"first", b"torn")
                append(whole[:60])
                half = whole[60:]
            case 2:
                append(half)
            case 3:
                writer.write(entry(description="in a new file"))
            case 4:
                path.unlink()
            case 5:
                writer.write(entry(description="after it was deleted"))
            case _:
                raise KeyboardInterrupt

    steps = iter(range(9))
    told = []
    with pytest.raises(KeyboardInterrupt):
        for each in follow_journal(tmp_path, pause):
            told.append(each.description)
    assert told == ["first", "torn", "in a new file", "after it was deleted"]


def test_following_waits_for_a_journal(tmp_path: Path) -> None:
    def pause() -> None:
        Journal(tmp_path).write(entry(description="the first of all"))

    assert next(follow_journal(tmp_path, pause)).description == "the first of all"
