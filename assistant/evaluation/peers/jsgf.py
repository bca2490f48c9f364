"""A word network as a JSpeech Grammar Format grammar (W3C note, 2000), for other recognisers.

JSGF has brackets, not nodes. What lies between a node and the first one that all ways on from it
come by again (its immediate post-dominator; Lengauer & Tarjan 1979) is one group of alternatives:
optional parts, lists and ranges of the command file come back as such. Parts in any order have no
such shape; there the groups share rules, so that the grammar stays as small as the network.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from ...grammar.network import Arc, WordNetwork

ROOT = "command"
"""The grammar's public rule: any sentence."""
RESERVED = {"grammar", "import", "public"}
"""JSGF's own words; said as words, they stand in quotes."""


@dataclass(frozen=True, slots=True)
class Word:
    """A word, and the slot of whose value it is."""

    text: str
    slot: str | None


Part = Word | int
"""A word, or the number of a group."""
Parts = tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """Alternatives, each a sequence of parts; or one, and an empty one: what may be left out.

    slot: the one slot whose values all its words are.
    """

    alternatives: tuple[Parts, ...]
    slot: str | None

    @property
    def optional(self) -> bool:
        """Whether it may be left out."""
        return () in self.alternatives


def jsgf(network: WordNetwork, language: str, name: str = "commands") -> str:
    """The grammar of all sentences of a network: one public rule, `ROOT`.

    Slot values stand in rules named after their slot. What a sentence means is not in the grammar;
    `grammar.network.Acceptor` reads it from the words.
    """
    groups = _Groups(network)
    return groups.text(language, name)


class _Groups:
    """The groups of a network; equal ones are one group."""

    def __init__(self, network: WordNetwork) -> None:
        self._network = network
        self._outgoing: list[list[Arc]] = [[] for _ in range(network.nodes + 1)]
        for arc in network.arcs:
            self._outgoing[arc.source].append(arc)
        end = network.nodes
        for node in network.finals:
            self._outgoing[node].append(Arc(node, end, None))
        self._next = _post_dominators(self._outgoing)
        self._groups: list[Group] = []
        self._numbers: dict[Group, int] = {}
        # For each node the parts that lead to its post-dominator; what comes later is known first.
        self._parts: list[Parts] = [()] * (network.nodes + 1)
        for node in reversed(range(network.nodes)):
            self._parts[node] = self._parts_from(node)
        chain = self._chain(network.start, end)
        self._root = tuple(part for node in chain for part in self._parts[node])

    def text(self, language: str, name: str) -> str:
        """The grammar, a rule a line: the public one, then those it refers to."""
        names = self._names()
        rules = [(ROOT, self._sequence(self._root, names))]
        rules += [
            (name, self._alternatives(self._groups[number], names))
            for number, name in names.items()
        ]
        lines = [f"<{name}> = {body};" for name, body in rules]
        lines[0] = f"public {lines[0]}"
        return "\n".join([f"#JSGF V1.0 UTF-8 {language};", f"grammar {name};", "", *lines, ""])

    def _parts_from(self, node: int) -> Parts:
        """What is said between a node and its post-dominator."""
        ways = []
        for arc in self._outgoing[node]:
            slot = arc.assignment.slot if arc.assignment else None
            said = () if arc.word is None else (Word(arc.word, slot),)
            ways.append((said, self._chain(arc.target, self._next[node])))
        return self._grouped(ways)

    def _grouped(self, ways: Iterable[tuple[Parts, list[int]]]) -> Parts:
        """Ways that come by the same nodes at their ends share what is said from there on.

        A way is what is said first, then the nodes that are passed.
        """
        by_last: dict[int | None, list[tuple[Parts, list[int]]]] = {}
        for said, chain in ways:
            by_last.setdefault(chain[-1] if chain else None, []).append((said, chain[:-1]))
        alternatives: dict[Parts, None] = {}
        for last, members in by_last.items():
            if last is None:
                alternatives.update((said, None) for said, _ in members)
            else:
                alternatives[(*self._grouped(members), *self._parts[last])] = None
        return self._group_of(tuple(alternatives))

    def _group_of(self, alternatives: tuple[Parts, ...]) -> Parts:
        if len(alternatives) == 1:
            return alternatives[0]
        said = tuple(parts for parts in alternatives if parts)
        if len(said) < len(alternatives):
            alternatives = (self._group_of(said), ())
        slots = {
            part.slot if isinstance(part, Word) else self._groups[part].slot
            for parts in alternatives
            for part in parts
        }
        group = Group(alternatives, slots.pop() if len(slots) == 1 else None)
        if group not in self._numbers:
            self._numbers[group] = len(self._groups)
            self._groups.append(group)
        return (self._numbers[group],)

    def _chain(self, node: int, end: int) -> list[int]:
        """The nodes from one to another that all ways between them pass; without the last."""
        chain = []
        while node != end:
            chain.append(node)
            node = self._next[node]
        return chain

    def _names(self) -> dict[int, str]:
        """Names of the groups that are rules: of slots, and those that are referred to twice."""
        uses: Counter[int] = Counter()
        slots: dict[int, str] = {}
        seen: set[int] = set()
        pending: list[tuple[Parts, str | None]] = [(self._root, None)]
        while pending:
            parts, within = pending.pop()
            for part in parts:
                if isinstance(part, Word):
                    continue
                uses[part] += 1
                group = self._groups[part]
                if group.slot not in (None, within):
                    slots[part] = group.slot
                # What may be left out stands wherever it is used; its inside is used as often.
                if part not in seen or group.optional:
                    seen.add(part)
                    within_it = None if group.optional else group.slot
                    pending += [(way, within_it) for way in group.alternatives]
        taken: Counter[str] = Counter({ROOT: 1})
        names = {}
        for number in sorted(uses, reverse=True):
            if (number in slots or uses[number] > 1) and not self._groups[number].optional:
                wanted = re.sub(r"\W", "_", slots.get(number, "part"))
                taken[wanted] += 1
                names[number] = wanted if taken[wanted] == 1 else f"{wanted}_{taken[wanted]}"
        return names

    def _sequence(self, parts: Parts, names: dict[int, str]) -> str:
        return " ".join(
            _word(part.text) if isinstance(part, Word) else self._group(part, names)
            for part in parts
        )

    def _group(self, number: int, names: dict[int, str]) -> str:
        if number in names:
            return f"<{names[number]}>"
        group = self._groups[number]
        if not group.optional:
            return f"({self._alternatives(group, names)})"
        inside, _ = group.alternatives
        alone = inside[0] if len(inside) == 1 else None
        if isinstance(alone, int) and alone not in names and not self._groups[alone].optional:
            group = self._groups[alone]
        return f"[{self._alternatives(group, names)}]"

    def _alternatives(self, group: Group, names: dict[int, str]) -> str:
        return " | ".join(self._sequence(parts, names) for parts in group.alternatives if parts)


def _word(word: str) -> str:
    return f'"{word}"' if word in RESERVED else word


def _post_dominators(outgoing: list[list[Arc]]) -> list[int]:
    """For each node but the last, the first node that all ways from it to the last come by.

    Nodes are numbered topologically: the nearest common ancestor in the tree so far (Cooper, Harvey
    & Kennedy 2001) is found by letting the lower number climb.
    """
    last = len(outgoing) - 1
    above = list(range(last + 1))
    for node in reversed(range(last)):
        common, *others = [arc.target for arc in outgoing[node]] or [last]
        for other in others:
            climbing = other
            while common != climbing:
                if common < climbing:
                    common = above[common]
                else:
                    climbing = above[climbing]
        above[node] = common
    return above
