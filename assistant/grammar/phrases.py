"""Phrases around the sentences of a network: those without meaning, and those that wake."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from .builder import trimmed
from .network import Arc, Final, WordNetwork

MAXIMUM_SKIPPED = 2
"""Phrases without meaning before a sentence, and as many after it: "please could you …"."""


def with_skip_words(network: WordNetwork, phrases: Sequence[Sequence[str]]) -> WordNetwork:
    """Let phrases without meaning be said before and after every sentence, `MAXIMUM_SKIPPED` each.

    An epsilon arc leads to them, so that a walk chooses between no phrase and any of them.
    """
    if not phrases:
        return network
    arcs = list(network.arcs)
    finals = dict(network.finals)
    nodes = network.nodes

    def node() -> int:
        nonlocal nodes
        nodes += 1
        return nodes - 1

    def skip(source: int) -> int:
        """Lay the phrases from an epsilon arc to a node after them."""
        before, after = node(), node()
        arcs.append(Arc(source, before, None))
        for phrase in phrases:
            reached = before
            for word in phrase[:-1]:
                reached, previous = node(), reached
                arcs.append(Arc(previous, reached, word))
            arcs.append(Arc(reached, after, phrase[-1]))
        return after

    start = reached = node()
    arcs.append(Arc(start, network.start, None))
    for _ in range(MAXIMUM_SKIPPED):
        reached = skip(reached)
        arcs.append(Arc(reached, network.start, None))

    ends: dict[Hashable, int] = {}
    for end, final in network.finals.items():
        key = (final.intent, tuple(final.slots.items()))
        if key not in ends:
            ends[key] = reached = node()
            for _ in range(MAXIMUM_SKIPPED):
                reached = skip(reached)
                finals[reached] = final
        arcs.append(Arc(end, ends[key], None))
    return trimmed(WordNetwork(nodes, start, finals, tuple(arcs)))


def with_wake_phrases(
    network: WordNetwork, phrases: Sequence[Sequence[str]], intent: str | None = None
) -> WordNetwork:
    """Let a wake phrase be said before every sentence.

    It is optional: whether a sentence without it counts is for whoever listens.

    Args:
        intent: what a phrase alone is a sentence of; None where it is no sentence.
    """
    if not phrases:
        return network
    arcs, finals, nodes = list(network.arcs), dict(network.finals), network.nodes + 1
    start = network.nodes
    arcs.append(Arc(start, network.start, None))
    for phrase in phrases:
        reached = start
        for word in phrase:
            reached, previous, nodes = nodes, reached, nodes + 1
            arcs.append(Arc(previous, reached, word))
        if intent is not None:
            finals[reached] = Final(intent, {})
        arcs.append(Arc(reached, network.start, None))
    return trimmed(WordNetwork(nodes, start, finals, tuple(arcs)))
