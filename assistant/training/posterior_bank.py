"""The posterior bank: how real people come out of this acoustic model, cut into phonemes.

Real training speech is aligned with its text, and its posteriors are kept with the boundaries of
every phoneme. A sentence that nobody ever recorded is then spliced from the longest runs that
match it, each phoneme in its context (unit selection: Hunt & Black 1996), and a classifier can be
trained on it. Noise in which nobody speaks is kept beside it, for the confidence to learn from.
Only the `TOP` most probable phonemes of a row are kept, as costs in a byte.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torchaudio.functional as AF
from torch import Tensor

from ..bundle import read_weights, write_weights

TOP = 8
COST_STEP = 1 / 20
"""Nats a unit of the stored costs."""
LONGEST_PAUSE = 4
"""Rows of blank kept where a speaker paused."""
CANDIDATES = 12
"""Places of the bank compared for every join."""

Bytes = npt.NDArray[np.uint8]
Numbers = npt.NDArray[np.int64]
LogProbs = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Spliced:
    """log_probs (T, P), and for each row the place in the target of the phoneme it belongs to."""

    log_probs: LogProbs
    places: Numbers


@dataclass(frozen=True, slots=True)
class Rows:
    """labels, costs: (R, TOP), the most probable columns and their negative log-posteriors."""

    labels: Bytes
    costs: Bytes

    @classmethod
    def of(cls, log_probs: Tensor) -> Rows:
        """What is kept of log-posteriors (R, P)."""
        top = log_probs.topk(TOP, dim=1)
        costs = (-top.values / COST_STEP).round().clamp(0, 255)
        return cls(top.indices.numpy().astype(np.uint8), costs.numpy().astype(np.uint8))

    def log_probs(self, columns: int) -> LogProbs:
        """(R, columns) log-posteriors; what was not kept shares what is left."""
        costs = self.costs.astype(np.float32) * COST_STEP
        left = np.maximum(1 - np.exp(-costs).sum(axis=1), 1e-4) / (columns - TOP)
        dense = np.repeat(np.log(left)[:, None], columns, axis=1).astype(np.float32)
        np.put_along_axis(dense, self.labels.astype(np.int64), -costs, axis=1)
        return dense


@dataclass(frozen=True)
class PosteriorBank:
    """Arrays over rows (R), phonemes (N) and utterances.

    labels, costs: `Rows` of all utterances.
    phonemes: (N,) ids. starts: (N + 1,) first row of each. utterances: (N,) which one.
    noisy: (N,), whether its utterance is an augmented copy.
    noise: stretches in which nobody speaks.
    """

    columns: int
    labels: Bytes
    costs: Bytes
    phonemes: Numbers
    starts: Numbers
    utterances: Numbers
    noisy: npt.NDArray[np.bool_]
    noise: tuple[Rows, ...] = ()

    def with_noise(self, heard: Sequence[Tensor]) -> PosteriorBank:
        """The same speech beside other noise: the log-posteriors (T, P) of each stretch."""
        return replace(self, noise=tuple(Rows.of(stretch) for stretch in heard))

    def places(self, noisy: bool) -> Numbers:
        """Places of the clean or of the noisy phonemes; of all, where there is one kind alone."""
        chosen = np.flatnonzero(self.noisy == noisy)
        return chosen if len(chosen) else np.arange(len(self.noisy))

    def write(self, path: Path) -> None:
        """Write as safetensors."""
        write_weights(
            path,
            {
                "labels": torch.from_numpy(self.labels),
                "costs": torch.from_numpy(self.costs),
                "phonemes": torch.from_numpy(self.phonemes.astype(np.uint8)),
                "starts": torch.from_numpy(self.starts.astype(np.int32)),
                "utterances": torch.from_numpy(self.utterances.astype(np.int32)),
                "noisy": torch.from_numpy(self.noisy),
                "columns": torch.tensor([self.columns]),
                **self._noise_written(),
            },
        )

    def _noise_written(self) -> dict[str, Tensor]:
        if not self.noise:
            return {}
        return {
            "noise_labels": torch.from_numpy(np.concatenate([n.labels for n in self.noise])),
            "noise_costs": torch.from_numpy(np.concatenate([n.costs for n in self.noise])),
            "noise_rows": torch.tensor([len(n.labels) for n in self.noise], dtype=torch.int32),
        }

    @classmethod
    def read(cls, path: Path) -> PosteriorBank:
        """Read what `write` wrote."""
        arrays = {name: value.numpy() for name, value in read_weights(path).items()}
        return cls(
            columns=int(arrays["columns"][0]),
            labels=arrays["labels"],
            costs=arrays["costs"],
            phonemes=arrays["phonemes"].astype(np.int64),
            starts=arrays["starts"].astype(np.int64),
            utterances=arrays["utterances"].astype(np.int64),
            noisy=arrays["noisy"],
            noise=_noise_read(arrays),
        )

    def log_probs(self, rows: Numbers) -> LogProbs:
        """(T, P) log-posteriors of some rows."""
        return Rows(self.labels[rows], self.costs[rows]).log_probs(self.columns)


def _noise_read(arrays: Mapping[str, npt.NDArray[Any]]) -> tuple[Rows, ...]:
    if "noise_rows" not in arrays:
        return ()
    ends = np.cumsum(arrays["noise_rows"])[:-1]
    labels, costs = (np.split(arrays[name], ends) for name in ("noise_labels", "noise_costs"))
    return tuple(Rows(*both) for both in zip(labels, costs, strict=True))


@dataclass(frozen=True, slots=True)
class Aligned:
    """An utterance's log-posteriors (T, P), its phonemes (N,) and their first rows (N + 1,)."""

    log_probs: Tensor
    phonemes: tuple[int, ...]
    starts: Numbers
    noisy: bool


