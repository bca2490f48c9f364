"""`assistant adapt`: what helps on takes kept out is installed, and everything can be undone."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from tiny_bundle import build

from assistant.bundle import read_acoustic, read_commands, write_commands
from assistant.bundle.adapted import base_of, install_adapted, undo_adapted
from assistant.cli import main
from assistant.config import AssistantConfig
from assistant.engine import Engine
from assistant.errors import UsageError
from assistant.grammar.graph import PhonemeGraph
from assistant.training import adaptation, own_speech
from assistant.training.adaptation import AdaptationReport, Comparison, ForeignScore, Score, adapt
from assistant.training.own_pronunciations import (
    PRICE,
    learn_pronunciations,
    path_score,
    with_learnt,
)
from assistant.training.own_speech import HeardTake, said_path
from assistant.training.takes import Take, held_out, read_takes
from assistant.types import SAMPLE_RATE

FILES = ("config.yaml", "intent.safetensors", "network.json")
SENTENCES = ("turn the light on", "turn the light off", "dim to one", "dim to two")

Adapt = Callable[..., tuple[int, list[str], list[str]]]


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny bundle of its own; its random weights fit any sentence to anything."""
    monkeypatch.setattr(own_speech, "WORST_FIT", -100.0)
    return build(tmp_path)


@pytest.fixture
def run(bundle: Path, capsys: pytest.CaptureFixture[str]) -> Adapt:
    """`assistant adapt` with the tiny bundle: exit code, lines of stdout, of stderr."""

    def adapt_with(*arguments: object) -> tuple[int, list[str], list[str]]:
        own = ["--bundle", str(bundle), "--commands", str(bundle / "commands/agreeable")]
        code = main(["adapt", *own, *map(str, arguments)])
        captured = capsys.readouterr()
        return code, captured.out.splitlines(), captured.err.splitlines()

    return adapt_with


