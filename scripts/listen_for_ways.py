"""Listen to held-out people for how often a bundle hears what its dictionary says.

    torchrun --nproc-per-node 2 scripts/listen_for_ways.py --bundle models/en-us \
        --manifest speech/manifest.jsonl --except synthetic_kokoro

A dictionary (`scripts/import_pronunciations.py`) says how else words are said, not how often. Here
the sentences of held-out people are compared with each of their words said otherwise; what that
tells of all words is written to `ways_heard.json` in the bundle's folder, and `assistant train`
compiles commands with the ways that are heard, as often as they are. The texts of everybody else
count as what was trained on: name all speech of the training.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import astuple
from pathlib import Path

import torch
import torch.distributed as dist
from rich.progress import Progress

from assistant.bundle import read_acoustic
from assistant.bundle_files import HELD_OUT_SPEAKERS, WAYS_HEARD
from assistant.errors import AssistantError, UsageError
from assistant.grammar.dictionary import read_dictionary
from assistant.nn.precision import fastest
from assistant.training import corpora
from assistant.training.acoustic_evaluation import Condition, Evaluator, choose
from assistant.training.manifest import read_speakers, trained_on
from assistant.training.pronouncing import dictionary_of
from assistant.training.ways_heard import (
    Listener,
    Occurrence,
    cross_validated,
    learn,
    times_met,
)

FEWEST_OCCURRENCES = 300
"""From which something can be told."""


def main() -> None:
    """Listen, learn, write."""
    arguments = parse()
    rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    torch.set_num_threads(1)
    bundle = read_acoustic(arguments.bundle)
    path = dictionary_of(bundle.inventory)
    if not path.exists():
        raise UsageError(f"{path}: no dictionary; scripts/import_pronunciations.py makes one")
    dictionary = read_dictionary(path)
    found = corpora.named_in(arguments)
    if rank == 0:
        print("\n".join(corpus.summary for corpus in found), flush=True)
    recordings = [r for c in found for r in c.recordings if r.corpus not in arguments.exclude]
    held_out = read_speakers(arguments.bundle / HELD_OUT_SPEAKERS)
    listened_to = choose(recordings, set(held_out), arguments.at_most)
    if world > 1:
        dist.init_process_group("gloo")
    evaluator, listener = Evaluator(bundle), Listener(bundle.inventory, dictionary)
    mine: list[Occurrence] = []
    with Progress(disable=rank > 0, refresh_per_second=0.5) as progress:
        share = listened_to[rank::world]
        task = progress.add_task("listening", total=sum(r.seconds for r in share))
        with fastest():
            for batch in evaluator.heard(share, Condition("clean")):
                for recording, log_probs in batch:
                    mine += listener.occurrences(recording.text, log_probs)
                progress.advance(task, sum(recording.seconds for recording, _ in batch))
    everything = gathered(mine)
    if rank == 0:
        if len(everything) < FEWEST_OCCURRENCES:
            raise UsageError(
                f"{len(everything)} times a word was said that has a further way, by people held "
                f"out; it takes {FEWEST_OCCURRENCES}, so give more recordings"
            )
        texts = [r.text for r in trained_on(recordings, held_out)]
        met = times_met(texts, bundle.language, dictionary)
        before, after = cross_validated(everything, met)
        target = arguments.bundle / WAYS_HEARD
        learn(everything, met).write(target)
        print(
            f"{target}: from {len(everything)} ways of {len({o.word for o in everything})} words; "
            f"log loss on other words {before:.3f} with one share for all, {after:.3f} with this"
        )
    if world > 1:
        dist.destroy_process_group()


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--bundle", type=Path, required=True)
    corpora.add_arguments(parser)
    parser.add_argument(
        "--except",
        dest="exclude",
        nargs="*",
        default=[],
        metavar="CORPUS",
        help="corpora that are neither listened to nor counted",
    )
    parser.add_argument("--at-most", type=int, default=1000, help="recordings a corpus at most")
    return parser.parse_args()


def gathered(mine: list[Occurrence]) -> list[Occurrence]:
    """What all processes heard, in the same order however many there are."""
    parts = [mine]
    if dist.is_initialized():
        parts = [[] for _ in range(dist.get_world_size())]
        dist.all_gather_object(parts, mine)
    return sorted((one for part in parts for one in part), key=astuple)


if __name__ == "__main__":
    try:
        main()
    except AssistantError as error:
        sys.exit(f"error: {error}")
