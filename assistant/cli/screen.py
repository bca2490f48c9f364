"""Where lines go: results to standard output, everything else to standard error.

On a terminal both are the same screen, and a live line or progress bar at its bottom must know of
every line above it: then one rich console writes both.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.progress import Progress, ProgressColumn
from rich.text import Text


def debugging() -> bool:
    """Whether the user wants tracebacks and the whole log."""
    return os.environ.get("ASSISTANT_DEBUG", "") not in ("", "0")


class Screen:
    """Standard output and standard error; the log of the package becomes notes.

    Attributes:
        output: results.
        notes: errors, warnings, what is going on; live displays belong here.
    """

    def __init__(self) -> None:
        self.output = _console(stderr=False)
        errors = _console(stderr=True)
        same = self.output.is_terminal and errors.is_terminal
        self.notes = self.output if same else errors
        logger = logging.getLogger("assistant")
        logger.handlers = [_NoteHandler(self)]
        logger.setLevel(logging.DEBUG if debugging() else logging.WARNING)

    @property
    def is_live(self) -> bool:
        """Whether someone watches, so that a line may change."""
        return self.notes.is_terminal

    @contextmanager
    def progress(self, *columns: ProgressColumn) -> Iterator[Callable[[float, str], None]]:
        """A bar while a long task runs; the caller tells its share done in [0, 1] and its state."""
        with Progress(
            *columns,
            console=self.notes,
            transient=True,
            disable=not self.is_live,
            redirect_stdout=False,
            redirect_stderr=False,
        ) as bar:
            task = bar.add_task("reading", total=1.0)
            yield lambda share, state: bar.update(task, completed=share, description=state)

    def result(self, line: Text | str) -> None:
        """A line on standard output, passed on at once."""
        self.output.print(_safe(line))

    def live(self) -> Live:
        """A line below the results that is drawn again and again, and gone in the end."""
        return Live(
            console=self.notes,
            transient=True,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def note(self, line: Text | str) -> None:
        """A line on standard error."""
        self.notes.print(_safe(line))

    def error(self, message: str) -> None:
        """What went wrong, in one line."""
        self.note(Text.assemble(("error: ", "bold red"), message))

    def warning(self, message: str) -> None:
        """What the user should know, in one line."""
        self.note(Text.assemble(("warning: ", "yellow"), message))


class _NoteHandler(logging.Handler):
    def __init__(self, screen: Screen) -> None:
        super().__init__()
        self._screen = screen

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if record.levelno >= logging.ERROR:
            self._screen.error(message)
        elif record.levelno >= logging.WARNING:
            self._screen.warning(message)
        else:
            self._screen.note(f"{record.levelname.lower()}: {record.name}: {message}")


def _console(stderr: bool) -> Console:
    return Console(stderr=stderr, soft_wrap=True, highlight=False, markup=False, emoji=False)


def _safe(line: Text | str) -> Text:
    """One line without control characters: file names and programs may contain anything."""
    text = line if isinstance(line, Text) else Text(line)
    if text.plain.isprintable():
        return text
    safe = Text()
    for piece in text.divide(range(1, len(text.plain))):
        shown = piece.plain if piece.plain.isprintable() else repr(piece.plain)[1:-1]
        safe.append(shown, piece.spans[0].style if piece.spans else None)
    return safe
