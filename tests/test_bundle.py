"""Bundles: the shipped ones agree with their golden tensors; what does not fit is said."""

import pytest
import tiny_bundle
import torch
from torch.testing import assert_close

from assistant.acoustic import AcousticScorer
from assistant.bundle import read_acoustic, read_commands, read_encoder, read_weights
from assistant.errors import BundleError
from assistant.features import FeatureExtractor
from assistant.resources import data_folder, find_bundle, find_commands


@pytest.fixture(scope="module")
def shipped():
    return read_acoustic(find_bundle("en-us"))


SHIPPED = sorted(p.parent.name for p in (data_folder() / "models").glob("*/golden.safetensors"))


@pytest.mark.parametrize("name", SHIPPED)
def test_the_shipped_bundles_agree_with_their_golden_tensors(name):
    shipped = read_acoustic(find_bundle(name))
    golden = {n: t.float() for n, t in read_weights(shipped.folder / "golden.safetensors").items()}
    samples = (golden["samples"] / 32768).numpy()
    features = FeatureExtractor(shipped.features, shipped.encoder)
    acoustic = AcousticScorer(shipped.model)
    chunks = [*features.feed(samples), *features.flush()]
    log_mel = torch.cat([chunk.log_mel for chunk in chunks])
    rows = features.full_context(log_mel)
    streamed = [p for chunk in chunks for p in acoustic.feed(chunk)] + acoustic.flush()
    assert_close(log_mel, golden["log_mel"], rtol=1e-2, atol=1e-2)
    assert_close(rows, golden["rows"], rtol=2e-2, atol=5e-2)
    for made, kept in (
        (acoustic.full_context(rows), golden["log_probs"]),
        (torch.cat([p.log_probs for p in streamed]), golden["streamed_log_probs"]),
    ):
        assert_close(made.exp(), kept.exp(), rtol=0, atol=2e-2)


@pytest.mark.parametrize("name", ["home", "coffee"])
def test_the_shipped_commands_belong_to_the_shipped_bundle(shipped, name):
    compiled = read_commands(find_commands(name, shipped.folder), shipped)
    assert compiled.language == "en"
    assert len(compiled.intents) >= (12 if name == "home" else 1)


def test_the_sizes_promised():
    def megabytes(*names):
        files = [p for n in names for p in (data_folder() / "models" / n).rglob("*") if p.is_file()]
        return sum(p.stat().st_size for p in files) / 1e6

    assert megabytes("encoder", "en-us") <= 50
    assert megabytes("en-us-small") <= 10


def test_every_bundle_has_a_card_and_every_model_a_licence():
    models = data_folder() / "models"
    for folder in (p.parent for p in models.glob("*/config.yaml")):
        card = (folder / "CARD.md").read_text(encoding="utf-8")
        assert "licence" in card.lower()


@pytest.fixture
def tiny(tmp_path):
    return tiny_bundle.build(tmp_path)


def test_a_missing_file_is_named(tiny):
    (tiny / "acoustic.safetensors").unlink()
    with pytest.raises(BundleError, match=r"acoustic.safetensors: missing"):
        read_acoustic(tiny)


def test_a_damaged_file_is_named(tiny):
    (tiny / "acoustic.safetensors").write_bytes(b"not weights")
    with pytest.raises(BundleError, match=r"acoustic.safetensors: damaged"):
        read_acoustic(tiny)


def test_a_shape_that_does_not_fit_is_named(tiny):
    config = tiny / "config.yaml"
    config.write_text(config.read_text().replace("hidden_size: 16", "hidden_size: 12"))
    with pytest.raises(BundleError, match=r"has shape .* the configuration says"):
        read_acoustic(tiny)


def test_another_encoder_is_refused(tiny):
    path = tiny.parent / "encoder" / "encoder.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x07")
    with pytest.raises(BundleError, match="another encoder"):
        read_acoustic(tiny)


def test_a_damaged_network_is_named(tiny):
    acoustic = read_acoustic(tiny)
    (tiny / "commands/strict/network.json").write_text("{}")
    with pytest.raises(BundleError, match=r"network.json: missing or damaged"):
        read_commands(tiny / "commands/strict", acoustic)


def test_a_folder_that_is_no_bundle_is_said(tmp_path):
    with pytest.raises(BundleError, match=r"has no config.yaml"):
        read_encoder(tmp_path)
    with pytest.raises(BundleError, match="no such bundle"):
        find_bundle(str(tmp_path / "nowhere"))
