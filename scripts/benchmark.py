"""Measure what the assistant costs on this machine; `--help` says what."""

# ruff: noqa: PLC0415 - what is slow to load waits until it is known that it is needed

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

import assistant
from assistant.bundle_files import (
    ACOUSTIC_WEIGHTS,
    CARD,
    CONFIG,
    ENCODER_FOLDER,
    ENCODER_WEIGHTS,
    FIGURES,
    POSTERIOR_BANK,
)
from assistant.errors import AssistantError, UsageError

if TYPE_CHECKING:
    from assistant.engine import Engine

RECORDINGS = Path(__file__).parents[1] / "tests/data/recordings"
BUSY = 0.9
"""Share of a core below which a measurement is said to be disturbed."""
VERSION = 1
"""Of the JSON."""

notes = Console(stderr=True)


def measured_afresh(what: str, **arguments: object) -> dict[str, Any]:
    """What `assistant.evaluation.benchmark.child` answers in a process of its own."""
    root = str(Path(assistant.__file__).parents[1])
    paths = filter(None, [root, os.environ.get("PYTHONPATH")])
    done = subprocess.run(
        [
            *(sys.executable, "-m", "assistant.evaluation.benchmark.child"),
            *(what, json.dumps({**arguments, "spawned": time.time()})),
        ],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        line = (done.stderr.strip() or "it said nothing").splitlines()[-1]
        raise UsageError(f"the fresh process for '{what}' failed ({done.returncode}): {line}")
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def numbers(text: str | None, option: str, default: tuple[Any, ...]) -> tuple[Any, ...]:
    """Numbers with commas between them, of the kind that the default has."""
    if text is None:
        return default
    kind = type(default[0])
    try:
        found = tuple(kind(part) for part in text.split(","))
    except ValueError as error:
        raise UsageError(f"{option} {text}: give numbers with commas between them") from error
    if min(found) <= 0:
        raise UsageError(f"{option} {text}: numbers are above 0")
    return found


def command(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[FILE]…",
            help="Recordings of speech, each an utterance (default: those of the tests).",
            show_default=False,
        ),
    ] = None,
    only: Annotated[
        str | None,
        typer.Option(
            metavar="PART,…",
            help="Only these parts: compute, latency, start-up, memory, streams, length, commands.",
        ),
    ] = None,
    quick: Annotated[
        bool,
        typer.Option("--quick", help="Little of everything: does it run? The figures are rough."),
    ] = False,
    bundle: Annotated[
        str, typer.Option(metavar="NAME|DIR", help="Acoustic bundle, a folder or a name.")
    ] = "en-us",
    commands: Annotated[
        str, typer.Option(metavar="NAME|DIR", help="Compiled commands, a folder or a name.")
    ] = "home",
    threads: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=1,
            help="Threads of the networks (not of 'streams'). With more than one nothing tells "
            "whether other processes were running.",
        ),
    ] = 1,
    device: Annotated[
        str, typer.Option(metavar="auto|cpu|cuda", help="Where networks run (not of 'streams').")
    ] = "cpu",
    streams: Annotated[
        str | None,
        typer.Option(metavar="N,…", help="Batches tried (default: 1,8,64,512,4096)."),
    ] = None,
    lengths: Annotated[
        str | None,
        typer.Option(metavar="SECONDS,…", help="Of utterances (default: 2,5,10,20)."),
    ] = None,
    sentences: Annotated[
        str | None,
        typer.Option(metavar="N,…", help="Of command files (default: 10,100,1000,10000)."),
    ] = None,
    utterances: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="After which memory is looked at (default: 200)."),
    ] = None,
    json_path: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="Write all figures here, after every part."),
    ] = None,
    plots: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Draw streams and growth here, as SVG and PNG (needs matplotlib).",
        ),
    ] = None,
    card: Annotated[
        bool,
        typer.Option(
            "--card",
            help="Write size and compute into the bundle's figures and card; without --only "
            "'compute' alone is measured.",
        ),
    ] = False,
) -> None:
    """Measure what the assistant costs on this machine, part by part.

    compute: work for a second of audio by stage, of speech and of silence.

    latency: how long each fed block of 20 ms takes, by what happens in it.

    start-up: from the first import to the first decision, in a new process.

    memory: after the start and after many utterances; it should not grow.

    streams: how many one batch holds in real time: one core, all, a GPU.

    length: what the decision on a longer utterance costs.

    commands: what up to 10,000 written-out sentences cost.

    Every figure is a ratio or a percentile of one run. Leave the machine
    alone meanwhile: a line says where a part got less than 90 % of its
    core. All parts together take many minutes, streams most of them.
    """
    from assistant.config import AssistantConfig
    from assistant.evaluation.benchmark import machine, parts
    from assistant.evaluation.benchmark import plots as pictures
    from assistant.evaluation.benchmark.tables import tables

    default = ["compute"] if card else parts.PARTS
    chosen = only.split(",") if only else default
    unknown = [part for part in chosen if part not in parts.PARTS]
    if unknown:
        raise UsageError(f"--only {unknown[0]}: no such part; one of: {', '.join(parts.PARTS)}")
    chosen = [part for part in parts.PARTS if part in chosen]
    if card and (quick or "compute" not in chosen):
        raise UsageError("--card needs 'compute' measured, and not with --quick")
    if plots is not None:
        pictures.require_matplotlib()
    extent = parts.QUICK if quick else parts.Extent()
    extent = replace(
        extent,
        streams=numbers(streams, "--streams", extent.streams),
        lengths=numbers(lengths, "--lengths", extent.lengths),
        sentences=numbers(sentences, "--sentences", extent.sentences),
        utterances=utterances or extent.utterances,
    )
    recordings = files or sorted(RECORDINGS.rglob("*.flac"))[: 4 if quick else None]
    if not recordings:
        raise UsageError(f"{RECORDINGS}: no recordings there; name some")
    config = AssistantConfig(bundle=bundle, commands=commands, threads=threads, device=device)
    status = notes.status("")
    benchmark = parts.Benchmark(config, recordings, extent, measured_afresh, status.update)
    found: dict[str, Any] = {"version": VERSION, "machine": machine.description(), "quick": quick}
    found["made_from"] = benchmark.made_from()
    output = Console()
    with status:
        for part in chosen:
            found[part] = benchmark.run(part)
            for table in tables({part: found[part]}):
                output.print(table)
            # Several threads wait for one another: what share of the cores they need is not known.
            for line in disturbed(part, found[part]) if threads == 1 or part == "streams" else ():
                notes.print(line, style="yellow")
            if json_path is not None:
                json_path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    if plots is not None:
        for path in pictures.draw(found, plots):
            notes.print(f"{path}")
    if card:
        write_card(benchmark.engine, found["compute"])


