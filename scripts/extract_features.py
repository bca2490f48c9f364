"""Extract log-mel of speech into a cache, clean and augmented.

    torchrun --nproc-per-node 2 scripts/extract_features.py \
        --librispeech LibriSpeech --common-voice cv-corpus-21.0/en \
        --manifest ../shared/speech/manifest.jsonl --output cache/en-us

Writes one folder a copy: `clean`, `augmented-1`, …, and `held-out`, and who is held out into
`held_out_speakers.txt`. Goes on where it stopped.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from pathlib import Path

import torch
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from assistant.config import FeatureConfig
from assistant.errors import AssistantError
from assistant.nn.encoder import EncoderShape
from assistant.training import corpora
from assistant.training.augmentation import AugmentationConfig
from assistant.training.extraction import Extraction
from assistant.training.manifest import (
    audio_files,
    held_out_noise,
    read_samples,
    split_by_speaker,
)
from assistant.training.mel_augmentation import MelAugmentationConfig
from assistant.training.rows import ROWS_PER_SECOND, LogMelRows, SampleRows

HELD_OUT_PERCENT = {"common_voice_17": 40, "common_voice_18": 40}
"""Common Voice's newest speakers are the test: they cannot be among the clips without speaker."""
ENCODER_SECONDS = EncoderShape().positions / FeatureConfig().stack / ROWS_PER_SECOND
"""Longest utterance that an encoder hears."""
LONGEST_SECONDS = math.floor(
    ENCODER_SECONDS * min(AugmentationConfig().speeds) * min(MelAugmentationConfig().stretch)
)
"""Longest recording: a copy of it is slowed, and slowed once more in training (`--augment`)."""
REPORT_EVERY_S = 60.0
"""Seconds between lines of progress where there is no terminal."""


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    corpora.add_arguments(parser)
    parser.add_argument("--output", type=Path, required=True, help="folder of the cache")
    corpora.add_noise(parser)
    parser.add_argument(
        "--rooms", type=Path, nargs="*", default=[], help="folders of room responses"
    )
    parser.add_argument(
        "--samples",
        action="store_true",
        help="cache the samples instead of log-mel: for training on a GPU,\n"
        "which makes its own copies (train_acoustic.py --samples); give --copies 0",
    )
    parser.add_argument(
        "--copies", type=int, default=1, help="augmented copies besides the clean one"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--longest", type=float, default=20.0, help="seconds; longer ones are left out"
    )
    found = parser.parse_args()
    if found.longest > LONGEST_SECONDS:
        parser.error(
            f"--longest: an encoder hears {ENCODER_SECONDS:g} s, and copies are slower; "
            f"give at most {LONGEST_SECONDS}"
        )
    return found


def main() -> None:
    """Gather, split, extract."""
    arguments = parse_arguments()
    rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    torch.set_num_threads(1)
    found = corpora.named_in(arguments)
    every = [r for corpus in found for r in corpus.recordings]
    recordings = [r for r in every if r.seconds <= arguments.longest]
    split = split_by_speaker(recordings, percent_of=HELD_OUT_PERCENT)
    if rank == 0:
        print("\n".join(corpus.summary for corpus in found))
        print(
            f"{len(split.training)} to train on; {len(split.held_out)} held out, of "
            f"{len(split.held_out_speakers)} speakers; {len(every) - len(recordings)} left out, "
            f"longer than {arguments.longest:g} s",
            flush=True,
        )
    extraction = Extraction(
        split,
        arguments.output,
        SampleRows() if arguments.samples else LogMelRows(),
        arguments.copies,
        arguments.seed,
        rank,
        world,
    )
    noise, _ = held_out_noise(audio_files(arguments.noise))
    noises = [read_samples(p) for p in noise]
    rooms = [read_samples(p) for p in audio_files(arguments.rooms)]
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:.0f} %, {task.fields[rate]:.0f} s of audio a second"),
        TimeRemainingColumn(),
    )
    begin, done, reported = time.perf_counter(), 0.0, 0.0
    with Progress(*columns, disable=rank > 0, refresh_per_second=0.5) as progress:
        task = progress.add_task("extracting", total=extraction.seconds_left(), rate=0.0)
        for name, seconds in extraction.run(noises, rooms):
            done += seconds
            elapsed = time.perf_counter() - begin
            # The processes have equal shares: what this one does, all do.
            rate = done * world / elapsed
            progress.update(task, advance=seconds, description=name, rate=rate)
            if rank == 0 and not sys.stdout.isatty() and elapsed - reported > REPORT_EVERY_S:
                reported = elapsed
                left = (progress.tasks[0].remaining or 0.0) * world / rate
                print(f"{name}: {rate:.0f} s of audio a second, {left:.0f} s left", flush=True)
    elapsed = time.perf_counter() - begin
    print(f"process {rank}: {done / 3600:.2f} h in {elapsed:.0f} s", flush=True)
    if unread := extraction.damaged():
        print(f"process {rank}: {len(unread)} damaged, the first of them {unread[0]}", flush=True)


if __name__ == "__main__":
    try:
        main()
    except AssistantError as error:
        sys.exit(f"error: {error}")
