"""What the names in a command file mean: rules, and lists with their values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from hassil import Expression, RangeFractionType, RangeSlotList, TextChunk, is_template

from ..errors import ConfigError
from .contexts import read_context
from .network import sentences_of
from .templates import ListValue, Scope, compile_template, parse_template, range_values
from .wording import is_written_only
from .yaml_source import Located, written_at

_VALUE_KEYS = ("in", "out", "context", "metadata")
_RANGE_KEYS = ("from", "to", "step", "type", "fractions", "multiplier", "digits", "words")
_FORMS_COMPARED = 1_000
"""Ways to say one list value that are compared with those of the other values."""


def inner_scope(outer: Scope, lists: Mapping[str, Located], rules: Mapping[str, Located]) -> Scope:
    """The names of `outer`, and these; rules are parsed first since values may refer to them."""
    if not lists and not rules:
        return outer
    parsed = {name: parsed_template(body, f"rule '{name}'") for name, body in rules.items()}
    scope = replace(outer, rules={**outer.rules, **parsed})
    values = {name: _list_values(name, body, scope) for name, body in lists.items()}
    known = {name: found for name, found in values.items() if found is not None}
    return replace(
        scope,
        lists={**outer.lists, **known},
        wildcards=(outer.wildcards - known.keys()) | (values.keys() - known.keys()),
    )


def parsed_template(source: Located, what: str) -> Expression:
    """A template; errors name its line."""
    text = source.text(what)
    with written_at(source.where):
        return parse_template(text)


def _list_values(name: str, body: Located, scope: Scope) -> tuple[ListValue, ...] | None:
    """The values of a list; None for a wildcard."""
    what = f"list '{name}'"
    keys = body.mapping(what, ("values", "range", "wildcard"))
    if "wildcard" in keys:
        if keys["wildcard"].value is not True or len(keys) > 1:
            raise keys["wildcard"].error(f"{what}: write 'wildcard: true' alone, or its values")
        return None
    if ("values" in keys) == ("range" in keys):
        raise body.error(f"{what} needs either 'values' or 'range'")
    if "range" in keys:
        return _range_values(what, keys["range"], scope)
    values = [_list_value(what, item) for item in keys["values"].sequence(f"'values' of {what}")]
    values = _pronounceable(what, values)
    said: dict[tuple[str, ...], ListValue] = {}
    for value in values:
        with written_at(value.where):
            network = compile_template(value.expression, scope, "", {}).network
        forms = [words for words, _ in sentences_of(network, _FORMS_COMPARED)]
        taken = [words for words in forms if _differs(said.get(words, value), value)]
        # What can also be said otherwise may share some words: it still can be told apart.
        if len(taken) == len(forms):
            other = said[taken[0]]
            raise ConfigError(
                f"{value.where}: '{' '.join(taken[0])}' in {what} means {value.value!r} here and "
                f"{other.value!r} at {other.where}; keep one"
            )
        for words in forms:
            said.setdefault(words, value)
    return tuple(values)


def _differs(one: ListValue, other: ListValue) -> bool:
    """Whether two values are not the same, nor told apart by a condition on their contexts."""
    return one.value != other.value and one.context == other.context


def _list_value(what: str, item: Located) -> ListValue:
    entry = item
    out: Located | None = None
    context = {}
    if isinstance(item.value, dict):
        keys = item.mapping(f"a value of {what}", _VALUE_KEYS)
        if "in" not in keys:
            raise item.error(f"a value of {what} needs 'in', the words said")
        entry, out = keys["in"], keys.get("out")
        context = read_context(keys["context"]) if "context" in keys else {}
    text = entry.text(f"a value of {what}")
    if out is None and is_template(text):
        raise entry.error(
            f"'{text}' can be said in several ways; write {{in: \"{text}\", out: ...}} so that the "
            f"slot has one value"
        )
    template = is_template(text)
    expression = parsed_template(entry, f"a value of {what}") if template else TextChunk(text)
    value = entry.slot_value("a value") if out is None else out.slot_value("'out'")
    return ListValue(expression, value, entry.where, context)


def _pronounceable(what: str, values: list[ListValue]) -> list[ListValue]:
    """Without values as "1/2" where the same is also written in words."""
    kept = []
    for value in values:
        text = value.expression.text if isinstance(value.expression, TextChunk) else ""
        if not is_written_only(text):
            kept.append(value)
        elif not any(other.value == value.value for other in values if other is not value):
            raise ConfigError(
                f"{value.where}: '{text}' in {what} cannot be pronounced; write it in words"
            )
    return kept


def _range_values(what: str, body: Located, scope: Scope) -> tuple[ListValue, ...]:
    keys = body.mapping(f"the range of {what}", _RANGE_KEYS)
    if "from" not in keys or "to" not in keys:
        raise body.error(f"the range of {what} needs 'from' and 'to'")
    first, last = keys["from"].number("'from'"), keys["to"].number("'to'")
    step = keys["step"].number("'step'") if "step" in keys else 1
    if last < first or step < 1:
        raise body.error(f"the range of {what} has no numbers; 'to' must be at least 'from'")
    fractions = None
    if "fractions" in keys:
        known = [kind.value for kind in RangeFractionType]
        if keys["fractions"].value not in known:
            raise keys["fractions"].error(f"'fractions' must be one of: {', '.join(known)}")
        fractions = RangeFractionType(keys["fractions"].value)
    numbers = RangeSlotList(None, first, last, step, fraction_type=fractions).get_numbers()
    multiplier = keys["multiplier"].slot_value("'multiplier'") if "multiplier" in keys else None
    if isinstance(multiplier, str):
        raise keys["multiplier"].error("'multiplier' must be a number")
    with written_at(body.where):
        # hassil's last number has fractions too; here `to` is the last.
        within = (round(number, 1) for number in numbers if number <= last)
        return range_values(within, multiplier, scope.language, body.where)
