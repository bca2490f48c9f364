"""The parts of the benchmark: how much is measured of each, and each of them measured.

Beside the figures stands `core_share`, the share of a core that the measurement got: near 1 on a
machine that does nothing else. Where it is far below, the figures are of the other processes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import Any, Protocol

import numpy as np
import torch

from ...config import AssistantConfig
from ...engine import Engine
from ...recording import read_file
from ...training.machine import processor
from ...types import SAMPLE_RATE, Samples
from . import compute, growth, latency, streams
from .generated_commands import LANGUAGE
from .machine import cores
from .startup import FIRST_DECISION, READY
from .streams import Effort

PARTS = ("compute", "latency", "start-up", "memory", "streams", "length", "commands")
SAID_SECONDS = 3.0
"""What a stream has said so far, as a command does; beside it the whole left context is tried."""
LONGEST_SECONDS = 40.0
"""Of speech that streams and utterances of any length are cut from."""


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is measured."""

    silence_seconds: float = 120.0
    starts: int = 5
    utterances: int = 200
    streams: tuple[int, ...] = (1, 8, 64, 512, 4096)
    effort: Effort = field(default_factory=Effort)
    lengths: tuple[float, ...] = (2.0, 5.0, 10.0, 20.0)
    sentences: tuple[int, ...] = (10, 100, 1_000, 10_000)
    repeats: int = 10


QUICK = Extent(
    silence_seconds=10.0,
    starts=1,
    utterances=5,
    streams=(1, 8),
    effort=Effort(steps=3, seconds=1.0, step_limit=10.0),
    lengths=(2.0, 5.0),
    sentences=(10, 100),
    repeats=2,
)


class Fresh(Protocol):
    """Runs a measurement of `child` in a fresh process and returns what it answers."""

    def __call__(self, what: str, **arguments: object) -> dict[str, Any]:
        """what, arguments: as for `child.answer`."""


