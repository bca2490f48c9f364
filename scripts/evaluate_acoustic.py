"""Greedy phoneme error of a bundle on its held-out speakers, from the recordings themselves.

    python scripts/evaluate_acoustic.py --manifest ../shared/speech/manifest.jsonl \
        --bundle models/en-us --json models/en-us/figures.json

Each corpus at full context (what decides) and in the streaming pass (what partial results see),
with 95 % intervals by bootstrap over speakers.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from rich.progress import track

from assistant.acoustic import AcousticScorer
from assistant.bundle import AcousticBundle, read_acoustic
from assistant.features import FeatureExtractor
from assistant.grammar.phonemes import Phonemizer
from assistant.training.manifest import Recording, read_manifest, read_samples
from assistant.training.metrics import ErrorRate, greedy_phonemes, phoneme_error

BOOTSTRAP = 1000
"""Resamplings of the speakers."""

BySpeaker = Mapping[str, ErrorRate]


def choose(recordings: Sequence[Recording], speakers: set[str], most: int) -> list[Recording]:
    """Up to `most` recordings a corpus of the speakers, at random but always the same."""
    by_corpus: dict[str, list[Recording]] = defaultdict(list)
    for recording in recordings:
        if recording.speaker in speakers and recording.seconds <= 20:
            by_corpus[recording.corpus].append(recording)
    rng = np.random.default_rng(0)
    chosen = []
    for listed in by_corpus.values():
        order = rng.permutation(len(listed))[:most]
        chosen += [listed[i] for i in order]
    return chosen


def measure(
    bundle: AcousticBundle, recordings: Sequence[Recording]
) -> dict[str, dict[str, dict[str, ErrorRate]]]:
    """Errors by pass, corpus and speaker."""
    phonemizer = Phonemizer(bundle.language)
    features = FeatureExtractor(bundle.features, bundle.encoder)
    acoustic = AcousticScorer(bundle.model, features.row_ms)
    errors: dict[str, dict[str, dict[str, ErrorRate]]] = defaultdict(lambda: defaultdict(dict))
    for recording in track(recordings, "evaluating"):
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
            error = phoneme_error(greedy_phonemes(log_probs), reference)
            of_corpus = errors[name][recording.corpus]
            of_corpus[recording.speaker] = of_corpus.get(recording.speaker, ErrorRate(0, 0)) + error
    return errors


def summary(by_speaker: BySpeaker) -> dict[str, object]:
    """The rate, its interval, and on how much it was measured."""
    rates = list(by_speaker.values())
    counts = np.array([[r.errors, r.length] for r in rates])
    rng = np.random.default_rng(0)
    drawn = counts[rng.integers(0, len(counts), (BOOTSTRAP, len(counts)))].sum(axis=1)
    low, high = np.percentile(drawn[:, 0] / drawn[:, 1], [2.5, 97.5])
    errors, length = counts.sum(axis=0)
    return {
        "phoneme_error": round(float(errors / length), 4),
        "interval": [round(float(low), 4), round(float(high), 4)],
        "speakers": len(rates),
        "phonemes": int(length),
    }


def main() -> None:
    """Choose, measure, report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--manifest", type=Path, nargs="+", required=True)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--most", type=int, default=150, help="recordings a corpus at most")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    bundle = read_acoustic(arguments.bundle)
    listed = (arguments.bundle / "held_out_speakers.txt").read_text(encoding="utf-8")
    recordings = [r for path in arguments.manifest for r in read_manifest(path)]
    errors = measure(bundle, choose(recordings, set(listed.split("\n")) - {""}, arguments.most))
    figures = {}
    for name, by_corpus in errors.items():
        joined = [by_corpus[c] for c in ("common_voice_17", "common_voice_18") if c in by_corpus]
        if joined:
            by_corpus["common_voice_17 and _18"] = {
                s: e for part in joined for s, e in part.items()
            }
        figures[name] = {corpus: summary(found) for corpus, found in sorted(by_corpus.items())}
    for name, table in figures.items():
        for corpus, found in table.items():
            low, high = found["interval"]
            print(f"{name:14} {corpus:26} {found['phoneme_error']:.3f}  [{low:.3f}, {high:.3f}]")
    if arguments.json:
        text = json.dumps({"acoustic_sha256": bundle.hash, **figures}, indent=1)
        arguments.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
