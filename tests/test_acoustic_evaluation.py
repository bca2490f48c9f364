"""Measuring an acoustic bundle: conditions, blocks, tables."""

import json
import sys

import numpy as np
import pytest
import tiny_bundle
import torch
from script_support import load_script
from torch.testing import assert_close

from assistant.bundle import read_acoustic
from assistant.errors import UsageError
from assistant.features import FeatureExtractor, normalise
from assistant.nn.precision import computes_bfloat16
from assistant.training.acoustic_evaluation import (
    BLOCKS,
    Block,
    Condition,
    Evaluator,
    choose,
    degrade,
    summary,
)
from assistant.training.acoustic_figures import keep_figures, tables, write_tables
from assistant.training.document import markers, part
from assistant.training.manifest import Recording
from assistant.training.metrics import ErrorRate
from assistant.training.posteriors import network_of


def noise(seconds, level=0.1):
    made = np.random.default_rng(0).standard_normal(int(16000 * seconds))
    return (level * made).astype(np.float32)


def test_the_delays_of_the_table():
    assert {b.delay * 40 for b in BLOCKS} == {160, 320, 640, 1280}


def test_conditions_are_the_same_for_the_same_recording():
    condition = Condition("far field", snr_db=(10.0, 10.0), room=True)
    first, second, other = (
        degrade(noise(1), condition, [noise(3)], seed) for seed in ("a", "a", "b")
    )
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)
    assert np.array_equal(degrade(noise(1), Condition("clean"), [], "a"), noise(1))


def test_phonemes_heard_in_noise_alone_are_counted_over_all_of_it(tmp_path, monkeypatch):
    bundle = read_acoustic(tiny_bundle.build(tmp_path))
    evaluator = Evaluator(bundle, [noise(25), noise(5)])
    lengths = []

    def one_phoneme(samples):
        lengths.append(len(samples[0]) / 16_000)
        return [torch.eye(len(bundle.phonemes))[[0, 2, 2, 0]]]

    monkeypatch.setattr(evaluator, "log_probs", one_phoneme)
    assert evaluator.noise_alone() == {"phonemes": 4, "minutes": 0.5}
    assert lengths == [10, 10, 5, 5]


@pytest.mark.parametrize("block", [Block(16, 8), Block(16, 0), None])
def test_posteriors_are_those_of_the_blocked_whole(tmp_path, block):
    bundle = read_acoustic(tiny_bundle.build(tmp_path))
    samples = noise(3.1) * np.linspace(1, 0.9, len(noise(3.1)), dtype=np.float32)
    samples[800:1200] *= 30  # the loudest bin comes first, so that the stream knows it as the whole
    (measured,) = Evaluator(bundle).log_probs([samples], block)

    log_mel = FeatureExtractor(bundle.features, bundle.encoder).whole(samples)
    rows = normalise(log_mel, log_mel.max()).reshape(1, -1, 320)
    seen = (block.centre, block.lookahead) if block else ()
    with torch.inference_mode():
        whole = network_of(bundle)(rows, torch.tensor([rows.shape[1]]), *seen)[0]
    tolerance = 5e-2 if computes_bfloat16(torch.device("cpu")) else 1e-3
    assert_close(measured.exp(), whole.exp(), rtol=0, atol=tolerance)


def test_only_the_speakers_asked_for_are_chosen_and_always_the_same(tmp_path):
    recordings = [
        Recording(tmp_path / str(i), "x", f"speaker{i % 7}", "corpus", 1.0) for i in range(70)
    ]
    chosen = choose(recordings, {"speaker1", "speaker2"}, 5)
    assert len(chosen) == 5
    assert {r.speaker for r in chosen} <= {"speaker1", "speaker2"}
    assert chosen == choose(recordings, {"speaker1", "speaker2"}, 5)


def test_the_interval_holds_the_rate():
    rates = {f"s{i}": ErrorRate(i % 5, 20) for i in range(30)}
    found = summary(rates)
    low, high = found["interval"]
    assert low < found["phoneme_error"] < high
    assert found["phoneme_error"] == pytest.approx(0.1)


def test_one_speaker_has_no_interval():
    figure = summary({"a": ErrorRate(1, 10)})
    assert figure["interval"] is None
    shown = tables({"table": "cv", "corpora": {"cv": figure}, "noise": {"5 dB": figure}})
    assert "| cv | 0.100 | – | 1 |" in shown
    assert "| 5 dB | 0.100 | – | +0% |" in shown


