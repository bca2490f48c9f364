"""One utterance as it was heard: its sound, what the models saw of it, and how it looks."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import soundfile

from ..types import SAMPLE_RATE, Samples
from .svg import FAINT, INK, inline

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = npt.NDArray[np.float32]

PHONEMES = 24
"""Rows of the picture of posteriors, at most."""
SEEN_AT_LEAST = 0.1
"""Posterior probability that a phoneme must reach somewhere to have a row."""
ROW_INCHES = 0.12
"""Height of a phoneme's row."""
SPECTROGRAM_INCHES = 1.1
DYNAMIC_RANGE = 6.0
"""Decades of power below the loudest that the spectrogram shows."""
POSTERIOR_COLOUR = (0.25, 0.55, 0.85)
"""Red, green, blue; probability is its opacity, so that it is seen on white and on black."""
KILOHERTZ = (0.5, 1.0, 2.0, 4.0)
"""Marks of the spectrogram's axis."""


@dataclass(frozen=True, eq=False, slots=True)
class Posteriors:
    """What the acoustic model made of one stretch of a recording.

    start, row: seconds, of the first row and of each. log_probs: (T, P), column 0 is the blank.
    """

    start: float
    row: float
    log_probs: Floats


@dataclass(frozen=True, eq=False, slots=True)
class Detail:
    """A recording in one condition, as the recogniser heard it.

    path: as the report says. snr: its condition; None for one of the negatives, of which `said` is
    what it was taken for. samples: with the noise mixed in. log_mel: (T, bins) base-10 log-mel
    power, a frame every `hop` seconds. posteriors: one an utterance; none where the recogniser has
    none. phonemes: names of their columns.
    """

    path: str
    snr: str | float | None
    samples: Samples
    log_mel: Floats
    hop: float
    posteriors: tuple[Posteriors, ...] = ()
    phonemes: tuple[str, ...] = ()
    said: str = ""

    @property
    def seconds(self) -> float:
        """Length of the recording."""
        return len(self.samples) / SAMPLE_RATE

    def audio(self) -> str:
        """The sound as a `data:` address: FLAC of 16 bits, which every browser plays unchanged.

        What is louder than full scale is turned down as a whole.
        """
        loudest = float(np.abs(self.samples).max(initial=0.0))
        buffer = io.BytesIO()
        scaled = self.samples / max(1.0, loudest)
        soundfile.write(buffer, scaled, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
        return "data:audio/flac;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")

    def picture(self, identity: str) -> str:
        """Spectrogram above posteriors, over one axis of time, as inline SVG."""
        columns = self.clearest_phonemes()
        heights = [SPECTROGRAM_INCHES, *([max(0.5, ROW_INCHES * len(columns))] if columns else [])]

        def draw(figure: Figure) -> None:
            rows = figure.subplots(
                len(heights), 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": heights}
            )[:, 0]
            self._draw_spectrogram(rows[0])
            if columns:
                self._draw_posteriors(rows[1], columns)
            rows[-1].set(xlabel="seconds", xlim=(0, max(self.seconds, self.hop)))

        label = f"Spectrogram of {self.seconds:.1f} seconds"
        if columns:
            label += "; posteriors of " + " ".join(self.phonemes[column] for column in columns)
        return inline(draw, sum(heights) + 0.55, identity, label)

    def clearest_phonemes(self) -> list[int]:
        """Columns of the phonemes that were most probable somewhere, in the order of when."""
        if not self.posteriors or not self.phonemes:
            return []
        rows = np.concatenate([part.log_probs for part in self.posteriors])
        if not len(rows):
            return []
        peaks = np.exp(rows.max(axis=0))
        peaks[0] = 0.0
        clearest = np.argsort(-peaks, kind="stable")[:PHONEMES]
        when = rows.argmax(axis=0)
        return sorted(
            (int(column) for column in clearest if peaks[column] >= SEEN_AT_LEAST),
            key=lambda column: int(when[column]),
        )

    def _draw_spectrogram(self, axes: Axes) -> None:
        bins = self.log_mel.shape[1]
        loudest = float(self.log_mel.max(initial=-10.0))
        axes.imshow(
            self.log_mel.T,
            extent=(0, len(self.log_mel) * self.hop, -0.5, bins - 0.5),
            origin="lower",
            aspect="auto",
            cmap="magma",
            vmin=loudest - DYNAMIC_RANGE,
            vmax=loudest,
        )
        axes.set_yticks([mel_bin(1000 * k, bins) for k in KILOHERTZ], [f"{k:g}" for k in KILOHERTZ])
        axes.set_ylabel("kHz")
        axes.tick_params(labelbottom=not self.posteriors)

    def _draw_posteriors(self, axes: Axes, columns: Sequence[int]) -> None:
        for part in self.posteriors:
            shown = np.exp(part.log_probs[:, columns].T)
            image = np.empty((*shown.shape, 4))
            image[..., :3] = POSTERIOR_COLOUR
            image[..., 3] = np.clip(shown, 0, 1)
            end = part.start + part.row * len(part.log_probs)
            extent = (part.start, end, len(columns) - 0.5, -0.5)
            axes.imshow(image, extent=extent, aspect="auto", interpolation="nearest")
            for edge in (part.start, end):
                axes.axvline(edge, color=FAINT, linewidth=0.8, linestyle=":")
        names = [self.phonemes[column] for column in columns]
        axes.set_yticks(range(len(columns)), names, fontsize=7, color=INK)
        axes.tick_params(axis="y", length=0)
        axes.set(ylabel="phoneme", ylim=(len(columns) - 0.5, -0.5))


def mel_bin(hertz: float, bins: int) -> float:
    """The (fractional) bin of a frequency, of `bins` up to half the rate (Slaney's mel scale)."""
    share = _mel(hertz) / _mel(SAMPLE_RATE / 2)
    return share * (bins + 1) - 1


def _mel(hertz: float) -> float:
    """Linear below 1 kHz, logarithmic above (Slaney 1998)."""
    if hertz < 1000:
        return hertz * 3 / 200
    return 15 + 27 * float(np.log(hertz / 1000) / np.log(6.4))