def align(log_probs: Tensor, phonemes: tuple[int, ...], noisy: bool) -> Aligned | None:
    """CTC forced alignment; a boundary lies in the middle of the blanks between two phonemes.

    Returns None where the phonemes do not fit into the rows.
    """
    target = torch.tensor([phonemes], dtype=torch.int32)
    repeats = sum(a == b for a, b in pairwise(phonemes))
    if len(log_probs) < len(phonemes) + repeats:
        return None
    path = AF.forced_align(log_probs[None], target)[0][0].numpy()
    spoken = np.flatnonzero(path)
    begins = np.flatnonzero((path != 0) & (path != np.concatenate([[0], path[:-1]])))
    ends = np.append(spoken[np.searchsorted(spoken, begins[1:]) - 1], spoken[-1]) + 1
    middles = (ends[:-1] + begins[1:] + 1) // 2
    starts = np.concatenate([[0], middles, [len(path)]])
    return Aligned(log_probs, phonemes, starts.astype(np.int64), noisy)


def build_bank(aligned: list[Aligned]) -> PosteriorBank:
    """Put aligned utterances together; long pauses are shortened."""
    labels, costs, phonemes, starts, utterances, noisy = [], [], [], [0], [], []
    rows = 0
    for number, utterance in enumerate(aligned):
        for place, phoneme in enumerate(utterance.phonemes):
            segment = utterance.log_probs[utterance.starts[place] : utterance.starts[place + 1]]
            segment = segment[_without_long_pauses(segment)]
            kept = Rows.of(segment)
            labels.append(kept.labels)
            costs.append(kept.costs)
            rows += len(segment)
            phonemes.append(phoneme)
            starts.append(rows)
            utterances.append(number)
            noisy.append(utterance.noisy)
    return PosteriorBank(
        columns=aligned[0].log_probs.shape[1],
        labels=np.concatenate(labels),
        costs=np.concatenate(costs),
        phonemes=np.array(phonemes),
        starts=np.array(starts),
        utterances=np.array(utterances),
        noisy=np.array(noisy),
    )


def _without_long_pauses(segment: Tensor) -> Tensor:
    """(T,) whether to keep each row: the first `LONGEST_PAUSE` of a run of blanks are kept."""
    blank = segment.argmax(dim=1) == 0
    run = 0
    keep = []
    for is_blank in blank.tolist():
        run = run + 1 if is_blank else 0
        keep.append(run <= LONGEST_PAUSE)
    return torch.tensor(keep, dtype=torch.bool)


