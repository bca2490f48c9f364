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

from ..features import FeatureExtractor, normalise
from ..types import Samples
from .manifest import Recording, read_samples

ROWS_PER_SECOND = 25
"""Feature rows a second of speech: one per 40 ms."""


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
    extractor: FeatureExtractor,
    change: Callable[[Samples, int], Samples],
    chunks: Sequence[int | None] = (None,),
    rank: int = 0,
    batch_seconds: float = 60.0,
    seed: int | None = None,
) -> Iterator[float]:
    """Write the rows of `recordings`, yielding the seconds of audio done after every batch.

    Args:
        change: augmentation of an utterance, given its position in `recordings`.
        chunks: sizes of the encoder's chunk in rows, drawn in turn; None is full context.
        batch_seconds: audio encoded at a time.
        seed: take the batches in random order, so that an interrupted copy has all lengths.
    """
    folder.mkdir(parents=True, exist_ok=True)
    index_path, rows_path = folder / f"index-{rank}.jsonl", folder / f"rows-{rank}.f16"
    done = _finished(index_path)
    next_row = done[-1]["start"] + done[-1]["length"] if done else 0
    finished = {entry["place"] for entry in done}
    columns = extractor.columns
    with index_path.open("a", encoding="utf-8") as index, rows_path.open("ab") as rows:
        rows.truncate(next_row * columns * 2)
        order = list(_batches(recordings, batch_seconds))
        if seed is not None:
            np.random.default_rng(seed).shuffle(order)
        for number, whole_batch in enumerate(order):
            batch = [i for i in whole_batch if i not in finished]
            if not batch:
                continue
            samples = [change(read_samples(recordings[i].path), i) for i in batch]
            chunk = chunks[number % len(chunks)]
            for i, encoded in zip(batch, _rows(samples, extractor, chunk), strict=True):
                rows.write(encoded.tobytes())
                entry = {
                    "place": i,
                    "start": next_row,
                    "length": len(encoded),
                    "text": recordings[i].text,
                }
                entry |= {"speaker": recordings[i].speaker, "corpus": recordings[i].corpus}
                next_row += len(encoded)
                index.write(json.dumps(entry, ensure_ascii=False) + "\n")
            rows.flush()
            index.flush()
            yield sum(recordings[i].seconds for i in batch)


def _batches(recordings: Sequence[Recording], batch_seconds: float) -> Iterator[list[int]]:
    """Consecutive recordings, as many as fit when all are as long as the longest of them."""
    batch: list[int] = []
    longest = 0.0
    for i in range(len(recordings)):
        longest = max(longest, recordings[i].seconds)
        if batch and longest * (len(batch) + 1) > batch_seconds:
            yield batch
            batch, longest = [], recordings[i].seconds
        batch.append(i)
    if batch:
        yield batch


@torch.inference_mode()
def _rows(
    samples: Sequence[Samples], extractor: FeatureExtractor, chunk: int | None
) -> list[npt.NDArray[np.float16]]:
    config = extractor.config
    frames = [extractor.whole(s) for s in samples]
    frames = [normalise(f, f.max()) for f in frames]
    lengths = torch.tensor([len(f) for f in frames])
    batch = torch.nn.utils.rnn.pad_sequence(frames, batch_first=True).to(extractor.device)
    per_row = config.stack
    if extractor.encoder is not None:
        with torch.autocast(extractor.device.type, torch.bfloat16):
            batch = extractor.encoder(
                batch,
                lengths.to(extractor.device),
                chunk=chunk * per_row if chunk else None,
                left_context=config.left_context_rows * per_row if chunk else None,
            )
    rows = batch.float().reshape(len(frames), -1, extractor.columns).cpu()
    return [
        rows[i, : int(n) // extractor.frames_per_row].to(torch.float16).numpy()
        for i, n in enumerate(lengths)
    ]
