"""Slot values that share words share what is learnt of them.

A number said once in training is as good as never said; its words are said in many numbers. So
while it learns, the weights of a value's tag are a sum: of its own, of each word's that says it,
and of the slot's. The trained model keeps the sums alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ..grammar.commands import CommandSet
from ..grammar.network import SlotAssignment
from ..nn.intent_model import IntentModel


@contextmanager
def shared_words(model: IntentModel, commands: CommandSet) -> Iterator[None]:
    """Within it, the tags of `model` learn by words."""
    parts = _parts(commands)
    if not len(parts):
        yield
        return
    parametrize.register_parametrization(model.tag, "weight", _Sum(parts))
    try:
        yield
    finally:
        parametrize.remove_parametrizations(model.tag, "weight", leave_parametrized=True)


def _parts(commands: CommandSet) -> Tensor:
    """(values of all slots, words and slots): 1 where a word says the value, and for its slot."""
    words: dict[SlotAssignment, set[str]] = {}
    for arc in commands.network.arcs:
        if arc.assignment is not None and arc.word is not None:
            words.setdefault(arc.assignment, set()).add(arc.word)
    columns: dict[tuple[str, str], int] = {}
    rows = []
    for slot, values in commands.slots.items():
        for value in values:
            said = sorted(words.get(SlotAssignment(slot, value), ()))
            names = [("slot", slot), *(("word", word) for word in said)]
            rows.append([columns.setdefault(name, len(columns)) for name in names])
    parts = torch.zeros(len(rows), len(columns))
    for row, used in zip(parts, rows, strict=True):
        row[used] = 1
    return parts


class _Sum(nn.Module):
    """(values + words and slots, H) weights to those of the values, (values, H)."""

    parts: Tensor

    def __init__(self, parts: Tensor) -> None:
        super().__init__()
        self.register_buffer("parts", parts)

    def forward(self, weights: Tensor) -> Tensor:
        values = len(self.parts)
        return weights[:values] + self.parts @ weights[values:]

    def right_inverse(self, weight: Tensor) -> Tensor:
        """Begin with every value's own."""
        return torch.cat([weight, weight.new_zeros(self.parts.shape[1], weight.shape[1])])
