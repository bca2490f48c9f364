from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from action_support import describe, mistake, perform

from assistant.actions import load_policy, parse_policy
from assistant.errors import ConfigError
from assistant.types import ActionStatus

URL = "http://localhost/x"


def test_the_first_rule_that_fits_counts() -> None:
    rules = [
        {"when": {"action": ["play", "go"]}, "log": "play"},
        {"when": {"action": "stop", "track": 1}, "log": "first"},
        {"when": {"speed": "fast"}, "defaults": {"speed": "fast"}, "log": "fast"},
    ]
    assert describe(rules, action="go") == "play"
    assert describe(rules, action="stop", track=1.0) == "first"
    assert describe(rules, action="stop", track=2) == "fast"
    none = perform(rules, speed="slow")
    assert (none.status, none.description) == (ActionStatus.NONE, "test: no rule fits its slots")


def test_defaults_stand_in_for_what_was_not_said() -> None:
    rule = {"defaults": {"level": 50}, "log": "{level}%"}
    assert describe(rule) == "50%"
    assert describe(rule, level=7) == "7%"


def test_a_slot_that_is_absent_is_named() -> None:
    result = perform({"log": "{level}%"}, execute=False)
    assert result.status is ActionStatus.FAILED
    assert "slot 'level' was not said and has no default; add one" in result.description


def test_map_replaces_values_and_refuses_others() -> None:
    rule = {"map": {"n": {1: 0, "two": "{n}"}}, "defaults": {"n": 1}, "log": "<{n}>"}
    assert describe(rule) == "<0>"
    assert describe(rule, n=1.0) == "<0>"
    assert describe(rule, n="two") == "<{n}>"
    result = perform(rule, n="three")
    assert result.status is ActionStatus.FAILED
    assert "slot 'n' = 'three' is not in the map of the policy" in result.description


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        # structure
        ("wpctl", "test: expected 'key: value', found 'wpctl'"),
        ([], "test: an empty list: write an action"),
        ({}, "test: found no action: write one of log, run, http"),
        ({"log": "a", "run": ["b"]}, "test: found log and run: write one of"),
        ({"shell": "ls"}, "test: unknown key 'shell'; one of: log, run, http, "),
        ({"log": "a", "timeout": 1}, "test: unknown key 'timeout'"),
        ([{"log": "a"}, {"log": "b"}], "test: rule 2 is never reached: give rule 1 a 'when'"),
        ([{"when": {"a": 1}, "log": "a"}, {"bad": 1}], "test: rule 2: unknown key 'bad'"),
        # slots
        ({"when": {"a": True}, "log": "a"}, "when: a: True is neither text nor a number (YAML"),
        ({"when": "a", "log": "a"}, "when: expected 'key: value', found 'a'"),
        ({"map": {"a": {False: "x"}}, "log": "{a}"}, "map: a: False is neither text nor a number"),
        ({"map": {"a": "x"}, "log": "{a}"}, "map: a: expected 'key: value', found 'x'"),
        ({"map": {"b": {"x": 1}}, "log": "{a}"}, "map: slot 'b' is not used; write {b} in"),
        ({"defaults": {"a": None}, "log": "{a}"}, "defaults: a: None is neither text nor a number"),
        ({"defaults": {"b": 1}, "log": "{a}"}, "defaults: slot 'b' is not used"),
        (
            {"defaults": {"a": "z"}, "map": {"a": {"x": 1}}, "log": "{a}"},
            "map: a: the default 'z' is missing: add it",
        ),
        # placeholders
        ({"log": "{a b}"}, "log: '{a b}' in '{a b}' is no placeholder: write {slot}, or {{ and }}"),
        ({"log": "{}"}, "'{}' in '{}' is no placeholder"),
        ({"log": "{a"}, "'{a' in '{a' is no placeholder"),
        ({"log": "a}"}, "'}' in 'a}' is no placeholder"),
        ({"log": "{1}"}, "'{1}' in '{1}' is no placeholder"),
        ({"run": ["a", "{a|b}"]}, "run: '{a|b}' in '{a|b}' is no placeholder"),
        ({"http": {"url": URL, "json": {"a": ["{"]}}}, "http: '{' in '{' is no placeholder"),
    ],
)
def test_mistakes_are_explained(rule: Any, message: str) -> None:
    assert message in mistake(rule)


@pytest.mark.parametrize("values", [None, [], {}, {"intent": {}}, {"intents": {}, "more": 1}])
def test_a_file_of_another_form(values: Any) -> None:
    with pytest.raises(ConfigError, match=r"policy\.yaml: expected one key, 'intents'"):
        parse_policy(values, "policy.yaml")


def test_the_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"missing\.yaml: cannot be read"):
        load_policy(tmp_path / "missing.yaml")
    path = tmp_path / "policy.yaml"
    path.write_text("intents: {setVolume: {run: wpctl}}")
    with pytest.raises(ConfigError, match=r"policy\.yaml: setVolume: run: argv is a list"):
        load_policy(path)
