"""The posterior bank: what is chosen for it, alignment, and splicing sentences from it."""

import sys
from collections import Counter

import numpy as np
import pytest
import soundfile
import tiny_bundle
import torch
from script_support import load_script

from assistant.bundle import read_acoustic, read_inventory
from assistant.errors import UsageError
from assistant.grammar.commands import load_commands
from assistant.training.bank_speech import NOISES, choose, hear, noise_stretches
from assistant.training.extraction import Extraction
from assistant.training.feature_cache import FeatureCache
from assistant.training.manifest import Recording, Split
from assistant.training.mishearing import Mishearing, MishearingConfig
from assistant.training.posterior_bank import PosteriorBank, Splicer, align, build_bank
from assistant.training.posteriors import network_of
from assistant.training.pronouncing import ways_of
from assistant.training.rows import LogMelRows
from assistant.training.sentence_source import SentenceSource

PHONEMES = 12


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


def test_noise_lies_beside_the_speech(tmp_path):
    speech = bank_of([[1, 2, 3, 4], [4, 3, 2, 1]])
    heard = [peaky([5]), peaky([]), peaky([6, 7], rows_each=3)]
    speech.with_noise(heard).write(tmp_path / "bank.safetensors")
    bank = PosteriorBank.read(tmp_path / "bank.safetensors")
    assert [len(noise.labels) for noise in bank.noise] == [len(h) for h in heard]
    for noise, log_probs in zip(bank.noise, heard, strict=True):
        assert np.allclose(np.exp(noise.log_probs(PHONEMES)), log_probs.exp(), atol=0.01)
    assert np.array_equal(bank.log_probs(np.arange(6)), speech.log_probs(np.arange(6)))
    assert bank.with_noise([]).noise == ()


def test_noise_is_cut_at_random_into_what_an_utterance_lasts():
    noises = [np.arange(seconds * 16_000, dtype=np.float32) for seconds in (0, 0.5, 3, 400)]
    stretches = noise_stretches(noises, seed=1)
    assert len(stretches) == NOISES
    assert all(1 <= len(stretch) / 16_000 <= 4 for stretch in stretches)
    assert all(np.all(np.diff(stretch) == 1) for stretch in stretches)
    again = noise_stretches(noises, seed=1)
    assert all(np.array_equal(*both) for both in zip(stretches, again, strict=True))
    assert len(noise_stretches(noises[:3], seed=1)) in (1, 2)


def test_noise_is_put_into_a_bank_that_is_there(tmp_path, monkeypatch, capsys):
    bundle = tiny_bundle.build(tmp_path)
    tiny_bundle.write_bank(bundle, np.zeros(tiny_bundle.BANKED, np.bool_))
    path = bundle / "posterior_bank.safetensors"
    before = PosteriorBank.read(path)
    noise = tmp_path / "noise"
    noise.mkdir()
    hum = 0.1 * np.random.default_rng(0).standard_normal(6 * 16_000)
    for name in "abcdefgh":
        soundfile.write(noise / f"{name}{name}.flac", hum, 16_000)
    script = load_script("build_bank", monkeypatch)
    monkeypatch.setattr(sys, "argv", ["build_bank.py", "--bundle", str(bundle)])
    with pytest.raises(SystemExit):
        script.main()
    assert "--cache: name the speech of the bank" in capsys.readouterr().err
    given = sys.argv
    monkeypatch.setattr(sys, "argv", [*given, "--noise", str(noise)])
    script.main()
    after = PosteriorBank.read(path)
    assert after.noise and np.array_equal(after.labels, before.labels)
    assert f"{len(after.noise)} stretches of noise" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", [*given, "--noise", str(tmp_path / "nowhere")])
    with pytest.raises(UsageError, match=r"nowhere: no recording of a second or more"):
        script.main()
    assert len(PosteriorBank.read(path).noise) == len(after.noise)


def test_a_splice_takes_the_longest_run_there_is():
    splicer = Splicer(bank_of([[1, 2, 3, 4, 5], [5, 4, 3, 2, 1]] + [[3, 4], [3, 5]] * 3))
    begin, length = splicer._longest_match((2, 3, 4, 5), 0, False, np.random.default_rng(0))
    assert (begin, length) == (1, 4)


def test_splicing_skips_what_the_bank_never_heard():
    spliced = Splicer(bank_of([[1, 2], [1, 2]])).splice((1, 5, 2), False, np.random.default_rng(0))
    assert set(spliced.places) == {0, 2}


@pytest.mark.parametrize("kind", [False, True])
def test_speech_of_one_kind_alone_stands_for_the_other(tmp_path, kind):
    """A bank of clean speech only compiles commands too, and so would one of noisy speech only."""
    folder = tiny_bundle.build(tmp_path)
    tiny_bundle.write_bank(folder, noisy=np.full(tiny_bundle.BANKED, kind))
    bank = PosteriorBank.read(folder / "posterior_bank.safetensors")
    commands = load_commands([tmp_path / "commands.yaml"])
    source = SentenceSource(commands, ways_of(commands, read_inventory(folder)), bank)
    for noisy in (False, True):
        assert len(source.other_speech(noisy, seed=1).log_probs)
        assert len(source.command(noisy, seed=1).log_probs)


