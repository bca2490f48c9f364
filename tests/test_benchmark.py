"""The benchmark: many streams at once are what each is by itself, and every part gives its keys."""

import pytest
import torch
from torch.testing import assert_close

from assistant.acoustic import AcousticScorer
from assistant.config import AcousticConfig, FeatureConfig
from assistant.evaluation.benchmark.lockstep import Lockstep, repeated, state_bytes
from assistant.features import FeatureExtractor
from assistant.nn.acoustic_model import AcousticModel
from assistant.nn.encoder import EncoderShape, StreamingEncoder

CHUNKS = 4


def networks(encoder, lookahead, cell):
    torch.manual_seed(0)
    features = FeatureConfig(chunk_rows=4, left_context_rows=6, encoder=encoder, stack=2)
    width = 32 if encoder else features.mel_bins
    network = StreamingEncoder(EncoderShape(width=32, heads=2, layers=2)).eval()
    shape = AcousticConfig(
        input_size=2 * width,
        projection_size=12,
        cell=cell,
        hidden_size=8,
        phonemes=7,
        chunk_rows=4,
        lookahead_rows=lookahead,
    )
    return features, network if encoder else None, AcousticModel(shape).eval()


def in_lockstep(lockstep, streams, state, at=0):
    stepped = []
    while at + lockstep.samples_wanted(state) <= streams.shape[1]:
        wanted = lockstep.samples_wanted(state)
        log_probs, state = lockstep.step(streams[:, at : at + wanted], state)
        stepped.append(log_probs)
        at += wanted
    return torch.cat(stepped, dim=1), state, at


@pytest.mark.parametrize("encoder", [True, False])
@pytest.mark.parametrize("lookahead", [0, 3])
@pytest.mark.parametrize("cell", ["gru", "lstm", "transformer"])
def test_streams_in_one_batch_are_what_each_is_by_itself(encoder, lookahead, cell):
    features, network, model = networks(encoder, lookahead, cell)
    lockstep = Lockstep(features, network, model)
    streams = torch.randn(3, (CHUNKS + 1) * lockstep.chunk_samples) * torch.tensor(
        [[0.001], [0.1], [1.0]]
    )
    together, _, taken = in_lockstep(lockstep, streams, lockstep.initial_state(3))
    assert taken >= CHUNKS * lockstep.chunk_samples
    for i, samples in enumerate(streams[:, : taken + 1].numpy()):  # a sample more: see features
        extractor = FeatureExtractor(features, network)
        scorer = AcousticScorer(model, extractor.row_ms)
        alone = [p for chunk in extractor.feed(samples) for p in scorer.feed(chunk)]
        assert_close(together[i], torch.cat([p.log_probs for p in alone]), rtol=1e-4, atol=1e-4)


def test_a_repeated_state_goes_on_as_the_one_it_was_made_of():
    lockstep = Lockstep(*networks(True, 3, "gru"))
    stream = torch.randn(1, (CHUNKS + 1) * lockstep.chunk_samples)
    half = stream[:, : 2 * lockstep.chunk_samples + lockstep.chunk_samples // 2]
    _, state, at = in_lockstep(lockstep, half, lockstep.initial_state(1))
    one, *_ = in_lockstep(lockstep, stream, state, at)
    many, *_ = in_lockstep(lockstep, stream.expand(3, -1), repeated(state, 3), at)
    assert_close(many, one.expand_as(many), rtol=1e-4, atol=1e-4)
    assert state_bytes(repeated(state, 3)) == 3 * state_bytes(state) > 0
