"""Is a difference chance: McNemar's exact test, the paired bootstrap, and counts over hours."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

REPLICATES = 10_000
"""Draws of the bootstrap."""
AT_ONCE = 1_000_000
"""Weights that are drawn at once, so that a long manifest does not fill the memory."""

Weights = npt.NDArray[np.float64]
Clusters = npt.NDArray[np.intp]


def mcnemar(won: int, lost: int) -> float:
    """Two-sided exact p-value of `won` changes against `lost` ones (McNemar 1947)."""
    changes = won + lost
    ways = tail = 1  # of choosing none, then one, …: exact, however many there are
    for k in range(min(won, lost)):
        ways = ways * (changes - k) // (k + 1)
        tail += ways
    return min(1.0, 2 * tail / (1 << changes))


def same_rate(count: int, hours: float, other_count: int, other_hours: float) -> float:
    """Two-sided exact p-value of two counts over their hours having one rate.

    Given their sum, one of them is binomial (Przyborowski & Wilenski 1940); what is no more
    probable than the counts at hand is as extreme.
    """
    total = count + other_count
    if not total:
        return 1.0
    share = hours / (hours + other_hours)
    probabilities = [_binomial(total, k, share) for k in range(total + 1)]
    # Equal ones must not be lost to rounding.
    limit = probabilities[count] * (1 + 1e-9)
    return min(1.0, sum(p for p in probabilities if p <= limit))


def bootstrap(
    statistic: Callable[[Weights], Weights], clusters: Clusters, seed: int
) -> tuple[float, float]:
    """95 % percentile interval of a statistic of weighted recordings (Efron 1979).

    Args:
        statistic: weights (R, N), how often each recording was drawn, to the R values.
        clusters: (N,) the cluster of each recording, from 0 on; clusters are drawn as a whole.
        seed: the same seed gives the same interval.
    """
    rng = np.random.default_rng(seed)
    count = int(clusters.max()) + 1
    chunk = max(1, AT_ONCE // len(clusters))
    values = []
    for begin in range(0, REPLICATES, chunk):
        size = min(chunk, REPLICATES - begin)
        drawn = rng.multinomial(count, np.full(count, 1 / count), size=size)
        values.append(statistic(drawn[:, clusters].astype(np.float64)))
    low, high = np.quantile(np.concatenate(values), [0.025, 0.975])
    return float(low), float(high)


def clusters_of(speakers: Sequence[str | None]) -> Clusters:
    """Speakers, where each recording names one and there are several; else every recording."""
    if not all(speakers) or len(set(speakers)) < 2:
        return np.arange(len(speakers))
    return np.unique(np.asarray(speakers, dtype=str), return_inverse=True)[1]


def _binomial(trials: int, successes: int, probability: float) -> float:
    logarithm = (
        math.lgamma(trials + 1)
        - math.lgamma(successes + 1)
        - math.lgamma(trials - successes + 1)
        + successes * math.log(probability)
        + (trials - successes) * math.log1p(-probability)
    )
    return float(math.exp(logarithm))
