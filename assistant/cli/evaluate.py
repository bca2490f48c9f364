"""`assistant evaluate`: how well recordings are understood, with intervals, and a report."""

# ruff: noqa: PLC0415 - what is slow to load waits until the command runs

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.progress import (
    BarColumn,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

from ..errors import UsageError
from . import options
from .compared import show_comparison
from .evaluated import show_problems, show_report
from .screen import Screen

if TYPE_CHECKING:
    from ..evaluation.comparison import Report
    from ..evaluation.runner import Evaluation
    from ..evaluation.settings import Settings

EXAMPLES = options.examples(
    "assistant evaluate orders.jsonl --commands coffee",
    "assistant evaluate orders.jsonl --commands coffee --noise noise/ --snr clean,24,15,6,0 "
    "--mixing loudest-frame --json report.json",
    "assistant evaluate orders.jsonl --commands coffee --negatives talk/ --require 'exact>=0.8' "
    "--require 'false_accepts_per_hour<=0.5'",
    "assistant evaluate orders.jsonl --commands coffee --peer whisper-base --json peer.json",
    "assistant evaluate read-aloud.jsonl --bundle en-us: phoneme error alone (lines with text)",
    "assistant evaluate orders.jsonl --commands coffee --html report.html --compare before.json",
    "torchrun --nproc-per-node 2 -m assistant evaluate orders.jsonl --commands coffee "
    "--json report.json: the same figures, by two processes",
)


def command(
    manifest: Annotated[
        Path,
        typer.Argument(
            metavar="MANIFEST",
            help="JSON lines: path (relative to the file) and any of intent, slots, text, speaker.",
            show_default=False,
        ),
    ],
    commands: Annotated[
        str | None,
        typer.Option(
            "--commands",
            metavar="NAME|DIR",
            help="Compiled command set: a folder made by 'assistant train', or one inside the "
            "bundle. Without it, phoneme error alone is measured.",
        ),
    ] = None,
    bundle: options.Bundle = None,
    snr: Annotated[
        str,
        typer.Option(
            "--snr",
            metavar="LIST",
            help="Conditions: 'clean' and signal-to-noise ratios in dB, such as clean,24,15,6,0.",
        ),
    ] = "clean",
    noise: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DIR|FILE", help="Recordings of noise; a folder, a file, or several of them."
        ),
    ] = None,
    mixing: Annotated[
        str,
        typer.Option(
            metavar="mean|loudest-frame",
            help="What the ratio is between: mean powers, or the loudest 128 ms of each, as "
            "Picovoice's benchmark has it.",
        ),
    ] = "mean",
    reverb: Annotated[
        bool, typer.Option("--reverb", help="Hear every recording through a simulated room.")
    ] = False,
    negatives: Annotated[
        Path | None,
        typer.Option(
            metavar="MANIFEST|DIR",
            help="Speech in which no command is said: false accepts an hour, and the DET curve.",
        ),
    ] = None,
    speakers: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Take negatives of these speakers only (a name a line), for instance those held "
            "out of training.",
        ),
    ] = None,
    negatives_minutes: Annotated[
        float | None,
        typer.Option(
            min=0.1, metavar="N", help="Minutes of negatives that are enough; drawn by the seed."
        ),
    ] = None,
    whole: Annotated[
        bool, typer.Option("--whole", help="Take each recording as one utterance, without VAD.")
    ] = False,
    cut: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Feed N samples at a time; the results stay."),
    ] = None,
    peer: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Evaluate what you would use instead, on the same recordings and commands: "
            "whisper-base, whisper-tiny or pocketsphinx (in the extra 'peers'); or a half of the "
            "assistant itself: lstm-alone, graph-alone.",
        ),
    ] = None,
    early_commit: options.EarlyCommit = False,
    config: options.ConfigFile = None,
    false_alarms_per_hour: options.FalseAlarms = None,
    device: options.Device = None,
    workers: Annotated[
        int, typer.Option(min=1, metavar="N", help="Processes on this machine.")
    ] = 1,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Seed of all that is drawn.")] = 0,
    json: Annotated[
        Path | None, typer.Option("--json", metavar="OUT", help="Write the whole report here.")
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(
            "--html",
            metavar="OUT",
            help="Write the report as one page that needs nothing else: charts, and the worst "
            "utterances with their sound (needs the extra 'picture').",
        ),
    ] = None,
    compare: Annotated[
        Path | None,
        typer.Option(
            "--compare",
            metavar="REPORT",
            help="Show what differs from another report (--json), recording by recording, and "
            "whether that may be chance.",
        ),
    ] = None,
    require: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FIGURE>=N",
            help="Exit with 1 unless the figure is reached: 'exact>=0.80' in every condition, "
            "'exact@6>=0.85' at 6 dB, 'false_accepts_per_hour<=0.5'; may be given several times.",
        ),
    ] = None,
) -> None:
    """Measure how well recordings are understood.

    Each recording goes through the pipeline that listens to the microphone, voice activity included
    (--whole: without), under every condition of --snr. Shown are, with 95 % intervals: exact (the
    intent and every labelled slot right), strict (nothing else understood besides), slot F1, how
    many were refused, phoneme error (lines with text), false accepts an hour (--negatives) and how
    long the assistant waits.

    A broken line, a missing recording, or a label that the command set does not have is told and
    counted, and the rest is evaluated. The same seed gives the same report, whatever the number of
    processes. A run that was interrupted goes on where it was. docs/evaluation.md explains every
    figure. The exit code is 1 where a --require is not met, 2 where nothing could be evaluated.
    """
    screen = Screen()

    from ..evaluation import processes, report
    from ..evaluation.journal import Journal
    from ..evaluation.mixing import Mixing, parse_snrs
    from ..evaluation.peers.registry import peer_name
    from ..evaluation.requirements import Requirement
    from ..evaluation.runner import Evaluation
    from ..evaluation.settings import Settings

    if mixing not in [kind.value for kind in Mixing]:
        raise UsageError(f"--mixing: '{mixing}' is neither 'mean' nor 'loudest-frame'")
    settings = Settings(
        manifest=manifest,
        config=options.configuration(
            config, bundle, commands, device, false_alarms_per_hour, early_commit
        ),
        with_commands=commands is not None,
        peer=None if peer is None else peer_name(peer),
        snrs=parse_snrs(snr),
        noise=tuple(noise or ()),
        mixing=Mixing(mixing),
        reverb=reverb,
        cut=cut,
        whole=whole,
        negatives=negatives,
        speakers=speakers,
        negatives_minutes=negatives_minutes,
        seed=seed,
    )
    for path in (json, html):
        if path is not None:
            report.refuse_unwritable(path)
    before = _other_report(html, compare)
    requirements = [Requirement.parse(text, settings.snrs) for text in require or ()]
    folder = _work_folder(json, settings)
    with processes.ranks() as rank:
        evaluation = Evaluation.load(settings)
        if all(task.negative for task in evaluation.tasks):
            _refuse_nothing(screen, report.build(replace(evaluation, tasks=()), {}, 1))
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TimeRemainingColumn(),
        )
        watched = screen.progress(*columns) if rank.is_first else nullcontext(_unseen)
        with watched as bar:
            outcomes = processes.evaluate(
                evaluation,
                folder,
                rank,
                workers,
                lambda done, total: bar(done / max(total, 1), f"{done} of {total} recordings"),
            )
        if rank.is_first:
            made = report.build(evaluation, outcomes, max(workers, rank.world))
            if json is not None and made["utterances"]:
                report.write(made, json)
        processes.wait(rank)
    if not rank.is_first:
        if rank.on_machine == 0:  # the first process' own machine keeps its journal to the end
            Journal(folder).remove()
        return
    if not made["utterances"]:
        _refuse_nothing(screen, made)
    show_report(screen, made)
    if json is not None:
        screen.result(f"{json}: the whole report")
    _show_more(screen, evaluation, made, html, before)
    failures = [line for requirement in requirements for line in requirement.failures(made)]
    for line in failures:
        screen.error(line)
    Journal(folder).remove()  # everything is written
    if failures:
        raise typer.Exit(1)


