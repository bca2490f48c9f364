"""Sentence templates: hassil reads them, this file lays what hassil read as a word network."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from hassil import (
    Alternative,
    Expression,
    Group,
    ListReference,
    Permutation,
    RuleReference,
    TextChunk,
    parse_sentence,
)
from hassil import Sequence as TemplateSequence
from hassil.parser import ParseError

from ..errors import ConfigError
from ..types import SlotValue
from .builder import BOUNDARY, NetworkBuilder, Part
from .network import Final, SlotAssignment, WordNetwork, accepts
from .wording import number_forms, spoken_text

Known = TypeVar("Known")

MAXIMUM_NUMBERS = 2_000
"""Numbers of one range at most: each is a path of its own, wherever the range is referred to."""


@dataclass(frozen=True, slots=True)
class ListValue:
    """One value of a list: how it is said, what the slot then holds, where it is written."""

    expression: Expression
    value: SlotValue
    where: str
    context: Mapping[str, SlotValue] = field(default_factory=dict)
    """What else is so where this value is said; see `contexts`."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What the names in a template mean."""

    language: str
    lists: Mapping[str, tuple[ListValue, ...]]
    rules: Mapping[str, Expression]
    wildcards: frozenset[str] = frozenset()
    """Lists of any words whatever: a closed network has none, so no sentence can use them."""


@dataclass
class Selection(Expression):
    """A reference to a list of which only some values may be said."""

    slot_name: str
    values: tuple[ListValue, ...]


@dataclass(frozen=True, slots=True)
class CompiledTemplate:
    """A template as a network, and what was met on the way."""

    network: WordNetwork
    slots: Mapping[str, tuple[SlotValue, ...]]
    """Values each slot can take, in the order of their lists."""
    rules: frozenset[str]
    """Names of the rules referred to, directly or not."""
    places: Mapping[SlotAssignment, str]
    """Where each slot value is written; empty for an inline range."""
    where: str = ""
    """File and line."""


def parse_template(text: str) -> Expression:
    """Read a template.

    Raises:
        ConfigError: empty, an unbalanced bracket, or separators that hassil cannot combine.
    """
    if not text.strip():
        raise ConfigError("empty sentence; write what is said, or remove the line")
    _check_brackets(text)
    try:
        return parse_sentence(text).expression
    except (ParseError, AssertionError) as error:
        raise ConfigError(f"'{text}' cannot be read as a sentence: {error}") from error


def compile_template(
    expression: Expression, scope: Scope, intent: str, fixed: Mapping[str, SlotValue]
) -> CompiledTemplate:
    """Expand rules, lists and numbers into a network of words.

    A slot that is fixed holds that value unless another one is spoken. A template that refers to a
    slot twice on one path is an error, since one of the two values would be lost.

    Raises:
        ConfigError: unknown, recursive or ambiguous references, or a sentence without words.
    """
    layer = _Layer(scope)
    end = layer.lay(expression, NetworkBuilder.start)
    for slot, count in _slot_counts(expression, scope).items():
        if count > 1:
            raise ConfigError(
                f"slot '{slot}' can be set twice in one sentence; give the second reference a "
                f"name of its own, {{list:another_{slot}}}"
            )
    network = layer.builder.network(end, Final(intent, dict(fixed)))
    if accepts(network, ()):
        raise ConfigError("it can be said with no words at all; make one word mandatory")
    slots = {slot: tuple(values) for slot, values in layer.slots.items()}
    return CompiledTemplate(network, slots, frozenset(layer.rules), layer.places)


def check_expression(expression: Expression, scope: Scope) -> None:
    """Raise what `compile_template` would, as far as a part of a sentence can be judged."""
    _Layer(scope).lay(expression, NetworkBuilder.start)


