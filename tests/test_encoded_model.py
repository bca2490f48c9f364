"""The encoder and the acoustic model as one network: trained, kept in a bundle, and streamed."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from assistant.acoustic import AcousticScorer
from assistant.bundle import read_acoustic, read_weights, write_encoder
from assistant.bundle.storage import dequantise, quantise
from assistant.config import AcousticConfig, FeatureConfig
from assistant.errors import UsageError
from assistant.features import FeatureExtractor, normalise
from assistant.nn.acoustic_model import AcousticModel
from assistant.nn.encoded_model import EncodedAcousticModel
from assistant.nn.encoder import EncoderShape, StreamingEncoder
from assistant.nn.low_rank import LowRankLinear, adapt, merge, update_of
from assistant.training.network import Network, NetworkConfig
from assistant.training.posteriors import network_of

STEM = EncoderShape(width=32, heads=1, layers=0, positions=0)
TRANSFORMER = EncoderShape(width=32, heads=2, layers=2, positions=400)
PHONEMES = ("", "a", "b", "c", "d")


def random_encoder(shape):
    torch.manual_seed(0)
    encoder = StreamingEncoder(shape).eval()
    encoder.position_table.normal_(std=0.3)
    return encoder


def disturb(module, pieces):
    """Random values where training would have put some."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if parameter.requires_grad and any(piece in name for piece in pieces):
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))


def log_mel_rows(batch=2, rows=30):
    generator = torch.Generator().manual_seed(2)
    return torch.randn(batch, rows, 320, generator=generator), torch.tensor([rows, rows - 7])


# ── low-rank updates and what bundles keep ─────────────────────────────────────────────────


def test_quantised_weights_come_back_within_half_a_step():
    generator = torch.Generator().manual_seed(0)
    weights = {
        "layer.weight": torch.randn(8, 16, generator=generator),
        "conv.weight": torch.randn(4, 3, 5, generator=generator),
        "layer.bias": torch.randn(8, generator=generator),
        "table": torch.randn(6, 2, generator=generator),
        "zero.weight": torch.zeros(2, 2),
    }
    packed = quantise(weights)
    assert packed["layer.weight"].dtype == packed["conv.weight"].dtype == torch.int8
    back = dequantise(packed)
    assert back.keys() == weights.keys()
    for name, value in weights.items():
        step = value.abs().flatten(1).amax(dim=1) / 127 if name.endswith(".weight") else None
        if step is None:
            assert torch.equal(back[name], value)
        else:
            error = (back[name] - value).abs().flatten(1).amax(dim=1)
            assert (error <= step * 0.501).all()
    assert dequantise(weights).keys() == weights.keys()


@torch.no_grad()
def test_an_adapted_encoder_computes_the_same_at_first_and_merges_what_it_learnt():
    log_mel, lengths = torch.randn(2, 40, 80), torch.tensor([40, 26])

    def encoded(encoder, chunk):
        return (
            encoder(log_mel, lengths) if chunk is None else encoder.blocked(log_mel, lengths, chunk)
        )

    plain, adapted = random_encoder(TRANSFORMER), random_encoder(TRANSFORMER)
    adapt(adapted, rank=4, dtype=torch.float32)
    assert sum(isinstance(m, LowRankLinear) for m in adapted.modules()) == 4 * TRANSFORMER.layers
    assert_close(adapted(log_mel, lengths), plain(log_mel, lengths), rtol=0, atol=1e-5)
    frozen = {n for n, p in adapted.named_parameters() if not p.requires_grad}
    assert {n.split(".")[0] for n in frozen} == {"conv1", "conv2"}

    disturb(adapted, ["up", "bias", "norm"])
    for chunk in (None, 4):
        learnt = encoded(adapted, chunk)
        assert not torch.allclose(learnt, encoded(plain, chunk), atol=1e-2)
        merged = random_encoder(TRANSFORMER)
        merge(merged, update_of(adapted))
        assert_close(encoded(merged, chunk), learnt, rtol=1e-4, atol=1e-4)


