"""Measure compute and latency of the pipeline: seconds of one core for a second of audio.

    python scripts/benchmark.py                          # the bundled recordings, one thread
    python scripts/benchmark.py --json figures.json FILE…
    python scripts/benchmark.py --bundle models/en-us --card

Every figure is a ratio or a percentile of one run on this machine, stages measured one by one in
the same run; "speech" counts the time someone speaks, "silence" an hour-long quiet room in small.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from assistant.config import AssistantConfig
from assistant.engine import Engine
from assistant.pipeline import Pipeline
from assistant.recording import read_file
from assistant.training.acoustic_figures import keep_figures, write_tables
from assistant.training.machine import processor
from assistant.types import SAMPLE_RATE, Samples

BLOCK = 320
"""Samples fed at a time, as a microphone would."""


class Stopwatch:
    """Adds up the time spent in calls, by stage; calls within calls count once."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = defaultdict(float)
        self._inner = [0.0]

    def wrap(self, owner: object, method: str, stage: str) -> None:
        """Measure every call of a method from now on."""
        called: Callable[..., Any] = getattr(owner, method)

        def measured(*arguments: object, **options: object) -> object:
            self._inner.append(0.0)
            begin = time.perf_counter()
            try:
                return called(*arguments, **options)
            finally:
                whole = time.perf_counter() - begin
                self.spent[stage] += whole - self._inner.pop()
                self._inner[-1] += whole

        setattr(owner, method, measured)


def watch(pipeline: Pipeline) -> Stopwatch:
    """A stopwatch on every stage of a pipeline."""
    watch = Stopwatch()
    watch.wrap(pipeline.endpointer, "feed", "endpointer")
    watch.wrap(pipeline.features.log_mel, "frames", "log-mel")
    watch.wrap(pipeline.features, "feed", "encoder, in chunks")
    watch.wrap(pipeline.features, "flush", "encoder, in chunks")
    watch.wrap(pipeline.acoustic, "feed", "acoustic model, in blocks")
    watch.wrap(pipeline.intent, "feed", "partial hypotheses")
    watch.wrap(pipeline.features, "full_context", "encoder, full context")
    watch.wrap(pipeline.acoustic, "full_context", "acoustic model, full context")
    watch.wrap(pipeline.intent, "decide", "decision")
    return watch


def run(pipeline: Pipeline, samples: Samples) -> list[float]:
    """Feed a stream block by block; seconds spent in each call."""
    calls = []
    for begin in range(0, len(samples), BLOCK):
        start = time.perf_counter()
        pipeline.feed(samples[begin : begin + BLOCK])
        calls.append(time.perf_counter() - start)
    start = time.perf_counter()
    pipeline.flush()
    calls.append(time.perf_counter() - start)
    return calls


def main() -> None:
    """Parse, measure, report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("files", type=Path, nargs="*")
    parser.add_argument("--bundle", default="en-us")
    parser.add_argument("--commands", default="home")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    parser.add_argument(
        "--card",
        action="store_true",
        help="write size and compute into the bundle's figures and card",
    )
    arguments = parser.parse_args()
    files = arguments.files or sorted(Path("tests/data/recordings").rglob("*.flac"))

    start = time.perf_counter()
    engine = Engine.load(
        AssistantConfig(
            bundle=arguments.bundle,
            commands=arguments.commands,
            threads=arguments.threads,
            device=arguments.device,
        )
    )
    loading = time.perf_counter() - start
    speech = [np.concatenate(list(read_file(path))) for path in files]
    pipeline = engine.pipeline(whole=True)
    for samples in speech[:2]:
        run(pipeline, samples)  # warm up
    stopwatch = watch(pipeline)
    calls, ends = [], []
    for samples in speech:
        *fed, ended = run(pipeline, samples)
        calls += fed
        ends.append(ended)
    spoken = sum(len(samples) for samples in speech) / SAMPLE_RATE
    stages = {stage: seconds / spoken for stage, seconds in stopwatch.spent.items()}

    room = np.random.default_rng(0).standard_normal(120 * SAMPLE_RATE).astype(np.float32) * 1e-3
    listening = engine.pipeline()
    silence = sum(run(listening, room)) / 120
    endpointer = engine.pipeline()
    vad = Stopwatch()
    vad.wrap(endpointer.endpointer, "feed", "endpointer")
    for samples in speech:
        run(endpointer, samples)
    stages["endpointer"] = vad.spent["endpointer"] / spoken

    figures = {
        "machine": processor(),
        "torch": torch.__version__.partition("+")[0],
        "threads": arguments.threads,
        "bundle": Path(arguments.bundle).name,
        "commands": arguments.commands,
        "audio_seconds": round(spoken, 1),
        "loading_seconds": round(loading, 2),
        "compute_per_second_of_speech": {k: round(v, 5) for k, v in stages.items()},
        "total_speech": round(sum(stages.values()), 4),
        "total_silence": round(silence, 5),
        "feed_ms": percentiles(calls),
        "end_of_speech_to_decision_ms": percentiles(ends),
        "resident_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }
    report(figures)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")
    if arguments.card:
        folder = engine.acoustic.folder
        measured = {"size_mb": sizes(folder), "compute": figures}
        kept = keep_figures(folder / "figures.json", engine.acoustic.hash, measured)
        write_tables(folder / "CARD.md", kept)


def sizes(folder: Path) -> dict[str, float]:
    """Megabytes of a bundle's parts, and of the encoder that it shares with others."""
    parts = {"acoustic model": folder / "acoustic.safetensors"}
    parts["posterior bank"] = folder / "posterior_bank.safetensors"
    if "encoder_sha256" in (folder / "config.yaml").read_text(encoding="utf-8"):
        parts["shared encoder"] = folder.parent / "encoder" / "encoder.safetensors"
    return {name: round(path.stat().st_size / 1e6, 2) for name, path in parts.items()}


def percentiles(seconds: list[float]) -> dict[str, float]:
    """Median, 95th and 99th percentile and maximum, in milliseconds."""
    values = np.percentile(np.array(seconds) * 1000, [50, 95, 99, 100])
    return dict(
        zip(("p50", "p95", "p99", "max"), (round(float(v), 3) for v in values), strict=True)
    )


def report(figures: dict[str, Any]) -> None:
    """Print the figures for people."""
    table = Table(title=f"{figures['threads']} thread(s), {figures['audio_seconds']} s of speech")
    table.add_column("stage")
    table.add_column("share of real time", justify="right")
    for stage, share in figures["compute_per_second_of_speech"].items():
        table.add_row(stage, f"{share:.2%}")
    table.add_row("all, while someone speaks", f"{figures['total_speech']:.2%}", style="bold")
    table.add_row("all, in silence", f"{figures['total_silence']:.3%}", style="bold")
    console = Console()
    console.print(table)
    for name in ("feed_ms", "end_of_speech_to_decision_ms", "loading_seconds", "resident_mb"):
        console.print(f"{name}: {figures[name]}")


if __name__ == "__main__":
    main()
