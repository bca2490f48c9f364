"""Train Elman's RNN, GRU, LSTM and a Transformer of one size on one budget, and compare them.

    python scripts/compare_cells.py --cache cache/en-us --bundle models/en-us

On log-mel and on the rows of the frozen encoder. From random weights CTC says nothing but blanks
for long; to shorten that, every network first learns a label a row, which a trained bundle gives.
What is measured goes into `docs/cells.json`, and from there into the tables of `docs/cells.md` and
the pictures beside it. Stopped, the same command goes on after the last network that was finished.
One process, one thread.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path

import numpy as np
import torch
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from assistant.bundle import AcousticBundle, read_acoustic, read_encoder
from assistant.bundle_files import ENCODER_FOLDER
from assistant.errors import UsageError
from assistant.nn.encoded_model import EncodedAcousticModel
from assistant.nn.encoder import StreamingEncoder
from assistant.training.batches import Example
from assistant.training.cell_measures import measure
from assistant.training.cell_report import write_report
from assistant.training.cells import (
    ENCODER,
    LOG_MEL,
    VARIANTS,
    Budget,
    Speech,
    Variant,
    aligned,
    encoded,
    train,
)
from assistant.training.machine import processor
from assistant.training.material import Material, read_material
from assistant.training.rows import LOG_MEL_PER_ROW, ROWS_PER_SECOND

MEL_BINS = 80


def parse_arguments() -> tuple[argparse.Namespace, Budget]:
    """The command line; every field of the budget is an option."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--cache", type=Path, required=True, help="log-mel of extract_features.py")
    parser.add_argument(
        "--bundle", type=Path, required=True, help="aligns the speech; its encoder is beside it"
    )
    parser.add_argument("--document", type=Path, default=Path("docs/cells.md"))
    parser.add_argument(
        "--only", nargs="+", metavar="VARIANT", help="\n".join(v.name for v in VARIANTS)
    )
    parser.add_argument("--again", action="store_true", help="also what is finished")
    for field in fields(Budget):
        name = "--" + field.name.replace("_", "-")
        parser.add_argument(name, type=type(field.default), default=field.default)
    found = parser.parse_args()
    return found, Budget(**{f.name: getattr(found, f.name) for f in fields(Budget)})


def main() -> None:
    """Read, train what is missing, measure, report."""
    arguments, budget = parse_arguments()
    torch.set_num_threads(1)
    try:
        compare(arguments, budget)
    except UsageError as error:
        raise SystemExit(f"error: {error}") from error


def compare(arguments: argparse.Namespace, budget: Budget) -> None:
    """The whole comparison, from where it was stopped."""
    names = arguments.only or [v.name for v in VARIANTS]
    if unknown := set(names) - {v.name for v in VARIANTS}:
        raise UsageError(f"--only {' '.join(sorted(unknown))}: no such variant; see --help")
    results = arguments.document.with_suffix(".json")
    kept = Kept(results, budget, names if arguments.again else ())
    missing = [v for v in VARIANTS if v.name in names and v.name not in kept.results]
    try:
        if missing:
            columns = LOG_MEL_PER_ROW * MEL_BINS
            bundle = read_acoustic(arguments.bundle)
            material = read_material(arguments.cache, columns, bundle.language, bundle.phonemes)
            run(missing, material, bundle, budget, kept)
    except KeyboardInterrupt:
        print("stopped; the same command goes on from here")
    if kept.results:
        write_report(arguments.document, kept.content)


class Kept:
    """The results so far, in a JSON file."""

    def __init__(self, path: Path, budget: Budget, again: Sequence[str]) -> None:
        """again: names of results to forget.

        Raises:
            UsageError: what is there was made on another budget.
        """
        self.path = path
        self.content = {"budget": asdict(budget), "machine": machine(), "variants": {}}
        if path.exists():
            found = json.loads(path.read_text(encoding="utf-8"))
            if found["budget"] == asdict(budget):
                self.content = found
            elif not again:
                raise UsageError(f"{path}: made on another budget; --again begins afresh")
        for name in again:
            self.results.pop(name, None)

    @property
    def results(self) -> dict[str, object]:
        """By the variant's name."""
        return self.content["variants"]

    def add(self, name: str, result: dict[str, object]) -> None:
        """Keep a result, at once."""
        self.results[name] = result
        temporary = self.path.with_suffix(".tmp")
        temporary.write_text(json.dumps(self.content) + "\n", encoding="utf-8")
        temporary.replace(self.path)


