"""The blocks of an intent: sentences that share slots, lists, rules and conditions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from hassil import Expression

from ..types import SlotValue
from .contexts import Circumstances, Context, circumstances, read_conditions
from .narrowing import Narrowing
from .scopes import inner_scope, parsed_template
from .templates import CompiledTemplate, Scope, compile_template
from .yaml_source import Located, written_at

_KEYS = (
    *("sentences", "slots", "lists", "expansion_rules"),
    *("requires_context", "excludes_context", "name_domains", "inferred_domain"),
    *("response", "metadata", "settings", "required_keywords"),
)


@dataclass(frozen=True)
class Block:
    """An entry of an intent's `data`."""

    templates: tuple[CompiledTemplate, ...]
    rules: frozenset[str]
    """Names of the rules referred to, be it by sentences that were left out."""
    left_out: Counter[str]
    """How many sentences cannot be said, by reason."""


def read_blocks(
    intent: str, data: Located, scope: Scope, surroundings: Context, tolerant: bool
) -> Iterator[Block]:
    """Compile an intent's `data`.

    Args:
        surroundings: the context in which everything is said.
        tolerant: whether a sentence that refers to what nobody defines is left out.
    """
    for entry in data.sequence(f"'data' of intent '{intent}'"):
        what = f"an entry of intent '{intent}'"
        block = entry.mapping(what, _KEYS)
        if "sentences" not in block:
            raise entry.error(f"{what} has no sentences; add 'sentences: [...]'")
        fixed: dict[str, SlotValue] = {}
        if "inferred_domain" in block:
            fixed["domain"] = block["inferred_domain"].text("'inferred_domain'")
        fixed |= {
            slot: _fixed_value(value, f"the value of slot '{slot}'")
            for slot, value in _mapping(block, "slots").items()
        }
        within = inner_scope(scope, _mapping(block, "lists"), _mapping(block, "expansion_rules"))
        ways = [
            _Way(intent, {**fixed, **way.slots}, way, tolerant)
            for way in circumstances(read_conditions(block), within, surroundings)
        ]
        templates: list[CompiledTemplate] = []
        left_out: Counter[str] = Counter()
        for sentence in block["sentences"].sequence(f"'sentences' of intent '{intent}'"):
            expression = parsed_template(sentence, "a sentence")
            with written_at(sentence.where):
                results = [way.compile(expression) for way in ways]
            compiled = [
                replace(result, where=sentence.where)
                for result in results
                if isinstance(result, CompiledTemplate)
            ]
            templates += compiled
            if not compiled:
                left_out[str(results[0])] += 1
        rules = frozenset().union(*(way.narrowing.rules for way in ways))
        yield Block(tuple(templates), rules, left_out)


class _Way:
    """Compiles the sentences of a block in one of the circumstances that meet its conditions."""

    def __init__(
        self,
        intent: str,
        fixed: Mapping[str, SlotValue],
        way: Circumstances,
        tolerant: bool,
    ) -> None:
        self.narrowing = Narrowing(way.scope, tolerant)
        self._intent = intent
        self._fixed = fixed
        self._way = way

    def compile(self, expression: Expression) -> CompiledTemplate | str:
        """The template, or why nothing remains of it."""
        narrowed = self.narrowing.narrowed(expression, self._way.demanded)
        if isinstance(narrowed, str):
            return narrowed
        return compile_template(narrowed, self._way.scope, self._intent, self._fixed)


def _fixed_value(value: Located, what: str) -> SlotValue:
    """One value; several (Home Assistant: any of these) become one text, "blind, curtain"."""
    if not isinstance(value.value, list):
        return value.slot_value(what)
    return ", ".join(item.text(what) for item in value.sequence(what))


def _mapping(block: Mapping[str, Located], key: str) -> dict[str, Located]:
    return block[key].mapping(f"'{key}'") if key in block else {}
