"""The runner: carries out what the policy says, and survives whatever goes wrong."""

from __future__ import annotations

import logging

from ..config import DecisionConfig
from ..errors import ActionError
from ..types import ActionResult, ActionStatus, Intent
from .policy import ActionPolicy
from .rule import Confirm
from .text import one_line

logger = logging.getLogger(__name__)


class ActionRunner:
    """Performs what the policy says, or (`execute=False`, the dry run) only describes it.

    What needs confirmation is not performed: nobody can be asked yet.
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
        rule = self.policy.rule_for(intent)
        if rule is None:
            reason = "no rule fits its slots" if intent.name in self.policy.rules else "no action"
            return ActionResult(intent.name, ActionStatus.NONE, f"{intent.name}: {reason}")
        try:
            slots = rule.slots(intent.slots)
            description = one_line(rule.action.describe(slots))
            if reason := self._doubt(rule.confirm, intent.confidence):
                description = f"{description} (not done: {reason})"
                return ActionResult(intent.name, ActionStatus.UNCONFIRMED, description)
            if not self.execute:
                return ActionResult(intent.name, ActionStatus.DRY_RUN, description)
            output = rule.action.perform(slots)
        except ActionError as error:
            failure = str(error)
        except Exception as error:  # a kind with a bug must not make the assistant deaf
            logger.exception("the action of %s failed", intent.name)
            failure = f"unexpected {type(error).__name__}: {error}"
        else:
            return ActionResult(intent.name, ActionStatus.DONE, description, output)
        return ActionResult(intent.name, ActionStatus.FAILED, one_line(f"{intent.name}: {failure}"))

    def _doubt(self, confirm: Confirm, confidence: float) -> str:
        """Why the action needs confirmation; empty where it needs none."""
        threshold = self.confirmation_threshold
        if confirm is Confirm.ALWAYS:
            return "it is always confirmed first"
        if confirm is Confirm.WHEN_UNSURE and confidence < threshold:
            return f"confidence {confidence:.2f} is below {threshold:.2f}"
        return ""