def disturbed(part: str, figures: dict[str, Any]) -> list[str]:
    """A line where a part, or one of its runs, did not get the processor it could use."""
    inner = figures.get("rows", figures.get("runs"))
    measured = [figures, *(inner if isinstance(inner, list) else ())]
    shares = [one["core_share"] for one in measured if "core_share" in one]
    if not shares or min(shares) >= BUSY:
        return []
    return [
        f"{part}: got {min(shares):.0%} of the processor it could use; other processes were "
        "running, and these figures are not of the assistant alone"
    ]


def write_card(engine: Engine, figures: dict[str, Any]) -> None:
    """Put size and compute into the bundle's figures and card."""
    from assistant.training.acoustic_figures import keep_figures, write_tables

    folder = engine.acoustic.folder
    measured = {"size_mb": sizes(folder), "compute": figures}
    kept = keep_figures(folder / FIGURES, engine.acoustic.hash, measured)
    write_tables(folder / CARD, kept)


def sizes(folder: Path) -> dict[str, float]:
    """Megabytes of a bundle's parts, and of the encoder that it shares with others."""
    parts = {"acoustic model": folder / ACOUSTIC_WEIGHTS}
    parts["posterior bank"] = folder / POSTERIOR_BANK
    if "encoder_sha256" in (folder / CONFIG).read_text(encoding="utf-8"):
        parts["shared encoder"] = folder.parent / ENCODER_FOLDER / ENCODER_WEIGHTS
    return {name: round(path.stat().st_size / 1e6, 2) for name, path in parts.items()}


EXAMPLES = "\n\n".join(
    (
        "Examples:",
        "python scripts/benchmark.py --quick",
        "python scripts/benchmark.py --json figures.json --plots plots",
        "python scripts/benchmark.py --only streams --streams 1,8,64",
        "python scripts/benchmark.py --only compute,latency --bundle en-us-small own/*.wav",
        "python scripts/benchmark.py --bundle models/en-us --card",
    )
)

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
app.command(epilog=EXAMPLES, context_settings={"help_option_names": ["-h", "--help"]})(command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run with `arguments`, `sys.argv` by default; return the exit code."""
    try:
        return int(app(arguments, standalone_mode=False) or 0)
    except typer.TyperException as error:
        line, code = f"{error.format_message()} (see --help)", error.exit_code
    except AssistantError as error:
        line, code = str(error), error.exit_code
    except OSError as error:
        line, code = f"{error.filename}: {error.strerror}", 1
    notes.print(f"error: {line}", markup=False, highlight=False, soft_wrap=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
