"""Texts for speech without: what is gone on with, what is left out, and what is joined."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from script_support import load_script

from assistant.training.manifest import read_manifest
from assistant.training.pseudo_labels import Label, loops

Run = Callable[..., list[str]]


class Echo:
    """Stands in for Whisper, which is 150 MB: hears the number that a recording is full of."""

    def __init__(self, *_: object) -> None:
        pass

    def labels(self, recordings: list[np.ndarray]) -> list[Label]:
        return [Label(f"number {round(float(r[0]) * 100)}", -0.1) for r in recordings]


@pytest.fixture
def label(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Labels the clips, and gives the names in the manifest."""

    def run(*options: object) -> list[str]:
        script = load_script("label_speech", monkeypatch)
        monkeypatch.setattr(script, "Whisper", Echo)
        monkeypatch.setattr(script, "join_wheels", lambda folder: None)
        arguments = ["--audio", tmp_path / "clips", "--language", "en"]
        arguments += ["--output", tmp_path / "labels.jsonl", *options]
        monkeypatch.setattr(sys, "argv", ["label_speech.py", *map(str, arguments)])
        script.main()
        return [r.path.stem for r in read_manifest(tmp_path / "labels.jsonl")]

    return run


def clip(path: Path, number: int, seconds: float = 0.1) -> None:
    path.parent.mkdir(exist_ok=True)
    soundfile.write(path, np.full(int(seconds * 16000), number / 100), 16000)


def test_nothing_is_labelled_twice_however_many_processes_and_files(
    label: Run, tmp_path: Path
) -> None:
    for number, name in enumerate("bcde"):
        clip(tmp_path / "clips" / f"{name}.wav", number)
    assert label() == ["b", "c", "d", "e"]
    (tmp_path / "labels.0.jsonl").rename(tmp_path / "labels.3.jsonl")  # of another number of them
    clip(tmp_path / "clips" / "a.wav", 9)
    assert sorted(label()) == ["a", "b", "c", "d", "e"]
    text = (tmp_path / "labels.3.jsonl").read_text()
    (tmp_path / "labels.3.jsonl").write_text(text[:-9])  # stopped in the middle of a line
    assert sorted(label()) == ["a", "b", "c", "d", "e"]
    labelled = {r.path.stem: r.text for r in read_manifest(tmp_path / "labels.jsonl")}
    assert labelled["d"] == "number 2"


def test_who_is_excluded_later_is_left_out(label: Run, tmp_path: Path) -> None:
    for number, name in enumerate("abc"):
        clip(tmp_path / "clips" / f"{name}.wav", number)
    label()
    excluded = tmp_path / "held_out.jsonl"
    excluded.write_text(json.dumps({"path": "elsewhere/b.mp3", "text": "one", "seconds": 1}) + "\n")
    assert label("--except", excluded) == ["a", "c"]


def test_clips_that_whisper_cannot_hear_are_left_out(
    label: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip(tmp_path / "clips" / "a.wav", 1)
    clip(tmp_path / "clips" / "long.wav", 2, seconds=29)
    (tmp_path / "clips" / "none.mp3").write_bytes(b"")
    assert label() == ["a"]
    assert "2 left out, the first of them" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "is_looping"),
    [
        ("S-S-S-S-S-S-S-S-S-S-S-S-S-S-S-S-S-S-S-S-S-S-S-S-S-S-S-S-S-S-", True),
        ("praised by the President of the Board of the Board of the Board of the Board", True),
        ("He is a Rugby player through and through and has lurched there.", False),
        ("Provincial or national colours often assigned in national competitions.", False),
        ("no no no", False),
        ("", False),
    ],
)
def test_a_text_that_says_the_same_over_and_over_is_told(text: str, is_looping: bool) -> None:
    assert loops(text) == is_looping


def test_what_whisper_repeats_is_left_out_however_sure_it_was(
    label: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, name in enumerate("ab"):
        clip(tmp_path / "clips" / f"{name}.wav", number + 1)
    monkeypatch.setattr(
        Echo,
        "labels",
        lambda _, recordings: [Label("two " * round(r[0] * 100) ** 5, 0.0) for r in recordings],
    )
    assert label() == ["a"]
