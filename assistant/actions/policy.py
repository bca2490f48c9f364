"""The policy: what each intent stands for, read from a file and checked before anything is said."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ..config import from_mapping, read_yaml
from ..errors import ConfigError
from ..types import Intent, SlotValue
from .kinds import ACTION_KINDS, RULE_KEYS, Action
from .rule import Confirm, Rule
from .text import slot_text


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
    rule = Rule(action, when, defaults, words, _confirm(values, where))
    _check_slots(rule, where)
    return rule


def _confirm(values: Mapping[str, Any], where: str) -> Confirm:
    written = values.get("confirm", Confirm.NEVER.value)
    with suppress(ValueError):
        return Confirm(written)
    choices = ", ".join(choice.value for choice in Confirm)
    raise ConfigError(f"{where}: confirm: found {written!r}: write one of {choices}")


def _action(kinds: Mapping[str, Any], where: str) -> Action:
    for key in kinds:
        if key not in ACTION_KINDS:
            known = ", ".join((*ACTION_KINDS, *RULE_KEYS))
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
