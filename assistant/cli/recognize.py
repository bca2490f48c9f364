"""`assistant recognize`: what was said in recordings, or in raw PCM on standard input."""

# ruff: noqa: PLC0415 - what is slow to load waits until the command runs

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from ..errors import AssistantError, AudioFileError
from . import options
from .screen import Screen

if TYPE_CHECKING:
    from ..actions import Dialogue
    from ..pipeline import Pipeline
    from ..types import ActionResult, Intent, Samples
    from .render import Report

EXAMPLES = options.examples(
    "assistant recognize door.wav window.flac",
    "assistant recognize --json *.wav | jq .intent",
    "arecord -t raw -f S16_LE -r 16000 | assistant recognize --events -",
    "assistant recognize --commands my-commands --actions my-actions.yaml --execute door.wav",
)


def command(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE…",
            help="Recordings (WAV, FLAC, Ogg, MP3; any rate), or - for raw 16-bit PCM.",
            show_default=False,
        ),
    ],
    json: options.Json = False,
    events: options.Events = False,
    whole: Annotated[
        bool, typer.Option("--whole", help="Take each file as one utterance, without VAD.")
    ] = False,
    realtime: Annotated[
        bool, typer.Option("--realtime", help="As fast as it was spoken, not as fast as possible.")
    ] = False,
    cut: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Feed N samples at a time (of 16 kHz); the results stay."
        ),
    ] = None,
    rate: Annotated[int, typer.Option(min=1, metavar="HZ", help="Sample rate of -.")] = 16_000,
    channels: Annotated[int, typer.Option(min=1, metavar="N", help="Channels of -.")] = 1,
    commands: options.Commands = None,
    bundle: options.Bundle = None,
    config: options.ConfigFile = None,
    actions: options.Actions = None,
    execute: options.Execute = False,
    device: options.Device = None,
    false_alarms_per_hour: options.FalseAlarms = None,
    early_commit: options.EarlyCommit = False,
    no_keep: options.NoKeep = False,
) -> None:
    """Recognise the commands in recordings and show what would be done.

    A file that cannot be read is an error line; the others are still done, and the exit code is 2.
    With --execute what needs confirmation waits for a yes, and 'assistant history' shows what was
    done.
    """
    options.refuse_together((("--json", json), ("--events", events)))
    options.refuse_together((("--whole", whole), ("--early-commit", early_commit)))
    screen = Screen()
    configuration = options.configuration(
        config, bundle, commands, device, false_alarms_per_hour, early_commit
    )

    from ..engine import Engine
    from ..recording import realtime as at_speed
    from .render import new_report
    from .sources import open_source, recut

    engine = Engine.load(configuration)
    acting = _Acting(engine.dialogue(execute, actions))
    report = new_report(screen, json, events)
    exit_code = 0
    with engine.keeper(enabled=not no_keep) as keeper:
        # A dry run shows each command by itself.
        runner = acting if execute else acting.dialogue.runner
        pipeline = engine.pipeline(runner, whole, keeper.observe)
        for file in _with_progress(files, screen):
            keeper.file = acting.file = file
            try:
                blocks = open_source(file, rate, channels)
                if realtime:
                    blocks = at_speed(blocks)
                if cut is not None:
                    blocks = recut(blocks, cut)
                _recognize(pipeline, blocks, report, file)
            except AssistantError as error:
                pipeline.reset()
                is_of_file = isinstance(error, AudioFileError)
                screen.error(str(error) if is_of_file else f"{file}: {error}")
                exit_code = max(exit_code, error.exit_code)
    raise typer.Exit(exit_code)


@dataclass
class _Acting:
    """What a pipeline acts through; `file` is what it hears, for the journal."""

    dialogue: Dialogue
    file: str = ""

    def perform(self, intent: Intent) -> ActionResult:
        """See `pipeline.Performer`."""
        return self.dialogue.hear(intent, self.file)


def _recognize(pipeline: Pipeline, blocks: Iterable[Samples], report: Report, file: str) -> None:
    report.begin(file)
    for samples in blocks:
        for event in pipeline.feed(samples):
            report.show(event)
    for event in pipeline.flush():
        report.show(event)
    report.end()


def _with_progress(files: list[str], screen: Screen) -> Iterator[str]:
    """The files, with a bar below the results where someone watches and there are several."""
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    with Progress(
        *columns,
        console=screen.notes,
        transient=True,
        disable=len(files) == 1 or not screen.is_live,
        redirect_stdout=False,
        redirect_stderr=False,
    ) as progress:
        task = progress.add_task("", total=len(files))
        for file in files:
            progress.update(task, description=file)
            yield file
            progress.advance(task)
