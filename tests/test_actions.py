from __future__ import annotations

import logging
from dataclasses import dataclass
from unittest.mock import patch

import pytest
from action_support import perform

from assistant.actions import ActionRunner, Slots, action_kind, expand, parse_policy
from assistant.actions.kinds import ACTION_KINDS
from assistant.errors import ActionError
from assistant.types import ActionResult, ActionStatus, Intent


def test_descriptions_are_one_line() -> None:
    result = perform({"run": ["echo", "{a}"]}, execute=False, a="one\ntwo\x1b[2J")
    assert result.description == "echo 'one\\ntwo\\x1b[2J'"


def test_log_writes_one_line(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "assistant.actions"):
        result = perform({"log": "a {drink}, {{please}}"}, drink="latte\n%s")
    assert result.status is ActionStatus.DONE
    assert result.description == "a latte\\n%s, {please}"
    assert caplog.messages == ["a latte\\n%s, {please}"]


def test_a_dry_run_logs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "assistant.actions"):
        assert perform({"log": "x"}, execute=False).status is ActionStatus.DRY_RUN
    assert not caplog.messages


def test_an_intent_without_an_action() -> None:
    runner = ActionRunner(parse_policy({"intents": {}}, "policy.yaml"), execute=True)
    result = runner.perform(Intent("dance", {}, "dance", 0.9))
    assert result == ActionResult("dance", ActionStatus.NONE, "dance: no action")


@patch.dict(ACTION_KINDS)  # restored afterwards
def test_a_new_kind_needs_only_the_decorator() -> None:
    @action_kind("shout")
    @dataclass(frozen=True)
    class Shout:
        text: str
        times: int = 1

        def templates(self) -> list[str]:
            return [self.text]

        def describe(self, slots: Slots) -> str:
            return "shout"

        def perform(self, slots: Slots) -> str:
            if not slots:
                raise RuntimeError("out of breath")
            return expand(self.text, slots).upper() * self.times

    assert perform({"shout": {"text": "{a}!", "times": 2}}, a="x").output == "X!X!"
    failed = perform({"shout": "x"})
    assert failed.status is ActionStatus.FAILED
    assert failed.description == "test: unexpected RuntimeError: out of breath"
    with pytest.raises(ValueError, match="already a key"):
        action_kind("shout")(Shout)


def test_expand_says_what_is_missing() -> None:
    with pytest.raises(ActionError, match="slot 'a' was not said"):
        expand("{a}", {})


@pytest.mark.parametrize(
    ("confirm", "confidence", "status"),
    [
        ("always", 1.0, ActionStatus.UNCONFIRMED),
        ("when-unsure", 0.79, ActionStatus.UNCONFIRMED),
        ("when-unsure", 0.8, ActionStatus.DONE),
        ("never", 0.5, ActionStatus.DONE),
    ],
)
def test_what_needs_confirmation_is_not_done(
    confirm: str, confidence: float, status: ActionStatus, caplog: pytest.LogCaptureFixture
) -> None:
    policy = parse_policy({"intents": {"lock": {"log": "locked", "confirm": confirm}}}, "p.yaml")
    with caplog.at_level(logging.INFO, "assistant.actions"):
        intent = Intent("lock", {}, "lock it", confidence)
        result = ActionRunner(policy, execute=True, confirmation_threshold=0.8).perform(intent)
    assert result.status is status
    assert caplog.messages == (["locked"] if status is ActionStatus.DONE else [])
    assert ("locked (not done: " in result.description) is (status is ActionStatus.UNCONFIRMED)
