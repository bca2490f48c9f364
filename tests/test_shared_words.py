"""Values that share words learn together, and the trained model keeps nothing of it."""

from __future__ import annotations

import torch

from assistant.config import IntentConfig
from assistant.grammar.commands import load_commands
from assistant.training.intent_trainer import _slot_entropy, new_intent_model
from assistant.training.shared_words import shared_words

COMMANDS = """
language: en
intents:
  dim: {data: [{sentences: ["dim to {level}", "dim"], slots: {device: light}}]}
lists:
  level: {range: {from: 20, to: 23}}
"""


def commands(tmp_path):
    (tmp_path / "c.yaml").write_text(COMMANDS, encoding="utf-8")
    return load_commands([tmp_path / "c.yaml"])


def test_what_one_value_learns_of_a_word_the_others_know(tmp_path):
    found = commands(tmp_path)
    model = new_intent_model(found, 5, IntentConfig(hidden_size=4))
    values = list(found.slots["level"])
    first = list(found.slots).index("level") and len(found.slots["device"])
    before = model.tag.weight.detach().clone()
    with shared_words(model, found):
        model.tag.weight[first + values.index(21)].sum().backward()
        with torch.no_grad():
            for parameter in model.tag.parameters():
                if parameter.grad is not None:
                    parameter.sub_(0.1 * parameter.grad)
    change = (model.tag.weight.detach() - before).sum(dim=1)
    moved = dict(zip(values, (-change[first : first + 4]).tolist(), strict=True))
    assert moved[21] > moved[22] > 0  # "twenty" and the slot are theirs too, "one" is not
    assert moved[20] > 0
    assert "weight" in dict(model.tag.named_parameters())
    assert torch.equal(model.tag.weight, model.state_dict()["tag.weight"])


def test_all_slots_at_once_cost_what_each_costs_alone():
    torch.manual_seed(0)
    sizes = (3, 1, 4)
    values, absent = torch.randn(6, 8) * 20, torch.randn(3)
    targets = torch.stack([torch.randint(0, size + 1, (6,)) for size in sizes], dim=1)
    targets[0, 1] = -100
    each = [
        torch.nn.functional.cross_entropy(
            torch.cat([absent[i].expand(6, 1), part], dim=1), targets[:, i], ignore_index=-100
        )
        for i, part in enumerate(values.split(sizes, dim=1))
    ]
    torch.testing.assert_close(_slot_entropy(values, absent, targets, sizes), sum(each))
