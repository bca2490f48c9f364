"""The command line as its users meet it: output, error lines, exit codes; never a traceback.

The bundle is `tiny_bundle`: its weights are random, so what is "understood" means nothing here.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from rich.text import Text
from tiny_bundle import build

from assistant import audio
from assistant.actions import ActionRunner, Dialogue, parse_policy
from assistant.bundle import read_acoustic, read_commands
from assistant.cli import main
from assistant.cli.live import ActionWorker, StatusLine
from assistant.cli.render import action_line
from assistant.cli.sources import recut
from assistant.config import DialogueConfig, load
from assistant.devices import InputDevice
from assistant.errors import AudioDeviceError
from assistant.grammar.network import accepts
from assistant.pipeline import Pipeline
from assistant.training import compiler
from assistant.training.compiler import CompileReport
from assistant.types import (
    SAMPLE_RATE,
    ActionResult,
    ActionStatus,
    Hypothesis,
    Intent,
    PartialHypothesisChanged,
    Recognised,
    Samples,
    SpeechStarted,
)

KEYS = ["file", "start", "end", "intent", "slots", "text", "confidence", "rejected", "action"]

POLICY = """
intents:
  setLight: {run: [printf, "light %s", "{state}"]}
  setBrightness: {run: [printf, "level %s", "{level}"]}