def range_values(
    numbers: Iterable[int | float], multiplier: float | None, language: str, where: str
) -> tuple[ListValue, ...]:
    """The values of a range, one for each way to say a number.

    Raises:
        ConfigError: too many numbers, or no number words for the language.
    """
    values: list[ListValue] = []
    for count, number in enumerate(numbers, 1):
        if count > MAXIMUM_NUMBERS:
            raise ConfigError(f"more than {MAXIMUM_NUMBERS} numbers in a range; use a larger step")
        value = number if multiplier is None else round(number * multiplier, 10)
        for form in number_forms(number, language):
            values.append(ListValue(TextChunk(form), value, where))
    return tuple(values)


class _Layer:
    """Lays expressions one after the other into one builder."""

    def __init__(self, scope: Scope) -> None:
        self.builder = NetworkBuilder()
        self.slots: dict[str, dict[SlotValue, None]] = {}
        self.rules: set[str] = set()
        self.places: dict[SlotAssignment, str] = {}
        self._scope = scope
        self._open_rules: list[str] = []

    def lay(
        self, expression: Expression, source: int, assignment: SlotAssignment | None = None
    ) -> int:
        match expression:
            case TextChunk():
                text = spoken_text(expression.text, self._scope.language)
                return self.builder.text(source, text, assignment)
            case Alternative():
                return self.builder.alternatives(source, self._parts(expression.items, assignment))
            case Permutation():
                required = [_required(item) for item in expression.items]
                items = [
                    item or whole for item, whole in zip(required, expression.items, strict=True)
                ]
                optional = [item is not None for item in required]
                return self.builder.permutation(source, self._parts(items, assignment), optional)
            case Group():
                return self.builder.sequence(source, self._parts(expression.items, assignment))
            case RuleReference():
                return self._lay_rule(expression.rule_name, source, assignment)
            case ListReference() | Selection():
                return self._lay_list(expression, source, assignment)
        raise ConfigError(f"{type(expression).__name__} is not supported in a sentence")

    def _part(self, expression: Expression, assignment: SlotAssignment | None) -> Part:
        return lambda source: self.lay(expression, source, assignment)

    def _parts(self, items: Iterable[Expression], assignment: SlotAssignment | None) -> list[Part]:
        return [self._part(item, assignment) for item in items]

    def _lay_rule(self, name: str, source: int, assignment: SlotAssignment | None) -> int:
        body = _look_up(name, self._scope.rules, "rule", "<{}>")
        if name in self._open_rules:
            raise recursive_rule([*self._open_rules, name])
        self.rules.add(name)
        self._open_rules.append(name)
        target = self.lay(body, source, assignment)
        self._open_rules.pop()
        return target

    def _lay_list(
        self, reference: ListReference | Selection, source: int, within: SlotAssignment | None
    ) -> int:
        slot = reference.slot_name
        if within:
            raise ConfigError(
                f"a value of '{within.slot}' refers to the list '{{{slot}}}'; values can only hold "
                f"text and rules"
            )
        values = list_values(reference, self._scope)
        self.slots.setdefault(slot, {}).update(dict.fromkeys(value.value for value in values))
        for value in values:
            self.places.setdefault(SlotAssignment(slot, value.value), value.where)
        parts = [self._part(v.expression, SlotAssignment(slot, v.value)) for v in values]
        if any(isinstance(value.value, str) for value in values):
            return self.builder.alternatives(source, parts)
        # A number is never part of a word: "{level}[%|percent]" is hassil's for two words.
        end = self.builder.alternatives(self.builder.text(source, BOUNDARY), parts)
        return self.builder.text(end, BOUNDARY)