class Splicer:
    """Splices sentences from a bank."""

    def __init__(self, bank: PosteriorBank) -> None:
        self.bank = bank
        # One entry at a time is looked at, which lists give sooner than arrays.
        self._phonemes, self._utterances = bank.phonemes.tolist(), bank.utterances.tolist()
        same = bank.utterances[1:] == bank.utterances[:-1]
        self._next = np.append(np.where(same, bank.phonemes[1:], 0), 0)
        self._previous = np.insert(np.where(same, bank.phonemes[:-1], 0), 0, 0)
        size = bank.columns
        self._indices = {}
        for condition in (False, True):
            chosen = bank.places(condition)
            phoneme = bank.phonemes[chosen]
            previous, following = self._previous[chosen], self._next[chosen]
            self._indices[condition] = (
                _Index((previous * size + phoneme) * size + following, chosen),
                _Index(phoneme * size + following, chosen),
                _Index(previous * size + phoneme, chosen),
                _Index(phoneme, chosen),
            )

    def splice(
        self,
        target: tuple[int, ...],
        noisy: bool,
        rng: np.random.Generator,
        without: int | None = None,
    ) -> Spliced:
        """Rows for a sequence of phonemes, from clean or from noisy speech alone, if there is any.

        Args:
            without: number of an utterance that nothing is taken from.
        """
        rows: list[Numbers] = []
        places: list[Numbers] = []
        at = 0
        while at < len(target):
            begin, matched = self._longest_match(target, at, noisy, rng, without)
            # The last phoneme of a run has the wrong neighbour: it is taken from the next run.
            taken = matched if at + matched == len(target) or matched == 1 else matched - 1
            if begin >= 0:
                for place in range(taken):
                    start, end = self.bank.starts[begin + place : begin + place + 2]
                    rows.append(np.arange(start, end))
                    places.append(np.full(end - start, at + place))
            at += taken
        if not rows:
            return Spliced(np.zeros((0, self.bank.columns), np.float32), np.zeros(0, np.int64))
        return Spliced(self.bank.log_probs(np.concatenate(rows)), np.concatenate(places))

    def _longest_match(
        self,
        target: tuple[int, ...],
        at: int,
        noisy: bool,
        rng: np.random.Generator,
        without: int | None = None,
    ) -> tuple[int, int]:
        """Where the longest of some random matches begins (-1: the phoneme is not there)."""
        size = self.bank.columns
        phoneme = target[at]
        previous = target[at - 1] if at else 0
        following = target[at + 1] if at + 1 < len(target) else 0
        keys = (
            (previous * size + phoneme) * size + following,
            phoneme * size + following,
            previous * size + phoneme,
            phoneme,
        )
        for index, key in zip(self._indices[noisy], keys, strict=True):
            found = index.places(key)
            if without is not None:
                found = found[self.bank.utterances[found] != without]
            if len(found):
                break
        else:
            return -1, 1
        if len(found) > CANDIDATES:
            found = found[rng.integers(0, len(found), CANDIDATES)]
        lengths = [self._match_length(target, at, int(place)) for place in found]
        best = int(np.argmax(lengths))
        return int(found[best]), lengths[best]

    def _match_length(self, target: tuple[int, ...], at: int, place: int) -> int:
        phonemes, utterances = self._phonemes, self._utterances
        length = 1
        while (
            at + length < len(target)
            and place + length < len(phonemes)
            and phonemes[place + length] == target[at + length]
            and utterances[place + length] == utterances[place]
        ):
            length += 1
        return length


class _Index:
    """Keys to the places where they occur."""

    def __init__(self, keys: Numbers, places: Numbers) -> None:
        order = np.argsort(keys, kind="stable")
        self._places = places[order]
        found, begins = np.unique(keys[order], return_index=True)
        edges = [*begins.tolist(), len(keys)]
        self._ranges = dict(zip(found.tolist(), pairwise(edges), strict=True))

    def places(self, key: int) -> Numbers:
        begin, end = self._ranges.get(key, (0, 0))
        return self._places[begin:end]
