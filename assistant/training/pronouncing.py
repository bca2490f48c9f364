"""The lexicon of a command set: what espeak-ng and a dictionary say, or the user's own."""

from __future__ import annotations

import logging
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..bundle import Inventory, Lexicon
from ..errors import ConfigError
from ..grammar.commands import CommandSet
from ..grammar.dictionary import Dictionary, read_dictionary
from ..grammar.phonemes import Phonemizer, Pronunciation
from ..grammar.pronunciations import Way
from ..grammar.sampling import sample_sentence
from ..grammar.wording import language_family

DICTIONARIES = "pronunciations"
"""Folder beside the bundles, with a file for each language that has one."""
FEWEST_PHONEMES = 4
"""What a dictionary leaves of a word at least, if espeak-ng says so many."""
CARRIER_SENTENCES = 1500
"""Sentences drawn to hear how words are said within them."""

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


def pronounce(commands: CommandSet, inventory: Inventory) -> Lexicon:
    """The pronunciations of every word of a command set; see `spoken_ways`."""
    ways = spoken_ways(words_of(commands), inventory, commands)
    return {word: [way.phonemes for way in listed] for word, listed in ways.items()}


def spoken_ways(
    words: Sequence[str], inventory: Inventory, commands: CommandSet | None = None
) -> dict[str, list[SpokenWay]]:
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
            ids = [
                (own_phonemes(way, word, inventory, phonemizer), YOURS) for way in own[word].ways
            ]
        else:
            ids = [(inventory.phoneme_ids(way), ESPEAK) for way in said[word]]
            ids += [(inventory.phoneme_ids(way), DICTIONARY) for way in further.get(word, ())]
        first: dict[tuple[int, ...], str] = {}
        for way, source in ids:
            if way:
                first.setdefault(way, source)
        if not first:
            raise ConfigError(
                f"'{word}' has no pronunciation that {inventory.folder} knows; add one under "
                f"'pronunciations'"
            )
        found[word] = [SpokenWay(way, source) for way, source in first.items()]
    return found


def _carriers(commands: CommandSet) -> list[tuple[str, ...]]:
    rng = random.Random(0)
    return [sample_sentence(commands.network, rng).words for _ in range(CARRIER_SENTENCES)]


def further_ways(inventory: Inventory, said: Mapping[str, Sequence[Pronunciation]]) -> Dictionary:
    """What the dictionary of a bundle's language says of words, besides what is said of them.

    What is another word's already is left out: nobody is to be taken for another word. So is what
    makes a short word shorter still ("don't" without its t), for it is found in anything.

    Raises:
        ConfigError: the dictionary is damaged.
    """
    path = inventory.folder.parent / DICTIONARIES / f"{inventory.language}.tsv"
    if not path.exists():
        return {}
    taken = {way for ways in said.values() for way in ways}
    fewest = {word: min(FEWEST_PHONEMES, *map(len, ways)) for word, ways in said.items()}
    return {
        word: tuple(way for way in ways if way not in taken and len(way) >= fewest[word])
        for word, ways in read_dictionary(path, said).items()
    }


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
