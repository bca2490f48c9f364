"""A comparison of two evaluations on the screen."""

# ruff: noqa: PLC0415 - evaluating is slow to load, and waits until it is asked for

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from .screen import Screen

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ..evaluation.comparison import Agreement, Changed, Comparison, Difference

CHANGES = 20
"""Recordings whose answer changed that are listed, at most, of each kind."""
LIKELY = 0.05
"""p-value from which a difference may well be chance."""


def show_comparison(screen: Screen, comparison: Comparison) -> None:
    """What they were made from, the figures with their intervals, what changed."""
    for part in _parts(comparison):
        if isinstance(part, Text):
            screen.result(part)
        else:
            screen.output.print(part)


def _parts(comparison: Comparison) -> Iterator[RenderableType]:
    from ..evaluation.wording import condition_name

    if comparison.made_differently:
        yield _facts(comparison.made_differently)
    yield _figures(comparison)
    for condition in comparison.conditions:
        left_out = {
            "only in this report": condition.only_here,
            "only in the other": condition.only_there,
            "labelled differently": condition.relabelled,
        }
        told = ", ".join(f"{count} {what}" for what, count in left_out.items() if count)
        if told:
            yield Text(f"{condition_name(condition.snr)}: left out, {told}", style="yellow")
    if comparison.unshared:
        names = ", ".join(map(condition_name, comparison.unshared))
        yield Text(f"only in one of the reports: {names}", style="yellow")
    changed = [change for condition in comparison.conditions for change in condition.changed]
    yield from _changes("right now", [change for change in changed if change.right_here], "green")
    yield from _changes("wrong now", [change for change in changed if not change.right_here], "red")


def _facts(differences: Sequence[tuple[str, str, str]]) -> Table:
    table = _table("made from", "this", "the other")
    for key, here, there in differences:
        table.add_row(*map(_safe, (key.replace("_", " "), here, there)))
    return table


def _figures(comparison: Comparison) -> Table:
    from ..evaluation.wording import condition_name

    table = _table("", "pairs", "this", "other", "difference (95 %)", "won, lost", "p")
    for condition in comparison.conditions:
        name = condition_name(condition.snr)
        for what, agreement in (("exact", condition.exact), ("strict", condition.strict)):
            if agreement is not None:
                table.add_row(f"{name} {what}", *_agreement(agreement))
        if condition.phoneme_error is not None:
            figures = _difference(condition.phoneme_error)
            table.add_row(f"{name} phoneme error", *figures, "", "")
    accepts = comparison.false_accepts
    if accepts is not None:
        here, there = accepts.here / accepts.here_hours, accepts.there / accepts.there_hours
        table.add_row(
            "false accepts an hour",
            "",
            f"{here:.2f}",
            f"{there:.2f}",
            f"{here - there:+.2f}",
            f"{accepts.here}, {accepts.there}",
            _p_value(accepts.p_value),
        )
    return table


def _agreement(agreement: Agreement) -> tuple[str | Text, ...]:
    return (
        *_difference(agreement.share),
        f"{agreement.won}, {agreement.lost}",
        _p_value(agreement.p_value),
    )


def _difference(difference: Difference) -> tuple[str, str, str, str]:
    low, high = difference.interval
    return (
        str(difference.pairs),
        f"{100 * difference.here:.1f}",
        f"{100 * difference.there:.1f}",
        f"{100 * difference.difference:+.1f} ({100 * low:+.1f} … {100 * high:+.1f})",
    )


def _p_value(value: float) -> Text:
    told = "<0.001" if value < 0.001 else f"{value:.3f}"
    return Text(told, style="bold" if value < LIKELY else "dim")


def _changes(title: str, changes: Sequence[Changed], style: str) -> Iterator[RenderableType]:
    from ..evaluation.wording import condition_name

    if not changes:
        return
    yield Text(f"{title}: {len(changes)}", style=style)
    for change in changes[:CHANGES]:
        yield Text(
            f"  {change.path} ({condition_name(change.snr)}): {change.there}  →  {change.here}"
        )
    if len(changes) > CHANGES:
        yield Text(f"  and {len(changes) - CHANGES} more", style="dim")


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for number, column in enumerate(columns):
        table.add_column(column, overflow="fold", no_wrap=False, min_width=4 if number else None)
    return table


def _safe(text: str) -> str:
    """Without control characters: names of files may contain anything."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
