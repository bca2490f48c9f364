"""How the user says words: pronunciations learnt from what the acoustic model heard.

Of each word the phonemes heard in its place are candidates; one that explains the user's takes
better than the lexicon does, by more than its price, is a further pronunciation of the word
(Sloboda & Waibel 1996). It stands beside those of the lexicon: everyone else is heard as before.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..bundle import Lexicon
from ..grammar.graph import greedy
from .confusions import prefix_scores
from .metrics import edit_distance
from .own_speech import HeardTake
from .posterior_bank import LogProbs

PRICE = 4.0
"""Nats that a pronunciation must gain over all takes of its word."""
FARTHEST = 2
"""Phonemes at most by which it differs from the lexicon's: beyond, it is another word."""

Phonemes = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class LearntPronunciation:
    """A further way to say a word, as columns of the posteriors."""

    word: str
    phonemes: Phonemes
    gain: float
    """Nats, over all takes of the word."""
    takes: int
    """How often the word was said."""


def learn_pronunciations(heard: Sequence[HeardTake], lexicon: Lexicon) -> list[LearntPronunciation]:
    """At most one further pronunciation of each word that was said."""
    said: defaultdict[str, list[LogProbs]] = defaultdict(list)
    for take in heard:
        for word, rows in take.words():
            said[word].append(rows)
    taken = {tuple(phonemes) for ways in lexicon.values() for phonemes in ways}
    learnt: list[LearntPronunciation] = []
    for word, instances in sorted(said.items()):
        best = _best(word, instances, [tuple(way) for way in lexicon[word]], taken)
        if best is not None:
            learnt.append(best)
            taken.add(best.phonemes)  # nobody is to be taken for another word
    return learnt


def with_learnt(lexicon: Lexicon, learnt: Sequence[LearntPronunciation]) -> Lexicon:
    """The lexicon with what was learnt added."""
    further = {one.word: one.phonemes for one in learnt}
    return {
        word: [*ways, further[word]] if word in further else ways for word, ways in lexicon.items()
    }


def _best(
    word: str, instances: list[LogProbs], ways: list[Phonemes], taken: set[Phonemes]
) -> LearntPronunciation | None:
    known = [max(path_score(rows, way) for way in ways) for rows in instances]
    found: LearntPronunciation | None = None
    for candidate in sorted({tuple(greedy(rows)) for rows in instances} - taken - {()}):
        if min(edit_distance(candidate, way) for way in ways) > FARTHEST:
            continue
        gains = [
            path_score(rows, candidate) - score
            for rows, score in zip(instances, known, strict=True)
        ]
        gain = sum(max(0.0, one) for one in gains)
        if gain >= max(PRICE, found.gain if found else 0.0):
            found = LearntPronunciation(word, candidate, gain, len(instances))
    return found


def path_score(log_probs: LogProbs, phonemes: Phonemes) -> float:
    """Log probability of the best CTC path (T, P) that says `phonemes`; -inf where none fits."""
    return float(prefix_scores(log_probs, np.array(phonemes))[:, -1, -1].max())