def run(
    variants: list[Variant], material: Material, bundle: AcousticBundle, budget: Budget, kept: Kept
) -> None:
    """Train and measure the variants, one after the other."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[state]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns) as progress:
        total = len(variants) * budget.updates
        task = progress.add_task("all", total=total, state=f"{len(variants)} networks")
        speech = {LOG_MEL: log_mel_speech(material, bundle, budget, progress)}
        if any(v.features == ENCODER for v in variants):
            speech[ENCODER] = encoder_speech(speech[LOG_MEL], bundle, progress)
        for variant in variants:
            progress.update(task, state=variant.name)
            begin = time.perf_counter()
            trained = train(
                variant, speech[variant.features], budget, lambda: progress.advance(task)
            )
            took = time.perf_counter() - begin
            result = measure(variant, trained, took, speech[variant.features], budget)
            kept.add(variant.name, result.to_json())
            errors = [
                f"{o.context} {o.errors / max(1, o.reference):.3f}" for o in result.operations
            ]
            progress.console.print(f"{variant.name}: {', '.join(errors)} ({took:.0f} s)")


def log_mel_speech(
    material: Material, bundle: AcousticBundle, budget: Budget, progress: Progress
) -> Speech:
    """The utterances that every variant learns from and is measured on, aligned by the bundle.

    Raises:
        UsageError: there are none of the lengths asked for.
    """
    training, left = [], budget.training_seconds * ROWS_PER_SECOND
    for example in shuffled(fitting(material.training, budget), budget.seed):
        if left > 0:
            training.append(example)
            left -= example.length
    everyone = [e for family in sorted(material.held_out) for e in material.held_out[family]]
    held_out = shuffled(fitting(everyone, budget), budget.seed)[: budget.held_out]
    if not training or not held_out:
        lengths = f"{budget.shortest_seconds:g} to {budget.longest_seconds:g} seconds"
        raise UsageError(f"no utterances of {lengths} in the cache, or nobody held out")
    network = over_log_mel(bundle, bundle.encoder)
    task = progress.add_task("aligning", total=len(training), state="")
    targets = aligned(network, training, lambda count: progress.advance(task, count))
    columns = LOG_MEL_PER_ROW * MEL_BINS
    return Speech(LOG_MEL, training, held_out, columns, len(bundle.phonemes), targets)


def encoder_speech(speech: Speech, bundle: AcousticBundle, progress: Progress) -> Speech:
    """The same utterances as rows of the frozen shared encoder."""
    network = over_log_mel(bundle, read_encoder(bundle.folder.parent / ENCODER_FOLDER))
    total = len(speech.training) + len(speech.held_out)
    task = progress.add_task("encoding", total=total, state="")

    def advance(count: int) -> None:
        progress.advance(task, count)

    return replace(
        speech,
        features=ENCODER,
        training=encoded(speech.training, network, advance),
        held_out=encoded(speech.held_out, network, advance),
        columns=network.acoustic.config.input_size,
    )


def over_log_mel(bundle: AcousticBundle, encoder: StreamingEncoder | None) -> EncodedAcousticModel:
    """The bundle's model as one network from log-mel.

    Raises:
        UsageError: the bundle reads log-mel without an encoder.
    """
    if encoder is None:
        raise UsageError(f"{bundle.folder}: has no encoder; name a bundle that has one")
    features = bundle.features
    return EncodedAcousticModel(encoder, bundle.model, features.stack, features.left_context_rows)


def fitting(examples: list[Example], budget: Budget) -> list[Example]:
    """The clean copies of utterances of the lengths asked for, that are long enough to align."""
    shortest, longest = (
        seconds * ROWS_PER_SECOND for seconds in (budget.shortest_seconds, budget.longest_seconds)
    )
    return [
        replace(e, copies=e.copies[:1], draws=1.0)
        for e in examples
        if shortest <= e.length <= longest and 0 < len(e.phonemes) <= e.length
    ]


def shuffled(examples: list[Example], seed: int) -> list[Example]:
    """In random order, always the same."""
    return [examples[i] for i in np.random.default_rng(seed).permutation(len(examples))]


def machine() -> str:
    """The processor's name, and torch's version."""
    version = torch.__version__.partition("+")[0]
    return f"{processor()}, one thread of {os.cpu_count()}, torch {version}"


if __name__ == "__main__":
    main()
