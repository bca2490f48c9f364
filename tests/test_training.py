"""Manifests, augmentation, masking, batches, phonemes of the texts, and how errors are counted."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from assistant.errors import AudioFileError, UsageError
from assistant.training.augmentation import (
    CODECS,
    AugmentationConfig,
    Augmenter,
    coded,
    convolve,
    mix,
    root_mean_square,
    simulated_room,
)
from assistant.training.batches import Example, batches, collate
from assistant.training.feature_cache import FeatureCache
from assistant.training.intent_trainer import EarlyStopping
from assistant.training.json_lines import as_lines
from assistant.training.manifest import (
    Recording,
    held_out_noise,
    read_manifest,
    read_samples,
    split_by_speaker,
)
from assistant.training.masking import MaskingConfig, masked
from assistant.training.material import phonemes_of, read_material
from assistant.training.metrics import edit_distance, phoneme_error
from assistant.training.pseudo_labels import once

SPEECH = Path(__file__).parent / "data/recordings/coffee/3b1a9487.flac"


def test_manifest_names_the_broken_line(tmp_path):
    path = tmp_path / "manifest.jsonl"
    path.write_text('{"path": "a.wav", "text": "one", "seconds": 1}\n{"path": "b.wav"}\n')
    with pytest.raises(UsageError, match=r"manifest.jsonl:2"):
        read_manifest(path)


def test_a_manifest_names_speakers_as_it_likes_and_is_utf_8(tmp_path):
    path = tmp_path / "manifest.jsonl"
    entry = {"path": "a.wav", "text": "one", "seconds": 1}
    path.write_text("".join(json.dumps(entry | {"speaker": s}) + "\n" for s in (84, None, "x")))
    assert [r.speaker for r in read_manifest(path)] == ["84", "", "x"]
    path.write_text(json.dumps(entry | {"text": None}))
    with pytest.raises(UsageError, match=r"manifest.jsonl:1: .*text"):
        read_manifest(path)
    path.write_bytes(json.dumps(entry | {"text": "café"}, ensure_ascii=False).encode("latin-1"))
    with pytest.raises(UsageError, match="no UTF-8"):
        read_manifest(path)


def test_a_recording_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "damaged.flac").write_bytes(SPEECH.read_bytes()[:100])
    (tmp_path / "other.wav").write_text("no sound")
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), 16000)
    for name in ("damaged.flac", "other.wav", "empty.wav", "missing.wav"):
        with pytest.raises(AudioFileError, match=name):
            read_samples(tmp_path / name)


def test_a_manifest_without_seconds_is_measured(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(24000), 16000)
    lines = [json.dumps({"path": name, "text": "one"}) for name in ("a.wav", "missing.wav")]
    (tmp_path / "manifest.jsonl").write_text("\n".join(lines))
    there, missing = read_manifest(tmp_path / "manifest.jsonl")
    assert (there.seconds, missing.seconds) == (1.5, 0.0)


def test_noise_is_held_out_with_all_its_takes(tmp_path):
    paths = [tmp_path / f"rain_{i}_{take}.opus" for i in range(200) for take in "ab"]
    training, kept = held_out_noise(paths)
    assert sorted(training + kept) == sorted(paths)
    assert 40 < len(kept) < 120
    assert len({p.stem[:-2] for p in kept}) * 2 == len(kept)
    assert held_out_noise(paths[::-1])[1] == kept[::-1]


def test_no_speaker_is_on_both_sides(tmp_path):
    recordings = [
        Recording(tmp_path / f"{i}.wav", "x", f"speaker{i % 200}", f"corpus{i % 3}", 1.0)
        for i in range(2000)
    ]
    split = split_by_speaker(recordings, percent=5, percent_of={"corpus1": 30})
    trained = {r.speaker for r in split.training}
    assert not trained & set(split.held_out_speakers)
    assert 10 < len(split.held_out_speakers) < 100
    assert len(split.training) + len(split.held_out) == len(recordings)


def test_test_voices_are_never_trained_on(tmp_path):
    voices = ["af_heart", "am_onyx*0.4+bm_lewis*0.6", "am_onyx"]
    recordings = [Recording(tmp_path / v, "x", v, "synthetic", 1.0) for v in voices]
    assert [r.speaker for r in split_by_speaker(recordings, percent=0).training] == ["am_onyx"]


def test_mix_has_the_ratio_asked_for():
    rng = np.random.default_rng(0)
    speech = rng.standard_normal(8000).astype(np.float32)
    noise = 3 * rng.standard_normal(8000).astype(np.float32)
    added = mix(speech, noise, 6.0) - speech
    ratio = 20 * np.log10(root_mean_square(speech) / root_mean_square(added))
    assert ratio == pytest.approx(6.0, abs=0.01)


def test_a_room_keeps_the_direct_sound_in_place():
    click = np.zeros(4000, np.float32)
    click[1000] = 1.0
    wet = convolve(click, simulated_room(np.random.default_rng(1)))
    assert len(wet) == len(click)
    assert int(np.abs(wet).argmax()) == 1000
    assert np.abs(wet[:999]).max() < 1e-5


@pytest.mark.parametrize("codec", CODECS)
def test_a_codec_keeps_length_and_speech(codec):
    speech, _ = soundfile.read(SPEECH, dtype="float32")
    heard = coded(speech, codec)
    assert heard.shape == speech.shape and heard.dtype == np.float32
    assert 0 < root_mean_square(heard - speech) < 0.6 * root_mean_square(speech)


def test_augmentation_is_reproducible_and_in_range():
    rng = np.random.default_rng(0)
    noise = [rng.standard_normal(5000).astype(np.float32)]
    augmenter = Augmenter(AugmentationConfig(), noise, [], noise)
    speech = rng.standard_normal(16000).astype(np.float32) * 0.1
    copies = [augmenter(speech, np.random.default_rng(seed)) for seed in (3, 3, 4)]
    assert np.array_equal(copies[0], copies[1])
    assert copies[0].shape != copies[2].shape or not np.array_equal(copies[0], copies[2])
    assert all(np.isfinite(c).all() and np.abs(c).max() <= 1 for c in copies)


@pytest.mark.parametrize(
    ("first", "second", "distance"),
    [([], [], 0), ([1], [], 1), ([], [1, 2], 2), ([1, 2, 3], [1, 3], 1), ([1, 2], [2, 1], 2)],
)
def test_edit_distance(first, second, distance):
    assert edit_distance(first, second) == distance
    assert edit_distance(second, first) == distance


def test_phoneme_error_counts():
    total = phoneme_error([1, 2], [1, 2, 3]) + phoneme_error([4], [4])
    assert (total.errors, total.length) == (1, 4)


def hidden(rows, lengths, seed, frames_per_row=4):
    config = MaskingConfig(time_masks_per_second=5)
    rng = np.random.default_rng(seed)
    return masked(rows, torch.tensor(lengths), frames_per_row, 25, config, rng)


@pytest.mark.parametrize("frames_per_row", [4, None])
def test_masks_are_seeded_and_leave_the_padding_alone(frames_per_row):
    lengths = [50, 30, 1]
    rows = torch.randn(3, 50, 320, generator=torch.Generator().manual_seed(0))
    first = hidden(rows, lengths, 1, frames_per_row)
    assert first.shape == rows.shape
    assert torch.equal(first, hidden(rows, lengths, 1, frames_per_row))
    assert not torch.equal(first, hidden(rows, lengths, 2, frames_per_row))
    assert not torch.equal(first[0], rows[0])
    for after, before, length in zip(first, rows, lengths, strict=True):
        assert torch.equal(after[length:], before[length:])
        assert torch.isfinite(after).all()


def test_a_mask_hides_a_band_of_every_frame():
    rows = torch.randn(1, 20, 320)
    config = MaskingConfig(time_masks_per_second=0, frequency_masks=1, frequency_mask_bins=40)
    after = masked(rows, torch.tensor([20]), 4, 25, config, np.random.default_rng(0))
    changed = (after != rows).view(20, 4, 80)
    bins = changed.any(dim=(0, 1))
    assert 0 < bins.sum() <= 40
    assert torch.equal(changed.all(dim=(0, 1)), bins)


def cached(folder, texts, columns=4, corpus="made", rank=0):
    """A cache whose utterance `n` has `n + 10` rows of the value `n`."""
    folder.mkdir(parents=True, exist_ok=True)
    rows, entries, start = [], [], 0
    for place, text in enumerate(texts):
        length = place + 10
        rows.append(np.full((length, columns), place, np.float16))
        entries.append({"place": place, "start": start, "length": length, "text": text})
        entries[-1] |= {"speaker": f"{corpus}{place}", "corpus": corpus}
        start += length
    (folder / f"rows-{rank}.f16").write_bytes(np.concatenate(rows).tobytes())
    (folder / f"index-{rank}.jsonl").write_text(as_lines(entries))
    return FeatureCache(folder, columns)


@pytest.mark.parametrize(("draws", "low", "high"), [(0.0, 0, 0), (0.25, 30, 70), (2.5, 460, 540)])
def test_an_example_is_drawn_as_often_as_it_says(tmp_path, draws, low, high):
    cache = cached(tmp_path, ["x"] * 2)
    often = Example(((cache, cache.utterances[0]),), (1,), draws)
    once = Example(((cache, cache.utterances[1]),), (1,))
    drawn = next(
        batches(
            [often] * 200 + [once] * 50, 10**9, np.random.default_rng(0), np.random.default_rng(1)
        )
    )
    assert low <= sum(e is often for e in drawn) <= high
    assert sum(e is once for e in drawn) == 50


def test_batches_pad_utterances_of_like_length(tmp_path):
    cache = cached(tmp_path, ["x"] * 20)
    examples = [Example(((cache, u),), (1,) * (1 + u.place % 3)) for u in cache.utterances]
    source = batches(examples, 80, np.random.default_rng(0), np.random.default_rng(1))
    seen = []
    while len(seen) < 20:
        group = next(source)
        seen += [e.length for e in group]
        batch = collate(group, None)
        assert batch.rows.shape[0] * batch.rows.shape[1] <= 80
        for rows, length, example in zip(batch.rows, batch.lengths, group, strict=True):
            assert length == example.length
            assert (rows[:length] == length - 10).all()
            assert (rows[length:] == 0).all()
    assert sorted(seen) == list(range(10, 30))


def test_phonemes_are_kept_by_language(tmp_path):
    cache = tmp_path / "phonemes.json"
    english = phonemes_of(["time", "no"], "en-us", cache)
    assert english["time"] == ("t", "aɪ", "m")
    kept = json.loads(cache.read_text())
    kept["texts"]["time"] = ["kept"]
    cache.write_text(json.dumps(kept))
    again = phonemes_of(["time", "yes"], "en-us", cache)
    assert again["time"] == ("kept",)
    assert again["yes"] == ("j", "ɛ", "s")
    portuguese = phonemes_of(["time"], "pt-br", cache)
    assert portuguese["time"] not in (("kept",), english["time"])
    assert json.loads(cache.read_text())["language"] == "pt-br"


def test_material_joins_copies_and_families_of_corpora(tmp_path):
    cached(tmp_path / "clean", ["yes", "no", "yes yes"])
    cached(tmp_path / "augmented-1", ["yes", "no"])
    cached(tmp_path / "held-out", ["no"], corpus="common_voice_17")
    cached(tmp_path / "held-out", ["yes"], corpus="common_voice_18", rank=1)
    material = read_material(tmp_path, 4, "en-us", draws={"ma": 0.5, "made": 2.0}, rarest=2)
    assert material.inventory == ["<blank>", "j", "s", "ɛ"]  # "no" is too rare
    assert [len(e.copies) for e in material.training] == [2, 1]
    assert [e.phonemes for e in material.training] == [(1, 3, 2), (1, 3, 2) * 2]
    assert all(e.draws == 2.0 for e in material.training)
    assert {name: len(listed) for name, listed in material.held_out.items()} == {"common_voice": 2}
    assert material.speakers == ["common_voice_170", "common_voice_180"]
    apart = read_material(tmp_path, 4, "en-us", apart=["common_voice_18"]).held_out
    assert {name: len(listed) for name, listed in apart.items()} == {
        "common_voice": 1,
        "common_voice_18": 1,
    }
    with pytest.raises(UsageError, match=r"--apart common_voice_81: .* common_voice_17, common_"):
        read_material(tmp_path, 4, "en-us", apart=["common_voice_81"])
    with pytest.raises(UsageError, match="no features"):
        read_material(tmp_path / "nothing", 4, "en-us")


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("Her crew was saved.", "Her crew was saved."),
        (" Her crew was saved. Her crew was saved. Her crew", "Her crew was saved."),
        ("Really, really good.", "Really, really good."),
        ("We will fight on we will fight on the beaches.",) * 2,
        ("turn the lights on turn the lights on and close the door",) * 2,
        ("She said that that that was it.", "She said that that that was it."),
        ("", ""),
    ],
)
def test_what_whisper_says_again_is_cut(said, kept):
    assert once(said) == kept


def test_learning_stops_where_nothing_is_learnt_and_keeps_the_best():
    stopping, model = EarlyStopping(patience=2), torch.nn.Linear(1, 1, bias=False)
    seen = []
    for epoch, loss in enumerate([3.0, 2.0, 2.5, 1.0, 1.5, 1.2, 0.1]):
        torch.nn.init.constant_(model.weight, epoch)
        seen.append(stopping.over(model, loss))
        if seen[-1]:
            break
    assert seen == [False, False, False, False, False, True]
    assert float(stopping.best["weight"]) == 3
