"""What an evaluation takes from the pipeline's events."""

import numpy as np
import pytest

from assistant.config import AssistantConfig
from assistant.engine import Engine
from assistant.evaluation.recogniser import AssistantRecogniser
from assistant.recording import read_file
from assistant.types import SAMPLE_RATE


@pytest.fixture(scope="module")
def engine():
    return Engine.load(AssistantConfig(commands="home", early_commit=True))


@pytest.fixture(scope="module")
def stream(data):
    """Two commands, and a second of a quiet room around each."""
    room = np.random.default_rng(0).standard_normal(SAMPLE_RATE).astype(np.float32) * 1e-4
    said = [
        np.concatenate(list(read_file(data / f"recordings/home/{name}.flac")))
        for name in ("synthetic_026_am_michael", "synthetic_028_bf_isabella")
    ]
    return np.concatenate([room, said[0], room, said[1], room])


def test_a_stream_of_two_commands_is_two_decisions_however_it_is_cut(engine, stream):
    heard = AssistantRecogniser(engine).decide(stream)
    assert [d.intent for d in heard.decisions] == ["takeScreenshot", "askTime"]
    assert not heard.decision.accepted  # more was done than one recording asks for
    assert len(heard.log_probs) == len(heard.times) == len(heard.decision_ms) == 2
    for cut in (len(stream), 7919):
        again = AssistantRecogniser(engine, cut=cut).decide(stream)
        assert (again.decisions, again.times) == (heard.decisions, heard.times)
        assert again.decision_ms == ()  # it would be the time of several things


def test_an_early_decision_is_the_one_that_counts(engine, stream):
    early, _ = AssistantRecogniser(engine).decide(stream).times
    assert early.early
    assert early.start < early.speech_start < early.speech_end < early.decided < early.end
    pause = engine.config.endpoint.pause_ms * SAMPLE_RATE // 1000
    assert early.decided <= early.end - pause


def test_whole_recordings_have_no_endpoint_and_no_partials_to_time(engine, stream):
    (time,) = AssistantRecogniser(engine, whole=True).decide(stream[: 4 * SAMPLE_RATE]).times
    assert (time.start, time.end) == (0, 4 * SAMPLE_RATE)
    assert time.ended_by_stream
    assert time.first_partial is None


def test_a_quiet_room_is_nothing(engine):
    heard = AssistantRecogniser(engine).decide(np.zeros(SAMPLE_RATE, np.float32))
    assert heard.decisions == ()
    assert heard.decision.reason