def test_an_update_learns_and_the_encoder_below_it_stays():
    encoder = random_encoder(TRANSFORMER)
    adapt(encoder, rank=4)
    before = {n: b.clone() for n, b in encoder.named_buffers()}
    encoder(torch.randn(1, 40, 80), torch.tensor([40])).square().sum().backward()
    assert all(p.grad is not None for p in encoder.parameters() if p.requires_grad)
    assert all(p.grad is None for p in encoder.parameters() if not p.requires_grad)
    assert all(torch.equal(b, before[n]) for n, b in encoder.named_buffers())


def networks(folder):
    """Untrained networks of both kinds, disturbed as if they had learnt."""
    write_encoder(folder / "encoder", random_encoder(TRANSFORMER), "random", "0" * 64)
    small = {"hidden_size": 16, "layers": 1}
    torch.manual_seed(3)
    update = Network(NetworkConfig(rank=4, **small), folder / "encoder", PHONEMES)
    own = Network(NetworkConfig(stem_width=32, **small), folder / "encoder", PHONEMES)
    disturb(update.module.encoder, ["up", "bias", "norm"])
    return {"update": update, "own": own}


@pytest.mark.parametrize(("kind", "atol"), [("update", 2e-2), ("own", 2e-3)])
@torch.no_grad()
def test_a_bundle_gives_the_posteriors_of_what_was_trained(tmp_path, kind, atol):
    network = networks(tmp_path)[kind]
    rows, lengths = log_mel_rows()
    trained = network.module.eval()(rows, lengths)
    network.write(tmp_path / "bundle", "en-us")
    bundle = read_acoustic(tmp_path / "bundle")
    assert bundle.phonemes == PHONEMES
    read = network_of(bundle)(rows, lengths)
    for i, length in enumerate(lengths):
        assert_close(read[i, :length].exp(), trained[i, :length].exp(), rtol=0, atol=atol)
    assert bundle.features.stack * bundle.encoder.shape.width == bundle.model.config.input_size


@torch.no_grad()
def test_a_bundle_keeps_the_update_alone_and_is_gone_on_from(tmp_path):
    network = networks(tmp_path)["update"]
    network.write(tmp_path / "bundle", "en-us")
    kept = read_weights(tmp_path / "bundle" / "acoustic.safetensors")
    assert not any(
        n.startswith("encoder.") and n.endswith(".weight") and "norm" not in n for n in kept
    )
    rows, lengths = log_mel_rows()
    again = Network(NetworkConfig(rank=4, hidden_size=16, layers=1), tmp_path / "encoder", PHONEMES)
    again.start_from(tmp_path / "bundle")
    found, expected = (n.module.eval()(rows, lengths).exp() for n in (again, network))
    assert_close(found[0], expected[0], rtol=0, atol=1e-2)


@torch.no_grad()
def test_an_update_is_dropped_an_utterance_at_a_time_while_it_learns():
    encoder = random_encoder(TRANSFORMER)
    adapt(encoder, rank=4, dropout=0.5)
    disturb(encoder, ["up"])
    layer, x = encoder.blocks[0].expand, torch.ones(200, 3, 32)
    learning, updated = layer.train()(x), layer.eval()(x)
    frozen = torch.nn.functional.linear(x, layer.weight, layer.bias)
    assert not torch.allclose(updated, frozen, atol=1e-2)
    dropped = (learning - frozen).abs().amax(dim=(1, 2)) < 1e-4
    assert 60 < int(dropped.sum()) < 140
    assert_close(learning[~dropped], (2 * updated - frozen)[~dropped], rtol=0, atol=1e-4)


