"""Builds word networks: a template is laid piece by piece, then its pieces are joined to words.

hassil's templates are about characters: `light[s]` is one word said in two ways. So a template is
first laid as a graph of word pieces and word boundaries; joining follows the pieces from boundary
to boundary. What comes out is trimmed, its nodes are numbered in topological order, and an
optional costs one epsilon arc.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import replace

from ..errors import ConfigError
from .network import Arc, Final, SlotAssignment, WordNetwork
from .wording import split_words

Part = Callable[[int], int]
"""Lays something from the node given and returns the node where it ends."""

BOUNDARY = " "
MAXIMUM_PERMUTED = 4


class NetworkBuilder:
    """Lays one template; each method starts at a node and returns the node where it ends."""

    start = 0

    def __init__(self) -> None:
        self._outgoing: list[list[Arc]] = [[]]

    def text(self, source: int, text: str, assignment: SlotAssignment | None = None) -> int:
        """Lay text; white space in it is a word boundary, at its ends too."""
        for piece in re.findall(r"\S+|\s+", text):
            word = BOUNDARY if piece.isspace() else piece
            target = self._node()
            self._outgoing[source].append(Arc(source, target, word, assignment))
            source = target
        return source

    def sequence(self, source: int, parts: Iterable[Part]) -> int:
        """Lay one part after the other."""
        for part in parts:
            source = part(source)
        return source

    def alternatives(self, source: int, parts: Iterable[Part]) -> int:
        """Lay the parts side by side; a part that lays nothing makes the others optional."""
        target = self._node()
        for part in parts:
            self._skip(part(source), target)
        return target

    def permutation(self, source: int, parts: Sequence[Part], optional: Sequence[bool]) -> int:
        """Lay the parts in every order, optional ones present or absent.

        A lattice over the sets of parts already said: n·2ⁿ⁻¹ copies instead of n·n!, and each
        order of each selection is exactly one path.

        Raises:
            ConfigError: more than `MAXIMUM_PERMUTED` parts.
        """
        if len(parts) > MAXIMUM_PERMUTED:
            raise ConfigError(
                f"{len(parts)} items in any order are too many; permute at most "
                f"{MAXIMUM_PERMUTED} and write the others in a fixed place"
            )
        everything = (1 << len(parts)) - 1
        after = [source] + [self._node() for _ in range(everything)]
        target = self._node()
        for said in range(everything + 1):
            unsaid = [i for i in range(len(parts)) if not said >> i & 1]
            for i in unsaid:
                self._skip(parts[i](after[said]), after[said | 1 << i])
            if all(optional[i] for i in unsaid):
                self._skip(after[said], target)
        return target

    def network(self, end: int, final: Final) -> WordNetwork:
        """Everything laid, as words; reaching `end` is saying a sentence of `final`.

        Raises:
            ConfigError: two slots' values are written without a space between them.
        """
        arcs = dict.fromkeys(self._joined())
        laid = WordNetwork(len(self._outgoing), self.start, {end: final}, tuple(arcs))
        return trimmed(_contracted(trimmed(laid)))

    def _node(self) -> int:
        self._outgoing.append([])
        return len(self._outgoing) - 1

    def _skip(self, source: int, target: int) -> None:
        if source != target:
            self._outgoing[source].append(Arc(source, target, None))

    def _joined(self) -> Iterable[Arc]:
        """Arcs of whole words: from each node along the pieces until no more can be appended."""
        appendable = self._appendable()
        for outgoing in self._outgoing:
            for first in outgoing:
                if first.word is None or first.word == BOUNDARY:
                    yield Arc(first.source, first.target, None)
                    continue
                partial = [first]
                while partial:
                    arc = partial.pop()
                    if not appendable[arc.target]:
                        yield _whole_word(arc)
                        continue
                    for following in self._outgoing[arc.target]:
                        if following.word == BOUNDARY:
                            # Past the boundary: another piece there would be another word.
                            yield _whole_word(replace(arc, target=following.target))
                        else:
                            partial.append(_append(arc, following))

    def _appendable(self) -> list[bool]:
        """For each node: can a piece follow before a boundary?"""
        known: dict[int, bool] = {}

        def visit(node: int) -> bool:
            if node not in known:
                known[node] = any(
                    arc.word != BOUNDARY and (arc.word is not None or visit(arc.target))
                    for arc in self._outgoing[node]
                )
            return known[node]

        return [visit(node) for node in range(len(self._outgoing))]


def _append(arc: Arc, following: Arc) -> Arc:
    if arc.assignment and following.assignment and arc.assignment != following.assignment:
        raise ConfigError(
            f"the values of '{arc.assignment.slot}' and '{following.assignment.slot}' would make "
            f"one word, '{arc.word}{following.word}'; put a space between them"
        )
    return Arc(
        arc.source,
        following.target,
        (arc.word or "") + (following.word or ""),
        arc.assignment or following.assignment,
    )


def _whole_word(arc: Arc) -> Arc:
    """The arc of a word to which no piece is appended any more; apostrophes alone are no word."""
    return replace(arc, word=" ".join(split_words(arc.word or "")) or None)


def union(networks: Sequence[WordNetwork]) -> WordNetwork:
    """One network of all sentences: an epsilon arc to each network, common endings shared.

    The epsilon arcs are kept so that a walk can choose among the templates as they were written.
    """
    arcs: list[Arc] = []
    finals: dict[int, Final] = {}
    offset = 1
    for network in networks:
        arcs.append(Arc(0, network.start + offset, None))
        arcs += (
            replace(arc, source=arc.source + offset, target=arc.target + offset)
            for arc in network.arcs
        )
        finals |= {node + offset: final for node, final in network.finals.items()}
        offset += network.nodes
    return trimmed(_shared_endings(trimmed(WordNetwork(offset, 0, finals, tuple(arcs)))))


def trimmed(network: WordNetwork) -> WordNetwork:
    """Drop what no sentence uses; number the nodes, and sort the arcs, topologically."""
    after: list[list[int]] = [[] for _ in range(network.nodes)]
    before: list[list[int]] = [[] for _ in range(network.nodes)]
    for arc in network.arcs:
        after[arc.source].append(arc.target)
        before[arc.target].append(arc.source)
    useful = _connected([network.start], after) & _connected(network.finals, before)
    useful.add(network.start)

    # Kahn 1962: a node comes when all that lead to it have come.
    awaited = {node: sum(source in useful for source in before[node]) for node in useful}
    ready = deque([network.start])
    order: dict[int, int] = {}
    while ready:
        node = ready.popleft()
        order[node] = len(order)
        for target in after[node]:
            if target in useful:
                awaited[target] -= 1
                if awaited[target] == 0:
                    ready.append(target)
    outgoing = _outgoing(network)
    arcs = tuple(
        Arc(order[node], order[arc.target], arc.word, arc.assignment)
        for node in order
        for arc in outgoing[node]
        if arc.target in useful
    )
    finals = {order[node]: final for node, final in network.finals.items() if node in order}
    return WordNetwork(len(order), 0, finals, arcs)


def _connected(seeds: Iterable[int], neighbours: Sequence[Sequence[int]]) -> set[int]:
    seen = set(seeds)
    pending = list(seen)
    while pending:
        for node in neighbours[pending.pop()]:
            if node not in seen:
                seen.add(node)
                pending.append(node)
    return seen


def _contracted(network: WordNetwork) -> WordNetwork:
    """Remove epsilon arcs that decide nothing: the only way out of a node, or into one.

    Expects and keeps the topological numbers that `trimmed` gives; leaves unused nodes behind.
    """
    # The only way out: whoever comes to the node might as well come to where it leads.
    becomes = list(range(network.nodes))
    outgoing = _outgoing(network)
    for node in reversed(range(network.nodes)):
        ways = {(arc.word, arc.assignment, becomes[arc.target]) for arc in outgoing[node]}
        if len(ways) == 1 and node not in network.finals:
            word, _, target = ways.pop()
            becomes[node] = target if word is None else node
    arcs = _redirected(network.arcs, becomes)
    start = becomes[network.start]

    # The only way in: whoever leaves the node might as well leave from where it was reached.
    arrivals = Counter(arc.target for arc in arcs)
    becomes = list(range(network.nodes))
    for arc in sorted(arcs, key=lambda arc: arc.target):
        if arc.word is None and arrivals[arc.target] == 1 and arc.target not in network.finals:
            becomes[arc.target] = becomes[arc.source]
    return replace(network, start=start, arcs=_redirected(arcs, becomes))


def _shared_endings(network: WordNetwork) -> WordNetwork:
    """Merge nodes from which exactly the same can be said (Revuz 1992, acyclic minimisation).

    Expects and keeps the topological numbers that `trimmed` gives; leaves unused nodes behind.
    """
    becomes = list(range(network.nodes))
    outgoing = _outgoing(network)
    known: dict[Hashable, int] = {}
    for node in reversed(range(network.nodes)):
        final = network.finals.get(node)
        future = (
            final and (final.intent, tuple(final.slots.items())),
            frozenset((arc.word, arc.assignment, becomes[arc.target]) for arc in outgoing[node]),
        )
        becomes[node] = known.setdefault(future, node)
    return replace(network, arcs=_redirected(network.arcs, becomes))


def _outgoing(network: WordNetwork) -> list[list[Arc]]:
    outgoing: list[list[Arc]] = [[] for _ in range(network.nodes)]
    for arc in network.arcs:
        outgoing[arc.source].append(arc)
    return outgoing


def _redirected(arcs: Iterable[Arc], becomes: Sequence[int]) -> tuple[Arc, ...]:
    """The arcs between the nodes that theirs have become, without loops and repetitions."""
    moved = (
        Arc(becomes[arc.source], becomes[arc.target], arc.word, arc.assignment)
        for arc in arcs
        if becomes[arc.source] != becomes[arc.target]
    )
    return tuple(dict.fromkeys(moved))
