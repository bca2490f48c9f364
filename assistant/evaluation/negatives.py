"""Speech in which no command is said: which recordings are streamed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import UsageError
from ..recording import read_file
from ..training.manifest import audio_files, read_speakers
from .items import (
    Item,
    Problem,
    UnusableLineError,
    audio_fault,
    manifest_lines,
    parse_line,
    text_of,
)


@dataclass(frozen=True, slots=True)
class _Candidate:
    item: Item
    seconds: float | None


def read_negatives(
    source: Path, speakers: Path | None, minutes: float | None, seed: int
) -> tuple[list[Item], list[Problem]]:
    """The recordings of a manifest (JSON lines with `path`) or of a folder, in a fixed order.

    Args:
        speakers: a file that names, one a line, whose recordings are taken. minutes: how much is
            enough; which recordings those are is drawn by the seed.

    Raises:
        UsageError: the source or the list of speakers cannot be read, or nothing is left.
    """
    problems: list[Problem] = []
    if source.is_dir():
        if speakers is not None:
            raise UsageError("--speakers needs a manifest that names them, not a folder")
        files = audio_files([source])
        listed = [
            _Candidate(Item(number, file.relative_to(source).as_posix(), file), None)
            for number, file in enumerate(files, 1)
        ]
    else:
        listed = list(_read(source, problems))
    if speakers is not None:
        wanted = read_speakers(speakers)
        listed = [c for c in listed if c.item.speaker in wanted]
    if not listed:
        whose = " of these speakers" if speakers is not None else ""
        raise UsageError(f"--negatives {source}: holds no recording{whose}")
    return _enough(listed, minutes, seed, problems), problems


def _enough(
    listed: list[_Candidate], minutes: float | None, seed: int, problems: list[Problem]
) -> list[Item]:
    order = np.arange(len(listed))
    if minutes is not None:
        order = np.random.default_rng(seed).permutation(len(listed))
    chosen, seconds = [], 0.0
    for candidate in (listed[i] for i in order):
        if minutes is not None and seconds >= minutes * 60:
            break
        item = candidate.item
        if fault := audio_fault(item.file):
            problems.append(Problem(item.line, item.path, f"negatives: {fault}"))
            continue
        chosen.append(item)
        if minutes is not None:
            seconds += candidate.seconds or read_file(item.file).seconds or 0.0
    problems.sort(key=lambda problem: problem.line or 0)
    return sorted(chosen, key=lambda item: item.line)


def _read(manifest: Path, problems: list[Problem]) -> Iterator[_Candidate]:
    for number, line in manifest_lines(manifest):
        try:
            entry = parse_line(line)
            speaker, seconds = text_of(entry, "speaker"), entry.get("seconds")
        except UnusableLineError as error:
            problems.append(Problem(number, None, f"negatives: broken line: {error}"))
            continue
        path = entry["path"]
        item = Item(number, path, manifest.parent / path, speaker=speaker)
        yield _Candidate(item, float(seconds) if isinstance(seconds, int | float) else None)
