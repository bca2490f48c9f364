"""Explanations: their figures add up, what is kept comes back, and the command shows it."""

from __future__ import annotations

import json
import logging
import re
import shutil
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from safetensors import safe_open
from safetensors.numpy import save_file
from tiny_bundle import build

from assistant import kept as kept_module
from assistant.bundle import read_acoustic, read_commands
from assistant.bundle.adapted import install_adapted, undo_adapted
from assistant.cli import main
from assistant.confidence import Calibration
from assistant.config import AssistantConfig, DecisionConfig
from assistant.engine import Engine
from assistant.errors import UsageError
from assistant.explanation import POOR_FIT, Explanation, explain
from assistant.grammar.graph import free_loop_score, greedy
from assistant.intent import IntentDecoder
from assistant.kept import NAME, Keeper, KeptUtterance, Listener, read_kept, write_kept
from assistant.resources import state_folder
from assistant.types import Hypothesis, Rejection, Samples, Utterance, WordTime

ROW_MS = 40.0
LISTENER = Listener("/models/tiny", "a" * 64, "/models/x", "b" * 64, ROW_MS, DecisionConfig())
HYPOTHESIS = Hypothesis("on", {"level": 2}, "dim to two", 0.75, -0.25, (WordTime("dim", 1, 4),))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def engine(bundle: Path) -> Engine:
    return Engine.load(AssistantConfig(bundle=str(bundle), commands="agreeable", device="cpu"))


def said(engine: Engine, *phonemes: str, probability: float = 0.97) -> torch.Tensor:
    """Log-posteriors in which each of `phonemes` has a row, and a blank follows it."""
    columns = engine.acoustic.phonemes
    ids = [i for phoneme in phonemes for i in (columns.index(phoneme), 0)]
    rows = torch.full((len(ids), len(columns)), (1 - probability) / (len(columns) - 1))
    rows[torch.arange(len(ids)), ids] = probability
    return rows.log()


def phonemes_of(engine: Engine, *words: str) -> list[str]:
    columns, lexicon = engine.acoustic.phonemes, engine.commands.lexicon
    return [columns[i] for word in words for i in lexicon[word][0]]


def explained(engine: Engine, log_probs: torch.Tensor, **decision: float) -> Explanation:
    decoder = engine.decoder()
    decoder.config = replace(DecisionConfig(lstm_weight=0.0), **decision)
    decoder.calibration = Calibration((2.0, -0.3, 0.1, 0.5), 4.0)
    utterance = Utterance(16_000, 48_000, log_probs, decoder.decide(log_probs))
    return explain(utterance, decoder, engine.acoustic.phonemes, ROW_MS)


# ── the figures ────────────────────────────────────────────────────────────────────────────


def test_what_was_said_fits_word_by_word(engine: Engine) -> None:
    words = ("turn", "the", "light", "on")
    told = phonemes_of(engine, *words)
    found = explained(engine, said(engine, *told))
    assert [h.phoneme for h in found.heard] == told == [fit.phoneme for fit in found.fits]
    assert all(fit.heard == (fit.phoneme,) and fit.fits for fit in found.fits)
    assert found.best is not None
    assert tuple(word.word for word in found.best.words) == words
    for index, word in enumerate(found.best.words):
        rows = [(fit.start_row, fit.end_row) for fit in found.fits if fit.word == index]
        assert (rows[0][0], rows[-1][1]) == (word.start_row, word.end_row)
    assert found.seconds(0) == 1.0 and found.seconds(5) == pytest.approx(1.2)
    assert found.unsaid == ()
    assert isinstance(found.utterance.decision, Hypothesis)
    assert "turn the light on" in found.reason and "at least 0.50" in found.reason


def test_the_badly_said_phoneme_is_the_one_marked(engine: Engine) -> None:
    told = phonemes_of(engine, "turn", "the", "light", "on")
    wrong = [*told]
    wrong[2] = next(p for p in engine.acoustic.phonemes[1:] if p not in told)
    found = explained(engine, said(engine, *wrong))
    poor = [index for index, fit in enumerate(found.fits) if not fit.fits]
    assert poor == [2]
    assert found.fits[2].heard == (wrong[2],)
    assert found.fits[2].log_ratio < POOR_FIT


