"""The tables of a bundle's card, made from its figures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import UsageError

BEGIN, END = "<!-- figures:begin -->", "<!-- figures:end -->"

TITLES = {
    "corpora": ("Full context, by corpus", "corpus"),
    "delay": ("Accuracy and delay ({table}; encoder's chunk + look-ahead)", "total delay"),
    "noise": ("Noise ({table}, full context)", "signal to noise"),
    "mixed": ("Noise at random ratios; a room and 10 dB of noise ({table})", "what"),
}


def tables(figures: Mapping[str, Any]) -> str:
    """The figures as Markdown; delays, noise and rooms stand against the same recordings clean."""
    clean = figures["corpora"][figures["table"]]
    reference = figures.get("sample", {}).get("clean", clean)
    lines = []
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
            low, high = found["interval"]
            error = found["phoneme_error"]
            against = reference["phoneme_error"]
            last = f"{error / against - 1:+.0%}" if relative else found["speakers"]
            lines.append(f"| {name} | {error:.3f} | {low:.3f}–{high:.3f} | {last} |")
    return "\n".join(lines).strip()


def write_tables(card: Path, figures: Mapping[str, Any]) -> None:
    """Replace what stands between the card's markers.

    Raises:
        UsageError: the card has no markers.
    """
    text = card.read_text(encoding="utf-8") if card.exists() else ""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise UsageError(f"{card}: needs the lines '{BEGIN}' and '{END}' where the tables belong")
    made = f"{before}{BEGIN}\n\n{tables(figures)}\n\n{END}{after}"
    card.write_text(made, encoding="utf-8")
