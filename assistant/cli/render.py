"""What results look like: a line or two for people, every event, or JSON.

A report takes the events of one stream after the other. `result_object` defines the JSON whose
names programs rely on.
"""

from __future__ import annotations

import json as json_format
import textwrap
from collections.abc import Mapping
from typing import Any, Protocol

from rich.text import Text

from ..types import (
    ActionPerformed,
    ActionResult,
    ActionStatus,
    Confirmed,
    Contradicted,
    Event,
    Hypothesis,
    PartialHypothesisChanged,
    Recognised,
    Rejected,
    SlotValue,
    SpeechStarted,
    seconds,
)
from .screen import Screen

OUTPUT_WIDTH = 200
"""Characters shown at most of what an action's program or server says."""

_STATUS_STYLE = {
    ActionStatus.DRY_RUN: "cyan",
    ActionStatus.DONE: "green",
    ActionStatus.FAILED: "red",
    ActionStatus.UNCONFIRMED: "yellow",
    ActionStatus.REFUSED: "yellow",
    ActionStatus.UNDONE: "green",
    ActionStatus.NONE: "dim",
}


Decided = Recognised | Rejected | Contradicted
"""What an object of JSON tells."""


class Report(Protocol):
    """Shows what happens in a stream."""

    def begin(self, file: str) -> None:
        """The events that follow are of `file` (empty: of the microphone)."""

    def show(self, event: Event) -> None:
        """Something has happened."""

    def end(self) -> None:
        """The stream is over; a stream without an utterance is mentioned."""


class UtteranceReport:
    """For people: a line for each utterance, and one for its action."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self.begin("")

    def begin(self, file: str) -> None:
        """See `Report`."""
        self._file = file
        self._utterances = 0

    def show(self, event: Event) -> None:
        """See `Report`."""
        match event:
            case Recognised(start, end):
                self._utterances += 1
                self._line(time_span(start, end), recognised_line(event))
            case Rejected(start, end):
                self._utterances += 1
                self._line(time_span(start, end), rejected_line(event))
            case Contradicted(start, end):
                self._line(time_span(start, end), contradicted_line(event))
            case ActionPerformed():
                self._screen.result(Text("    ").append_text(action_line(event.result)))

    def end(self) -> None:
        """See `Report`."""
        if not self._utterances:
            self._line("no speech")

    def _line(self, *parts: Text | str) -> None:
        name = [Text(self._file, "bold")] if self._file else []
        self._screen.result(
            Text("  ").join(Text(p) if isinstance(p, str) else p for p in [*name, *parts])
        )


class EventReport:
    """For people who watch closely: a line for each event, with its time in the stream."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self.begin("")

    def begin(self, file: str) -> None:
        """See `Report`."""
        self._speech = False
        if file:
            self._screen.result(Text(file, "bold"))

    def show(self, event: Event) -> None:
        """See `Report`."""
        self._speech = True
        match event:
            case SpeechStarted(start):
                self._line(start, "speech", Text("started"))
            case PartialHypothesisChanged(at, hypothesis):
                self._line(at, "partial", partial_line(hypothesis))
            case Recognised(_, end):
                self._line(end, "recognised", recognised_line(event))
            case Rejected(_, end):
                self._line(end, "rejected", Text(event.rejection.reason, "yellow"))
            case Confirmed(_, end):
                self._line(end, "confirmed", Text("the whole utterance means the same"))
            case Contradicted(_, end):
                self._line(end, "contradicted", Text(contradiction(event), "yellow"))
            case ActionPerformed(_, end, result):
                self._line(end, "action", action_line(result))

    def end(self) -> None:
        """See `Report`."""
        if not self._speech:
            self._screen.result("  no speech")

    def _line(self, at: int, what: str, text: Text) -> None:
        self._screen.result(Text(f"{seconds(at):9.2f} s  {what:10}  ").append_text(text))


