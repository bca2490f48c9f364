"""How many streams one batch holds in real time: a step's time against the audio of a chunk.

A batch is held if the slowest twentieth of its steps, too, ends within the time of a chunk. All
its streams are in the middle of an utterance, so much of it said already that the encoder looks
back on it: that is work that grows with what was said, up to the left context. Only the streaming
pass is in it, features to phonemes; endpointing and decisions are measured for one stream.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...engine import Engine
from ...types import Samples
from .lockstep import Lockstep, LockstepState, repeated, state_bytes
from .machine import free_bytes
from .stopwatch import percentiles

STATES_AT_ONCE = 2
"""In memory at the end of a step: the one before, and the one after."""
BETWEEN = 25
"""Memory of what a step computes in between, in tensors of a block's log-mel frames by the
encoder's width (measured with the bundle en-us: 24)."""
CLOSE_ENOUGH = 0.1
"""The number held is looked for until it is known within a tenth."""
WARM_UP_SECONDS = 5.0
"""Steps that are expected to take longer are not done once beforehand."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How much time goes into a batch size."""

    steps: int = 20
    """Steps of a batch at most, three at least where they are not slow."""
    seconds: float = 4.0
    """After which no further step is begun."""
    step_limit: float = 300.0
    """Seconds; a batch whose step is expected to take longer is left out, and said so."""


def measure(
    engine: Engine,
    speech: Samples,
    sizes: Sequence[int],
    said_seconds: float,
    effort: Effort,
    progress: Callable[[str], None],
) -> dict[str, Any]:
    """The batches of `sizes`, and the largest that is held, on the engine's device as it is set.

    Args:
        speech: is said by every stream; longer than `said_seconds` and a chunk.
        said_seconds: of the utterance so far.
        progress: told what is being measured.
    """
    ladder = _Ladder(engine, speech, said_seconds, effort, progress)
    rows: list[dict[str, Any]] = []
    for size in sorted(set(sizes)):
        rows.append(ladder.row(size))
        if "left_out" in rows[-1]:
            break
    held = max((row["streams"] for row in rows if row.get("held")), default=0)
    missed = min((row["streams"] for row in rows if row.get("held") is False), default=None)
    while missed is not None and missed - held > max(1, CLOSE_ENOUGH * held):
        middle = ladder.row((held + missed) // 2)
        rows.append(middle)
        if middle.get("held"):
            held = middle["streams"]
        else:
            missed = middle["streams"]
    return {
        "said_seconds": round(ladder.said_seconds, 2),
        "chunk_ms": round(ladder.lockstep.chunk_seconds * 1000, 3),
        "state_mb_per_stream": round(state_bytes(ladder.state) / 2**20, 3),
        "held": held,
        "limited_by": "time" if missed is not None else _what_ended(rows),
        "batches": sorted(rows, key=lambda row: int(row["streams"])),
    }


def _what_ended(rows: Sequence[dict[str, Any]]) -> str:
    return str(rows[-1].get("limit", "the largest batch asked for"))


class _Ladder:
    """One stream in the middle of an utterance, and batches of copies of it."""

    def __init__(
        self,
        engine: Engine,
        speech: Samples,
        said_seconds: float,
        effort: Effort,
        progress: Callable[[str], None],
    ) -> None:
        self.lockstep = lockstep = Lockstep.of(engine)
        self._effort = effort
        self._progress = progress
        self._seconds_per_stream = 0.0
        samples = torch.from_numpy(speech)[None].to(engine.device)
        state, at = lockstep.initial_state(1), 0
        for _ in range(math.ceil(said_seconds / lockstep.chunk_seconds)):
            wanted = lockstep.samples_wanted(state)
            state = lockstep.step(samples[:, at : at + wanted], state)[1]
            at += wanted
        self.state: LockstepState = state
        self.said_seconds = at / lockstep.config.sample_rate
        encoder = lockstep.encoder
        width = lockstep.config.mel_bins if encoder is None else encoder.shape.width
        frames = lockstep.config.frames_for(lockstep.config.block_rows)
        self._between = BETWEEN * frames * width * torch.float32.itemsize
        self._chunk = samples[:, at : at + lockstep.samples_wanted(state)]

    def row(self, batch: int) -> dict[str, Any]:
        """A batch's figures; `left_out` says why there are none."""
        wanted = batch * (STATES_AT_ONCE * state_bytes(self.state) + self._between)
        if self.lockstep.device.type == "cuda":
            torch.cuda.empty_cache()  # what smaller batches had is free as well
        free = free_bytes(self.lockstep.device)
        if free is not None and wanted > free:
            line = f"needs about {wanted / 1e9:.1f} GB of memory; {free / 1e9:.1f} GB are free"
            return {"streams": batch, "limit": "memory", "left_out": line}
        expected = self._seconds_per_stream * batch
        if expected > self._effort.step_limit:
            line = (
                f"a step would take about {expected:.0f} s, more than {self._effort.step_limit:g} s"
            )
            return {"streams": batch, "limit": "time", "left_out": line}
        self._progress(f"{batch} streams")
        try:
            times = self._times(batch, expected)
        except torch.OutOfMemoryError:
            return {"streams": batch, "limit": "memory", "left_out": "the GPU has not the memory"}
        self._seconds_per_stream = min(times) / batch
        step = percentiles(times)
        chunk_ms = self.lockstep.chunk_seconds * 1000
        return {
            "streams": batch,
            "step_ms": step,
            "load": round(step["p50"] / chunk_ms, 5),
            "held": step["p95"] <= chunk_ms,
        }

    def _times(self, batch: int, expected: float) -> list[float]:
        """Seconds of steps, all of them the same step: the state before is not changed by it."""
        state = repeated(self.state, batch)
        samples = self._chunk.repeat(batch, 1)
        if expected < WARM_UP_SECONDS:
            self._timed(samples, state)
        times: list[float] = []
        while len(times) < self._effort.steps and sum(times) < self._effort.seconds:
            times.append(self._timed(samples, state))
        return times

    def _timed(self, samples: Tensor, state: LockstepState) -> float:
        begin = time.perf_counter()
        self.lockstep.step(samples, state)
        if self.lockstep.device.type == "cuda":
            torch.cuda.synchronize(self.lockstep.device)
        return time.perf_counter() - begin
