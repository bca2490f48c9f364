"""Train an acoustic model from caches made by `extract_features.py`, and write its bundle.

    torchrun --nproc-per-node 2 scripts/train_acoustic.py --cache cache/en-us \
        --language en-us --run runs/en-us --bundle models/en-us

Stopped, it goes on from its last checkpoint; `runs/…/log.csv` has the loss and the phoneme error of
the held-out speakers.
"""

from __future__ import annotations

import argparse
import os
from collections import Counter, defaultdict
from dataclasses import fields
from pathlib import Path

import numpy as np
import torch

from assistant.bundle import file_hash, write_acoustic
from assistant.config import AcousticConfig, FeatureConfig
from assistant.grammar.phonemes import Phonemizer
from assistant.nn.acoustic_model import AcousticModel
from assistant.training.acoustic_trainer import AcousticTrainer, Example, TrainingConfig
from assistant.training.feature_cache import CachedUtterance, FeatureCache


def main() -> None:
    """Parse, collect, train, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--language", required=True, help="espeak-ng's name of it: en-us, pt-br, …")
    parser.add_argument("--run", type=Path, required=True, help="folder of the checkpoint and the log")
    parser.add_argument("--bundle", type=Path, required=True, help="folder of the bundle to write")
    parser.add_argument("--encoder", type=Path, default=Path("models/encoder"))
    parser.add_argument("--columns", type=int, default=1024)
    parser.add_argument("--hidden-size", type=int, default=256)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    for field in fields(TrainingConfig):
        if isinstance(field.default, (int, float)):
            name = "--" + field.name.replace("_", "-")
            parser.add_argument(name, type=type(field.default), default=field.default)
    arguments = parser.parse_args()
    chosen = {f.name: getattr(arguments, f.name) for f in fields(TrainingConfig) if hasattr(arguments, f.name)}
    config = TrainingConfig(**chosen)
    rank = int(os.environ.get("RANK", "0"))
    torch.set_num_threads(1 if int(os.environ.get("WORLD_SIZE", "1")) > 1 else os.cpu_count() or 1)

    clean = FeatureCache(arguments.cache / "clean", arguments.columns)
    copies = [FeatureCache(f, arguments.columns) for f in sorted(arguments.cache.glob("augmented-*"))]
    held_out = FeatureCache(arguments.cache / "held-out", arguments.columns)
    phonemizer = Phonemizer(arguments.language)
    said = {u.text: phonemizer.phonemes(u.text) for u in clean.utterances + held_out.utterances}
    counts = Counter(p for u in clean.utterances for p in said[u.text])
    inventory = ["<blank>"] + sorted(p for p, n in counts.items() if n >= 20)
    number = {p: i for i, p in enumerate(inventory)}

    def example(cached: list[tuple[FeatureCache, CachedUtterance]]) -> Example:
        text = cached[0][1].text
        return Example(tuple(cached), tuple(number[p] for p in said[text] if p in number))

    # Copies share the order of extraction; one that was interrupted lacks its last utterances.
    places = [cache.by_place() for cache in copies]
    training = [
        example([(clean, u)] + [(c, by[place]) for c, by in zip(copies, places, strict=True) if place in by])
        for place, u in clean.by_place().items()
    ]
    training = [e for e in training if 0 < len(e.phonemes) <= e.length]
    tests: dict[str, list[Example]] = defaultdict(list)
    for utterance in held_out.utterances:
        corpus = utterance.corpus
        family = "common_voice" if corpus in ("common_voice_17", "common_voice_18") else corpus
        tests[family].append(example([(held_out, utterance)]))

    torch.manual_seed(config.seed)
    shape = AcousticConfig(
        input_size=arguments.columns, hidden_size=arguments.hidden_size,
        layers=arguments.layers, phonemes=len(inventory),
    )
    model = AcousticModel(shape)
    sample = np.random.default_rng(0).permutation(len(training))[:2000]
    rows = np.concatenate([training[i].copies[0][0].rows(training[i].copies[0][1]) for i in sample])
    model.mean.copy_(torch.from_numpy(rows.mean(axis=0, dtype=np.float64)))
    model.scale.copy_(torch.from_numpy(1 / (rows.std(axis=0, dtype=np.float64) + 1e-3)))

    trainer = AcousticTrainer(
        model, training, dict(tests), config, arguments.run, torch.device(arguments.device)
    )
    if rank == 0:
        hours = sum(e.length for e in training) / 25 / 3600
        count = sum(p.numel() for p in model.parameters()) / 1e6
        print(f"{hours:.1f} h, {1 + len(copies)} copies, {len(inventory)} phonemes, {count:.2f} M parameters, {trainer.updates} updates", flush=True)
    trainer.run()
    if rank == 0:
        model.load_state_dict(trainer.average)
        speakers = sorted({u.speaker for u in held_out.utterances})
        write_acoustic(
            arguments.bundle, model, FeatureConfig(), inventory, arguments.language,
            file_hash(arguments.encoder / "encoder.safetensors"),
        )
        (arguments.run / "held_out_speakers.txt").write_text("\n".join(speakers) + "\n")


if __name__ == "__main__":
    main()
