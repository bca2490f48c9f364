"""What a rule says beyond its action: consequence, confirmation, undo, cool-down; and replies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from action_support import mistake, perform

from assistant.actions import (
    Confirm,
    Consequence,
    Rule,
    load_policy,
    parse_policy,
    read_actions,
)
from assistant.errors import ConfigError
from assistant.grammar.commands import load_commands
from assistant.grammar.network import slots_of
from assistant.types import ActionStatus, Intent

SHIPPED = Path(__file__).parents[1] / "configs" / "actions.yaml"


def rule(written: dict[str, Any]) -> Rule:
    (only,) = parse_policy({"intents": {"test": written}}, "policy.yaml").rules["test"]
    return only


@pytest.mark.parametrize(
    ("written", "consequence", "confirm"),
    [
        ({}, Consequence.HARMLESS, Confirm.NEVER),
        ({"undo": {"log": "off"}}, Consequence.REVERSIBLE, Confirm.NEVER),
        ({"consequence": "serious"}, Consequence.SERIOUS, Confirm.ALWAYS),
        (
            {"consequence": "serious", "confirm": "when-unsure"},
            Consequence.SERIOUS,
            Confirm.WHEN_UNSURE,
        ),
        (
            {"consequence": "serious", "undo": {"log": "unlock"}},
            Consequence.SERIOUS,
            Confirm.ALWAYS,
        ),
    ],
)
def test_a_consequence_decides_what_is_confirmed(
    written: dict[str, Any], consequence: Consequence, confirm: Confirm
) -> None:
    parsed = rule({"log": "on", **written})
    assert (parsed.consequence, parsed.confirm) == (consequence, confirm)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ({"consequence": "bad"}, "consequence: found 'bad': write one of harmless, reversible, "),
        ({"consequence": "reversible"}, "consequence: reversible, but no 'undo' says how"),
        (
            {"consequence": "harmless", "undo": {"log": "b"}},
            "consequence: harmless, yet there is an 'undo': write reversible or serious",
        ),
        (
            {"consequence": "serious", "confirm": "never"},
            "confirm: never, yet its consequence is serious: write when-unsure or always",
        ),
        ({"confirm": True}, "confirm: found True: write one of always, when-unsure, never"),
        ({"cool_down_s": "1"}, "cool_down_s: found '1': write seconds, 0 or more"),
        ({"cool_down_s": -1}, "cool_down_s: found -1: write seconds"),
        ({"cool_down_s": True}, "cool_down_s: found True: write seconds"),
        ({"cool_down_s": float("inf")}, "cool_down_s: found inf: write seconds"),
        ({"undo": "b"}, "undo: expected 'key: value', found 'b'"),
        ({"undo": {}}, "undo: found no action: write one of log, run, http"),
        ({"undo": {"log": "b", "confirm": "never"}}, "undo: unknown key 'confirm'; one of: log, "),
        ({"undo": {"run": "b"}}, "undo: run: argv is a list"),
        ({"undo": {"log": "{a b}"}}, "undo: log: '{a b}' in '{a b}' is no placeholder"),
        ({"undo": {"reply": "undo"}}, "undo: a reply takes nothing back"),
    ],
)
def test_mistakes_of_a_rule_are_explained(written: dict[str, Any], message: str) -> None:
    assert message in mistake({"log": "a", **written})


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ({"reply": "yes"}, "reply: found 'yes': write one of accept, refuse, undo"),
        ({"reply": False}, "reply: answer: expected str, found False"),
        ({"reply": "accept", "confirm": "always"}, "a reply has no 'confirm': remove it"),
        ({"reply": "accept", "undo": {"log": "a"}}, "a reply has no 'undo': remove it"),
        ({"reply": "accept", "cool_down_s": 3}, "a reply has no 'cool_down_s': remove it"),
    ],
)
def test_mistakes_of_a_reply_are_explained(written: dict[str, Any], message: str) -> None:
    assert message in mistake(written)


def test_slots_of_the_undo_have_defaults_and_a_map_too() -> None:
    written = {
        "defaults": {"room": "all"},
        "map": {"room": {"all": "house"}},
        "log": "on",
        "undo": {"log": "off in {room}"},
    }
    assert list(rule(written).slots_named()) == ["room"]
    with pytest.raises(ConfigError, match="map: slot 'other' is not used"):
        rule({**written, "map": {"other": {"a": "b"}}})


def test_an_action_whose_undo_lacks_a_slot_is_not_performed() -> None:
    result = perform({"log": "on", "undo": {"log": "{level}"}})
    assert result.status is ActionStatus.FAILED
    assert "slot 'level' was not said" in result.description


def test_a_summary_tells_the_limits() -> None:
    written = {
        "run": ["light", "{room}"],
        "undo": {"run": ["dark", "{room}"]},
        "cool_down_s": 2.5,
        "consequence": "serious",
    }
    assert rule(written).summary() == (
        "run: light '{room}'  (consequence: serious, confirm: always, cool_down_s: 2.5, "
        "undo: run: dark '{room}')"
    )


@pytest.mark.parametrize("answer", ["accept", "refuse", "undo"])
def test_a_reply_without_a_dialogue_does_nothing(answer: str) -> None:
    result = perform({"reply": answer})
    assert (result.status, result.description) == (ActionStatus.NONE, "test: nothing was asked")


def test_command_files_may_say_all_of_it(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        """
language: en
intents:
  light: {data: [{sentences: ["light {state}"]}]}
  revoke: {data: [{sentences: [take it back]}]}
lists:
  state: {values: ["on", "off"]}
actions:
  light:
    log: "{state}"
    undo: {log: "not {stat}"}
    cool_down_s: 1
  revoke: {reply: undo}
""",
        encoding="utf-8",
    )

    def read() -> None:
        commands = load_commands([path])
        read_actions(commands.actions, {n: slots_of(commands.network, n) for n in commands.actions})

    with pytest.raises(ConfigError, match=r"light: none of its sentences sets a slot 'stat'"):
        read()
    path.write_text(path.read_text(encoding="utf-8").replace("{stat}", "{state}"), encoding="utf-8")
    read()


def test_every_shipped_undo_can_be_described() -> None:
    policy = load_policy(SHIPPED)
    undos = 0
    for rules in policy.rules.values():
        for shipped in rules:
            if shipped.undo is not None:
                undos += 1
                assert "undo: " in shipped.summary()
    assert undos >= 5
    lamp = policy.rule_for(Intent("setLight", {"state": "off", "room": "kitchen"}, "", 1.0))
    assert lamp is not None and lamp.undo is not None
    slots = lamp.slots({"state": "off", "room": "kitchen"})
    assert "light/turn_on" in lamp.undo.describe(slots)
    assert '"light.kitchen"' in lamp.undo.describe(slots)
