"""What remains of a template: without wildcards, unmet contexts, and what only stands on paper."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from dataclasses import replace

from hassil import (
    Alternative,
    Expression,
    Group,
    ListReference,
    RuleReference,
    TextChunk,
)
from hassil import Sequence as TemplateSequence

from .templates import Scope, Selection, recursive_rule
from .wording import is_written_only


class Narrowing:
    """Narrows the templates of one scope; remembers the rules it has narrowed."""

    def __init__(self, scope: Scope, tolerant: bool = False) -> None:
        """`tolerant`: a reference to a rule or list that nobody defines only costs what uses it."""
        self.rules: set[str] = set()
        """Rules that were met."""
        self._scope = scope
        self._tolerant = tolerant
        self._bodies: dict[str, tuple[Expression | None, str]] = {}
        self._open_rules: list[str] = []
        self._reason = ""

    def narrowed(self, expression: Expression, demanded: Iterable[str]) -> Expression | str:
        """What can be said of an expression if each demanded key is carried by a value said.

        Where nothing can, the reason.
        """
        possible = self._possible(expression)
        if possible is None:
            return self._reason
        for key in demanded:
            possible = self._carrying(possible, key)
            if possible is None:
                return f"the context '{key}' is not given"
        return possible

    # ── what is possible ───────────────────────────────────────────────────────────────────
    # Both passes return the very expression where nothing was taken from it.

    def _possible(self, expression: Expression) -> Expression | None:
        match expression:
            case ListReference():
                return self._possible_list(expression)
            case RuleReference():
                return self._possible_rule(expression)
            case Alternative():
                items = [item for item in map(self._possible, expression.items) if item is not None]
                said = [item for item in items if not _is_written_only(item)]
                # Symbols that stand beside words are those words, written.
                kept = said if any(not _is_empty(item) for item in said) else items
                return _with_items(expression, kept) if kept else None
            case Group():
                parts = [self._possible(item) for item in expression.items]
                whole = [part for part in parts if part is not None]
                return _with_items(expression, whole) if len(whole) == len(parts) else None
        return expression

    def _possible_list(self, reference: ListReference) -> Expression | None:
        name = reference.list_name
        if name in self._scope.wildcards:
            return self._impossible(f"{{{name}}} is a wildcard")
        if name in self._scope.lists:
            if self._scope.lists[name]:
                return reference
            return self._impossible(f"no value of {{{name}}} has the context required")
        if self._tolerant and not reference.is_inline_range:
            return self._impossible(f"{{{name}}} is not defined")
        return reference

    def _impossible(self, reason: str) -> Expression | None:
        self._reason = reason
        return None

    def _possible_rule(self, reference: RuleReference) -> Expression | None:
        name = reference.rule_name
        if name not in self._scope.rules:
            return self._impossible(f"<{name}> is not defined") if self._tolerant else reference
        if name in self._open_rules:
            raise recursive_rule([*self._open_rules, name])
        self.rules.add(name)
        if name not in self._bodies:
            self._open_rules.append(name)
            self._bodies[name] = (self._possible(self._scope.rules[name]), self._reason)
            self._open_rules.pop()
        possible, reason = self._bodies[name]
        if possible is None:
            return self._impossible(reason)
        return reference if possible is self._scope.rules[name] else possible

    # ── what carries a key ─────────────────────────────────────────────────────────────────

    def _carrying(self, expression: Expression, key: str) -> Expression | None:
        """The ways to say it in which some value carries the key."""
        match expression:
            case ListReference() | Selection():
                return self._list_carrying(expression, key)
            case RuleReference() if expression.rule_name in self._scope.rules:
                body = self._scope.rules[expression.rule_name]
                carrying = self._carrying(body, key)
                return expression if carrying is body else carrying
            case Alternative():
                items = [self._carrying(item, key) for item in expression.items]
                kept = [item for item in items if item is not None]
                if len(kept) == len(items):
                    return _with_items(expression, kept)
                return Alternative(items=kept) if kept else None
            case Group():
                return self._one_carrying(expression, key)
        return None

    def _list_carrying(
        self, reference: ListReference | Selection, key: str
    ) -> ListReference | Selection | None:
        values = (
            reference.values
            if isinstance(reference, Selection)
            else self._scope.lists.get(reference.list_name, ())
        )
        carrying = tuple(value for value in values if key in value.context)
        if not carrying:
            return None
        if len(carrying) == len(values):
            return reference
        return Selection(reference.slot_name, carrying)

    def _one_carrying(self, group: Group, key: str) -> Expression | None:
        """Of items that are all said, one has to carry the key; whichever."""
        ways: list[Expression] = []
        for index, item in enumerate(group.items):
            carrying = self._carrying(item, key)
            if carrying is item:
                return group
            if carrying is not None:
                items = [*group.items[:index], carrying, *group.items[index + 1 :]]
                ways.append(replace(group, items=items))
        if len(ways) < 2:
            return ways[0] if ways else None
        return TemplateSequence(items=[Alternative(items=ways)])


def _with_items(group: Group, items: list[Expression]) -> Group:
    unchanged = len(items) == len(group.items) and all(map(operator.is_, items, group.items))
    return group if unchanged else replace(group, items=items)


def _is_empty(expression: Expression) -> bool:
    text = _text(expression)
    return text is not None and not text.strip()


def _is_written_only(expression: Expression) -> bool:
    text = _text(expression)
    return text is not None and is_written_only(text)


def _text(expression: Expression) -> str | None:
    """All the text of an expression in a row; None where it refers to something."""
    if isinstance(expression, TextChunk):
        return expression.text
    if isinstance(expression, Group):
        texts = [_text(item) for item in expression.items]
        known = [text for text in texts if text is not None]
        return "".join(known) if len(known) == len(texts) else None
    return None
