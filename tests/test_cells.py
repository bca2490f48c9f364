"""Every kind of layer over time: parity, truncation, and the comparison of them end to end."""

import pytest
import torch
from torch.testing import assert_close

from assistant.config import AcousticConfig, from_mapping
from assistant.errors import ConfigError
from assistant.nn.acoustic_model import AcousticModel
from assistant.nn.latency_controlled import LatencyControlledRNN

LENGTHS = [29, 17, 1]
CELLS = ["rnn", "gru", "lstm", "transformer"]
RECURRENT = CELLS[:3]


def model_of(cell, bidirectional=True, seed=0):
    torch.manual_seed(seed)
    config = AcousticConfig(
        input_size=6,
        projection_size=10,
        cell=cell,
        bidirectional=bidirectional,
        hidden_size=8,
        layers=2,
        phonemes=5,
    )
    return AcousticModel(config).double().eval()


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize(("centre", "lookahead"), [(1, 0), (4, 2), (5, 0), (7, 9), (64, 3)])
@torch.inference_mode()
def test_steps_equal_the_blocked_whole(cell, bidirectional, centre, lookahead):
    model = model_of(cell, bidirectional)
    rows = torch.randn(len(LENGTHS), max(LENGTHS), 6, dtype=torch.double)
    whole = model(rows, torch.tensor(LENGTHS), centre, lookahead)
    for i, length in enumerate(LENGTHS):
        state, stepped = model.initial_state(), []
        for at in range(0, length, centre):
            block = rows[i : i + 1, at : min(length, at + centre + lookahead)]
            out, state = model.step(block, state, min(centre, length - at))
            stepped.append(out)
        assert_close(torch.cat(stepped, dim=1)[0], whole[i, :length].float())


@pytest.mark.parametrize("cell", RECURRENT)
@torch.inference_mode()
def test_an_endless_look_ahead_is_torchs_bidirectional_network(cell):
    torch.manual_seed(1)
    ours = LatencyControlledRNN(6, 5, layers=1, cell=cell).double()
    kind = {"rnn": torch.nn.RNN, "gru": torch.nn.GRU, "lstm": torch.nn.LSTM}[cell]
    theirs = kind(6, 5, batch_first=True, bidirectional=True).double()
    for suffix, source in (("", ours.layers[0].forwards), ("_reverse", ours.layers[0].backwards)):
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            getattr(theirs, f"{name}_l0{suffix}").copy_(getattr(source, f"{name}_l0"))
    x = torch.randn(2, 23, 6, dtype=torch.double)
    assert_close(ours(x, torch.tensor([23, 23])), theirs(x)[0])


@pytest.mark.parametrize("cell", CELLS)
@torch.inference_mode()
def test_the_delay_is_the_look_ahead_and_causal_layers_have_none(cell):
    rows = torch.randn(1, 20, 6, dtype=torch.double)
    changed = rows.clone()
    changed[:, 14:] += 1.0
    for bidirectional, same in ((True, 10), (False, 14)):
        model = model_of(cell, bidirectional)
        before, after = (
            model(x, torch.tensor([20]), centre=10, lookahead=4) for x in (rows, changed)
        )
        assert_close(before[:, :same], after[:, :same])
        assert not torch.allclose(before[:, same], after[:, same])


@pytest.mark.parametrize("cell", RECURRENT)
@pytest.mark.parametrize("centre", [None, 4])
def test_truncation_cuts_the_gradient_exactly_and_changes_no_output(cell, centre):
    model = model_of(cell, bidirectional=centre is not None)
    rows = torch.randn(1, 20, 6, dtype=torch.double, requires_grad=True)
    lengths = torch.tensor([20])
    cut = model(rows, lengths, centre, 0, truncate=5)
    assert_close(cut, model(rows, lengths, centre, 0))
    cut[0, -1, 1].backward()
    reached = rows.grad[0].norm(dim=1) > 0
    assert reached.tolist() == [False] * 15 + [True] * 5


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"cell": "gur"}, "here: cell: expected one of rnn, gru, lstm, transformer; found 'gur'"),
        ({"cell": "transformer", "hidden_size": 100}, "here: hidden_size: a Transformer's"),
    ],
)
def test_layers_that_do_not_exist_are_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        from_mapping(AcousticConfig, values, "here")
