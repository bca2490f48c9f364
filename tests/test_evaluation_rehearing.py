"""The worst utterances heard again, and what `assistant evaluate` says of --html and --compare."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from evaluation_example import report, utterance
from tiny_bundle import build

from assistant.cli import main
from assistant.cli.compared import show_comparison
from assistant.cli.screen import Screen
from assistant.config import AssistantConfig
from assistant.evaluation.comparison import compare
from assistant.evaluation.mixing import Mixing
from assistant.evaluation.rehearing import Rehearing
from assistant.evaluation.runner import Evaluation
from assistant.evaluation.settings import Settings

SPOKEN = Path(__file__).parent / "data/recordings/home/word_yes.flac"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def manifest(tmp_path: Path) -> Iterator[Path]:
    samples, rate = soundfile.read(SPOKEN, dtype="float32")
    soundfile.write(tmp_path / "yes.wav", samples, rate)
    soundfile.write(tmp_path / "talk.wav", np.pad(samples, (2 * rate, 2 * rate)), rate)
    rng = np.random.default_rng(0)
    soundfile.write(tmp_path / "noise.wav", 0.1 * rng.standard_normal(rate), rate)
    path = tmp_path / "manifest.jsonl"
    path.write_text(json.dumps({"path": "yes.wav", "intent": "setLight"}), encoding="utf-8")
    (tmp_path / "talk.jsonl").write_text('{"path": "talk.wav"}', encoding="utf-8")
    return path


def loaded(bundle: Path, manifest: Path, **others: Any) -> Evaluation:
    config = AssistantConfig(bundle=str(bundle), commands="agreeable", device="cpu")
    noise = (manifest.parent / "noise.wav",)
    settings = Settings(manifest, config, snrs=(None, 3.0), noise=noise, **others)
    return Evaluation.load(settings)


def test_what_is_heard_again_is_what_was_heard(bundle: Path, manifest: Path) -> None:
    evaluation = loaded(bundle, manifest, mixing=Mixing.LOUDEST_FRAME, seed=5, whole=True)
    refused = utterance("yes.wav", 3.0, got=None)
    (detail,) = Rehearing(evaluation).details(report(refused, negatives=None))
    noisy, _ = evaluation.hear(evaluation.tasks[1].item, 3.0)
    np.testing.assert_array_equal(detail.samples, noisy)
    (posteriors,) = detail.posteriors
    (log_probs,) = evaluation.recogniser(whole=True).decide(noisy).log_probs
    np.testing.assert_array_equal(posteriors.log_probs, log_probs.numpy())
    assert (detail.path, detail.snr, posteriors.start, posteriors.row) == ("yes.wav", 3.0, 0, 0.04)
    assert detail.phonemes == evaluation.engine.acoustic.phonemes
    assert detail.log_mel.shape == (-(-len(noisy) // 160), 80) and detail.hop == 0.01


def test_of_negatives_the_utterance_alone_is_heard(bundle: Path, manifest: Path) -> None:
    evaluation = loaded(bundle, manifest, negatives=manifest.parent / "talk.jsonl")
    talk = next(task for task in evaluation.tasks if task.negative)
    samples, _ = evaluation.hear(talk.item, None)
    heard = evaluation.recogniser(whole=False).decide(samples)
    decision, time = heard.decisions[0], heard.times[0]
    assert decision.accepted
    example = {"path": "talk.wav", "intent": decision.intent, "text": decision.text}
    content = report(utterance("yes.wav"))
    content["negatives"]["examples"] = [{**example, "confidence": 0.9}]
    (detail,) = Rehearing(evaluation).details(content)
    assert (detail.snr, detail.said, detail.posteriors) == (None, decision.text, ())
    np.testing.assert_array_equal(
        detail.samples, samples[max(0, time.start - 8000) : time.end + 8000]
    )
    assert len(detail.samples) < len(samples)


def test_recordings_that_are_gone_are_left_out(bundle: Path, manifest: Path) -> None:
    evaluation = loaded(bundle, manifest)
    (manifest.parent / "yes.wav").unlink()
    entries = utterance("yes.wav", got=None), utterance("other.wav", got=None)
    assert Rehearing(evaluation).details(report(*entries)) == []


# ── the command ────────────────────────────────────────────────────────────────────────────


def evaluate(bundle: Path, manifest: Path, *options: str) -> int:
    fixed = ("--bundle", str(bundle), "--commands", "strict", "--device", "cpu", "--whole")
    return main(["evaluate", str(manifest), *fixed, *options])


def test_the_page_and_the_comparison_come_with_one_run(
    bundle: Path, manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = {"intent": "setLight", "slots": None}
    before = report(utterance("yes.wav", expected=labels, exact=True))
    (tmp_path / "before.json").write_text(json.dumps(before), encoding="utf-8")
    options = ("--html", str(tmp_path / "page.html"), "--compare", str(tmp_path / "before.json"))
    assert evaluate(bundle, manifest, *options) == 0
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "yes.wav" in page and "data:audio/flac" in page and "<svg" in page
    told = capsys.readouterr().out
    assert "page.html: the report as a page" in told
    assert "recogniser" not in told  # both are the assistant's
    assert "wrong now: 1" in told and "yes.wav (clean)" in told


def test_another_report_is_looked_at_before_anything_is_heard(
    bundle: Path, manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "no.json").write_text("[]", encoding="utf-8")
    options = ("--compare", str(tmp_path / "no.json"), "--json", str(tmp_path / "new.json"))
    assert evaluate(bundle, manifest, *options) == 2
    assert "no report of" in capsys.readouterr().err
    assert not (tmp_path / "new.json").exists()


def test_a_comparison_on_the_screen(capsys: pytest.CaptureFixture[str]) -> None:
    here = report(
        *(utterance(f"{i}.flac") for i in range(8)),
        utterance("lost\x1b[2J.flac", got=None),
        utterance("new.flac"),
    )
    there = report(
        *(utterance(f"{i}.flac", got=None, errors=2) for i in range(8)),
        utterance("lost\x1b[2J.flac"),
        utterance("a", 6.0),
    )
    for one in (here, there):  # without labels it is in no pair of what is exact
        one["utterances"].append({**utterance("text.flac"), "exact": None, "strict": None})
    there["made_from"]["bundle"] = "[red]old"
    show_comparison(Screen(), compare(here, there))
    told = capsys.readouterr().out
    lines = [" ".join(line.split()) for line in told.splitlines()]
    assert "bundle en-us [red]old" in lines
    exact = next(line for line in lines if line.startswith("clean exact"))
    assert exact.startswith("clean exact 9 88.9 11.1 +77.8 (") and exact.endswith("8, 1 0.039")
    assert any(line.startswith("clean phoneme error 10 ") for line in lines)
    assert "clean: left out, 1 only in this report" in lines
    assert "only in one of the reports: 6 dB" in lines
    assert "right now: 8" in lines and "wrong now: 1" in lines
    assert '0.flac (clean): refused → setLight room="kitchen" state="on"' in lines
    assert "\x1b" not in told and "lost\\x1b[2J.flac" in told
