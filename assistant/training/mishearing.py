"""What an acoustic model hears of strangers: some phonemes taken for others, dropped or added.

The posterior bank is of speech that the acoustic model was trained on, and comes out of it almost
without mistakes; a stranger does not. An intent model that never met a mistake trusts none of what
strangers say: alone it had 75 of 155 real orders right, and 143 when the sentences that it learnt
from were misheard first (docs/training.md).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..grammar.layout import BLANK
from .posterior_bank import COST_STEP, PosteriorBank


@dataclass(frozen=True)
class MishearingConfig:
    """How much is misheard, in the mean; a sentence has between nothing and twice of it."""

    replaced: float = 0.15
    """Share of the phonemes that are taken for another one."""
    dropped: float = 0.06
    """Share that is not heard at all."""
    added: float = 0.05
    """Phonemes heard where none was said, for each that was."""


class Mishearing:
    """Mishears sentences as the model of a bank would: what it holds likely beside the truth."""

    def __init__(self, bank: PosteriorBank, config: MishearingConfig | None = None) -> None:
        self.config = config or MishearingConfig()
        mass = np.full((bank.columns, bank.columns), 1e-9)
        said = np.repeat(bank.phonemes, np.diff(bank.starts))
        likely = np.exp(bank.costs.astype(np.float32) * -COST_STEP)  # costs have no sign
        np.add.at(mass, (said[:, None], bank.labels), likely)
        mass[:, BLANK] = 0
        np.fill_diagonal(mass, 0)
        taken = mass.cumsum(axis=1)
        self._taken = taken / taken[:, -1:]
        spoken = np.bincount(bank.phonemes, minlength=bank.columns).cumsum()
        self._spoken = spoken / spoken[-1]

    def mishear(self, phonemes: list[int], rng: np.random.Generator) -> tuple[list[int], list[int]]:
        """What is heard of `phonemes`, and the place in them that each of it stands for."""
        config, much = self.config, rng.uniform(0, 2)
        heard, places = [], []
        for place, phoneme in enumerate(phonemes):
            chance = rng.random() / much
            if chance < config.dropped:
                continue
            replaced = chance < config.dropped + config.replaced
            heard.append(_draw(self._taken[phoneme], rng) if replaced else phoneme)
            places.append(place)
            if rng.random() < much * config.added:
                heard.append(_draw(self._spoken, rng))
                places.append(place)
        return heard, places


def _draw(cumulative: np.ndarray, rng: np.random.Generator) -> int:
    return int(np.searchsorted(cumulative, rng.random(), side="right"))