@pytest.fixture
def caches(tmp_path):
    """Log-mel of noise that is said to be speech: clean and in one copy."""
    rng = np.random.default_rng(0)
    recordings = []
    for n in range(12):
        path, seconds = tmp_path / f"{n}.wav", 1.0 + 0.2 * (n % 4)
        soundfile.write(path, 0.1 * rng.standard_normal(int(seconds * 16000)), 16000)
        corpus = "words" if n % 2 else "sentences"
        recordings.append(Recording(path, "turn the light on", "", corpus, seconds))
    extractor = LogMelRows()
    list(Extraction(Split(tuple(recordings), ()), tmp_path / "cache", extractor).run())
    return [FeatureCache(tmp_path / "cache" / name, 320) for name in ("clean", "augmented-1")]


def test_half_of_what_is_chosen_is_augmented(caches):
    chosen = choose(caches, 1.0, {"words": 0.0}, seed=1)
    assert {c.utterance.corpus for c in chosen} == {"sentences"}
    assert sum(c.noisy for c in chosen) == sum(not c.noisy for c in chosen) == 6
    few = choose(caches, 4 / 3600, {}, seed=1)
    assert 4 <= sum(c.utterance.length for c in few) / 25 < 8
    assert not any(c.noisy for c in choose(caches[:1], 1.0, {}, seed=1))


def test_what_is_heard_in_batches_is_what_is_heard_alone(caches, tmp_path):
    bundle = read_acoustic(tiny_bundle.build(tmp_path))
    chosen = choose(caches, 1.0, {}, seed=1)
    said = {"turn the light on": bundle.phonemes[1:4]}
    groups = list(hear(bundle, chosen, said, torch.device("cpu"), worst=1e9, batch_rows=120))
    assert len(groups) > 1
    found = dict(pair for group in groups for pair in group)
    assert sorted(found) == list(range(len(chosen)))
    model = network_of(bundle)
    for place, aligned in found.items():
        choice = chosen[place]
        rows = torch.from_numpy(choice.cache.rows(choice.utterance).astype(np.float32))
        with torch.inference_mode():
            alone = model(rows[None], torch.tensor([len(rows)]))[0]
        assert aligned.phonemes == (1, 2, 3)
        assert aligned.noisy == choice.noisy
        assert torch.allclose(aligned.log_probs.exp(), alone.exp(), atol=2e-2)


def test_a_text_that_is_not_heard_is_not_trusted(caches, tmp_path):
    bundle = read_acoustic(tiny_bundle.build(tmp_path))
    said = {"turn the light on": tuple(bundle.phonemes[1:6])}
    chosen = choose(caches, 1.0, {}, seed=1)
    groups = hear(bundle, chosen, said, torch.device("cpu"), worst=0.1)
    assert all(aligned is None for group in groups for _, aligned in group)


def test_nothing_is_spliced_from_an_utterance_that_is_left_out():
    spoken = [([1, 2, 3], 0.9), ([3, 2, 1], 0.6)]
    found = [align(peaky(p, certainty=c), tuple(p), noisy=False) for p, c in spoken]
    splicer = Splicer(build_bank([f for f in found if f is not None]))
    for without, certainty in ((0, 0.6), (1, 0.9)):
        spliced = splicer.splice((1, 2, 3), False, np.random.default_rng(0), without)
        assert np.allclose(np.exp(spliced.log_probs.max(axis=1)), certainty, atol=0.03)


def test_sentences_are_misheard_as_the_model_mishears():
    """A model that holds 4 likely where 3 is said takes 3 for 4, if for anything."""
    unsure = peaky([1, 2, 3, 1], rows_each=2)
    unsure[unsure.argmax(dim=1) == 3, 4] = np.log(0.4)
    found = align(unsure, (1, 2, 3, 1), noisy=False)
    assert found is not None
    often = MishearingConfig(replaced=0.5, dropped=0.2, added=0.3)
    mishearing = Mishearing(build_bank([found]), often)
    said, rng = [1, 2, 3, 1], np.random.default_rng(0)
    drawn = [mishearing.mishear(said, rng) for _ in range(400)]
    assert all(places == sorted(places) for _, places in drawn)
    assert {len(heard) for heard, _ in drawn} >= {2, 3, 4, 5, 6}
    assert (said, [0, 1, 2, 3]) in drawn
    taken = Counter(heard[places.index(2)] for heard, places in drawn if places.count(2) == 1)
    assert taken[3] > taken[4] > 2 * sum(taken[p] for p in taken if p not in (3, 4))


def test_the_surest_mistakes_are_misheard_most():
    """The bank's costs have no sign: a cost of 0 is the likeliest there is."""
    surely = peaky([1, 2, 3, 1], rows_each=2)
    surely[surely.argmax(dim=1) == 3] = peaky([4], certainty=0.99)[1]
    found = align(surely, (1, 2, 3, 1), noisy=False)
    assert found is not None
    mishearing = Mishearing(build_bank([found]), MishearingConfig(replaced=1.0, dropped=0, added=0))
    rng = np.random.default_rng(0)
    drawn = [mishearing.mishear([3], rng)[0][0] for _ in range(200)]
    assert Counter(drawn)[4] > 0.8 * sum(h != 3 for h in drawn)
