"""The training loop: it learns, logs, and goes on where it was interrupted."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from assistant.config import AcousticConfig
from assistant.nn.acoustic_model import AcousticModel
from assistant.nn.latency_controlled import LatencyControlledRNN
from assistant.training import acoustic_trainer
from assistant.training.acoustic_trainer import AcousticTrainer, TrainingConfig, evaluate
from assistant.training.batches import Example
from assistant.training.feature_cache import FeatureCache
from assistant.training.masking import MaskingConfig
from assistant.training.plots import plot_log

COLUMNS, PHONEMES = 12, 12


@pytest.fixture
def examples(tmp_path):
    """A cache in which every phoneme has a row of its own: learnt in a moment."""
    rng = np.random.default_rng(0)
    rows, entries, start = [], [], 0
    for place in range(60):
        phonemes = rng.integers(1, 6, 5)
        labels = np.concatenate([[0, p, 0] for p in phonemes])
        block = np.eye(COLUMNS)[labels] + 0.05 * rng.standard_normal((len(labels), COLUMNS))
        rows.append(block.astype(np.float16))
        text = " ".join(map(str, phonemes))
        entries.append({"place": place, "start": start, "length": len(labels), "text": text})
        entries[-1] |= {"speaker": str(place), "corpus": "made"}
        start += len(labels)
    (tmp_path / "rows-0.f16").write_bytes(np.concatenate(rows).tobytes())
    (tmp_path / "index-0.jsonl").write_text("\n".join(map(json.dumps, entries)))
    cache = FeatureCache(tmp_path, COLUMNS)
    return [Example(((cache, u),), tuple(int(p) for p in u.text.split())) for u in cache.utterances]


def trainer(examples, folder, passes, evaluate_every=20, device="cpu"):
    torch.manual_seed(0)
    config = AcousticConfig(
        input_size=COLUMNS,
        projection_size=16,
        hidden_size=16,
        layers=1,
        phonemes=PHONEMES,
        dropout=0,
    )
    training = TrainingConfig(
        passes=passes,
        batch_rows=150,
        learning_rate=0.02,
        warm_up=5,
        masking=MaskingConfig(time_masks_per_second=0),
        average=0.9,
        evaluate_every=evaluate_every,
    )
    return AcousticTrainer(
        AcousticModel(config),
        examples[10:],
        {"made": examples[:10]},
        training,
        folder,
        torch.device(device),
        frames_per_row=None,
    )


def test_training_learns_logs_and_resumes(examples, tmp_path):
    first = trainer(examples, tmp_path / "run", passes=60)
    before = evaluate(first.model, examples[:10], torch.device("cpu")).rate
    first.run()
    assert before > 0.5
    assert first.evaluate()["made"].rate < 0.2
    lines = (tmp_path / "run" / "log.csv").read_text().splitlines()
    assert lines[0].split(",")[:3] == ["update", "loss", "audio_per_second"]

    again = trainer(examples, tmp_path / "run", passes=62)
    again._resume()
    assert again.update == first.update
    for name, value in first.average.items():
        assert torch.equal(again.average[name], value)
    again.run()
    assert again.update == again.updates > first.updates


@pytest.mark.filterwarnings("ignore:for .* copying from a non-meta parameter")
def test_a_resumed_average_lies_where_the_model_does(examples, tmp_path):
    """The meta device stands in for a GPU: its tensors do not mix with those of the CPU either."""
    trainer(examples, tmp_path, passes=1)._save()
    again = trainer(examples, tmp_path, passes=1, device="meta")
    again._resume()
    assert {value.device.type for value in again.average.values()} == {"meta"}
    for name, value in again.model.state_dict().items():
        again.average[name].lerp_(value, 0.5)


def test_a_checkpoint_knows_its_own_update(examples, tmp_path):
    first = trainer(examples, tmp_path, passes=1)
    first.update = 7
    first._save()
    assert not list(tmp_path.glob("progress*"))
    again = trainer(examples, tmp_path, passes=1)
    again._resume()
    assert again.update == 7


def updates_logged(folder):
    with (folder / "log.csv").open(newline="") as file:
        return [int(row["update"]) for row in csv.DictReader(file)]


def test_an_interrupted_training_ends_at_the_same_update(examples, tmp_path, monkeypatch):
    whole = trainer(examples, tmp_path / "whole", passes=8, evaluate_every=8)
    whole.run()
    stopped = trainer(examples, tmp_path / "stopped", passes=8, evaluate_every=8)
    step = stopped._step

    def interrupted(*arguments):
        if stopped.update == 13:
            raise KeyboardInterrupt
        return step(*arguments)

    monkeypatch.setattr(stopped, "_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        stopped.run()
    again = trainer(examples, tmp_path / "stopped", passes=8, evaluate_every=8)
    again.run()
    assert again.update == whole.update == whole.updates > 16
    assert updates_logged(tmp_path / "stopped") == updates_logged(tmp_path / "whole")


def test_training_ends_when_its_time_is_over(examples, tmp_path, monkeypatch):
    """The clock goes 20 s on whenever it is read."""
    short = trainer(examples, tmp_path / "run", passes=60)
    short.config = replace(short.config, minutes=1.0)
    rates = []
    step = short._step

    def slow(network, batch, rng, share):
        loss = step(network, batch, rng, share)
        rates.append((share, short.optimizer.param_groups[0]["lr"]))
        return loss

    clock = iter(range(0, 1000, 10))
    monkeypatch.setattr(short, "_step", slow)
    monkeypatch.setattr(acoustic_trainer.time, "perf_counter", lambda: 2.0 * next(clock))
    short.run()
    assert short.seconds >= 60
    assert 1 < len(rates) < short.updates
    assert [share for share, _ in rates] == sorted(share for share, _ in rates)
    assert updates_logged(tmp_path / "run") == [len(rates)]
    again = trainer(examples, tmp_path / "run", passes=60)
    again._resume()
    assert again.seconds == short.seconds

    late = trainer(examples, tmp_path / "late", passes=60)
    late.config = short.config
    late.run(began=-1e6)  # reading the speech took all of the time
    assert late.update == 1


def test_truncation_cuts_the_errors_and_not_the_state():
    torch.manual_seed(0)
    network = LatencyControlledRNN(4, 8, layers=1).eval()
    rows = torch.randn(1, 12, 4, requires_grad=True)
    lengths = torch.tensor([12])
    outputs, reach = [], []
    for truncate in (None, 4):
        out = network(rows, lengths, truncate=truncate)
        forwards = torch.autograd.grad(out[0, 11].sum(), rows, retain_graph=True)[0][0]
        backwards = torch.autograd.grad(out[0, 0].sum(), rows)[0][0]
        outputs.append(out.detach())
        reach.append([(g.abs().sum(dim=1) > 0).tolist() for g in (forwards, backwards)])
    assert torch.allclose(*outputs, atol=1e-6)
    assert reach[0] == [[True] * 12] * 2
    assert reach[1] == [[False] * 8 + [True] * 4, [True] * 4 + [False] * 8]


def test_the_log_is_drawn(tmp_path):
    pytest.importorskip("matplotlib", reason="the train extra is not installed")
    log = tmp_path / "log.csv"
    log.write_text(
        "update,loss,audio_per_second,librispeech,made\n200,3.1,90.0,0.8,0.9\n400,1.2,91.0,0.3,0.4\n"
    )
    picture = plot_log(log)
    assert picture == tmp_path / "log.png"
    assert picture.read_bytes().startswith(b"\x89PNG")
