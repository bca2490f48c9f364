"""Contexts: what values of a list and the surroundings of the device say of themselves.

    lists:
      name:
        values:
          - {in: bedroom lamp, context: {domain: light}}
          - {in: ceiling fan, context: {domain: fan}}
    intents:
      dim: {data: [{sentences: ["dim {name}"], requires_context: {domain: light}}]}

Hassil compares contexts when something was said. Here every value is known beforehand, so they are
compared when the files are read: what could never be accepted is not in the network.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain, product

from ..types import SlotValue
from .templates import ListValue, Scope
from .yaml_source import Located

Context = Mapping[str, SlotValue]


@dataclass(frozen=True, slots=True)
class Condition:
    """An entry of `requires_context` or `excludes_context`."""

    key: str
    values: tuple[SlotValue, ...]
    """One of these; without any, whichever value there is."""
    excluded: bool = False
    """None of these instead."""
    slot: str | None = None
    """The slot that takes the value found."""

    def holds(self, context: Context) -> bool:
        """Whether a context is as required; one without the key only excludes nothing."""
        if self.excluded:
            return self.key not in context or context[self.key] not in self.values
        return self.key in context and (not self.values or context[self.key] in self.values)


def read_context(body: Located, what: str = "'context'") -> dict[str, SlotValue]:
    """Keys and single values."""
    return {
        key: value.slot_value(f"the value of '{key}' in {what}")
        for key, value in body.mapping(what).items()
    }


def read_conditions(block: Mapping[str, Located]) -> tuple[Condition, ...]:
    """Everything in a block that asks for a context."""
    conditions = []
    if "requires_context" in block:
        for key, body in block["requires_context"].mapping("'requires_context'").items():
            conditions.append(_condition(key, body))
    if "excludes_context" in block:
        for key, body in block["excludes_context"].mapping("'excludes_context'").items():
            condition = replace(_condition(key, body), excluded=True)
            if not condition.values or condition.slot:
                raise body.error(f"'excludes_context' needs the values of '{key}': {key}: [...]")
            conditions.append(condition)
    if "name_domains" in block:
        conditions.append(Condition("domain", _values("domain", block["name_domains"])))
    return tuple(conditions)


def _condition(key: str, body: Located) -> Condition:
    if not isinstance(body.value, dict):
        return Condition(key, _values(key, body))
    keys = body.mapping(f"the condition on '{key}'", ("value", "slot"))
    slot: str | None = None
    if "slot" in keys and keys["slot"].value is not False:
        slot = key if keys["slot"].value is True else keys["slot"].text("'slot' (true, or a name)")
    return Condition(key, _values(key, keys["value"]) if "value" in keys else (), slot=slot)


def _values(key: str, body: Located) -> tuple[SlotValue, ...]:
    if body.value is None:
        return ()
    several = isinstance(body.value, list)
    items = body.sequence(f"the values of '{key}'") if several else [body]
    return tuple(item.slot_value(f"a value of '{key}'") for item in items)


@dataclass(frozen=True, slots=True)
class Circumstances:
    """One way to meet the conditions of a block."""

    scope: Scope
    """Lists without the values that do not meet them."""
    demanded: tuple[str, ...]
    """Keys that the surroundings lack: a sentence needs a value that carries them."""
    slots: Mapping[str, SlotValue]
    """What the context puts into slots."""


def circumstances(
    conditions: Iterable[Condition], scope: Scope, surroundings: Context
) -> Iterator[Circumstances]:
    """The ways to meet conditions: one, or one for each value that may be copied into a slot."""
    conditions = tuple(conditions)
    copied = [condition for condition in conditions if condition.slot]
    choices = [_found(condition, scope, surroundings) for condition in copied]
    for chosen in product(*choices):
        fixed = [
            Condition(condition.key, (value,))
            for condition, value in zip(copied, chosen, strict=True)
        ]
        # Unmet, a condition that copies still has to say what is missing.
        asked = [c for c in conditions if not c.slot] + fixed
        slots = {c.slot: v for c, v in zip(copied, chosen, strict=True) if c.slot}
        yield _circumstances(asked, scope, surroundings, slots)
    if not all(choices):
        yield _circumstances(conditions, scope, surroundings, {})


def _circumstances(
    conditions: Iterable[Condition],
    scope: Scope,
    surroundings: Context,
    slots: Mapping[str, SlotValue],
) -> Circumstances:
    conditions = tuple(conditions)
    keys = {condition.key for condition in conditions}
    lists = dict(scope.lists)
    for name, values in scope.lists.items():
        if any(not keys.isdisjoint(value.context) for value in values):
            lists[name] = tuple(value for value in values if _meets(value, conditions))
    demanded = [c.key for c in conditions if not c.holds(surroundings)]
    return Circumstances(replace(scope, lists=lists), tuple(dict.fromkeys(demanded)), slots)


def _meets(value: ListValue, conditions: Iterable[Condition]) -> bool:
    """Whether a value agrees with the conditions on what it carries."""
    return all(c.holds(value.context) for c in conditions if c.key in value.context)


def _found(condition: Condition, scope: Scope, surroundings: Context) -> list[SlotValue]:
    """The values of a key, of the surroundings and of lists, that are as required."""
    carried = (value.context for value in chain.from_iterable(scope.lists.values()))
    contexts = (surroundings, *carried)
    return list(
        dict.fromkeys(
            c[condition.key] for c in contexts if condition.key in c and condition.holds(c)
        )
    )
