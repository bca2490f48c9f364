"""Sentences that several templates accept: twofold readings, repetitions, templates never needed.

Word networks are automata, so that both questions have exact answers without listing sentences:
what two accept is their product, and what one accepts that others do not is found by following it
and the set of places the others have reached (Hopcroft & Ullman 1979). Both stop at a limit.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .automaton import Automaton
from .network import Arc, Reading

SHARED_LIMIT = 300
"""Shared sentences looked at to find one of two readings."""
STATE_LIMIT = 30_000
"""States followed to see whether a template is covered; beyond, it is said not to be."""


@dataclass(frozen=True, slots=True)
class Shared:
    """A sentence that two templates accept, and what it means in each."""

    words: tuple[str, ...]
    first: Reading
    second: Reading


def shared_sentence(first: Automaton, second: Automaton) -> Shared | None:
    """A sentence both accept, of two readings where one of the first `SHARED_LIMIT` has such.

    An automaton and itself share the sentences that two of its paths say; only those of two
    readings are returned.
    """
    found: Shared | None = None
    for number, shared in enumerate(_shared(first, second)):
        if shared.first != shared.second:
            return shared
        found = found or shared
        if number == SHARED_LIMIT:
            break
    return None if first is second else found


_Paths = tuple[int, int, tuple[str, ...], tuple[Arc, ...], tuple[Arc, ...]]
"""Where both have come to, the words so far, and the arcs of each."""


def _shared(first: Automaton, second: Automaton) -> Iterator[Shared]:
    """Sentences of both, depth first."""
    joint = _joint(first, second)
    paths: list[_Paths] = []
    start = (first.network.start, second.network.start)
    if start in joint:
        paths.append((*start, (), (), ()))
    while paths:
        a, b, words, of_first, of_second = paths.pop()
        if a in first.ends and b in second.ends:
            yield Shared(
                words,
                first.reading(a, [arc.assignment for arc in of_first]),
                second.reading(b, [arc.assignment for arc in of_second]),
            )
        for word, x, y in _steps(first, second, a, b):
            if (x.target, y.target) in joint:
                paths.append((x.target, y.target, (*words, word), (*of_first, x), (*of_second, y)))


def _steps(first: Automaton, second: Automaton, a: int, b: int) -> Iterator[tuple[str, Arc, Arc]]:
    ahead, other = first.following[a], second.following[b]
    for word in ahead:
        for x in ahead[word] if word in other else ():
            for y in other[word]:
                yield word, x, y


def _joint(first: Automaton, second: Automaton) -> set[tuple[int, int]]:
    """Pairs of nodes from which a common ending can be reached, as far as the start reaches."""
    before: defaultdict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
    start = (first.network.start, second.network.start)
    seen = {start}
    pending = [start]
    ended = []
    while pending:
        pair = pending.pop()
        if pair[0] in first.ends and pair[1] in second.ends:
            ended.append(pair)
        for _, x, y in _steps(first, second, *pair):
            reached = (x.target, y.target)
            before[reached].append(pair)
            if reached not in seen:
                seen.add(reached)
                pending.append(reached)
    joint = set(ended)
    while ended:
        for pair in before[ended.pop()]:
            if pair not in joint:
                joint.add(pair)
                ended.append(pair)
    return joint


def is_covered(automaton: Automaton, others: Sequence[Automaton]) -> bool:
    """Whether the others together accept every sentence of an automaton."""
    start: tuple[int, frozenset[tuple[int, int]]] = (
        automaton.network.start,
        frozenset((number, other.network.start) for number, other in enumerate(others)),
    )
    seen = {start}
    pending = [start]
    while pending:
        node, places = pending.pop()
        if node in automaton.ends and not any(at in others[n].ends for n, at in places):
            return False
        for word, arcs in automaton.following[node].items():
            reached = frozenset(
                (n, arc.target) for n, at in places for arc in others[n].following[at].get(word, ())
            )
            if not reached:
                return False
            for arc in arcs:
                state = (arc.target, reached)
                if state not in seen:
                    if len(seen) == STATE_LIMIT:
                        return False
                    seen.add(state)
                    pending.append(state)
    return True