"""

MICROPHONE = InputDevice(3, "USB mic", "ALSA", 1, 48_000, is_default=True)


def utterances(count: int) -> Samples:
    """Someone hums `count` times a second, four beats each, 1.5 s of silence around each."""
    time = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    hum = 0.2 * (2 * (120 * time % 1) - 1) * np.abs(np.sin(4 * np.pi * time))
    silence = np.zeros(3 * SAMPLE_RATE // 2)
    return np.concatenate([silence, *[hum, silence] * count]).astype(np.float32)


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def policy(bundle: Path) -> Path:
    path = bundle / "actions.yaml"
    path.write_text(POLICY, encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def recording(bundle: Path) -> Path:
    path = bundle / "two.wav"
    soundfile.write(path, utterances(2), SAMPLE_RATE)
    return path


@pytest.fixture
def assistant(
    bundle: Path, policy: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, list[str], list[str]]]:
    """Runs a command with the tiny bundle: exit code, lines of stdout, lines of stderr."""

    def run(*arguments: object) -> tuple[int, list[str], list[str]]:
        command, *rest = map(str, arguments)
        own = ["--bundle", str(bundle)]
        if command != "train" and "--commands" not in rest:
            own += ["--commands", "agreeable"]
        if command in ("recognize", "listen") and "--actions" not in rest:
            own += ["--actions", str(policy)]
        code = main([command, *own, *rest])
        captured = capsys.readouterr()
        return code, captured.out.splitlines(), captured.err.splitlines()

    return run


Assistant = Callable[..., tuple[int, list[str], list[str]]]


# ── recognize: results ─────────────────────────────────────────────────────────────────────


def test_json_has_one_object_for_each_utterance(assistant: Assistant, tmp_path: Path) -> None:
    path = tmp_path / "five.wav"
    soundfile.write(path, utterances(5), SAMPLE_RATE)
    code, out, err = assistant("recognize", "--json", path)
    results = [json.loads(line) for line in out]
    assert (code, err) == (0, [])
    assert len(results) == 5
    for number, result in enumerate(results):
        assert list(result) == KEYS
        assert result["file"] == str(path)
        begin = 1.5 + 2.5 * number
        assert begin - 0.6 < result["start"] < begin + 0.3
        assert begin + 1.0 < result["end"] < begin + 2.5
        assert result["start"] == round(result["start"], 3)
        assert result["intent"] in ("setLight", "setBrightness")
        assert 0.5 <= result["confidence"] <= 1
        assert result["rejected"] is None
        level = result["slots"].get("level")
        assert level is None or isinstance(level, int)
        said = level if level is not None else result["slots"]["state"]
        assert result["action"].startswith("printf") and result["action"].endswith(f" {said}")


def test_json_of_a_rejection_has_the_nearest_text(assistant: Assistant, recording: Path) -> None:
    code, out, _ = assistant("recognize", "--json", "--commands", "strict", recording)
    results = [json.loads(line) for line in out]
    assert code == 0
    assert len(results) == 2
    for result in results:
        assert list(result) == KEYS
        assert (result["intent"], result["slots"], result["action"]) == (None, {}, None)
        assert result["text"] in result["rejected"]
        assert result["confidence"] < 0.5


@pytest.mark.parametrize("cut", [1, 160, 7919, 10**9])
@pytest.mark.parametrize("whole", [(), ("--whole",)])
def test_any_cut_gives_the_same_results(
    assistant: Assistant, recording: Path, whole: tuple[str, ...], cut: int
) -> None:
    expected = assistant("recognize", "--json", *whole, recording)
    assert len(expected[1]) == (1 if whole else 2)
    assert assistant("recognize", "--json", *whole, "--cut", cut, recording) == expected


@pytest.mark.parametrize("size", [1, 3, 10, 99])
def test_recut_keeps_every_sample(size: int) -> None:
    samples = np.arange(25, dtype=np.float32)
    cut = list(recut(np.split(samples, [2, 2, 13]), size))
    assert np.array_equal(np.concatenate(cut), samples)
    assert [len(block) for block in cut[:-1]] == [size] * (len(cut) - 1)
    assert 0 < len(cut[-1]) <= size


def test_whole_is_one_utterance_from_start_to_end(assistant: Assistant, recording: Path) -> None:
    _, (line,), _ = assistant("recognize", "--json", "--whole", recording)
    result = json.loads(line)
    assert (result["start"], result["end"]) == (0.0, soundfile.info(recording).duration)


def test_too_long_for_one_utterance_is_an_error_line(
    assistant: Assistant, recording: Path, tmp_path: Path
) -> None:
    soundfile.write(tmp_path / "long.wav", np.zeros(31 * SAMPLE_RATE), SAMPLE_RATE)
    code, out, err = assistant("recognize", "--whole", tmp_path / "long.wav", recording)
    assert code == 2
    assert len(err) == 1 and "30 s" in err[0]
    assert any(str(recording) in line for line in out)


def test_standard_input_is_raw_pcm(
    assistant: Assistant, recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples, _ = soundfile.read(recording, dtype="int16")
    _, expected, _ = assistant("recognize", "--json", recording)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(samples.tobytes())))
    _, out, _ = assistant("recognize", "--json", "-")
    assert [json.loads(line) | {"file": ""} for line in out] == [
        json.loads(line) | {"file": ""} for line in expected
    ]
    assert json.loads(out[0])["file"] == "-"

    stereo = np.repeat(np.stack([samples, samples], axis=1), 2, axis=0)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stereo.tobytes())))
    _, out, _ = assistant("recognize", "--json", "--rate", 32_000, "--channels", 2, "-")
    assert len(out) == len(expected)


def test_empty_standard_input_is_an_error_line(
    assistant: Assistant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    code, out, err = assistant("recognize", "-")
    assert (code, out, len(err)) == (2, [], 1)


def test_people_get_a_line_for_the_sentence_and_one_for_the_action(
    assistant: Assistant, recording: Path
) -> None:
    _, results, _ = assistant("recognize", "--json", recording)
    first = json.loads(results[0])
    _, out, _ = assistant("recognize", recording)
    assert len(out) == 4
    assert f"{first['start']:.2f}–{first['end']:.2f} s" in out[0]
    for shown in (str(recording), first["text"], first["intent"]):
        assert shown in out[0]
    assert out[1].strip() == f"dry run: {first['action']}"


def test_execute_acts_and_shows_the_output(assistant: Assistant, recording: Path) -> None:
    _, results, _ = assistant("recognize", "--json", recording)
    level = json.loads(results[0])["slots"]["level"]
    _, out, _ = assistant("recognize", "--execute", recording)
    assert out[1].strip().startswith("done: printf")
    assert out[1].endswith(f"⇒  level {level}")


def test_events_are_shown_in_order(assistant: Assistant, recording: Path) -> None:
    code, (name, *lines), _ = assistant("recognize", "--events", recording)
    events = [line.split()[2] for line in lines]
    times = [float(line.split()[0]) for line in lines]
    assert (code, name) == (0, str(recording))
    assert [e for e in events if e != "partial"] == ["speech", "recognised", "action"] * 2
    assert "partial" in events
    assert times == sorted(times)


# ── recognize: bad input ───────────────────────────────────────────────────────────────────


def empty(path: Path) -> None:
    path.write_bytes(b"")


def text(path: Path) -> None:
    path.write_text("turn on the light")


def missing(path: Path) -> None:
    assert not path.exists()


def no_samples(path: Path) -> None:
    soundfile.write(path, np.zeros(0), SAMPLE_RATE)


@pytest.mark.parametrize("make", [empty, text, Path.mkdir, missing, no_samples])
def test_unreadable_files_are_an_error_line_and_the_others_are_done(
    assistant: Assistant, recording: Path, tmp_path: Path, make: Callable[[Path], None]
) -> None:
    bad = tmp_path / "bad.wav"
    make(bad)
    _, expected, _ = assistant("recognize", "--json", recording)
    code, out, err = assistant("recognize", "--json", recording, bad, recording)
    assert code == 2
    assert out == expected * 2
    assert len(err) == 1
    assert err[0].startswith(f"error: {bad}: ")


def test_odd_but_readable_files_are_heard(assistant: Assistant, tmp_path: Path) -> None:
    samples = utterances(1)
    stereo, truncated, nan = (tmp_path / name for name in ("96k.wav", "cut.wav", "nan.wav"))
    soundfile.write(stereo, np.repeat(np.stack([samples] * 2, axis=1), 6, axis=0), 96_000)
    soundfile.write(truncated, samples, SAMPLE_RATE)
    truncated.write_bytes(truncated.read_bytes()[:-20_000])
    holes = samples.copy()
    holes[::1000] = np.nan
    soundfile.write(nan, holes, SAMPLE_RATE, subtype="FLOAT")

    code, out, err = assistant("recognize", "--json", stereo, truncated, nan)
    assert code == 0
    assert [json.loads(line)["file"] for line in out] == list(map(str, (stereo, truncated, nan)))
    assert [line.split(": ")[:2] for line in err] == [
        ["warning", str(truncated)],
        ["warning", str(nan)],
    ]


@pytest.mark.parametrize("samples", [np.zeros(SAMPLE_RATE), np.full(SAMPLE_RATE, np.nan)])
def test_no_speech_is_said_and_is_no_error(
    assistant: Assistant, tmp_path: Path, samples: Samples
) -> None:
    path = tmp_path / "silence.wav"
    soundfile.write(path, samples, SAMPLE_RATE, subtype="FLOAT")
    code, out, _ = assistant("recognize", path)
    assert (code, out) == (0, [f"{path}  no speech"])
    code, out, err = assistant("recognize", "--json", path)
    assert (code, out) == (0, [])
    assert err[0] == f"{path}: no speech" or err[-1] == f"{path}: no speech"


def test_a_name_with_a_line_break_stays_on_its_line(assistant: Assistant, tmp_path: Path) -> None:
    code, _, err = assistant("recognize", tmp_path / "a\nb\x1b[31m.wav")
    assert (code, len(err)) == (2, 1)
    assert r"a\nb\x1b[31m.wav" in err[0]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a name is text elsewhere")
def test_a_name_that_is_no_text_is_read_like_any_other(
    assistant: Assistant, recording: Path, tmp_path: Path
) -> None:
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.wav")
    shutil.copy(recording, odd)
    code, out, err = assistant("recognize", "--json", odd, recording)
    assert (code, err) == (0, [])
    assert [json.loads(line)["file"] for line in out] == [odd] * 2 + [str(recording)] * 2
    code, out, err = assistant("recognize", odd)
    assert (code, err) == (0, []) and r"caf\udce9.wav" in out[0]
    Path(odd).write_bytes(b"no sound")
    code, _, err = assistant("recognize", odd)
    assert (code, len(err)) == (2, 1) and r"caf\udce9.wav: is no audio" in err[0]


# ── errors and exit codes ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "arguments",
    [
        ["no-such-command"],
        ["recognize"],
        ["recognize", "--cut", "0", "x.wav"],
        ["recognize", "--cut", "many", "x.wav"],
        ["recognize", "--json", "--events", "x.wav"],
        ["recognize", "--config", "missing.yaml", "x.wav"],
        ["recognize", "--bundle", "missing", "x.wav"],
        ["recognize", "--actions", "missing.yaml", "x.wav"],
        ["train", "commands.yaml"],
    ],
)
def test_misuse_is_one_line_and_exit_code_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1


def test_unknown_commands_and_devices_are_misuse(assistant: Assistant, recording: Path) -> None:
    for options in (["--commands", "missing"], ["--device", "tpu"]):
        code, out, err = assistant("recognize", *options, recording)
        assert (code, out, len(err)) == (2, [], 1)


def test_what_lies_beside_the_configuration_file_is_found_from_any_folder(tmp_path):
    for folder in ("mine", "pt-br"):  # pt-br is merely called like a bundle
        (tmp_path / folder).mkdir()
    for file in ("pt-br/commands.yaml", "editor.yaml"):
        (tmp_path / file).touch()
    config = tmp_path / "config.yaml"
    config.write_text(
        "commands: mine\nbundle: pt-br\n"
        "daemon: {contexts: {editor: editor.yaml, player: coffee, browser: /elsewhere}}\n"
    )
    read = load(config)
    assert (read.commands, read.bundle) == (str(tmp_path / "mine"), "pt-br")
    assert read.daemon.contexts == {
        "editor": str(tmp_path / "editor.yaml"),
        "player": "coffee",
        "browser": "/elsewhere",
    }


def test_the_configuration_file_counts_and_options_win(
    assistant: Assistant, recording: Path, tmp_path: Path
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("device: tpu\ndecision: {confidence_threshold: 0.999}\n")
    code, _, err = assistant("recognize", "--config", config, recording)
    assert code == 2 and "tpu" in err[0]
    code, out, _ = assistant("recognize", "--config", config, "--device", "cpu", recording)
    assert code == 0 and "rejected" in out[0]


def test_the_unexpected_is_one_line_too(
    assistant: Assistant, recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("boom")

    monkeypatch.setattr(Pipeline, "feed", fail)
    code, _, err = assistant("recognize", recording)
    assert (code, len(err)) == (1, 1)
    assert "boom" in err[0]
    monkeypatch.setenv("ASSISTANT_DEBUG", "1")
    with pytest.raises(RuntimeError, match="boom"):
        assistant("recognize", recording)


def test_interruption_is_quiet(
    assistant: Assistant, recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Pipeline, "feed", interrupt)
    assert assistant("recognize", recording) == (130, [], [])


def test_a_pipe_closed_early_ends_quietly() -> None:
    code = (
        "import sys; from assistant.cli import app, main; from assistant.cli.screen import Screen\n"
        "@app.command()\n"
        "def count(): [Screen().result(str(n)) for n in range(10**6)]\n"
        "sys.exit(main(['count']))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline().strip() == b"0"
        process.stdout.close()
        assert process.stderr.read() == b""


def test_help_needs_no_torch_and_no_training() -> None:
    code = (
        "import sys; from assistant.cli import main; main(['--help']);"
        "print([m for m in sys.modules if m in ('torch', 'numpy', 'assistant.training')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    "command",
    [
        *("recognize", "listen", "explain", "devices", "show", "train", "lint"),
        *("pronounce", "record", "adapt"),
    ],
)
def test_help_teaches_by_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    shown = capsys.readouterr().out
    assert f"assistant {command}" in shown.partition("Examples:")[2]


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("assistant ")


# ── devices and listen ─────────────────────────────────────────────────────────────────────


class FakeMicrophone:
    """Hears two utterances; then it is closed."""

    device = MICROPHONE
    rate = 48_000
    channels = 1
    overruns = 0

    def __init__(self, config: Any, **_: Any) -> None:
        self.config = config

    def __enter__(self) -> FakeMicrophone:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __iter__(self) -> Iterator[Samples]:
        return recut([utterances(2)], 320)


@pytest.mark.parametrize("command", [["devices"], ["devices", "--json"]])
def test_without_portaudio_devices_is_one_line(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def absent() -> None:
        raise AudioDeviceError("PortAudio was not found: install libportaudio2")

    monkeypatch.setattr(audio, "_portaudio", absent)
    assert main(command) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "error: PortAudio was not found: install libportaudio2\n"


def test_without_portaudio_listen_is_one_line(
    assistant: Assistant, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent() -> None:
        raise AudioDeviceError("PortAudio was not found: install libportaudio2")

    monkeypatch.setattr(audio, "_portaudio", absent)
    expected = "error: PortAudio was not found: install libportaudio2"
    assert assistant("listen") == (1, [], [expected])


def test_devices_marks_the_default(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    other = InputDevice(5, "Webcam", "ALSA", 2, 44_100, is_default=False)
    monkeypatch.setattr(audio, "list_devices", lambda: [MICROPHONE, other])
    assert main(["devices"]) == 0
    _, first, second, *_ = capsys.readouterr().out.splitlines()
    assert first.split() == ["*", "3", "USB", "mic", "ALSA", "1", "48000", "Hz"]
    assert second.split() == ["5", "Webcam", "ALSA", "2", "44100", "Hz"]
    assert main(["devices", "--json"]) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(d["index"], d["rate"], d["default"]) for d in found] == [
        (3, 48_000, True),
        (5, 44_100, False),
    ]


def test_listen_gives_what_recognize_gives(
    assistant: Assistant, recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audio, "Microphone", FakeMicrophone)
    _, expected, _ = assistant("recognize", "--json", recording)
    code, out, err = assistant("listen", "--json")
    assert code == 0
    assert [json.loads(line) for line in out] == [
        json.loads(line) | {"file": ""} for line in expected
    ]
    assert len(err) == 1 and "USB mic" in err[0] and "dry run" in err[0]


def test_listen_without_a_terminal_prints_events(
    assistant: Assistant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audio, "Microphone", FakeMicrophone)
    monkeypatch.setattr(FakeMicrophone, "overruns", 7)
    _, out, err = assistant("listen", "--execute")
    events = [line.split()[2] for line in out]
    assert sorted(e for e in events if e != "partial") == sorted(
        ["speech", "recognised", "action"] * 2
    )
    assert "7 blocks" in err[-1]


def test_a_slow_action_does_not_hold_up_the_microphone() -> None:
    let_go = threading.Event()

    class Slow:
        def hear(self, intent: Intent, source: str) -> ActionResult:
            let_go.wait()
            return ActionResult(intent.name, ActionStatus.DONE, "done")

    hypothesis = Hypothesis("setLight", {}, "light", 0.9, -0.1)
    recognised = Recognised(0, 100, Intent("setLight", {}, "light", 0.9), hypothesis)
    with ActionWorker(Slow()) as worker:  # type: ignore[arg-type]
        worker.submit(SpeechStarted(0))
        worker.submit(recognised)
        assert worker.finished() == []
        let_go.set()
        (performed,) = worker.finished(wait=True)
    assert (performed.start, performed.end) == (0, 100)
    assert performed.result.status is ActionStatus.DONE


def test_a_spoken_yes_confirms_and_undo_takes_back() -> None:
    rules = {
        "lock": {"log": "lock", "confirm": "always", "undo": {"log": "unlock"}},
        "yes": {"reply": "accept"},
        "back": {"reply": "undo"},
    }
    runner = ActionRunner(parse_policy({"intents": rules}, "policy.yaml"), execute=True)
    with ActionWorker(Dialogue(runner, DialogueConfig())) as worker:
        for name in ("lock", "yes", "back"):
            hypothesis = Hypothesis(name, {}, name, 0.9, -0.1)
            worker.submit(Recognised(0, 100, Intent(name, {}, name, 0.9), hypothesis))
        results = [performed.result for performed in worker.finished(wait=True)]
    asked, done, undone = map(action_line, results)
    assert asked.plain.startswith("needs confirmation: lock? (")
    assert (done.plain, undone.plain) == ("done: lock", "undone: unlock")


def test_what_recognize_does_is_in_the_history(
    assistant: Assistant,
    recording: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assistant("recognize", recording)
    assert not (tmp_path / "assistant/journal.jsonl").exists()  # a dry run has done nothing
    assistant("recognize", "--execute", recording)
    assert main(["history", "--json"]) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(t["status"], t["source"]) for t in told] == [("done", str(recording))] * 2


def test_the_live_line_shows_level_state_and_partial_reading() -> None:
    status = StatusLine()
    assert "silence" in status.text().plain
    status.hear(np.zeros(320, np.float32), overruns=0)
    quiet = status.text().plain.count("█")
    status.follow(SpeechStarted(0))
    hypothesis = Hypothesis("setLight", {}, "turn the light", 0.0, 0.0)
    status.follow(PartialHypothesisChanged(320, hypothesis))
    status.hear(utterances(1)[30_000:30_320], overruns=2)
    line = status.text()
    assert isinstance(line, Text)
    for shown in ("speech", "turn the light", "setLight", "2 blocks lost"):
        assert shown in line.plain
    assert quiet == 0 < line.plain.count("█")
    status.follow(Recognised(0, 640, Intent("setLight", {}, "", 0.9), hypothesis))
    assert "silence" in status.text().plain and "turn" not in status.text().plain


# ── show and train ─────────────────────────────────────────────────────────────────────────


def test_show_says_what_can_be_said_and_how_long_it_takes(
    assistant: Assistant, bundle: Path
) -> None:
    code, (line,), _ = assistant("show", "--json")
    shown = json.loads(line)
    assert code == 0
    assert shown["language"] == "en-us"
    network = read_commands(bundle / "commands/agreeable", read_acoustic(bundle)).network
    intents = {intent["name"]: intent for intent in shown["intents"]}
    assert intents["setBrightness"]["slots"] == {"device": ["light"], "level": [1, 2, 3]}
    assert intents["setLight"]["slots"] == {"state": ["off", "on"]}
    for name, intent in intents.items():
        assert len(intent["examples"]) >= 2
        for sentence in intent["examples"]:
            assert [reading[0] for reading in accepts(network, sentence.split())] == [name]

    delays = shown["delays"]
    assert all(d["partial_result"] or d["final_decision"] for d in delays)
    assert shown["partial_result_ms"] == sum(
        d["milliseconds"] for d in delays if d["partial_result"]
    )
    assert {d["stage"] for d in delays if d["final_decision"]} == {"endpointer", "intent"}

    _, out, _ = assistant("show")
    page = "\n".join(out)
    for expected in ("en-us", shown["acoustic_sha256"], *intents, "partial result", "endpointer"):
        assert expected in page
    assert any(sentence in page for sentence in intents["setLight"]["examples"])


def test_train_compiles_and_sums_up(
    assistant: Assistant, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = CompileReport(
        sentences=12_345,
        intents=2,
        slots=3,
        exact_lstm=0.5,
        exact=0.75,
        seconds=4.0,
        left_out={"{message} is a wildcard": 3},
    )
    calls = []

    def compile_instead(
        paths: list[Path], folder: Path, output: Path, config: Any, progress: Any
    ) -> CompileReport:
        progress(0.5, "half")
        calls.append((paths, folder, output, asdict(config)["seed"]))
        return report

    monkeypatch.setattr(compiler, "compile_commands", compile_instead)
    code, out, err = assistant("train", "a.yaml", "b.yaml", "-o", tmp_path, "--seed", 7)
    assert (code, err) == (0, [])
    assert calls == [([Path("a.yaml"), Path("b.yaml")], bundle, tmp_path, 7)]
    page = "\n".join(out)
    for expected in ("12,345", "75.0%", "50.0%", "{message} is a wildcard (3)", str(tmp_path)):
        assert expected in page


def test_train_on_a_missing_file_is_an_error_line(assistant: Assistant, tmp_path: Path) -> None:
    code, _, err = assistant("train", tmp_path / "missing.yaml", "-o", tmp_path / "out")
    assert (code, len(err)) == (2, 1)
    assert "missing.yaml" in err[0]