def write_takes(folder: Path, lines: list[Any]) -> Path:
    """A manifest of twelve good takes, and whatever else."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    good = []
    for i in range(12):
        sound = 0.1 * rng.standard_normal(2 * SAMPLE_RATE)
        soundfile.write(folder / f"{i}.wav", sound.astype(np.float32), SAMPLE_RATE)
        good.append({"path": f"{i}.wav", "text": SENTENCES[i % 4]})
    text = [line if isinstance(line, str) else json.dumps(line) for line in (*lines, *good)]
    (folder / "manifest.jsonl").write_text("\n".join(text) + "\n", encoding="utf-8")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in FILES}


# ── installed, and undone ──────────────────────────────────────────────────────────────────


def test_adapted_in_its_place_and_back_byte_for_byte(
    run: Adapt, bundle: Path, tmp_path: Path
) -> None:
    takes = write_takes(tmp_path / "takes", [])
    folder = bundle / "commands/agreeable"
    compiled = contents(folder)
    code, (line,), err = run(takes, "--force", "--json")
    report = json.loads(line)
    assert (code, err) == (0, [])
    assert report["installed"] and report["adapted_on"] == 8
    assert report["before"]["takes"] == report["after"]["takes"] == 4
    assert sum(intent["before"]["takes"] for intent in report["intents"]) == 4
    assert contents(folder) != compiled == contents(folder / "base")
    adapted = read_commands(folder, read_acoustic(bundle))
    assert set(report["pronunciations"]) == {
        word
        for word, ways in adapted.lexicon.items()
        if len(ways) > len(read_commands(folder / "base", read_acoustic(bundle)).lexicon[word])
    }

    again = contents(folder)
    assert run(takes, "--force")[0] == 0  # from the compiled set again, not from the adapted one
    assert contents(folder) == again
    assert run("--undo") == (0, [f"{folder}: as it was compiled"], [])
    assert contents(folder) == compiled
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
    code, _, err = run("--undo")
    assert code == 2 and "nothing to undo" in err[0]


def test_adapted_into_a_folder_of_its_own(run: Adapt, bundle: Path, tmp_path: Path) -> None:
    takes = write_takes(tmp_path / "takes", [])
    compiled = contents(bundle / "commands/agreeable")
    assert run(takes, "--force", "-o", tmp_path / "mine")[0] == 0
    assert contents(bundle / "commands/agreeable") == compiled
    assert read_commands(tmp_path / "mine", read_acoustic(bundle)).intents
    with pytest.raises(UsageError, match="folder of its own"):
        undo_adapted(tmp_path / "mine")


def test_compiling_anew_leaves_nothing_to_undo(bundle: Path) -> None:
    folder, acoustic = bundle / "commands/agreeable", read_acoustic(bundle)
    commands = read_commands(folder, acoustic)
    install_adapted(folder, commands, acoustic, {"recordings": 9})
    assert base_of(folder) == folder / "base"
    newer = replace(commands, source_hash="1" * 64)
    write_commands(folder, newer, acoustic)
    assert base_of(folder) == folder
    install_adapted(folder, newer, acoustic, {"recordings": 9})
    undo_adapted(folder)
    assert read_commands(folder, acoustic).source_hash == "1" * 64


def test_an_undo_that_was_broken_off_goes_on(bundle: Path) -> None:
    folder, acoustic = bundle / "commands/agreeable", read_acoustic(bundle)
    compiled = contents(folder)
    install_adapted(folder, read_commands(folder, acoustic), acoustic, {})
    (folder / "base/network.json").replace(folder / "network.json")
    undo_adapted(folder)
    assert contents(folder) == compiled


def test_what_is_no_better_is_not_installed(
    run: Adapt, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    takes = write_takes(tmp_path / "takes", [])
    compiled = contents(bundle / "commands/agreeable")
    monkeypatch.setattr(adaptation, "learn_pronunciations", lambda heard, lexicon: [])
    code, out, _ = run(takes)
    assert code == 1
    assert "no better" in out[-1] and "--force" in out[-1]
    assert contents(bundle / "commands/agreeable") == compiled
    assert run(takes, "--json")[0] == 1


@pytest.mark.parametrize(
    ("exact", "log_ratio", "taken", "better"),
    [
        (4, -0.5, 0, True),
        (3, -0.4, 0, True),
        (3, -0.5, 0, False),
        (2, -0.1, 0, False),
        (4, -0.4, 1, False),
    ],
)
def test_better_is_more_exact_or_a_better_fit_and_never_taken_wrongly(
    exact: int, log_ratio: float, taken: int, better: bool
) -> None:
    before, after = Score(4, 3, 1, 0.8, -0.5), Score(4, exact, 0, 0.9, log_ratio)
    foreign = ForeignScore(100, 0, -3.0), ForeignScore(100, taken, -3.0)
    report = AdaptationReport(8, (), {}, 0.0, Comparison("", before, after), (), *foreign)
    assert report.is_better == better
    # What fits everything better fits these takes no better.
    wider = replace(report, foreign_after=ForeignScore(100, taken, -2.9))
    assert wider.is_better == (better and exact > 3)


# ── what cannot be used ────────────────────────────────────────────────────────────────────


def test_every_bad_line_is_told_and_the_rest_is_used(
    run: Adapt, bundle: Path, tmp_path: Path
) -> None:
    bad = [
        ("not json", "is not JSON"),
        ([1, 2], "names no recording"),
        ({"text": "dim to one"}, "names no recording"),
        ({"path": "gone.wav", "text": "dim to one"}, "there is no such file"),
        ({"path": "empty.wav", "text": "dim to one"}, "is empty"),
        ({"path": "0.wav", "text": "open the pod bay doors"}, "is no sentence of these commands"),
        ({"path": "0.wav"}, "does not say what is said"),
        ({"path": "0.wav", "intent": "openDoor"}, "no intent 'openDoor'; one of: setLight"),
        ({"path": "0.wav", "intent": "setLight", "slots": {"state": "dim"}}, "no slot 'state'"),
        ({"path": "0.wav", "text": "dim to one", "intent": "setLight"}, "means setBrightness"),
        ({"path": "0.wav", "text": "dim to two", "slots": [2]}, '"slots" are names and values'),
        ({"path": "0.wav", "intent": "setLight", "slots": "on"}, '"slots" are names and values'),
    ]
    takes = write_takes(tmp_path / "takes", [line for line, _ in bad])
    (takes / "empty.wav").touch()
    code, out, err = run(takes, "--force", "--json")
    assert code == 0
    assert json.loads(out[0])["adapted_on"] == 8
    assert len(err) == len(bad)
    for number, (said, (_, expected)) in enumerate(zip(err, bad, strict=True), 1):
        assert f"manifest.jsonl:{number}: " in said
        assert expected in said


def test_a_recording_damaged_before_its_first_sample_is_told(
    run: Adapt, bundle: Path, tmp_path: Path
) -> None:
    takes = write_takes(tmp_path / "takes", [{"path": "cut.flac", "text": "dim to one"}])
    noise = 0.1 * np.random.default_rng(0).standard_normal(SAMPLE_RATE)
    soundfile.write(takes / "cut.flac", noise, SAMPLE_RATE)
    (takes / "cut.flac").write_bytes((takes / "cut.flac").read_bytes()[:100])
    code, out, err = run(takes, "--force", "--json")
    assert code == 0
    assert json.loads(out[0])["adapted_on"] == 8
    assert "manifest.jsonl:1: " in err[-1] and "none of its sound can be read" in err[-1]


def test_a_recording_of_something_else_is_told(
    run: Adapt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_speech, "WORST_FIT", 100.0)
    code, _, err = run(write_takes(tmp_path / "takes", []))
    assert code == 2
    assert "at least 9 are needed" in err[0] and "does not sound like" in err[0]


def test_too_few_recordings_are_one_line(run: Adapt, tmp_path: Path) -> None:
    takes = write_takes(tmp_path / "takes", [])
    manifest = takes / "manifest.jsonl"
    manifest.write_text("".join(manifest.read_text("utf-8").splitlines(True)[:8]), "utf-8")
    code, _, err = run(takes)
    assert (code, len(err)) == (2, 1)
    assert "8 recordings that can be used, at least 9 are needed" in err[0]


def test_misuse_is_one_line(run: Adapt, bundle: Path, tmp_path: Path) -> None:
    for arguments, expected in (
        ((), "no recordings"),
        ((tmp_path / "nowhere",), "no such manifest"),
        (("--undo", "-o", tmp_path), "exclude each other"),
        ((tmp_path, "-o", bundle / "commands/agreeable"), "is the set itself"),
    ):
        code, _, err = run(*arguments)
        assert (code, len(err)) == (2, 1) and expected in err[0]
    assert main(["adapt", str(tmp_path), "--commands", "home"]) == 2  # the package's own


def test_commands_compiled_for_another_bundle_are_refused(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    takes = write_takes(tmp_path / "takes", [])
    config = bundle / "commands/agreeable/config.yaml"
    own_hash = read_acoustic(bundle).hash
    config.write_text(config.read_text("utf-8").replace(own_hash, "0" * 64), "utf-8")
    arguments = ["--bundle", str(bundle), "--commands", str(config.parent)]
    assert main(["adapt", str(takes), *arguments]) == 2
    assert "compiled for another acoustic model" in capsys.readouterr().err


# ── what is learnt ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("phonemes", [(1,), (1, 2), (1, 1), (2, 1, 2)])
def test_path_score_is_the_best_of_all_paths(phonemes: tuple[int, ...]) -> None:
    log_probs = torch.randn(4, 3, generator=torch.Generator().manual_seed(0)).log_softmax(1).numpy()
    best = -np.inf
    for path in np.ndindex(3, 3, 3, 3):
        merged = [p for i, p in enumerate(path) if p and (not i or path[i - 1] != p)]
        if tuple(merged) == phonemes:
            best = max(best, sum(float(row[p]) for row, p in zip(log_probs, path, strict=True)))
    assert path_score(log_probs, phonemes) == pytest.approx(best, abs=1e-5)


def heard_as(phonemes: tuple[int, ...], decoder: Any, columns: int, take: Take) -> HeardTake:
    """A take whose phonemes come out clearly, two rows each with a blank after it."""
    rows = [row for phoneme in phonemes for row in (phoneme, phoneme, 0)]
    logits = torch.full((len(rows), columns), -3.0)
    logits[torch.arange(len(rows)), torch.tensor(rows)] = 3.0
    log_probs = logits.log_softmax(1)
    path = said_path(decoder, log_probs, take)
    assert path is not None
    return HeardTake(take, log_probs, path)


def test_a_word_said_otherwise_is_learnt_and_others_stay(bundle: Path) -> None:
    engine = Engine.load(AssistantConfig(bundle=str(bundle), commands="agreeable"))
    lexicon, columns = engine.commands.lexicon, len(engine.acoustic.phonemes)
    decoder = engine.decoder()
    take = Take(Path("a.wav"), "setBrightness", {"device": "light", "level": 3}, "a:1")
    as_written = tuple(p for word in ("dim", "to", "three") for p in lexicon[word][0])
    assert learn_pronunciations([heard_as(as_written, decoder, columns, take)], lexicon) == []

    first = lexicon["three"][0][0]  # θ becomes another phoneme
    other = next(p for p in range(1, columns) if p not in as_written)
    own = tuple(other if p == first else p for p in lexicon["three"][0])
    said = (*(p for word in ("dim", "to") for p in lexicon[word][0]), *own)
    heard = [heard_as(said, decoder, columns, take)] * 2
    (learnt,) = learn_pronunciations(heard, lexicon)
    assert (learnt.word, learnt.phonemes, learnt.takes) == ("three", own, 2)
    assert learnt.gain > PRICE
    wider = with_learnt(lexicon, [learnt])
    assert list(wider["three"]) == [*lexicon["three"], own]
    assert all(wider[word] == lexicon[word] for word in lexicon if word != "three")
    graph = PhonemeGraph.compile(engine.commands.network, wider)
    (path,) = graph.decode(heard[0].log_probs.numpy())
    assert path.slots["level"] == 3
    assert path.log_prob > heard[0].path.log_prob + PRICE / 2

    taken = {**lexicon, "one": [*lexicon["one"], own]}  # it is another word's already
    assert learn_pronunciations(heard, taken) == []


def test_one_of_three_is_kept_out_of_every_command(tmp_path: Path) -> None:
    takes = tuple(Take(tmp_path, name, {}, "") for name in "abc" * 3 + "a")
    out = list(held_out(takes))
    assert sum(out) == 3
    assert {take.intent for take, kept in zip(takes, out, strict=True) if kept} == set("abc")


# ── real recordings ────────────────────────────────────────────────────────────────────────


def test_end_to_end_on_the_bundled_recordings(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nine speakers are one user here: nothing is learnt that takes understanding away."""
    monkeypatch.setattr(adaptation, "FOREIGN", 12)
    expected = json.loads((data / "recordings/expected.json").read_text(encoding="utf-8"))
    lines = [
        json.dumps({"path": str(data / "recordings" / name), **said})
        for name, said in expected.items()
        if name.startswith("home/")
    ]
    wrong = json.loads(lines[0]) | json.loads(lines[1]) | {"path": json.loads(lines[0])["path"]}
    manifest = tmp_path / "manifest.jsonl"
    manifest.write_text("\n".join([*lines, json.dumps(wrong)]), encoding="utf-8")
    engine = Engine.load(AssistantConfig(commands="home", device="cpu"))
    assert len(read_takes(manifest, engine.commands).takes) == 10
    adapted, report = adapt(manifest, engine)
    (problem,) = report.problems
    assert "manifest.jsonl:10" in problem and "does not sound like" in problem
    assert (report.adapted_on, report.total.before.takes) == (6, 3)
    assert report.total.before.exact == report.total.after.exact == 3
    assert report.total.after.log_ratio >= report.total.before.log_ratio - 0.05
    assert report.foreign_after.taken == report.foreign_before.taken == 0
    for word, ways in engine.commands.lexicon.items():
        assert list(adapted.lexicon[word])[: len(ways)] == list(ways)
