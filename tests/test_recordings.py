"""The main job: the shipped bundle understands the bundled recordings, whoever speaks."""

import json

import numpy as np
import pytest
import soundfile

from assistant.cli import main
from assistant.config import AssistantConfig
from assistant.engine import Engine
from assistant.recording import read_file
from assistant.types import SAMPLE_RATE, Recognised, Rejected

FOLDERS = {"home": ("en-us", "home"), "coffee": ("en-us", "coffee"), "casa": ("pt-br", "home")}
"""Bundle and commands that understand the recordings of a folder."""


@pytest.fixture(scope="module")
def engines():
    return {
        folder: Engine.load(AssistantConfig(bundle=bundle, commands=commands))
        for folder, (bundle, commands) in FOLDERS.items()
    }


@pytest.fixture(scope="module")
def expected(data):
    return json.loads((data / "recordings/expected.json").read_text(encoding="utf-8"))


def decisions(pipeline, blocks):
    events = [event for block in blocks for event in pipeline.feed(block)] + pipeline.flush()
    return [event for event in events if isinstance(event, Recognised | Rejected)]


def test_every_recording_is_understood(engines, expected, data):
    wrong = []
    for name, said in expected.items():
        pipeline = engines[name.split("/")[0]].pipeline(whole=True)
        (heard,) = decisions(pipeline, read_file(data / "recordings" / name))
        if not isinstance(heard, Recognised) or (heard.intent.name, dict(heard.intent.slots)) != (
            said["intent"],
            said["slots"],
        ):
            wrong.append((name, heard))
    assert not wrong


def test_numbers_are_numbers(engines, data):
    pipeline = engines["home"].pipeline(whole=True)
    recording = data / "recordings/home/synthetic_029_bm_lewis.flac"
    (heard,) = decisions(pipeline, read_file(recording))
    assert heard.intent.slots["temperature"] == 27
    assert isinstance(heard.intent.slots["temperature"], int)


def test_commands_of_another_set_are_refused(engines, data):
    """Orders of coffee are not for the lights, and the weather is not for the coffee machine."""
    for recording in sorted((data / "recordings/coffee").glob("*.flac")):
        (heard,) = decisions(engines["home"].pipeline(whole=True), read_file(recording))
        assert isinstance(heard, Rejected)
    for recording in sorted((data / "recordings/home").glob("synthetic_*.flac")):
        (heard,) = decisions(engines["coffee"].pipeline(whole=True), read_file(recording))
        assert isinstance(heard, Rejected)


FIVE = {
    4: "synthetic_026_am_michael",
    15: "synthetic_013_af_jessica",
    27: "synthetic_024_af_heart",
    39: "synthetic_009_am_puck",
    50: "synthetic_029_bm_lewis",
}
"""Second of a minute at which each is said."""


@pytest.fixture(scope="module")
def minute(data, tmp_path_factory):
    """A minute in a quiet room with five commands."""
    room = np.random.default_rng(0).standard_normal(60 * SAMPLE_RATE).astype(np.float32) * 1e-3
    for second, name in FIVE.items():
        said = read_file(data / f"recordings/home/{name}.flac").whole()
        room[second * SAMPLE_RATE :][: len(said)] += said
    path = tmp_path_factory.mktemp("minute") / "minute.wav"
    soundfile.write(path, room, SAMPLE_RATE)
    return path


@pytest.fixture
def recognize(capsys):
    """What `assistant recognize --json` prints."""

    def run(*arguments):
        assert main(["recognize", "--json", *map(str, arguments)]) == 0
        return capsys.readouterr().out

    return run


def test_five_utterances_in_a_minute_are_five_results(recognize, minute, expected):
    results = [json.loads(line) for line in recognize(minute).splitlines()]
    said = [expected[f"home/{name}.flac"] for name in FIVE.values()]
    assert [(r["intent"], r["slots"]) for r in results] == [(e["intent"], e["slots"]) for e in said]
    for result, second in zip(results, FIVE, strict=True):
        assert second - 0.7 < result["start"] < second + 0.7
        assert result["rejected"] is None


def test_any_cut_prints_the_same(recognize, minute, tmp_path):
    """Of the first two commands, which is as good a test as of all five, and a third as long."""
    beginning, rate = soundfile.read(minute, frames=21 * SAMPLE_RATE, dtype="float32")
    soundfile.write(tmp_path / minute.name, beginning, rate)
    whole = recognize(tmp_path / minute.name)
    assert len(whole.splitlines()) == 2
    assert recognize("--cut", 7919, tmp_path / minute.name) == whole
    assert recognize("--cut", 1, tmp_path / minute.name) == whole
