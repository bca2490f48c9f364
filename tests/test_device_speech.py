"""Speech kept on the device that trains: as it is in a cache, and what is drawn of it."""

import math
from argparse import ArgumentTypeError
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from script_support import load_script, script_runner
from torch.nn.functional import pad

from assistant.bundle import read_acoustic
from assistant.errors import UsageError
from assistant.training.augmentation import AugmentationConfig, convolve, low_pass
from assistant.training.batch_augmentation import (
    BatchAugmenter,
    convolved,
    low_passed,
    root_mean_square,
)
from assistant.training.batches import Example
from assistant.training.device_speech import CLEAN, DeviceSpeech, _from_files, _OnDevice
from assistant.training.extraction import Extraction
from assistant.training.feature_cache import FeatureCache
from assistant.training.losses import ctc_loss, distillation_loss
from assistant.training.machine import own_device
from assistant.training.manifest import Recording, Split, read_samples
from assistant.training.material import read_material
from assistant.training.rows import LogMelRows, SampleRows

CPU = torch.device("cpu")
COFFEE = sorted((Path(__file__).parent / "data" / "recordings" / "coffee").glob("*.flac"))[:3]
NOTHING = AugmentationConfig(
    speeds=(1.0,),
    reverberation=0.0,
    noise=0.0,
    band_limit=0.0,
    level_db=(-35.0, -35.0),
    clipping=0.0,
    vocal_tract=(1.0, 1.0),
)


def cache_of(folder, maker):
    recordings = [
        Recording(path, "one", str(i), "coffee", len(read_samples(path)) / 16_000)
        for i, path in enumerate(COFFEE)
    ]
    list(Extraction(Split(tuple(recordings), ()), folder, maker, copies=0).run())
    return FeatureCache(folder / "clean", maker.columns)


@pytest.fixture
def examples(tmp_path):
    cache = cache_of(tmp_path / "samples", SampleRows())
    return [Example(((cache, u),), (1, 2, 3)) for u in cache.utterances]


def speech_of(examples, config=NOTHING, teacher=None, noises=(), views=1, noise_alone=0.0):
    augmenter = BatchAugmenter(config, noises, (), CPU)
    return DeviceSpeech(examples, CPU, augmenter, teacher, views, noise_alone)


def difference(found, expected):
    """By how much log-mel differs where it is loud, but for the level of each utterance."""
    each = []
    for one, other in zip(found, expected, strict=True):
        loud = other > other.max() - 0.75
        each.append(float((one - other)[loud].std()))
    return max(each)


def test_the_log_mel_is_that_of_a_cache(examples, tmp_path):
    kept = cache_of(tmp_path / "log-mel", LogMelRows())
    batch = speech_of(examples).draw(examples, None)
    assert batch.lengths.tolist() == [u.length for u in kept.utterances]
    assert batch.teacher is None
    for rows, utterance in zip(batch.rows, kept.utterances, strict=True):
        expected = torch.from_numpy(kept.rows(utterance).astype(np.float32))
        last = len(expected) - 1  # its end is reflected there and silent here
        # What is quietest is lost in float16 samples: a hundredth of the range of log-mel.
        assert (rows[:last] - expected[:last]).abs().mean() < 0.01
        assert rows[len(expected) :].abs().sum() == 0


def test_a_device_keeps_what_a_processor_reads(examples):
    chosen = [examples[2], examples[0]]
    kept = _OnDevice(examples, CPU).gathered(chosen)
    for one, other in zip(kept, _from_files(chosen), strict=True):
        assert torch.equal(one, other)


def test_nothing_drawn_changes_nothing(examples):
    speech = speech_of(examples)
    batch = speech.draw(examples, np.random.default_rng(1))
    expected = speech.draw(examples, None)
    assert difference(batch.rows, expected.rows) < 0.01


def test_every_draw_is_another_and_padding_stays_silent(examples):
    rng = np.random.default_rng(1)
    hum = rng.standard_normal(200_000).astype(np.float32)
    speech = speech_of(examples, AugmentationConfig(), noises=[hum])
    first, second = speech.draw(examples, rng), speech.draw(examples, rng)
    for batch in (first, second):
        assert torch.isfinite(batch.rows).all()
        for rows, length in zip(batch.rows, batch.lengths, strict=True):
            assert rows[int(length) :].abs().sum() == 0
    assert first.rows.shape != second.rows.shape or not torch.equal(first.rows, second.rows)


