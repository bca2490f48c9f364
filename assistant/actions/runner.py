"""The runner: carries out what the policy says, and survives whatever goes wrong."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from ..config import DecisionConfig
from ..errors import ActionError
from ..types import ActionResult, ActionStatus, Intent
from .kinds import Action
from .placeholders import Slots
from .policy import ActionPolicy
from .reply import Reply, ReplyAction
from .rule import Confirm, Rule
from .text import one_line

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Prepared:
    """An intent whose action is ready to be performed.

    slots: as the action gets them. description: what it does, and undo: what takes it back (empty:
    nothing does), one line each. doubt: why it needs confirmation; empty where it needs none.
    reply: what it answers, where that is all it does.
    """

    intent: Intent
    rule: Rule
    slots: Slots
    description: str
    undo: str
    doubt: str
    reply: Reply | None = None


class ActionRunner:
    """Performs what the policy says, or (`execute=False`, the dry run) only describes it.

    It asks nobody: what needs confirmation is not performed. `Dialogue` asks.
    """

    def __init__(
        self,
        policy: ActionPolicy,
        execute: bool,
        confirmation_threshold: float = DecisionConfig.confirmation_threshold,
    ) -> None:
        """confirmation_threshold: that of `DecisionConfig`."""
        self.policy = policy
        self.execute = execute
        self.confirmation_threshold = confirmation_threshold

    def perform(self, intent: Intent) -> ActionResult:
        """Carry out `intent`; waits for the action, at most for its time-out.

        Never raises: what goes wrong is a result with `ActionStatus.FAILED` and one line on how to
        mend it, because a failed light must not stop the listening.
        """
        prepared = self.prepare(intent)
        if isinstance(prepared, ActionResult):
            return prepared
        if prepared.reply is not None:
            description = f"{intent.name}: nothing was asked"
            return ActionResult(intent.name, ActionStatus.NONE, description)
        if prepared.doubt:
            description = f"{prepared.description} (not done: {prepared.doubt})"
            return ActionResult(intent.name, ActionStatus.UNCONFIRMED, description)
        return self.carry_out(prepared)

    def prepare(self, intent: Intent) -> Prepared | ActionResult:
        """What `perform` would do, without doing it; a result where there is nothing to do."""
        name = intent.name
        rule = self.policy.rule_for(intent)
        if rule is None:
            reason = "no rule fits its slots" if name in self.policy.rules else "no action"
            return ActionResult(name, ActionStatus.NONE, f"{name}: {reason}")
        try:
            slots = rule.slots(intent.slots)
            description = one_line(rule.action.describe(slots))
            undo = one_line(rule.undo.describe(slots)) if rule.undo is not None else ""
        except Exception as error:
            return self._failure(name, error)
        reply = rule.action.reply if isinstance(rule.action, ReplyAction) else None
        # What is asked about is not to be done on a yes that nobody may have said.
        confirm = Confirm.WHEN_UNSURE if reply is Reply.ACCEPT else rule.confirm
        doubt = self._doubt(confirm, intent.confidence)
        return Prepared(intent, rule, slots, description, undo, doubt, reply)

    def carry_out(self, prepared: Prepared) -> ActionResult:
        """Perform the action whatever doubt there is; as `perform` otherwise."""
        done, action = ActionStatus.DONE, prepared.rule.action
        return self._act(prepared, action, prepared.description, done)

    def take_back(self, prepared: Prepared) -> ActionResult:
        """Perform the undo of an action that was carried out; as `perform` otherwise."""
        action = prepared.rule.undo
        if action is None:
            description = f"{prepared.description}: the policy has no 'undo' for it"
            return ActionResult(prepared.intent.name, ActionStatus.NONE, description)
        return self._act(prepared, action, prepared.undo, ActionStatus.UNDONE)

    def _act(
        self, prepared: Prepared, action: Action, description: str, done: ActionStatus
    ) -> ActionResult:
        name = prepared.intent.name
        if not self.execute:
            return ActionResult(name, ActionStatus.DRY_RUN, description)
        try:
            output = action.perform(prepared.slots)
        except Exception as error:
            return self._failure(name, error)
        return ActionResult(name, done, description, output)

    def _failure(self, name: str, error: Exception) -> ActionResult:
        failure = str(error)
        if not isinstance(error, ActionError):  # a kind with a bug must not make the assistant deaf
            logger.error("the action of %s failed", name, exc_info=error)
            failure = f"unexpected {type(error).__name__}: {error}"
        return ActionResult(name, ActionStatus.FAILED, one_line(f"{name}: {failure}"))

    def _doubt(self, confirm: Confirm, confidence: float) -> str:
        """Why the action needs confirmation; empty where it needs none."""
        threshold = self.confirmation_threshold
        if confirm is Confirm.ALWAYS:
            return "it is always confirmed first"
        if confirm is Confirm.WHEN_UNSURE and confidence < threshold:
            return f"confidence {confidence:.2f} is below {threshold:.2f}"
        return ""
