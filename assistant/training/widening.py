"""A wider recurrent network in the place of a trained one: at first it computes the same.

New units hear everything through random weights, and nobody hears them until training wants them
(after Net2Net, Chen et al. 2016, arXiv 1511.05641, with silent units in the place of doubled ones).
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..bundle import Weights

UNITS = "recurrent.layers.0.forwards.weight_hh_l0"
"""A matrix that has a column for every unit of a layer."""


def widened(trained: Weights, begun: Weights) -> Weights | None:
    """Weights of an acoustic model in one just begun that has as many or more recurrent units.

    Args:
        trained: of the smaller model. begun: of the larger one, as it was initialised.

    Returns:
        Weights of `begun`'s shapes; None where the models differ in more than the units of their
        recurrent layers, or the trained one has more of them.
    """
    if trained.keys() != begun.keys():
        return None
    before, now = (w[UNITS].shape[1] if UNITS in w else 0 for w in (trained, begun))
    if now < before:
        return None
    wide: Weights = {}
    for name, value in trained.items():
        fresh = begun[name].clone()
        sizes = list(zip(value.shape, fresh.shape, strict=True))
        if any(own != new and (not before or own * now != new * before) for own, new in sizes):
            return None
        rows, *columns = (_places(own, new, before, now) for own, new in sizes)
        fresh[rows] = 0  # the units that there were do not hear those that are new
        fresh[(rows[:, None], *columns) if columns else rows] = value
        wide[name] = fresh
    return wide


def _places(own: int, new: int, before: int, now: int) -> Tensor:
    """Where an axis of a tensor goes: units come `before` at a time, a gate or a direction."""
    if own == new:
        return torch.arange(own)
    place = torch.arange(own)
    return place // before * now + place % before
