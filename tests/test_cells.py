"""Every kind of layer over time: parity, truncation, and the comparison of them end to end."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from script_support import load_script
from torch.testing import assert_close

from assistant.bundle import EncoderOrigin, file_hash, write_acoustic, write_encoder
from assistant.config import AcousticConfig, FeatureConfig, from_mapping
from assistant.errors import ConfigError
from assistant.nn.acoustic_model import AcousticModel
from assistant.nn.encoder import EncoderShape, StreamingEncoder
from assistant.nn.latency_controlled import LatencyControlledRNN
from assistant.training.batches import Example
from assistant.training.cells import (
    VARIANTS,
    Budget,
    RowsInMemory,
    Speech,
    lasting,
    model_for,
    parameters,
)
from assistant.training.feature_cache import CachedUtterance

LENGTHS = [29, 17, 1]
CELLS = ["rnn", "gru", "lstm", "transformer"]
RECURRENT = CELLS[:3]


def model_of(cell, bidirectional=True, seed=0):
    torch.manual_seed(seed)
    config = AcousticConfig(
        input_size=6,
        projection_size=10,
        cell=cell,
        bidirectional=bidirectional,
        hidden_size=8,
        layers=2,
        phonemes=5,
    )
    return AcousticModel(config).double().eval()


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize(("centre", "lookahead"), [(1, 0), (4, 2), (5, 0), (7, 9), (64, 3)])
@torch.inference_mode()
def test_steps_equal_the_blocked_whole(cell, bidirectional, centre, lookahead):
    model = model_of(cell, bidirectional)
    rows = torch.randn(len(LENGTHS), max(LENGTHS), 6, dtype=torch.double)
    whole = model(rows, torch.tensor(LENGTHS), centre, lookahead)
    for i, length in enumerate(LENGTHS):
        state, stepped = model.initial_state(), []
        for at in range(0, length, centre):
            block = rows[i : i + 1, at : min(length, at + centre + lookahead)]
            out, state = model.step(block, state, min(centre, length - at))
            stepped.append(out)
        assert_close(torch.cat(stepped, dim=1)[0], whole[i, :length].float())


@pytest.mark.parametrize("cell", RECURRENT)
@torch.inference_mode()
def test_an_endless_look_ahead_is_torchs_bidirectional_network(cell):
    torch.manual_seed(1)
    ours = LatencyControlledRNN(6, 5, layers=1, cell=cell).double()
    kind = {"rnn": torch.nn.RNN, "gru": torch.nn.GRU, "lstm": torch.nn.LSTM}[cell]
    theirs = kind(6, 5, batch_first=True, bidirectional=True).double()
    for suffix, source in (("", ours.layers[0].forwards), ("_reverse", ours.layers[0].backwards)):
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            getattr(theirs, f"{name}_l0{suffix}").copy_(getattr(source, f"{name}_l0"))
    x = torch.randn(2, 23, 6, dtype=torch.double)
    assert_close(ours(x, torch.tensor([23, 23])), theirs(x)[0])


@pytest.mark.parametrize("cell", CELLS)
@torch.inference_mode()
def test_the_delay_is_the_look_ahead_and_causal_layers_have_none(cell):
    rows = torch.randn(1, 20, 6, dtype=torch.double)
    changed = rows.clone()
    changed[:, 14:] += 1.0
    for bidirectional, same in ((True, 10), (False, 14)):
        model = model_of(cell, bidirectional)
        before, after = (
            model(x, torch.tensor([20]), centre=10, lookahead=4) for x in (rows, changed)
        )
        assert_close(before[:, :same], after[:, :same])
        assert not torch.allclose(before[:, same], after[:, same])


@pytest.mark.parametrize("cell", RECURRENT)
@pytest.mark.parametrize("centre", [None, 4])
def test_truncation_cuts_the_gradient_exactly_and_changes_no_output(cell, centre):
    model = model_of(cell, bidirectional=centre is not None)
    rows = torch.randn(1, 20, 6, dtype=torch.double, requires_grad=True)
    lengths = torch.tensor([20])
    cut = model(rows, lengths, centre, 0, truncate=5)
    assert_close(cut, model(rows, lengths, centre, 0))
    cut[0, -1, 1].backward()
    reached = rows.grad[0].norm(dim=1) > 0
    assert reached.tolist() == [False] * 15 + [True] * 5


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"cell": "gur"}, "here: cell: expected one of rnn, gru, lstm, transformer; found 'gur'"),
        ({"cell": "transformer", "hidden_size": 100}, "here: hidden_size: a Transformer's"),
    ],
)
def test_layers_that_do_not_exist_are_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        from_mapping(AcousticConfig, values, "here")


COLUMNS = 320
"""Of a row of log-mel."""
SAID = {"one": ["a", "b", "a", "b"], "two": ["b", "a"]}
BUDGET = {
    "updates": 3,
    "batch-rows": 300,
    "training-seconds": 60,
    "held-out": 4,
    "shortest-seconds": 0.1,
    "parameters": 3000,
    "projection-size": 16,
}


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Random rows of a few speakers, of two sentences."""
    folder = tmp_path_factory.mktemp("cache")
    rng = np.random.default_rng(0)
    for part, count in (("clean", 12), ("held-out", 4)):
        (folder / part).mkdir()
        entries, start = [], 0
        for place in range(count):
            entry = {"place": place, "start": start, "length": 100 + place}
            entry |= {"text": ["one", "two"][place % 2], "speaker": part, "corpus": "made"}
            entries.append(json.dumps(entry))
            start += 100 + place
        rows = rng.standard_normal((start, COLUMNS)).astype(np.float16)
        (folder / part / "rows-0.f16").write_bytes(rows.tobytes())
        (folder / part / "index-0.jsonl").write_text("\n".join(entries))
    (folder / "phonemes.json").write_text(json.dumps({"language": "en-us", "texts": SAID}))
    return folder


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """A bundle with random weights, which aligns somehow."""
    models = tmp_path_factory.mktemp("models")
    torch.manual_seed(0)
    write_encoder(
        models / "encoder",
        StreamingEncoder(EncoderShape(width=64, heads=1, layers=1)),
        "random",
        "",
    )
    shape = AcousticConfig(input_size=128, projection_size=8, hidden_size=8, layers=1, phonemes=3)
    origin = EncoderOrigin(file_hash(models / "encoder/encoder.safetensors"))
    names = ("", "a", "b")
    write_acoustic(models / "tiny", AcousticModel(shape), FeatureConfig(), names, "en-us", origin)
    return models / "tiny"


