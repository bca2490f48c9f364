"""A word network as an automaton: what can be said next, without epsilon arcs between."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from .network import Arc, Reading, SlotAssignment, WordNetwork


@dataclass(frozen=True)
class Automaton:
    """A word network without epsilon arcs, indexed by word."""

    network: WordNetwork

    @cached_property
    def following(self) -> list[dict[str, list[Arc]]]:
        """For each node the arcs of the next word, by word; epsilons are passed."""
        following: list[dict[str, list[Arc]]] = [{} for _ in range(self.network.nodes)]
        outgoing: defaultdict[int, list[Arc]] = defaultdict(list)
        for arc in self.network.arcs:
            outgoing[arc.source].append(arc)
        # Backwards, so that what follows a node is known when its own arcs are met.
        for node in reversed(range(self.network.nodes)):
            merged: defaultdict[str, dict[tuple[int, SlotAssignment | None], Arc]]
            merged = defaultdict(dict)
            for arc in outgoing[node]:
                words = following[arc.target] if arc.word is None else {arc.word: [arc]}
                for word, arcs in words.items():
                    merged[word] |= {(a.target, a.assignment): a for a in arcs}
            following[node] = {word: list(arcs.values()) for word, arcs in merged.items()}
        return following

    def accepts(self, words: Sequence[str]) -> bool:
        """Whether a word sequence is a sentence."""
        nodes = {self.network.start}
        for word in words:
            nodes = {arc.target for node in nodes for arc in self.following[node].get(word, ())}
        return not self.ends.keys().isdisjoint(nodes)

    @cached_property
    def ends(self) -> dict[int, int]:
        """Nodes at which a sentence may be over, with the final node that follows them."""
        ends = {node: node for node in self.network.finals}
        for arc in reversed(self.network.arcs):
            if arc.word is None and arc.target in ends:
                ends.setdefault(arc.source, ends[arc.target])
        return ends

    def reading(self, node: int, assigned: Sequence[SlotAssignment | None]) -> Reading:
        """What a sentence means that ends at `node`."""
        final = self.network.finals[self.ends[node]]
        return final.intent, {**final.slots, **{a.slot: a.value for a in assigned if a}}
