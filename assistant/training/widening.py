"""A wider network in the place of a trained one: at first it computes the same.

New units hear everything through random weights, and nobody hears them until training wants them
(after Net2Net, Chen et al. 2016, arXiv 1511.05641, with silent units in the place of doubled ones).
Units are those of recurrent layers, or the rank of a low-rank update.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..bundle import Weights
from ..errors import UsageError

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
    if not all(_fits(value, begun[name], before, now) for name, value in trained.items()):
        return None
    return {name: _placed(value, begun[name], before, now) for name, value in trained.items()}


def widened_update(trained: Weights, begun: Weights) -> Weights:
    """A low-rank update in one just begun of as large or a larger rank; or a whole small encoder.

    Args:
        trained: what a bundle keeps of its encoder. begun: weights of the encoder to train.

    Raises:
        UsageError: the update is of a larger rank, or of another encoder.
    """
    down = next((name for name in trained if name.endswith(".down")), None)
    before, now = (len(w[down]) if down else 0 for w in (trained, begun))
    if now < before:
        raise UsageError(
            f"the initial bundle's update is of rank {before}; give --rank {before}, or more"
        )
    for name, value in trained.items():
        if name not in begun or not _fits(value, begun[name], before, now):
            raise UsageError(
                "the initial bundle's encoder is another one; give --stem-width as for that bundle"
            )
    return {name: _placed(value, begun[name], before, now) for name, value in trained.items()}


def _fits(value: Tensor, begun: Tensor, before: int, now: int) -> bool:
    """Whether a tensor differs from another in nothing but the number of units."""
    sizes = zip(value.shape, begun.shape, strict=True)
    return all(own == new or (before and own * now == new * before) for own, new in sizes)


def _placed(value: Tensor, begun: Tensor, before: int, now: int) -> Tensor:
    """A tensor in the place of one that has `now` units wherever it has `before`."""
    wide = begun.clone()
    sizes = zip(value.shape, begun.shape, strict=True)
    rows, *columns = (_places(own, new, before, now) for own, new in sizes)
    wide[rows] = 0  # the units that there were do not hear those that are new
    wide[(rows[:, None], *columns) if len(columns) == 1 else rows] = value
    return wide


def _places(own: int, new: int, before: int, now: int) -> Tensor:
    """Where an axis of a tensor goes: units come `before` at a time, a gate or a direction."""
    if own == new:
        return torch.arange(own)
    place = torch.arange(own)
    return place // before * now + place % before
