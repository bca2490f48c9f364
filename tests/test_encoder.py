"""The streaming encoder: block by block is the blocked whole, for any block and left context."""

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


def stepped(encoder, log_mel, centre, lookahead, left_context):
    """What each block of one stream gives, look-ahead included."""
    frames = log_mel.shape[1] // 2
    padded = torch.nn.functional.pad(log_mel, (0, 0, 0, 1))
    state = encoder.initial_state()
    for at in range(0, frames, centre):
        end = min(frames, at + centre + lookahead)
        block = padded[:, 2 * at + 1 if at else 0 : 2 * end + 1]
        out, state = encoder.step(block, state, left_context, centre)
        yield out


@pytest.mark.parametrize(("centre", "lookahead"), [(1, 0), (3, 2), (8, 8), (4, 9), (50, 0)])
@pytest.mark.parametrize("left_context", [0, 4, 1000])
@torch.inference_mode()
def test_steps_equal_the_blocked_whole(encoder, centre, lookahead, left_context):
    log_mel = torch.randn(1, 74, 8, dtype=torch.double)
    whole = encoder.blocked(log_mel, torch.tensor([74]), centre, lookahead, left_context)
    steps = list(stepped(encoder, log_mel, centre, lookahead, left_context))
    assert whole.shape == (1, len(steps), centre + lookahead, 64)
    for step, block in zip(steps, whole[0], strict=True):
        assert_close(step[0], block[: step.shape[1]])


@torch.inference_mode()
def test_one_block_over_everything_is_the_full_context(encoder):
    log_mel, lengths = torch.randn(1, 40, 8, dtype=torch.double), torch.tensor([40])
    for lookahead in (0, 3):
        blocks = encoder.blocked(log_mel, lengths, 20, lookahead)
        assert_close(blocks[:, 0, :20], encoder(log_mel, lengths))


@torch.inference_mode()
def test_padding_in_a_batch_changes_nothing(encoder):
    lengths = [60, 22, 34]
    batch = torch.randn(3, 60, 8, dtype=torch.double)
    whole, blocks = (
        encoder(batch, torch.tensor(lengths)),
        encoder.blocked(batch, torch.tensor(lengths), 5, 3, 10),
    )
    for i, length in enumerate(lengths):
        alone, own = batch[i : i + 1, :length], torch.tensor([length])
        assert_close(whole[i, : length // 2], encoder(alone, own)[0])
        for number, block in enumerate(encoder.blocked(alone, own, 5, 3, 10)[0]):
            exist = min(8, length // 2 - 5 * number)
            assert_close(blocks[i, number, :exist], block[:exist])


@torch.inference_mode()
def test_streams_step_as_one_batch(encoder):
    log_mel = torch.randn(3, 17, 8, dtype=torch.double)
    together, state = encoder.step(log_mel, encoder.initial_state(3), 100, 5)
    further, _ = encoder.step(log_mel[:, 1:], state, 100, 5)
    for i in range(3):
        alone, own = encoder.step(log_mel[i : i + 1], encoder.initial_state(), 100, 5)
        assert_close(together[i : i + 1], alone)
        assert_close(further[i : i + 1], encoder.step(log_mel[i : i + 1, 1:], own, 100, 5)[0])


@torch.inference_mode()
def test_the_look_ahead_is_all_of_the_future_that_is_seen_however_deep_the_stack(encoder):
    log_mel, lengths = torch.randn(1, 40, 8, dtype=torch.double), torch.tensor([40])

    def changed(after):
        disturbed = log_mel.clone()
        disturbed[:, after:] += 1.0
        before, now = (encoder.blocked(x, lengths, 6, 4)[0, 0, :6] for x in (log_mel, disturbed))
        return not torch.allclose(before, now)

    assert not changed(after=21)  # six frames and four more need the log-mel frames 0 … 20
    assert changed(after=20)


@pytest.mark.parametrize("centre", [None, 5])
def test_streams_that_are_not_equally_far_are_encoded_together_as_each_alone(encoder, centre):
    torch.manual_seed(0)
    states = [encoder.initial_state() for _ in range(3)]
    with torch.inference_mode():
        for stream, chunks in enumerate((0, 1, 3)):
            for _ in range(chunks):
                first = states[stream].position == 0
                mel = torch.randn(1, 17 if first else 16, encoder.shape.mel_bins)
                _, states[stream] = encoder.step(mel, states[stream], 12, centre)
        for _ in range(3):
            mels = [
                torch.randn(1, 17 if s.position == 0 else 16, encoder.shape.mel_bins)
                for s in states
            ]
            alone = [encoder.step(m, s, 12, centre) for m, s in zip(mels, states, strict=True)]
            rows, states = encoder.step_together(mels, states, 12, centre)
            for i, (expected, state) in enumerate(alone):
                torch.testing.assert_close(rows[i : i + 1], expected, rtol=1e-4, atol=1e-5)
                assert states[i].position == state.position
                for ours, theirs in zip(states[i].keys, state.keys, strict=True):
                    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
