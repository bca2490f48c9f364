"""What can be wrong with sentences as sound: words nobody can say, and values that sound alike."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import islice

import numpy as np

from ..bundle import Inventory, Lexicon
from ..errors import ConfigError
from ..grammar.commands import CommandSet
from ..grammar.confusion import Confusions, confusion_rate
from ..grammar.finding import Finding, Gravity
from ..grammar.network import SlotAssignment
from ..grammar.phonemes import Phonemizer
from ..grammar.topology import Edge, Topology
from ..types import SlotValue
from .pronouncing import own_phonemes, unused, words_of

ALIKE = 0.02
"""Predicted rate from which two sounds are worth a warning."""
SAME = 0.45
"""Predicted rate from which they are the same to the model; the highest is a half."""
FORMS = 16
"""Ways to say a value that are compared."""
VALUES = 400
"""Values of a slot that are compared with each other."""
PAIRS = 3
"""Pairs of a slot that are shown."""


def find_unpronounceable(commands: CommandSet, inventory: Inventory) -> Iterator[Finding]:
    """Words without pronunciation, phonemes the bundle lacks, pronunciations no sentence needs."""
    phonemizer = Phonemizer(inventory.language)
    known = set(inventory.phonemes[1:])
    words = words_of(commands)
    for word, own in commands.pronunciations.items():
        if word not in words:
            where, _, message = unused(commands, word).partition(": ")
            yield Finding(Gravity.WARNING, "unused", where, message)
        for way in own.ways:
            try:
                own_phonemes(way, word, inventory, phonemizer)
            except ConfigError as error:
                where, _, message = str(error).partition(": ")
                yield Finding(Gravity.ERROR, "pronunciation", where, message)
    for word in words:
        if word in commands.pronunciations:
            continue
        said = phonemizer.phonemes(word)
        unknown = list(dict.fromkeys(phoneme for phoneme in said if phoneme not in known))
        advice = f"add it to the file: pronunciations: {{{word}: words that sound like it}}"
        if not inventory.phoneme_ids(said):
            symbols = f" (espeak-ng says /{' '.join(said)}/)" if said else ""
            yield Finding(
                Gravity.ERROR,
                "pronunciation",
                _place(commands, word),
                f"'{word}' has no pronunciation in {inventory.language}{symbols}; {advice}",
            )
        elif unknown:
            yield Finding(
                Gravity.WARNING,
                "pronunciation",
                _place(commands, word),
                f"'{word}' is said /{' '.join(said)}/, but {inventory.folder} never heard "
                f"{', '.join(unknown)}; {advice}",
            )


def _place(commands: CommandSet, word: str) -> str:
    """Where the first sentence with a word, its value, or an example is written."""
    for template in commands.templates:
        for arc in template.network.arcs:
            if arc.word == word:
                place = template.places.get(arc.assignment, "") if arc.assignment else ""
                return place or template.where
    return next((e.where for e in commands.examples.must_not if word in e.words), "")


def find_alike(commands: CommandSet, lexicon: Lexicon, confusions: Confusions) -> Iterator[Finding]:
    """Values of one slot that are likely taken for one another, the likeliest of each slot."""
    said = _forms(commands)
    places: dict[SlotAssignment, str] = {}
    for template in commands.templates:
        written = {value: at or template.where for value, at in template.places.items()}
        places = {**written, **places}
    compared: set[tuple[SlotValue, ...]] = set()
    for slot, values in commands.slots.items():
        spoken = [v for v in values if said.get(SlotAssignment(slot, v))][:VALUES]
        if tuple(spoken) in compared:
            continue
        compared.add(tuple(spoken))
        forms = [
            (number, text)
            for number, value in enumerate(spoken)
            for text in said[SlotAssignment(slot, value)]
        ]
        owners = np.array([number for number, _ in forms])
        phonemes = [tuple(p for word in text for p in lexicon[word][0]) for _, text in forms]
        found: dict[tuple[int, int], tuple[float, int, int]] = {}
        for at, (number, _) in enumerate(forms):
            distances = confusions.distances(phonemes[at], phonemes)
            distances[owners == number] = np.inf
            for near in np.flatnonzero(distances <= -np.log(2 * ALIKE)).tolist():
                owner = int(owners[near])
                pair = (min(number, owner), max(number, owner))
                rate = confusion_rate(float(distances[near]))
                if rate > found.get(pair, (0.0, 0, 0))[0]:
                    found[pair] = (rate, at, near)
        ranked = sorted(found.values(), key=lambda pair: -pair[0])
        for rate, this, that in ranked[:PAIRS]:
            heard = spoken[forms[that][0]]
            where = places.get(SlotAssignment(slot, spoken[forms[this][0]]), "")
            other_place = places.get(SlotAssignment(slot, heard), "")
            elsewhere = f" ({other_place})" if other_place not in ("", where) else ""
            one, two = (" ".join(forms[index][1]) for index in (this, that))
            fate = "sound the same" if rate >= SAME else "sound alike"
            yield Finding(
                Gravity.ERROR if rate >= SAME else Gravity.WARNING,
                "alike",
                where,
                f"'{one}' and '{two}'{elsewhere} {fate} as {slot}: predicted {rate:.1%} of "
                f"the first heard as the second; say one otherwise",
                rate,
            )


def _forms(commands: CommandSet) -> Mapping[SlotAssignment, list[tuple[str, ...]]]:
    """Up to `FORMS` ways to say each slot value."""
    topology = Topology.of(commands.network)
    outgoing: defaultdict[int, list[Edge]] = defaultdict(list)
    for edge in topology.edges:
        outgoing[edge.source].append(edge)
    forms: defaultdict[SlotAssignment, dict[tuple[str, ...], None]] = defaultdict(dict)
    for edge in topology.edges:
        value = edge.assignment
        if value is not None and edge.begins and len(forms[value]) < FORMS:
            said = _completed(edge, outgoing)
            forms[value] |= dict.fromkeys(islice(said, FORMS - len(forms[value])))
    return {value: list(said) for value, said in forms.items()}


def _completed(first: Edge, outgoing: Mapping[int, list[Edge]]) -> Iterator[tuple[str, ...]]:
    """The ways to say a slot value that begins with an edge."""
    paths: list[tuple[int, tuple[str, ...]]] = [(first.target, (first.word or "",))]
    while paths:
        at, words = paths.pop()
        pending, passed, ends = [at], {at}, not outgoing.get(at)
        while pending:
            for edge in outgoing.get(pending.pop(), ()):
                if edge.word is None:
                    ends = ends or not outgoing.get(edge.target)
                    if edge.target not in passed:
                        passed.add(edge.target)
                        pending.append(edge.target)
                elif edge.assignment == first.assignment and not edge.begins:
                    paths.append((edge.target, (*words, edge.word)))
                else:
                    ends = True
        if ends:
            yield words