def list_values(reference: ListReference | Selection, scope: Scope) -> tuple[ListValue, ...]:
    """The values a reference stands for, be it to a list or to an inline range."""
    if isinstance(reference, Selection):
        return reference.values
    if reference.is_capture:
        raise ConfigError(f"'@' in {{{reference.list_name}}} is not supported; remove it")
    bounds = reference.get_inline_range()
    if bounds:
        first, last, step = bounds
        if step < 1 or last < first:
            raise ConfigError(
                f"{{{reference.list_name}}} has no numbers; write {{from..to,step:slot}}"
            )
        return range_values(range(first, last + 1, step), None, scope.language, "")
    if re.match(r"-?\d+\.\.", reference.list_name):
        raise ConfigError(
            f"the range {{{reference.list_name}}} cannot be read; write {{0..100:slot}} or "
            f"{{0..100,5:slot}}"
        )
    if reference.list_name in scope.wildcards:
        return ()
    return _look_up(reference.list_name, scope.lists, "list", "{{{}}}")


def recursive_rule(names: Iterable[str]) -> ConfigError:
    """The error of a rule that comes back to itself along `names`."""
    circle = " → ".join(f"<{rule}>" for rule in names)
    return ConfigError(f"recursive rule: {circle}; a rule cannot contain itself")


def _look_up(name: str, known: Mapping[str, Known], kind: str, form: str) -> Known:
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, 1)
    section = {"list": "lists", "rule": "expansion_rules"}[kind]
    raise ConfigError(
        f"unknown {kind} {form.format(name)}; "
        + (f"did you mean {form.format(near[0])}? Else " if near else "")
        + f"define it under '{section}:', in this file or in one read with it"
    )


def _slot_counts(expression: Expression, scope: Scope) -> Counter[str]:
    """How often each slot can be set at most in one sentence."""
    match expression:
        case ListReference() | Selection():
            return Counter([expression.slot_name])
        case RuleReference():
            return _slot_counts(scope.rules[expression.rule_name], scope)
        case Group():
            counts: Counter[str] = Counter()
            for item in expression.items:
                of_item = _slot_counts(item, scope)
                # For counters, | is the maximum.
                one_of = isinstance(expression, Alternative)
                counts = counts | of_item if one_of else counts + of_item
            return counts
    return Counter()


def _required(item: Expression) -> Expression | None:
    """The inside of an optional that stands alone between spaces; None where it is none."""
    parts = item.items if isinstance(item, TemplateSequence) else [item]
    cores = [part for part in parts if not (isinstance(part, TextChunk) and not part.text.strip())]
    if len(cores) != 1 or not isinstance(cores[0], Alternative) or not cores[0].is_optional:
        return None
    # hassil appends an empty alternative to what is optional.
    inside = Alternative(items=cores[0].items[:-1])
    return TemplateSequence(items=[TextChunk(" "), inside, TextChunk(" ")])


_CLOSING = {"(": ")", "[": "]", "{": "}", "<": ">"}


def _check_brackets(text: str) -> None:
    """Say what hassil would only raise about: brackets and separators, with their columns."""
    open_brackets: list[tuple[str, int]] = []
    separators: list[str] = [""]
    for column, character in enumerate(re.sub(r"\\.", "__", text), 1):
        if character in _CLOSING:
            open_brackets.append((character, column))
            separators.append("")
        elif character in _CLOSING.values():
            if not open_brackets or _CLOSING[open_brackets[-1][0]] != character:
                raise ConfigError(
                    f"unbalanced bracket in '{text}': '{character}' at column {column} closes "
                    f"nothing; remove it or open it before"
                )
            opening, since = open_brackets.pop()
            separators.pop()
            inside = text[since : column - 1]
            # "[ ]" is an optional space.
            if not inside.strip() and (opening != "[" or not inside):
                raise ConfigError(f"'{opening}{character}' in '{text}' is empty; remove it")
        elif character in "|;":
            if separators[-1] not in ("", character):
                raise ConfigError(
                    f"'|' and ';' are mixed in one group of '{text}'; put brackets around one kind"
                )
            separators[-1] = character
    if open_brackets:
        opening, column = open_brackets[-1]
        raise ConfigError(
            f"unbalanced bracket in '{text}': '{opening}' at column {column} is never closed; "
            f"add '{_CLOSING[opening]}'"
        )
