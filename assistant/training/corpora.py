"""Speech corpora in the layout that they are published in, as recordings to train on.

LibriSpeech (Panayotov et al. 2015), Common Voice (Ardila et al. 2020, arXiv 1912.06670) and Speech
Commands (Warden 2018, arXiv 1804.03209). Speakers keep the names that their corpus gives them, so
that one who is in two corpora is held out of both.
"""

from __future__ import annotations

import argparse
import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import soundfile

from ..errors import UsageError
from .manifest import UNREADABLE, Recording, read_manifest, unreadable

COMMON_VOICE_COLUMNS = ("client_id", "path", "sentence")
"""What is read of a table of Common Voice, by the names in its first line."""

_SPEECH_COMMANDS_NAME = re.compile(r"(?P<speaker>\w+)_nohash_\d+\.wav")


@dataclass(frozen=True, slots=True)
class Corpus:
    """What a folder or a manifest holds, and what it should hold but does not."""

    source: Path
    recordings: tuple[Recording, ...]
    left_out: tuple[str, ...] = ()
    """Files that are listed but missing, or cannot be read, with the reason."""

    @property
    def summary(self) -> str:
        """One line for people: how much there is, and what was left out."""
        hours = sum(r.seconds for r in self.recordings) / 3600
        speakers = len({r.speaker for r in self.recordings} - {""})
        line = (
            f"{self.source}: {len(self.recordings)} recordings, {hours:.2f} h, {speakers} speakers"
        )
        if self.left_out:
            line += f"; {len(self.left_out)} left out, the first of them {self.left_out[0]}"
        return line


