"""A bundle's posteriors of cached speech: what a smaller bundle learns from.

    torchrun --nproc-per-node 2 scripts/extract_posteriors.py --cache cache/en-us \
        --bundle models/en-us --output cache/en-us-teacher --hours 6

Every copy in the cache is heard at full context, a random part of `--hours` each; the output has
the same shards and places as the cache. Goes on where it stopped.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import torch
from rich.progress import Progress

from assistant.bundle import read_acoustic
from assistant.errors import AssistantError
from assistant.training.posteriors import extract_posteriors
from assistant.training.rows import ROWS_PER_SECOND


def main() -> None:
    """Read, hear, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--copies", nargs="*", default=["clean", "augmented-1"])
    parser.add_argument("--hours", type=float, default=6.0, help="of every copy")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    bundle = read_acoustic(arguments.bundle)
    with Progress(disable=rank > 0, refresh_per_second=0.2) as progress:
        for number, copy in enumerate(arguments.copies):
            rows = arguments.hours * 3600 * ROWS_PER_SECOND
            task = progress.add_task(copy, total=rows / world)
            for done in extract_posteriors(
                bundle,
                arguments.cache / copy,
                arguments.output / copy,
                int(rows),
                rank,
                world,
                arguments.seed + number,
            ):
                progress.advance(task, done)


if __name__ == "__main__":
    try:
        main()
    except AssistantError as error:
        sys.exit(f"error: {error}")