def test_a_shorter_vocal_tract_is_heard_higher(examples):
    def centre(batch):
        loud = torch.pow(10, 4 * batch.rows.reshape(len(examples), -1, 80)).sum(dim=1)
        return (loud * torch.arange(80)).sum(dim=1) / loud.sum(dim=1)

    speech = speech_of(examples, replace(NOTHING, vocal_tract=(1.1, 1.1)))
    before, seed = centre(speech.draw(examples, None)), 0
    after = centre(speech.draw(examples, np.random.default_rng(seed)))
    drawn = np.random.default_rng(seed)
    drawn.integers(1)  # the speed
    kept = torch.from_numpy(drawn.random(len(examples)) < CLEAN)
    assert 0 < int(kept.sum()) < len(examples)
    assert (((after / before)[~kept] - 1.1).abs() < 0.03).all()
    assert (((after / before)[kept] - 1).abs() < 0.03).all()


def test_speech_gets_shorter_where_it_is_faster(examples):
    faster = speech_of(examples, replace(NOTHING, speeds=(1.25,)))
    before = faster.draw(examples, None).lengths
    after = faster.draw(examples, np.random.default_rng(1)).lengths
    assert ((before / after - 1.25).abs() < 0.03).all()


def test_a_teacher_hears_the_clean_speech_at_the_same_speed(examples):
    heard = []

    class Teacher(torch.nn.Module):
        def forward(self, rows, lengths):
            heard.append((rows, lengths))
            return torch.log_softmax(torch.zeros(*rows.shape[:2], 5), dim=-1)

    noise = np.random.default_rng(2).standard_normal(200_000).astype(np.float32)
    noisy = replace(NOTHING, speeds=(0.8,), noise=1.0, babble=0.0, snr_db=(0.0, 0.0))
    speech = speech_of(examples, noisy, Teacher(), [noise])
    batch = speech.draw(examples, np.random.default_rng(1))
    ((rows, lengths),) = heard
    assert torch.equal(lengths, batch.lengths)
    assert batch.teacher.shape == (*batch.rows.shape[:2], 5)
    quiet = speech_of(examples, replace(NOTHING, speeds=(0.8,)))
    expected = quiet.draw(examples, np.random.default_rng(1))
    assert difference(rows, expected.rows) < 0.01
    assert difference(batch.rows, rows) > 0.05


class Alternating(torch.nn.Module):
    """Hears phoneme 1 in every other row."""

    def __init__(self):
        super().__init__()
        self.batches = []

    def forward(self, rows, lengths):
        self.batches.append(len(rows))
        scores = torch.zeros(*rows.shape[:2], 5)
        scores[:, 1::2, 1] = 9.0
        scores[:, ::2, 0] = 9.0
        return torch.log_softmax(scores, dim=-1)


def test_two_views_are_of_the_same_speech_in_other_noise_and_a_teacher_hears_it_once(examples):
    noise = np.random.default_rng(2).standard_normal(200_000).astype(np.float32)
    noisy = replace(NOTHING, speeds=(0.8,), noise=1.0, babble=0.0, snr_db=(0.0, 0.0))
    teacher, count = Alternating(), len(examples)
    speech = speech_of(examples, noisy, teacher, [noise], views=2)
    batch = speech.draw(examples, np.random.default_rng(1))
    assert teacher.batches == [count]
    for whole in (batch.lengths, batch.phonemes, batch.phoneme_lengths, batch.teacher):
        assert len(whole) == 2 * count
        assert torch.equal(whole[:count], whole[count:])
    assert difference(batch.rows[:count], batch.rows[count:]) > 0.05
    assert len(speech.draw(examples, None).rows) == count


