"""`assistant history`: what was said, what was done about it, and why."""

# ruff: noqa: PLC0415 - what is slow to load waits until the command runs

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from ..errors import UsageError
from . import options
from .screen import Screen

if TYPE_CHECKING:
    from ..actions.journal import JournalEntry

EXAMPLES = options.examples(
    "assistant history",
    "assistant history --since 2h --status failed: what went wrong in the last two hours",
    "assistant history --intent setLight --last 100",
    "assistant history --follow: and what is done from now on",
    "assistant history --json --since 2026-11-25 | jq .description",
)

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}

_STYLES = {
    **dict.fromkeys(("done", "undone"), "green"),
    **dict.fromkeys(("failed", "interrupted"), "red"),
    **dict.fromkeys(("refused", "needs confirmation", "expired", "replaced"), "yellow"),
    "begun": "cyan",
}


def command(
    last: Annotated[
        int, typer.Option("--last", "-n", min=0, metavar="N", help="Entries at most, the newest.")
    ] = 20,
    intent: Annotated[
        str | None, typer.Option("--intent", metavar="NAME", help="Only of this intent.")
    ] = None,
    status: Annotated[
        str | None,
        typer.Option(
            "--status",
            metavar="STATUS",
            help="Only what ended so: done, failed, refused, undone, interrupted, expired, "
            "replaced, 'needs confirmation' or 'no action'; begun is under way.",
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            "--since",
            metavar="AGO|DATE",
            help="Only from then on: 30m, 2h, 7d ago, or a date (and time) like 2026-11-25.",
        ),
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what is done from now on; Ctrl-C.")
    ] = False,
    json: options.Json = False,
) -> None:
    """Show what was said, what was done about it, how it ended and why.

    It comes from the journal of 'assistant serve', and of 'listen' and 'recognize' where they
    really act. What was interrupted had begun when its process ended; nobody does it again.
    """
    screen = Screen()
    from_when = _time(since) if since is not None else None

    from ..actions.history import follow_journal, read_journal
    from ..actions.journal import journal_path

    def wanted(entry: JournalEntry) -> bool:
        return (
            intent in (None, entry.intent)
            and status in (None, entry.status)
            and (from_when is None or datetime.fromisoformat(entry.when) >= from_when)
        )

    following = follow_journal() if follow else iter(())  # from here on, so that none is missed
    history = read_journal(limit=last, wanted=wanted)
    if history.damaged:
        screen.warning(f"damaged lines in {journal_path().parent} left out: {history.damaged}")
    show = _shower(screen, json)
    if json or follow:
        for entry in history.entries:
            show(entry)
    elif history.entries:
        screen.output.print(_table(history.entries))
    else:
        screen.note(f"nothing of the kind in {journal_path()}")
    told = {(entry.id, entry.status) for entry in history.entries}
    for entry in following:
        if (entry.id, entry.status) not in told and wanted(entry):
            show(entry)


def _time(text: str) -> datetime:
    """When `--since` means.

    Raises:
        UsageError: it is neither.
    """
    now = datetime.now().astimezone()
    try:
        if ago := re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw])", text.strip()):
            return now - timedelta(**{_UNITS[ago[2]]: float(ago[1])})
        return datetime.fromisoformat(text.strip()).astimezone()
    except (ValueError, OverflowError) as error:
        raise UsageError(
            f"--since {text}: write how long ago (30m, 2h, 7d) or a date (2026-11-25)"
        ) from error


def _shower(screen: Screen, json: bool) -> Callable[[JournalEntry], None]:
    """What shows one entry on a line."""
    if json:
        from .render import write_json

        return lambda entry: write_json(screen, asdict(entry))
    return lambda entry: screen.result(Text("  ").join(_cells(entry)))


def _table(entries: tuple[JournalEntry, ...]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("when", "said", "did", "ended", "why"):
        table.add_column(heading, no_wrap=heading in ("when", "ended"), overflow="fold")
    for entry in entries:
        table.add_row(*_cells(entry))
    return table


def _cells(entry: JournalEntry) -> Iterator[Text]:
    from ..actions.text import one_line

    when = datetime.fromisoformat(entry.when).astimezone()
    yield Text(when.strftime("%Y-%m-%d %H:%M:%S"))
    yield Text(one_line(entry.text) or "–", "bold")
    output = f"  ⇒  {one_line(entry.output.strip())}" if entry.output.strip() else ""
    yield Text(one_line(entry.description) + output)
    yield Text(one_line(entry.status), _STYLES.get(entry.status, "dim"))
    yield Text(" · ".join(filter(None, (one_line(entry.reason), one_line(entry.source)))), "dim")
