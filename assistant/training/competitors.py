"""The sentence of other meaning that is nearest to one said.

The phonemes of a sentence, written as rows of log posteriors that are the costs of confusing them,
are searched with the command graph itself: its best path of another reading is the nearest
competitor among all sentences, however many they are.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ..bundle import Lexicon
from ..grammar.commands import CommandSet
from ..grammar.confusion import Confusions
from ..grammar.graph import PhonemeGraph
from ..grammar.network import Reading, SlotAssignment
from ..grammar.sampling import SampledSentence

_WANTED = 100.0
"""Nats given to a path that sets a slot which the sentence said does not: more than it can cost."""


@dataclass(frozen=True, slots=True)
class Competitor:
    """A sentence that may be heard, and its distance from the one said in nats."""

    words: tuple[str, ...]
    reading: Reading
    distance: float


class Competitors:
    """Searches the competitors of a command set's sentences."""

    def __init__(self, commands: CommandSet, lexicon: Lexicon, confusions: Confusions) -> None:
        self._graph = PhonemeGraph.compile(commands.network, lexicon)
        self._lexicon = lexicon
        self._confusions = confusions
        self._slots: defaultdict[str, dict[str, dict[SlotAssignment, float]]] = defaultdict(dict)
        for template in commands.templates:
            for final in template.network.finals.values():
                for slot, values in template.slots.items():
                    bonus = self._slots[final.intent].setdefault(slot, {})
                    bonus |= {SlotAssignment(slot, value): _WANTED for value in values}

    def nearest(self, said: SampledSentence, rng: random.Random) -> Competitor | None:
        """The nearest sentence of another intent or other slots; None where there is none.

        Words of several pronunciations are said in one drawn with `rng`.
        """
        phonemes = [p for word in said.words for p in rng.choice(self._lexicon[word])]
        rows = self._confusions.log_probs(phonemes)
        nearest: Competitor | None = None
        for bonus in self._searches(said):
            for path in self._graph.decode(rows, bonus=bonus, best=2):
                reading = (path.intent, dict(path.slots))
                if reading == (said.intent, dict(said.slots)):
                    continue
                if nearest is None or -path.log_prob < nearest.distance:
                    words = tuple(word.word for word in path.words)
                    nearest = Competitor(words, reading, max(0.0, -path.log_prob))
        return nearest

    def _searches(self, said: SampledSentence) -> Iterator[Mapping[SlotAssignment, float]]:
        """Without bonus other ends are found; then each slot said is forbidden its value, and
        each slot not said is wanted."""
        yield {}
        for assignment in dict.fromkeys(a for a in said.assignments if a is not None):
            yield {assignment: -float("inf")}
        for slot, bonus in self._slots[said.intent].items():
            if slot not in said.slots:
                yield bonus
