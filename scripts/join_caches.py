"""Lay caches of features side by side, so that all of them are trained on.

    python scripts/join_caches.py cache/libri cache/new-strangers --output cache/en-us

A corpus that comes later is extracted by itself, and nothing is extracted again. Rows are linked
where the file system can, else copied. Whoever is held out of one cache must not be trained on in
another. A teacher's posteriors of the same caches (`extract_posteriors.py`) are joined likewise, in
the same order, `--beside` the joined cache.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from assistant.bundle_files import HELD_OUT_SPEAKERS
from assistant.errors import AssistantError, UsageError
from assistant.training.feature_cache import (
    Plan,
    keep_plan,
    read_plan,
    shard_files,
    shard_number,
)
from assistant.training.json_lines import read_entries
from assistant.training.manifest import read_speakers, write_speakers

HELD_OUT = "held-out"
SHARDS = "shards"


def main() -> None:
    """Parse, check, link."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("caches", type=Path, nargs="+", help="in the order of their shards")
    parser.add_argument("--output", type=Path, required=True, help="folder of the joined cache")
    parser.add_argument(
        "--beside", type=Path, help="the joined cache that these are the posteriors of"
    )
    arguments = parser.parse_args()
    if arguments.output.exists():
        raise UsageError(f"{arguments.output}: is there already; give another --output")
    indices = [sorted(cache.glob("*/index-*.jsonl")) for cache in arguments.caches]
    for cache, found in zip(arguments.caches, indices, strict=True):
        if not found:
            raise UsageError(f"{cache}: is no cache; run scripts/extract_features.py first")
    plan = joined_plan(arguments.caches)
    refuse_held_out_in_training(indices)
    shards = [1 + max(map(shard_number, found)) for found in indices]
    if arguments.beside:
        shards = shards_of(arguments.beside, shards)
    first = 0
    for found, count in zip(indices, shards, strict=True):
        for index in found:
            folder = arguments.output / index.parent.name
            folder.mkdir(parents=True, exist_ok=True)
            number = shard_number(index)
            _, rows = shard_files(index.parent, number)
            joined_index, joined_rows = shard_files(folder, first + number)
            shutil.copyfile(index, joined_index)
            link(rows, joined_rows)
        first += count
    keep_plan(arguments.output, plan | {SHARDS: shards}, 0)
    lists = [cache / HELD_OUT_SPEAKERS for cache in arguments.caches]
    listed = [read_speakers(path) for path in lists if path.exists()]
    if listed:
        write_speakers(arguments.output / HELD_OUT_SPEAKERS, frozenset.union(*listed))
    print(f"{arguments.output}: {len(arguments.caches)} caches, {first} shards")


def shards_of(joined: Path, fewest: Sequence[int]) -> list[int]:
    """How many shards each of the caches has that were joined.

    Raises:
        UsageError: these posteriors are not of those caches.
    """
    found: list[int] = read_plan(joined).get(SHARDS, [])
    if len(found) != len(fewest) or any(a < b for a, b in zip(found, fewest, strict=True)):
        raise UsageError(
            f"--beside {joined}: was not joined of the caches that these are the posteriors of "
            f"(shards: {found or 'none'}, here {list(fewest)}); give all of them, in its order"
        )
    return found


def joined_plan(caches: Sequence[Path]) -> Plan:
    """What the joined cache is of.

    Raises:
        UsageError: their rows are of different kinds, or what two bundles said.
    """
    plans = [read_plan(cache) for cache in caches]
    for cache, plan in zip(caches, plans, strict=True):
        for key in ("columns", "bundle"):
            if plan.get(key) != plans[0].get(key):
                raise UsageError(
                    f"{cache}: holds rows of another kind than {caches[0]} ({key}: "
                    f"{plan.get(key)} and {plans[0].get(key)})"
                )
    recordings = "\n".join(str(plan.get("recordings")) for plan in plans)
    joined = {"recordings": hashlib.sha256(recordings.encode()).hexdigest()}
    return plans[0] | (joined if "recordings" in plans[0] else {})


def refuse_held_out_in_training(indices: Sequence[Sequence[Path]]) -> None:
    """Nobody may be measured on who was trained on.

    Raises:
        UsageError: one cache holds out whom another trains on.
    """
    every = [
        (index, entry) for found in indices for index in found for entry in read_entries(index)
    ]
    held_out = {e["speaker"] for index, e in every if index.parent.name == HELD_OUT}
    for index, entry in every:
        if index.parent.name != HELD_OUT and entry["speaker"] and entry["speaker"] in held_out:
            raise UsageError(
                f"{index.parent}: speaker '{entry['speaker']}' is held out of another cache; give "
                "both corpora to extract_features.py at once"
            )


def link(source: Path, target: Path) -> None:
    """The same file under another name, or a copy of it on another file system."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


if __name__ == "__main__":
    try:
        main()
    except AssistantError as error:
        sys.exit(f"error: {error}")
