"""The word network: every sentence of a command set as one acyclic graph.

Nodes are integers. An arc carries one word, or nothing (epsilon); the words of a slot value carry
the assignment they make. Sampling, phoneme graphs and the linter all read this one structure.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter

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


def slots_of(network: WordNetwork, intent: str) -> dict[str, tuple[SlotValue, ...]]:
    """The values that sentences of `intent` can give each slot, said or fixed."""
    slots: dict[str, dict[SlotValue, None]] = {}
    leads_there = set()
    for node, final in network.finals.items():
        if final.intent == intent:
            leads_there.add(node)
            for slot, value in final.slots.items():
                slots.setdefault(slot, {})[value] = None
    for arc in reversed(network.arcs):
        if arc.target in leads_there:
            leads_there.add(arc.source)
            if arc.assignment is not None:
                slots.setdefault(arc.assignment.slot, {})[arc.assignment.value] = None
    return {slot: _in_order(list(values)) for slot, values in sorted(slots.items())}


def _in_order(values: list[SlotValue]) -> tuple[SlotValue, ...]:
    return tuple(sorted(values, key=lambda v: (isinstance(v, str), v)))


def accepts(network: WordNetwork, words: Sequence[str]) -> list[Reading]:
    """All readings of a word sequence, as `Acceptor` gives them."""
    return Acceptor(network)(words)


class Acceptor:
    """Reads word sequences; remembers what can follow the nodes it has come by."""

    def __init__(self, network: WordNetwork) -> None:
        self._network = network
        self._following: dict[int, _Following] = {}

    def __call__(self, words: Sequence[str]) -> list[Reading]:
        """All readings, without repetition; none where the words are out of grammar.

        Those whose slots take more of the words come first ("bedroom lamp" is the lamp of that
        name, where there is one, before it is any lamp in the bedroom), then those of more slots.
        """
        states: dict[_State, int] = {(self._network.start, ()): 0}
        for word in words:
            reached: dict[_State, int] = {}
            for (node, assigned), taken in states.items():
                for arc in self._after(node).arcs.get(word, ()):
                    state = (arc.target, _assigned(assigned, arc.assignment))
                    count = taken + (arc.assignment is not None)
                    reached[state] = max(count, reached.get(state, 0))
            states = reached
        found = [
            (taken, _reading(final, assigned))
            for (node, assigned), taken in states.items()
            for final in self._after(node).finals
        ]
        found.sort(key=lambda item: (item[0], len(item[1][1])), reverse=True)
        readings: list[Reading] = []
        for _, reading in found:
            if reading not in readings:
                readings.append(reading)
        return readings

    def reach(self, words: Sequence[str]) -> tuple[int, tuple[str, ...]]:
        """How many of the words begin a sentence, and the words that may come after those."""
        nodes = [self._network.start]
        taken = 0
        for word in words:
            arcs = [arc for node in nodes for arc in self._after(node).arcs.get(word, ())]
            if not arcs:
                break
            nodes = list(dict.fromkeys(arc.target for arc in arcs))
            taken += 1
        following = (word for node in nodes for word in self._after(node).arcs)
        return taken, tuple(dict.fromkeys(following))

    def _after(self, node: int) -> _Following:
        if node not in self._following:
            found = _Following({}, [])
            reached = {node: None}
            pending = [node]
            while pending:
                at = pending.pop()
                if at in self._network.finals:
                    found.finals.append(self._network.finals[at])
                outgoing = arcs_from(self._network, at)
                for arc in outgoing:
                    if arc.word is not None:
                        found.arcs.setdefault(arc.word, []).append(arc)
                # The first is looked at next, so that readings come as the files have them.
                for arc in reversed(outgoing):
                    if arc.word is None and arc.target not in reached:
                        reached[arc.target] = None
                        pending.append(arc.target)
            self._following[node] = found
        return self._following[node]


@dataclass(frozen=True, slots=True)
class _Following:
    """What can come after a node and epsilon arcs: words, and ends of sentences."""

    arcs: dict[str, list[Arc]]
    finals: list[Final]


_State = tuple[int, tuple[SlotAssignment, ...]]
"""Where a reading has come to, and what it has assigned on the way."""


def _assigned(
    assigned: tuple[SlotAssignment, ...], assignment: SlotAssignment | None
) -> tuple[SlotAssignment, ...]:
    return assigned if assignment is None or assignment in assigned else (*assigned, assignment)


def _reading(final: Final, assignments: Iterable[SlotAssignment | None]) -> Reading:
    spoken = {assigned.slot: assigned.value for assigned in assignments if assigned}
    return final.intent, {**final.slots, **spoken}