def test_tables_go_between_the_markers(tmp_path):
    card = tmp_path / "CARD.md"
    figure = summary({"a": ErrorRate(1, 10), "b": ErrorRate(3, 10)})
    figures = {"table": "cv", "corpora": {"cv": figure}, "noise": {"5 dB": figure}}
    figures["noise_alone"] = {"phonemes": 9, "minutes": 4.5}
    with pytest.raises(UsageError, match="figures:begin"):
        write_tables(card, figures)
    begin, end = markers("figures")
    card.write_text(f"# A card\n\n{begin}\nold\n{end}\n\nkept\n")
    write_tables(card, figures)
    text = card.read_text()
    assert "old" not in text
    assert text.startswith("# A card")
    assert text.endswith("kept\n")
    assert "| 5 dB | 0.200 |" in text
    assert "In 4.5 minutes of noise in which nobody speaks 9 phonemes are heard, 2.0 a min" in text
    assert part(card, "figures") == tables(figures)


def test_figures_of_the_same_weights_are_kept_together(tmp_path):
    path = tmp_path / "figures.json"
    figure = summary({"a": ErrorRate(1, 10)})
    cost = {
        "machine": "a chip",
        "torch": "2.11.0",
        "commands": "home",
        "total_speech": 0.0691,
        "total_silence": 0.0014,
        "end_of_speech_to_decision_ms": {"p50": 125.2, "p95": 180.0},
        "resident_mb": 700,
    }
    keep_figures(path, "first", {"table": "cv", "corpora": {"cv": figure}})
    both = keep_figures(path, "first", {"size_mb": {"acoustic model": 4.8}, "compute": cost})
    assert "| cv | 0.100 |" in tables(both)
    assert "| acoustic model, MB | 4.8 |" in tables(both)
    assert "| compute while someone speaks, of one thread | 6.9% |" in tables(both)
    noise = {"noise": {"5 dB": figure, "0 dB": figure}}
    keep_figures(path, "first", {"table": "cv", **noise})
    other = {"table": "cv", "noise": {"5 dB": {**figure, "phonemes": 99}}}
    again = keep_figures(path, "first", other, some=True)
    assert list(again["noise"]) == ["5 dB", "0 dB"] and again["noise"]["5 dB"]["phonemes"] == 99
    assert list(again["corpora"]) == ["cv"]
    assert list(keep_figures(path, "first", other)["noise"]) == ["5 dB"]
    alone = {"noise_alone": {"phonemes": 9, "minutes": 4.5}}
    keep_figures(path, "first", {"table": "cv", **alone}, some=True)
    elsewhere = keep_figures(path, "first", {"table": "ls", "corpora": {"ls": figure}}, some=True)
    assert list(elsewhere["corpora"]) == ["ls"]
    assert "noise" not in elsewhere and "compute" in elsewhere and "noise_alone" in elsewhere
    trained_on = keep_figures(path, "second", {"table": "cv", "corpora": {"cv": figure}})
    assert "compute" not in trained_on and "compute" not in path.read_text()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--only", "clean", "50 dB"], r"--only: '50 dB' is unknown; there are clean, 1280 ms"),
        (["--only", "5 dB"], r"--only: '5 dB' needs --noise"),
        (["--only", "noise alone"], r"--only: 'noise alone' needs --noise"),
        (["--table", "nobody"], r"--table nobody: .*there are corpus$"),
    ],
)
def test_what_would_measure_nothing_is_refused(tmp_path, monkeypatch, data, options, words):
    bundle = tiny_bundle.build(tmp_path)
    (bundle / "held_out_speakers.txt").write_text("someone\n", encoding="utf-8")
    recording = data / "recordings/home/word_yes.flac"
    line = {"path": str(recording), "text": "yes", "speaker": "someone", "corpus": "corpus"}
    manifest = tmp_path / "manifest.jsonl"
    manifest.write_text(json.dumps({**line, "seconds": 1.0}) + "\n", encoding="utf-8")
    fixed = ["--bundle", str(bundle), "--manifest", str(manifest), "--table", "corpus"]
    monkeypatch.setattr(sys, "argv", ["evaluate_acoustic.py", *fixed, *options])
    with pytest.raises(UsageError, match=words):
        load_script("evaluate_acoustic", monkeypatch).main()
    assert not (bundle / "figures.json").exists()
