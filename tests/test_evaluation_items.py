"""Manifests: what can be evaluated is, and everything else is told."""

import json

import numpy as np
import pytest
import soundfile

from assistant.errors import UsageError
from assistant.evaluation.items import Vocabulary, read_items
from assistant.evaluation.mixing import Mixer, Mixing, loudest_frame, parse_snrs
from assistant.evaluation.negatives import read_negatives
from assistant.training.augmentation import root_mean_square
from assistant.types import SAMPLE_RATE

VOCABULARY = Vocabulary(
    frozenset({"setLight", "setTimer"}),
    {"state": frozenset({"on", "off"}), "minutes": frozenset(range(1, 61))},
)


@pytest.fixture
def folder(tmp_path):
    """Three recordings of noise, of half a second each."""
    for number in range(3):
        sound = np.random.default_rng(number).standard_normal(SAMPLE_RATE // 2) * 0.1
        soundfile.write(tmp_path / f"{number}.wav", sound.astype(np.float32), SAMPLE_RATE)
    return tmp_path


def written(folder, *lines):
    path = folder / "manifest.jsonl"
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text("\n".join(texts) + "\n", encoding="utf-8")
    return path


def test_everything_that_is_wrong_is_told_and_the_rest_is_there(folder):
    (folder / "empty.wav").touch()
    manifest = written(
        folder,
        {"path": "0.wav", "intent": "setLight", "slots": {"state": "on"}, "speaker": "ann"},
        {"path": "missing.wav", "intent": "setLight"},
        {"path": "0.wav", "intent": "setLigth"},
        '{"path": "0.wav", "intent": ',
        "",
        {"path": "0.wav", "intent": "setLight", "slots": {"sate": "on"}},
        {"path": "0.wav", "intent": "setLight", "slots": {"state": "dim"}},
        {"path": "0.wav", "intent": 7},
        {"path": "0.wav", "slots": ["state"]},
        {"path": "0.wav"},
        {"intent": "setLight"},
        ["0.wav"],
        {"path": "empty.wav", "text": "hello"},
        {"path": "manifest.jsonl", "text": "hello"},
        {"path": "1.wav", "intent": "setTimr", "text": "five minutes"},
        {"path": "2.wav", "intent": "setTimer", "slots": {"minutes": 5.0}, "text": None},
    )
    items, problems = read_items(manifest, VOCABULARY)
    assert [(i.line, i.path, i.intent, i.text) for i in items] == [
        (1, "0.wav", "setLight", None),
        (15, "1.wav", None, "five minutes"),  # its text can be compared, its intent cannot
        (16, "2.wav", "setTimer", None),
    ]
    told = {problem.line: problem.what for problem in problems}
    assert sorted(told) == [2, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]
    assert len(problems) == len(told)
    for line, words in {
        2: "no such file",
        3: "did you mean 'setLight'?",
        4: "no JSON",
        6: "slot 'sate' is not in the command set; did you mean 'state'?",
        7: "no value 'dim'",
        8: "intent: expected text",
        9: "slots: expected",
        10: "no intent, slots or text",
        11: "no path",
        12: "no JSON object",
        13: "empty",
        14: "no audio",
        15: "'setTimr'",
    }.items():
        assert words in told[line]


def test_bytes_that_are_no_text_are_one_broken_line(folder):
    manifest = folder / "manifest.jsonl"
    manifest.write_bytes(b'\xff\xfe\n{"path": "0.wav", "text": "on"}\r\n')
    items, (problem,) = read_items(manifest, VOCABULARY)
    assert [i.line for i in items] == [2]
    assert problem.line == 1
    assert "UTF-8" in problem.what


def test_without_commands_only_text_counts(folder):
    manifest = written(
        folder, {"path": "0.wav", "intent": "anything"}, {"path": "1.wav", "text": "on"}
    )
    (item,), (problem,) = read_items(manifest, None)
    assert (item.path, item.labelled) == ("1.wav", False)
    assert "no text" in problem.what


def test_a_manifest_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(UsageError, match="cannot be read"):
        read_items(tmp_path / "no.jsonl", None)


# ── negatives ──────────────────────────────────────────────────────────────────────────────


def test_negatives_are_those_of_the_speakers(folder):
    manifest = written(
        folder,
        {"path": "0.wav", "speaker": "ann"},
        {"path": "1.wav", "speaker": "bob", "seconds": 0.5},
        "{",
        {"path": "2.wav"},
        {"path": "missing.wav", "speaker": "bob"},
    )
    (folder / "who.txt").write_text("bob\ncat\n", encoding="utf-8")
    items, problems = read_negatives(manifest, folder / "who.txt", None, 0)
    assert [i.path for i in items] == ["1.wav"]
    assert [p.line for p in problems] == [3, 5]
    (folder / "who.txt").write_text("nobody\n", encoding="utf-8")
    with pytest.raises(UsageError, match="no recording of these speakers"):
        read_negatives(manifest, folder / "who.txt", None, 0)


def test_negatives_of_a_folder_are_as_many_as_wanted_and_always_the_same(folder):
    items, problems = read_negatives(folder, None, None, 0)
    assert [i.path for i in items] == ["0.wav", "1.wav", "2.wav"]
    assert not problems
    second = [i.path for i in read_negatives(folder, None, 1 / 120, 5)[0]]
    assert len(second) == 1
    assert second == [i.path for i in read_negatives(folder, None, 1 / 120, 5)[0]]
    drawn = {read_negatives(folder, None, 1 / 120, seed)[0][0].path for seed in range(10)}
    assert len(drawn) > 1


# ── noise and rooms ────────────────────────────────────────────────────────────────────────


@pytest.fixture
def speech():
    sound = np.random.default_rng(9).standard_normal(2 * SAMPLE_RATE).astype(np.float32) * 0.01
    sound[SAMPLE_RATE : SAMPLE_RATE + 8000] *= 10
    return sound


def test_noise_depends_on_seed_path_and_condition_alone(folder, speech):
    mixer = Mixer.of([folder], Mixing.MEAN, False, 3)
    first = mixer(speech, "a", 6.0)
    mixer(speech, "b", 6.0)
    again = Mixer.of([folder], Mixing.MEAN, False, 3)
    np.testing.assert_array_equal(again(speech, "a", 6.0), first)
    others = [
        mixer(speech, "b", 6.0),
        Mixer.of([folder], Mixing.MEAN, False, 4)(speech, "a", 6.0),
        mixer(speech, "a", 6.0 + 1e-9),
    ]
    assert all(not np.array_equal(other, first) for other in others)
    np.testing.assert_array_equal(mixer(speech, "a", None), speech)


@pytest.mark.parametrize(
    ("mixing", "level"), [(Mixing.MEAN, root_mean_square), (Mixing.LOUDEST_FRAME, loudest_frame)]
)
def test_the_ratio_is_what_was_asked_for(folder, speech, mixing, level):
    mixed = Mixer.of([folder], mixing, False, 0)(speech, "a", 12.0)
    ratio = 20 * np.log10(level(speech) / level(mixed - speech))
    assert ratio == pytest.approx(12.0, abs=0.01)


def test_the_loudest_frame_is_that_of_picovoices_benchmark():
    sound = np.zeros(5 * 2048 + 100, np.float32)
    sound[2048:4096] = 0.5
    sound[-100:] = 1.0  # in no whole frame
    assert loudest_frame(sound) == pytest.approx(0.5)
    assert loudest_frame(sound[-100:]) == pytest.approx(1.0)


def test_a_room_is_drawn_for_each_recording_and_nothing_clips(folder, speech):
    mixer = Mixer.of([folder], Mixing.MEAN, True, 0)
    wet = mixer(speech, "a", None)
    assert wet.shape == speech.shape
    assert not np.array_equal(wet, mixer(speech, "b", None))
    loud = mixer(speech * 9, "a", -20.0)
    assert np.abs(loud).max() <= 1.0


@pytest.mark.parametrize("text", ["clean,loud", "6,6.0", "nan", "", "inf"])
def test_conditions_that_are_none(text):
    with pytest.raises(UsageError, match="--snr"):
        parse_snrs(text)


def test_conditions_in_the_order_given():
    assert parse_snrs("6, clean,-5") == (6.0, None, -5.0)


def test_noise_that_is_not_there_is_told_at_once(tmp_path):
    with pytest.raises(UsageError, match="no such file"):
        Mixer.of([tmp_path / "no.wav"], Mixing.MEAN, False, 0)
    with pytest.raises(UsageError, match="no recording"):
        Mixer.of([tmp_path], Mixing.MEAN, False, 0)
