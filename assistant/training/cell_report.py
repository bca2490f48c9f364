"""The comparison of layers over time as tables and pictures, put into its document."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..errors import UsageError
from .cells import LOG_MEL, VARIANTS, Variant
from .rows import ROWS_PER_SECOND

BEGIN, END = "<!-- figures:begin -->", "<!-- figures:end -->"
NAMES = {"rnn": "Elman RNN", "gru": "GRU", "lstm": "LSTM", "transformer": "Transformer"}
COLOURS = {"rnn": "#b5361c", "gru": "#1f5fa8", "lstm": "#2f7d32", "transformer": "#6a3d9a"}
SEES = {
    "past": "the past",
    "block": "the past and its block with look-ahead",
    "utterance": "the utterance",
}
DISTANCES = (1, 2, 5, 10, 25, 50, 99)
"""Rows, of the table of gradients."""
PLATEAU = 0.95
"""Phoneme error above which a model says hardly anything but blanks."""
SMOOTHED = 10
"""Updates over which a loss is averaged in the pictures."""

mpl.rcParams.update({"svg.hashsalt": "cells", "axes.spines.top": False, "axes.spines.right": False})


def write_report(document: Path, content: dict[str, Any]) -> None:
    """Write the pictures beside the document, and the figures between its two marks.

    Args:
        document: a Markdown file; made where there is none.
        content: the comparison's results: `budget`, `machine`, and `variants` by name.

    Raises:
        UsageError: the document has no marks.
    """
    text = document.read_text(encoding="utf-8") if document.exists() else f"{BEGIN}\n{END}\n"
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise UsageError(f"{document}: has no lines {BEGIN} and {END} to put the figures between")
    found = [(v, content["variants"][v.name]) for v in VARIANTS if v.name in content["variants"]]
    parts = [_conditions(content, found), _comparison(found), *_plateau(found)]
    parts += [_picture(document, "loss", _losses(found), "CTC loss of every network over updates")]
    if any(result["gradient"] for _, result in found):
        title = (
            "Norm of the last row's gradient over the distance in time, before and after training"
        )
        parts += [
            "How much of the last row's gradient is left at a row so many rows (40 ms each) "
            "before, as a share of that at the last row itself:",
            _gradients(found),
            _picture(document, "gradient", _gradient_picture(found), title),
        ]
    if extras := [(v, r) for v, r in found if _is_clipping(v, found) or v.truncate]:
        title = "Norm of the gradient before clipping, and the loss, with and without clipping"
        parts += [
            "What clipping and truncation do, on log-mel (norms before clipping, all updates):",
            _clipping(extras, content["budget"]["gradient_norm"]),
            _picture(document, "clipping", _clipping_picture(extras), title),
        ]
    figures = "\n\n".join(parts)
    document.write_text(f"{before}{BEGIN}\n{figures}\n{END}{after}", encoding="utf-8")


Found = Sequence[tuple[Variant, dict[str, Any]]]
"""Variants and what was measured of them."""


def _conditions(content: dict[str, Any], found: Found) -> str:
    budget = content["budget"]
    reference = found[0][1]["operations"][0]["reference"]
    took = sum(result["training_s"] for _, result in found)
    return (
        f"{budget['updates']} updates of at most {budget['batch_rows']} rows "
        f"({budget['batch_rows'] / ROWS_PER_SECOND:g} s) for each network, drawn from "
        f"{budget['training_seconds'] / 60:.0f} minutes of speech; measured on "
        f"{budget['held_out']} utterances of held-out speakers ({reference:,} phonemes), all of "
        f"{budget['shortest_seconds']:g} to {budget['longest_seconds']:g} s. Training took "
        f"{took / 60:.1f} minutes for all. {content['machine']}."
    )


def _comparison(found: Found) -> str:
    rows = []
    for variant, result in found:
        if variant.truncate or not variant.clipped:
            continue
        for run in result["operations"]:
            rows.append(
                (
                    variant.features,
                    NAMES[variant.cell] + (", both directions" if _is_two_way(variant) else ""),
                    SEES[run["context"]],
                    f"{_error(run):.3f}",
                    f"{result['parameters'] / 1e6:.2f} M",
                    f"{run['delay_ms']:.0f} ms" if run["delay_ms"] else "the utterance",
                    f"{run['compute_ms']:.1f} ms",
                )
            )
    head = ("rows", "layers", "a row sees", "phoneme error", "parameters", "delay")
    return _table((*head, "compute a second of audio"), rows)


def _plateau(found: Found) -> Iterable[str]:
    stuck = [v.name for v, r in found if _error(r["operations"][-1]) > PLATEAU]
    if stuck:
        yield (
            f"{len(stuck)} of {len(found)} networks did not leave the plateau on which almost "
            f"every row is a blank (phoneme error above {PLATEAU}): "
            f"{', '.join(stuck)}. Their errors say that the budget is too small, "
            "nothing of the cell."
        )


def _gradients(found: Found) -> str:
    rows = []
    for variant, result in found:
        for when, key in (("before training", "gradient_at_birth"), ("after", "gradient")):
            if result[key] and variant.clipped:
                shares = (result[key][d] for d in DISTANCES)
                rows.append(
                    (_label(variant), when, *("0" if s == 0 else f"{s:.0e}" for s in shares))
                )
    return _table(("network", "", *(str(d) for d in DISTANCES)), rows)


def _clipping(found: Found, limit: float) -> str:
    rows = []
    for variant, result in found:
        norms = np.asarray(result["norms"])
        finite = norms[np.isfinite(norms)]
        quantiles = np.quantile(finite, (0.5, 0.95, 1.0)) if len(finite) else [np.nan] * 3
        rows.append(
            (
                _label(variant),
                f"{_error(result['operations'][-1]):.3f}",
                *(f"{q:.2g}" for q in quantiles),
                f"{np.mean(~(norms <= limit)):.0%}",
            )
        )
    head = ("network", "phoneme error", "median norm", "95 %", "largest", f"above {limit:g}")
    return _table(head, rows)


def _losses(found: Found) -> Figure:
    figure, axes = _figure()
    for axis, features in zip(axes, dict.fromkeys(v.features for v in VARIANTS), strict=True):
        for variant, result in found:
            if variant.features == features and variant.clipped and not variant.truncate:
                style = "-" if variant.bidirectional else "--"
                _draw_loss(axis, variant, result, style)
        axis.set(title=features, xlabel="update", ylabel="CTC loss a phoneme")
        _legend(axis)
    return figure


def _gradient_picture(found: Found) -> Figure:
    figure, axes = _figure()
    titles = {"gradient_at_birth": "before training", "gradient": "after training"}
    for axis, (key, title) in zip(axes, titles.items(), strict=True):
        for variant, result in found:
            if not result[key] or not variant.clipped or variant.features != LOG_MEL:
                continue
            shares = np.asarray(result[key])
            style = {0: "-", 10: ":", 25: "--"}.get(variant.truncate, "-.")
            shown = np.where(shares > 0, shares, np.nan)  # a logarithm has no zero
            axis.plot(shown, style, color=COLOURS[variant.cell], label=_label(variant))
        axis.set(title=title, xlabel="rows (40 ms) before the last", yscale="log")
        axis.set(ylabel="gradient, as a share of the last row's", ylim=(1e-12, 10))
        _legend(axis)
    return figure


def _clipping_picture(found: Found) -> Figure:
    figure, (left, right) = _figure()
    for variant, result in found:
        if variant.truncate:
            continue
        style = "-" if variant.clipped else ":"
        colour = COLOURS[variant.cell]
        left.plot(result["norms"], style, color=colour, label=_label(variant), linewidth=0.9)
        _draw_loss(right, variant, result, style)
    left.set(xlabel="update", ylabel="norm of the gradient before clipping", yscale="log")
    right.set(xlabel="update", ylabel="CTC loss a phoneme")
    for axis in (left, right):
        _legend(axis)
    return figure


def _draw_loss(axis: Axes, variant: Variant, result: dict[str, Any], style: str) -> None:
    losses = np.asarray(result["losses"], dtype=float)  # None becomes not a number
    width = min(SMOOTHED, len(losses))
    smooth = np.convolve(losses, np.ones(width) / width, mode="valid")
    updates = np.arange(width, len(losses) + 1)
    axis.plot(updates, smooth, style, color=COLOURS[variant.cell], label=_label(variant))


def _figure() -> tuple[Figure, tuple[Axes, Axes]]:
    """White paper and dark ink, so that it can be read on a dark page as well."""
    figure = Figure(figsize=(11, 4.2), layout="constrained", facecolor="white")
    left, right = figure.subplots(1, 2)
    return figure, (left, right)


def _legend(axis: Axes) -> None:
    if axis.get_lines():
        axis.legend(fontsize="small", frameon=False)


def _picture(document: Path, name: str, figure: Figure, title: str) -> str:
    path = document.with_name(f"{document.stem}-{name}.svg")
    figure.savefig(path, metadata={"Date": None})
    return f"![{title}]({path.name})"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _label(variant: Variant) -> str:
    notes = ["both directions"] if _is_two_way(variant) else []
    notes += [f"truncated after {variant.truncate} rows"] if variant.truncate else []
    notes += [] if variant.clipped else ["not clipped"]
    rows = "" if variant.features == LOG_MEL else f" on {variant.features} rows"
    return ", ".join([NAMES[variant.cell] + rows, *notes])


def _is_two_way(variant: Variant) -> bool:
    return variant.bidirectional and variant.cell != "transformer"


def _is_clipping(variant: Variant, found: Found) -> bool:
    """Whether it was trained with and without clipping."""
    others = {(v.features, v.cell) for v, _ in found if not v.clipped}
    return not variant.bidirectional and (variant.features, variant.cell) in others


def _error(run: dict[str, Any]) -> float:
    return float(run["errors"]) / max(1, int(run["reference"]))
