"""A cache of feature rows on disk: extract once, train from it in minutes.

A cache is a folder of shards, one a process: `rows-<rank>.f16` (rows, D) and `index-<rank>.jsonl`
with, for each utterance, its first row, its length, the text, speaker and corpus. Extraction goes
on where it was interrupted.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ..types import Samples
from .manifest import Recording, read_samples
from .rows import RowMaker


@dataclass(frozen=True, slots=True)
class CachedUtterance:
    """Where an utterance's rows are, and what was said.

    `place` is the recording's place in the list that was extracted, which all copies share.
    """

    shard: Path
    place: int
    start: int
    length: int
    text: str
    speaker: str
    corpus: str


class FeatureCache:
    """Reads the shards of a cache."""

    def __init__(self, folder: Path, columns: int) -> None:
        self.columns = columns
        self.utterances: list[CachedUtterance] = []
        self._shards: dict[Path, npt.NDArray[np.float16]] = {}
        for index in sorted(folder.glob("index-*.jsonl")):
            shard = folder / index.name.replace("index", "rows").replace("jsonl", "f16")
            self._shards[shard] = _open_rows(shard, columns)
            for line in index.read_text(encoding="utf-8").splitlines():
                utterance = CachedUtterance(shard=shard, **json.loads(line))
                if utterance.start + utterance.length <= len(self._shards[shard]):
                    self.utterances.append(utterance)

    def by_place(self) -> dict[tuple[str, int], CachedUtterance]:
        """Utterances by shard and place, which all copies of a recording share."""
        return {(u.shard.name, u.place): u for u in self.utterances}

    def rows(self, utterance: CachedUtterance) -> npt.NDArray[np.float16]:
        """(T, D) rows of one utterance."""
        end = utterance.start + utterance.length
        return self._shards[utterance.shard][utterance.start : end]


def _open_rows(shard: Path, columns: int) -> npt.NDArray[np.float16]:
    whole = shard.stat().st_size // (2 * columns)
    if not whole:  # there is no mapping of nothing
        return np.zeros((0, columns), np.float16)
    return np.memmap(shard, np.float16, "r", shape=(whole, columns))


def _finished(index: Path) -> list[dict[str, Any]]:
    """The entries of a shard's index; none where it is not begun."""
    if not index.exists():
        return []
    return [json.loads(line) for line in index.read_text(encoding="utf-8").splitlines()]


def unfinished(recordings: Sequence[Recording], folder: Path, rank: int = 0) -> float:
    """Seconds of audio that `extract` would still have to do."""
    done = {entry["place"] for entry in _finished(folder / f"index-{rank}.jsonl")}
    return sum(r.seconds for i, r in enumerate(recordings) if i not in done)


def extract(
    recordings: Sequence[Recording],
    folder: Path,
    maker: RowMaker,
    change: Callable[[Samples, int], Samples],
    rank: int = 0,
    batch_seconds: float = 60.0,
    seed: int | None = None,
) -> Iterator[float]:
    """Write the rows of `recordings`, yielding the seconds of audio done after every batch.

    Args:
        maker: makes rows of samples.
        change: augmentation of an utterance, given its position in `recordings`.
        batch_seconds: audio written at a time.
        seed: go through them in random order, so that an interrupted copy has all lengths.
    """
    folder.mkdir(parents=True, exist_ok=True)
    index_path, rows_path = folder / f"index-{rank}.jsonl", folder / f"rows-{rank}.f16"
    done = _finished(index_path)
    next_row = done[-1]["start"] + done[-1]["length"] if done else 0
    finished = {entry["place"] for entry in done}
    order = range(len(recordings))
    if seed is not None:
        order = np.random.default_rng(seed).permutation(len(recordings)).tolist()
    with index_path.open("a", encoding="utf-8") as index, rows_path.open("ab") as rows:
        rows.truncate(next_row * maker.columns * 2)
        missing = [i for i in order if i not in finished]
        for batch in _batches(missing, recordings, batch_seconds):
            entries = []
            for i in batch:
                recording = recordings[i]
                samples = change(read_samples(recording.path), i)
                found = maker.rows(samples)
                rows.write(found.to(torch.float16).numpy().tobytes())
                entry = {"place": i, "start": next_row, "length": len(found)}
                entry |= {"text": recording.text, "speaker": recording.speaker}
                entries.append(entry | {"corpus": recording.corpus})
                next_row += len(found)
            rows.flush()  # before the index, which must not name what is not there
            index.writelines(json.dumps(e, ensure_ascii=False) + "\n" for e in entries)
            index.flush()
            yield sum(recordings[i].seconds for i in batch)


def _batches(
    places: Sequence[int], recordings: Sequence[Recording], seconds: float
) -> Iterator[list[int]]:
    """Consecutive recordings of about so many seconds together."""
    batch: list[int] = []
    length = 0.0
    for i in places:
        batch.append(i)
        length += recordings[i].seconds
        if length >= seconds:
            yield batch
            batch, length = [], 0.0
    if batch:
        yield batch
