"""Manifests, augmentation, alignment, splicing and the training loop, on data made here."""

import json

import numpy as np
import pytest
import torch

from assistant.config import AcousticConfig
from assistant.errors import UsageError
from assistant.nn.acoustic_model import AcousticModel
from assistant.training.acoustic_trainer import AcousticTrainer, TrainingConfig, evaluate
from assistant.training.augmentation import (
    AugmentationConfig,
    Augmenter,
    convolve,
    mix,
    root_mean_square,
    simulated_room,
)
from assistant.training.batches import Example
from assistant.training.feature_cache import FeatureCache
from assistant.training.manifest import Recording, read_manifest, split_by_speaker
from assistant.training.metrics import edit_distance, phoneme_error
from assistant.training.posterior_bank import PosteriorBank, Splicer, align, build_bank

COLUMNS, PHONEMES = 12, 12


def test_manifest_names_the_broken_line(tmp_path):
    path = tmp_path / "manifest.jsonl"
    path.write_text('{"path": "a.wav", "text": "one", "seconds": 1}\n{"path": "b.wav"}\n')
    with pytest.raises(UsageError, match=r"manifest.jsonl:2"):
        read_manifest(path)


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


def peaky(phonemes, rows_each=2, gap=1, certainty=0.9):
    """Posteriors (T, PHONEMES) that say the phonemes clearly, with blanks between."""
    labels = [0]
    for phoneme in phonemes:
        labels += [phoneme] * rows_each + [0] * gap
    probabilities = np.full((len(labels), PHONEMES), (1 - certainty) / (PHONEMES - 1))
    probabilities[np.arange(len(labels)), labels] = certainty
    return torch.from_numpy(np.log(probabilities)).float()


def test_alignment_cuts_between_the_phonemes():
    found = align(peaky([1, 2, 2, 3]), (1, 2, 2, 3), noisy=False)
    assert found is not None
    assert list(found.starts) == [0, 4, 7, 10, 13]


def test_alignment_refuses_what_does_not_fit():
    assert align(peaky([1])[:2], (1, 1, 2), noisy=False) is None


def bank_of(sentences):
    found = [align(peaky(s), tuple(s), noisy=i % 2 == 1) for i, s in enumerate(sentences)]
    return build_bank([f for f in found if f is not None])


def test_splices_say_what_was_asked(tmp_path):
    sentences = [[1, 2, 3, 4], [4, 3, 2, 1], [2, 4, 1, 3], [3, 1, 4, 2]] * 2
    bank_of(sentences).write(tmp_path / "bank.safetensors")
    splicer = Splicer(PosteriorBank.read(tmp_path / "bank.safetensors"))
    for noisy in (False, True):
        target = (1, 2, 3, 1, 4, 2, 2)
        spliced = splicer.splice(target, noisy, np.random.default_rng(0))
        assert np.allclose(np.exp(spliced.log_probs).sum(axis=1), 1, atol=0.05)
        assert np.all(np.diff(spliced.places) >= 0)
        for place, phoneme in enumerate(target):
            said = spliced.log_probs[spliced.places == place].argmax(axis=1)
            assert set(said) - {0} == {phoneme}


def test_a_splice_takes_the_longest_run_there_is():
    splicer = Splicer(bank_of([[1, 2, 3, 4, 5], [5, 4, 3, 2, 1]] + [[3, 4], [3, 5]] * 3))
    begin, length = splicer._longest_match((2, 3, 4, 5), 0, False, np.random.default_rng(0))
    assert (begin, length) == (1, 4)


def test_splicing_skips_what_the_bank_never_heard():
    spliced = Splicer(bank_of([[1, 2], [1, 2]])).splice((1, 5, 2), False, np.random.default_rng(0))
    assert set(spliced.places) == {0, 2}


@pytest.fixture
def examples(tmp_path):
    """A cache in which every phoneme has a row of its own: learnt in a moment."""
    rng = np.random.default_rng(0)
    rows, entries, start = [], [], 0
    for place in range(60):
        phonemes = rng.integers(1, 6, 5)
        labels = np.concatenate([[0, p, 0] for p in phonemes])
        block = np.eye(COLUMNS)[labels] + 0.05 * rng.standard_normal((len(labels), COLUMNS))
        rows.append(block.astype(np.float16))
        text = " ".join(map(str, phonemes))
        entries.append({"place": place, "start": start, "length": len(labels), "text": text})
        entries[-1] |= {"speaker": str(place), "corpus": "made"}
        start += len(labels)
    (tmp_path / "rows-0.f16").write_bytes(np.concatenate(rows).tobytes())
    (tmp_path / "index-0.jsonl").write_text("\n".join(map(json.dumps, entries)))
    cache = FeatureCache(tmp_path, COLUMNS)
    return [Example(((cache, u),), tuple(int(p) for p in u.text.split())) for u in cache.utterances]


def trainer(examples, folder, passes):
    torch.manual_seed(0)
    config = AcousticConfig(
        input_size=COLUMNS,
        projection_size=16,
        hidden_size=16,
        layers=1,
        phonemes=PHONEMES,
        dropout=0,
    )
    training = TrainingConfig(
        passes=passes,
        batch_rows=150,
        learning_rate=0.02,
        warm_up=5,
        time_masks=0,
        average=0.9,
        evaluate_every=20,
    )
    return AcousticTrainer(
        AcousticModel(config),
        examples[10:],
        {"made": examples[:10]},
        training,
        folder,
        torch.device("cpu"),
    )


def test_training_learns_logs_and_resumes(examples, tmp_path):
    first = trainer(examples, tmp_path / "run", passes=60)
    before = evaluate(first.model, examples[:10]).rate
    first.run()
    assert before > 0.5
    assert first.evaluate()["made"].rate < 0.2
    lines = (tmp_path / "run" / "log.csv").read_text().splitlines()
    assert lines[0].split(",")[:3] == ["update", "loss", "audio_per_second"]

    again = trainer(examples, tmp_path / "run", passes=62)
    again._resume()
    assert again.update == first.update
    for name, value in first.average.items():
        assert torch.equal(again.average[name], value)
    again.run()
    assert again.update == again.updates > first.updates


def test_phoneme_error_counts():
    total = phoneme_error([1, 2], [1, 2, 3]) + phoneme_error([4], [4])
    assert (total.errors, total.length) == (1, 4)
