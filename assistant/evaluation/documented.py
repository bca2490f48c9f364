"""Figures in documents: tables made from reports that are kept in the repository.

A document names its reports in a line of its own, relative to itself, and what stands between its
markers is made from them alone, so that no figure is written by hand:

    <!-- reports: evaluation/en-us.json evaluation/whisper-base.json -->
    <!-- evaluation:begin -->
    <!-- evaluation:end -->
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import UsageError
from ..training.document import fill, read_document
from .comparison import HASH, Report, read_report
from .wording import LATENCIES, condition_name

PART = "evaluation"
"""Name of the markers."""


def reports_of(document: Path) -> list[Path]:
    """The reports that a document is made from, in its order; none where it names none.

    Raises:
        UsageError: the document cannot be read.
    """
    named = re.search(r"<!-- reports: (.*?) -->", read_document(document))
    return [document.parent / name for name in named[1].split()] if named else []


def write_tables(document: Path) -> None:
    """Replace what stands between a document's markers.

    Raises:
        UsageError: the document cannot be read, names no report or has no markers, or a report is
            none.
    """
    reports = reports_of(document)
    if not reports:
        raise UsageError(f"{document}: names no report; add, for example, <!-- reports: a.json -->")
    fill(document, PART, tables([read_report(path) for path in reports]))


def tables(reports: Sequence[Report]) -> str:
    """Reports of the same recordings side by side, as Markdown.

    Raises:
        UsageError: they are of different recordings or settings, or of no commands.
    """
    parts = [_made_from(reports)]
    parts += [_by_condition(reports, name, title) for name, title in RATES]
    parts += [_false_accepts(reports), _latency(reports)]
    return "\n\n".join(part for part in parts if part)


RATES = (
    ("exact", "Exact: intent and every labelled slot right"),
    ("strict", "Strict: and no slot besides"),
    ("rejected", "Refused"),
    ("slot_f1", "Slots, F1"),
)
"""Figures of a condition, in the order of the tables, with their headings."""
HASHES = ("manifest_hash", "noise_hash")
"""What is the same besides where reports tell it; those without noise have none of noise."""


def _name(report: Report) -> str:
    made_from = report["made_from"]
    recogniser = made_from["recogniser"]
    return str(made_from["bundle"] if recogniser == "assistant" else recogniser)


def _made_from(reports: Sequence[Report]) -> str:
    """What is the same in all of them, and must be."""
    found = {_facts(report) for report in reports}
    if len(found) != 1:
        raise UsageError(f"these reports are of different settings: {'; '.join(sorted(found))}")
    for key in HASHES:
        told = {value[:HASH] for r in reports if (value := r["made_from"].get(key)) is not None}
        if len(told) > 1:
            what = key.removesuffix("_hash")
            raise UsageError(f"these reports are of different {what}: {', '.join(sorted(told))}")
    return f"{found.pop()}; intervals of 95 %."


def _facts(report: Report) -> str:
    made_from = report["made_from"]
    if made_from["commands"] is None:
        raise UsageError(
            f"a report of {made_from['manifest']} is of no commands, and has none of the figures; "
            "evaluate it with --commands"
        )
    heard = "each recording whole" if made_from["whole"] else "through the endpointer"
    # What an older report does not tell did not exist when it was made.
    heard += ", in simulated rooms" if made_from.get("reverb") else ""
    heard += ", with early commit" if made_from.get("early_commit") else ""
    return (
        f"`{Path(made_from['manifest']).parent.name}`, {len(_paths(report))} recordings, commands "
        f"`{Path(made_from['commands']).name}`, {heard}, noise mixed by `{made_from['mixing']}`, "
        f"seed {made_from['seed']}"
    )


def _paths(report: Report) -> set[str]:
    return {utterance["path"] for utterance in report["utterances"]}


def _by_condition(reports: Sequence[Report], name: str, title: str) -> str:
    conditions = list(dict.fromkeys(c["snr"] for r in reports for c in r["conditions"]))
    heads = [condition_name(c) for c in conditions]
    lines = [f"| {' | '.join([title, *heads])} |", "|---" * (1 + len(heads)) + "|"]
    for report in reports:
        found = {c["snr"]: c for c in report["conditions"]}
        cells = [_with_interval(found.get(c, {}), name) for c in conditions]
        lines.append(f"| {' | '.join([_name(report), *cells])} |")
    return "\n".join(lines)


def _with_interval(condition: Mapping[str, Any], name: str) -> str:
    value, interval = condition.get(name), condition.get(f"{name}_interval")
    if value is None:
        return "–"
    if interval is None:
        return f"{value:.3f}"
    return f"{value:.3f} ({interval[0]:.3f}–{interval[1]:.3f})"


def _false_accepts(reports: Sequence[Report]) -> str:
    heard = [(report, report["negatives"]) for report in reports if report["negatives"]]
    if not heard:
        return ""
    lines = ["| False accepts | hours | utterances | accepted | an hour |", "|---" * 5 + "|"]
    for report, negatives in heard:
        low, high = negatives["interval"]
        rate = f"{negatives['false_accepts_per_hour']:.1f} ({low:.1f}–{high:.1f})"
        cells = [_name(report), f"{negatives['hours']:.2f}", str(negatives["utterances"])]
        lines.append(f"| {' | '.join([*cells, str(negatives['false_accepts']), rate])} |")
    return "\n".join(lines)


def _latency(reports: Sequence[Report]) -> str:
    lines = []
    for report in reports:
        for key, title in LATENCIES.items():
            found = report["latency"].get(key) if report["latency"] else None
            if found:
                cells = [_name(report), title, f"{found['median']:.0f}", f"{found['p95']:.0f}"]
                lines.append(f"| {' | '.join([*cells, str(found['n'])])} |")
    if not lines:
        return ""
    heading = "| Latency in the time of the stream | | median, ms | 95 %, ms | recordings |"
    return "\n".join([heading, "|---" * 5 + "|", *lines])
