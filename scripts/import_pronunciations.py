"""Write down what a dictionary says otherwise than espeak-ng, in espeak-ng's phonemes.

    python scripts/import_pronunciations.py cmudict.dict --language en-us \
        --output models/pronunciations/en-us.tsv

espeak-ng says every word one way, by rules. People say "almond" without its l, and names as nobody
would guess. Commands are compiled with both: whoever is listened to decides. Dictionaries as
CMUdict's (github.com/cmusphinx/cmudict) and WikiPron's (github.com/CUNY-CL/wikipron, many
languages) are read, in whatever phonemes they are written: what stands for what is learnt
from the words themselves.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.progress import track

from assistant.errors import AssistantError, UsageError
from assistant.grammar.dictionary import Dictionary, read_dictionary
from assistant.grammar.phonemes import Phonemizer, Pronunciation
from assistant.training.respelling import PASSES, Correspondence

T = TypeVar("T")

FEWEST_WORDS = 1000
"""Words from which anything can be learnt."""


def main() -> None:
    """Read, learn, write."""
    arguments = parse()
    dictionary = read_dictionary(arguments.dictionary)
    if len(dictionary) < FEWEST_WORDS:
        raise UsageError(
            f"{arguments.dictionary} has {len(dictionary)} words; "
            f"it takes {FEWEST_WORDS} to learn what its symbols stand for"
        )
    phonemizer = Phonemizer(arguments.language)
    said = {
        word: ours
        for word in tracked(dictionary, "what espeak-ng says")
        if (ours := phonemizer.phonemes(word))
    }
    chosen = random.Random(arguments.seed).sample(
        sorted(said), min(len(said), arguments.learn_from)
    )
    known = learnt([(dictionary[word][0], said[word]) for word in chosen])
    further = otherwise(dictionary, said, known)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(as_text(further, arguments.dictionary.name), encoding="utf-8")
    ways = sum(map(len, further.values()))
    print(
        f"{arguments.output}: {ways} ways to say {len(further)} of {len(dictionary)} words "
        f"that espeak-ng does not know"
    )


def tracked(items: Collection[T], what: str) -> Iterable[T]:
    """The items, with a progress bar on standard error."""
    return track(items, what, console=Console(stderr=True))


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("dictionary", type=Path, help="a word and its phonemes a line")
    parser.add_argument("--language", required=True, help="espeak-ng's name of it: en-us, pt-br, …")
    parser.add_argument("--output", type=Path, required=True, help="file to write")
    parser.add_argument(
        "--learn-from",
        type=int,
        default=15_000,
        metavar="WORDS",
        help="words, drawn at random, from which is learnt what stands for what (%(default)s)",
    )
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def learnt(pairs: list[tuple[Pronunciation, Pronunciation]]) -> Correspondence:
    """What stands for what in pairs of the dictionary's pronunciation and espeak-ng's."""
    known = Correspondence()
    for _ in tracked(range(PASSES), "what stands for what"):
        known.learn(pairs)
    return known


def otherwise(
    dictionary: Dictionary, said: dict[str, Pronunciation], known: Correspondence
) -> Dictionary:
    """What the dictionary says that espeak-ng does not, in its phonemes."""
    further: Dictionary = {}
    for word, ours in tracked(said.items(), "respelling"):
        ways = dict.fromkeys(known.respelled(theirs, ours) for theirs in dictionary[word])
        if others := tuple(way for way in ways if way and way != ours):
            further[word] = others
    return further


def as_text(further: Dictionary, source: str) -> str:
    """The file: a line for each way."""
    lines = [f"# from {source}, by scripts/import_pronunciations.py"]
    lines += [f"{word}\t{' '.join(way)}" for word, ways in sorted(further.items()) for way in ways]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    try:
        main()
    except AssistantError as error:
        sys.exit(f"error: {error}")
