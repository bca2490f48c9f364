"""`assistant evaluate`: the same report however it came about, and what the command says."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tiny_bundle import build

from assistant.cli import main
from assistant.config import AssistantConfig
from assistant.errors import UsageError
from assistant.evaluation import processes, report
from assistant.evaluation.journal import Journal
from assistant.evaluation.processes import Rank
from assistant.evaluation.runner import Evaluation
from assistant.evaluation.settings import Settings

ROOT = Path(__file__).parents[1]
ALONE = Rank()


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A bundle that has learnt nothing: what it decides is worth nothing, and always the same."""
    return build(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def manifest(data, tmp_path_factory):
    """Short recordings, as if someone had said in them what the tiny commands know."""
    path = tmp_path_factory.mktemp("manifest") / "manifest.jsonl"
    recordings = [data / f"recordings/home/word_{word}.flac" for word in ("no", "stop", "yes")]
    recordings.append(data / "recordings/home/synthetic_028_bf_isabella.flac")
    lines = [
        {
            "path": str(recording),
            "intent": ("setLight", "setBrightness")[number % 2],
            "slots": {"state": "on"} if number % 2 == 0 else {"level": 2, "device": "light"},
            "text": "turn the light on",
        }
        for number, recording in enumerate(recordings)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


@pytest.fixture
def settings(tiny, manifest, data):
    noise = data / "recordings/casa/synthetic_timer_pm_santa.flac"
    config = AssistantConfig(bundle=str(tiny), commands="agreeable", device="cpu")
    return Settings(
        manifest, config, snrs=(None, 6.0), noise=(noise,), negatives=data / "recordings/casa"
    )


def made(settings, folder, workers=1):
    """The report, without what it took."""
    evaluation = Evaluation.load(settings)
    outcomes = processes.evaluate(evaluation, folder, ALONE, workers, lambda done, total: None)
    found = report.build(evaluation, outcomes, workers)
    assert found["compute"]["processes"] == workers
    return without_compute(json.dumps(found))


def without_compute(text):
    """All but `compute`, as text: equal only if every bit is."""
    found = json.loads(text)
    del found["compute"]
    return json.dumps(found, indent=1)


def test_a_second_run_and_several_processes_make_the_same(settings, tmp_path):
    first = made(settings, tmp_path / "first")
    assert json.loads(first)["conditions"][1]["n"] == 4
    assert json.loads(first)["negatives"]["recordings"] == 3
    assert made(settings, tmp_path / "second") == first
    assert made(settings, tmp_path / "workers", workers=2) == first
    assert made(replace(settings, seed=1), tmp_path / "seed") != first


def test_any_cut_makes_the_same(settings, tmp_path):
    whole = json.loads(made(settings, tmp_path / "first"))
    cut = json.loads(made(replace(settings, cut=7919), tmp_path / "cut"))
    assert cut["made_from"].pop("cut") == 7919
    assert whole["made_from"].pop("cut") is None
    assert cut == whole


class Killed(BaseException):
    """The process is no more."""


def test_what_was_killed_half_way_goes_on_and_ends_the_same(settings, tmp_path):
    expected = made(settings, tmp_path / "whole")
    folder = tmp_path / "killed"
    evaluation = Evaluation.load(settings)

    def die(done, total):
        if done == total // 2:
            raise Killed

    with pytest.raises(Killed):
        processes.evaluate(evaluation, folder, ALONE, 1, die)
    (file,) = folder.iterdir()
    with file.open("a") as lines:
        lines.write('{"key": "0123')  # it was writing a line
    kept = Journal(folder).read()
    assert len(kept) == len(evaluation.tasks) // 2
    assert made(settings, folder) == expected
    # What was done before was not done again: every key stands in the journal once.
    keys = [line for path in folder.iterdir() for line in path.read_text().splitlines()]
    assert len(keys) == len(evaluation.tasks) + 1


def test_other_settings_do_not_take_what_is_in_the_journal(settings, tmp_path, manifest):
    first = Evaluation.load(settings)
    for other in (
        replace(settings, seed=5),
        replace(settings, reverb=True),
        replace(settings, config=replace(settings.config, early_commit=True)),
    ):
        keys = {task.key for task in Evaluation.load(other).tasks}
        assert keys.isdisjoint(task.key for task in first.tasks)


def test_a_worker_that_fails_is_told(settings, tmp_path, monkeypatch):
    def vanish(path):
        return replace(settings, manifest=tmp_path / "gone.jsonl")

    evaluation = replace(Evaluation.load(settings), settings=vanish(tmp_path))
    with pytest.raises(processes.AssistantError, match="a process of the evaluation failed"):
        processes.evaluate(evaluation, tmp_path / "j", ALONE, 2, lambda done, total: None)


def test_torchrun_makes_the_report_of_one_process(tiny, manifest, tmp_path):
    """By the script, which is the command."""
    arguments = ["--bundle", str(tiny), "--commands", "strict", "--device", "cpu", "--json"]
    one, two = tmp_path / "one.json", tmp_path / "two.json"
    assert main(["evaluate", str(manifest), *arguments, str(one)]) == 0
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    script = [str(ROOT / "scripts/evaluate.py"), str(manifest), *arguments, str(two)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, *torchrun, *script], check=True, env=environment, cwd=ROOT)
    assert without_compute(one.read_text()) == without_compute(two.read_text())
    assert json.loads(two.read_text())["compute"]["processes"] == 2
    assert {path.name for path in tmp_path.iterdir()} == {"one.json", "two.json"}  # no journal


def test_a_recording_that_is_too_long_is_a_problem_and_the_rest_is_evaluated(
    tiny, manifest, tmp_path, capsys
):
    soundfile.write(tmp_path / "long.wav", np.zeros(31 * 16_000), 16_000)
    path = tmp_path / "manifest.jsonl"
    longer = json.dumps({"path": str(tmp_path / "long.wav"), "intent": "setLight"})
    path.write_text(manifest.read_text(encoding="utf-8") + longer, encoding="utf-8")
    options = ["--bundle", str(tiny), "--commands", "agreeable", "--device", "cpu", "--whole"]
    assert main(["evaluate", str(path), *options, "--json", str(tmp_path / "out.json")]) == 0
    found = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    (problem,) = found["problems"]
    assert problem["path"].endswith("long.wav") and "30 s at most" in problem["what"]
    assert (found["conditions"][0]["n"], len(found["utterances"])) == (4, 4)
    assert "long.wav" in capsys.readouterr().err


def test_a_report_that_cannot_be_written_leaves_nothing(tmp_path):
    (tmp_path / "reports").mkdir()
    with pytest.raises(UsageError, match="reports: cannot be written"):
        report.write({}, tmp_path / "reports")
    assert [path.name for path in tmp_path.iterdir()] == ["reports"]


# ── the shipped bundle ─────────────────────────────────────────────────────────────────────


@pytest.fixture
def orders(data, tmp_path):
    """The bundled coffee orders, and three lines that are wrong."""
    expected = json.loads((data / "recordings/expected.json").read_text(encoding="utf-8"))
    lines = [
        {"path": str(data / "recordings" / name), **said}
        for name, said in expected.items()
        if name.startswith("coffee/")
    ]
    wrong = [{"path": "missing.flac", "intent": "orderDrink"}, {**lines[0], "intent": "orderTea"}]
    texts = [json.dumps(line) for line in (*wrong, *lines)]
    path = tmp_path / "orders.jsonl"
    path.write_text("\n".join(['{"path": ', *texts]), encoding="utf-8")
    return path


def test_orders_are_evaluated_and_what_is_wrong_is_told(orders, tmp_path, capsys):
    out = tmp_path / "out.json"
    gate = ["--require", "exact>=0.99", "--require", "false_accepts<=0"]
    arguments = ["evaluate", str(orders), "--commands", "coffee", "--json", str(out), *gate]
    assert main(arguments) == 1
    shown = capsys.readouterr()
    assert "100.0" in shown.out
    assert "3 problems" in shown.err
    for words in ("missing.flac", "'orderTea'", "no JSON"):
        assert words in shown.err
    assert "required false_accepts<=0: false_accepts was not measured" in shown.err
    assert "exact>=0.99" not in shown.err
    found = json.loads(out.read_text(encoding="utf-8"))
    assert [p["line"] for p in found["problems"]] == [1, 2, 3]
    assert (found["conditions"][0]["n"], found["conditions"][0]["exact"]) == (3, 1.0)
    latency = found["latency"]["endpoint_delay_ms"]
    assert latency["n"] == 3
    assert 300 < latency["median"] < 1000


def test_without_commands_phonemes_are_measured(data, tmp_path, capsys):
    manifest = tmp_path / "text.jsonl"
    line = {
        "path": str(data / "recordings/coffee/08b22cb8.flac"),
        "text": "I want an iced coffee with brown sugar.",
        "speaker": "someone",
    }
    manifest.write_text(json.dumps(line), encoding="utf-8")
    assert main(["evaluate", str(manifest), "--json", str(tmp_path / "out.json")]) == 0
    found = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert 0 <= found["phoneme_error"] < 0.3
    assert found["utterances"][0]["phonemes"]["length"] > 20
    assert found["phoneme_error_interval"] is None  # of one recording
    assert found["conditions"][0]["exact"] is None
    assert found["made_from"]["commands"] is None


def test_nothing_to_evaluate_is_an_error(tmp_path, capsys):
    manifest = tmp_path / "none.jsonl"
    manifest.write_text('{"path": "missing.flac", "text": "on"}\n', encoding="utf-8")
    assert main(["evaluate", str(manifest), "--json", str(tmp_path / "out.json")]) == 2
    shown = capsys.readouterr().err
    assert "missing.flac" in shown
    assert "no recording of it could be evaluated" in shown
    assert not (tmp_path / "out.json").exists()


@pytest.mark.parametrize("option", ["--json", "--html"])
def test_an_output_that_cannot_be_written_is_told_before_anything_is_read(tmp_path, capsys, option):
    (tmp_path / "file").touch()
    for output, words in ((tmp_path, "is a folder"), (tmp_path / "file/out", "cannot be written")):
        assert main(["evaluate", str(tmp_path / "none.jsonl"), option, str(output)]) == 2
        told = " ".join(capsys.readouterr().err.split())
        assert words in told and "none.jsonl" not in told
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--snr", "6"], "--noise"),
        (["--snr", "loud"], "--snr"),
        (["--mixing", "peak"], "--mixing"),
        (["--negatives", "."], "--commands"),
        (["--speakers", "x"], "--negatives"),
        (["--whole", "--early-commit"], "exclude"),
        (["--require", "exakt>=1"], "exakt"),
    ],
)
def test_misuse_is_told_before_anything_is_read(tmp_path, capsys, options, words):
    assert main(["evaluate", str(tmp_path / "none.jsonl"), *options]) == 2
    assert words in capsys.readouterr().err
