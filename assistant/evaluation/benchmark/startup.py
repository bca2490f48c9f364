"""Start-up by stage, and memory from utterance to utterance: for a process that has just begun.

Nothing heavy is imported here before it is measured; `child` runs it in a fresh process.
"""

# ruff: noqa: PLC0415 - the imports are what is measured

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ...engine import Engine
    from ...types import Samples

READY = "build a pipeline"
"""The stage after which audio may come."""
FIRST_DECISION = "first utterance: the decision"

ENOUGH = 10
"""Utterances over which growth can be told."""


@dataclass
class Ledger:
    """Seconds of each stage, and the process's megabytes after it."""

    stages: list[dict[str, Any]] = field(default_factory=list)
    _since: float = field(default_factory=time.perf_counter)

    def enter(self, stage: str) -> None:
        """A stage is over that began with the one before."""
        now = time.perf_counter()
        self.stages.append(
            {"stage": stage, "seconds": round(now - self._since, 4), "resident_mb": _resident()}
        )
        self._since = time.perf_counter()


def begin(bundle: str, commands: str, threads: int, device: str) -> tuple[Engine, Ledger]:
    """What `Engine.load` does, stage by stage, from the first import on."""
    ledger = Ledger()
    import numpy  # noqa: F401

    ledger.enter("import numpy")
    import torch

    ledger.enter("import torch")
    import torchaudio  # noqa: F401

    ledger.enter("import torchaudio")
    from ...engine import Engine, choose_device, streaming_encoder

    ledger.enter("import the rest of the assistant")
    from ...bundle import read_acoustic, read_commands
    from ...config import AssistantConfig
    from ...grammar.graph import PhonemeGraph
    from ...resources import find_bundle, find_commands

    config = AssistantConfig(bundle=bundle, commands=commands, threads=threads, device=device)
    chosen = choose_device(device)
    torch.set_num_threads(threads)
    folder = find_bundle(bundle)
    acoustic = read_acoustic(folder)
    ledger.enter("read the bundle")
    compiled = read_commands(find_commands(commands, folder), acoustic)
    ledger.enter("read the commands")
    graph = PhonemeGraph.compile(compiled.network, compiled.lexicon)
    refused = PhonemeGraph.compile_any(compiled.refused, compiled.lexicon)
    ledger.enter("compile the command graph")
    for network in (acoustic.model, acoustic.encoder, compiled.model):
        if network is not None:
            network.to(chosen)
    streaming = streaming_encoder(acoustic.encoder, chosen)
    engine = Engine(config, chosen, acoustic, compiled, graph, refused, streaming)
    ledger.enter("networks to the device")
    return engine, ledger


def start_up(samples_of: Path, **configured: Any) -> dict[str, Any]:
    """All stages up to the first decision, and the second for comparison.

    Args:
        samples_of: a recording, taken as one utterance.
        configured: as for `begin`.
    """
    engine, ledger = begin(**configured)
    pipeline = engine.pipeline(whole=True)
    ledger.enter(READY)
    samples = _speech([samples_of])[0]
    ledger.enter("read a recording")
    for which in ("first", "second"):
        pipeline.feed(samples)
        ledger.enter(f"{which} utterance: the streaming pass")
        pipeline.flush()
        ledger.enter(FIRST_DECISION.replace("first", which))
    return {"stages": ledger.stages}


def memory(files: Sequence[Path], utterances: int, **configured: Any) -> dict[str, Any]:
    """Megabytes resident after start-up and after so many utterances, one after the other.

    They come through one pipeline, endpointer included, the recordings in turn.
    """
    engine, ledger = begin(**configured)  # before the imports: it measures what they import, too
    from .compute import BLOCK, in_a_room
    from .machine import peak_mb

    pipeline = engine.pipeline()
    speech = [in_a_room(samples) for samples in _speech(files)]
    started = _resident()
    after = []
    for number in range(utterances):
        samples = speech[number % len(speech)]
        for at in range(0, len(samples), BLOCK):
            pipeline.feed(samples[at : at + BLOCK])
        after.append(_resident())
    return {
        "by_stage": [{k: s[k] for k in ("stage", "resident_mb")} for s in ledger.stages],
        "after_start_mb": started,
        "utterances": utterances,
        "resident_mb": {str(n): after[n - 1] for n in _counts(utterances)},
        "growth_mb_per_100_utterances": _slope(after),
        "peak_mb": peak_mb(),
    }


def _counts(utterances: int) -> list[int]:
    """1, 2, 5, 10, 20, 50, … up to all."""
    steps = [digit * 10**power for power in range(7) for digit in (1, 2, 5)]
    return [*[step for step in steps if step < utterances], utterances]


def _slope(after: Sequence[float | None]) -> float | None:
    """Growth over the second half, by least squares; None where it cannot be told."""
    import numpy as np

    late = [value for value in after[len(after) // 2 :] if value is not None]
    if len(late) < ENOUGH:
        return None
    return round(float(np.polyfit(np.arange(len(late)), late, 1)[0]) * 100, 3)


def _speech(files: Sequence[Path]) -> list[Samples]:
    from ...recording import read_file

    return [read_file(path).whole() for path in files]


def _resident() -> float | None:
    """As `machine.resident_mb`, which imports torch."""
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    lines = status.read_text(encoding="utf-8").splitlines()
    kilobytes = next(line for line in lines if line.startswith("VmRSS:")).split()[1]
    return round(int(kilobytes) / 1024, 1)
