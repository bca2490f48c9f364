"""Work shared out over forked processes, so that compiling commands uses both cores.

What is computed does not depend on how many cores there are: the number of processes is fixed.
Where processes cannot be forked, one does it all (and learns a little differently).
"""

from __future__ import annotations

import mmap
import multiprocessing
import signal
import sys
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from threading import BrokenBarrierError
from typing import TypeVar

import torch
from torch import Tensor

Result = TypeVar("Result")

PROCESSES = 2 if sys.platform == "linux" else 1
PATIENCE_S = 120.0
"""Seconds that one process waits for another before it takes it for dead."""


class Together:
    """What a process has in common with those that do the same work on another share of it.

    Memory is mapped before the fork; there is neither a socket nor a file.
    """

    def __init__(self, numbers: int, processes: int = PROCESSES) -> None:
        """numbers: how many can be averaged at a time."""
        self.processes = processes
        self.rank = 0
        self._memory = mmap.mmap(-1, max(1, 4 * numbers * processes))
        self._shared = torch.frombuffer(self._memory, dtype=torch.float32).view(processes, -1)
        context = multiprocessing.get_context("fork") if processes > 1 else None
        self._barrier: Barrier | None = context.Barrier(processes) if context else None

    def mean(self, values: Tensor) -> Tensor:
        """The mean of all processes' (N,) numbers, the same in each of them.

        Raises:
            RuntimeError: another process died.
        """
        if self._barrier is None:
            return values
        part = self._shared[:, : len(values)]
        part[self.rank] = values
        self._barrier.wait(PATIENCE_S)
        mean = part.mean(dim=0)
        self._barrier.wait(PATIENCE_S)  # nobody writes before everybody has read
        return mean

    def run(self, work: Callable[[Together], Result]) -> Result:
        """Do the same work in every process, each with its own `rank`; returns the first one's.

        Raises:
            RuntimeError: another process failed.
        """
        if self._barrier is None:
            return work(self)
        context = multiprocessing.get_context("fork")
        others = [
            context.Process(target=self._other, args=(rank, work), daemon=True)
            for rank in range(1, self.processes)
        ]
        for process in others:
            process.start()
        try:
            result = work(self)
        except BaseException:
            self._barrier.abort()  # whoever still waits, waits for nothing
            raise
        for process in others:
            process.join()
        return result

    def _other(self, rank: int, work: Callable[[Together], Result]) -> None:
        _begin()
        self.rank = rank
        try:
            work(self)
        except BrokenBarrierError:
            sys.exit(1)  # the process that failed says why
        except BaseException:
            if self._barrier is not None:
                self._barrier.abort()
            raise


def spread(work: Callable[[int], Result], count: int, processes: int = PROCESSES) -> list[Result]:
    """`work(0)` to `work(count - 1)`, in this order, done by several processes.

    Raises:
        RuntimeError: another process failed.
    """
    if processes == 1 or count < processes:
        return [work(i) for i in range(count)]
    context = multiprocessing.get_context("fork")
    ends: list[Connection] = []
    for rank in range(1, processes):
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(
            target=_send, args=(theirs, work, range(rank, count, processes)), daemon=True
        )
        process.start()
        theirs.close()
        ends.append(ours)
    shares = [[work(i) for i in range(0, count, processes)]]
    for end in ends:
        try:
            shares.append(end.recv())
        except EOFError as error:
            raise RuntimeError("a process that did a part of the work failed") from error
    return [shares[i % processes][i // processes] for i in range(count)]


def _begin() -> None:
    """In a process that was forked: Ctrl-C is the first one's affair."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)


def _send(end: Connection, work: Callable[[int], Result], numbers: Sequence[int]) -> None:
    _begin()
    end.send([work(i) for i in numbers])
    end.close()
