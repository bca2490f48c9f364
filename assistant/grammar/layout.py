"""The layout of a command graph: all its states in flat arrays, so that a row costs vector work.

A run of words becomes a *chain*, the topology of CTC (Graves et al. 2006): a label state for each
phoneme, looping, and an optional blank between two of them, compulsory where they are equal
within a word. Equal phonemes on both sides of a word boundary need none, because speakers say
"gas stove" with one long s. *Junctions*, where sentences part and meet, loop on the blank, which
gives the optional blank between words. Epsilon arcs are gone: a closure over junctions, computed
beforehand, stands for them (Mohri 2002).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise, product
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError
from .network import Final, SlotAssignment, WordNetwork
from .topology import Topology

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.intp]
Pronunciations = Mapping[str, Sequence[tuple[int, ...]]]
"""Ways to say each word, as phoneme ids: columns of the posteriors, without the blank."""

BLANK = 0
START = 0
"""The blank's phoneme id, and the junction at which all sentences begin."""


class LaidWord(NamedTuple):
    """A word where it lies: label states `first` to `last`, both included."""

    word: str
    assignment: SlotAssignment | None
    first: int
    last: int


class _Chain(NamedTuple):
    first: int
    last: int
    source: int
    target: int
    value: SlotAssignment | None


