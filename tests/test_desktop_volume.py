"""`volume`, with stand-ins for wpctl and pactl that write down what they are told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from action_support import describe, mistake, perform
from desktop_support import calls, stand_in

from assistant.types import ActionStatus, SlotValue

SINK = "@DEFAULT_AUDIO_SINK@"


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of all programs that are installed."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("rule", "slots", "told"),
    [
        ({"command": "set", "level": 40}, {}, f"set-volume|{SINK}|40%"),
        ({"command": "set", "level": "{level}"}, {"level": 12.5}, f"set-volume|{SINK}|12.5%"),
        ("up", {}, f"set-volume|--limit|1|{SINK}|5%+"),
        ({"command": "up", "step": 10, "limit": 150}, {}, f"set-volume|--limit|1.5|{SINK}|10%+"),
        ("down", {}, f"set-volume|{SINK}|5%-"),
        ("mute", {}, f"set-mute|{SINK}|1"),
        ("{word}", {"word": "unmute"}, f"set-mute|{SINK}|0"),
        ("toggle", {}, f"set-mute|{SINK}|toggle"),
    ],
)
def test_wpctl_is_told(programs: Path, rule: Any, slots: dict[str, SlotValue], told: str) -> None:
    log = stand_in(programs, "wpctl", "")
    result = perform({"volume": rule}, **slots)
    assert result.status is ActionStatus.DONE, result.description
    assert calls(log) == [told]


@pytest.mark.parametrize(
    ("rule", "loudness", "told"),
    [
        ({"command": "set", "level": 40}, 10, "set-sink-volume|@DEFAULT_SINK@|40%"),
        ("up", 50, "set-sink-volume|@DEFAULT_SINK@|55%"),
        ("up", 98, "set-sink-volume|@DEFAULT_SINK@|100%"),
        ("up", 130, "set-sink-volume|@DEFAULT_SINK@|130%"),
        ("down", 50, "set-sink-volume|@DEFAULT_SINK@|-5%"),
        ("toggle", 50, "set-sink-mute|@DEFAULT_SINK@|toggle"),
    ],
)
def test_pactl_is_told_where_wpctl_does_not_work(
    programs: Path, rule: Any, loudness: int, told: str
) -> None:
    stand_in(programs, "wpctl", "echo 'Could not connect to PipeWire' >&2; exit 2")
    said = f"Volume: front-left: 32768 /  {loudness}% / -18 dB,   front-right: 32768 /   3% / 0 dB"
    log = stand_in(programs, "pactl", f"echo '{said}'")
    result = perform({"volume": rule})
    assert result.status is ActionStatus.DONE, result.description
    assert calls(log)[-1] == told


def test_where_none_works_each_is_named_with_the_reason(programs: Path) -> None:
    stand_in(programs, "wpctl", "echo 'Could not connect to PipeWire' >&2; exit 2")
    assert perform({"volume": "up"}).description == (
        "test: the volume: no program for it works (wpctl: 'wpctl' ended with status 2: Could not "
        "connect to PipeWire; pactl: not installed); install one"
    )


@pytest.mark.parametrize("level", [101, -1, "loud", "1e999", "nan", "4 --limit 9"])
def test_a_level_that_is_none_is_refused(programs: Path, level: SlotValue) -> None:
    log = stand_in(programs, "wpctl", "")
    result = perform({"volume": {"command": "set", "level": "{level}"}}, level=level)
    assert result.status is ActionStatus.FAILED
    assert not calls(log)


def test_a_slot_may_choose_among_the_commands_only(programs: Path) -> None:
    result = perform({"volume": "{word}"}, word="explode")
    assert "volume command 'explode': write one of set, up, down," in result.description


def test_it_is_described() -> None:
    assert (
        describe({"volume": {"command": "set", "level": "{level}"}}, level=40.0) == "volume to 40 %"
    )
    assert describe({"volume": "up"}) == "volume up by 5 %"
    assert describe({"volume": "mute"}) == "volume mute"


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("louder", "volume command 'louder': write one of set, up, down, mute"),
        ("set", "'set' has a level, and it alone: write {command: set, level: 40}"),
        ({"command": "up", "level": 3}, "'set' has a level, and it alone"),
        (
            {"command": "set", "level": 120},
            "volume 120 % is not between 0 and 100 %; raise 'limit'",
        ),
        ({"command": "set", "level": [3]}, "volume level [3] is no number"),
        ({"command": "set", "level": "x"}, "volume level 'x' is no number"),
        ({"command": "up", "step": 0}, "step is 0: write per cent"),
        ({"command": "up", "limit": 300}, "limit is 300: write per cent"),
        ({"command": "up", "timeout_s": 0}, "timeout_s is 0"),
    ],
)
def test_mistakes_are_explained(rule: Any, message: str) -> None:
    assert message in mistake({"volume": rule})
