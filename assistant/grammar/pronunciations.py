"""How the user says words of their own: the `pronunciations` of a command file.

    pronunciations:
      ecobee: eco bee                 # other words that sound like it
      nguyen: /w ɪ n/                 # phonemes of the bundle, parted by spaces
      gif: [jif, /ɡ ɪ f/]             # several ways

They replace what espeak-ng would say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .phonemes import Pronunciation
from .wording import split_words, spoken_text
from .yaml_source import Located


@dataclass(frozen=True, slots=True)
class Way:
    """One way to say a word: either as `words` are said, or by its `phonemes`."""

    words: str
    phonemes: Pronunciation
    where: str


@dataclass(frozen=True, slots=True)
class OwnPronunciation:
    """All ways the user gives for a word, and where they are written."""

    ways: tuple[Way, ...]
    where: str


def own_pronunciations(
    section: Mapping[str, Located], language: str
) -> dict[str, OwnPronunciation]:
    """Words as sentences have them (lower case, no punctuation) to the ways to say them.

    Raises:
        ConfigError: with file and line: not one word, an empty way, or unbalanced slashes.
    """
    own: dict[str, OwnPronunciation] = {}
    for key, body in section.items():
        words = split_words(spoken_text(key, language))
        if len(words) != 1:
            raise body.error(
                f"'{key}' in 'pronunciations' is {len(words)} words; give each its own line"
            )
        word = words[0]
        if word in own:
            raise body.error(f"'{word}' is pronounced at {own[word].where} already; join the two")
        items = body.sequence(f"'{key}'") if isinstance(body.value, list) else [body]
        own[word] = OwnPronunciation(tuple(_way(item, key, language) for item in items), body.where)
    return own


def _way(item: Located, key: str, language: str) -> Way:
    text = item.text(f"a pronunciation of '{key}'").strip()
    if text.startswith("/") or text.endswith("/"):
        phonemes = text.strip("/").split()
        if len(text) < 2 or text[0] != text[-1] or not phonemes or "/" in text[1:-1]:
            raise item.error(
                f"'{text}' of '{key}' is neither words nor phonemes; write phonemes between two "
                f"slashes and part them by spaces, /iː k oʊ/"
            )
        return Way("", tuple(phonemes), item.where)
    words = " ".join(split_words(spoken_text(text, language)))
    if not words:
        raise item.error(f"'{text}' of '{key}' has no letters; write words that sound like it")
    return Way(words, (), item.where)