@dataclass(frozen=True, eq=False, repr=False)
class GraphLayout:
    """J junctions and N label states in C chains.

    A row of scores has J + 2N positions: junctions, then labels, then the blank before each label.
    Before the first label of a chain there is no blank; its place holds the score with which the
    chain would be entered in the next row.
    """

    junctions: int
    labels: Indices
    """(N,) the phoneme of each label state; chains one after another, sorted by target."""
    skip: Floats
    """(N,) 0 where a label may follow its predecessor without a blank, else -inf."""
    chain_first: Indices
    """(C,) first label state."""
    chain_last: Indices
    """(C,) last label state."""
    chain_source: Indices
    """(C,) the junction from which the chain is entered."""
    chain_value: Indices
    """(C,) index into `values` of the slot value that begins with the chain, or -1."""
    entered: Indices
    """(K,) junctions that chains enter, ascending."""
    entered_from: Indices
    """(K,) the first chain into each of them."""
    closure: Indices
    """Junctions with a path of epsilons to junction 0, to junction 1, and so on."""
    closure_from: Indices
    """(J,) where in `closure` those of each junction begin."""
    ends: tuple[tuple[int, Final], ...]
    """Junctions at which a sentence is over; nothing leaves them."""
    words: tuple[LaidWord, ...]
    word_of: Indices
    """(N,) index into `words` of each label state."""
    values: tuple[SlotAssignment, ...]
    intents: tuple[str, ...]
    intent_of: Indices
    """(J + 2N,) index into `intents` of the only one a position can lead to, or -1."""

    @classmethod
    def of(cls, network: WordNetwork, pronunciations: Pronunciations) -> GraphLayout:
        """Lay out a word network with a lexicon; all ways to say a word weigh the same.

        Raises:
            ConfigError: a word without a usable pronunciation, or no sentence at all.
        """
        topology = Topology.of(network)
        said = {edge.word for edge in topology.edges if edge.word is not None}
        _check(said, pronunciations)
        runs = topology.runs({word for word in said if len(pronunciations[word]) == 1})

        labels: list[int] = []
        skips: list[bool] = []
        words: list[LaidWord] = []
        word_of: list[int] = []
        chains: list[_Chain] = []
        for run in sorted(runs, key=lambda run: run[-1].target):
            spoken = [edge.word or "" for edge in run]
            for variant in product(*(pronunciations[word] for word in spoken)):
                first = len(labels)
                for edge, word, phonemes in zip(run, spoken, variant, strict=True):
                    skips += [len(labels) > first, *(a != b for a, b in pairwise(phonemes))]
                    word_of += [len(words)] * len(phonemes)
                    last = len(labels) + len(phonemes) - 1
                    words.append(LaidWord(word, edge.assignment, len(labels), last))
                    labels += phonemes
                value = run[0].assignment if run[0].begins else None
                chains.append(_Chain(first, last, run[0].source, run[-1].target, value))

        targets = [chain.target for chain in chains]
        entered, entered_from = np.unique(targets, return_index=True)
        closure = topology.closure({START, *targets})
        values = list(dict.fromkeys(chain.value for chain in chains if chain.value is not None))
        intents = sorted({final.intent for _, final in topology.ends})
        only = _indices(_only(possible, intents) for possible in topology.intents())
        only_of_labels = np.repeat(
            only[targets], [chain.last - chain.first + 1 for chain in chains]
        )
        index = {value: i for i, value in enumerate(values)}
        return cls(
            junctions=topology.junctions,
            labels=_indices(labels),
            skip=np.where(skips, 0.0, -np.inf).astype(np.float32),
            chain_first=_indices(chain.first for chain in chains),
            chain_last=_indices(chain.last for chain in chains),
            chain_source=_indices(chain.source for chain in chains),
            chain_value=_indices(index[c.value] if c.value is not None else -1 for c in chains),
            entered=_indices(entered),
            entered_from=_indices(entered_from),
            closure=_indices(source for sources in closure for source in sources),
            closure_from=_indices(accumulate(map(len, closure[:-1]), initial=0)),
            ends=topology.ends,
            words=tuple(words),
            word_of=_indices(word_of),
            values=tuple(values),
            intents=tuple(intents),
            intent_of=np.concatenate([only, only_of_labels, only_of_labels]),
        )

    @property
    def positions(self) -> int:
        """Length of a row of scores, J + 2N."""
        return self.junctions + 2 * len(self.labels)

    def parts(self, scores: Floats) -> tuple[Floats, Floats, Floats]:
        """Views of a row of scores: junctions (J,), labels (N,) and the blanks before them (N,)."""
        first_blank = self.junctions + len(self.labels)
        return (
            scores[: self.junctions],
            scores[self.junctions : first_blank],
            scores[first_blank:],
        )

    def close(self, junctions: Floats) -> Floats:
        """Best score of each junction (J,) when epsilon arcs may follow."""
        closed: Floats = np.maximum.reduceat(junctions[self.closure], self.closure_from)
        return closed

    def sources(self, junction: int) -> Indices:
        """Junctions with a path of epsilons to `junction`, itself among them."""
        return _group(self.closure, self.closure_from, junction)

    def last_labels(self, junction: int) -> Indices:
        """Last label states of the chains that enter `junction`."""
        return self.chain_last[self.chains_into(junction)]

    def chains_into(self, junction: int) -> slice:
        """The chains that enter `junction`; they lie beside each other."""
        index = int(np.searchsorted(self.entered, junction))
        if index == len(self.entered) or self.entered[index] != junction:
            return slice(0)
        following = self.entered_from[index + 1 :]
        return slice(
            int(self.entered_from[index]),
            int(following[0]) if len(following) else len(self.chain_first),
        )

    def entry(self, label: int) -> int | None:
        """The junction from which a chain is entered at `label`, if that is its first."""
        chain = int(np.searchsorted(self.chain_first, label, side="right")) - 1
        return int(self.chain_source[chain]) if self.chain_first[chain] == label else None


def _check(words: Iterable[str], pronunciations: Pronunciations) -> None:
    if not words:
        raise ConfigError("the commands contain no sentence to listen for")
    for word in sorted(words):
        ways = pronunciations.get(word, ())
        if not ways or any(not way or min(way) <= BLANK for way in ways):
            raise ConfigError(f"no pronunciation for '{word}': add one to the lexicon")


def _only(possible: set[str], intents: list[str]) -> int:
    return intents.index(next(iter(possible))) if len(possible) == 1 else -1


def _group(members: Indices, starts: Indices, index: int) -> Indices:
    """Group `index` of `members`, whose groups begin at `starts`."""
    end = starts[index + 1] if index + 1 < len(starts) else len(members)
    return members[starts[index] : end]


def _indices(numbers: Iterable[int]) -> Indices:
    return np.fromiter(numbers, np.intp)
