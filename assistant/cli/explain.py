"""`assistant explain`: why an utterance was understood as it was, or refused."""

# ruff: noqa: PLC0415 - what is slow to load waits until the command runs

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import UsageError
from . import options
from .screen import Screen

if TYPE_CHECKING:
    from ..explanation import Explanation

EXAMPLES = options.examples(
    "assistant explain: the last utterance that 'recognize', 'listen' or 'serve' heard",
    "assistant explain door.wav --picture door.svg",
    "assistant explain --commands my-commands: what other commands would have made of it",
    "assistant explain --json door.wav | jq .alignment",
)


def command(
    file: Annotated[
        str | None,
        typer.Argument(
            metavar="[FILE]",
            help="A recording; without it the last utterance that was heard.",
            show_default=False,
        ),
    ] = None,
    json: options.Json = False,
    picture: Annotated[
        Path | None,
        typer.Option(
            "--picture",
            metavar="OUT.svg",
            help="Draw it as well (SVG, PNG, PDF; of several utterances OUT-1.svg, OUT-2.svg, …; "
            "needs the extra 'picture').",
        ),
    ] = None,
    whole: Annotated[
        bool, typer.Option("--whole", help="Take the file as one utterance, without VAD.")
    ] = False,
    commands: options.Commands = None,
    bundle: options.Bundle = None,
    config: options.ConfigFile = None,
    device: options.Device = None,
) -> None:
    """Explain a decision: phonemes, hypotheses with scores, alignment, confidence and reason.

    A phoneme of the sentence that fits badly is marked with what was heard in its place.
    """
    screen = Screen()
    if picture is not None:
        from .picture import draw, require_matplotlib

        require_matplotlib(picture)
    if file is None and whole:
        raise UsageError("--whole is for a recording; name one")

    from .explained import explanation_object, lines
    from .render import write_json

    if file is not None:
        heard = _of_recording(file, whole, config, bundle, commands, device)
    else:
        heard = _of_last(config, bundle, commands, device)
    explained = list(heard)
    for index, (name, note, explanation) in enumerate(explained, start=1):
        if json:
            write_json(screen, explanation_object(name, explanation))
        else:
            for line in lines(name, note, explanation):
                screen.result(line)
        if picture is not None:
            several = len(explained) > 1
            path = picture.with_stem(f"{picture.stem}-{index}") if several else picture
            draw(explanation, path)
            screen.note(f"drawn: {path}")
    if not explained and json:
        screen.note(f"{file}: no speech")
    elif not explained:
        screen.result(f"{file}  no speech")


Named = tuple[str, str, "Explanation"]
"""Where it comes from, what is to be said of that, and the explanation."""


def _of_recording(
    file: str,
    whole: bool,
    config: Path | None,
    bundle: str | None,
    commands: str | None,
    device: str | None,
) -> Iterator[Named]:
    """Every utterance of a recording, as `recognize` decides it."""
    from ..engine import Engine
    from ..explanation import explain
    from ..recording import read_file
    from ..types import Utterance

    blocks = read_file(file)
    engine = Engine.load(options.configuration(config, bundle, commands, device))
    utterances: list[Utterance] = []
    pipeline = engine.pipeline(whole=whole, observe=utterances.append)
    for samples in blocks:
        pipeline.feed(samples)
    pipeline.flush()
    for utterance in utterances:
        columns, row_ms = engine.acoustic.phonemes, engine.acoustic.features.row_ms
        yield file, "", explain(utterance, pipeline.intent, columns, row_ms)


def _of_last(
    config: Path | None, bundle: str | None, commands: str | None, device: str | None
) -> Iterator[Named]:
    """What was kept, as it was decided; anew where the options name other commands or settings."""
    from ..engine import Engine
    from ..explanation import explain
    from ..kept import read_kept

    kept = read_kept()
    listener, utterance = kept.listener, kept.utterance
    is_anew = any((config, bundle, commands))
    if config is None:
        bundle, commands = bundle or listener.bundle, commands or listener.commands
    configuration = options.configuration(config, bundle, commands, device)
    if config is None:
        configuration = replace(configuration, decision=listener.decision)
    engine = Engine.load(configuration)
    if engine.acoustic.hash != listener.acoustic_hash:
        raise UsageError(
            f"the last utterance was heard with the bundle {listener.bundle} as it was then; "
            "let 'assistant recognize' or 'assistant listen' hear it again with the one you name"
        )
    decoder = engine.decoder()
    note = f"heard {kept.when}"
    is_other = engine.commands.source_hash != listener.source_hash
    if listener.commands_hash:  # adapting changes the set and not its source
        is_other = engine.commands.hash != listener.commands_hash
    if is_anew or is_other:
        utterance = replace(utterance, decision=decoder.decide(utterance.log_probs))
        note += ", decided anew by other commands or settings"
    columns = engine.acoustic.phonemes
    yield kept.file, note, explain(utterance, decoder, columns, listener.row_ms)
