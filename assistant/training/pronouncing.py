"""The lexicon of a command set: what espeak-ng and a dictionary say, or the user's own."""

from __future__ import annotations

import logging
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..bundle import Inventory, Lexicon
from ..bundle_files import DICTIONARIES, WAYS_HEARD
from ..errors import ConfigError
from ..grammar.commands import CommandSet
from ..grammar.dictionary import read_dictionary
from ..grammar.phonemes import Phonemizer, Pronunciation
from ..grammar.pronunciations import Way
from ..grammar.sampling import sample_sentence
from ..grammar.wording import language_family
from .ways_heard import WaysHeard

FEWEST_PHONEMES = 4
"""What a dictionary leaves of a word at least, if espeak-ng says so many."""
CARRIER_SENTENCES = 1500
"""Sentences drawn to hear how words are said within them."""
RAREST = 0.1
"""Share of a dictionary's way below which nobody is expected to say it."""

YOURS, ESPEAK, DICTIONARY = "yours", "espeak-ng", "dictionary"
"""Who says a word in some way."""

_log = logging.getLogger(__name__)


def check_language(commands: CommandSet, inventory: Inventory, path: Path) -> None:
    """Raise ConfigError where a bundle speaks another language than a command file."""
    if language_family(inventory.language) != language_family(commands.language):
        raise ConfigError(
            f"{path}: language '{commands.language}', but {inventory.folder} speaks "
            f"{inventory.language}; choose a bundle of that language with --bundle"
        )


def words_of(commands: CommandSet) -> list[str]:
    """Every word of the sentences, and of what must not be understood, sorted."""
    words = {arc.word for arc in commands.network.arcs if arc.word}
    return sorted(words.union(*(example.words for example in commands.examples.must_not)))


@dataclass(frozen=True, slots=True)
class SpokenWay:
    """One way to say a word."""

    phonemes: tuple[int, ...]
    """Columns of the posteriors."""
    source: str
    """Who says it so: `YOURS`, `ESPEAK` or `DICTIONARY`."""
    share: float
    """How often it is said for this word; all ways together 1."""


SpokenWays = Mapping[str, Sequence[SpokenWay]]
"""All ways to say each word."""


def pronounce(commands: CommandSet, inventory: Inventory) -> Lexicon:
    """The pronunciations of every word of a command set; see `spoken_ways`."""
    return lexicon_of(ways_of(commands, inventory))


def ways_of(commands: CommandSet, inventory: Inventory) -> SpokenWays:
    """The ways to say every word of a command set; see `spoken_ways`."""
    return spoken_ways(words_of(commands), inventory, commands)


def lexicon_of(ways: SpokenWays) -> Lexicon:
    """The ways of words, however often each is said."""
    return {word: [way.phonemes for way in listed] for word, listed in ways.items()}


def spoken_ways(
    words: Sequence[str], inventory: Inventory, commands: CommandSet | None = None
) -> SpokenWays:
    """All ways to say words: the user's own, else what espeak-ng and a dictionary say.

    Args:
        words: as sentences have them.
        commands: whose pronunciations are the user's own, and within whose sentences espeak-ng
            says the words as well as alone: there they have weak forms.

    Raises:
        ConfigError: a word without pronunciation, or a phoneme that the bundle does not know.
    """
    own = commands.pronunciations if commands else {}
    phonemizer = Phonemizer(inventory.language)
    spoken = [word for word in words if word not in own or phonemizer.phonemes(word)]
    said = phonemizer.pronunciations(spoken, _carriers(commands) if commands else ())
    further = further_ways(inventory, said)
    found: dict[str, list[SpokenWay]] = {}
    for word in words:
        if word in own:
            ways = own[word].ways
            listed = [(own_phonemes(w, word, inventory, phonemizer), YOURS, 1.0) for w in ways]
        else:
            others = further.get(word, {})
            each = (1 - sum(others.values())) / len(said[word])
            listed = [(inventory.phoneme_ids(way), ESPEAK, each) for way in said[word]]
            listed += [(inventory.phoneme_ids(w), DICTIONARY, share) for w, share in others.items()]
        first: dict[tuple[int, ...], SpokenWay] = {}
        for columns, source, share in listed:
            if columns:
                first.setdefault(columns, SpokenWay(columns, source, share))
        if not first:
            raise ConfigError(
                f"'{word}' has no pronunciation that {inventory.folder} knows; add one under "
                f"'pronunciations'"
            )
        total = sum(way.share for way in first.values())
        found[word] = [replace(way, share=way.share / total) for way in first.values()]
    return found


