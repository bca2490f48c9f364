"""The sentence of a grammar that is nearest to a text, and what it means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ...grammar.network import Acceptor, WordNetwork
from ...grammar.reading import TextReader, usual_words
from ...training.metrics import edit_distance
from ...types import SlotValue
from .alignment import Alignable, Alignment

SYMBOLS = {
    "en": {"%": " percent ", "°": " degrees ", "&": " and "},
    "pt": {"%": " por cento ", "°": " graus ", "&": " e "},
}
"""By language: what a transcript writes and nobody says."""


@dataclass(frozen=True, slots=True)
class Nearest:
    """The nearest sentence, and its reading.

    heard: the words of the text, numbers and symbols in words. distance: see `distance`.
    """

    heard: tuple[str, ...]
    words: tuple[str, ...]
    intent: str
    slots: Mapping[str, SlotValue]
    distance: float


def distance(one: Sequence[str], other: Sequence[str]) -> float:
    """How far two sentences are apart, from 0 (the same words) to 1 (nothing in common).

    The mean of word edits and letter edits (Levenshtein; the spaces are letters), each over the
    length of the longer sentence.
    """
    if not one or not other:
        return float(len(one) != len(other))
    number: dict[str, int] = {}
    words = [[number.setdefault(word, len(number)) for word in side] for side in (one, other)]
    letters = [[ord(letter) for letter in " ".join(side)] for side in (one, other)]
    return (
        sum(
            edit_distance(first, second) / max(len(first), len(second))
            for first, second in (words, letters)
        )
        / 2
    )


class NearestSentence:
    """Finds the nearest sentence of one word network; texts are of its language."""

    def __init__(self, network: WordNetwork, language: str) -> None:
        self._alignable = Alignable(network)
        self._language = language
        self._read = TextReader(network, language)
        self._accept = Acceptor(network)
        self._symbols = SYMBOLS.get(language.split("-", maxsplit=1)[0], {})

    def __call__(self, text: str) -> Nearest | None:
        """The nearest sentence to a transcript; None where it has no words.

        What the text means exactly, numbers spelled in any way, is taken first. Of sentences as
        near as one another, one is taken, the same every time.
        """
        for symbol, said in self._symbols.items():
            text = text.replace(symbol, said)
        words, readings = self._read.read(text)
        heard = words if readings else usual_words(text, self._language)
        if not heard:
            return None
        if not readings:
            words = Alignment(self._alignable, heard).words()
            readings = self._accept(words)
        intent, slots = readings[0]
        return Nearest(heard, words, intent, slots, distance(heard, words))