@dataclass(frozen=True)
class Benchmark:
    """What is measured, on what, how much of it.

    fresh: measures in a process of its own. progress: told what is being measured.
    """

    config: AssistantConfig
    files: Sequence[Path]
    extent: Extent
    fresh: Fresh
    progress: Callable[[str], None]

    def run(self, part: str) -> dict[str, Any]:
        """Measure one of `PARTS`.

        Raises:
            AssistantError: bundle, commands or recordings cannot be read, or a recording is longer
                than an utterance may be.
        """
        self.progress(part)
        return {
            "compute": self._compute,
            "latency": self._latency,
            "start-up": self._start_up,
            "memory": self._memory,
            "streams": self._streams,
            "length": self._length,
            "commands": self._commands,
        }[part]()

    def made_from(self) -> dict[str, Any]:
        """What figures are of, beside the machine."""
        engine = self.engine
        return {
            "bundle": engine.acoustic.name,
            "bundle_hash": engine.acoustic.hash,
            "commands": Path(self.config.commands).name,
            "commands_hash": engine.commands.source_hash,
            "threads": self.config.threads,
            "device": str(engine.device),
            "streaming_precision": _precision(engine),
            "recordings": len(self.files),
            "audio_seconds": round(sum(map(len, self._speech)) / SAMPLE_RATE, 1),
        }

    @property
    def engine(self) -> Engine:
        """As the configuration says."""
        return self._loaded[0]

    @cached_property
    def _loaded(self) -> tuple[Engine, float]:
        """The engine, and the seconds it took to load."""
        begin = time.perf_counter()
        engine = Engine.load(self.config)
        return engine, time.perf_counter() - begin

    @cached_property
    def _speech(self) -> list[Samples]:
        return [read_file(path).whole() for path in self.files]

    @property
    def _long_speech(self) -> Samples:
        """The recordings in a row, over and over."""
        return np.resize(np.concatenate(self._speech), round(LONGEST_SECONDS * SAMPLE_RATE))

    def _compute(self) -> dict[str, Any]:
        seconds = self.extent.silence_seconds
        return {
            "machine": processor(),
            "torch": torch.__version__.partition("+")[0],
            "threads": self.config.threads,
            "bundle": self.engine.acoustic.name,
            "commands": Path(self.config.commands).name,
            "loading_seconds": round(self._loaded[1], 2),
            **_with_share(lambda: compute.measure(self.engine, self._speech, seconds)),
        }

    def _latency(self) -> dict[str, Any]:
        return _with_share(lambda: latency.measure(self.engine, self._speech))

    def _start_up(self) -> dict[str, Any]:
        runs = []
        for number in range(self.extent.starts):
            self.progress(f"start-up, {number + 1} of {self.extent.starts}")
            runs.append(self.fresh("start-up", **self._started()))
        columns = zip(*(run["stages"] for run in runs), strict=True)
        stages = [
            {**found[0], "seconds": round(median(stage["seconds"] for stage in found), 4)}
            for found in columns
        ]
        names = [stage["stage"] for stage in stages]
        return {
            "runs": len(runs),
            "stages": stages,
            "ready_seconds": _until(runs, names.index(READY)),
            "first_decision_seconds": _until(runs, names.index(FIRST_DECISION)),
            "core_share": min(run["core_share"] for run in runs),
        }

    def _memory(self) -> dict[str, Any]:
        return self.fresh("memory", **self._started(), utterances=self.extent.utterances)

    def _streams(self) -> dict[str, Any]:
        places = [("one core", 1, "cpu")]
        if (count := cores()) > 1:
            places.append((f"all {count} cores", count, "cpu"))
        if torch.cuda.is_available():
            places.append((torch.cuda.get_device_name(), 1, "cuda"))
        runs = []
        for where, threads, device in places:
            config = replace(self.config, threads=threads, device=device)
            engine = Engine.load(config)
            for said in _said(engine):
                runs.append(self._held(engine, where, threads, said))
        torch.set_num_threads(self.config.threads)
        return {"runs": runs}

    def _held(self, engine: Engine, where: str, threads: int, said: float) -> dict[str, Any]:
        extent = self.extent

        def progress(line: str) -> None:
            self.progress(f"streams, {where}, {said:g} s said: {line}")

        found = _with_share(
            lambda: streams.measure(
                engine, self._long_speech, extent.streams, said, extent.effort, progress
            ),
            threads,
        )
        return {"where": where, "device": str(engine.device), "threads": threads, **found}

    def _length(self) -> dict[str, Any]:
        extent = self.extent

        def rows() -> dict[str, Any]:
            found = growth.with_length(
                self.engine, self._long_speech, extent.lengths, extent.repeats
            )
            return {"rows": found}

        return _with_share(rows)

    def _commands(self) -> dict[str, Any]:
        language = self.engine.acoustic.language
        if not language.startswith(LANGUAGE):
            line = f"the generated sentences are English, the bundle speaks {language}"
            return {"rows": [], "left_out": line}
        rows = []
        for number in self.extent.sentences:
            self.progress(f"commands, {number:,} sentences")
            asked = {key: value for key, value in self._started().items() if key != "commands"}
            asked |= {"sentences": number, "repeats": self.extent.repeats}
            rows.append(self.fresh("commands", **asked))
        return {"rows": rows}

    def _started(self) -> dict[str, Any]:
        """How a fresh process starts."""
        config = self.config
        return {
            "files": [str(path.resolve()) for path in self.files],
            "bundle": config.bundle,
            "commands": config.commands,
            "threads": config.threads,
            "device": config.device,
        }


def _with_share(measure: Callable[[], dict[str, Any]], threads: int = 1) -> dict[str, Any]:
    """What `measure` finds, and `core_share`: the share it got of the cores it could use."""
    begin, used = time.perf_counter(), time.process_time()
    found = measure()
    share = (time.process_time() - used) / (time.perf_counter() - begin) / threads
    return {**found, "core_share": round(share, 3)}


def _said(engine: Engine) -> list[float]:
    """Seconds said so far: those of a command, and all that the encoder looks back on."""
    encoder = engine.streaming
    if encoder is None or not encoder.shape.layers:
        return [SAID_SECONDS]  # nothing grows
    features = engine.acoustic.features
    return [SAID_SECONDS, features.left_context_rows * features.row_ms / 1000]


def _precision(engine: Engine) -> str:
    parameters = engine.streaming.parameters() if engine.streaming is not None else iter(())
    return str(next(parameters, torch.zeros(0)).dtype).removeprefix("torch.")


def _until(runs: Sequence[dict[str, Any]], stage: int) -> float:
    """Median over the runs of the seconds up to the end of a stage."""
    spent = [sum(float(s["seconds"]) for s in run["stages"][: stage + 1]) for run in runs]
    return round(median(spent), 3)