def _carriers(commands: CommandSet) -> list[tuple[str, ...]]:
    rng = random.Random(0)
    return [sample_sentence(commands.network, rng).words for _ in range(CARRIER_SENTENCES)]


def dictionary_of(inventory: Inventory) -> Path:
    """Where the dictionary of a bundle's language is, if it has one."""
    return inventory.folder.parent / DICTIONARIES / f"{inventory.language}.tsv"


def further_ways(
    inventory: Inventory, said: Mapping[str, Sequence[Pronunciation]]
) -> dict[str, dict[Pronunciation, float]]:
    """What the dictionary of a bundle's language says of words, besides what is said of them.

    Each with its share of how often the word is said, as the bundle's `WaysHeard` has it; ways with
    less than `RAREST` are left out. Where nobody listened for them, all ways are equal. What is
    another word's already is left out: nobody is to be taken for another word. So is what makes a
    short word shorter still ("don't" without its t), for it is found in anything.

    Raises:
        ConfigError: the dictionary is damaged.
        BundleError: what the bundle knows of its ways is.
    """
    path, listened = dictionary_of(inventory), inventory.folder / WAYS_HEARD
    if not path.exists():
        return {}
    heard = WaysHeard.read(listened) if listened.exists() else None
    taken = {way for ways in said.values() for way in ways}
    further: dict[str, dict[Pronunciation, float]] = {}
    for word, ways in read_dictionary(path, said).items():
        usual = said[word]
        fewest = min(FEWEST_PHONEMES, *map(len, usual))
        odds = {
            way: max(heard.odds(word, one, way) for one in usual) if heard else 1 / len(usual)
            for way in ways
            if way not in taken and len(way) >= fewest
        }
        total = 1 + sum(odds.values())
        shares = {way: one / total for way, one in odds.items()}
        if heard:
            shares = {way: share for way, share in shares.items() if share >= RAREST}
        further[word] = shares
    return further


def warn_of_unused(commands: CommandSet) -> None:
    """Log the user's own pronunciations that no sentence needs."""
    for word in sorted(commands.pronunciations.keys() - set(words_of(commands))):
        _log.warning(unused(commands, word))


def unused(commands: CommandSet, word: str) -> str:
    """What to say about a pronunciation of a word that no sentence has."""
    where = commands.pronunciations[word].where
    return f"{where}: no sentence says '{word}'; correct its spelling or remove its pronunciation"


def own_phonemes(
    way: Way, word: str, inventory: Inventory, phonemizer: Phonemizer
) -> tuple[int, ...]:
    """Columns of the user's own pronunciation.

    Raises:
        ConfigError: with file and line: a phoneme the bundle does not know, or unsayable words.
    """
    unknown = [phoneme for phoneme in way.phonemes if phoneme not in inventory.phonemes[1:]]
    if unknown:
        raise ConfigError(
            f"{way.where}: '{unknown[0]}' in the pronunciation of '{word}' is no phoneme of "
            f"{inventory.folder}; one of: {' '.join(inventory.phonemes[1:])}"
        )
    ids = inventory.phoneme_ids(way.phonemes or phonemizer.phonemes(way.words))
    if not ids:
        raise ConfigError(
            f"{way.where}: '{way.words}' has no pronunciation itself; write other words for "
            f"'{word}', or phonemes between slashes"
        )
    return ids
