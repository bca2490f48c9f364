"""Confidence intervals of 95 %: what a figure is worth, given how little it was measured on."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

NORMAL = 1.959963984540054
"""The standard normal's quantile at 0.975."""
TAIL = 0.025
"""Probability left out on either side."""
RESAMPLINGS = 2000
"""Of a bootstrap."""

Interval = tuple[float, float]


def wilson(successes: float, count: int) -> Interval:
    """The score interval of a rate of independent trials (Wilson 1927)."""
    rate, square = successes / count, NORMAL**2
    centre = (rate + square / (2 * count)) / (1 + square / count)
    spread = rate * (1 - rate) / count + square / (4 * count**2)
    half = NORMAL * math.sqrt(spread) / (1 + square / count)
    return max(0.0, centre - half), min(1.0, centre + half)


def poisson(count: int) -> Interval:
    """The exact interval of an expected count of which `count` was seen (Garwood 1936)."""
    low = 0.0 if count == 0 else _root(lambda mean: 1 - _at_most(count - 1, mean) - TAIL, count)
    high = _root(lambda mean: TAIL - _at_most(count, mean), count)
    return low, high


def bootstrap(
    numerators: Sequence[float],
    denominators: Sequence[float],
    groups: Sequence[str],
    seed: int,
) -> Interval | None:
    """Of a ratio of sums, by drawing whole groups anew (percentiles; Efron & Tibshirani 1993).

    Where all groups agree on 0 or 1, drawing them again tells nothing: then it is Wilson's interval
    of as many trials as there are groups. None where one group has both: nothing says how much
    another would differ.

    Args:
        numerators, denominators: of each recording. groups: whose each is, its speaker for one.
    """
    names = {name: index for index, name in enumerate(dict.fromkeys(groups))}
    sums = np.zeros((len(names), 2))
    for name, above, below in zip(groups, numerators, denominators, strict=True):
        sums[names[name]] += above, below
    sums = sums[sums[:, 1] > 0]
    above, below = sums.sum(axis=0)
    if above in (0, below):
        return wilson(len(sums) * above / below, len(sums))
    if len(sums) == 1:
        return None
    rng = np.random.default_rng(seed)
    ratios = [_ratio(sums[rng.integers(0, len(sums), len(sums))]) for _ in range(RESAMPLINGS)]
    low, high = np.percentile(ratios, [100 * TAIL, 100 * (1 - TAIL)])
    return float(low), float(high)


def _ratio(sums: npt.NDArray[np.float64]) -> float:
    above, below = sums.sum(axis=0)
    return float(above / below)


def _at_most(count: int, mean: float) -> float:
    """The Poisson distribution's probability of `count` or fewer."""
    terms = (math.exp(k * math.log(mean) - mean - math.lgamma(k + 1)) for k in range(count + 1))
    return math.fsum(terms)


def _root(rising: Callable[[float], float], count: int) -> float:
    """Where a rising function of a Poisson mean crosses 0, by halving."""
    low, high = 1e-12, count + 10 * math.sqrt(count + 1) + 10
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < 0 else (low, middle)
    return (low + high) / 2