def test_the_shares_of_the_phonemes_add_up_to_the_decision(engine: Engine) -> None:
    rng = torch.Generator().manual_seed(1)
    for _ in range(5):
        log_probs = torch.randn(40, len(engine.acoustic.phonemes), generator=rng).mul(2)
        log_probs = log_probs.log_softmax(1)
        found = explained(engine, log_probs)
        evidence = found.evidence
        assert evidence is not None and found.best is not None
        shares = sum(fit.log_ratio for fit in found.fits) + evidence.between
        assert shares == pytest.approx(evidence.log_ratio * evidence.phonemes, abs=1e-3)
        assert all(fit.log_ratio <= 0 for fit in found.fits) and evidence.between <= 0
        decision = found.utterance.decision
        decided = decision.best if isinstance(decision, Rejection) else decision
        assert decided == found.best
        assert evidence.confidence == found.best.confidence
        assert [h.phoneme for h in found.heard] == [
            engine.acoustic.phonemes[i] for i in greedy(log_probs.numpy())
        ]
        assert free_loop_score(log_probs.numpy()) <= 0


def test_the_ratio_needed_just_reaches_the_threshold(engine: Engine) -> None:
    found = explained(engine, said(engine, *phonemes_of(engine, "dim", "to", "two")))
    evidence = found.evidence
    assert evidence is not None
    heard = min(evidence.share_heard, 1.0)
    rest = (np.log(evidence.phonemes), evidence.worst_ratio, heard)
    at = evidence.calibration.confidence((evidence.needed, *rest))
    assert at == pytest.approx(evidence.threshold)


def test_the_runners_up_are_other_readings_in_order(engine: Engine) -> None:
    found = explained(engine, said(engine, *phonemes_of(engine, "dim", "to", "two")))
    readings = [(r.hypothesis.intent, r.hypothesis.slots) for r in found.joint]
    assert readings[0] == ("setBrightness", {"device": "light", "level": 2})
    assert len(readings) == 4
    assert all(reading not in readings[:i] for i, reading in enumerate(readings))
    behind = [reading.behind for reading in found.joint]
    assert behind[0] == 0 and behind == sorted(behind)
    assert found.graph == found.joint  # without the LSTM they are the same search


def test_the_lstm_gives_probabilities(engine: Engine) -> None:
    found = explained(engine, said(engine, *phonemes_of(engine, "dim", "to", "two")))
    assert found.lstm is not None
    assert {name for name, _ in found.lstm.intents} == {None, "setLight", "setBrightness"}
    assert sum(p for _, p in found.lstm.intents) == pytest.approx(1, abs=1e-5)
    assert "level" in [opinion.slot for opinion in found.lstm.slots]


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_nothing_and_hardly_anything_are_explained_too(engine: Engine, rows: int) -> None:
    log_probs = said(engine, *phonemes_of(engine, "dim", "to"))[:rows]
    found = explained(engine, log_probs)
    assert isinstance(found.utterance.decision, Rejection)
    assert found.reason == found.utterance.decision.reason
    assert found.joint == () and found.evidence is None and found.best is None


# ── what is kept ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["ä.wav", "caf\udce9.wav"])  # the second is no text
@pytest.mark.parametrize(
    "decision", [HYPOTHESIS, Rejection("no"), Rejection("not a command", HYPOTHESIS)]
)
def test_what_is_kept_comes_back(
    tmp_path: Path, decision: Hypothesis | Rejection, name: str
) -> None:
    log_probs = torch.randn(9, 5).log_softmax(1)
    folder = tmp_path / "state/assistant"
    kept = KeptUtterance(Utterance(3, 99, log_probs, decision), LISTENER, name, "2026")
    write_kept(kept, folder)
    found = read_kept(folder)
    assert torch.equal(found.utterance.log_probs, log_probs.half().float())
    assert replace(found.utterance, log_probs=log_probs) == kept.utterance
    assert (found.listener, found.file, found.when) == (LISTENER, name, "2026")
    if sys.platform != "win32":
        assert (folder / NAME).stat().st_mode & 0o777 == 0o600
        assert folder.stat().st_mode & 0o777 == 0o700
    assert [path.name for path in folder.iterdir()] == [NAME]