def _other_report(html: Path | None, compare: Path | None) -> Report | None:
    """The report to compare with; what would fail in the end fails before anything is heard."""
    if html is not None:
        from ..evaluation.html import require_libraries

        require_libraries()
    if compare is None:
        return None
    from ..evaluation.comparison import read_report

    return read_report(compare)


def _show_more(
    screen: Screen, evaluation: Evaluation, made: Report, html: Path | None, before: Report | None
) -> None:
    """The page, and what differs from the report before."""
    if html is not None:
        from ..evaluation.html import write_html
        from ..evaluation.rehearing import Rehearing

        write_html(made, html, Rehearing(evaluation).details(made))
        screen.result(f"{html}: the report as a page")
    if before is not None:
        from ..evaluation.comparison import compare

        show_comparison(screen, compare(made, before, evaluation.settings.seed))


def _refuse_nothing(screen: Screen, report: Mapping[str, Any]) -> NoReturn:
    show_problems(screen, report["problems"])
    manifest = report["made_from"]["manifest"]
    raise UsageError(f"{manifest}: no recording of it could be evaluated; no report was made")


def _unseen(share: float, state: str) -> None:
    """One bar is enough: the other processes' are not shown."""


def _work_folder(json: Path | None, settings: Settings) -> Path:
    """Where the journal is while it runs: beside the report, else in the user's cache."""
    if json is not None:
        return json.with_name(f".{json.name}.journal")
    import hashlib

    from ..resources import cache_folder

    name = hashlib.sha256(repr(settings).encode()).hexdigest()[:16]
    return cache_folder() / "evaluate" / name
