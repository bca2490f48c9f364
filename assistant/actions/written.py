"""What command files say their intents do: `actions`, checked against what can be said."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from difflib import get_close_matches

from ..grammar.yaml_source import Located
from ..types import SlotValue
from .policy import ActionPolicy, parse_rules
from .reply import Reply, ReplyAction
from .rule import Confirm, Rule
from .text import slot_text

_log = logging.getLogger(__name__)

SlotValues = Mapping[str, Collection[SlotValue]]
"""By slot, the values that sentences of an intent can give it."""


def read_actions(actions: Mapping[str, Located], slots: Mapping[str, SlotValues]) -> ActionPolicy:
    """The policy that command files contain; a warning where voice cannot reach what it says.

    That is an intent without a sentence, and a question that no sentence answers.

    Args:
        actions: `CommandSet.actions`, rules as in a policy file by intent.
        slots: `CommandSet.slots_of`, for the intents that can be said.

    Raises:
        ConfigError: with file, line, the intent and what to write instead.
    """
    rules = {
        name: parse_rules(written.plain(), f"{written.where}: {name}")
        for name, written in actions.items()
    }
    for name, written in actions.items():
        if name not in slots:
            _log.warning("%s: %s: none of its sentences can be said", written.where, name)
            continue
        each = written.value if isinstance(written.value, list) else [written]
        for rule, place in zip(rules[name], each, strict=True):
            _check_sayable(rule, name, place, slots[name])
    _warn_of_unanswerable(actions, {name: of for name, of in rules.items() if name in slots})
    return ActionPolicy(rules)


def _warn_of_unanswerable(
    actions: Mapping[str, Located], rules: Mapping[str, Collection[Rule]]
) -> None:
    """What is asked about is never done by voice where no sentence says yes."""
    each = [(name, rule) for name, of in rules.items() for rule in of]
    answers = [rule.action.reply for _, rule in each if isinstance(rule.action, ReplyAction)]
    asking = [name for name, rule in each if rule.confirm is not Confirm.NEVER]
    if asking and Reply.ACCEPT not in answers:
        _log.warning(
            "%s: %s asks first, and no sentence answers: add an intent with 'reply: accept', and "
            "one with 'reply: refuse'",
            actions[asking[0]].where,
            asking[0],
        )


def _check_sayable(rule: Rule, intent: str, written: Located, slots: SlotValues) -> None:
    """Every slot of the rule is one of the intent, every value of `when` and `map` one of its own.

    A slot that has a default need not be sayable, and the default is one of its values.
    """
    for slot in (*rule.slots_named(), *rule.when, *rule.map):
        if slot not in slots and slot not in rule.defaults:
            known = f"one of: {', '.join(slots)}" if slots else "they set none"
            raise written.error(f"{intent}: none of its sentences sets a slot '{slot}'; {known}")
    for key, by_slot in (("when", rule.when), ("map", rule.map)):
        for slot, texts in by_slot.items():
            sayable = [slot_text(value) for value in slots.get(slot, ())]
            sayable += [slot_text(rule.defaults[slot])] if slot in rule.defaults else []
            for text in texts:
                if text not in sayable:
                    near = get_close_matches(text, sayable, 3) or sayable[:3]
                    raise written.error(
                        f"{intent}: {key}: slot '{slot}' is never '{text}'; write a value that "
                        f"can be said, such as {', '.join(near)}"
                    )
