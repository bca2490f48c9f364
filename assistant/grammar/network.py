"""The word network: every sentence of a command set as one acyclic graph.

Nodes are integers. An arc carries one word, or nothing (epsilon); the words of a slot value carry
the assignment they make. Sampling, phoneme graphs and the linter all read this one structure.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter, itemgetter

from ..types import SlotValue


@dataclass(frozen=True, slots=True)
class SlotAssignment:
    """Saying this word (with its neighbours of the same assignment) sets `slot` to `value`."""

    slot: str
    value: SlotValue


@dataclass(frozen=True, slots=True)
class Arc:
    """One word (None: epsilon) between two nodes."""

    source: int
    target: int
    word: str | None
    assignment: SlotAssignment | None = None


@dataclass(frozen=True, slots=True)
class Final:
    """Reaching this node ends a sentence of `intent`, with the slots its block fixes."""

    intent: str
    slots: Mapping[str, SlotValue]


@dataclass(frozen=True, slots=True)
class WordNetwork:
    """Acyclic graph from `start` to the nodes of `finals`; arcs sorted topologically by source."""

    nodes: int
    start: int
    finals: Mapping[int, Final]
    arcs: tuple[Arc, ...]


# ── reading a network ──────────────────────────────────────────────────────────────────────

Reading = tuple[str, dict[str, SlotValue]]
"""An intent and the slots a sentence of it sets."""


def arcs_from(network: WordNetwork, node: int) -> tuple[Arc, ...]:
    """The arcs that leave `node`; the arcs' order makes this a binary search."""
    source = attrgetter("source")
    first = bisect_left(network.arcs, node, key=source)
    return network.arcs[first : bisect_left(network.arcs, node + 1, lo=first, key=source)]


def count_sentences(network: WordNetwork) -> int:
    """Number of paths from start to a final node; one a sentence unless a sentence is ambiguous."""
    paths = [0] * network.nodes
    for node in network.finals:
        paths[node] = 1
    for arc in reversed(network.arcs):
        paths[arc.source] += paths[arc.target]
    return paths[network.start]


def sentences_of(
    network: WordNetwork, limit: int | None = None
) -> Iterator[tuple[tuple[str, ...], Reading]]:
    """Enumerate sentences depth first, at most `limit`: the words, and their reading."""
    paths: list[tuple[int, tuple[Arc, ...]]] = [(network.start, ())]
    produced = 0
    while paths and produced != limit:
        node, path = paths.pop()
        if node in network.finals:
            words = tuple(arc.word for arc in path if arc.word is not None)
            yield words, _reading(network.finals[node], (arc.assignment for arc in path))
            produced += 1
        paths.extend((arc.target, (*path, arc)) for arc in reversed(arcs_from(network, node)))


def accepts(network: WordNetwork, words: Sequence[str]) -> list[Reading]:
    """All readings of a word sequence, without repetition; empty where it is out of grammar.

    Those whose slots take more of the words come first: "bedroom lamp" is the lamp of that name,
    where there is one, before it is any lamp in the bedroom.
    """
    states = _with_epsilons(network, {(network.start, ()): 0})
    for word in words:
        reached: dict[_State, int] = {}
        for (node, assigned), taken in states.items():
            for arc in arcs_from(network, node):
                if arc.word == word:
                    state = (arc.target, _assigned(assigned, arc.assignment))
                    count = taken + (arc.assignment is not None)
                    reached[state] = max(count, reached.get(state, 0))
        states = _with_epsilons(network, reached)
    readings: list[tuple[int, Reading]] = []
    for (node, assigned), taken in states.items():
        if node in network.finals:
            readings.append((taken, _reading(network.finals[node], assigned)))
    readings.sort(key=itemgetter(0), reverse=True)
    distinct: list[Reading] = []
    for _, reading in readings:
        if reading not in distinct:
            distinct.append(reading)
    return distinct


_State = tuple[int, tuple[SlotAssignment, ...]]
"""Where a reading has come to, and what it has assigned on the way."""


def _with_epsilons(network: WordNetwork, states: Mapping[_State, int]) -> dict[_State, int]:
    """The states, and those reached from them without a word; each with its count of words."""
    reached = dict(states)
    pending = list(reached)
    while pending:
        origin = pending.pop()
        for arc in arcs_from(network, origin[0]):
            state = (arc.target, origin[1])
            if arc.word is None and reached.get(state, -1) < reached[origin]:
                reached[state] = reached[origin]
                pending.append(state)
    return reached


def _assigned(
    assigned: tuple[SlotAssignment, ...], assignment: SlotAssignment | None
) -> tuple[SlotAssignment, ...]:
    return assigned if assignment is None or assignment in assigned else (*assigned, assignment)


def _reading(final: Final, assignments: Iterable[SlotAssignment | None]) -> Reading:
    spoken = {assigned.slot: assigned.value for assigned in assignments if assigned}
    return final.intent, {**final.slots, **spoken}
