"""Where `recognize` takes its samples from, and how many at a time."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator

import numpy as np

from ..errors import UsageError
from ..recording import read_file, read_pcm
from ..types import Samples

STANDARD_INPUT = "-"


def open_source(file: str, rate: int, channels: int) -> Iterable[Samples]:
    """The sound of a recording, or raw PCM of `rate` and `channels` from standard input.

    Raises:
        AudioFileError: the recording cannot be read.
        UsageError: nothing comes from standard input; while it is iterated over.
    """
    return _standard_input(rate, channels) if file == STANDARD_INPUT else read_file(file)


def _standard_input(rate: int, channels: int) -> Iterator[Samples]:
    if sys.stdin.isatty():
        raise UsageError("standard input is a terminal; pipe raw PCM into it")
    is_empty = True
    for samples in read_pcm(sys.stdin.buffer, rate, channels):
        is_empty = False
        yield samples
    if is_empty:
        raise UsageError("standard input is empty; pipe raw PCM into it")


def recut(blocks: Iterable[Samples], size: int) -> Iterator[Samples]:
    """The same samples, `size` at a time; what is left at the end comes as it is."""
    pending: list[Samples] = []
    held = 0
    for block in blocks:
        pending.append(block)
        held += len(block)
        if held >= size:
            joined = np.concatenate(pending)
            whole = held - held % size
            for begin in range(0, whole, size):
                yield joined[begin : begin + size]
            pending, held = [joined[whole:]], held - whole
    if held:
        yield np.concatenate(pending)
