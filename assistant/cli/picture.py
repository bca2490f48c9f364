"""The picture of an explanation: posteriors, words and fits over one axis of time.

Dark ink on white paper, so that it can be read on a dark page as well; letters are outlines, so
that the file needs no font.
"""

# ruff: noqa: PLC0415 - matplotlib is an extra, and slow to load

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import UsageError
from ..explanation import POOR_FIT, Explanation, PhonemeFit
from ..program import install_line
from ..types import Rejection, seconds

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FORMATS = (".svg", ".png", ".pdf")
INK, GOOD, BAD = "#222222", "#2a6f97", "#c1121f"
HEARD_AT_LEAST = 0.3
"""Probability that a phoneme outside the sentence must reach to have a row."""
WIDTH_PER_S = 3.4
"""Inches of a second, within `WIDTHS`."""
WIDTHS = (8.0, 24.0)
"""Inches of a picture, at least and at most."""
ROW_INCHES = 0.2
"""Height of a phoneme's row."""
DEEPEST = 8.0
"""Nats shown of a phoneme's fit; what is worse is as deep."""
MARGIN = 1.8
"""Nats above and below, for the phonemes' names."""
TITLE_WIDTH = 11
"""Characters of the title an inch."""


def require_matplotlib(path: Path) -> None:
    """Refuse what could not be drawn, before anything is heard.

    Raises:
        UsageError: matplotlib is not installed, or the file's name ends in none of `FORMATS`.
    """
    if path.suffix.lower() not in FORMATS:
        raise UsageError(f"{path}: a picture's name ends in {', '.join(FORMATS)}")
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise UsageError(f"--picture needs matplotlib: {install_line('picture')}") from error


def draw(explained: Explanation, path: Path) -> None:
    """Draw an explanation into `path`, whose name says in which form.

    From the top: the words; the posteriors, with a frame where the sentence says a phoneme; how
    well each fits, with what was heard instead, and (shaded) what the sentence does not say.

    Raises:
        OSError: it cannot be written.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    rows = phonemes_that_matter(explained)
    utterance = explained.utterance
    begin = explained.seconds(0)
    end = max(seconds(utterance.end), explained.seconds(len(utterance.log_probs)))
    width = min(max(WIDTH_PER_S * (end - begin), WIDTHS[0]), WIDTHS[1])
    heights = (0.35, max(ROW_INCHES * len(rows), 1.0), 1.3)
    with mpl.rc_context({"svg.hashsalt": "explain", "text.color": INK, "axes.edgecolor": INK}):
        figure = Figure(
            figsize=(width, sum(heights) + 1.4), layout="constrained", facecolor="white"
        )
        words, posteriors, fits = figure.subplots(
            3, 1, sharex=True, gridspec_kw={"height_ratios": heights}
        )
        figure.suptitle(
            textwrap.fill(_title(explained), round(width * TITLE_WIDTH)), fontsize="medium"
        )
        _draw_words(words, explained)
        _draw_posteriors(posteriors, explained, rows)
        _draw_fits(fits, explained)
        fits.set(xlim=(begin, end), xlabel="seconds")
        form = path.suffix[1:].lower()
        metadata = {"png": None, "svg": {"Date": None}, "pdf": {"CreationDate": None}}[form]
        figure.savefig(path, dpi=110, format=form, metadata=metadata)


def phonemes_that_matter(explained: Explanation) -> list[str]:
    """The sentence's phonemes and those that were heard clearly, in the order of their times."""
    said = [(fit.start_row, fit.phoneme) for fit in explained.fits]
    heard = [(h.start_row, h.phoneme) for h in explained.heard if h.probability >= HEARD_AT_LEAST]
    return list(dict.fromkeys(phoneme for _, phoneme in sorted([*said, *heard])))


def _title(explained: Explanation) -> str:
    refused = isinstance(explained.utterance.decision, Rejection)
    return f"{'refused' if refused else 'accepted'} – {explained.reason}"


def _draw_words(axis: Axes, explained: Explanation) -> None:
    axis.set(ylim=(0, 1), yticks=[])
    axis.tick_params(bottom=False)
    axis.spines[:].set_visible(False)
    for index, word in enumerate(explained.best.words if explained.best else ()):
        start, end = explained.seconds(word.start_row), explained.seconds(word.end_row)
        poor = any(not fit.fits for fit in explained.fits if fit.word == index)
        colour = BAD if poor else GOOD
        axis.axvspan(start, end, facecolor=colour, edgecolor="white", alpha=0.16, linewidth=3)
        axis.plot([start, end], [0, 0], color=colour, linewidth=3, solid_capstyle="butt")
        axis.axvline(end, color="white", linewidth=2)
        axis.text((start + end) / 2, 0.5, word.word, ha="center", va="center", color=colour)


def _draw_posteriors(axis: Axes, explained: Explanation, rows: list[str]) -> None:
    log_probs = explained.utterance.log_probs
    axis.set(ylabel="phoneme")
    if not rows:
        axis.set(yticks=[])
        axis.text(0.5, 0.5, "no phoneme", ha="center", transform=axis.transAxes)
        return
    columns = [explained.columns.index(phoneme) for phoneme in rows]
    shown = np.exp(log_probs[:, columns].float().numpy().T)
    extent = (explained.seconds(0), explained.seconds(len(log_probs)), len(rows) - 0.5, -0.5)
    axis.imshow(
        shown, extent=extent, aspect="auto", cmap="Greys", vmin=0, vmax=1, interpolation="nearest"
    )
    axis.set_yticks(range(len(rows)), rows, fontsize="small")
    for fit in explained.fits:  # where the sentence says the phoneme
        start, end = explained.seconds(fit.start_row), explained.seconds(fit.end_row)
        y = rows.index(fit.phoneme)
        axis.fill(
            [start, end, end, start],
            [y - 0.5, y - 0.5, y + 0.5, y + 0.5],
            fill=False,
            edgecolor=_colour(fit),
            linewidth=1.2,
        )


def _draw_fits(axis: Axes, explained: Explanation) -> None:
    axis.set(ylabel="fit, nats", ylim=(-DEEPEST - MARGIN, MARGIN))
    axis.axhline(0, color=INK, linewidth=0.8)
    axis.axhline(POOR_FIT, color=BAD, linewidth=0.8, linestyle=":")
    axis.spines[["top", "right"]].set_visible(False)
    for fit in explained.fits:
        start, end = explained.seconds(fit.start_row), explained.seconds(fit.end_row)
        axis.bar(
            start,
            max(fit.log_ratio, -DEEPEST),
            end - start,
            align="edge",
            color=_colour(fit),
        )
        middle = (start + end) / 2
        axis.text(middle, 0.2, fit.phoneme, ha="center", fontsize="small")
        if not fit.fits:
            heard = " ".join(fit.heard) or "–"
            place = max(fit.log_ratio, -DEEPEST) - 0.1
            axis.text(middle, place, heard, ha="center", va="top", color=BAD, fontsize="small")
    for unsaid in explained.unsaid:
        start, end = explained.seconds(unsaid.start_row), explained.seconds(unsaid.end_row)
        axis.axvspan(start, end, color=BAD, alpha=0.12, linewidth=0)
        middle = (start + end) / 2
        axis.text(middle, 0.2, unsaid.phoneme, ha="center", color=BAD, fontsize="small")


def _colour(fit: PhonemeFit) -> str:
    return GOOD if fit.fits else BAD
