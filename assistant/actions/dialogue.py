"""The dialogue: asks before what needs it, takes yes, no and undo, and refuses repetition."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from ..config import DialogueConfig
from ..types import ActionResult, ActionStatus, Intent
from .cool_down import CoolDown
from .journal import BEGUN, EXPIRED, INTERRUPTED, REPLACED, Journal, JournalEntry
from .question import Pending, Question
from .reply import Reply
from .rule import Confirm
from .runner import ActionRunner, Prepared
from .text import one_line


@dataclass(frozen=True, slots=True)
class _Performed:
    prepared: Prepared
    expires: float


class Dialogue:
    """Performs intents with an `ActionRunner`, as the policy's rules about asking and undo say.

    Any thread may call it. An action is performed on the thread of the call that causes it; no
    other call waits for it, and actions of several threads run side by side. It has no thread of
    its own: that a question has expired is noticed by the next call.

    Attributes:
        runner, config: may be replaced; what was asked before stays as it was asked.
    """

    def __init__(
        self,
        runner: ActionRunner,
        config: DialogueConfig,
        journal: Journal | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """journal: records what the runner does, but not what it only describes in a dry run; None
        where nothing is to be recorded. clock: seconds, never set back."""
        self.runner = runner
        self.config = config
        self._journal = journal
        self._clock = clock
        self._lock = threading.Lock()  # never held while acting or writing
        self._question: Question | None = None
        self._performed: _Performed | None = None
        self._cool_down = CoolDown(clock)

    def hear(self, intent: Intent, source: str = "") -> ActionResult:
        """Do what `intent` stands for, or ask first, or refuse; never raises.

        What was asked before is dropped, unless `intent` answers it. The result's status is
        UNCONFIRMED where its description is now a question, and REFUSED where nothing is done
        though the policy has an action.

        Args:
            source: where it came from, for the journal.
        """
        entry = JournalEntry.of(intent, source)
        prepared = self.runner.prepare(intent)
        if isinstance(prepared, Prepared) and prepared.reply is not None:
            by = one_line(f"'{intent.text or intent.name}' was said")
            match prepared.reply:
                case Reply.ACCEPT if prepared.doubt:
                    return self._ask_again(prepared.doubt, entry)
                case Reply.ACCEPT:
                    return self._accept("", by, entry)
                case Reply.REFUSE:
                    return self._refuse("", by, entry)
                case Reply.UNDO:
                    return self._undo("", by, source, entry)
        with self._lock:
            expired = self._expire()
            replaced = self._take()
            ready, why = self._claim(entry, prepared)
        self._record_expired(expired)
        if replaced is not None:
            reason = f"{intent.name} was wanted instead"
            self._record(replaced.entry, REPLACED, replaced.prepared.description, reason)
        if isinstance(ready, ActionResult):
            return self._recorded(entry, ready, why, prepared.description)
        return self._perform(entry, ready, why)

    def turn_away(self, intent: Intent, reason: str, source: str = "") -> ActionResult:
        """Do nothing about `intent`, for a reason that is none of the policy's; journalled.

        Args:
            source: where it came from.
        """
        description = f"{intent.name}: {reason}"
        result = ActionResult(intent.name, ActionStatus.REFUSED, description)
        return self._recorded(JournalEntry.of(intent, source), result, reason, intent.name)

    def accept(self, question: str = "", source: str = "") -> ActionResult:
        """Yes: do what was asked about; at most once, never after it has expired.

        Args:
            question: `Pending.id`, so that the button of an older question accepts no other one;
                where empty, the one that is open.
            source: where it came from, for the journal.
        """
        return self._accept(question, _pressed("yes", source))

    def refuse(self, question: str = "", source: str = "") -> ActionResult:
        """No: drop what was asked about; the arguments are those of `accept`."""
        return self._refuse(question, _pressed("no", source))

    def undo(self, offered: str = "", source: str = "") -> ActionResult:
        """Take back what was done last, once; where something is asked, refuse that.

        What failed may be tried again, for as long as it was possible anyway.

        Args:
            offered: the text of `can_undo` where one was shown: nothing else is undone then.
            source: where it came from, for the journal.
        """
        return self._undo(offered, _pressed("undo", source), source)

    @property
    def pending(self) -> Pending | None:
        """The question that is open at the moment."""
        with self._lock:
            expired = self._expire()
            question = self._question
            now = self._clock()
        self._record_expired(expired)
        return question.pending(now) if question else None

    @property
    def can_undo(self) -> str | None:
        """What `undo` would do about the last action; None where it can not or no longer."""
        with self._lock:
            last = self._performed
            if last is None or self._clock() >= last.expires:
                return None
            return last.prepared.undo or None

    # ── answers; `entry` is the reply's own, where it was said ────────────────────────────────

    def _accept(self, wanted: str, by: str, entry: JournalEntry | None = None) -> ActionResult:
        with self._lock:
            expired = self._expire()
            question = self._take(wanted)
            if question is not None:
                ready, why = self._claim(question.entry, question.prepared, f"confirmed: {by}")
        self._record_expired(expired)
        if question is None:
            return self._nothing(entry, _why_none(wanted, expired))
        if isinstance(ready, ActionResult):
            return self._recorded(question.entry, ready, why, question.prepared.description)
        return self._perform(question.entry, ready, why)

    def _ask_again(self, doubt: str, entry: JournalEntry) -> ActionResult:
        """A yes that was not heard well changes nothing; there is time for another one."""
        with self._lock:
            expired = self._expire()
            question = self._question
            if question is not None:
                expires = self._clock() + self.config.confirmation_timeout_s
                question = self._question = replace(question, expires=expires)
        self._record_expired(expired)
        if question is None:
            return self._nothing(entry, _why_none("", expired))
        self._record(entry, ActionStatus.REFUSED.value, entry.intent, doubt)
        text = f"{question.text}; a yes was not heard well: {doubt}"
        return ActionResult(question.prepared.intent.name, ActionStatus.UNCONFIRMED, text)

    def _refuse(self, wanted: str, by: str, entry: JournalEntry | None = None) -> ActionResult:
        with self._lock:
            expired = self._expire()
            question = self._take(wanted)
        self._record_expired(expired)
        if question is None:
            return self._nothing(entry, _why_none(wanted, expired))
        return self._refused(question, by)

    def _undo(
        self, offered: str, by: str, source: str, entry: JournalEntry | None = None
    ) -> ActionResult:
        with self._lock:
            expired = self._expire()
            question = self._take() if not offered else None
            last, reason = self._performed, self._not_undone(offered)
            if question is None and not reason:
                self._performed = None
        self._record_expired(expired)
        if question is not None:
            return self._refused(question, by)
        if last is None or reason:
            return self._nothing(entry, reason)
        original = last.prepared.intent
        if entry is None:
            entry = JournalEntry.of(replace(original, text="", confidence=1.0), source)
        undoing = replace(entry, intent=original.name, slots=original.slots)
        return self._perform(undoing, last.prepared, f"undo: {by}", last)

    def _not_undone(self, offered: str) -> str:
        """Why the last action is not taken back; empty where it is."""
        last = self._performed
        if last is None:
            return "nothing was done that could be taken back"
        if self._clock() >= last.expires:
            return f"the last action is longer ago than {self.config.undo_timeout_s:g} s"
        if not last.prepared.undo:
            return f"{last.prepared.description}: the policy has no 'undo' for it"
        if offered and offered != last.prepared.undo:
            return "something else was done since"
        return ""

    def _refused(self, question: Question, by: str) -> ActionResult:
        description = f"{question.prepared.description} (not done: {by})"
        name = question.prepared.intent.name
        result = ActionResult(name, ActionStatus.REFUSED, description)
        return self._recorded(question.entry, result, by, question.prepared.description)

    def _nothing(self, entry: JournalEntry | None, reason: str) -> ActionResult:
        if entry is None:
            return ActionResult("", ActionStatus.NONE, reason)
        result = ActionResult(entry.intent, ActionStatus.NONE, f"{entry.intent}: {reason}")
        return self._recorded(entry, result)

    # ── state; the lock is held ───────────────────────────────────────────────────────────────

    def _take(self, wanted: str = "") -> Question | None:
        """The open question, which is closed by that; None where `wanted` is another one's id."""
        question = self._question
        if question is None or (wanted and question.entry.id != wanted):
            return None
        self._question = None
        return question

    def _expire(self) -> Question | None:
        """Close the question if its time is over, and return it then."""
        if self._question is None or self._clock() < self._question.expires:
            return None
        return self._take()

    def _claim(
        self, entry: JournalEntry, prepared: Prepared | ActionResult, confirmed: str = ""
    ) -> tuple[Prepared | ActionResult, str]:
        """What may be performed now, by the caller alone; or what is told instead; and why."""
        if isinstance(prepared, ActionResult):
            return prepared, ""
        intent, description = prepared.intent, prepared.description
        if objection := self._cool_down.objection(prepared):
            description = f"{description} (not done: {objection})"
            return ActionResult(intent.name, ActionStatus.REFUSED, description), objection
        if prepared.doubt and not confirmed:
            wait_s = self.config.confirmation_timeout_s
            text = f"{description}? ({prepared.doubt}; yes or no within {wait_s:g} s)"
            self._question = Question(entry, prepared, text, self._clock() + wait_s)
            return ActionResult(intent.name, ActionStatus.UNCONFIRMED, text), prepared.doubt
        self._cool_down.begin(prepared)
        if prepared.rule.confirm is Confirm.NEVER:
            return prepared, "needs no confirmation"
        return prepared, confirmed or f"confidence {intent.confidence:.2f} is sure enough"

    # ── what is done and recorded; the lock is not held ───────────────────────────────────────

    def _perform(
        self, entry: JournalEntry, prepared: Prepared, reason: str, undone: _Performed | None = None
    ) -> ActionResult:
        description = prepared.undo if undone else prepared.description
        if self.runner.execute:
            self._record(entry, BEGUN, description, reason)
        result: ActionResult | None = None
        try:
            act = self.runner.take_back if undone else self.runner.carry_out
            result = act(prepared)
        finally:  # Ctrl-C and the like included, after which there is no result
            self._settle(prepared, result, undone)
            if result is None:
                self._record(entry, INTERRUPTED, description, reason)
        return self._recorded(entry, result, reason)

    def _settle(
        self, prepared: Prepared, result: ActionResult | None, undone: _Performed | None
    ) -> None:
        """Begin the cool-down, or call it off; remember what can be taken back."""
        failed = result is not None and result.status is ActionStatus.FAILED
        with self._lock:
            if undone and failed:  # it still stands; what was done since is the last action
                self._performed = self._performed or undone
            elif undone or failed:  # taken back, or never done
                self._cool_down.forget(prepared)
            else:
                self._cool_down.end(prepared)
                expires = self._clock() + self.config.undo_timeout_s
                self._performed = _Performed(prepared, expires)

    def _recorded(
        self, entry: JournalEntry, result: ActionResult, reason: str = "", description: str = ""
    ) -> ActionResult:
        """The result, journalled; description: where the result's own has the reason in it."""
        told = description or result.description
        self._record(entry, result.status.value, told, reason, result.output)
        return result

    def _record_expired(self, question: Question | None) -> None:
        if question is not None:
            reason = f"no answer within {self.config.confirmation_timeout_s:g} s"
            self._record(question.entry, EXPIRED, question.prepared.description, reason)

    def _record(
        self, entry: JournalEntry, status: str, description: str, reason: str, output: str = ""
    ) -> None:
        if self._journal is not None and self.runner.execute:
            told = replace(entry, status=status, description=description)
            self._journal.write(replace(told, reason=reason, output=output))


def _why_none(wanted: str, expired: Question | None) -> str:
    """Why there is no question to answer."""
    if expired is not None:
        return "too late: the question has expired; say it again"
    return "that question is no longer open" if wanted else "nothing was asked"


def _pressed(answer: str, source: str) -> str:
    return one_line(f"{answer} was pressed ({source})" if source else f"{answer} was pressed")
