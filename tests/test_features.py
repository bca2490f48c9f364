"""Log-mel and feature stage: the same bits for any cut of the stream."""

import numpy as np
import pytest
import torch
import torchaudio
from torch.testing import assert_close

from assistant.config import FeatureConfig
from assistant.features import FeatureExtractor, LogMel, normalise
from assistant.nn.encoder import EncoderShape, StreamingEncoder

CUTS = [1, 7, 160, 401, 7919]


def speech_like(samples: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    time = np.arange(samples) / 16000
    tone = np.sin(2 * np.pi * 180 * time * (1 + 0.1 * np.sin(9 * time)))
    return (0.3 * tone * np.sin(3 * time) ** 2 + 0.01 * rng.standard_normal(samples)).astype(
        np.float32
    )


def extractor(encoder: bool, chunk_rows: int = 4) -> FeatureExtractor:
    torch.manual_seed(0)
    config = FeatureConfig(
        encoder=encoder, stack=2 if encoder else 4, chunk_rows=chunk_rows, left_context_rows=6
    )
    shape = EncoderShape(width=64, heads=1, layers=2, positions=400)
    return FeatureExtractor(config, StreamingEncoder(shape).eval() if encoder else None)


def run(stage: FeatureExtractor, samples: np.ndarray, cut: int):
    chunks = [c for i in range(0, len(samples), cut) for c in stage.feed(samples[i : i + cut])]
    chunks += stage.flush()
    assert [c.start for c in chunks] == list(np.cumsum([0] + [len(c.rows) for c in chunks[:-1]]))
    return torch.cat([c.rows for c in chunks]), torch.cat([c.log_mel for c in chunks])


@pytest.mark.parametrize("encoder", [True, False])
@pytest.mark.parametrize("samples", [1, 300, 641, 10_441, 23_456])
def test_any_cut_gives_the_same_bits(encoder, samples):
    stage = extractor(encoder)
    signal = speech_like(samples)
    rows, log_mel = run(stage, signal, samples)
    assert len(rows) == -(-samples // 640)
    for cut in CUTS:
        again_rows, again_log_mel = run(stage, signal, cut)
        assert torch.equal(rows, again_rows)
        assert torch.equal(log_mel, again_log_mel)


@pytest.mark.parametrize("encoder", [True, False])
def test_streamed_log_mel_is_that_of_the_whole(encoder):
    stage = extractor(encoder)
    signal = speech_like(20_000)
    assert_close(run(stage, signal, 777)[1], stage.whole(signal), rtol=0, atol=1e-5)


def test_one_chunk_of_everything_is_the_full_context():
    stage = extractor(encoder=True, chunk_rows=100)
    rows, log_mel = run(stage, speech_like(30_000), 999)
    assert_close(rows, stage.full_context(log_mel), rtol=1e-4, atol=1e-4)


def test_log_mel_agrees_with_torchaudios_centred_frames():
    config = FeatureConfig()
    reference = torchaudio.transforms.MelSpectrogram(
        16000, n_fft=400, hop_length=160, n_mels=80, norm="slaney", mel_scale="slaney", f_max=8000
    )
    signal = torch.from_numpy(speech_like(16_000))
    expected = reference(signal).clamp(min=1e-10).log10().T[:-1]
    assert_close(LogMel(config).whole(signal), expected, rtol=0, atol=1e-4)


def test_normalisation_is_whispers():
    log_mel = torch.tensor([[-10.0, 0.0, 2.0]])
    assert_close(normalise(log_mel, log_mel.max()), torch.tensor([[-0.5, 1.0, 1.5]]))


def test_latency_is_computed_from_the_parameters():
    assert extractor(encoder=True, chunk_rows=16).latency_ms == 16 * 40 + 12.5 + 10
    assert extractor(encoder=False, chunk_rows=4).latency_ms == 4 * 40 + 12.5


def test_state_is_forgotten_after_flush():
    stage = extractor(encoder=True)
    first = run(stage, speech_like(9_000), 500)[0]
    assert torch.equal(run(stage, speech_like(9_000), 500)[0], first)
