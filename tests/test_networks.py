"""The recurrent networks: pure `step` with named state equals the blocked `forward`."""

import pytest
import torch
from torch.testing import assert_close

from assistant.config import AcousticConfig, IntentConfig
from assistant.nn.acoustic_model import AcousticModel
from assistant.nn.intent_model import IntentModel
from assistant.nn.latency_controlled import LatencyControlledRNN

LENGTHS = [41, 17, 30, 1]


@pytest.fixture(scope="module")
def acoustic() -> AcousticModel:
    torch.manual_seed(0)
    config = AcousticConfig(input_size=12, projection_size=10, hidden_size=8, layers=3, phonemes=5)
    return AcousticModel(config).double().eval()


@pytest.mark.parametrize(
    ("centre", "lookahead"), [(1, 0), (4, 2), (5, 0), (7, 9), (16, 8), (64, 3)]
)
@torch.inference_mode()
def test_acoustic_steps_equal_the_blocked_whole(acoustic, centre, lookahead):
    rows = torch.randn(len(LENGTHS), max(LENGTHS), 12, dtype=torch.double)
    whole = acoustic(rows, torch.tensor(LENGTHS), centre, lookahead)
    for i, length in enumerate(LENGTHS):
        state, stepped = acoustic.initial_state(), []
        for at in range(0, length, centre):
            block = rows[i : i + 1, at : min(length, at + centre + lookahead)]
            out, state = acoustic.step(block, state, min(centre, length - at))
            stepped.append(out)
        assert_close(torch.cat(stepped, dim=1)[0], whole[i, :length])


@torch.inference_mode()
def test_an_endless_look_ahead_is_the_full_bidirectional_gru():
    torch.manual_seed(1)
    ours = LatencyControlledRNN(6, 5, layers=1).double()
    theirs = torch.nn.GRU(6, 5, batch_first=True, bidirectional=True).double()
    for suffix, source in (("", ours.layers[0].forwards), ("_reverse", ours.layers[0].backwards)):
        for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            getattr(theirs, f"{kind}_l0{suffix}").copy_(getattr(source, f"{kind}_l0"))
    x = torch.randn(2, 23, 6, dtype=torch.double)
    assert_close(ours(x, torch.tensor([23, 23])), theirs(x)[0])
    assert_close(ours(x, torch.tensor([23, 23]), centre=23, lookahead=4), theirs(x)[0])


@torch.inference_mode()
def test_the_delay_does_not_add_up_over_layers(acoustic):
    rows = torch.randn(1, 40, 12, dtype=torch.double)
    changed = rows.clone()
    changed[:, 14:] += 1.0
    before, after = (
        acoustic(x, torch.tensor([40]), centre=10, lookahead=4) for x in (rows, changed)
    )
    assert_close(before[:, :10], after[:, :10])
    assert not torch.allclose(before[:, 10], after[:, 10])


@torch.inference_mode()
def test_acoustic_streams_step_as_one_batch(acoustic):
    blocks = torch.randn(4, 6, 12, dtype=torch.double)
    together, state = acoustic.step(blocks, acoustic.initial_state(4), 4)
    again, _ = acoustic.step(blocks, state, 4)
    for i in range(4):
        alone, own = acoustic.step(blocks[i : i + 1], acoustic.initial_state(), 4)
        assert_close(together[i : i + 1], alone)
        assert_close(again[i : i + 1], acoustic.step(blocks[i : i + 1], own, 4)[0])


def test_gradients_reach_every_weight_through_blocks():
    torch.manual_seed(0)
    config = AcousticConfig(input_size=4, projection_size=4, hidden_size=3, layers=2, phonemes=3)
    model = AcousticModel(config)
    model(torch.randn(2, 11, 4), torch.tensor([11, 7]), 4, 2)[:, :, 1].sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


@pytest.fixture(scope="module")
def intent() -> IntentModel:
    torch.manual_seed(0)
    return IntentModel(IntentConfig(hidden_size=8), 5, 3, (2, 4)).double().eval()


@pytest.mark.parametrize("cut", [1, 3, 7, 100])
@torch.inference_mode()
def test_intent_steps_equal_the_whole(intent, cut):
    posteriors = torch.rand(2, 19, 5, dtype=torch.double)
    whole, _ = intent(posteriors, torch.tensor([19, 19]))
    state = intent.initial_state(2)
    for at in range(0, 19, cut):
        state = intent.step(posteriors[:, at : at + cut], state)
    read = intent.read(state)
    assert_close(read.intent, whole.intent)
    assert_close(list(read.slots), list(whole.slots))


@torch.inference_mode()
def test_intent_ignores_padding(intent):
    posteriors = torch.rand(2, 19, 5, dtype=torch.double)
    together, _ = intent(posteriors, torch.tensor([19, 11]))
    alone, _ = intent(posteriors[1:, :11], torch.tensor([11]))
    assert_close(together.intent[1:], alone.intent)
    assert_close([s[1:] for s in together.slots], list(alone.slots))
