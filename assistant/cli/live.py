"""The loop behind `assistant listen`: hear, show, act on another thread, draw the live line."""

from __future__ import annotations

import math
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType

from rich.text import Text

from ..actions import Dialogue
from ..audio import Microphone
from ..noise_gate import level_db
from ..pipeline import Pipeline
from ..types import (
    ActionPerformed,
    ActionResult,
    Event,
    PartialHypothesisChanged,
    Recognised,
    Samples,
    SpeechStarted,
)
from .render import Report, partial_line
from .screen import Screen

METER_FLOOR_DB = -70.0
"""dB full scale at which the level meter is empty; full scale fills it."""
METER_WIDTH = 20
"""Characters of the level meter."""
REFRESH_S = 0.1
"""Seconds between changes of the live line."""
SOURCE = "microphone"
"""Where its intents come from, for the journal."""


def listen(
    microphone: Microphone,
    pipeline: Pipeline,
    dialogue: Dialogue,
    report: Report,
    screen: Screen,
) -> None:
    """Report what the microphone hears until it is closed; `pipeline` has no actions itself."""
    status = StatusLine()
    live = screen.live()
    with ActionWorker(dialogue) as worker:
        if screen.is_live:
            live.start()
        try:
            for samples in microphone:
                for event in pipeline.feed(samples):
                    status.follow(event)
                    report.show(event)
                    worker.submit(event)
                for performed in worker.finished():
                    report.show(performed)
                if status.hear(samples, microphone.overruns) and screen.is_live:
                    live.update(status.text(), refresh=True)
        finally:
            live.stop()
        for event in pipeline.flush():
            report.show(event)
            worker.submit(event)
        for performed in worker.finished(wait=True):
            report.show(performed)


class ActionWorker:
    """Performs actions one after the other on a thread of its own.

    A slow program must not hold up the microphone, whose queue is bounded; results are collected
    by whoever reads the microphone. What needs confirmation waits for a spoken yes. An action under
    way when the listening ends is not cut short: the process ends after it, at most its time-out
    later.
    """

    def __init__(self, dialogue: Dialogue) -> None:
        self._dialogue = dialogue
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="actions")
        self._pending: deque[tuple[Recognised, Future[ActionResult]]] = deque()

    def __enter__(self) -> ActionWorker:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)

    def submit(self, event: Event) -> None:
        """Queue the action of an utterance that was understood; other events have none."""
        if isinstance(event, Recognised):
            future = self._executor.submit(self._dialogue.hear, event.intent, SOURCE)
            self._pending.append((event, future))

    def finished(self, wait: bool = False) -> list[ActionPerformed]:
        """Actions that have ended since the last call, in order; with `wait` all of them."""
        ended = []
        while self._pending and (wait or self._pending[0][1].done()):
            recognised, future = self._pending.popleft()
            ended.append(ActionPerformed(recognised.start, recognised.end, future.result()))
        return ended


@dataclass
class StatusLine:
    """The live line: level, speech or silence, the partial reading, audio that was lost."""

    level_db: float = -math.inf
    speaking: bool = False
    partial: Text = field(default_factory=Text)
    overruns: int = 0
    due: float = 0.0
    """When the line is to change next; seconds, monotonic."""

    def follow(self, event: Event) -> None:
        """Something has happened in the stream."""
        match event:
            case SpeechStarted():
                self.speaking, self.partial = True, Text()
            case PartialHypothesisChanged(_, hypothesis):
                self.partial = partial_line(hypothesis)
            case Recognised(early=True):  # whoever spoke may go on
                self.partial = Text()
            case _:
                self.speaking, self.partial = False, Text()

    def hear(self, samples: Samples, overruns: int) -> bool:
        """Take the level; whether the line is to be drawn anew."""
        now = time.monotonic()
        is_due = now >= self.due
        level = level_db(samples)
        # The loudest block since the line was drawn: a click must be seen.
        self.level_db = level if is_due else max(level, self.level_db)
        self.overruns = overruns
        if is_due:
            self.due = now + REFRESH_S
        return is_due

    def text(self) -> Text:
        """One line, the width of the terminal at most."""
        share = 1.0 - max(self.level_db, METER_FLOOR_DB) / METER_FLOOR_DB
        filled = min(METER_WIDTH, round(METER_WIDTH * share))
        return Text.assemble(
            ("█" * filled, "green" if self.speaking else "blue"),
            ("░" * (METER_WIDTH - filled), "dim"),
            f" {max(self.level_db, METER_FLOOR_DB):4.0f} dB  ",
            ("speech " if self.speaking else "silence", "bold green" if self.speaking else "dim"),
            (f"  {self.overruns} blocks lost" if self.overruns else "", "yellow"),
            "  ",
            self.partial,
            no_wrap=True,
            overflow="ellipsis",
        )
