"""Manifests: lists of recordings with their text and speaker, split by speaker."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
import torchaudio.functional as AF

from ..errors import AudioFileError, UsageError
from ..types import SAMPLE_RATE, Samples

TEST_VOICES = frozenset(
    (
        *("af_heart", "af_jessica", "am_michael", "am_puck", "bf_isabella", "bm_lewis"),
        *("pm_santa", "em_santa"),
    )
)
"""Synthetic voices kept for tests; a clip that has a share of one is never trained on.

`pm_santa` is Portuguese; `em_santa` is nearly the same voice under a Spanish name.
"""


_FAMILIES = ("common_voice", "librispeech")
"""Corpora of several parts or releases, by what their names begin with."""


def family(corpus: str, apart: Iterable[str] = ()) -> str:
    """What a corpus is measured with: releases of Common Voice together, parts of LibriSpeech too.

    Corpora that are `apart` are measured by themselves.
    """
    if corpus in apart:
        return corpus
    return next((begin for begin in _FAMILIES if corpus.startswith(begin)), corpus)


def refuse_unknown(apart: Iterable[str], corpora: Iterable[str]) -> None:
    """Whoever sets a corpus apart under a name that no recording has would never notice.

    Raises:
        UsageError: one of `apart` is not among `corpora`.
    """
    known = sorted(set(corpora))
    for corpus in apart:
        if corpus not in known:
            raise UsageError(f"--apart {corpus}: no such corpus here; there are {', '.join(known)}")


@dataclass(frozen=True, slots=True)
class Recording:
    """One line of a manifest."""

    path: Path
    text: str
    speaker: str
    corpus: str
    seconds: float


def read_manifest(path: Path) -> list[Recording]:
    """Read a JSON-lines manifest: `path` (relative to it), `text`, `speaker`, `corpus`, `seconds`.

    Where a line does not say `seconds`, the recording's own header does.

    Raises:
        UsageError: a line is broken, naming file and line.
    """
    recordings = []
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    recordings.append(_recording(json.loads(line), path.parent))
                except (ValueError, KeyError, TypeError) as error:
                    raise UsageError(f"{path}:{number}: not a manifest line: {error!r}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: is no UTF-8 text; write it anew") from error
    return recordings


def _recording(entry: dict[str, Any], folder: Path) -> Recording:
    path, text, speaker = folder / entry["path"], entry["text"], entry.get("speaker")
    if not isinstance(text, str):
        raise TypeError(f"text is no string but {text!r}")
    return Recording(
        path=path,
        text=text,
        speaker="" if speaker is None else str(speaker),
        corpus=str(entry.get("corpus", folder.name)),
        seconds=float(entry["seconds"] if "seconds" in entry else _seconds(path)),
    )


def _seconds(path: Path) -> float:
    """As the header says; 0 where there is no such recording, which is told where it is read."""
    try:
        return float(soundfile.info(path).duration)
    except UNREADABLE:
        return 0.0


@dataclass(frozen=True, slots=True)
class Split:
    """Speaker-disjoint parts: no speaker of `held_out` is in `training`."""

    training: tuple[Recording, ...]
    held_out: tuple[Recording, ...]

    @property
    def held_out_speakers(self) -> list[str]:
        """Who is kept out, sorted; written beside the bundle."""
        return sorted({r.speaker for r in self.held_out})


def read_speakers(path: Path) -> frozenset[str]:
    """Names of speakers, one a line, as `held_out_speakers.txt` has them.

    Raises:
        UsageError: there is no such file, or it is no text.
    """
    try:
        return frozenset(path.read_text(encoding="utf-8").split("\n")) - {""}
    except FileNotFoundError as error:
        raise UsageError(
            f"{path}: missing; without it nobody knows who was not trained on. Copy it from the "
            "cache that the bundle was trained from"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read: {error}") from error


def write_speakers(path: Path, speakers: Iterable[str]) -> None:
    """Write what `read_speakers` reads, in order."""
    listed = "".join(f"{speaker}\n" for speaker in sorted(speakers))
    path.write_text(listed, encoding="utf-8")


def split_by_speaker(
    recordings: Iterable[Recording], percent: int = 5, percent_of: dict[str, int] | None = None
) -> Split:
    """Hold out speakers by a hash of their name, so that the split never depends on the order.

    Recordings without a speaker are trained on: nobody can be held out among them.

    Args:
        percent: share of speakers held out, in hundredths.
        percent_of: the same for corpora that differ; a speaker held out in one corpus is held
            out in all.
    """
    listed = list(recordings)
    shares = percent_of or {}
    held_out = {
        r.speaker
        for r in listed
        if r.speaker and _bucket(r.speaker) < shares.get(r.corpus, percent)
    }
    return Split(
        training=tuple(trained_on(listed, held_out)),
        held_out=tuple(r for r in listed if r.speaker in held_out),
    )


def trained_on(recordings: Iterable[Recording], held_out: Container[str]) -> list[Recording]:
    """Recordings of everybody else, without the voices kept for tests."""
    return [r for r in recordings if r.speaker not in held_out and not _has_test_voice(r.speaker)]


def _bucket(speaker: str) -> int:
    return int.from_bytes(hashlib.sha256(speaker.encode()).digest()[:4], "big") % 100


def _has_test_voice(speaker: str) -> bool:
    return any(voice in speaker for voice in TEST_VOICES)


def read_samples(path: Path) -> Samples:
    """A whole recording, of any rate and number of channels, as mono at the pipeline's rate.

    Raises:
        AudioFileError: it is missing, damaged or empty.
    """
    try:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except UNREADABLE as error:
        why = unreadable(error) if path.is_file() else "there is no such recording"
        raise AudioFileError(f"{path}: {why}; fetch it again or leave it out") from error
    if not len(samples):
        raise AudioFileError(f"{path}: holds no sound; fetch it again or leave it out")
    mono = torch.from_numpy(samples.mean(axis=1))
    if rate != SAMPLE_RATE:
        mono = AF.resample(mono, rate, SAMPLE_RATE)
    return np.ascontiguousarray(mono.numpy(), dtype=np.float32)


UNREADABLE = (soundfile.LibsndfileError, TypeError)
"""What soundfile raises of files it cannot read; of raw PCM it wants to be told the rate."""


def unreadable(error: Exception) -> str:
    """Why soundfile cannot read a file."""
    said: str = getattr(error, "error_string", "raw PCM does not tell its rate")
    return said.rstrip(".")


def audio_files(folders: Sequence[Path]) -> list[Path]:
    """Every recording below the folders (noise, room responses), sorted."""
    endings = {".wav", ".flac", ".ogg", ".opus", ".mp3"}
    found = [p for folder in folders for p in folder.rglob("*") if p.suffix.lower() in endings]
    return sorted(found)


def held_out_noise(paths: Sequence[Path], percent: int = 20) -> tuple[list[Path], list[Path]]:
    """Background recordings to train with, and those kept for measuring, by a hash of their names.

    Takes of one recording (`…_a` and `…_b`, `…_1` and `…_2`) stay together.
    """
    kept = [p for p in paths if _bucket(re.sub(r"[-_][a-z0-9]$", "", p.stem)) < percent]
    return [p for p in paths if p not in kept], kept
