"""A bundle's figures in `figures.json`, and the tables of its card that are made from them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .document import fill

TITLES = {
    "corpora": ("Full context, by corpus", "corpus"),
    "delay": ("Accuracy and delay ({table}; chunk + look-ahead)", "total delay"),
    "noise": ("Noise ({table}, full context)", "signal to noise"),
    "mixed": ("Noise at random ratios; a room and 10 dB of noise ({table})", "what"),
}


OF_SPEECH = (*TITLES, "sample")
"""What is measured on recordings of speech, so what goes with another table."""
SECTIONS = (*OF_SPEECH, "noise_alone")
"""What is measured of a bundle's ear; `sample` is what delays and noise stand against."""


def keep_figures(
    path: Path, acoustic_sha256: str, measured: Mapping[str, Any], some: bool = False
) -> dict[str, Any]:
    """Put what was measured of a model into its file of figures, and return all that is there.

    What another script measured of the same weights stays; what is of other weights goes, and so
    does speech of another `table`.

    Args:
        some: only some rows of each section were measured; the others stay.
    """
    kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if kept.get("acoustic_sha256") != acoustic_sha256:
        kept = {}
    if measured.get("table", kept.get("table")) != kept.get("table"):
        kept = {name: found for name, found in kept.items() if name not in OF_SPEECH}
    if some:
        sections = [name for name in SECTIONS if name in measured]
        measured = {**measured, **{s: {**kept.get(s, {}), **measured[s]} for s in sections}}
    figures = {**kept, "acoustic_sha256": acoustic_sha256, **measured}
    path.write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return figures


def tables(figures: Mapping[str, Any]) -> str:
    """The figures as Markdown; delays, noise and rooms stand against the same recordings clean."""
    return "\n".join([*_errors(figures), *_costs(figures)]).strip()


def _costs(figures: Mapping[str, Any]) -> list[str]:
    """Size and compute, as `scripts/benchmark.py` measured them."""
    if "size_mb" not in figures:
        return []
    cost = figures["compute"]
    decision = cost["end_of_speech_to_decision_ms"]
    rows = {f"{name}, MB": f"{size:.1f}" for name, size in figures["size_mb"].items()}
    rows |= {
        "compute while someone speaks, of one thread": f"{cost['total_speech']:.1%}",
        "compute in silence": f"{cost['total_silence']:.2%}",
        "end of the utterance to decision, median and 95 %": (
            f"{decision['p50']:.0f} and {decision['p95']:.0f} ms"
        ),
        "memory, MB": f"{cost['resident_mb']}",
    }
    where = f"{cost['machine']}, torch {cost['torch']}, commands `{cost['commands']}`"
    lines = ["", f"**Size and compute ({where})**", "", "| what | |", "|---|---|"]
    return lines + [f"| {name} | {value} |" for name, value in rows.items()]


def _errors(figures: Mapping[str, Any]) -> list[str]:
    if "corpora" not in figures:
        return []
    clean = figures["corpora"][figures["table"]]
    reference = figures.get("sample", {}).get("clean", clean)
    lines: list[str] = []
    for section, (title, first) in TITLES.items():
        if section not in figures:
            continue
        relative = section != "corpora"
        heading = ["phoneme error", "95 % interval", "speakers"]
        heading[2:] = ["against clean, full context"] if relative else heading[2:]
        lines += ["", f"**{title.format(table=figures['table'])}**", ""]
        lines += [f"| {' | '.join([first, *heading])} |", "|---" * (1 + len(heading)) + "|"]
        rows = dict(figures[section])
        if section in ("delay", "noise"):
            rows = {"full context" if section == "delay" else "clean": reference} | rows
        for name, found in rows.items():
            bounds = found["interval"]
            interval = f"{bounds[0]:.3f}–{bounds[1]:.3f}" if bounds else "–"
            error = found["phoneme_error"]
            against = reference["phoneme_error"]
            last = f"{error / against - 1:+.0%}" if relative else found["speakers"]
            lines.append(f"| {name} | {error:.3f} | {interval} | {last} |")
    if "noise_alone" in figures:
        heard, minutes = (figures["noise_alone"][name] for name in ("phonemes", "minutes"))
        lines += [
            "",
            f"In {minutes:.1f} minutes of noise in which nobody speaks {heard} phonemes are heard, "
            f"{heard / minutes:.1f} a minute.",
        ]
    return lines


def write_tables(card: Path, figures: Mapping[str, Any]) -> None:
    """Replace what stands between the card's markers.

    Raises:
        UsageError: the card has no markers.
    """
    fill(card, "figures", tables(figures))
