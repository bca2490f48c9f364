"""Draws sentences from a word network, and near misses that it does not accept.

Every intent is equally likely. At each node every alternative is: the words that set the same slot
count as one alternative, so that a range of a hundred numbers does not drown what stands beside
it; then every value of the slot is equally likely, then every way to say it.
"""

from __future__ import annotations

import random
from bisect import bisect
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

from ..types import SlotValue
from .automaton import Automaton
from .network import Arc, SlotAssignment, WordNetwork


@dataclass(frozen=True, slots=True)
class SampledSentence:
    """A sentence, and what each of its words says."""

    intent: str
    words: tuple[str, ...]
    assignments: tuple[SlotAssignment | None, ...]
    """For each word, the assignment it takes part in."""
    slots: Mapping[str, SlotValue]
    """Spoken and fixed slots."""


def sample_sentence(network: WordNetwork, rng: random.Random) -> SampledSentence:
    """Draw a sentence; the same state of `rng` gives the same sentence."""
    return _sampler(_ByIdentity(network)).sentence(rng)


def sample_negative(network: WordNetwork, rng: random.Random) -> tuple[str, ...]:
    """Draw the words of a near miss: a sentence damaged until the network does not accept it.

    Words are dropped, swapped, replaced, repeated or shuffled, or the end is cut off.
    """
    return _sampler(_ByIdentity(network)).negative(rng)


class SentenceSampler:
    """A network with its alternatives weighed beforehand."""

    def __init__(self, network: WordNetwork) -> None:
        self._network = network
        self._intents = tuple(dict.fromkeys(final.intent for final in network.finals.values()))
        self._choices = {intent: _choices(network, intent) for intent in self._intents}
        self._automaton = Automaton(network)
        self._vocabulary = tuple(sorted({arc.word for arc in network.arcs if arc.word}))

    def sentence(self, rng: random.Random) -> SampledSentence:
        """Draw a sentence."""
        intent = rng.choice(self._intents)
        choices = self._choices[intent]
        node = self._network.start
        spoken: list[Arc] = []
        while (choice := choices.get(node)) is not None:
            arc = choice.arcs[bisect(choice.cumulative, rng.random())]
            if arc is None:
                break
            if arc.word is not None:
                spoken.append(arc)
            node = arc.target
        slots = dict(self._network.finals[node].slots)
        slots |= {arc.assignment.slot: arc.assignment.value for arc in spoken if arc.assignment}
        return SampledSentence(
            intent,
            tuple([arc.word for arc in spoken if arc.word]),
            tuple([arc.assignment for arc in spoken]),
            slots,
        )

    def negative(self, rng: random.Random) -> tuple[str, ...]:
        """Draw the words of a near miss; what is still a sentence is damaged further."""
        words = list(self.sentence(rng).words)
        while True:
            words = self._damaged(words, rng)
            if not self._automaton.accepts(words):
                return tuple(words)

    def _damaged(self, words: list[str], rng: random.Random) -> list[str]:
        first, last = sorted((rng.randrange(len(words)), rng.randrange(len(words))))
        damage = rng.choice(("drop", "swap", "replace", "repeat", "shuffle", "truncate"))
        # One word can be neither shortened nor put in another order.
        if len(words) == 1 and damage not in ("replace", "repeat"):
            damage = "repeat"
        if damage == "drop":
            return words[:first] + words[first + 1 :]
        if damage == "truncate":
            return words[: max(1, last)]
        if damage == "repeat":
            return words[: last + 1] + words[max(first, last - 2) :]
        damaged = list(words)
        if damage == "swap":
            damaged[first], damaged[last] = damaged[last], damaged[first]
        elif damage == "replace":
            damaged[first] = rng.choice(self._vocabulary)
        else:
            rng.shuffle(damaged)
        return damaged


@dataclass(frozen=True, slots=True)
class _Choice:
    """What can follow a node: arcs, or None for the end of the sentence."""

    arcs: tuple[Arc | None, ...]
    cumulative: tuple[float, ...]
    """Upper bounds of the arcs' shares of [0, 1); the last arc takes what rounding leaves."""


def _choices(network: WordNetwork, intent: str) -> dict[int, _Choice]:
    """By node, the choices from which a sentence of `intent` can still be reached."""
    outgoing: dict[int, list[Arc | None]] = {
        node: [None] for node, final in network.finals.items() if final.intent == intent
    }
    for arc in reversed(network.arcs):
        if arc.target in outgoing:
            outgoing.setdefault(arc.source, []).append(arc)
    return {node: _weighed(arcs) for node, arcs in outgoing.items()}


def _weighed(arcs: list[Arc | None]) -> _Choice:
    slots: dict[Hashable, dict[Hashable, list[Arc | None]]] = {}
    for arc in arcs:
        assignment = arc and arc.assignment
        slot, value = (assignment.slot, assignment.value) if assignment else (arc, None)
        slots.setdefault(slot, {}).setdefault(value, []).append(arc)
    weighed = [
        (arc, 1 / len(slots) / len(values) / len(ways))
        for values in slots.values()
        for ways in values.values()
        for arc in ways
    ]
    bounds = accumulate(weight for _, weight in weighed[:-1])
    return _Choice(tuple(arc for arc, _ in weighed), tuple(bounds))


class _ByIdentity:
    """A key for the cache: networks are compared as objects, not arc by arc."""

    def __init__(self, network: WordNetwork) -> None:
        self.network = network

    def __hash__(self) -> int:
        return id(self.network)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ByIdentity) and self.network is other.network


@lru_cache(maxsize=4)
def _sampler(key: _ByIdentity) -> SentenceSampler:
    return SentenceSampler(key.network)
