"""The policy: what each intent stands for, read from a file and checked before anything is said."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

from ..config import from_mapping
from ..errors import ConfigError
from ..types import Intent, SlotValue
from ..yaml_loader import read_yaml
from .kinds import ACTION_KINDS, RULE_KEYS, Action
from .reply import ReplyAction
from .rule import Confirm, Consequence, Rule
from .text import slot_text

Choice = TypeVar("Choice", bound=Enum)


@dataclass(frozen=True)
class ActionPolicy:
    """What the assistant may do: the rules of each intent, the first that fits counts."""

    rules: Mapping[str, Sequence[Rule]]
    source: str = ""
    """The file that says so."""

    def rule_for(self, intent: Intent) -> Rule | None:
        """The rule that decides about `intent`; None where there is none."""
        rules = self.rules.get(intent.name, ())
        return next((rule for rule in rules if rule.fits(intent.slots)), None)


def load_policy(path: Path) -> ActionPolicy:
    """Read a policy file; `configs/actions.yaml` explains its form.

    Raises:
        ConfigError: with the file, the intent and what to write instead.
    """
    return parse_policy(read_yaml(path), str(path))


def parse_policy(values: object, where: str) -> ActionPolicy:
    """Check and build a policy from what YAML gives; `where` is the file, for messages.

    Raises:
        ConfigError: with `where`, the intent and what to write instead.
    """
    if not isinstance(values, Mapping) or list(values) != ["intents"]:
        found = ", ".join(map(str, values)) if isinstance(values, Mapping) else repr(values)
        raise ConfigError(
            f"{where}: expected one key, 'intents', with an action for each intent; found {found}"
        )
    intents = _keys_and_values(values["intents"], f"{where}: intents")
    rules = {name: parse_rules(written, f"{where}: {name}") for name, written in intents}
    return ActionPolicy(rules, where)


def parse_rules(written: object, where: str) -> tuple[Rule, ...]:
    """Check and build what an intent does: one rule, or a list of them.

    Raises:
        ConfigError: with `where` and what to write instead.
    """
    if not isinstance(written, list):
        return (_rule(written, where),)
    if not written:
        raise ConfigError(f"{where}: an empty list: write an action, or remove the intent")
    rules = tuple(_rule(r, f"{where}: rule {n}") for n, r in enumerate(written, start=1))
    for number, rule in enumerate(rules[:-1], start=1):
        if not rule.when:
            raise ConfigError(
                f"{where}: rule {number + 1} is never reached: give rule {number} a 'when'"
            )
    return rules


def _rule(written: object, where: str) -> Rule:
    values = dict(_keys_and_values(written, where))
    kinds = {key: value for key, value in values.items() if key not in RULE_KEYS}
    action = _action(kinds, where)
    when = {
        slot: _wanted(texts, f"{where}: when: {slot}")
        for slot, texts in _keys_and_values(values.get("when", {}), f"{where}: when")
    }
    defaults = _slot_values(values.get("defaults", {}), f"{where}: defaults")
    words = {
        slot: _slot_values(mapping, f"{where}: map: {slot}")
        for slot, mapping in _keys_and_values(values.get("map", {}), f"{where}: map")
    }
    undo = _undo(values["undo"], f"{where}: undo") if "undo" in values else None
    consequence = _consequence(values, where)
    confirm = _confirm(values, consequence, where)
    cool_down_s = _cool_down(values, where)
    if isinstance(action, ReplyAction):
        _check_reply(values, where)
    rule = Rule(action, when, defaults, words, confirm, consequence, undo, cool_down_s)
    _check_slots(rule, where)
    return rule


def _consequence(values: Mapping[str, Any], where: str) -> Consequence:
    """What is declared; reversible by default where there is an undo, else harmless."""
    has_undo = "undo" in values
    default = Consequence.REVERSIBLE if has_undo else Consequence.HARMLESS
    consequence = _choice(Consequence, values, "consequence", default, where)
    if consequence is Consequence.REVERSIBLE and not has_undo:
        raise ConfigError(
            f"{where}: consequence: reversible, but no 'undo' says how: write one, or write "
            "harmless or serious"
        )
    if consequence is Consequence.HARMLESS and has_undo:
        raise ConfigError(
            f"{where}: consequence: harmless, yet there is an 'undo': write reversible or serious"
        )
    return consequence


def _confirm(values: Mapping[str, Any], consequence: Consequence, where: str) -> Confirm:
    is_serious = consequence is Consequence.SERIOUS
    default = Confirm.ALWAYS if is_serious else Confirm.NEVER
    confirm = _choice(Confirm, values, "confirm", default, where)
    if is_serious and confirm is Confirm.NEVER:
        raise ConfigError(
            f"{where}: confirm: never, yet its consequence is serious: write when-unsure or "
            "always, or another consequence"
        )
    return confirm


def _choice(
    kind: type[Choice], values: Mapping[str, Any], key: str, default: Choice, where: str
) -> Choice:
    written = values.get(key, default.value)
    with suppress(ValueError):
        return kind(written)
    choices = ", ".join(choice.value for choice in kind)
    raise ConfigError(f"{where}: {key}: found {written!r}: write one of {choices}")


def _cool_down(values: Mapping[str, Any], where: str) -> float:
    written = values.get("cool_down_s", 0)
    is_number = isinstance(written, int | float) and not isinstance(written, bool)
    if not (is_number and math.isfinite(written) and written >= 0):
        raise ConfigError(f"{where}: cool_down_s: found {written!r}: write seconds, 0 or more")
    return float(written)


def _undo(written: object, where: str) -> Action:
    undo = _action(dict(_keys_and_values(written, where)), where, rule_keys=())
    if isinstance(undo, ReplyAction):
        raise ConfigError(f"{where}: a reply takes nothing back: write another action")
    return undo


def _check_reply(values: Mapping[str, Any], where: str) -> None:
    """What a reply answers has consequences, itself it has none."""
    for key in ("confirm", "consequence", "undo", "cool_down_s"):
        if key in values:
            raise ConfigError(f"{where}: a reply has no '{key}': remove it")


def _action(kinds: Mapping[str, Any], where: str, rule_keys: Sequence[str] = RULE_KEYS) -> Action:
    for key in kinds:
        if key not in ACTION_KINDS:
            known = ", ".join((*ACTION_KINDS, *rule_keys))
            raise ConfigError(f"{where}: unknown key '{key}'; one of: {known}")
    if len(kinds) != 1:
        raise ConfigError(
            f"{where}: found {' and '.join(kinds) or 'no action'}: write one of "
            f"{', '.join(ACTION_KINDS)}"
        )
    [(name, written)] = kinds.items()
    where = f"{where}: {name}"
    kind: Any = ACTION_KINDS[name]
    first = fields(kind)[0].name
    values = written if isinstance(written, Mapping) else {first: written}
    if first not in values:
        raise ConfigError(f"{where}: '{first}' is missing: write {name}: {{{first}: …}}")
    try:
        action: Action = from_mapping(kind, values, where)
        Rule(action).slots_named()  # so that a mistake in braces is found now
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from error
    return action


def _check_slots(rule: Rule, where: str) -> None:
    """Every slot is of use, and every default is a value that the map knows."""
    mapped = rule.slots_named().keys()
    for key, slots, users in (
        ("map", rule.map, mapped),
        ("defaults", rule.defaults, mapped | rule.when.keys()),
    ):
        if unused := [slot for slot in slots if slot not in users]:
            raise ConfigError(
                f"{where}: {key}: slot '{unused[0]}' is not used; "
                f"write {{{unused[0]}}} in the action, or remove it"
            )
    for action in filter(None, (rule.action, rule.undo)):
        for slot in getattr(action, "slots_to_map", tuple)():
            if slot not in rule.map:
                raise ConfigError(
                    f"{where}: slot '{slot}' chooses what is done: list its values under 'map'"
                )
    for slot, default in rule.defaults.items():
        if slot in rule.map and slot_text(default) not in rule.map[slot]:
            raise ConfigError(f"{where}: map: {slot}: the default {default!r} is missing: add it")


def _wanted(written: object, where: str) -> frozenset[str]:
    texts = written if isinstance(written, list) else [written]
    return frozenset(slot_text(_slot_value(text, where)) for text in texts)


def _keys_and_values(written: object, where: str) -> Iterator[tuple[str, Any]]:
    if not isinstance(written, Mapping):
        raise ConfigError(f"{where}: expected 'key: value', found {written!r}")
    for key, value in written.items():
        yield slot_text(_slot_value(key, where)), value


def _slot_values(written: object, where: str) -> dict[str, SlotValue]:
    return {k: _slot_value(v, f"{where}: {k}") for k, v in _keys_and_values(written, where)}


def _slot_value(value: object, where: str) -> SlotValue:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        hint = " (YAML reads on, off, yes and no so)" if isinstance(value, bool) else ""
        raise ConfigError(
            f"{where}: {value!r} is neither text nor a number{hint}: put it in quotes"
        )
    return value
