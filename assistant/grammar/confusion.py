"""How likely one sequence of phonemes is heard as another: a weighted edit distance.

The distance is Levenshtein's (1966) with a cost for every pair of phonemes, for every phoneme
dropped and for every one added; costs come from how a model confuses phonemes, so that they are
negative log probabilities (acoustic confusability: Printz & Olsen 2002).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Costs = npt.NDArray[np.float32]
Phonemes = Sequence[int]
"""Columns of the posteriors, without the blank."""

NOTHING = 0
"""In place of a phoneme: what is said is dropped, or what is heard is added. The blank's column."""


@dataclass(frozen=True, eq=False)
class Confusions:
    """What a model takes phonemes for.

    costs: (P, P) in nats, not negative; [p, q] of hearing q where p was said, [p, 0] of not hearing
    p, [0, q] of hearing q where nothing was said. The diagonal is 0.
    """

    costs: Costs

    def distances(self, said: Phonemes, heard: Sequence[Phonemes]) -> Costs:
        """(len(heard),) the least cost in nats of hearing each of `heard` where `said` was said."""
        lengths = np.array([len(other) for other in heard])
        longest = int(lengths.max(initial=0))
        columns = np.zeros((longest, len(heard)), np.intp)
        for place, other in enumerate(heard):
            columns[: len(other), place] = other
        added = self.costs[NOTHING, columns]
        row = np.concatenate([np.zeros((1, len(heard)), np.float32), added]).cumsum(axis=0)
        for phoneme in said:
            taken = row[:-1] + self.costs[phoneme, columns]
            row = row + self.costs[phoneme, NOTHING]
            row[1:] = np.minimum(row[1:], taken)
            for place in range(longest):
                row[place + 1] = np.minimum(row[place + 1], row[place] + added[place])
        found: Costs = row[lengths, np.arange(len(heard))]
        return found

    def distance(self, said: Phonemes, heard: Phonemes) -> float:
        """The least cost in nats of hearing `heard` where `said` was said."""
        return float(self.distances(said, [heard])[0])

    def log_probs(self, said: Phonemes) -> Costs:
        """(2 n + 1, P) rows for a command graph, whose best path is then the nearest sentence.

        A row for each of the n phonemes, one before each and one at the end, in which one phoneme
        can be added; the log probability of a path is minus its distance.
        """
        rows = np.repeat(-self.costs[NOTHING][None], 2 * len(said) + 1, axis=0)
        rows[1::2] = -self.costs[list(said)]
        return rows


def confusion_rate(distance: float) -> float:
    """Predicted share of utterances at which a distance in nats is bridged, at most a half."""
    return 0.5 * math.exp(-distance)
