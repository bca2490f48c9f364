"""What a dictionary says, in a bundle's phonemes: learnt from the words that both can say.

Dictionaries write phonemes their own way ("AA1 M AH0 N D"), and no table says which of espeak-ng's
stands for which: it depends on the neighbours ("t" or "ɾ"), on the accent and on habit. So the
pronunciations of thousands of words are laid side by side, and which symbols go together is
counted, until it does not change any more: a joint-sequence model of single units (Bisani & Ney
2008), by its best alignments. Where a dictionary's symbol stands beside one that it usually goes
with, both say the same and espeak-ng's is kept; elsewhere they disagree, and the dictionary's is
written as it usually is. Nothing here knows a language or an alphabet.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise

from ..grammar.phonemes import Pronunciation

Unit = tuple[Pronunciation, Pronunciation]
"""Symbols of the dictionary and phonemes of espeak-ng that go together; one side may be empty."""

SHAPES = ((1, 1), (1, 2), (2, 1), (1, 0), (0, 1))
"""Symbols and phonemes of a unit."""
BEFORE_ANY_IS_KNOWN = {(1, 1): 1.0, (1, 2): 4.5, (2, 1): 4.5, (1, 0): 4.0, (0, 1): 4.0}
"""Costs by which the first alignment is found: what stands at the same place goes together."""
UNSEEN = 0.01
"""Times that a unit counts as seen before it is."""
PASSES = 6
"""Alignments; counts hardly change after the third."""
USUAL = 0.04
"""Share of a symbol's occurrences from which it usually goes with a phoneme."""
FEWEST = 5
"""Occurrences of a unit from which its share means something."""


class Correspondence:
    """Which symbols of a dictionary go with which phonemes."""

    def __init__(self) -> None:
        """Nothing is known yet but that the order is the same."""
        self._units: Counter[Unit] = Counter()
        self._phonemes_of: defaultdict[Pronunciation, Counter[Pronunciation]] = defaultdict(Counter)
        self._occurrences: Counter[Pronunciation] = Counter()
        self._total = 0

    def learn(self, pairs: Iterable[tuple[Pronunciation, Pronunciation]]) -> None:
        """Align pairs of a dictionary's pronunciation and espeak-ng's; count what goes together.

        Each call aligns by what the last one counted; `PASSES` are enough.
        """
        units: Counter[Unit] = Counter()
        occurrences: Counter[Pronunciation] = Counter()
        for theirs, ours in pairs:
            units.update(self.aligned(theirs, ours))
            occurrences.update((symbol,) for symbol in theirs)
            occurrences.update(pairwise(theirs))
        self._units, self._occurrences = units, occurrences
        self._total = units.total()
        self._phonemes_of.clear()
        for (symbols, phonemes), count in units.items():
            self._phonemes_of[symbols][phonemes] += count

    def aligned(self, theirs: Sequence[str], ours: Sequence[str]) -> list[Unit]:
        """The likeliest units that both are made of, in order."""
        theirs, ours = tuple(theirs), tuple(ours)
        best: dict[tuple[int, int], tuple[float, Unit | None]] = {(0, 0): (0.0, None)}
        for i in range(len(theirs) + 1):
            for j in range(len(ours) + 1):
                so_far = best[i, j][0]
                for symbols, phonemes in SHAPES:
                    to = (i + symbols, j + phonemes)
                    if to[0] > len(theirs) or to[1] > len(ours):
                        continue
                    unit = (theirs[i : to[0]], ours[j : to[1]])
                    cost = so_far + self._cost(unit)
                    if to not in best or cost <= best[to][0]:
                        best[to] = (cost, unit)
        units: list[Unit] = []
        i, j = len(theirs), len(ours)
        while (last := best[i, j][1]) is not None:
            units.append(last)
            i, j = i - len(last[0]), j - len(last[1])
        return units[::-1]

    def respelled(self, theirs: Sequence[str], ours: Sequence[str]) -> Pronunciation:
        """A dictionary's pronunciation of a word in the phonemes of `ours`, espeak-ng's of it.

        Where both say the same it is `ours`.
        """
        said: list[str] = []
        for unit in self.aligned(theirs, ours):
            symbols, phonemes = unit
            if self._is_usual(unit):
                said += phonemes
            else:
                said += (p for symbol in symbols for p in self._of(symbol, phonemes))
        return tuple(said)

    def _is_usual(self, unit: Unit) -> bool:
        symbols, _ = unit
        fewest = max(FEWEST, USUAL * self._occurrences[symbols])
        return bool(symbols) and self._units[unit] >= fewest

    def _of(self, symbol: str, phonemes: Pronunciation) -> Pronunciation:
        """What a symbol stands for: one of `phonemes` if it usually does, else the commonest."""
        for phoneme in phonemes:
            if self._is_usual(((symbol,), (phoneme,))):
                return (phoneme,)
        known = self._phonemes_of[(symbol,)]
        return max(known, key=lambda phonemes: known[phonemes]) if known else ()

    def _cost(self, unit: Unit) -> float:
        if not self._total:
            symbols, phonemes = unit
            return BEFORE_ANY_IS_KNOWN[len(symbols), len(phonemes)]
        return -math.log((self._units[unit] + UNSEEN) / self._total)