def compare(monkeypatch, cache, bundle, document, *options):
    budget = [x for key, value in BUDGET.items() for x in (f"--{key}", str(value))]
    places = ["--cache", str(cache), "--bundle", str(bundle), "--document", str(document)]
    monkeypatch.setattr("sys.argv", ["compare_cells.py", *places, *budget, *options])
    load_script("compare_cells", monkeypatch).main()
    return json.loads(document.with_suffix(".json").read_text())["variants"]


def test_the_comparison_end_to_end(monkeypatch, cache, bundle, tmp_path):
    document = tmp_path / "cells.md"
    document.write_text(
        "# Cells\n\n<!-- figures:begin -->\nold\n<!-- figures:end -->\n\nThe end.\n"
    )
    some = ["log-mel/gru", "log-mel/gru/unclipped", "log-mel/gru/truncated-10"]
    first = compare(monkeypatch, cache, bundle, document, "--only", *some)
    assert list(first) == [*some[:1], *some[2:], *some[1:2]]
    assert first["log-mel/gru"]["gradient"][0] == 1
    assert all(first["log-mel/gru"]["gradient"])
    assert not any(first["log-mel/gru/truncated-10"]["gradient"][10:])
    assert len(first["log-mel/gru"]["norms"]) == BUDGET["updates"]

    # What is finished is kept: a figure changed by hand is still there after the next run.
    results = document.with_suffix(".json")
    kept = json.loads(results.read_text())
    kept["variants"]["log-mel/gru"]["training_s"] = 123.0
    results.write_text(json.dumps(kept))
    more = ["encoder/lstm/bidirectional", "encoder/transformer/bidirectional"]
    then = compare(monkeypatch, cache, bundle, document, "--only", "log-mel/gru", *more)
    assert set(then) == {*some, *more}
    assert then["log-mel/gru"]["training_s"] == 123.0
    delays = [o["delay_ms"] for o in then[more[0]]["operations"]]
    assert delays == [(16 + 8) * 40, None]

    text = document.read_text()
    assert text.startswith("# Cells\n\n<!-- figures:begin -->\n")
    assert text.endswith("\n<!-- figures:end -->\n\nThe end.\n")
    assert "old" not in text
    assert "| encoder | LSTM, both directions | the utterance |" in text
    for picture in re.findall(r"\]\((.*?\.svg)\)", text):
        assert (tmp_path / picture).exists()

    again = compare(monkeypatch, cache, bundle, document, "--again", "--only", "log-mel/gru")
    assert set(again) == set(then)
    assert again["log-mel/gru"]["training_s"] != 123.0
    assert again["log-mel/gru"]["norms"] == first["log-mel/gru"]["norms"]


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (["--updates", "4"], "made on another budget; --again begins afresh"),
        (["--only", "log-mel/gur"], "--only log-mel/gur: no such variant"),
    ],
)
def test_a_comparison_that_cannot_be_is_refused(
    monkeypatch, cache, bundle, tmp_path, option, message
):
    document = tmp_path / "cells.md"
    compare(monkeypatch, cache, bundle, document, "--only", "encoder/rnn")
    with pytest.raises(SystemExit, match=message):
        compare(monkeypatch, cache, bundle, document, *option)


def test_labels_last_until_the_next_phoneme_or_silence():
    labels = torch.tensor([0, 1, 0, 2, 2, 0, 0, 2, 0, 0, 0, 0, 0, 3, 0])
    assert lasting(labels).tolist() == [0, 1, 1, 2, 2, 2, 0, 2, 2, 2, 2, 0, 0, 3, 3]


def test_all_variants_are_of_about_one_size():
    utterance = CachedUtterance(Path("none"), 0, 0, 5, "one", "speaker", "made")
    rows = np.random.default_rng(0).standard_normal((5, COLUMNS)).astype(np.float16)
    example = Example(((RowsInMemory({utterance: rows}), utterance),), (1,))
    speech = Speech("log-mel", [example], [], COLUMNS, 40, {})
    for variant in VARIANTS:
        layers = model_for(variant, speech, Budget()).recurrent
        assert parameters(layers) == pytest.approx(Budget().parameters, rel=0.05)
