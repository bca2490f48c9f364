"""`assistant record`: sentences are asked for, heard, judged and kept; nothing is lost."""

from __future__ import annotations

import json
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from tiny_bundle import COMMANDS

from assistant import audio
from assistant.cli import main
from assistant.cli.recorder import faults
from assistant.cli.sources import recut
from assistant.errors import AudioDeviceError
from assistant.grammar.commands import load_commands
from assistant.grammar.network import accepts
from assistant.training.prompting import choose_prompts
from assistant.training.takes import TakeFolder
from assistant.types import SAMPLE_RATE, EndReason, Samples

Record = Callable[..., tuple[int, list[str], list[str]]]


def spoken(level: float = 0.2) -> Samples:
    """Someone hums for a second, with silence around."""
    time = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    hum = np.clip(level * (2 * (120 * time % 1) - 1) * np.abs(np.sin(4 * np.pi * time)), -1, 1)
    silence = np.zeros(3 * SAMPLE_RATE // 2)
    return np.concatenate([silence, hum, silence]).astype(np.float32)


class FakeMicrophone:
    """Each opening hears the next of `sounds`; an exception among them is raised, then none."""

    overruns = 0
    sounds: list[Samples | BaseException]

    def __init__(self, config: Any, **_: Any) -> None:
        self.config = config

    def __enter__(self) -> FakeMicrophone:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __iter__(self) -> Iterator[Samples]:
        sound = self.sounds.pop(0) if self.sounds else np.zeros(SAMPLE_RATE, np.float32)
        if isinstance(sound, BaseException):
            raise sound
        return recut([sound], 320)


@pytest.fixture
def commands(tmp_path: Path) -> Path:
    path = tmp_path / "commands.yaml"
    path.write_text(COMMANDS, encoding="utf-8")
    return path


@pytest.fixture
def record(
    commands: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Record:
    """Records into `takes` what is given as sounds: exit code, lines of stdout, of stderr."""

    def run(
        sounds: list[Samples | BaseException], *options: object
    ) -> tuple[int, list[str], list[str]]:
        monkeypatch.setattr(audio, "Microphone", FakeMicrophone)
        monkeypatch.setattr(FakeMicrophone, "sounds", sounds, raising=False)
        code = main(["record", str(commands), "-o", str(tmp_path / "takes"), *map(str, options)])
        captured = capsys.readouterr()
        return code, captured.out.splitlines(), captured.err.splitlines()

    return run


def entries(tmp_path: Path) -> list[dict[str, Any]]:
    text = (tmp_path / "takes/manifest.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def test_every_sentence_is_shown_recorded_and_written_down(
    record: Record, commands: Path, tmp_path: Path
) -> None:
    code, out, err = record([spoken()] * 5, "--speaker", "Ada")
    assert code == 0 and "5 recordings" in out[-1]
    network = load_commands([commands]).network
    found = entries(tmp_path)
    assert {e["text"] for e in found} == {
        *("turn the light on", "turn the light off", "dim to one", "dim to two", "dim to three")
    }
    for entry in found:
        assert any(entry["text"] in line for line in err)
        assert (entry["intent"], entry["slots"]) in accepts(network, entry["text"].split())
        assert entry["speaker"] == "Ada"
        samples, rate = soundfile.read(tmp_path / "takes" / entry["path"])
        assert (rate, samples.ndim) == (SAMPLE_RATE, 1)
        assert 1.0 < len(samples) / rate < 3.0 and np.abs(samples).max() > 0.1
        assert entry["seconds"] == round(len(samples) / rate, 2)
    assert [e["slots"].get("device") for e in found if e["intent"] == "setBrightness"] == [
        "light"
    ] * 3


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
def test_recordings_are_the_owners_alone(record: Record, tmp_path: Path) -> None:
    record([spoken()] * 5)
    folder = tmp_path / "takes"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert len(list(folder.iterdir())) == 6
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


def test_interruption_keeps_what_there_is_and_the_next_call_goes_on(
    record: Record, tmp_path: Path
) -> None:
    code, _, err = record([spoken(), spoken(), KeyboardInterrupt()])
    assert code == 130
    assert "goes on" in err[-1]
    first = entries(tmp_path)
    assert len(first) == 2
    code, _, err = record([spoken()] * 3)
    assert code == 0 and any("2 of 5" in line for line in err)
    found = entries(tmp_path)
    assert found[:2] == first
    assert len({e["text"] for e in found}) == len({e["path"] for e in found}) == 5
    assert record([])[0] == 0  # nothing is left to say
    assert entries(tmp_path) == found
    assert record([spoken()] * 5, "--takes", 2)[0] == 0
    assert len(entries(tmp_path)) == 10


def test_a_line_broken_off_by_a_power_cut_costs_that_line_alone(
    record: Record, tmp_path: Path
) -> None:
    record([spoken(), spoken(), KeyboardInterrupt()])
    manifest = tmp_path / "takes/manifest.jsonl"
    manifest.write_bytes(manifest.read_bytes()[:-20])
    assert record([spoken()] * 4)[0] == 0
    lines = manifest.read_text(encoding="utf-8").splitlines()
    assert len(lines) == 6
    assert len([json.loads(line) for line in lines if line.endswith("}")]) == 5


@pytest.mark.parametrize(
    ("faulty", "remedy"), [(0.01, "turn the microphone up"), (9.0, "turn the microphone down")]
)
def test_a_faulty_take_is_asked_for_again(
    record: Record, tmp_path: Path, faulty: float, remedy: str
) -> None:
    code, _, err = record([spoken(faulty), *[spoken()] * 5])
    assert code == 0
    (warning,) = [line for line in err if line.startswith("warning")]
    assert remedy in warning
    for entry in entries(tmp_path):
        peak = np.abs(soundfile.read(tmp_path / "takes" / entry["path"])[0]).max()
        assert 0.1 < peak < 0.3
    assert len(entries(tmp_path)) == 5


def test_a_faulty_take_is_kept_where_there_is_no_better_one(record: Record, tmp_path: Path) -> None:
    code, _, err = record([spoken(0.01)] * 3 + [spoken()] * 4)
    assert code == 0 and "kept as it is" in err
    assert len(entries(tmp_path)) == 5
    (tmp_path / "takes/manifest.jsonl").unlink()
    assert record([spoken(0.01), KeyboardInterrupt()])[0] == 130
    assert len(entries(tmp_path)) == 1


def test_faults() -> None:
    good = spoken()
    assert faults(good, EndReason.SILENCE, lost=0) == ()
    assert "no pause" in faults(good, EndReason.MAXIMUM_LENGTH, lost=0)[0]
    assert "3 blocks" in faults(good, EndReason.SILENCE, lost=3)[0]
    one_loud_sample = good.copy()
    one_loud_sample[8_000] = 1.0
    assert faults(one_loud_sample, EndReason.SILENCE, lost=0) == ()


def test_no_microphone_is_one_line(
    commands: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def absent() -> None:
        raise AudioDeviceError("PortAudio was not found: install libportaudio2")

    monkeypatch.setattr(audio, "_portaudio", absent)
    assert main(["record", str(commands), "-o", str(tmp_path / "takes")]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if line.startswith("error")] == [
        "error: PortAudio was not found: install libportaudio2"
    ]


def test_a_microphone_that_falls_silent_for_good_is_one_line(record: Record) -> None:
    code, _, err = record([])
    assert code == 1
    assert err[-1].startswith("error: the microphone has no more sound")


def test_few_sentences_say_the_most(commands: Path) -> None:
    network = load_commands([commands]).network
    two = choose_prompts(network, 2)
    assert {prompt.reading[0] for prompt in two.prompts} == {"setLight", "setBrightness"}
    assert (two.intents, two.values) == ((2, 2), (3, 6))
    assert choose_prompts(network, 99) == choose_prompts(network, 100)
    assert choose_prompts(network, 99).values == (6, 6)
    assert choose_prompts(network, 99).prompts[:2] == two.prompts


def test_recordings_of_others_do_not_count(tmp_path: Path) -> None:
    folder = TakeFolder(tmp_path / "takes")
    folder.add(spoken(), "dim to one", ("setBrightness", {"level": 1}), "Ada")
    assert folder.recorded("Ada") == {"dim to one": 1}
    assert not folder.recorded("Grace")
    (folder.folder / "0001.flac").unlink()
    assert not folder.recorded("Ada")


def test_a_line_that_is_no_text_costs_that_line_alone(tmp_path: Path) -> None:
    folder = TakeFolder(tmp_path / "takes")
    folder.add(spoken(), "dim to one", ("setBrightness", {"level": 1}), "Ada")
    with folder.manifest.open("ab") as manifest:
        manifest.write(b'{"speaker": "Ada", "text": "\xff\xfe"}\n\xc3\n')
    assert folder.recorded("Ada") == {"dim to one": 1}