@pytest.mark.parametrize("content", [b"", b"no tensors", b"\0" * 100])
def test_damage_is_one_line(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(UsageError, match="no utterance is kept"):
        read_kept(tmp_path)
    (tmp_path / NAME).write_bytes(content)
    with pytest.raises(UsageError, match="damaged"):
        read_kept(tmp_path)


def test_a_full_disk_is_one_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(_: KeptUtterance) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(kept_module, "write_kept", full)
    caplog.set_level(logging.WARNING, "assistant")
    with Keeper(LISTENER) as keeper:
        for _ in range(5):
            keeper.observe(Utterance(0, 1, torch.zeros(2, 3), HYPOTHESIS))
    assert [record.getMessage() for record in caplog.records] == [
        "the last utterance is not kept for 'assistant explain': No space left on device"
    ]


# ── the command ────────────────────────────────────────────────────────────────────────────

Run = Callable[..., tuple[int, list[str], list[str]]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command with an empty state folder: exit code, lines of stdout and of stderr."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "state"))
    monkeypatch.setenv("HOME", str(tmp_path))

    def command(*arguments: object) -> tuple[int, list[str], list[str]]:
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out.splitlines(), captured.err.splitlines()

    return command


@pytest.fixture(scope="module")
def recording(bundle: Path) -> Path:
    """Two hums with silence around them."""
    time = np.arange(16_000) / 16_000
    hum = 0.2 * (2 * (120 * time % 1) - 1) * np.abs(np.sin(4 * np.pi * time))
    silence = np.zeros(24_000)
    samples: Samples = np.concatenate([silence, hum, silence, hum, silence]).astype(np.float32)
    path = bundle / "two.wav"
    soundfile.write(path, samples, 16_000)
    return path


def tiny(bundle: Path, commands: str = "agreeable") -> list[str]:
    return ["--bundle", str(bundle), "--commands", commands]


def test_a_recording_is_explained_as_it_is_recognized(
    run: Run, bundle: Path, recording: Path
) -> None:
    _, recognised, _ = run("recognize", "--json", "--no-keep", *tiny(bundle), recording)
    code, out, err = run("explain", "--json", *tiny(bundle), recording)
    assert (code, err, len(out)) == (0, [], 2)
    for result, line in zip(map(json.loads, recognised), out, strict=True):
        found = json.loads(line)
        best = found["hypotheses"]["together"][0]
        for key in ("file", "start", "end"):
            assert found[key] == result[key]
        for key in ("intent", "slots", "text", "confidence"):
            assert best[key] == result[key]
        assert found["accepted"] and result["text"] in found["reason"]
        assert " ".join(word["word"] for word in found["words"]) == result["text"]
        assert result["start"] <= found["words"][0]["start"] < found["words"][-1]["end"]
    _, (line,), _ = run("explain", "--json", "--whole", *tiny(bundle), recording)
    assert json.loads(line)["start"] == 0


def test_the_last_utterance_is_explained_from_what_was_kept(
    run: Run, bundle: Path, recording: Path
) -> None:
    assert run("explain")[0] == 2
    _, recognised, _ = run("recognize", "--json", *tiny(bundle), recording)
    last = json.loads(recognised[-1])
    code, (line,), err = run("explain", "--json")
    found = json.loads(line)
    assert (code, err) == (0, [])
    assert (found["file"], found["start"], found["end"]) == (
        str(recording),
        last["start"],
        last["end"],
    )
    assert last["text"] in found["reason"]
    assert found["confidence"]["confidence"] == pytest.approx(last["confidence"], abs=1e-3)
    # Other commands decide anew.
    _, out, _ = run("explain", "--commands", "strict")
    assert "decided anew" in out[0] and "not a command" in out[1]


def test_a_set_adapted_since_decides_anew(
    run: Run, bundle: Path, recording: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "mine"
    shutil.copytree(bundle / "commands/agreeable", folder)
    run("recognize", *tiny(bundle, str(folder)), recording)
    assert "decided anew" not in run("explain")[1][0]

    acoustic = read_acoustic(bundle)
    commands = read_commands(folder, acoustic)  # with another calibration, of the same source
    unsure = replace(commands, calibration=Calibration((0.0, 0.0, 0.0, 0.0), -5.0))
    install_adapted(folder, unsure, acoustic, {"recordings": 9})
    _, out, _ = run("explain")
    assert "decided anew" in out[0] and "not a command" in out[1]
    undo_adapted(folder)
    assert "decided anew" not in run("explain")[1][0]


def test_what_an_older_version_kept_is_explained(run: Run, bundle: Path, recording: Path) -> None:
    run("recognize", *tiny(bundle), recording)
    _, expected, _ = run("explain")
    path = state_folder() / NAME
    with safe_open(path, "np") as file:
        tensors = {"log_probs": file.get_tensor("log_probs")}
        facts = json.loads(file.metadata()["utterance"])
    del facts["listener"]["commands_hash"]
    save_file(tensors, path, {"utterance": json.dumps(facts)})
    assert run("explain") == (0, expected, [])


def test_nothing_is_kept_where_it_is_not_wanted(
    run: Run, bundle: Path, recording: Path, tmp_path: Path
) -> None:
    run("recognize", "--no-keep", *tiny(bundle), recording)
    (tmp_path / "config.yaml").write_text("keep_last: false\n")
    run("recognize", "--config", tmp_path / "config.yaml", *tiny(bundle), recording)
    code, out, err = run("explain")
    assert (code, out, len(err)) == (2, [], 1)
    assert "no utterance is kept" in err[0]


def test_recognition_goes_on_where_nothing_can_be_kept(
    run: Run, bundle: Path, recording: Path, tmp_path: Path
) -> None:
    expected = run("recognize", *tiny(bundle), "--no-keep", recording)
    (tmp_path / "state").write_text("a file where the folder should be")
    code, out, err = run("recognize", *tiny(bundle), recording)
    assert (code, out) == expected[:2]
    assert len(err) == 1 and err[0].startswith("warning: the last utterance is not kept")


def test_another_bundle_is_an_error_line(
    run: Run, bundle: Path, recording: Path, tmp_path: Path
) -> None:
    run("recognize", *tiny(bundle), recording)
    kept = read_kept()
    write_kept(replace(kept, listener=replace(kept.listener, acoustic_hash="0" * 64)))
    code, out, err = run("explain")
    assert (code, out, len(err)) == (2, [], 1)
    assert "hear it again" in err[0]


def test_people_see_every_part(run: Run, bundle: Path, recording: Path) -> None:
    _, out, _ = run("explain", *tiny(bundle, "strict"), recording)
    for name in ("reason", "heard", "nearest", "together", "graph alone", "LSTM alone"):
        assert sum(line.startswith(f"  {name}") for line in out) == 2
    assert sum("below the threshold 0.50" in line for line in out) == 2


def test_silence_is_said(run: Run, bundle: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "silence.wav", np.zeros(16_000), 16_000)
    code, out, _ = run("explain", *tiny(bundle), tmp_path / "silence.wav")
    assert (code, out) == (0, [f"{tmp_path / 'silence.wav'}  no speech"])


def test_the_picture_is_self_contained(
    run: Run, bundle: Path, recording: Path, tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    code, _, err = run("explain", *tiny(bundle), recording, "--picture", tmp_path / "out.svg")
    assert code == 0
    assert err == [f"drawn: {tmp_path / f'out-{n}.svg'}" for n in (1, 2)]
    for number in (1, 2):
        drawn = (tmp_path / f"out-{number}.svg").read_text(encoding="utf-8")
        assert ElementTree.fromstring(drawn).tag.endswith("svg")
        links = re.findall(r'xlink:href="([^#"][^"]{0,20})', drawn)
        assert links and all(link.startswith("data:image/png") for link in links)


def test_without_matplotlib_the_extra_is_named(
    run: Run, recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    code, out, err = run("explain", recording, "--picture", tmp_path / "out.svg")
    assert (code, out, len(err)) == (2, [], 1)
    assert "[picture]" in err[0]


def test_misuse_is_one_line(run: Run, recording: Path, tmp_path: Path) -> None:
    for arguments in (["--whole"], [recording, "--picture", tmp_path / "out.txt"], ["missing.wav"]):
        code, out, err = run("explain", *arguments)
        assert (code, out, len(err)) == (2, [], 1)


def test_the_decoder_still_decides_as_before(engine: Engine) -> None:
    """Judging is one search; the n best are looked for by explanations alone."""
    decoder: IntentDecoder = engine.decoder()
    log_probs = said(engine, *phonemes_of(engine, "turn", "the", "light", "off"))
    judged = decoder.judge(log_probs)
    assert judged is not None
    assert decoder.hypothesis(judged) == decoder.decide(log_probs)