def test_what_is_said_without_a_text_is_what_the_teacher_hears(examples):
    untold = [replace(examples[0], phonemes=()), *examples[1:]]
    batch = speech_of(untold, teacher=Alternating()).draw(untold, np.random.default_rng(1))
    assert batch.phoneme_lengths.tolist() == [int(batch.lengths[0]) // 2, 3, 3]
    assert set(batch.phonemes[0].tolist()) == {1}
    assert batch.phonemes[1, :3].tolist() == [1, 2, 3]


def test_speech_without_a_text_is_kept_for_a_teacher_that_listens_along(tmp_path):
    texts = ["coffee", "", "tea"]
    recordings = [
        Recording(path, text, "", "coffee", len(read_samples(path)) / 16_000)
        for path, text in zip(COFFEE, texts, strict=True)
    ]
    split = Split(tuple(recordings), ())
    list(Extraction(split, tmp_path, SampleRows(), copies=0).run())
    columns = SampleRows().columns
    kept, taught = (
        read_material(tmp_path, columns, "en-us", rarest=1, unlabelled=unlabelled).training
        for unlabelled in (False, True)
    )
    assert len(kept) == 2
    assert all(e.phonemes for e in kept)
    assert sorted(bool(e.phonemes) for e in taught) == [False, True, True]


def test_noise_in_the_place_of_speech_says_nothing_whatever_the_teacher_hears(examples):
    noise = np.random.default_rng(2).standard_normal(200_000).astype(np.float32)
    speech = speech_of(examples, NOTHING, Alternating(), [noise], views=2, noise_alone=0.5)
    batch = speech.draw(examples, np.random.default_rng(1))
    count, is_noise = len(examples), batch.phoneme_lengths == 0
    assert 0 < int(is_noise.sum()) < 2 * count
    assert torch.equal(is_noise[:count], is_noise[count:])
    expected = speech.draw(examples, None)
    for number, nothing in enumerate(is_noise[:count].tolist()):
        length = int(batch.lengths[number])
        heard, said = batch.rows[number], expected.rows[number]
        assert (difference([heard[:length]], [said[:length]]) > 0.05) == nothing
        assert heard[length:].abs().sum() == 0
        best = batch.teacher[number, :length].argmax(dim=1)
        assert (best == 0).all() if nothing else (best == 1).any()
    guessing = torch.full_like(batch.teacher, -math.log(5))
    assert torch.isfinite(distillation_loss(guessing, batch.teacher, batch))
    assert torch.isfinite(ctc_loss(guessing, batch))
    assert (speech.draw(examples, None).phoneme_lengths == 3).all()


def test_noise_alone_asks_for_enough_of_it(examples):
    hum = np.ones(1000, np.float32)
    speech = speech_of(examples, noises=[hum], noise_alone=1.0)
    with pytest.raises(UsageError, match=r"noise: \d s of it at once are needed"):
        speech.draw(examples, np.random.default_rng(1))


def test_noise_is_as_loud_as_it_was_drawn():
    rng = np.random.default_rng(1)
    hum = rng.standard_normal(100_000).astype(np.float32)
    config = replace(NOTHING, noise=1.0, babble=0.0, snr_db=(6.0, 6.0))
    tone = torch.sin(torch.arange(16_000) * 0.1)[None] * 0.1
    heard = BatchAugmenter(config, [hum], [], CPU)(tone, torch.tensor([16_000]), rng)
    share = float((heard * tone).sum() / (heard.norm() * tone.norm()))
    assert share**2 == pytest.approx(1 / (1 + 10**-0.6), abs=0.03)


def test_a_measured_room_begins_with_the_direct_sound():
    response = np.zeros(500, np.float32)
    response[100], response[300] = 2.0, 1.0
    config = replace(NOTHING, reverberation=1.0, measured=1.0)
    click = torch.zeros(1, 2000)
    click[0, 50] = 1.0
    augmenter = BatchAugmenter(config, [], [response], CPU)
    heard = augmenter(click, torch.tensor([2000]), np.random.default_rng(1))[0]
    assert heard.abs().topk(2).indices.tolist() == [50, 250]
    assert heard[250] / heard[50] == pytest.approx(0.5, abs=1e-3)


def test_batches_are_convolved_and_filtered_as_one_utterance_is():
    rng = np.random.default_rng(3)
    samples = rng.standard_normal(3000).astype(np.float32)
    response = (rng.standard_normal(400) * 0.1).astype(np.float32)
    response[0] = 1.0
    found = convolved(torch.from_numpy(samples)[None], torch.from_numpy(response)[None])[0]
    np.testing.assert_allclose(found.numpy(), convolve(samples, response), atol=1e-4)
    filtered = low_passed(torch.from_numpy(samples)[None], torch.tensor([[4000.0]]))[0]
    expected = low_pass(samples, 4000.0)
    assert np.abs(filtered.numpy() - expected)[500:2500].mean() < 0.05 * expected.std()


def test_levels_are_those_of_what_was_said():
    speech = torch.tensor([[1.0, -1.0, 1.0, -1.0], [2.0, 2.0, 0.0, 0.0]])
    inside = torch.tensor([[True] * 4, [True, True, False, False]])
    torch.testing.assert_close(
        root_mean_square(pad(speech, (0, 2)), pad(inside, (0, 2))), torch.tensor([[1.0], [2.0]])
    )


def test_the_scripts_train_on_samples(tmp_path, monkeypatch, capsys):
    """What a GPU does, on a processor: samples cached, heard anew, a bundle that can be read."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    cache, bundle = tmp_path / "cache", tmp_path / "bundle"

    def run(name, *arguments):
        script_runner(name, monkeypatch)(*arguments)

    manifest = COFFEE[0].parent.parent / "train-tiny.jsonl"
    run("extract_features", "--samples", "--copies", 0, "--manifest", manifest, "--output", cache)
    network = "--stem-width 16 --layers 1 --hidden-size 8 --projection-size 8 --rarest 1"
    train = ["--samples", "--cache", cache, "--language", "en-us", "--device", "cpu"]
    train += ["--checkpoints", tmp_path / "run", *network.split(), "--batch-rows", 500]
    run("train_acoustic", *train, "--bundle", bundle, "--passes", 1)
    teacher = ["--teacher-bundle", bundle, "--initial", bundle, "--passes", 2]
    run("train_acoustic", *train, "--bundle", tmp_path / "taught", *teacher)
    assert read_acoustic(tmp_path / "taught").phonemes == read_acoustic(bundle).phonemes
    twice = ["--consistency", 0.2, "--time-masks-per-second", 1.0, "--initial", bundle]
    checkpoints = ["--checkpoints", tmp_path / "twice-run", "--passes", 1]
    frozen = ["--encoder-learning-rate", 0, "--learning-rate", 0.1, "--warm-up", 1]
    run("train_acoustic", *train, "--bundle", tmp_path / "twice", *twice, *checkpoints, *frozen)
    before, after = read_acoustic(bundle), read_acoustic(tmp_path / "twice")
    assert after.phonemes == before.phonemes
    assert torch.equal(after.encoder.conv1.weight, before.encoder.conv1.weight)
    assert not torch.equal(after.model.head.weight, before.model.head.weight)
    alone = ["--noise-alone", 0.5, "--checkpoints", tmp_path / "alone-run", "--passes", 1]
    hum = tmp_path / "noise"
    hum.mkdir()
    for number in range(5):  # a fifth of them, by name, is left for measuring
        noise = np.random.default_rng(number).standard_normal(160_000) * 0.1
        soundfile.write(hum / f"hum{number}.wav", noise, 16_000)
    run("train_acoustic", *train, "--bundle", tmp_path / "alone", *alone, "--noise", hum)
    assert read_acoustic(tmp_path / "alone").phonemes == before.phonemes
    with pytest.raises(SystemExit):
        run("train_acoustic", *train, "--bundle", tmp_path / "alone", *alone)
    assert "it needs --samples and --noise" in capsys.readouterr().err
    without = [a for a in train if a != "--samples"]
    with pytest.raises(SystemExit):
        run("train_acoustic", *without, "--bundle", bundle, *twice)
    assert "it needs --samples" in capsys.readouterr().err

    with pytest.raises(SystemExit):
        run("extract_features", "--manifest", manifest, "--output", cache, "--longest", 30)
    assert (
        "an encoder hears 30 s, and copies are slower; give at most 21" in capsys.readouterr().err
    )
    with pytest.raises(UsageError, match="640 columns, not 320"):
        run("train_acoustic", *without, "--bundle", bundle)
    with pytest.raises(SystemExit):
        run("train_acoustic", *train, "--bundle", bundle, "--augment")


def test_how_often_a_corpus_is_drawn_is_said_with_a_number(monkeypatch):
    script = load_script("train_acoustic", monkeypatch)
    assert script.drawn("common_voice=0.5") == ("common_voice", 0.5)
    for text in ("common_voice", "=2", "mine=often", "mine=-1", "mine=inf", "mine=nan"):
        with pytest.raises(ArgumentTypeError, match="is not like common_voice=2"):
            script.drawn(text)


def test_every_process_has_a_gpu_of_its_own(monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "2")
    assert own_device("cuda") == torch.device("cuda", 2)
    assert own_device("cpu") == CPU
    monkeypatch.delenv("LOCAL_RANK")
    assert own_device("cuda") == torch.device("cuda", 0)
