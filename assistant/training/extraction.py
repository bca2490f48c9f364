"""What one process extracts: every part and copy of the split, and how much of it is left."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..bundle_files import HELD_OUT_SPEAKERS
from ..errors import AudioFileError, UsageError
from ..types import Samples
from .augmentation import AugmentationConfig, Augmenter
from .feature_cache import damaged, extract, keep_plan, unfinished
from .manifest import Recording, Split, read_samples, write_speakers
from .rows import RowMaker

BABBLE = 200
"""Utterances of a process that background talkers are taken from."""


@dataclass(frozen=True, slots=True)
class Part:
    """One folder of the cache."""

    name: str
    recordings: Sequence[Recording]
    copy: int
    """Number of the augmented copy; 0 is clean."""


class Extraction:
    """One process' share of a split, extracted part by part into a cache."""

    def __init__(
        self,
        split: Split,
        folder: Path,
        maker: RowMaker,
        copies: int = 1,
        seed: int = 1,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        """Plan it, and compare it with what the cache already holds.

        Args:
            split: what is extracted, by all processes. folder: of the cache.
            maker: of its rows.
            copies: augmented ones of the training speech, besides the clean one.
            seed: of the augmentation.
            rank, world: which process this is, of how many.

        Raises:
            UsageError: there is nothing to train on, or the cache is of other recordings.
        """
        self.folder, self.maker, self.seed, self.rank = folder, maker, seed, rank
        training = by_length(split.training)[rank::world]
        held_out = by_length(split.held_out)[rank::world]
        if not split.training:
            raise UsageError("no recording is left to train on; give more speakers' speech")
        self.training = training
        self.parts = [Part("held-out", held_out, 0), Part("clean", training, 0)]
        self.parts += [Part(f"augmented-{n}", training, n) for n in range(1, copies + 1)]
        self._refuse_another(_fingerprint(split, world, maker.columns))
        if rank == 0:
            folder.mkdir(parents=True, exist_ok=True)
            write_speakers(folder / HELD_OUT_SPEAKERS, split.held_out_speakers)

    def seconds_left(self) -> float:
        """Seconds of audio this process has still to do."""
        return sum(unfinished(p.recordings, self.folder / p.name, self.rank) for p in self.parts)

    def run(
        self, noises: Sequence[Samples] = (), responses: Sequence[Samples] = ()
    ) -> Iterator[tuple[str, float]]:
        """Extract, yielding a part's name and the seconds of audio done after every batch.

        Args:
            noises, responses: background recordings and room responses to augment with.
        """
        order = np.random.default_rng(0).permutation(len(self.training))[:BABBLE]
        copies = len(self.parts) > 2
        babble = list(_readable(self.training[i].path for i in order)) if copies else []
        augmenter = Augmenter(AugmentationConfig(), noises, responses, babble)
        for part in self.parts:
            done = extract(
                part.recordings,
                self.folder / part.name,
                self.maker,
                self._change(part.copy, augmenter),
                self.rank,
                seed=self.seed + part.copy if part.copy else None,
            )
            for seconds in done:
                yield part.name, seconds

    def damaged(self) -> list[Path]:
        """Recordings of this process that could not be read, and have no rows."""
        return [
            path
            for part in self.parts
            if part.copy == 0
            for path in damaged(part.recordings, self.folder / part.name, self.rank)
        ]

    def _change(self, copy: int, augmenter: Augmenter) -> Callable[[Samples, int], Samples]:
        def change(samples: Samples, position: int) -> Samples:
            if copy == 0:
                return samples
            rng = np.random.default_rng([self.seed, copy, self.rank, position])
            return augmenter(samples, rng)

        return change

    def _refuse_another(self, fingerprint: str) -> None:
        """Places in a cache mean nothing in another list of recordings."""
        plan = {"recordings": fingerprint, "columns": self.maker.columns}
        if keep_plan(self.folder, plan, self.rank)["recordings"] != fingerprint:
            raise UsageError(
                f"{self.folder}: was extracted from other recordings, or by another number of "
                "processes; give another --output, or remove it"
            )


def _readable(paths: Iterable[Path]) -> Iterator[Samples]:
    for path in paths:
        with suppress(AudioFileError):  # `damaged` tells of them
            yield read_samples(path)


def by_length(recordings: Sequence[Recording]) -> list[Recording]:
    """Shortest first: batches hold utterances of one length, without padding."""
    return sorted(recordings, key=lambda r: (r.seconds, str(r.path)))


def _fingerprint(split: Split, world: int, columns: int) -> str:
    """SHA-256 of everything that gives a recording its place in the cache."""
    digest = hashlib.sha256(f"{world} {columns}".encode())
    for part in (split.training, split.held_out):
        for recording in by_length(part):
            digest.update(f"\n{recording.path.name}\t{recording.text}".encode())
        digest.update(b"\n\n")
    return digest.hexdigest()
