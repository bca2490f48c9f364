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


def extractor(encoder: bool, chunk_rows: int = 4, lookahead_rows: int = 0) -> FeatureExtractor:
    torch.manual_seed(0)
    config = FeatureConfig(
        encoder=encoder,
        stack=2 if encoder else 4,
        chunk_rows=chunk_rows,
        lookahead_rows=lookahead_rows,
        left_context_rows=6,
    )
    shape = EncoderShape(width=64, heads=1, layers=2, positions=400)
    return FeatureExtractor(config, StreamingEncoder(shape).eval() if encoder else None)


def run(stage: FeatureExtractor, samples: np.ndarray, cut: int):
    chunks = [c for i in range(0, len(samples), cut) for c in stage.feed(samples[i : i + cut])]
    chunks += stage.flush()
    assert all(len(c.log_mel) == c.centre * stage.config.frames_per_row for c in chunks)
    return [c.rows for c in chunks], torch.cat([c.log_mel for c in chunks])


@pytest.mark.parametrize("encoder", [True, False])
@pytest.mark.parametrize("lookahead", [0, 3, 9])
@pytest.mark.parametrize("samples", [1, 300, 641, 10_441, 23_456])
def test_any_cut_gives_the_same_bits(encoder, lookahead, samples):
    stage = extractor(encoder, lookahead_rows=lookahead)
    signal = speech_like(samples)
    rows, log_mel = run(stage, signal, samples)
    count = -(-samples // 640)
    assert [len(r) for r in rows] == [min(4 + lookahead, count - at) for at in range(0, count, 4)]
    for cut in CUTS:
        again_rows, again_log_mel = run(stage, signal, cut)
        assert all(torch.equal(r, again) for r, again in zip(rows, again_rows, strict=True))
        assert torch.equal(log_mel, again_log_mel)


@pytest.mark.parametrize("samples", [1, 8_000, 10_500, 20_011])
def test_what_is_in_no_chunk_yet_is_what_flush_makes_of_it(samples):
    stage = extractor(encoder=True, lookahead_rows=5)
    chunks = stage.feed(speech_like(samples))
    found = torch.cat([*(c.log_mel for c in chunks), stage.rest()])
    assert torch.equal(found, torch.cat([c.log_mel for c in (*chunks, *stage.flush())]))


@pytest.mark.parametrize("encoder", [True, False])
def test_streamed_log_mel_is_that_of_the_whole(encoder):
    stage = extractor(encoder)
    signal = speech_like(20_000)
    assert_close(run(stage, signal, 777)[1], stage.whole(signal), rtol=0, atol=1e-5)


def test_one_chunk_of_everything_is_the_full_context():
    stage = extractor(encoder=True, chunk_rows=100)
    (rows,), log_mel = run(stage, speech_like(30_000), 999)
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


@pytest.mark.parametrize("encoder", [True, False])
@pytest.mark.parametrize("lookahead", [0, 3])
def test_the_first_chunk_comes_when_the_latency_is_over(encoder, lookahead):
    stage = extractor(encoder, lookahead_rows=lookahead)
    samples = round(stage.latency_ms * 16)
    assert not stage.feed(speech_like(samples - 1))
    assert len(stage.feed(np.zeros(1, np.float32))) == 1


def test_state_is_forgotten_after_flush():
    stage = extractor(encoder=True)
    first = run(stage, speech_like(9_000), 500)[0]
    again = run(stage, speech_like(9_000), 500)[0]
    assert all(torch.equal(rows, others) for rows, others in zip(first, again, strict=True))
