"""Noise and rooms for evaluation: always the same for the same recording, condition and seed.

What is drawn depends on the seed, the recording's path and the condition alone, never on the
process that draws it or on what was drawn before: one recording can be mixed again by itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np

from ..errors import UsageError
from ..recording import read_file
from ..training.augmentation import convolve, excerpt, root_mean_square, simulated_room
from ..training.manifest import audio_files
from ..types import Samples

LOUDEST_FRAME = 2048
"""Samples of the frames that `Mixing.LOUDEST_FRAME` compares, as Picovoice's benchmark has them."""

QUIETEST = 1e-9
"""A level below which noise is silence, which no gain makes loud."""


class Mixing(Enum):
    """Between which powers of speech and noise the signal-to-noise ratio holds.

    MEAN: mean power of the whole recording, its pauses included, over mean power of the noise.
    LOUDEST_FRAME: the loudest frame of 128 ms of the recording over the loudest of the noise; as in
    `mixer.py` of Picovoice's speech-to-intent benchmark, so that figures can be held against its.
    """

    MEAN = "mean"
    LOUDEST_FRAME = "loudest-frame"


Snr = float | None
"""Decibels; None is clean: no noise at all."""


def snr_name(snr: Snr) -> str | float:
    """As the report has it."""
    return "clean" if snr is None else snr


def parse_snrs(text: str) -> tuple[Snr, ...]:
    """`clean,24,15.5` to conditions, in that order.

    Raises:
        UsageError: something else stands there, or one twice.
    """
    found: list[Snr] = []
    for name in text.split(","):
        try:
            snr = None if name.strip() == "clean" else float(name)
        except ValueError:
            raise UsageError(
                f"--snr: '{name.strip()}' is neither 'clean' nor a number of decibels"
            ) from None
        if snr is not None and not np.isfinite(snr):
            raise UsageError(f"--snr: '{name.strip()}' is no number of decibels; say 'clean'")
        if snr in found:
            raise UsageError(f"--snr: '{name.strip()}' is there twice")
        found.append(snr)
    return tuple(found)


@dataclass(frozen=True)
class Mixer:
    """Makes conditions of recordings.

    noises: recordings of noise, in a fixed order. reverb: whether every recording is heard through
    a simulated room of its own, before the noise.
    """

    noises: tuple[Path, ...] = ()
    mixing: Mixing = Mixing.MEAN
    reverb: bool = False
    seed: int = 0

    @classmethod
    def of(cls, noise: Sequence[Path], mixing: Mixing, reverb: bool, seed: int) -> Mixer:
        """noise: recordings, and folders of recordings.

        Raises:
            UsageError: one of them is not there, or holds none.
        """
        files: list[Path] = []
        for path in noise:
            found = audio_files([path]) if path.is_dir() else [path]
            if not found:
                raise UsageError(f"{path}: no recording of noise is in this folder")
            files += found
        for file in files:
            read_file(file)  # an unreadable one is told before anything is evaluated
        return cls(tuple(files), mixing, reverb, seed)

    @cached_property
    def noise_hash(self) -> str | None:
        """SHA-256 of all noise: what is drawn depends on every file there is."""
        if not self.noises:
            return None
        digest = hashlib.sha256()
        for file in self.noises:
            digest.update(file.read_bytes())
        return digest.hexdigest()

    def __call__(self, samples: Samples, path: str, snr: Snr) -> Samples:
        """A recording under a condition, as long as before, no sample beyond [-1, 1].

        Args:
            samples: (N,) mono, 16 kHz. path: names the recording. snr: of the condition.
        """
        if not self.reverb and snr is None:
            return samples
        rng = self._rng(path, snr)
        if self.reverb:
            samples = convolve(samples, simulated_room(rng))
        if snr is not None and len(samples):
            noise = excerpt([self._draw(rng)], len(samples), rng)
            samples = np.asarray(samples + self._gain(samples, noise, snr) * noise, np.float32)
        return samples / np.float32(max(1.0, float(np.abs(samples).max(initial=0.0))))

    def _rng(self, path: str, snr: Snr) -> np.random.Generator:
        name = f"{self.seed}\0{path}\0{snr_name(snr)}"
        return np.random.default_rng(list(hashlib.sha256(name.encode()).digest()))

    def _draw(self, rng: np.random.Generator) -> Samples:
        return _read(self.noises[int(rng.integers(len(self.noises)))])

    def _gain(self, speech: Samples, noise: Samples, snr: float) -> float:
        level = root_mean_square if self.mixing is Mixing.MEAN else loudest_frame
        return level(speech) / max(level(noise), QUIETEST) * 10 ** (-snr / 20)


def loudest_frame(samples: Samples) -> float:
    """Root mean square of the loudest frame of `LOUDEST_FRAME` samples; of all, if they are less.

    Frames follow one another without overlap; what is left at the end is in none.
    """
    whole = len(samples) // LOUDEST_FRAME * LOUDEST_FRAME
    if not whole:
        return root_mean_square(samples)
    frames = samples[:whole].reshape(-1, LOUDEST_FRAME).astype(np.float64)
    return float(np.sqrt(np.square(frames).mean(axis=1).max()))


@lru_cache(maxsize=32)  # a recording may be an hour long
def _read(file: Path) -> Samples:
    return read_file(file).whole()
