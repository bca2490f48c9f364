"""Align cached speech with the acoustic model and put its posteriors into the bundle's bank.

    python scripts/build_bank.py --cache cache/en-us --bundle models/en-us

A share of the utterances of every corpus is taken, half of them from augmented copies.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from rich.progress import track

from assistant.bundle import read_acoustic
from assistant.grammar.phonemes import Phonemizer
from assistant.training.feature_cache import ROWS_PER_SECOND, CachedUtterance, FeatureCache
from assistant.training.metrics import greedy_phonemes, phoneme_error
from assistant.training.posterior_bank import Aligned, align, build_bank

SKIPPED = {"wake_words"}
"""Corpora of a few words repeated: they would fill the bank with themselves."""
FEW = {"speech_commands": 0.08, "precise_community": 0.3, "grid_s1": 0.3}
"""Share of the utterances taken of corpora of few words."""


def choose(
    caches: Sequence[FeatureCache], hours: float, seed: int
) -> Iterator[tuple[FeatureCache, CachedUtterance, bool]]:
    """Random utterances, half of the hours clean (the first cache), half augmented."""
    rng = np.random.default_rng(seed)
    for number, cache in enumerate(caches):
        share = 0.5 if number == 0 else 0.5 / (len(caches) - 1)
        rows = hours * 3600 * ROWS_PER_SECOND * share
        for i in rng.permutation(len(cache.utterances)):
            utterance = cache.utterances[i]
            if utterance.corpus in SKIPPED or rng.random() > FEW.get(utterance.corpus, 1.0):
                continue
            if rows < 0:
                break
            rows -= utterance.length
            yield cache, utterance, number > 0


def main() -> None:
    """Choose, align, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--hours", type=float, default=2.5, help="speech in the bank")
    parser.add_argument(
        "--worst", type=float, default=0.5, help="phoneme error above which a text is not trusted"
    )
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    bundle = read_acoustic(arguments.bundle)
    phonemizer = Phonemizer(bundle.language)
    folders = [arguments.cache / "clean", *sorted(arguments.cache.glob("augmented-*"))]
    caches = [FeatureCache(folder, bundle.model.config.input_size) for folder in folders]
    chosen = list(choose(caches, arguments.hours, arguments.seed))
    aligned: list[Aligned] = []
    with torch.inference_mode():
        for cache, utterance, noisy in track(chosen, "aligning"):
            phonemes = bundle.phoneme_ids(phonemizer.phonemes(utterance.text))
            rows = torch.from_numpy(cache.rows(utterance).astype(np.float32))
            if not phonemes or not len(rows):
                continue
            log_probs = bundle.model(rows[None], torch.tensor([len(rows)]))[0]
            if phoneme_error(greedy_phonemes(log_probs), phonemes).rate > arguments.worst:
                continue
            found = align(log_probs, phonemes, noisy)
            if found is not None:
                aligned.append(found)
    bank = build_bank(aligned)
    path = arguments.bundle / "posterior_bank.safetensors"
    bank.write(path)
    size = path.stat().st_size / 1e6
    print(
        f"{path}: {len(aligned)} of {len(chosen)} utterances, "
        f"{len(bank.phonemes)} phonemes, {size:.1f} MB"
    )


if __name__ == "__main__":
    main()
