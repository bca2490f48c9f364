"""What the tests of `assistant.actions` share: a policy of one rule, for the intent `test`."""

from __future__ import annotations

from typing import Any

import pytest

from assistant.actions import ActionRunner, parse_policy
from assistant.errors import ConfigError
from assistant.types import ActionResult, ActionStatus, Intent, SlotValue


def perform(rule: Any, execute: bool = True, **slots: SlotValue) -> ActionResult:
    runner = ActionRunner(parse_policy({"intents": {"test": rule}}, "policy.yaml"), execute)
    return runner.perform(Intent("test", slots, "", 1.0))


def describe(rule: Any, **slots: SlotValue) -> str:
    result = perform(rule, execute=False, **slots)
    assert result.status is ActionStatus.DRY_RUN, result.description
    return result.description


def mistake(rule: Any) -> str:
    """What is said about a rule that does not fit."""
    with pytest.raises(ConfigError) as raised:
        parse_policy({"intents": {"test": rule}}, "policy.yaml")
    text = str(raised.value)
    assert text.startswith("policy.yaml: test: ")
    return text
