"""An evaluation by one process or by several: on this machine, or wherever `torchrun` starts them.

Every process has a fixed share of the recordings, and what comes out of a recording depends on
nothing but the recording: the outcomes are the same however many processes there are.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist

from ..errors import AssistantError, UsageError
from .journal import Journal, from_lines, to_line
from .outcome import Outcome
from .runner import Evaluation
from .settings import Settings

Progress = Callable[[int, int], None]
"""Told how many recordings are done, and of how many."""

POLL_SECONDS = 0.5
"""Between looks at processes that still work."""
PATIENCE = timedelta(days=7)
"""How long a process waits for the others' shares."""


@dataclass(frozen=True, slots=True)
class Rank:
    """Which process this is, of how many that `torchrun` started; on_machine: of its machine."""

    number: int = 0
    world: int = 1
    on_machine: int = 0

    @property
    def is_first(self) -> bool:
        """Whether it merges and writes the report."""
        return self.number == 0


@contextmanager
def ranks() -> Iterator[Rank]:
    """Join the processes that `torchrun` started, if it did, and leave them in the end."""
    if "RANK" not in os.environ or int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Rank()
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count())
    dist.init_process_group("gloo", timeout=PATIENCE)
    try:
        yield Rank(dist.get_rank(), dist.get_world_size(), int(os.environ["LOCAL_RANK"]))
    finally:
        dist.destroy_process_group()


def evaluate(
    evaluation: Evaluation, folder: Path, rank: Rank, workers: int, progress: Progress
) -> dict[str, Outcome]:
    """All outcomes by key; of another rank than the first, its own alone.

    Args:
        folder: of the journal; what stands there already is not done again.
        workers: processes on this machine, this one included; 1 under `torchrun`.

    Raises:
        AssistantError: another process failed.
    """
    if workers > 1 and rank.world > 1:
        raise UsageError("--workers and torchrun exclude each other: it starts the processes")
    with Journal(folder) as journal:
        if workers > 1:
            return _by_workers(evaluation, journal, workers, progress)
        total = len(evaluation.tasks[rank.number :: rank.world])
        done = 0

        def advance() -> None:
            nonlocal done
            done += 1
            progress(done, total)

        progress(0, total)
        mine = evaluation.share(rank.number, rank.world, journal, advance)
    return _gathered(mine) if rank.world > 1 else mine


def wait(rank: Rank) -> None:
    """Until the other processes have come as far; the first has written the report then."""
    if rank.world > 1:
        dist.barrier()


# ── processes on this machine ──────────────────────────────────────────────────────────────


def _by_workers(
    evaluation: Evaluation, journal: Journal, workers: int, progress: Progress
) -> dict[str, Outcome]:
    context = multiprocessing.get_context("spawn")  # a fork would share the networks' threads
    others = [
        context.Process(
            target=_work, args=(evaluation.settings, journal.folder, rank, workers), daemon=True
        )
        for rank in range(1, workers)
    ]
    wanted = {task.key for task in evaluation.tasks}
    looked = -POLL_SECONDS

    def advance() -> None:
        nonlocal looked
        if time.monotonic() - looked < POLL_SECONDS:
            return  # the others' journals are read to see how far they are
        looked = time.monotonic()
        for other in others:
            _check(other)
        progress(len(wanted & journal.keys()), len(wanted))

    for other in others:
        other.start()
    try:
        advance()
        evaluation.share(0, workers, journal, advance)
        while any(other.is_alive() for other in others):
            for other in others:
                other.join(POLL_SECONDS)
            advance()
        for other in others:
            _check(other)
    finally:
        for other in others:
            other.terminate()
    found = journal.read()
    return {key: found[key] for key in wanted}


def _check(other: BaseProcess) -> None:
    if other.exitcode:
        raise AssistantError(
            f"a process of the evaluation failed (exit code {other.exitcode}); what is done is "
            "kept: run it again, with fewer --workers if memory was short"
        )


def _work(settings: Settings, folder: Path, rank: int, world: int) -> None:
    """What a worker does; its errors are those of its standard error and exit code."""
    parent = multiprocessing.parent_process()

    def stay() -> None:
        if parent is not None and not parent.is_alive():
            raise SystemExit(1)  # nobody waits for the rest

    with Journal(folder) as journal:
        Evaluation.load(settings).share(rank, world, journal, stay)


# ── processes of torchrun ──────────────────────────────────────────────────────────────────


def _gathered(mine: Mapping[str, Outcome]) -> dict[str, Outcome]:
    """Every process' outcomes, on every process; as lines of a journal, never as pickles."""
    text = "".join(to_line(key, outcome) for key, outcome in mine.items()).encode()
    sizes = [torch.zeros(1, dtype=torch.int64) for _ in range(dist.get_world_size())]
    dist.all_gather(sizes, torch.tensor([len(text)]))
    longest = max(int(size) for size in sizes)
    padded = torch.zeros(longest, dtype=torch.uint8)
    padded[: len(text)] = torch.from_numpy(np.frombuffer(text, np.uint8).copy())
    parts = [torch.zeros(longest, dtype=torch.uint8) for _ in sizes]
    dist.all_gather(parts, padded)
    found: dict[str, Outcome] = {}
    for part, size in zip(parts, sizes, strict=True):
        found |= from_lines(part[: int(size)].numpy().tobytes().decode())
    return found