@torch.no_grad()
def test_a_frozen_encoder_is_written_as_it_is_read(tmp_path):
    networks(tmp_path)["update"].write(tmp_path / "bundle", "en-us")
    config = NetworkConfig(rank=4, hidden_size=16, layers=1)
    network = Network(config, tmp_path / "encoder", PHONEMES)
    network.start_from(tmp_path / "bundle")
    network.freeze_encoder()
    assert {n.split(".")[0] for n, p in network.module.named_parameters() if p.requires_grad} == {
        "acoustic"
    }
    network.write(tmp_path / "again", "en-us")
    before, after = (
        read_weights(tmp_path / name / "acoustic.safetensors") for name in ("bundle", "again")
    )
    assert before.keys() == after.keys()
    for name, value in before.items():
        if name.startswith("encoder."):
            assert torch.equal(value, after[name])


@torch.no_grad()
def test_a_larger_network_goes_on_from_the_update_of_a_smaller_one(tmp_path):
    network = networks(tmp_path)["update"]
    network.write(tmp_path / "bundle", "en-us")
    config = NetworkConfig(rank=6, hidden_size=24, projection_size=48, layers=1)
    larger = Network(config, tmp_path / "encoder", PHONEMES)
    assert not larger.start_from(tmp_path / "bundle")
    rows, lengths = log_mel_rows()
    found, expected = (n.module.eval().encode(rows, lengths) for n in (larger, network))
    assert_close(found[0], expected[0], rtol=0, atol=2e-2)
    same = Network(NetworkConfig(rank=4, hidden_size=16, layers=1), tmp_path / "encoder", PHONEMES)
    assert same.start_from(tmp_path / "bundle")
    smaller = Network(
        NetworkConfig(rank=2, hidden_size=16, layers=1), tmp_path / "encoder", PHONEMES
    )
    with pytest.raises(UsageError, match="give --rank 4"):
        smaller.start_from(tmp_path / "bundle")
    networks(tmp_path)["own"].write(tmp_path / "stem", "en-us")
    wider = NetworkConfig(stem_width=64, hidden_size=16, layers=1)
    for other in (same, Network(wider, tmp_path / "encoder", PHONEMES)):
        with pytest.raises(UsageError, match="give --stem-width"):
            other.start_from(tmp_path / "stem")


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
@torch.no_grad()
def test_more_units_begin_with_what_fewer_computed_and_learn(tmp_path, cell):
    write_encoder(tmp_path / "encoder", random_encoder(TRANSFORMER), "random", "0" * 64)
    shape = {"rank": 4, "layers": 2, "projection_size": 24, "cell": cell}
    smaller, larger, narrower = (
        Network(NetworkConfig(hidden_size=units, **shape), tmp_path / "encoder", PHONEMES)
        for units in (16, 20, 12)
    )
    smaller.write(tmp_path / "bundle", "en-us")
    assert larger.start_from(tmp_path / "bundle")
    assert smaller.start_from(tmp_path / "bundle")
    assert not narrower.start_from(tmp_path / "bundle")
    rows, lengths = log_mel_rows()
    for block in ((None, 0), (4, 2)):
        found, expected = (n.module.eval()(rows, lengths, *block) for n in (larger, smaller))
        assert_close(found, expected, rtol=0, atol=1e-5)
    with torch.enable_grad():
        larger.module.train()(rows, lengths).square().sum().backward()
    assert (larger.module.acoustic.head.weight.grad[:, 16:20] != 0).any()


@torch.no_grad()
def test_a_transformer_of_another_width_begins_afresh(tmp_path):
    write_encoder(tmp_path / "encoder", random_encoder(TRANSFORMER), "random", "0" * 64)
    shape = {"rank": 4, "layers": 1, "cell": "transformer"}
    one, other = (
        Network(
            NetworkConfig(hidden_size=width, projection_size=width, **shape),
            tmp_path / "encoder",
            PHONEMES,
        )
        for width in (64, 128)
    )
    one.write(tmp_path / "bundle", "en-us")
    assert one.start_from(tmp_path / "bundle")
    assert not other.start_from(tmp_path / "bundle")


