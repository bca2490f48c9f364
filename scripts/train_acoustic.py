"""Train an acoustic model from caches made by `extract_features.py`, and write its bundle.

    torchrun --nproc-per-node 2 scripts/train_acoustic.py --cache cache/en-us \
        --language en-us --checkpoints runs/en-us --bundle models/en-us

Stopped, it goes on from its last checkpoint; `runs/…/log.csv` has the loss and the phoneme error of
the held-out speakers.
"""

from __future__ import annotations

import argparse
import os
import re
from collections import Counter, defaultdict
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch

from assistant.bundle import file_hash, write_acoustic
from assistant.config import AcousticConfig, FeatureConfig
from assistant.grammar.phonemes import Phonemizer
from assistant.nn.acoustic_model import AcousticModel
from assistant.training.acoustic_trainer import AcousticTrainer, TrainingConfig
from assistant.training.batches import Example
from assistant.training.feature_cache import ROWS_PER_SECOND, CachedUtterance, FeatureCache

REPEATED = {"common_voice": 3}
"""Times an utterance of the corpora whose names begin so is drawn: everyday microphones and many
accents are what users have, and what there is least of."""

RAREST = 20
"""Occurrences in the training texts below which a phoneme is left out."""


@dataclass(frozen=True)
class Material:
    """What is learnt and what is measured on."""

    training: list[Example]
    held_out: dict[str, list[Example]]
    """By corpus; both Common Voice releases count as one."""
    speakers: list[str]
    """Who is held out."""
    inventory: list[str]
    """Names of the posteriors' columns; the first is the blank."""


def read_material(folder: Path, columns: int, language: str) -> Material:
    """The caches below `folder`, with phonemes in the place of text."""
    clean = FeatureCache(folder / "clean", columns)
    copies = [FeatureCache(copy, columns) for copy in sorted(folder.glob("augmented-*"))]
    test = FeatureCache(folder / "held-out", columns)
    phonemizer = Phonemizer(language)
    said = {u.text: phonemizer.phonemes(u.text) for u in clean.utterances + test.utterances}
    counts = Counter(p for u in clean.utterances for p in said[u.text])
    inventory = ["<blank>", *sorted(p for p, n in counts.items() if n >= RAREST)]
    column = {p: i for i, p in enumerate(inventory)}

    def example(*cached: tuple[FeatureCache, CachedUtterance]) -> Example:
        phonemes = said[cached[0][1].text]
        return Example(cached, tuple(column[p] for p in phonemes if p in column))

    # A copy whose extraction was interrupted lacks some utterances.
    copy_places = [(copy, copy.by_place()) for copy in copies]
    training = [
        example((clean, u), *((copy, by[place]) for copy, by in copy_places if place in by))
        for place, u in clean.by_place().items()
    ]
    training += [
        e
        for e in training
        for corpus, times in REPEATED.items()
        if e.copies[0][1].corpus.startswith(corpus)
        for _ in range(times - 1)
    ]
    held_out: dict[str, list[Example]] = defaultdict(list)
    for utterance in test.utterances:
        family = re.sub(r"^common_voice_1[78]$", "common_voice", utterance.corpus)
        held_out[family].append(example((test, utterance)))
    return Material(
        training=[e for e in training if 0 < len(e.phonemes) <= e.length],
        held_out=dict(held_out),
        speakers=sorted({u.speaker for u in test.utterances}),
        inventory=inventory,
    )


def set_statistics(model: AcousticModel, training: list[Example]) -> None:
    """Take the normalisation of the input from a sample of the clean training rows."""
    sample = np.random.default_rng(0).permutation(len(training))[:2000]
    first = [training[i].copies[0] for i in sample]
    rows = np.concatenate([cache.rows(utterance) for cache, utterance in first])
    model.mean.copy_(torch.from_numpy(rows.mean(axis=0, dtype=np.float64)))
    model.scale.copy_(torch.from_numpy(1 / (rows.std(axis=0, dtype=np.float64) + 1e-3)))


def parse_arguments() -> tuple[argparse.Namespace, TrainingConfig]:
    """The command line; every number of `TrainingConfig` is an option."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--language", required=True, help="espeak-ng's name of it: en-us, pt-br, …")
    parser.add_argument(
        "--checkpoints", type=Path, required=True, help="folder of the checkpoint and the log"
    )
    parser.add_argument("--bundle", type=Path, required=True, help="folder of the bundle to write")
    parser.add_argument("--encoder", type=Path, default=Path("models/encoder"))
    parser.add_argument("--columns", type=int, default=1024)
    parser.add_argument("--hidden-size", type=int, default=256)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    numbers = [f for f in fields(TrainingConfig) if isinstance(f.default, int | float)]
    for field in numbers:
        name = "--" + field.name.replace("_", "-")
        parser.add_argument(name, type=type(field.default), default=field.default)
    arguments = parser.parse_args()
    return arguments, TrainingConfig(**{f.name: getattr(arguments, f.name) for f in numbers})


def main() -> None:
    """Read, train, write."""
    arguments, config = parse_arguments()
    is_first = os.environ.get("RANK", "0") == "0"
    alone = os.environ.get("WORLD_SIZE", "1") == "1"
    torch.set_num_threads(os.cpu_count() or 1 if alone else 1)
    material = read_material(arguments.cache, arguments.columns, arguments.language)
    torch.manual_seed(config.seed)
    model = AcousticModel(
        AcousticConfig(
            input_size=arguments.columns,
            hidden_size=arguments.hidden_size,
            layers=arguments.layers,
            phonemes=len(material.inventory),
        )
    )
    set_statistics(model, material.training)
    trainer = AcousticTrainer(
        model,
        material.training,
        material.held_out,
        config,
        arguments.checkpoints,
        torch.device(arguments.device),
    )
    if is_first:
        hours = sum(e.length for e in material.training) / ROWS_PER_SECOND / 3600
        millions = sum(p.numel() for p in model.parameters()) / 1e6
        print(f"{hours:.1f} h, {len(material.inventory)} phonemes, {millions:.2f} M parameters")
    trainer.run()
    if is_first:
        model.load_state_dict(trainer.average)
        write_acoustic(
            arguments.bundle,
            model,
            FeatureConfig(),
            material.inventory,
            arguments.language,
            file_hash(arguments.encoder / "encoder.safetensors"),
        )
        listed = "\n".join(material.speakers) + "\n"
        (arguments.bundle / "held_out_speakers.txt").write_text(listed, encoding="utf-8")


if __name__ == "__main__":
    main()
