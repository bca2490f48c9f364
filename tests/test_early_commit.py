"""Early commit: acts at a pause, where nothing that may follow changes the reading, and once."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from assistant.actions import ActionRunner, parse_policy
from assistant.confidence import Calibration
from assistant.config import AssistantConfig, DecisionConfig
from assistant.engine import Engine
from assistant.grammar.graph import PhonemeGraph
from assistant.grammar.network import Arc, Final, WordNetwork
from assistant.intent import IntentDecoder
from assistant.recording import read_file
from assistant.types import (
    SAMPLE_RATE,
    ActionPerformed,
    Confirmed,
    Contradicted,
    Hypothesis,
    PartialHypothesisChanged,
    Recognised,
    Rejected,
    SpeechStarted,
)

SCREENSHOT = "home/synthetic_026_am_michael"  # "make a screenshot now please"
TIME = "home/synthetic_028_bf_isabella"  # "what time is it"
STOP = "home/word_stop"  # "stop", which "the music" or "the timer" may follow
PAUSED = "home/synthetic_029_bm_lewis"  # pauses in "the heat in my office … up to twenty seven"


@pytest.fixture(scope="module")
def early():
    return Engine.load(AssistantConfig(commands="home", early_commit=True))


@pytest.fixture(scope="module")
def late(early):
    return replace(early, config=replace(early.config, early_commit=False))


@pytest.fixture
def said(data):
    """Recordings one after the other, their own silence cut off; numbers are seconds of room."""

    def join(*parts):
        rng = np.random.default_rng(0)
        pieces = [0.5, *parts, 1.2]
        for index, piece in enumerate(pieces):
            if isinstance(piece, str):
                sound = np.concatenate(list(read_file(data / f"recordings/{piece}.flac")))
                loud = np.flatnonzero(np.abs(sound) > 0.01)
                pieces[index] = sound[loud[0] : loud[-1]]
            else:
                room = rng.standard_normal(round(piece * SAMPLE_RATE))
                pieces[index] = room.astype(np.float32) * 1e-4
        return np.concatenate(pieces)

    return join


def run(engine, samples, cut=320, observe=None):
    policy = parse_policy(
        {"intents": {name: {"log": name} for name in engine.commands.intents}}, ""
    )
    pipeline = engine.pipeline(ActionRunner(policy, execute=False), observe=observe)
    events = [e for i in range(0, len(samples), cut) for e in pipeline.feed(samples[i : i + cut])]
    return events + pipeline.flush()


def decoder(refused):
    """Of the one command 'lamp'; `refused` are words that must not be understood."""
    lexicon = {"lamp": [(1, 2, 3)], "tomorrow": [(4, 5)]}

    def graph(words, final):
        arcs = tuple(Arc(place, place + 1, word) for place, word in enumerate(words))
        network = WordNetwork(len(words) + 1, 0, {len(words): final}, arcs)
        return PhonemeGraph.compile(network, lexicon)

    return IntentDecoder(
        graph(["lamp"], Final("light", {})),
        None,
        ("light",),
        {},
        Calibration((1.0, 0.1, 0.0, 0.0), 6.0),
        DecisionConfig(lstm_weight=0.0, minimum_phonemes=1),
        refused=graph(refused, Final("", {})),
    )


def heard(*phonemes):
    """Posteriors that say phonemes clearly, and then nothing for a while."""
    rows = [row for phoneme in phonemes for row in (0, phoneme)] + [0] * 6
    posteriors = torch.full((len(rows), 6), 0.02 / 5)
    posteriors[torch.arange(len(rows)), rows] = 0.98
    return posteriors.log()


def decided(events):
    return [e for e in events if not isinstance(e, SpeechStarted | PartialHypothesisChanged)]


def test_a_sentence_that_nothing_may_change_is_acted_on_at_the_pause(early, late, said):
    samples = said(SCREENSHOT)
    recognised, performed, confirmed = decided(run(early, samples))
    (at_the_end, _) = decided(run(late, samples))
    assert isinstance(recognised, Recognised)
    assert isinstance(performed, ActionPerformed)
    assert recognised.early
    assert not at_the_end.early
    assert recognised.intent.name == at_the_end.intent.name == "takeScreenshot"
    assert recognised.end == performed.end
    assert confirmed == Confirmed(recognised.start, at_the_end.end)
    endpoint = early.config.endpoint
    sooner = (at_the_end.end - recognised.end) * 1000 / SAMPLE_RATE
    assert sooner >= 0.6 * (endpoint.hangover_ms - endpoint.pause_ms)


def test_nothing_is_told_between_the_early_decision_and_the_end(early, said):
    events = run(early, said(SCREENSHOT, 0.4, SCREENSHOT))
    at = next(i for i, e in enumerate(events) if isinstance(e, Recognised))
    assert not any(isinstance(e, PartialHypothesisChanged) for e in events[at:])


@pytest.mark.parametrize("name", [STOP, PAUSED])
def test_what_may_go_on_waits_for_the_end(early, late, said, name):
    samples = said(name)
    recognised = next(e for e in run(early, samples) if isinstance(e, Recognised))
    expected = next(e for e in run(late, samples) if isinstance(e, Recognised))
    assert recognised.intent.name == expected.intent.name
    assert recognised.intent.slots == expected.intent.slots
    if name == STOP:
        assert recognised == expected
    else:  # its end is settled, the pause in its middle is not
        assert recognised.end > expected.end - SAMPLE_RATE


def test_an_utterance_acts_once_even_if_more_is_said(early, said):
    """ "What time is it", and before the utterance is over "make a screenshot now please"."""
    kept = []
    samples = said(TIME, 0.4, SCREENSHOT)
    recognised, performed, contradicted = decided(run(early, samples, observe=kept.append))
    assert isinstance(recognised, Recognised)
    assert isinstance(performed, ActionPerformed)
    assert (recognised.early, recognised.intent.name) == (True, "askTime")
    assert isinstance(contradicted, Contradicted)
    assert contradicted.early == recognised.intent
    assert contradicted.start == recognised.start
    assert contradicted.end > recognised.end
    # What is kept for `assistant explain` is the whole utterance, as it was decided.
    (utterance,) = kept
    assert (utterance.start, utterance.end) == (contradicted.start, contradicted.end)
    assert utterance.decision == contradicted.decision


def test_utterances_apart_are_decided_each(early, said):
    events = decided(run(early, said(SCREENSHOT, 1.2, TIME)))
    assert [e.intent.name for e in events if isinstance(e, Recognised)] == [
        "takeScreenshot",
        "askTime",
    ]
    assert sum(isinstance(e, Confirmed) for e in events) == 2


def test_any_cut_decides_at_the_same_samples(early, said):
    samples = said(TIME, 0.4, SCREENSHOT, 1.0, SCREENSHOT)
    expected = run(early, samples, len(samples))
    assert {type(e) for e in expected} >= {Recognised, Contradicted, Confirmed}
    for cut in (1, 7919):
        assert run(early, samples, cut) == expected


def test_it_is_off_by_default(late, said):
    assert not AssistantConfig().early_commit
    events = run(late, said(SCREENSHOT, 0.4, TIME))
    assert not any(isinstance(e, Confirmed | Contradicted) for e in events)
    assert not any(e.early for e in events if isinstance(e, Recognised))


def test_a_margin_that_nothing_is_behind_waits_for_the_end(early, said):
    sure = replace(early.config.decision, early_margin=1000.0)
    strict = replace(early, config=replace(early.config, decision=sure))
    (recognised, _) = decided(run(strict, said(SCREENSHOT)))
    assert not recognised.early


def test_an_early_decision_is_that_of_the_utterance_so_far(early, said):
    """Cut off at the pause, the utterance is decided the same at its end."""
    samples = said(SCREENSHOT)
    recognised = decided(run(early, samples))[0]
    alone = early.pipeline(whole=True)
    alone.feed(samples[recognised.start : recognised.end])
    (ended,) = alone.flush()
    assert ended.hypothesis == recognised.hypothesis


def test_noise_is_not_committed(early):
    rng = np.random.default_rng(0)
    noise = rng.standard_normal(3 * SAMPLE_RATE).astype(np.float32) * 1e-4
    noise[SAMPLE_RATE : SAMPLE_RATE + 8000] *= 1000
    assert all(
        isinstance(e, Rejected | SpeechStarted | PartialHypothesisChanged)
        for e in run(early, noise)
    )


def test_the_ledger_knows_the_pause(early, late):
    delays = {d.stage: d.milliseconds for d in early.pipeline().delays()}
    assert early.config.endpoint.pause_ms <= delays["pause"] < delays["endpointer"]
    assert "pause" not in {d.stage for d in late.pipeline().delays()}


def test_a_contradiction_says_what_was_done(early, said):
    from assistant.cli.render import contradiction, result_object  # noqa: PLC0415

    events = decided(run(early, said(TIME, 0.4, SCREENSHOT)))
    first, told = result_object("", events[0], None), result_object("", events[-1], None)
    assert first["early"] is True
    assert first["intent"] == "askTime"
    assert told["intent"] is None  # a program that acts on intents does not act again
    assert told["contradicts"] == {"intent": "askTime", "slots": {}}
    assert told["rejected"] == contradiction(events[-1])
    assert "what time is it" in told["rejected"]
    other = Hypothesis("takeScreenshot", {}, "screenshot", 0.9, 0.0)
    told = contradiction(replace(events[-1], decision=other))
    assert "reads 'screenshot', takeScreenshot; nothing more is done" in told


def test_what_may_still_become_a_sentence_that_must_not_be_understood_is_waited_for():
    """As "what's the weather on mars", at whose pause the weather is not opened yet."""
    begun = decoder(refused=["lamp", "tomorrow"])
    assert begun.decide_early(heard(1, 2, 3)) is None
    assert begun.decide(heard(1, 2, 3)).intent == "light"
    assert "must not be understood" in begun.decide(heard(1, 2, 3, 4, 5)).reason
    other = decoder(refused=["tomorrow", "lamp"])
    assert other.decide_early(heard(1, 2, 3)).intent == "light"