@torch.no_grad()
def test_another_language_begins_with_the_phonemes_of_one_name(tmp_path):
    english = networks(tmp_path)["update"]
    english.write(tmp_path / "bundle", "en-us")
    torch.manual_seed(7)
    phonemes = ("", "ʎ", "c", "a")
    config = NetworkConfig(rank=4, hidden_size=16, layers=1)
    portuguese = Network(config, tmp_path / "encoder", phonemes)
    fresh = portuguese.module.acoustic.head.weight.clone()
    portuguese.start_from(tmp_path / "bundle")
    known, found = english.module.acoustic.head.weight, portuguese.module.acoustic.head.weight
    for row, phoneme in enumerate(phonemes):
        expected = known[PHONEMES.index(phoneme)] if phoneme in PHONEMES else fresh[row]
        assert_close(found[row], expected, rtol=0, atol=1e-3)
    rows, lengths = log_mel_rows()
    hidden = [n.module.eval().encode(rows, lengths) for n in (english, portuguese)]
    assert_close(*hidden, rtol=0, atol=2e-2)


# ── blocks: training sees what a stream sees ───────────────────────────────────────────────


def stages(shape, centre, lookahead):
    features = FeatureConfig(chunk_rows=centre, lookahead_rows=lookahead, left_context_rows=6)
    encoder = random_encoder(shape)
    config = AcousticConfig(
        input_size=features.stack * shape.width,
        projection_size=16,
        hidden_size=16,
        layers=2,
        phonemes=len(PHONEMES),
    )
    acoustic = AcousticModel(config).eval()
    whole = EncodedAcousticModel(encoder, acoustic, features.stack, features.left_context_rows)
    return FeatureExtractor(features, encoder), acoustic, whole.eval()


def loud_beginning(seconds):
    """The loudest bin comes first, so that the stream's normalisation is that of the whole."""
    rng = np.random.default_rng(0)
    samples = 0.02 * rng.standard_normal(int(seconds * 16000))
    samples[400:1200] += 0.9 * np.sin(0.3 * np.arange(800))
    return samples.astype(np.float32)


@pytest.mark.parametrize("shape", [STEM, TRANSFORMER], ids=["stem", "transformer"])
@pytest.mark.parametrize(("centre", "lookahead"), [(4, 4), (8, 0), (8, 3), (16, 8)])
@pytest.mark.parametrize("seconds", [0.5, 2.03])
@torch.inference_mode()
def test_blocks_of_whole_utterances_are_those_of_the_stream(shape, centre, lookahead, seconds):
    features, acoustic, whole = stages(shape, centre, lookahead)
    scorer = AcousticScorer(acoustic)
    chunks = []
    for piece in np.array_split(loud_beginning(seconds), 7):
        chunks += features.feed(piece)
    chunks += features.flush()
    streamed = [p for chunk in chunks for p in scorer.feed(chunk)] + scorer.flush()
    log_mel = torch.cat([chunk.log_mel for chunk in chunks])
    rows = normalise(log_mel, log_mel.max()).reshape(1, -1, 320)
    found = whole(rows, torch.tensor([rows.shape[1]]), centre, lookahead)[0]
    assert_close(torch.cat([p.log_probs for p in streamed]), found, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("shape", [STEM, TRANSFORMER], ids=["stem", "transformer"])
@torch.inference_mode()
def test_full_context_is_that_of_the_stages(shape):
    features, acoustic, whole = stages(shape, 8, 4)
    log_mel = features.whole(loud_beginning(1.2))
    scorer = AcousticScorer(acoustic)
    expected = scorer.full_context(features.full_context(log_mel))
    rows = normalise(log_mel, log_mel.max()).reshape(1, -1, 320)
    assert_close(whole(rows, torch.tensor([rows.shape[1]]))[0], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("centre", [None, 4])
@torch.inference_mode()
def test_padding_in_a_batch_changes_nothing(centre):
    whole = stages(TRANSFORMER, 4, 2)[2]
    rows, lengths = log_mel_rows()
    together = whole(rows, lengths, centre, 2)
    alone = whole(rows[1:, : lengths[1]], lengths[1:], centre, 2)
    assert_close(together[1, : lengths[1]], alone[0], rtol=1e-3, atol=1e-4)
