"""Which sentences to record: few that say much of what a command set knows."""

from __future__ import annotations

import random
from collections.abc import Hashable
from dataclasses import dataclass

from ..grammar.network import Acceptor, Reading, WordNetwork
from ..grammar.sampling import SampledSentence, sample_sentence

DRAWN = 2000
"""Sentences drawn to choose from."""
WEIGHTS = {"intent": 1000, "slot": 100, "value": 10, "word": 1}
"""What it counts to say something for the first time: an intent, a slot of it, a value, a word."""

_Item = tuple[str, Hashable, Hashable]


@dataclass(frozen=True, slots=True)
class Prompt:
    """A sentence to record, and what it means."""

    text: str
    reading: Reading


@dataclass(frozen=True, slots=True)
class Prompts:
    """Sentences to record, the most telling first, and what part of the commands they say."""

    prompts: tuple[Prompt, ...]
    intents: tuple[int, int]
    """How many are said, and how many there are; likewise for values of slots."""
    values: tuple[int, int]


def choose_prompts(network: WordNetwork, count: int) -> Prompts:
    """At most `count` sentences that cover intents, then slots, then their values and words.

    A greedy weighted set cover (Chvatal 1979) over sentences drawn with a fixed seed: the same
    commands give the same sentences, so that recording can go on another day.
    """
    rng = random.Random(0)
    drawn = {s.words: s for _ in range(DRAWN) if (s := sample_sentence(network, rng)).words}
    # Short sentences first: the first of several that add the same is taken.
    pool = {words: _items(drawn[words]) for words in sorted(drawn, key=lambda w: (len(w), w))}
    everything = set().union(*pool.values())
    accept = Acceptor(network)
    covered: set[_Item] = set()
    prompts: list[Prompt] = []
    while pool and len(prompts) < count:
        words = max(pool, key=lambda w: sum(WEIGHTS[item[0]] for item in pool[w] - covered))
        new = pool.pop(words) - covered
        if not new:
            break
        # What the whole network reads, not what was drawn: a sentence may have two readings.
        prompts.append(Prompt(" ".join(words), accept(words)[0]))
        covered |= new
    return Prompts(tuple(prompts), *(_share(kind, covered, everything) for kind in _COUNTED))


_COUNTED = ("intent", "value")


def _share(kind: str, covered: set[_Item], everything: set[_Item]) -> tuple[int, int]:
    said, there = (sum(item[0] == kind for item in items) for items in (covered, everything))
    return said, there


def _items(sentence: SampledSentence) -> set[_Item]:
    return {
        ("intent", sentence.intent, None),
        *(("slot", sentence.intent, slot) for slot in sentence.slots),
        *(("value", slot, value) for slot, value in sentence.slots.items()),
        *(("word", word, None) for word in sentence.words),
    }
