"""Confidence: the word that fits worst, the blank's prior, and the threshold that is compiled."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_bundle import build

from assistant.bundle import read_acoustic, read_commands
from assistant.bundle_files import POSTERIOR_BANK
from assistant.confidence import WORST_LOG_RATIO, WORST_WORD_RATIO, Calibration, Fit
from assistant.config import AssistantConfig, DecisionConfig, IntentConfig
from assistant.engine import Engine
from assistant.errors import BundleError
from assistant.false_alarms import FalseAlarms
from assistant.grammar.commands import load_commands
from assistant.grammar.graph import PhonemeGraph
from assistant.grammar.network import Arc, Final, SlotAssignment, WordNetwork
from assistant.intent import BLANK_PENALTY, less_blank, phone_synchronous
from assistant.training.calibration import (
    THRESHOLDS,
    calibrate,
    measure_false_alarms,
    new_decoder,
    with_threshold,
)
from assistant.training.intent_trainer import IntentTrainingConfig, new_intent_model
from assistant.training.posterior_bank import PosteriorBank, align, build_bank
from assistant.training.pronouncing import lexicon_of, ways_of
from assistant.training.sentence_source import SentenceSource

ROOT = Path(__file__).parents[1]
COLUMNS = 8
LEXICON = {"dim": [(1, 2)], "a": [(3,)], "lamp": [(4, 5)]}


def network(*words):
    """One sentence, its last word a slot value."""
    arcs = [
        Arc(i, i + 1, word, SlotAssignment("what", word) if word == words[-1] else None)
        for i, word in enumerate(words)
    ]
    return WordNetwork(len(words) + 1, 0, {len(words): Final("dim", {})}, tuple(arcs))


def rows(*columns, probability=0.9):
    """(T, COLUMNS) log-posteriors, a column of each row probable."""
    left = (1 - probability) / (COLUMNS - 1)
    table = np.full((len(columns), COLUMNS), left, np.float32)
    table[np.arange(len(columns)), columns] = probability
    return np.log(table)


def fit_of(log_probs, *words):
    graph = PhonemeGraph.compile(network(*words), LEXICON)
    [path] = graph.decode(log_probs)
    return Fit.of(path, log_probs, log_probs)


def test_what_is_said_as_the_sentence_has_it_fits_in_every_word():
    fit = fit_of(rows(0, 1, 2, 0, 4, 5, 0), "dim", "lamp")
    assert fit.phonemes == 4
    assert fit.word_ratios == pytest.approx((0.0, 0.0)) and fit.log_ratio == pytest.approx(0.0)
    assert fit.evidence == pytest.approx((0.0, np.log(4), 0.0, 1.0))


def test_another_word_counts_against_its_own_place_alone():
    fit = fit_of(rows(0, 1, 2, 0, 6, 7, 0), "dim", "lamp")
    first, second = fit.word_ratios
    assert first == pytest.approx(0.0)
    # Half as well in the mean of the sentence: that is why the worst word is asked for as well.
    assert second < 2 * fit.log_ratio + 1e-5 < -4
    assert fit.evidence[2] == pytest.approx(max(second, WORST_WORD_RATIO))


def test_what_no_sentence_says_counts_against_the_word_before_it():
    log_probs = rows(0, 1, 2, 7, 6, 7, 4, 5, 0)
    log_probs[3:6, 0] = np.log(0.03)  # more than any phoneme of the sentence has there
    fit = fit_of(log_probs, "dim", "lamp")
    assert fit.word_ratios[0] < -4 and fit.word_ratios[1] == pytest.approx(0.0)


def test_a_swallowed_little_word_weighs_less_than_a_wrong_one():
    swallowed = fit_of(rows(1, 2, 6, 4, 5), "dim", "a", "lamp").word_ratios
    alone = np.log(0.1 / 7) - np.log(0.9)
    assert swallowed == pytest.approx((0.0, alone / 2, 0.0), abs=1e-5)


def test_what_does_not_fit_at_all_bends_no_calibration():
    fit = fit_of(rows(*[7] * 12, probability=1 - 1e-9), "dim", "lamp")
    assert fit.evidence == pytest.approx((WORST_LOG_RATIO, np.log(4), WORST_WORD_RATIO, 0.25))


def test_a_sentence_that_noise_could_be_is_not_heard():
    """Blank wins every row, as in noise: the phonemes are likely enough, and none of them heard."""
    log_probs = np.full((8, COLUMNS), np.log(0.1 / 7), np.float32)
    log_probs[:, 0] = np.log(0.9)
    graph = PhonemeGraph.compile(network("dim", "lamp"), LEXICON)
    scores = less_blank(torch.from_numpy(log_probs)).numpy()
    [path] = graph.decode(scores)
    fit = Fit.of(path, scores, log_probs)
    assert fit.log_ratio > -1.2 and fit.heard == 0.0


# ── the blank's prior ──────────────────────────────────────────────────────────────────────


def test_the_blank_gets_less_and_nothing_else_changes():
    log_probs = torch.from_numpy(rows(0, 1, 2))
    kept = log_probs.clone()
    scores = less_blank(log_probs)
    assert torch.equal(log_probs, kept)
    assert torch.equal(scores[:, 1:], kept[:, 1:])
    assert torch.allclose(scores[:, 0], kept[:, 0] - BLANK_PENALTY)


def test_a_word_that_the_blank_nearly_drowns_is_heard():
    """Where noise covers a word, CTC falls back on the blank, and a shorter sentence would win."""
    log_probs = rows(1, 2, 0, 0, 0, probability=0.999)
    for row, column in ((2, 4), (3, 5)):
        log_probs[row] = np.log((1 - 0.8 - 0.15) / (COLUMNS - 2))
        log_probs[row, [0, column]] = np.log((0.8, 0.15))
    arcs = (*network("dim", "lamp").arcs,)
    short = WordNetwork(3, 0, {1: Final("dim", {}), 2: Final("dim", {})}, arcs)
    graph = PhonemeGraph.compile(short, LEXICON)
    assert graph.decode(log_probs)[0].slots == {}
    heard = graph.decode(less_blank(torch.from_numpy(log_probs)).numpy())[0]
    assert heard.slots == {"what": "lamp"}
    posteriors, places = phone_synchronous(torch.from_numpy(log_probs), 0.5)
    assert places.tolist() == [0, 1, 2, 3]
    assert torch.allclose(posteriors.sum(dim=1), torch.ones(4))


def test_the_classifier_reads_a_row_for_each_phoneme_however_long_it_is():
    log_probs = torch.from_numpy(rows(0, 1, 1, 1, 0, 1, 2, 2, 0, probability=0.999))
    posteriors, places = phone_synchronous(log_probs, 0.5)
    assert posteriors.argmax(dim=1).tolist() == [1, 1, 2]
    assert places.tolist() == [3, 5, 7]
    silent, none = phone_synchronous(torch.from_numpy(rows(0, 0, probability=0.999)), 0.5)
    assert len(silent) == len(none) == 0


# ── the threshold ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("confidences", "expected"),
    [
        ([1e-4] * 20, THRESHOLDS[0]),  # nothing sounds like these commands
        ([0.99, *[0.95] * 19], THRESHOLDS[1]),  # talk does: no more than even odds are asked for
        ([], THRESHOLDS[1]),  # not measured
    ],
)
def test_commands_that_sound_like_nothing_else_need_less_confidence(confidences, expected):
    alarms = FalseAlarms(1.0 if confidences else 0.0, tuple(confidences))
    assert with_threshold(Calibration((1.0, 0.0, 0.0, 0.0), 0.0), alarms).threshold == expected


def test_speech_that_says_a_command_is_no_false_alarm(tmp_path):
    config = AssistantConfig(bundle=str(build(tmp_path)), commands="agreeable", device="cpu")
    engine = Engine.load(config)
    acoustic, decoder = engine.acoustic, engine.decoder()

    def aligned(*words):
        said = [p for word in words for p in engine.commands.lexicon[word][0]]
        labels = [label for p in said for label in (p, p, p, p, p, p, 0)]  # 280 ms each
        table = np.full((len(labels), len(acoustic.phonemes)), 1e-3, np.float32)
        table[np.arange(len(labels)), labels] = 0.95
        return align(torch.from_numpy(np.log(table)), tuple(said), noisy=False)

    talk = ["the", "light", "the", "light", "turn", "the", "light", "turn"]
    command = ["turn", "the", "light", "on"]

    def measured(*sentences):
        bank = build_bank([aligned(*words) for words in sentences])
        return measure_false_alarms(decoder, bank, 100.0, seed=0)

    assert measured(command, command) == FalseAlarms(0.0, ())
    found = measured(talk, command)
    assert found.confidences
    assert 0 < found.hours <= len(aligned(*talk).log_probs) / 25 / 3600


def test_noise_teaches_that_a_command_must_be_heard():
    bundle = ROOT / "models/en-us"
    commands = load_commands([ROOT / "configs/commands/home.en.yaml"])
    acoustic = read_acoustic(bundle)
    ways = ways_of(commands, acoustic.inventory)
    bank = PosteriorBank.read(bundle / POSTERIOR_BANK)
    config = IntentTrainingConfig(calibration=40, seed=2)
    model = new_intent_model(commands, len(acoustic.phonemes), IntentConfig())
    decoder = new_decoder(commands, lexicon_of(ways), model, DecisionConfig())

    def accepted(learnt):
        source = SentenceSource(commands, ways, replace(bank, noise=learnt))
        calibration, _ = calibrate(source, decoder, config)
        readings = [decoder.judge(torch.from_numpy(n.log_probs(bank.columns))) for n in others]
        evidence = [reading.fit.evidence for reading in readings if reading is not None]
        return sum(calibration.confidence(one) >= THRESHOLDS[0] for one in evidence)

    learnt, others = bank.noise[:60], bank.noise[60:]
    assert len(others) == 40
    assert accepted(()) > 20  # spliced speech is heard, whatever it says: nothing else can tell
    assert accepted(learnt) <= 1


def test_the_threshold_is_compiled_and_the_configuration_overrides_it(tmp_path):
    bundle = build(tmp_path)
    folder = bundle / "commands" / "agreeable"
    config = AssistantConfig(bundle=str(bundle), commands="agreeable", device="cpu")
    assert Engine.load(config).threshold == Engine.load(config).decoder().threshold == 0.5
    asked = replace(config, decision=DecisionConfig(confidence_threshold=0.9))
    assert Engine.load(asked).threshold == Engine.load(asked).decoder().threshold == 0.9

    text = (folder / "config.yaml").read_text(encoding="utf-8")
    (folder / "config.yaml").write_text(text.replace("threshold: 0.5", "threshold: 0.25"))
    assert Engine.load(config).decoder().threshold == 0.25
    assert read_commands(folder, read_acoustic(bundle)).calibration.threshold == 0.25


def test_commands_of_another_version_say_how_to_mend_it(tmp_path):
    bundle = build(tmp_path)
    config = bundle / "commands" / "agreeable" / "config.yaml"
    config.write_text(config.read_text(encoding="utf-8").replace("format: 2\n", ""))
    with pytest.raises(BundleError, match=r"another version.*assistant train"):
        read_commands(config.parent, read_acoustic(bundle))
