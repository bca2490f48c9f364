"""The streaming encoder: chunk by chunk is the blocked whole, for any chunk and left context."""

import pytest
import torch
from torch.testing import assert_close

from assistant.nn.encoder import EncoderShape, StreamingEncoder

SHAPE = EncoderShape(mel_bins=8, width=64, heads=2, layers=3, positions=200)


@pytest.fixture(scope="module")
def encoder() -> StreamingEncoder:
    torch.manual_seed(0)
    made = StreamingEncoder(SHAPE).double().eval()
    made.position_table.normal_(std=0.3)
    return made


def stepped(encoder, log_mel, chunk, left_context):
    """The rows of one stream, a chunk at a time."""
    state, rows, at = encoder.initial_state(), [], 0
    while at < log_mel.shape[1]:
        frames = 2 * chunk + (at == 0)
        block = log_mel[:, at : at + frames]
        if at + frames > log_mel.shape[1]:
            block = torch.nn.functional.pad(block, (0, 0, 0, 1))
        out, state = encoder.step(block, state, left_context)
        rows.append(out)
        at += frames
    return torch.cat(rows, dim=1)


@pytest.mark.parametrize("chunk", [1, 3, 8, 50])
@pytest.mark.parametrize("left_context", [0, 4, 1000])
@torch.inference_mode()
def test_steps_equal_the_blocked_whole(encoder, chunk, left_context):
    log_mel = torch.randn(1, 74, 8, dtype=torch.double)
    whole = encoder(log_mel, torch.tensor([74]), chunk, left_context)
    assert_close(stepped(encoder, log_mel, chunk, left_context), whole)


@torch.inference_mode()
def test_one_chunk_over_everything_is_the_full_context(encoder):
    log_mel = torch.randn(1, 40, 8, dtype=torch.double)
    assert_close(
        encoder(log_mel, torch.tensor([40]), chunk=20), encoder(log_mel, torch.tensor([40]))
    )


@pytest.mark.parametrize("chunk", [None, 5])
@torch.inference_mode()
def test_padding_in_a_batch_changes_nothing(encoder, chunk):
    lengths = [60, 22, 34]
    batch = torch.randn(3, 60, 8, dtype=torch.double)
    together = encoder(batch, torch.tensor(lengths), chunk, 10)
    for i, length in enumerate(lengths):
        alone = encoder(batch[i : i + 1, :length], torch.tensor([length]), chunk, 10)
        assert_close(together[i, : length // 2], alone[0])


@torch.inference_mode()
def test_streams_step_as_one_batch(encoder):
    log_mel = torch.randn(3, 17, 8, dtype=torch.double)
    together, state = encoder.step(log_mel, encoder.initial_state(3), 100)
    further, _ = encoder.step(log_mel[:, 1:], state, 100)
    for i in range(3):
        alone, own = encoder.step(log_mel[i : i + 1], encoder.initial_state(), 100)
        assert_close(together[i : i + 1], alone)
        assert_close(further[i : i + 1], encoder.step(log_mel[i : i + 1, 1:], own, 100)[0])


@torch.inference_mode()
def test_no_look_ahead_beyond_the_chunk(encoder):
    log_mel = torch.randn(1, 40, 8, dtype=torch.double)
    changed = log_mel.clone()
    changed[:, 21:] += 1.0  # the first ten rows need the frames 0 … 20
    lengths = torch.tensor([40])
    before, after = (encoder(x, lengths, chunk=10) for x in (log_mel, changed))
    assert_close(before[:, :10], after[:, :10])
    assert not torch.allclose(before[:, 10:], after[:, 10:])


def test_streams_that_are_not_equally_far_are_encoded_together_as_each_alone(encoder):
    torch.manual_seed(0)
    states = [encoder.initial_state() for _ in range(3)]
    with torch.inference_mode():
        for stream, chunks in enumerate((0, 1, 3)):
            for _ in range(chunks):
                first = states[stream].position == 0
                mel = torch.randn(1, 17 if first else 16, encoder.shape.mel_bins)
                _, states[stream] = encoder.step(mel, states[stream], 12)
        for _ in range(3):
            mels = [
                torch.randn(1, 17 if s.position == 0 else 16, encoder.shape.mel_bins)
                for s in states
            ]
            alone = [encoder.step(m, s, 12) for m, s in zip(mels, states, strict=True)]
            rows, states = encoder.step_together(mels, states, 12)
            for i, (expected, state) in enumerate(alone):
                torch.testing.assert_close(rows[i : i + 1], expected, rtol=1e-4, atol=1e-5)
                assert states[i].position == state.position
                for ours, theirs in zip(states[i].keys, state.keys, strict=True):
                    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
