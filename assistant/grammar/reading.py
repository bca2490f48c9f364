"""Reads written text as a command set would: what would "set it to 20%!" mean, had it been said?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, product

from .network import Acceptor, Reading, WordNetwork
from .wording import half_forms, number_forms, parted_at_numbers, split_words, spoken_text

_HALF = re.compile(r"(?<![\d/.,])1/2(?![/.,]?\d)")
_SPELLINGS_TRIED = 256
"""Ways to say the numbers of a text: "100" is said in three, so four of them still fit."""


def read_text(text: str, network: WordNetwork, language: str) -> list[Reading]:
    """The readings of one text; for many texts, one `TextReader` is faster."""
    return TextReader(network, language)(text)


class TextReader:
    """Reads texts of one command set."""

    def __init__(self, network: WordNetwork, language: str) -> None:
        self._accept = Acceptor(network)
        self._language = language

    def __call__(self, text: str) -> list[Reading]:
        """The readings of a text, in the order of `Acceptor`.

        Case and punctuation do not matter. Numbers may be written in digits.

        Raises:
            ConfigError: digits in a language without number words.
        """
        return self.read(text)[1]

    def read(self, text: str) -> tuple[tuple[str, ...], list[Reading]]:
        """The words a text is read by, and its readings; without readings, its usual words."""
        for words in self._spelled(text):
            if readings := self._accept(words):
                return tuple(words), readings
        return usual_words(text, self._language), []

    def furthest(self, text: str) -> Reached:
        """How far into a sentence the words of a text lead."""
        reached = [
            Reached(tuple(words), *self._accept.reach(words)) for words in self._spelled(text)
        ]
        return max(reached, key=lambda one: one.count)

    def _spelled(self, text: str) -> Iterator[list[str]]:
        return islice(_spellings(text, self._language), _SPELLINGS_TRIED)


@dataclass(frozen=True, slots=True)
class Reached:
    """The first `count` of `words` begin a sentence, which may go on with those of `following`."""

    words: tuple[str, ...]
    count: int
    following: tuple[str, ...]


def usual_words(text: str, language: str) -> tuple[str, ...]:
    """The words of a text, its numbers said in the most usual way.

    Raises:
        ConfigError: digits in a language without number words.
    """
    return tuple(next(_spellings(text, language)))


def _spellings(text: str, language: str) -> Iterator[list[str]]:
    # "20s" and "CO2" are said as two words each.
    text = re.sub(r"(?<=\d)(?=[^\W\d_])|(?<=[^\W\d_])(?=\d)", " ", text)
    text = _HALF.sub(" ½ ", text)
    pieces: list[tuple[str, ...]] = []
    for part in parted_at_numbers(text, language):
        if isinstance(part, str):
            for place, between in enumerate(part.split("½")):
                if place:
                    pieces.append(half_forms(language))
                pieces.append((spoken_text(between, language),))
        else:
            pieces.append(number_forms(part, language))
    for chosen in product(*pieces):
        yield split_words(" ".join(chosen))
