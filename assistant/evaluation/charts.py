"""The charts of a report: accuracy over noise, false accepts against false rejects, latencies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .svg import FIRST, INK, SECOND, THIRD, inline
from .wording import LATENCIES as TITLES
from .wording import condition_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HEIGHT = 2.9
"""Inches of a chart."""
DODGE = 0.07
"""Steps of the axis between the marks of one condition, so that no interval hides another."""
CURVES = (
    ("exact", "exact: intent and every slot", FIRST, "o"),
    ("intent_accuracy", "intent", SECOND, "s"),
    ("rejected", "refused", THIRD, "^"),
)
"""Rates of a condition that are drawn: key, label, colour, mark."""
LATENCIES = {
    "endpoint_delay": TITLES["endpoint_delay_ms"],
    "decision": TITLES["end_of_speech_to_decision_ms"],
    "first_partial": TITLES["first_partial_ms"],
}
"""Latencies of an utterance, by their key in its `latency_ms`, and what they are."""
DECADES = 10_000
"""Between the highest and the lowest of the values that a logarithmic axis tells apart."""
BINS = 24
"""Of a histogram of latencies, at most."""


def percent(rate: float | None) -> str:
    """A rate as people read it, with one digit where that says something."""
    if rate is None:
        return "–"
    return f"{100 * rate:.1f}".removesuffix(".0") + " %"


def span(hours: float) -> str:
    """A length of time as people read it."""
    if hours >= 1:
        return f"{hours:.1f} hours"
    if hours >= 1 / 60:
        return f"{60 * hours:.0f} minutes"
    return f"{3600 * hours:.0f} seconds"


def snr_chart(conditions: Sequence[Mapping[str, Any]]) -> str:
    """Rates of the conditions with their intervals, in the order asked for.

    Where nothing was labelled, it is the phoneme error instead.
    """
    decided = any(c[key] is not None for c in conditions for key, *_ in CURVES)
    curves = CURVES if decided else (("phoneme_error", "phoneme error", FIRST, "o"),)

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axes.grid(visible=True)
        places = np.arange(len(conditions))
        for number, (key, label, colour, mark) in enumerate(curves):
            known = [c[key] is not None for c in conditions]
            if not any(known):
                continue
            rates = np.array([c[key] for c in conditions if c[key] is not None])
            bounds = [c[f"{key}_interval"] for c in conditions if c[key] is not None]
            intervals = np.array([one or (np.nan, np.nan) for one in bounds])  # nan: not drawn
            axes.errorbar(
                places[known] + (number - 1) * DODGE,
                100 * rates,
                # A rate lies within its interval; rounding may say otherwise at 0 and 1.
                yerr=100 * np.maximum(0, [rates - intervals[:, 0], intervals[:, 1] - rates]),
                color=colour,
                marker=mark,
                markersize=5,
                capsize=3,
                elinewidth=1.2,
                label=label,
            )
        axes.set_xticks(places, [condition_name(condition["snr"]) for condition in conditions])
        axes.set(
            xlabel="signal-to-noise ratio",
            ylabel="% of recordings" if decided else "% of phonemes",
            xlim=(-0.5, len(conditions) - 0.5),
            ylim=(-3, 103),
        )
        figure.legend(loc="outside upper center", ncols=len(curves), fontsize="small")

    told = (
        f"{label}, "
        + ", ".join(f"{condition_name(c['snr'])}: {percent(c[key])}" for c in conditions)
        for key, label, *_ in curves
    )
    return inline(draw, HEIGHT, "snr", f"Chart of rates over noise. {'; '.join(told)}.")


def det_chart(det: Sequence[Mapping[str, float]], threshold: float | None) -> str:
    """False rejects over false accepts an hour, a point a threshold; the one in use is marked."""
    points = sorted(det, key=lambda point: point["threshold"])
    used = None
    if threshold is not None:
        used = min(points, key=lambda point: abs(point["threshold"] - threshold))

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axes.grid(visible=True, axis="both")
        accepts = [point["false_accepts_per_hour"] for point in points]
        rejects = [100 * point["false_reject_rate"] for point in points]
        axes.plot(accepts, rejects, color=FIRST, drawstyle="steps-pre", clip_on=False)
        axes.set(xlabel="false accepts an hour", ylabel="false rejects, %")
        _many_sizes(axes, accepts)
        axes.set_ylim(0, max(1.0, *rejects) * 1.05)
        if used is not None:
            place = (used["false_accepts_per_hour"], 100 * used["false_reject_rate"])
            axes.plot(
                *place, color=SECOND, marker="D", markersize=7, linestyle="none", clip_on=False
            )
            axes.annotate(
                f"threshold {used['threshold']:.2f}",
                place,
                (9, 9),
                textcoords="offset points",
                color=INK,
                annotation_clip=False,
            )

    label = f"Detection error tradeoff over {len(points)} thresholds."
    if used is not None:
        label += (
            f" At the threshold in use, {used['threshold']:.2f}: "
            f"{percent(used['false_reject_rate'])} false rejects, "
            f"{used['false_accepts_per_hour']:.2g} false accepts an hour."
        )
    return inline(draw, HEIGHT, "det", label)


def latency_chart(latencies: Mapping[str, Sequence[float]]) -> str:
    """A histogram of each of `LATENCIES`, in milliseconds, over one axis; none may be empty."""
    kinds = [kind for kind in LATENCIES if kind in latencies]

    def draw(figure: Figure) -> None:
        rows = figure.subplots(len(kinds), 1, sharex=True, squeeze=False)[:, 0]
        longest = max(max(values) for values in latencies.values())
        bins = np.linspace(min(0.0, *map(min, latencies.values())), max(longest, 1.0), BINS + 1)
        for axes, kind in zip(rows, kinds, strict=True):
            axes.grid(visible=True)
            axes.hist(latencies[kind], bins=bins, color=FIRST, alpha=0.75)
            axes.axvline(float(np.median(latencies[kind])), color=SECOND, linestyle="--")
            axes.set_title(LATENCIES[kind], fontsize="medium", loc="left")
            axes.yaxis.get_major_locator().set_params(integer=True)
        rows[-1].set_xlabel("milliseconds of audio; dashed: the median")
        figure.supylabel("utterances", fontsize="medium")

    medians = (f"{LATENCIES[k]}: median {np.median(latencies[k]):.0f} ms" for k in kinds)
    label = f"Histograms of latency. {'; '.join(medians)}."
    return inline(draw, 0.6 + 1.15 * len(kinds), "latency", label)


def _many_sizes(axes: Axes, values: Sequence[float]) -> None:
    """A logarithmic axis down to the smallest value there is, and nothing beside it."""
    from matplotlib.ticker import (  # noqa: PLC0415 - an extra
        FuncFormatter,
        NullFormatter,
        SymmetricalLogLocator,
    )

    positive = [value for value in values if value > 0]
    if len(set(positive)) > 1 and max(positive) > 20 * min(positive):
        # Linear below, so that nothing an hour has a place too.
        linear = max(min(positive), max(positive) / DECADES)
        axes.set_xscale("symlog", linthresh=linear, linscale=0.5)
        axes.xaxis.set_major_locator(SymmetricalLogLocator(base=10, linthresh=linear))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlim(0, max(1.0, *values) * 1.05)
