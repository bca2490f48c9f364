"""`scripts/average_bundles.py`: the mean of bundles' weights, and what does not fit."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import tiny_bundle
import torch
from script_support import script_runner

from assistant.bundle import (
    Weights,
    file_hash,
    read_acoustic,
    read_acoustic_weights,
    read_encoder,
    write_acoustic_weights,
    write_encoder,
)
from assistant.bundle.storage import read_bundle_config, write_config
from assistant.bundle_files import CONFIG, ENCODER_WEIGHTS
from assistant.errors import AssistantError
from assistant.nn.encoder import EncoderShape, StreamingEncoder
from assistant.nn.low_rank import adapt, update_of


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A bundle, and one in whose place all weights have become twice as large."""
    first = tiny_bundle.build(tmp_path_factory.mktemp("tiny"))
    second = first.parent / "larger"
    shutil.copytree(first, second)
    weights = read_acoustic_weights(first)
    write_acoustic_weights(second, {n: 2 * w for n, w in weights.items()})
    for bundle, speakers in ((first, "ann\nbob\ncat\n"), (second, "bob\ncat\ndan\n")):
        (bundle / "held_out_speakers.txt").write_text(speakers, encoding="utf-8")
    return [first, second]


@pytest.fixture
def average(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Runs the script in this process."""
    return script_runner("average_bundles", monkeypatch)


def test_weights_are_mixed_by_their_shares(
    average: Callable[..., None], bundles: list[Path]
) -> None:
    mixed = bundles[0].parent / "mixed"  # beside the encoder they share
    average(*bundles, "--weights", 1, 3, "--output", mixed)
    before = read_acoustic_weights(bundles[0])
    for name, weight in read_acoustic_weights(mixed).items():
        assert weight.dtype == before[name].dtype
        expected = (1.75 * before[name].double()).to(weight.dtype)
        torch.testing.assert_close(weight, expected, rtol=1e-3, atol=1e-6)  # scales are float16
    assert read_acoustic(mixed).phonemes == read_acoustic(bundles[0]).phonemes
    # One of them was trained on Ann, the other on Dan.
    assert (mixed / "held_out_speakers.txt").read_text(encoding="utf-8") == "bob\ncat\n"


def test_updates_of_any_ranks_are_mixed_as_the_matrices_they_stand_for(
    average: Callable[..., None], bundles: list[Path], tmp_path: Path
) -> None:
    products, updated = [], []
    for rank, bundle in enumerate(bundles, 1):
        torch.manual_seed(rank)
        updated.append(tmp_path / str(rank))
        shutil.copytree(bundle, updated[-1])
        up, down = torch.randn(6, rank).half(), torch.randn(rank, 5).half()
        products.append(up.float() @ down.float())
        weights = read_acoustic_weights(bundle)
        weights |= {"encoder.layer.up": up, "encoder.layer.down": down}
        write_acoustic_weights(updated[-1], weights)
    average(*updated, "--weights", 1, 3, "--output", tmp_path / "mixed")
    mixed = read_acoustic_weights(tmp_path / "mixed")
    up, down = (mixed[f"encoder.layer.{kind}"].float() for kind in ("up", "down"))
    assert up.shape == (6, 2) and down.shape == (2, 5)
    # The mean is of rank 3: what is kept is the nearest matrix of rank 2.
    mean = (products[0] + 3 * products[1]) / 4
    lost = torch.linalg.svdvals(mean)[2]
    torch.testing.assert_close(
        torch.linalg.matrix_norm(up @ down - mean, 2), lost, rtol=0.02, atol=0
    )


def test_an_encoder_takes_what_another_language_has_learnt_since(
    average: Callable[..., None], bundles: list[Path], tmp_path: Path
) -> None:
    ours, now, before = (tmp_path / name for name in ("ours", "now", "before"))
    products = {}
    for seed, (bundle, rank) in enumerate(((ours, 1), (now, 3), (before, 1))):
        shutil.copytree(bundles[0], bundle)
        torch.manual_seed(seed)
        up, down = torch.randn(6, rank).half(), torch.randn(rank, 5).half()
        bias = torch.randn(6).half()
        products[bundle] = (up.float() @ down.float(), bias)
        weights = {n: w + seed for n, w in read_acoustic_weights(bundle).items()}
        weights |= {"encoder.l.up": up, "encoder.l.down": down, "encoder.l.bias": bias}
        write_acoustic_weights(bundle, weights)
    config = (ours / "config.yaml").read_text(encoding="utf-8")
    config = config.replace("language: en-us", "language: pt-br")
    (ours / "config.yaml").write_text(config, encoding="utf-8")
    (ours / "held_out_speakers.txt").write_text("rui\n", encoding="utf-8")
    mixed = tmp_path / "mixed"
    average(ours, now, before, "--weights", 1, 0.5, -0.5, "--encoder-alone", "--output", mixed)
    weights, kept = read_acoustic_weights(mixed), read_acoustic_weights(ours)
    (own, own_bias), (new, new_bias), (old, old_bias) = products.values()
    expected = own + (new - old) / 2
    product = weights["encoder.l.up"].float() @ weights["encoder.l.down"].float()
    lost = torch.linalg.svdvals(expected)[3]  # ranks of 1, 3 and 1, of which 3 are kept
    difference = torch.linalg.matrix_norm(product - expected, 2)
    torch.testing.assert_close(difference, lost, rtol=0.05, atol=0)
    bias = own_bias.float() + (new_bias.float() - old_bias.float()) / 2
    torch.testing.assert_close(weights["encoder.l.bias"].float(), bias, rtol=1e-2, atol=1e-2)
    for name, weight in kept.items():
        if not name.startswith("encoder."):
            assert torch.equal(weights[name], weight)
    assert (mixed / "config.yaml").read_text(encoding="utf-8") == config
    assert (mixed / "held_out_speakers.txt").read_text(encoding="utf-8") == "rui\n"


def test_the_output_may_be_one_of_them(
    average: Callable[..., None], bundles: list[Path], tmp_path: Path
) -> None:
    kept = tmp_path / "kept"
    shutil.copytree(bundles[0], kept)
    average(kept, bundles[1], "--weights", 0, 1, "--output", kept)
    larger = read_acoustic_weights(bundles[1])
    for name, weight in read_acoustic_weights(kept).items():
        torch.testing.assert_close(weight, larger[name])


def test_bundles_that_were_trained_with_another_dropout_are_mixed(
    average: Callable[..., None], bundles: list[Path], tmp_path: Path
) -> None:
    text = (bundles[1] / "config.yaml").read_text(encoding="utf-8")
    changed, count = re.subn(r"dropout: [\d.]+", "dropout: 0.25", text)
    assert count == 1
    (bundles[1] / "config.yaml").write_text(changed, encoding="utf-8")
    average(*bundles, "--output", tmp_path / "mixed")
    kept = (tmp_path / "mixed" / "config.yaml").read_text(encoding="utf-8")
    assert kept == (bundles[0] / "config.yaml").read_text(encoding="utf-8")


def test_what_does_not_fit_is_told(
    average: Callable[..., None], bundles: list[Path], tmp_path: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(bundles[0], other)
    config = other / "config.yaml"
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace("language: en-us", "language: pt-br"), encoding="utf-8")
    wider = tmp_path / "wider"  # as with an update of the encoder of another rank
    shutil.copytree(bundles[0], wider)
    weights = read_acoustic_weights(wider)
    write_acoustic_weights(wider, {n: w[None] for n, w in weights.items()})
    silent = tmp_path / "silent"
    shutil.copytree(bundles[0], silent)
    (silent / "held_out_speakers.txt").unlink()
    for arguments, what in (
        ((*bundles, "--weights", 1), "write one number for each of the 2 bundles"),
        ((*bundles, "--weights", 2, -1), "none may be below it but with --encoder-alone"),
        ((*bundles, "--weights", 1, -1, "--encoder-alone"), "their sum must be above 0"),
        ((bundles[0], other), "'language' in their config.yaml differs"),
        ((bundles[0], wider), "weights of other names or shapes"),
        ((bundles[0], tmp_path), "acoustic.safetensors: missing"),
        ((bundles[0], silent), "held_out_speakers.txt: missing"),
    ):
        with pytest.raises(AssistantError, match=what):
            average(*arguments, "--output", tmp_path / "mixed")
    assert not (tmp_path / "mixed").exists()


@pytest.mark.parametrize("keep", [(0.25, 0.75), (0.5,)])
def test_an_encoder_is_taken_back_towards_what_it_was(
    average: Callable[..., None], bundles: list[Path], tmp_path: Path, keep: tuple[float, ...]
) -> None:
    shared = StreamingEncoder(EncoderShape(width=64, heads=1, layers=2))
    write_encoder(tmp_path / "encoder", shared, "made", "")
    was = read_encoder(tmp_path / "encoder").state_dict()
    trained = read_encoder(tmp_path / "encoder")
    adapt(trained, 2)
    for parameter in trained.parameters():
        parameter.data += torch.randn_like(parameter) / 8
    learnt = update_of(trained)
    bundle = tmp_path / "bundle"
    shutil.copytree(bundles[0], bundle)
    config = read_bundle_config(bundle)
    config["encoder_sha256"] = file_hash(tmp_path / "encoder" / ENCODER_WEIGHTS)
    write_config(bundle / CONFIG, config)
    own = {n: w for n, w in read_acoustic_weights(bundle).items() if not n.startswith("encoder.")}
    write_acoustic_weights(bundle, own | {f"encoder.{n}": w for n, w in learnt.items()})
    where = ("--encoder", tmp_path / "encoder", "--output", tmp_path / "drawn-back")
    average(bundle, "--keep", *keep, *where)
    found, before = (read_acoustic_weights(f) for f in (tmp_path / "drawn-back", bundle))

    def update(weights: Weights, name: str) -> torch.Tensor:
        up, down = (weights[f"encoder.{name}.{kind}"].float() for kind in ("up", "down"))
        return up @ down

    for block, share in enumerate(keep * 2 if len(keep) == 1 else keep):
        name = f"blocks.{block}.expand"
        near = {"rtol": 1e-2, "atol": 1e-2}  # kept as float16
        torch.testing.assert_close(update(found, name), share * update(before, name), **near)
        bias = share * before[f"encoder.{name}.bias"] + (1 - share) * was[f"{name}.bias"]
        torch.testing.assert_close(found[f"encoder.{name}.bias"].float(), bias, **near)
    for name, weight in before.items():  # the rest is as it was
        if "encoder.blocks." not in name:
            assert torch.equal(found[name], weight)
    for shares in ((0.1, 0.2, 0.3), (1.5,)):
        with pytest.raises(AssistantError, match="write one number from 0 to 1, or one for each"):
            average(bundle, "--keep", *shares, *where)
    with pytest.raises(AssistantError, match="has no update of the encoder in"):
        average(bundles[0], "--keep", 0.5, *where)
    with pytest.raises(AssistantError, match="nowhere: not a bundle"):
        average(bundle, "--keep", 0.5, "--encoder", tmp_path / "nowhere", *where[2:])
