"""Dictionaries of pronunciations: a line for each way to say a word, its phonemes parted by spaces.

    almond     ɑː m ə n d
    tomato     T AH0 M EY1 T OW2
    tomato(2)  T AH0 M AA1 T OW2     # CMUdict numbers the further ways

A bundle's phonemes are espeak-ng's. Beside the bundles lies what dictionaries say otherwise than it
does, in its phonemes (`scripts/import_pronunciations.py`).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Container
from pathlib import Path

from ..errors import ConfigError
from .phonemes import Pronunciation
from .wording import split_words, spoken_letters

Dictionary = dict[str, tuple[Pronunciation, ...]]
"""Words as sentences have them, and all ways to say each, in the dictionary's order."""

_NUMBER = re.compile(r"\(\d+\)$")


def read_dictionary(path: Path, only: Container[str] | None = None) -> Dictionary:
    """The words of a file, in lower case; what is no single word of letters is left out.

    Args:
        path: text in UTF-8; of a line what follows ` #` is left out, and all of it after `;;;`.
        only: words to keep; None for all.

    Raises:
        ConfigError: the file cannot be read, is not text, or has a word without phonemes.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read as a dictionary: {error}") from error
    found: dict[str, dict[Pronunciation, None]] = {}
    for number, line in enumerate(text.split("\n"), 1):
        written, *phonemes = line.partition(" #")[0].split() or [""]
        if not written or written.startswith((";;;", "#")):
            continue
        if not phonemes:
            raise ConfigError(
                f"{path}:{number}: '{written}' has no phonemes; write some, or no line"
            )
        word = unicodedata.normalize("NFC", _NUMBER.sub("", written)).lower()
        if (only is None or word in only) and split_words(spoken_letters(word)) == [word]:
            found.setdefault(word, {})[tuple(phonemes)] = None
    return {word: tuple(ways) for word, ways in found.items()}
