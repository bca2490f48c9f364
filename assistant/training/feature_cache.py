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

from ..errors import AudioFileError, UsageError
from ..types import Samples
from .json_lines import Entry, as_lines, keep_only, read_entries
from .manifest import Recording, read_samples
from .rows import RowMaker

PLAN = "plan.json"
"""Beside the copies: which recordings a cache is of, or whose posteriors."""
Plan = dict[str, Any]


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
            _, shard = shard_files(folder, shard_number(index))
            self._shards[shard] = _open_rows(shard, columns)
            for entry in read_entries(index):
                utterance = CachedUtterance(shard=shard, **entry)
                # A damaged recording has no rows.
                if 0 < utterance.length <= len(self._shards[shard]) - utterance.start:
                    self.utterances.append(utterance)

    def by_place(self) -> dict[tuple[str, int], CachedUtterance]:
        """Utterances by shard and place, which all copies of a recording share."""
        return {(u.shard.name, u.place): u for u in self.utterances}

    def rows(self, utterance: CachedUtterance) -> npt.NDArray[np.float16]:
        """(T, D) rows of one utterance."""
        end = utterance.start + utterance.length
        return self._shards[utterance.shard][utterance.start : end]


def shard_files(folder: Path, number: int) -> tuple[Path, Path]:
    """The index and the rows of a shard."""
    return folder / f"index-{number}.jsonl", folder / f"rows-{number}.f16"


def shard_number(file: Path) -> int:
    """Which shard an index, or rows, are of."""
    return int(file.stem.rsplit("-", 1)[1])


def _open_rows(shard: Path, columns: int) -> npt.NDArray[np.float16]:
    whole = shard.stat().st_size // (2 * columns)
    if not whole:  # there is no mapping of nothing
        return np.zeros((0, columns), np.float16)
    return np.memmap(shard, np.float16, "r", shape=(whole, columns))


def resume(index: Path, shard: Path, columns: int) -> list[Entry]:
    """The entries of a shard that are whole; what a stop left half written is cut off."""
    whole = shard.stat().st_size // (2 * columns) if shard.exists() else 0
    entries = [e for e in read_entries(index) if e["start"] + e["length"] <= whole]
    keep_only(index, entries)
    if shard.exists():
        with shard.open("ab") as rows:
            rows.truncate(end_of(entries) * columns * 2)
    return entries


def end_of(entries: Sequence[Entry]) -> int:
    """The row after the last entry's."""
    return int(entries[-1]["start"] + entries[-1]["length"]) if entries else 0


def keep_plan(cache: Path, plan: Plan, rank: int) -> Plan:
    """The plan of a cache; where it has none it is `plan`, which the first process writes."""
    path = cache / PLAN
    if path.exists():
        return read_plan(cache)
    if rank == 0:
        cache.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".tmp")  # another process may be reading it
        temporary.write_text(json.dumps(plan, ensure_ascii=False), encoding="utf-8")
        temporary.replace(path)
    return plan


def read_plan(cache: Path) -> Plan:
    """What a cache says it is of; nothing where it was put together by hand, or is older."""
    path = cache / PLAN
    found: Plan = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return found


def refuse_other_rows(cache: Path, columns: int) -> None:
    """Samples read as log-mel, or the other way round, would be noise that nothing notices.

    Raises:
        UsageError: the cache's plan says that its rows have another width.
    """
    found = read_plan(cache).get("columns", columns)
    if found != columns:
        raise UsageError(
            f"{cache}: its rows have {found} columns, not {columns}; --samples belongs to "
            "both extract_features.py and train_acoustic.py, or to neither"
        )


def unfinished(recordings: Sequence[Recording], folder: Path, rank: int = 0) -> float:
    """Seconds of audio that `extract` would still have to do."""
    done = {entry["place"] for entry in read_entries(shard_files(folder, rank)[0])}
    return sum(r.seconds for i, r in enumerate(recordings) if i not in done)


def damaged(recordings: Sequence[Recording], folder: Path, rank: int = 0) -> list[Path]:
    """Recordings that `extract` could not read."""
    entries = read_entries(shard_files(folder, rank)[0])
    return [recordings[entry["place"]].path for entry in entries if not entry["length"]]


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

    A recording that cannot be read keeps its place, without rows.

    Args:
        maker: makes rows of samples.
        change: augmentation of an utterance, given its position in `recordings`.
        batch_seconds: audio written at a time.
        seed: go through them in random order, so that an interrupted copy has all lengths.
    """
    folder.mkdir(parents=True, exist_ok=True)
    index_path, rows_path = shard_files(folder, rank)
    done = resume(index_path, rows_path, maker.columns)
    next_row = end_of(done)
    finished = {entry["place"] for entry in done}
    order = range(len(recordings))
    if seed is not None:
        order = np.random.default_rng(seed).permutation(len(recordings)).tolist()
    with index_path.open("a", encoding="utf-8") as index, rows_path.open("ab") as rows:
        missing = [i for i in order if i not in finished]
        for batch in _batches(missing, recordings, batch_seconds):
            entries = []
            for i in batch:
                recording = recordings[i]
                try:
                    found = maker.rows(change(read_samples(recording.path), i))
                except AudioFileError:
                    found = torch.empty(0, maker.columns)
                rows.write(found.to(torch.float16).numpy().tobytes())
                entry: Entry = {"place": i, "start": next_row, "length": len(found)}
                entry |= {"text": recording.text, "speaker": recording.speaker}
                entries.append(entry | {"corpus": recording.corpus})
                next_row += len(found)
            rows.flush()  # before the index, which must not name what is not there
            index.write(as_lines(entries))
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
