"""What an acoustic model takes phonemes for, estimated from its posterior bank.

The bank holds real speech and its phonemes. Replace one phoneme of an utterance by another, drop
it, or add one after it: d is how much better (in nats) the best CTC path of the changed phonemes is
than that of the right ones, realigned as a search would. Where d > 0 the model has misheard. A
whole sentence is taken for another where the sum of its d is positive; for independent places
Chernoff (1952) bounds the probability of this by the product of E[exp(d / 2)]. So a cost is minus
the logarithm of E[min(1, exp(d / 2))], and costs add up; the minimum keeps a few wrong
transcriptions from deciding alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..grammar.confusion import NOTHING, Confusions
from ..grammar.layout import BLANK
from .posterior_bank import LogProbs, Numbers, PosteriorBank

UTTERANCES = 250
"""Utterances looked at; fewer where the bank has fewer."""
TRUSTED = 10
"""Imagined places at which everything is confused alike, since a rare phoneme is hardly known."""
UNSURE = float(np.exp(-1.5))
"""E[min(1, exp(d / 2))] at those places."""


def estimate_confusions(bank: PosteriorBank, seed: int = 0) -> Confusions:
    """Costs of all pairs of phonemes."""
    rng = np.random.default_rng(seed)
    size = bank.columns
    sums = np.full((size, size), TRUSTED * UNSURE)
    counts = np.full(size, float(TRUSTED))
    for utterance in rng.permutation(np.unique(bank.utterances))[:UTTERANCES]:
        places = np.flatnonzero(bank.utterances == utterance)
        rows = np.arange(bank.starts[places[0]], bank.starts[places[-1] + 1])
        changed = Changed.of(bank.log_probs(rows), bank.phonemes[places])
        if changed is None:
            continue
        for phoneme, replaced, added in zip(
            bank.phonemes[places], changed.replaced, changed.added, strict=True
        ):
            sums[phoneme] += replaced
            sums[NOTHING] += added
            counts[[phoneme, NOTHING]] += 1
    costs = -np.log(sums / counts[:, None])
    np.fill_diagonal(costs, 0.0)
    return Confusions(costs.astype(np.float32))


@dataclass(frozen=True)
class Changed:
    """min(1, exp(d / 2)) of each phoneme of an utterance: (K, P) replaced (0: dropped), or with
    another phoneme after it."""

    replaced: LogProbs
    added: LogProbs

    @classmethod
    def of(cls, log_probs: LogProbs, phonemes: Numbers) -> Changed | None:
        """log_probs: (T, P), phonemes: (K,); None where the phonemes do not fit into the rows."""
        columns = np.arange(log_probs.shape[1])
        before = prefix_scores(log_probs, phonemes)
        after = prefix_scores(log_probs[::-1], phonemes[::-1])[:, ::-1, ::-1]
        # (T + 1, K), by rows used up: the phonemes before each place, and those after it.
        entry, entry_blank = before.max(axis=0)[:, :-1], before[0][:, :-1]
        leave, leave_blank = after.max(axis=0)[:, 1:], after[0][:, 1:]
        right = before.max(axis=0)[-1, -1]
        if right == -np.inf:
            return None
        # An equal neighbour needs a blank between.
        same_before = np.append(-1, phonemes[:-1])[:, None] == columns
        same_after = np.append(phonemes[1:], -1)[:, None] == columns
        twice = phonemes[:, None] == columns

        shape = (len(phonemes), len(columns))
        one, own, gap, other = (np.full(shape, -np.inf, np.float32) for _ in range(4))
        replaced, added = one.copy(), one.copy()
        parted = np.maximum(entry_blank + leave, entry + leave_blank)
        equal = np.append(-1, phonemes[:-1]) == np.append(phonemes[1:], -2)
        replaced[:, NOTHING] = np.where(equal, parted, entry + leave).max(axis=0)
        again = np.append(-1, phonemes[:-1]) == phonemes
        begin = np.where(again, entry_blank, entry)
        for row, now in enumerate(log_probs):
            came = np.where(same_before, entry_blank[row, :, None], entry[row, :, None])
            goes = np.where(same_after, leave_blank[row + 1, :, None], leave[row + 1, :, None])
            one = np.maximum(one, came) + now
            other = np.maximum(np.maximum(other, gap), np.where(twice, -np.inf, own)) + now
            gap = np.maximum(gap, own) + now[BLANK]
            own = np.maximum(own, begin[row, :, None]) + now[phonemes, None]
            replaced[:, 1:] = np.maximum(replaced, one + goes)[:, 1:]
            added = np.maximum(added, other + goes)
        added[:, NOTHING] = right
        return cls(*(np.exp(np.minimum(d - right, 0.0) / 2) for d in (replaced, added)))


def prefix_scores(log_probs: LogProbs, phonemes: Numbers) -> LogProbs:
    """(2, T + 1, K + 1) best score after some rows and phonemes, ending in a blank or a phoneme."""
    skip = np.where(phonemes[1:] == phonemes[:-1], -np.inf, 0.0).astype(np.float32)
    scores = np.full((2, len(log_probs) + 1, len(phonemes) + 1), -np.inf, np.float32)
    scores[0, 0, 0] = 0.0
    for row, now in enumerate(log_probs):
        blank, label = scores[0, row], scores[1, row]
        entered = np.maximum(blank[:-1], label[1:])
        entered[1:] = np.maximum(entered[1:], label[1:-1] + skip)
        scores[0, row + 1] = np.maximum(blank, label) + now[BLANK]
        scores[1, row + 1, 1:] = entered + now[phonemes]
    return scores