def add_noise(parser: argparse.ArgumentParser, what: str = "folders of background noise") -> None:
    """The option that names noise to learn from (`held_out_noise` leaves some of it out)."""
    about = f"{what};\na fifth of it, by name, is left for measuring"
    parser.add_argument("--noise", type=Path, nargs="*", default=[], help=about)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options by which scripts are told which speech there is; `named_in` reads them."""
    speech = parser.add_argument_group("speech (several may be given, and are mixed)")
    for name, what in (
        ("manifest", "JSON lines: path, text, speaker, corpus, seconds"),
        ("librispeech", "folder with */speaker/chapter/*.trans.txt and .flac"),
        ("common-voice", "folder of a language of a release: *.tsv and clips/"),
        ("common-voice-1", "folder of the first release: cv-valid-*.csv, and clips beside"),
        ("speech-commands", "folder with word/speaker_nohash_n.wav"),
    ):
        speech.add_argument(f"--{name}", type=Path, nargs="+", default=[], help=what)
    speech.add_argument(
        "--common-voice-table", default="validated", help="which .tsv (default: validated)"
    )


def named_in(arguments: argparse.Namespace) -> list[Corpus]:
    """Every corpus that was named.

    Raises:
        UsageError: none was, or one is not of its layout or holds nothing.
    """
    found = [manifest(path) for path in arguments.manifest]
    found += [librispeech(folder) for folder in arguments.librispeech]
    found += [
        common_voice(folder, arguments.common_voice_table) for folder in arguments.common_voice
    ]
    found += [common_voice_1(folder) for folder in arguments.common_voice_1]
    found += [speech_commands(folder) for folder in arguments.speech_commands]
    if not found:
        raise UsageError(
            "say which speech: --manifest, --librispeech, --common-voice, --common-voice-1 or "
            "--speech-commands"
        )
    return found


def manifest(path: Path) -> Corpus:
    """A manifest (see `read_manifest`), without the recordings that are not where it says.

    Raises:
        UsageError: it is missing, has a broken line, or none of its recordings is there.
    """
    if not path.is_file():
        raise UsageError(f"{path}: there is no such manifest; name a file of JSON lines")
    recordings, left_out = [], []
    for recording in read_manifest(path):
        if not recording.path.is_file():
            left_out.append(f"{recording.path} (missing)")
        elif recording.seconds <= 0:
            left_out.append(f"{recording.path} (empty or damaged)")
        else:
            recordings.append(recording)
    hint = "its paths are relative to it; put the recordings there"
    return _checked(path, recordings, left_out, hint)


def librispeech(folder: Path) -> Corpus:
    """LibriSpeech or one of its subsets: `*/speaker/chapter/*.trans.txt` with FLAC beside it.

    Raises:
        UsageError: the folder has another layout, or a broken line.
    """
    layout = "expected <subset>/<speaker>/<chapter>/*.trans.txt with .flac beside it"
    listed = []
    for transcript in sorted(_folder(folder, layout).rglob("*.trans.txt")):
        speaker = transcript.name.split("-")[0]
        subset = transcript.absolute().parents[2].name.replace("-", "_")
        for number, line in _lines(transcript):
            name, _, text = line.partition(" ")
            if not name.startswith(f"{speaker}-") or not text.strip():
                raise UsageError(
                    f"{transcript}:{number}: expected '{speaker}-<chapter>-<number> <text>'; "
                    "mend or remove the line"
                )
            path = transcript.with_name(f"{name}.flac")
            listed.append((path, text.strip(), speaker, f"librispeech_{subset}"))
    return _measured(folder, listed, [], layout)


def common_voice(folder: Path, table: str = "validated") -> Corpus:
    """A language of a release of Common Voice: `<table>.tsv` and `clips/*.mp3`.

    Args:
        folder: `cv-corpus-<release>/<language>`.
        table: which clips: `validated`, `train`, …

    Raises:
        UsageError: the folder has another layout, there is no such table, or a line is broken.
    """
    layout = f"expected {table}.tsv and clips/ in it, as in cv-corpus-<release>/<language>"
    path = _folder(folder, layout) / f"{table}.tsv"
    if not path.is_file() or not (folder / "clips").is_dir():
        tables = sorted(p.stem for p in folder.glob("*.tsv"))
        there = f"; it has the tables {', '.join(tables)}" if tables else ""
        raise UsageError(f"{folder}: is no language of Common Voice: {layout}{there}")
    lines = _lines(path)
    header = next(lines, (1, ""))[1].split("\t")
    if not set(COMMON_VOICE_COLUMNS) <= set(header):
        wanted = ", ".join(COMMON_VOICE_COLUMNS)
        raise UsageError(f"{path}:1: expected a line that names the columns {wanted}")
    columns = [header.index(name) for name in COMMON_VOICE_COLUMNS]
    listed = []
    for number, line in lines:
        cells = line.split("\t")
        if len(cells) != len(header) or not all(cells[c].strip() for c in columns):
            raise UsageError(
                f"{path}:{number}: expected {len(header)} columns with "
                f"{', '.join(COMMON_VOICE_COLUMNS)}, found {len(cells)}; mend or remove the line"
            )
        speaker, clip, text = (cells[c].strip() for c in columns)
        listed.append((folder / "clips" / Path(clip).name, text, speaker, "common_voice"))
    return _measured(folder, listed, [], layout)


def common_voice_1(folder: Path) -> Corpus:
    """The first release of Common Voice: `cv-valid-*.csv` and the clips that they name.

    It says of no clip who speaks, so all of it is trained on and none of it can be held out.

    Raises:
        UsageError: the folder has another layout, or a line is broken.
    """
    layout = "expected cv-valid-*.csv in it and beside them the .mp3 that they name"
    listed = []
    for path in sorted(_folder(folder, layout).glob("cv-valid-*.csv")):
        rows = csv.DictReader(line for _, line in _lines(path))
        try:
            for row in rows:
                clip, text = row.get("filename"), row.get("text")
                if not clip or not text:
                    raise csv.Error("expected a filename and a text")
                listed.append((folder / clip, text.strip(), "", "common_voice_1"))
        except csv.Error as error:
            raise UsageError(f"{path}:{rows.line_num}: {error}; mend or remove the line") from error
    return _measured(folder, listed, [], layout)


def speech_commands(folder: Path) -> Corpus:
    """Speech Commands: `<word>/<speaker>_nohash_<n>.wav`; `_background_noise_` is left out.

    Raises:
        UsageError: the folder has another layout.
    """
    layout = "expected <word>/<speaker>_nohash_<n>.wav in it"
    listed, others = [], []
    for path in sorted(_folder(folder, layout).glob("[!_]*/*.wav")):
        if found := _SPEECH_COMMANDS_NAME.fullmatch(path.name):
            listed.append((path, path.parent.name, found["speaker"], "speech_commands"))
        else:
            others.append(f"{path} (its name says no speaker)")
    return _measured(folder, listed, others, layout)


def _folder(folder: Path, layout: str) -> Path:
    if not folder.is_dir():
        raise UsageError(f"{folder}: there is no such folder; {layout}")
    return folder


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a text that are not empty, numbered from 1."""
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield number, line.rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: is no UTF-8 text; fetch it again") from error


def _measured(
    folder: Path,
    listed: Iterable[tuple[Path, str, str, str]],
    left_out: list[str],
    layout: str,
) -> Corpus:
    """Recordings of (path, text, speaker, corpus), as long as their files' headers say."""
    recordings = []
    for path, text, speaker, corpus in listed:
        if not path.is_file():
            left_out.append(f"{path} (missing)")
            continue
        try:
            seconds = soundfile.info(path).duration
        except UNREADABLE as error:
            left_out.append(f"{path} (damaged: {unreadable(error)})")
            continue
        if seconds > 0:
            recordings.append(Recording(path, text, speaker, corpus, seconds))
        else:
            left_out.append(f"{path} (empty)")
    return _checked(folder, recordings, left_out, layout)


def _checked(
    source: Path, recordings: Iterable[Recording], left_out: list[str], hint: str
) -> Corpus:
    kept = tuple(recordings)
    if not kept:
        why = f" ({len(left_out)} left out, the first of them {left_out[0]})" if left_out else ""
        raise UsageError(f"{source}: has no recordings{why}; {hint}")
    return Corpus(source, kept, tuple(left_out))
