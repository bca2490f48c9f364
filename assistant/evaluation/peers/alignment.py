"""Aligns words that were heard with a word network: which of its sentences is nearest to them?

A grammar has billions of sentences, so none is written out: the text is aligned with the network
itself, node by node (Viterbi; the edit distance of Wagner & Fischer 1974, carried over to weighted
automata by Mohri 2003). A word of the grammar may take any run of the text's letters, so that
"livingroom" is the living room and "cap of chino" a cappuccino.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from ...grammar.network import Arc, WordNetwork

Integers = npt.NDArray[np.int64]

EDIT = 1 << 12
"""The cost of a letter inserted or left out; one replaced costs one more, which decides between
sentences as near as one another: "of" is rather "off" than "on"."""
FAR = 1 << 50
"""A cost no alignment has."""


def longest_run(word: str) -> int:
    """Letters a word may take; more would only be picked from half a sentence."""
    return 2 * len(word) + 2


@dataclass(frozen=True)
class Alignable:
    """A word network as alignments read it; made once."""

    network: WordNetwork

    @cached_property
    def words(self) -> tuple[str, ...]:
        """Its vocabulary."""
        return tuple(dict.fromkeys(arc.word for arc in self.network.arcs if arc.word is not None))

    @cached_property
    def numbers(self) -> dict[str, int]:
        """Words to their places in `words`."""
        return {word: number for number, word in enumerate(self.words)}

    @cached_property
    def out_of(self) -> list[tuple[Integers, Integers, Integers]]:
        """For each node: targets of its epsilon arcs, then numbers and targets of its words."""
        outgoing: list[list[Arc]] = [[] for _ in range(self.network.nodes)]
        for arc in self.network.arcs:
            outgoing[arc.source].append(arc)
        return [
            (
                np.array([arc.target for arc in arcs if arc.word is None], np.int64),
                np.array([self.numbers[arc.word] for arc in arcs if arc.word], np.int64),
                np.array([arc.target for arc in arcs if arc.word], np.int64),
            )
            for arcs in outgoing
        ]

    @cached_property
    def into(self) -> dict[int, list[Arc]]:
        """The arcs that lead to each node."""
        into: dict[int, list[Arc]] = defaultdict(list)
        for arc in self.network.arcs:
            into[arc.target].append(arc)
        return into


class Alignment:
    """All beginnings of sentences against all beginnings of a text, which has words.

    A cost is `EDIT` · (word edits · letters + letter edits · words) of the text: whole numbers, in
    which a word edit weighs as much as the letters of a word of mean length. A word of the grammar
    that takes letters of several words of the text counts as an edit of each that begins there.
    """

    def __init__(self, alignable: Alignable, heard: Sequence[str]) -> None:
        self._alignable = alignable
        self._letters = np.array([ord(letter) for word in heard for letter in word])
        self._ends = np.cumsum([0, *(len(word) for word in heard)])
        self._word_cost = len(self._letters) * EDIT
        self._letter_cost = len(heard)
        # What it costs to skip all words up to each end of one.
        words, letters = np.arange(len(heard) + 1), self._ends * EDIT
        self._skipped = words * self._word_cost + letters * self._letter_cost
        # starts[d, j]: where the run of d letters begins that ends at letter j; negative for none.
        longest = min(max(map(longest_run, alignable.words)), len(self._letters))
        self._lengths = np.arange(longest + 1)[:, None]
        self._starts = np.arange(len(self._letters) + 1)[None, :] - self._lengths
        self._runs = self._run_costs()
        self._costs = self._search()

    @property
    def cost(self) -> int:
        """That of the nearest sentence."""
        return int(self._costs[self._end, -1])

    def words(self) -> tuple[str, ...]:
        """The words of the nearest sentence, by the way back."""
        network = self._alignable.network
        node, position = self._end, len(self._letters)
        path: list[str] = []
        while (node, position) != (network.start, 0):
            word, node, position = self._before(node, position, self._alignable.into[node])
            if word is not None:
                path.append(word)
        return tuple(reversed(path))

    @property
    def _end(self) -> int:
        return min(self._alignable.network.finals, key=lambda node: int(self._costs[node, -1]))

    def _search(self) -> Integers:
        """(nodes, letters + 1): the least cost of coming to a node with so many letters taken."""
        network = self._alignable.network
        costs = np.full((network.nodes, len(self._letters) + 1), FAR, np.int64)
        costs[network.start, 0] = 0
        begun = np.maximum(self._starts, 0)
        # A node's number is above those of all that lead to it.
        for node, (epsilons, words, targets) in enumerate(self._alignable.out_of):
            here = costs[node]
            # Words of the text may stand for nothing.
            at_ends = np.minimum.accumulate(here[self._ends] - self._skipped) + self._skipped
            here[self._ends] = at_ends
            if len(epsilons):
                np.minimum.at(costs, epsilons, here)
            if len(words):
                np.minimum.at(costs, targets, (here[begun] + self._runs[words]).min(axis=1))
        return costs

    def _before(self, node: int, position: int, arcs: Iterable[Arc]) -> tuple[str | None, int, int]:
        """The step that led to a node and a position: the word said, and where it came from."""
        cost = self._costs[node, position]
        for arc in arcs:
            source = self._costs[arc.source]
            if arc.word is None:
                if source[position] == cost:
                    return None, arc.source, position
                continue
            runs = self._runs[self._alignable.numbers[arc.word]]
            for length in range(min(len(runs), position + 1)):
                if source[position - length] + runs[length, position] == cost:
                    return arc.word, arc.source, position - length
        ended = int(np.searchsorted(self._ends, position))
        return None, node, int(self._ends[ended - 1])

    def _run_costs(self) -> Integers:
        """(words, longest + 1, letters + 1): what taking so many letters, up to each, costs a word.

        `FAR` where a run would begin before the text, or is longer than the word may take.
        """
        starts = np.maximum(self._starts, 0)
        ends = np.arange(len(self._letters) + 1)[None, :]
        word_starts = self._ends[:-1]
        begun = np.searchsorted(word_starts, ends) - np.searchsorted(word_starts, starts)
        is_end = np.isin(ends[0], self._ends)
        whole = (begun == 1) & is_end[ends] & is_end[starts] & (self._lengths > 0)
        changed_words = np.maximum(begun, 1) * self._word_cost
        costs = np.empty((len(self._alignable.words), *self._starts.shape), np.int64)
        by_length: dict[int, list[int]] = defaultdict(list)
        for number, word in enumerate(self._alignable.words):
            by_length[len(word)].append(number)
        for numbers in by_length.values():
            edits = self._letter_edits([self._alignable.words[number] for number in numbers])
            by_end = np.take_along_axis(edits, starts[None], axis=2)
            words = np.where(whole & (by_end == 0), 0, changed_words)
            costs[numbers] = words + by_end * self._letter_cost
            costs[numbers, longest_run(self._alignable.words[numbers[0]]) + 1 :] = FAR
        costs[:, self._starts < 0] = FAR
        return costs

    def _letter_edits(self, words: Sequence[str]) -> Integers:
        """(words, longest + 1, letters + 1): from words of one length to the run of d letters at i.

        All runs at once, a letter of the words after the other; a run beyond the end of the text
        is nonsense that nobody reads.
        """
        count, longest = len(self._letters), len(self._lengths) - 1
        after = np.concatenate([self._letters, np.full(max(longest, 1), -1)])
        shifted = np.lib.stride_tricks.sliding_window_view(after, count + 1)[:longest]
        slope = self._lengths * EDIT
        edits = np.broadcast_to(slope, (len(words), longest + 1, count + 1))
        letters = np.array([[ord(letter) for letter in word] for word in words])
        for letter in letters.T:
            changed = edits + EDIT
            differs = shifted[None] != letter[:, None, None]
            changed[:, 1:] = np.minimum(changed[:, 1:], edits[:, :-1] + differs * (EDIT + 1))
            # Insertions run along the lengths: a running minimum once their slope is taken out.
            edits = np.minimum.accumulate(changed - slope, axis=1) + slope
        return edits
