"""Greedy phoneme error of a bundle on its held-out speakers, from the recordings themselves.

    torchrun --nproc-per-node 2 scripts/evaluate_acoustic.py --bundle models/en-us \
        --manifest ../shared/speech/manifest.jsonl --noise ../shared/noise --card

Each corpus at full context; the corpus that `--table` names also with every total delay, in noise
and across a room, with 95 % intervals by bootstrap over speakers; and the phonemes that are heard
in noise in which nobody speaks. `figures.json` in the bundle's
folder gets the figures, and `--card` writes them as tables into its `CARD.md`.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from rich.progress import Progress

from assistant.bundle import read_acoustic
from assistant.bundle_files import CARD, FIGURES, HELD_OUT_SPEAKERS
from assistant.errors import AssistantError, UsageError
from assistant.training.acoustic_evaluation import (
    BLOCKS,
    Condition,
    Evaluator,
    choose,
    summary,
)
from assistant.training.acoustic_figures import keep_figures, write_tables
from assistant.training.manifest import (
    Recording,
    audio_files,
    family,
    held_out_noise,
    read_manifest,
    read_samples,
    read_speakers,
    refuse_unknown,
)
from assistant.training.metrics import ErrorRate
from assistant.training.rows import ROWS_PER_SECOND

NOISE = [Condition(f"{snr:.0f} dB", snr_db=(snr, snr)) for snr in (20.0, 10.0, 5.0, 0.0)]
MIXED = [
    Condition("0–20 dB", snr_db=(0.0, 20.0)),
    Condition("far field", snr_db=(10.0, 10.0), room=True),
]
NOISE_ALONE = "noise alone"
DELAYS = [
    Condition(f"{b.delay * 1000 // ROWS_PER_SECOND} ms ({b.centre} + {b.lookahead} rows)", block=b)
    for b in BLOCKS
]


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--manifest", type=Path, nargs="+", required=True)
    parser.add_argument(
        "--noise",
        type=Path,
        nargs="*",
        default=[],
        help="folders of noise, of which the fifth is\ntaken that extract_features.py leaves out",
    )
    parser.add_argument("--at-most", type=int, default=150, help="recordings a corpus at most")
    parser.add_argument(
        "--table",
        default="common_voice",
        help="what the names of the corpora begin with that delays and noise are measured on;\n"
        "of these all recordings are taken",
    )
    parser.add_argument(
        "--apart",
        nargs="*",
        default=[],
        help="corpora measured by themselves, and not for delays and noise:\n"
        "people of theirs may be among the clips that were trained on without a speaker's name",
    )
    parser.add_argument(
        "--sample", type=int, default=10**6, help="of these for delays and noise, at random"
    )
    parser.add_argument(
        "--everyone", action="store_true", help="all speakers, not only the held-out ones"
    )
    parser.add_argument("--only", nargs="*", help="names of conditions, such as 'clean' or '5 dB'")
    parser.add_argument("--json", type=Path, help="write the figures here, not into the bundle")
    parser.add_argument("--card", action="store_true", help="write them into CARD.md too")
    found = parser.parse_args()
    if found.card and found.only and "clean" not in found.only:
        parser.error(
            "the card's tables stand against 'clean'; add it to --only, or leave --only out"
        )
    return found


def gathered(mine: dict[str, ErrorRate]) -> dict[str, ErrorRate]:
    """The errors by speaker of all processes together."""
    if not dist.is_initialized():
        return mine
    parts: list[dict[str, ErrorRate]] = [{} for _ in range(dist.get_world_size())]
    dist.all_gather_object(parts, mine)
    speakers = sorted({speaker for part in parts for speaker in part})
    nothing = ErrorRate(0, 0)
    return {s: sum((p.get(s, nothing) for p in parts), start=nothing) for s in speakers}


def chosen(arguments: argparse.Namespace) -> dict[str, list[Recording]]:
    """What is measured, by family of corpora; first what `--table` names, all of it, shuffled.

    Raises:
        UsageError: no recording is of the corpora that `--table` names.
    """
    recordings = [r for path in arguments.manifest for r in read_manifest(path)]
    refuse_unknown(arguments.apart, (r.corpus for r in recordings))
    if arguments.everyone:
        speakers = {r.speaker for r in recordings}
    else:
        speakers = set(read_speakers(arguments.bundle / HELD_OUT_SPEAKERS))

    def is_table(recording: Recording) -> bool:
        corpus = recording.corpus
        return corpus.startswith(arguments.table) and corpus not in arguments.apart

    table = choose([r for r in recordings if is_table(r)], speakers, 10**6)
    if not table:
        known = ", ".join(sorted({r.corpus for r in recordings if r.speaker in speakers}))
        raise UsageError(
            f"--table {arguments.table}: no recording of such a corpus is held out; there are "
            f"{known or 'none'}"
        )
    table = [table[i] for i in np.random.default_rng(0).permutation(len(table))]
    others = [r for r in recordings if not is_table(r)]
    found = {arguments.table: table}
    for recording in choose(others, speakers, arguments.at_most):
        found.setdefault(family(recording.corpus, arguments.apart), []).append(recording)
    return found


def refuse_unmeasured(only: list[str], planned: list[str]) -> None:
    """A name that is misspelt would leave the figures as they were, and say nothing.

    Raises:
        UsageError: one of `only` is not among the conditions planned.
    """
    for name in only:
        if name not in planned:
            noisy = {NOISE_ALONE, *(c.name for c in NOISE + MIXED)}
            needs = "needs --noise" if name in noisy else "is unknown"
            known = ", ".join(dict.fromkeys(planned))
            raise UsageError(f"--only: '{name}' {needs}; there are {known}")


def main() -> None:
    """Choose, measure, report."""
    arguments = parse_arguments()
    rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    torch.set_num_threads(1)
    if world > 1:
        dist.init_process_group("gloo")
    bundle = read_acoustic(arguments.bundle)
    by_corpus = chosen(arguments)
    table = by_corpus[arguments.table]
    _, noise = held_out_noise(audio_files(arguments.noise))
    if arguments.noise and not noise:
        raise UsageError("no recording of --noise is held out of training; give more of them")
    evaluator = Evaluator(bundle, [read_samples(p) for p in noise])
    plan = [("corpora", Condition("clean"), corpus, listed) for corpus, listed in by_corpus.items()]
    conditions = [("delay", c) for c in DELAYS]
    if arguments.noise:
        conditions += [("noise", c) for c in NOISE] + [("mixed", c) for c in MIXED]
    sample = table[: arguments.sample]
    if len(sample) < len(table):
        conditions.insert(0, ("sample", Condition("clean")))
    plan += [(section, c, c.name, sample) for section, c in conditions]
    names = [c.name for _, c, *_ in plan] + [NOISE_ALONE] * bool(noise)
    if arguments.only:
        refuse_unmeasured(arguments.only, names)
        names = arguments.only
        plan = [p for p in plan if p[1].name in arguments.only]
    figures: dict[str, dict[str, Any]] = {}
    with Progress(disable=rank > 0, refresh_per_second=0.5) as progress:
        total = sum(r.seconds for *_, listed in plan for r in listed[rank::world])
        task = progress.add_task("evaluating", total=total)
        for section, condition, name, listed in plan:
            mine = evaluator.measure(
                listed[rank::world], condition, lambda s: progress.advance(task, s)
            )
            found = summary(gathered(mine))
            figures.setdefault(section, {})[name] = found
            if rank == 0:
                interval = found["interval"] or "one speaker: no interval"
                progress.console.print(
                    f"{section:8} {name:28} {found['phoneme_error']:.4f}  {interval}", markup=False
                )
    if rank == 0:
        if NOISE_ALONE in names:
            figures["noise_alone"] = heard = evaluator.noise_alone()
            print(f"{NOISE_ALONE}: {heard['phonemes']} phonemes in {heard['minutes']} minutes")
        path = arguments.json or arguments.bundle / FIGURES
        measured = {"table": arguments.table, **figures}
        report = keep_figures(path, bundle.hash, measured, some=bool(arguments.only))
        if arguments.card:
            write_tables(arguments.bundle / CARD, report)
    if world > 1:
        dist.destroy_process_group()


if __name__ == "__main__":
    try:
        main()
    except AssistantError as error:
        sys.exit(f"error: {error}")
