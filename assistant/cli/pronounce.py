"""`assistant pronounce`: how words are said, to the ears of a bundle."""

# ruff: noqa: PLC0415 - what is slow to load waits until the command runs

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from ..errors import UsageError
from . import options
from .screen import Screen

if TYPE_CHECKING:
    from ..grammar.commands import CommandSet

EXAMPLES = options.examples(
    "assistant pronounce almond ecobee",
    "assistant pronounce --file kitchen.yaml: every word of these commands",
    "assistant pronounce luz --bundle pt-br",
)


def command(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="WORD…", help="Words, or sentences.", show_default=False),
    ] = None,
    file: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="COMMANDS.yaml",
            help="Command file whose 'pronunciations' are yours; without words, all of its words "
            "are shown. May be given several times.",
        ),
    ] = None,
    json: options.Json = False,
    bundle: options.Bundle = None,
) -> None:
    """Show how words are said: by espeak-ng, by the dictionary of the language, or by you.

    Commands are compiled with all of these ways, and whichever was heard counts; how often each
    is expected is learnt from recordings. Where none is how you say it, write yours under
    'pronunciations' in the command file, in these phonemes.
    """
    screen = Screen()
    if not words and not file:
        raise UsageError("say which words: assistant pronounce almond, or --file COMMANDS.yaml")

    from ..bundle import read_inventory
    from ..grammar.commands import load_commands
    from ..grammar.wording import split_words, spoken_text
    from ..resources import find_bundle
    from ..training.pronouncing import check_language, spoken_ways, words_of
    from .render import write_json

    inventory = read_inventory(find_bundle(options.configuration(None, bundle).bundle))
    commands: CommandSet | None = None
    if file:
        commands = load_commands(file)
        check_language(commands, inventory, file[0])
    asked = [w for text in words or () for w in split_words(spoken_text(text, inventory.language))]
    if words and not asked:
        raise UsageError(f"'{' '.join(words)}' has no letters; give words")
    known = words_of(commands) if commands else []
    # With all words of the file, as it is compiled: what is another word's is left out.
    found = spoken_ways(list(dict.fromkeys([*asked, *known])), inventory, commands)
    table = Table.grid(padding=(0, 2))
    for word in dict.fromkeys(asked or known):
        for number, way in enumerate(found[word]):
            phonemes = " ".join(inventory.phonemes[i] for i in way.phonemes)
            share = round(way.share, 2)
            if json:
                line = {"word": word, "phonemes": phonemes, "source": way.source, "share": share}
                write_json(screen, line)
            else:
                often = f"{share:.0%}" if len(found[word]) > 1 else ""
                table.add_row("" if number else word, phonemes, way.source, often)
    if not json:
        screen.output.print(table)
