"""The topology of a command graph: runs of words between junctions, before phonemes come in.

A word network has a node wherever a word ends. The search needs fewer and sometimes more: words
with nowhere to turn between them are joined to one run, and a node that can be passed in the
middle of a slot value and also outside of it becomes two junctions, so that a run knows whether
the value begins with it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from .network import Arc, Final, SlotAssignment, WordNetwork

_Key = tuple[int, SlotAssignment | None]
"""A node, and the slot value in the middle of which it is passed, if any."""


class Edge(NamedTuple):
    """A word (None: epsilon) between two junctions; `begins` where its slot value begins."""

    source: int
    target: int
    word: str | None
    assignment: SlotAssignment | None
    begins: bool


@dataclass(frozen=True)
class Topology:
    """Junctions are numbered in topological order; junction 0 is the start.

    Nothing leaves the junctions in `ends`: what may follow a final node leaves another one.
    """

    junctions: int
    edges: tuple[Edge, ...]
    ends: tuple[tuple[int, Final], ...]

    @classmethod
    def of(cls, network: WordNetwork) -> Topology:
        """Split the nodes of `network` as the slot values need it; dead ends are dropped."""
        alive, following = _following(network)
        outgoing: defaultdict[int, list[Arc]] = defaultdict(list)
        for arc in network.arcs:
            if arc.target in alive:
                outgoing[arc.source].append(arc)

        passed: defaultdict[int, dict[SlotAssignment | None, None]] = defaultdict(dict)
        passed[network.start][None] = None
        numbers: dict[_Key, int] = {}
        between: list[tuple[_Key, _Key, Arc]] = []
        for node, arcs in outgoing.items():
            for value in passed[node]:
                numbers[node, value] = len(numbers)
                for arc in arcs:
                    said = value if arc.word is None else arc.assignment
                    kept = said if said in following[arc.target] else None
                    passed[arc.target][kept] = None
                    between.append(((node, value), (arc.target, kept), arc))
        for node in network.finals:
            for value in passed[node]:
                numbers.setdefault((node, value), len(numbers))
        edges = [
            Edge(
                numbers[source],
                numbers[target],
                arc.word,
                arc.assignment,
                begins=arc.assignment is not None and arc.assignment != source[1],
            )
            for source, target, arc in between
        ]
        junctions = len(numbers)
        ends = []
        for node, final in network.finals.items():
            for value in passed[node]:
                end = numbers[node, value]
                if outgoing[node]:
                    edges.append(Edge(end, junctions, None, None, begins=False))
                    end, junctions = junctions, junctions + 1
                ends.append((end, final))
        return cls(junctions, tuple(dict.fromkeys(edges)), tuple(ends))

    def runs(self, unbroken: Collection[str]) -> list[list[Edge]]:
        """Join words that always follow one another, where both are in `unbroken`.

        A slot value always begins a run, because its bonus is added where a run is entered.
        """
        incoming: defaultdict[int, list[Edge]] = defaultdict(list)
        outgoing: defaultdict[int, list[Edge]] = defaultdict(list)
        for edge in self.edges:
            incoming[edge.target].append(edge)
            outgoing[edge.source].append(edge)

        def joins(before: list[Edge], after: list[Edge]) -> bool:
            return (
                len(before) == len(after) == 1
                and before[0].word in unbroken
                and after[0].word in unbroken
                and not after[0].begins
            )

        inner = {j: after[0] for j, after in outgoing.items() if joins(incoming[j], after)}
        runs = []
        for edge in self.edges:
            if edge.word is not None and edge.source not in inner:
                run = [edge]
                while run[-1].target in inner:
                    run.append(inner[run[-1].target])
                runs.append(run)
        return runs

    def closure(self, entered: Collection[int]) -> list[list[int]]:
        """For each junction itself and those of `entered` with a path of epsilons to it."""
        reaching = [{j}.intersection(entered) for j in range(self.junctions)]
        epsilons = [edge for edge in self.edges if edge.word is None]
        for edge in sorted(epsilons, key=lambda edge: edge.source):
            reaching[edge.target] |= reaching[edge.source]
        return [sorted(sources | {j}) for j, sources in enumerate(reaching)]

    def intents(self) -> list[set[str]]:
        """For each junction the intents that can still come of it."""
        intents: list[set[str]] = [set() for _ in range(self.junctions)]
        for end, final in self.ends:
            intents[end].add(final.intent)
        for edge in sorted(self.edges, key=lambda edge: edge.source, reverse=True):
            intents[edge.source] |= intents[edge.target]
        return intents


def _following(network: WordNetwork) -> tuple[set[int], Mapping[int, set[SlotAssignment]]]:
    """Nodes from which a sentence can end, and for each node the slot values of the next words."""
    alive = set(network.finals)
    following: defaultdict[int, set[SlotAssignment]] = defaultdict(set)
    for arc in reversed(network.arcs):
        if arc.target not in alive:
            continue
        alive.add(arc.source)
        if arc.word is None:
            following[arc.source] |= following[arc.target]
        elif arc.assignment is not None:
            following[arc.source].add(arc.assignment)
    return alive, following
