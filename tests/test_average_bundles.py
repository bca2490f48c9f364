"""`scripts/average_bundles.py`: the mean of bundles' weights, and what does not fit."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import tiny_bundle
import torch
from script_support import script_runner

from assistant.bundle import read_acoustic, read_acoustic_weights, write_acoustic_weights
from assistant.errors import AssistantError


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
