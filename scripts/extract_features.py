"""Extract log-mel (or rows of the frozen encoder) of a manifest into a cache, clean or augmented.

    torchrun --nproc-per-node 2 scripts/extract_features.py \
        --manifest ../shared/speech/manifest.jsonl --output cache/en-us

Writes one folder a copy: `clean`, `augmented-1`, …, and `held-out`. Goes on where it stopped.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import numpy as np
import torch
from rich.progress import Progress

from assistant.bundle import read_encoder
from assistant.config import FeatureConfig
from assistant.features import FeatureExtractor
from assistant.training.augmentation import AugmentationConfig, Augmenter
from assistant.training.feature_cache import extract
from assistant.training.manifest import (
    Recording,
    audio_files,
    read_manifest,
    read_samples,
    split_by_speaker,
)

HELD_OUT_PERCENT = {"common_voice_17": 40, "common_voice_18": 40}
"""Common Voice's newest speakers are the test: they cannot be among the clips without speaker."""


def main() -> None:
    """Parse, split, extract."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--manifest", type=Path, nargs="+", required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument(
        "--encoder",
        type=Path,
        help="cache rows of this frozen encoder, not log-mel: for models that never adapt it",
    )
    parser.add_argument(
        "--noise", type=Path, nargs="*", default=[], help="folders of background noise"
    )
    parser.add_argument(
        "--rooms", type=Path, nargs="*", default=[], help="folders of room responses"
    )
    parser.add_argument(
        "--copies", type=int, default=1, help="augmented copies besides the clean one"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--longest", type=float, default=20.0, help="seconds; longer ones are left out"
    )
    arguments = parser.parse_args()
    rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    torch.set_num_threads(1)

    recordings = [r for path in arguments.manifest for r in read_manifest(path)]
    recordings = [r for r in recordings if r.seconds <= arguments.longest]
    split = split_by_speaker(recordings, percent_of=HELD_OUT_PERCENT)
    noises = [read_samples(p) for p in audio_files(arguments.noise)]
    rooms = [read_samples(p) for p in audio_files(arguments.rooms)]
    training = by_length(split.training)[rank::world]
    held_out = by_length(split.held_out)[rank::world]
    babble_pool = np.random.default_rng(0).permutation(len(training))[:200]
    babble = [read_samples(training[i].path) for i in babble_pool]
    augmenter = Augmenter(AugmentationConfig(), noises, rooms, babble)
    extractor = feature_extractor(arguments.encoder)

    plan: list[tuple[str, list[Recording], int]] = [
        ("held-out", held_out, 0),
        ("clean", training, 0),
    ]
    plan += [(f"augmented-{n}", training, n) for n in range(1, arguments.copies + 1)]
    with Progress(disable=rank > 0, refresh_per_second=0.2) as progress:
        for name, part, copy in plan:

            def change(samples: np.ndarray, position: int, copy: int = copy) -> np.ndarray:
                if copy == 0:
                    return samples
                rng = np.random.default_rng([arguments.seed, copy, rank, position])
                return augmenter(samples, rng)

            task = progress.add_task(name, total=sum(r.seconds for r in part))
            # A third of the augmented rows come from chunks, so that the streaming pass is known.
            whole_too = (None, None, 16, None, None, 8, None, None, 32)
            chunks = (None,) if copy == 0 else whole_too
            begin, done = time.perf_counter(), 0.0
            folder = arguments.output / name
            seed = arguments.seed + copy if copy else None
            for seconds in extract(part, folder, extractor, change, chunks, rank, seed=seed):
                done += seconds
                progress.advance(task, seconds)
            elapsed = time.perf_counter() - begin
            print(f"{name} {rank}: {done / 3600:.2f} h in {elapsed:.0f} s", flush=True)


def feature_extractor(encoder: Path | None) -> FeatureExtractor:
    """Rows of 40 ms: two of the encoder's, or four log-mel frames, from which both are made."""
    if encoder is None:
        return FeatureExtractor(FeatureConfig(encoder=False, stack=4), None)
    return FeatureExtractor(FeatureConfig(), read_encoder(encoder))


def by_length(recordings: tuple[Recording, ...]) -> list[Recording]:
    """Shortest first: batches hold utterances of one length, without padding."""
    return sorted(recordings, key=lambda r: (r.seconds, str(r.path)))


if __name__ == "__main__":
    main()
