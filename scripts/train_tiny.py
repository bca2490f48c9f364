"""Train a very small network on a few bundled recordings: does the whole of training still work?

    python scripts/train_tiny.py

Runs `extract_features.py` and `train_acoustic.py` as anybody would, then reads the bundle back and
measures it on the recordings: that of the first update, and that of the last. It fails where the
phoneme error does not fall to `ENOUGH`. The network is measured on **the very clips it is trained
on**: it learns them by heart, which shows that training works, and nothing about understanding
others. Everything is made in a temporary folder, in less than two minutes of one core.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from assistant.acoustic import AcousticScorer
from assistant.bundle import read_acoustic
from assistant.features import FeatureExtractor
from assistant.grammar.phonemes import Phonemizer
from assistant.training.manifest import read_manifest, read_samples
from assistant.training.metrics import ErrorRate, greedy_phonemes, phoneme_error

HERE = Path(__file__).parent
MANIFEST = HERE.parent / "tests/data/recordings/train-tiny.jsonl"
LANGUAGE = "en-us"
NETWORK = "--stem-width 64 --layers 1 --hidden-size 64 --projection-size 256 --dropout 0 --rarest 1"
TRAINING = (
    "--batch-rows 250 --learning-rate 0.005 --encoder-learning-rate 0.005 --warm-up 20 "
    "--average 0.9 --evaluate-every 100"
)
FIRST, LAST = "0", "200"
"""Passes over the clips: none is one update; then it goes on to the end."""
ENOUGH = 0.5
"""Phoneme error, at full context, that it must come below."""


def run(script: str, *arguments: str | Path) -> None:
    """A script of this folder, on one core."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, HERE / script, *arguments]
    if subprocess.run(command, env=environment, check=False).returncode:
        sys.exit(f"error: {script} failed; its message is above")


def measure(folder: Path) -> dict[str, ErrorRate]:
    """Phoneme error of a bundle on the recordings, at full context and streaming."""
    bundle = read_acoustic(folder)
    phonemizer = Phonemizer(bundle.language)
    features = FeatureExtractor(bundle.features, bundle.encoder)
    acoustic = AcousticScorer(bundle.model)
    errors = dict.fromkeys(("full context", "streaming"), ErrorRate(0, 0))
    for recording in read_manifest(MANIFEST):
        reference = bundle.phoneme_ids(phonemizer.phonemes(recording.text))
        samples = read_samples(recording.path)
        chunks = [*features.feed(samples), *features.flush()]
        streamed = [p for chunk in chunks for p in acoustic.feed(chunk)] + acoustic.flush()
        rows = features.full_context(torch.cat([chunk.log_mel for chunk in chunks]))
        heard = {
            "full context": acoustic.full_context(rows),
            "streaming": torch.cat([p.log_probs for p in streamed]),
        }
        for name, log_probs in heard.items():
            errors[name] += phoneme_error(greedy_phonemes(log_probs), reference)
    return errors


def main() -> None:
    """Extract, train, compare."""
    begin = time.perf_counter()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="train-tiny-") as temporary:
        folder = Path(temporary)
        cache, bundle = folder / "cache", folder / "bundle"
        run("extract_features.py", "--manifest", MANIFEST, "--output", cache, "--copies", "0")
        # The same clips once more, to be measured on while training.
        shutil.copytree(cache / "clean", cache / "held-out", dirs_exist_ok=True)
        train = ["--cache", cache, "--language", LANGUAGE, "--checkpoints", folder / "run"]
        train += ["--bundle", bundle, "--device", "cpu", *NETWORK.split(), *TRAINING.split()]
        run("train_acoustic.py", *train, "--passes", FIRST)
        before = measure(bundle)
        run("train_acoustic.py", *train, "--passes", LAST)
        after = measure(bundle)
    for name, error in after.items():
        print(f"phoneme error, {name}: {before[name].rate:.1%} before, {error.rate:.1%} after")
    print(f"{time.perf_counter() - begin:.0f} s; measured on the clips it was trained on")
    worst = max(error.rate for error in after.values())
    if after["full context"].rate > ENOUGH or worst >= min(e.rate for e in before.values()):
        sys.exit(f"error: the phoneme error did not fall below {ENOUGH:.0%}; training is broken")


if __name__ == "__main__":
    main()
