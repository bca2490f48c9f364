"""What can be wrong with sentences as text: twofold, repeated, never needed, or very short."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from ..bundle import Lexicon
from ..grammar.automaton import Automaton
from ..grammar.commands import CommandSet
from ..grammar.finding import Finding, Gravity
from ..grammar.network import Reading, accepts
from ..grammar.overlap import Shared, is_covered, shared_sentence

FEWEST_PHONEMES = 5
"""A phrase of fewer is easily found in other people's talk and in noise."""
SHOWN = 4
"""Short phrases named of each template."""


def find_overlaps(commands: CommandSet) -> Iterator[Finding]:
    """Sentences of two readings, sentences written twice, and templates that add nothing."""
    templates = commands.templates
    automata = [Automaton(template.network) for template in templates]
    overlapping: defaultdict[int, list[int]] = defaultdict(list)
    duplicates: list[tuple[int, int, Shared]] = []
    for second, automaton in enumerate(automata):
        for first in range(second + 1):
            shared = shared_sentence(automata[first], automaton)
            if shared is None:
                continue
            if first != second:
                overlapping[second].append(first)
                overlapping[first].append(second)
            if shared.first == shared.second:
                duplicates.append((first, second, shared))
                continue
            elsewhere = f" at {templates[first].where}" if first != second else ""
            yield Finding(
                Gravity.ERROR,
                "ambiguous",
                templates[second].where,
                f"'{' '.join(shared.words)}' means {reading_text(shared.second)} here and "
                f"{reading_text(shared.first)}{elsewhere or ' too'}; let one of them say it",
            )
    needed = set(range(len(templates)))
    for number in sorted(overlapping, reverse=True):
        others = [other for other in overlapping[number] if other in needed]
        if is_covered(automata[number], [automata[other] for other in others]):
            needed.remove(number)
            places = ", ".join(templates[other].where for other in sorted(others))
            yield Finding(
                Gravity.WARNING,
                "covered",
                templates[number].where,
                f"every sentence of this line is said at {places} too; remove one of them",
            )
    for first, second, shared in duplicates:
        if second in needed and first in needed:
            yield Finding(
                Gravity.WARNING,
                "duplicate",
                templates[second].where,
                f"'{' '.join(shared.words)}' is said at {templates[first].where} too, and means "
                f"the same; one of them is enough",
            )


def reading_text(reading: Reading) -> str:
    """An intent with its slots, as `setLight(state=on)`."""
    intent, slots = reading
    return f"{intent}({', '.join(f'{slot}={value}' for slot, value in slots.items())})"


def where_said(commands: CommandSet, words: Sequence[str]) -> str:
    """Where the first template with a sentence is written; "" where none has it by itself."""
    for template in commands.templates:
        if accepts(template.network, words):
            return template.where
    return ""


def find_short(commands: CommandSet, lexicon: Lexicon) -> Iterator[Finding]:
    """Whole sentences of fewer than `FEWEST_PHONEMES` phonemes."""
    sizes = {word: min(map(len, ways)) for word, ways in lexicon.items()}
    for template in commands.templates:
        automaton = Automaton(template.network)
        found: dict[str, int] = {}
        paths: list[tuple[int, tuple[str, ...], int]] = [(template.network.start, (), 0)]
        while paths:
            node, words, size = paths.pop()
            if node in automaton.ends:
                found[" ".join(words)] = size
            for word, arcs in automaton.following[node].items():
                if size + sizes[word] < FEWEST_PHONEMES:
                    paths += [(arc.target, (*words, word), size + sizes[word]) for arc in arcs]
        if found:
            named = ", ".join(f"'{text}' ({size})" for text, size in list(found.items())[:SHOWN])
            more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
            yield Finding(
                Gravity.WARNING,
                "short",
                template.where,
                f"fewer than {FEWEST_PHONEMES} phonemes: {named}{more}; too short for a wake "
                f"phrase, and alone easily heard in other talk: add a word",
            )
