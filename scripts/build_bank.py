"""Align cached speech with a bundle and put its posteriors into the bundle's bank.

    python scripts/build_bank.py --cache cache/en-us --bundle models/en-us --noise noise

The cache is log-mel made by `extract_features.py`. A share of the utterances of every corpus is
taken, half of them from augmented copies, and heard at full context on all cores or on a GPU.
From noise in which nobody speaks commands learn what they are not; with `--noise` and no `--cache`
the speech of the bank stays as it is.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

import torch
from rich.progress import track

from assistant.bundle import AcousticBundle, read_acoustic
from assistant.bundle_files import POSTERIOR_BANK
from assistant.errors import AssistantError, UsageError
from assistant.training import corpora
from assistant.training.acoustic_evaluation import Evaluator
from assistant.training.bank_speech import choose, hear, noise_stretches
from assistant.training.feature_cache import FeatureCache, refuse_other_rows
from assistant.training.manifest import audio_files, held_out_noise, read_samples
from assistant.training.material import phonemes_of
from assistant.training.posterior_bank import Aligned, PosteriorBank, build_bank
from assistant.training.rows import LOG_MEL_PER_ROW, ROWS_PER_SECOND
from assistant.types import Samples

SHARES = {
    "wake_words": 0.0,
    "speech_commands": 0.08,
    "precise_community": 0.3,
    "grid_s1": 0.3,
}
"""Share of the utterances taken of corpora of few words: they would fill the bank with
themselves."""


def main() -> None:
    """Choose, align, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--cache", type=Path, help="without it the speech in the bank stays")
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--hours", type=float, default=2.5, help="speech in the bank")
    parser.add_argument(
        "--worst", type=float, default=0.5, help="phoneme error above which a text is not trusted"
    )
    corpora.add_noise(parser)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument(
        "--threads", type=int, default=os.cpu_count() or 1, help="processor cores to use"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    bundle = read_acoustic(arguments.bundle)
    path = arguments.bundle / POSTERIOR_BANK
    noise = noise_of(arguments)
    if arguments.cache:
        bank = bank_of_speech(bundle, arguments)
    elif noise and path.exists():
        bank = PosteriorBank.read(path)
    else:
        parser.error("--cache: name the speech of the bank (or --noise, for a bundle that has one)")
    if noise:
        evaluator = Evaluator(bundle)
        bank = bank.with_noise([evaluator.log_probs([stretch])[0] for stretch in noise])
    bank.write(path)
    print(
        f"{path}: {len(bank.phonemes)} phonemes of speech, {len(bank.noise)} stretches of noise, "
        f"{path.stat().st_size / 1e6:.1f} MB"
    )


def noise_of(arguments: argparse.Namespace) -> list[Samples]:
    """Stretches of the noise that is not kept for measuring.

    Raises:
        UsageError: noise is named, and there is none.
    """
    recordings, _ = held_out_noise(audio_files(arguments.noise))
    stretches = noise_stretches([read_samples(r) for r in recordings], arguments.seed)
    if arguments.noise and not stretches:
        folders = ", ".join(map(str, arguments.noise))
        raise UsageError(f"--noise: {folders}: no recording of a second or more to learn from")
    return stretches


def bank_of_speech(bundle: AcousticBundle, arguments: argparse.Namespace) -> PosteriorBank:
    """Choose from the cache, hear, align.

    Raises:
        UsageError: the cache is empty, or the bundle understands nothing of it.
    """
    columns = LOG_MEL_PER_ROW * bundle.features.mel_bins
    refuse_other_rows(arguments.cache, columns)
    folders = [arguments.cache / "clean", *sorted(arguments.cache.glob("augmented-*"))]
    caches = [FeatureCache(folder, columns) for folder in folders]
    chosen = choose(caches, arguments.hours, SHARES, arguments.seed)
    if not chosen:
        raise UsageError(f"{arguments.cache}: no features; run scripts/extract_features.py first")
    texts = {c.utterance.text for c in chosen}
    said = phonemes_of(texts, bundle.language, arguments.cache / "phonemes.json")
    begin = time.perf_counter()
    found: list[Aligned | None] = [None] * len(chosen)
    groups = hear(bundle, chosen, said, torch.device(arguments.device), arguments.worst)
    one_by_one = (pair for group in groups for pair in group)
    for place, heard in track(one_by_one, "aligning", total=len(chosen)):
        found[place] = heard
    aligned = [heard for heard in found if heard is not None]
    if not aligned:
        raise UsageError(
            f"{arguments.bundle}: understands none of {len(chosen)} utterances well enough; "
            "train it longer, or give a greater --worst"
        )
    seconds = time.perf_counter() - begin
    speech = sum(c.utterance.length for c in chosen) / ROWS_PER_SECOND
    print(
        f"{len(aligned)} of {len(chosen)} utterances are understood; "
        f"{speech / seconds:.0f} s of audio a second"
    )
    return build_bank(aligned)


if __name__ == "__main__":
    try:
        main()
    except AssistantError as error:
        sys.exit(f"error: {error}")