class JsonReport:
    """For programs: `result_object` for each utterance, one a line, passed on at once."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self.begin("")

    def begin(self, file: str) -> None:
        """See `Report`."""
        self._file = file
        self._utterances = 0
        self._awaiting_action: dict[int, Recognised] = {}

    def show(self, event: Event) -> None:
        """See `Report`."""
        match event:
            case Rejected() | Contradicted():
                self._write(event, None)
            case Recognised():
                self._awaiting_action[event.start] = event
            case ActionPerformed(start, _, result):
                self._write(self._awaiting_action.pop(start), result)

    def end(self) -> None:
        """See `Report`."""
        for recognised in self._awaiting_action.values():
            self._write(recognised, None)
        if not self._utterances and self._file:
            self._screen.note(f"{self._file}: no speech")

    def _write(self, decision: Decided, action: ActionResult | None) -> None:
        self._utterances += 1
        write_json(self._screen, result_object(self._file, decision, action))


def new_report(screen: Screen, json: bool, events: bool) -> Report:
    """The report that the options `--json` and `--events` ask for."""
    if json:
        return JsonReport(screen)
    return EventReport(screen) if events else UtteranceReport(screen)


def write_json(screen: Screen, value: Mapping[str, Any]) -> None:
    """One object on a line of standard output."""
    utf8 = screen.output.encoding.replace("-", "") == "utf8"
    screen.output.out(json_format.dumps(value, ensure_ascii=not utf8), highlight=False)


def result_object(file: str, decision: Decided, action: ActionResult | None) -> dict[str, Any]:
    """An utterance for programs.

    `start` and `end` are seconds from the start of the file; of a rejection, `text` and
    `confidence` are those of the nearest sentence ("" and 0 where there is none). `action` is what
    was or would be done; it begins with "needs confirmation: " or "refused: " where it was not, for
    that reason, with "failed: " where it went wrong, perhaps half way, and with "undone: " where it
    took back what was done before.

    With early commit, an object with `early` was told at a pause. One with `contradicts` follows it
    only where the whole utterance is decided otherwise: it has no intent, and `contradicts` is what
    was done.
    """
    best: Hypothesis | None
    rejected: str | None
    more: dict[str, Any] = {}
    match decision:
        case Recognised():
            best, rejected = decision.hypothesis, None
            more = {"early": True} if decision.early else {}
        case Rejected():
            best, rejected = decision.rejection.best, decision.rejection.reason
        case Contradicted(_, _, early, whole):
            best = whole if isinstance(whole, Hypothesis) else whole.best
            rejected = contradiction(decision)
            more = {"contradicts": {"intent": early.name, "slots": dict(early.slots)}}
    return {
        "file": file,
        "start": round(seconds(decision.start), 3),
        "end": round(seconds(decision.end), 3),
        "intent": best.intent if best and rejected is None else None,
        "slots": dict(best.slots) if best and rejected is None else {},
        "text": best.text if best else "",
        "confidence": round(best.confidence, 4) if best else 0.0,
        "rejected": rejected,
        "action": _action_text(action),
        **more,
    }


def _action_text(action: ActionResult | None) -> str | None:
    if action is None or action.status is ActionStatus.NONE:
        return None
    if action.status in (ActionStatus.DONE, ActionStatus.DRY_RUN):
        return action.description
    return f"{action.status.value}: {action.description}"


def time_span(start: int, end: int) -> str:
    """Where an utterance lies, in seconds."""
    return f"{seconds(start):.2f}–{seconds(end):.2f} s"


def slots_text(slots: Mapping[str, SlotValue]) -> str:
    """Slots as `name=value`, values with spaces in quotes."""
    return " ".join(
        f"{name}={json_format.dumps(v, ensure_ascii=False) if ' ' in str(v) else v}"
        for name, v in slots.items()
    )


def recognised_line(event: Recognised) -> Text:
    """The sentence, what it means, how sure that is."""
    intent = event.intent
    certain = f"  ({intent.confidence:.2f}{', early' if event.early else ''})"
    return Text.assemble(
        (intent.text, "bold green"),
        "  →  ",
        meaning(intent.name, intent.slots),
        (certain, "dim"),
    )


def rejected_line(event: Rejected) -> Text:
    """Why nothing was understood."""
    return Text.assemble(("rejected: ", "yellow"), event.rejection.reason)


def contradicted_line(event: Contradicted) -> Text:
    """That the whole says something else than what was acted on."""
    return Text.assemble(("contradicted: ", "yellow"), contradiction(event))


def contradiction(event: Contradicted) -> str:
    """What was decided early, and how the whole utterance differs."""
    early, whole = event.early, event.decision
    said = f"decided early as '{early.text}', {meaning(early.name, early.slots)}"
    if isinstance(whole, Hypothesis):
        other = f"reads '{whole.text}', {meaning(whole.intent, whole.slots)}"
    else:
        other = f"is {whole.reason}"
    return f"{said}; the whole utterance {other}; nothing more is done"


def meaning(intent: str, slots: Mapping[str, SlotValue]) -> str:
    """An intent with its slots; empty where neither is known."""
    return " ".join(filter(None, (intent, slots_text(slots))))


def partial_line(hypothesis: Hypothesis) -> Text:
    """What has been read so far, and the intent as soon as only one is left."""
    known = meaning(hypothesis.intent, hypothesis.slots)
    return Text.assemble(f"{hypothesis.text} …", (f"  {known}" if known else "", "dim"))


def action_line(result: ActionResult) -> Text:
    """What was done, or would be, and what came of it."""
    line = Text.assemble(
        (f"{result.status.value}: ", _STATUS_STYLE[result.status]), result.description
    )
    output = textwrap.shorten(result.output, OUTPUT_WIDTH, placeholder=" …")
    return line.append_text(Text(f"  ⇒  {output}" if output else "", "bold"))
