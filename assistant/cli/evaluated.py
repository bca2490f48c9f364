"""What a report of `assistant evaluate` looks like on a screen."""

# ruff: noqa: PLC0415 - evaluating is slow to load, and waits until it is asked for

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from .screen import Screen

RATES = (
    ("exact", "exact"),
    ("strict", "strict"),
    ("intent_accuracy", "intent"),
    ("slot_f1", "slot F1"),
    ("rejected", "refused"),
    ("phoneme_error", "phonemes wrong"),
)
"""Columns: the figure's name in the report, and its heading."""
PROBLEMS = 20
"""Lines shown at most; the report has them all."""


def show_report(screen: Screen, report: Mapping[str, Any]) -> None:
    """Conditions as a table, then what there is one of, then what was wrong with the lists."""
    made_from = report["made_from"]
    whole = ", whole recordings" if made_from["whole"] else ""
    screen.result(
        f"{made_from['manifest']}: {made_from['recogniser']}, bundle {made_from['bundle']}, "
        f"commands {made_from['commands'] or 'none'}{whole}; per cent, 95 % intervals below"
    )
    screen.output.print(_conditions(report["conditions"]))
    for line in (*_negatives(report["negatives"]), *_latencies(report["latency"])):
        screen.result(line)
    screen.result(_compute(report["compute"]))
    show_problems(screen, report["problems"])


def _conditions(conditions: Sequence[Mapping[str, Any]]) -> Table:
    from ..evaluation.wording import condition_name

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("noise", no_wrap=True)
    table.add_column("n", justify="right", no_wrap=True)
    shown = [(n, title) for n, title in RATES if any(c[n] is not None for c in conditions)]
    for _, title in shown:
        table.add_column(title, justify="right", min_width=9)
    for condition in conditions:
        name = condition_name(condition["snr"])
        table.add_row(name, str(condition["n"]), *(_rate(condition, n) for n, _ in shown))
    return table


def _rate(condition: Mapping[str, Any], name: str) -> Text:
    """Per cent, and below it the interval: a table of all figures fits into 80 columns."""
    if condition[name] is None:
        return Text("–", "dim")
    shown = Text(f"{100 * condition[name]:.1f}", "bold")
    if (interval := condition[f"{name}_interval"]) is not None:
        low, high = (100 * edge for edge in interval)
        shown = Text.assemble(shown, (f"\n{low:.1f}–{high:.1f}", "dim"))
    return shown


def _negatives(negatives: Mapping[str, Any] | None) -> list[str]:
    if negatives is None:
        return []
    low, high = negatives["interval"]
    lines = [
        f"false accepts: {negatives['false_accepts']} in {negatives['hours']:.2f} hours "
        f"({negatives['utterances']} utterances): {negatives['false_accepts_per_hour']:.2f} an "
        f"hour [{low:.2f}, {high:.2f}]"
    ]
    return lines + [
        f"  {e['path']}: {e['intent']} '{e['text']}' ({e['confidence']:.2f})"
        for e in negatives["examples"][:5]
    ]


def _latencies(latency: Mapping[str, Any]) -> list[str]:
    from ..evaluation.wording import LATENCIES

    return [
        f"{title}: median {found['median']:.0f} ms, 95 % within {found['p95']:.0f} ms "
        f"(of {found['n']})"
        for name, title in LATENCIES.items()
        if (found := latency[name]) is not None
    ]


def _compute(compute: Mapping[str, Any]) -> str:
    line = f"compute: {compute['real_time_factor']:.1%} of real time"
    if compute["decision_ms"]["median"] is not None:
        decision = compute["decision_ms"]
        line += f", decision {decision['median']:.0f} ms (95 % within {decision['p95']:.0f} ms)"
    if compute["peak_memory_mb"] is not None:
        line += f", {compute['peak_memory_mb']:.0f} MB"
    processes = compute["processes"]
    return f"{line}, {processes} process{'' if processes == 1 else 'es'}"


def show_problems(screen: Screen, problems: Sequence[Mapping[str, Any]]) -> None:
    """What was wrong with the lists of recordings, and how much of it there is."""
    if not problems:
        return
    for problem in problems[:PROBLEMS]:
        where = f"line {problem['line']}" if problem["line"] is not None else "somewhere"
        named = f" ({problem['path']})" if problem["path"] is not None else ""
        screen.warning(f"{where}{named}: {problem['what']}")
    if len(problems) > PROBLEMS:
        screen.warning(f"and {len(problems) - PROBLEMS} more, which --json lists")
    count = len(problems)
    screen.warning(
        f"{count} problem{'' if count == 1 else 's'} with what was to be evaluated; everything "
        "else is in the figures"
    )
