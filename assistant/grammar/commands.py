"""Command files: YAML in Home Assistant's hassil form, merged and compiled to a word network.

    language: en
    intents:
      setLight:
        data:
          - sentences: ["turn <the_light> {state} [in the {room}]"]
            slots: {device: light}            # fixed, optional
    lists:
      state: {values: ["on", "off"]}
      room: {values: [kitchen, {in: "(lounge|living room)", out: living room}]}
      brightness: {range: {from: 0, to: 100, step: 5, fractions: halves}}
    expansion_rules:
      the_light: "[the] light[s]"
    pronunciations: {ecobee: eco bee}         # or phonemes between slashes, see `pronunciations`

Values without `out` are their own text. Words are compared in lower case without punctuation.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from hassil import Expression, RangeFractionType, RangeSlotList, TextChunk, is_template

from ..errors import ConfigError
from ..types import SlotValue
from .builder import union
from .network import WordNetwork, sentences_of
from .pronunciations import OwnPronunciation, own_pronunciations
from .templates import (
    CompiledTemplate,
    ListValue,
    Scope,
    check_expression,
    compile_template,
    parse_template,
    range_values,
)
from .yaml_source import Located, read_located

_FILE_KEYS = (
    *("language", "intents", "lists", "expansion_rules", "pronunciations"),
    *("settings", "responses"),
)
_FILE_KEYS_REFUSED = {"skip_words": "write [please] in the sentences instead"}
_BLOCK_KEYS = (
    *("sentences", "slots", "lists", "expansion_rules"),
    *("response", "metadata", "settings", "required_keywords"),
)
_BLOCK_KEYS_REFUSED = {
    "requires_context": "the assistant knows no context; remove it",
    "excludes_context": "the assistant knows no context; remove it",
    "inferred_domain": "there are no entities; fix a slot under 'slots' instead",
    "name_domains": "there are no entities; fix a slot under 'slots' instead",
}
_VALUE_KEYS_REFUSED = {"context": "the assistant knows no context; remove it"}
_RANGE_KEYS = ("from", "to", "step", "type", "fractions", "multiplier", "digits", "words")
_FORMS_COMPARED = 1_000
"""Ways to say one list value that are compared with those of the other values."""


@dataclass(frozen=True)
class CommandSet:
    """What can be said."""

    language: str
    """Code of the language, such as "en" or "pt-BR"."""
    network: WordNetwork
    """Every sentence."""
    intents: tuple[str, ...]
    """Names, in the order of the files."""
    slots: Mapping[str, tuple[SlotValue, ...]]
    """Values each slot can take, in the order of their lists."""
    source_hash: str
    """SHA-256 (hexadecimal) of the files' texts, in the order given."""
    templates: tuple[CompiledTemplate, ...] = ()
    """The sentences as they are written, each a network of its own."""
    pronunciations: Mapping[str, OwnPronunciation] = field(default_factory=dict)
    """Words the user says how to say."""


def load_commands(paths: Sequence[Path]) -> CommandSet:
    """Read command files as one command set.

    Intents of the same name are joined; lists and rules of the same name must be the same.

    Raises:
        ConfigError: naming file and line, for whatever is wrong in the files.
    """
    if not paths:
        raise ConfigError("no command file given; name at least one")
    files: list[dict[str, Located]] = []
    digest = hashlib.sha256()
    for path in paths:
        root, text = read_located(path)
        files.append(root.mapping("a command file", _FILE_KEYS, _FILE_KEYS_REFUSED))
        if "language" not in files[-1]:
            raise root.error("'language' is missing; write, for example, language: en")
        digest.update(text.encode())

    language = _language([file["language"] for file in files])
    lists = _merged([file["lists"] for file in files if "lists" in file], "list")
    rules = _merged(
        [file["expansion_rules"] for file in files if "expansion_rules" in file], "rule"
    )
    scope = _scope(Scope(language, {}, {}), lists, rules)
    spoken = [file["pronunciations"] for file in files if "pronunciations" in file]
    own = own_pronunciations(_merged(spoken, "pronunciation"), language)

    intents: dict[str, list[_Block]] = {}
    for file in files:
        if "intents" in file:
            for name, body in file["intents"].mapping("'intents'").items():
                intents.setdefault(name, []).extend(_blocks(name, body, scope))
    if not intents:
        raise ConfigError(f"{paths[0]}: no intents; write at least one under 'intents:'")
    blocks = [block for of_intent in intents.values() for block in of_intent]
    templates = [template for block in blocks for template in block.templates]
    _check_unused(rules, scope, templates)

    slots: dict[str, dict[SlotValue, None]] = {}
    for block in blocks:
        for slot, value in block.fixed.items():
            slots.setdefault(slot, {})[value] = None
        for template in block.templates:
            for slot, values in template.slots.items():
                slots.setdefault(slot, {}).update(dict.fromkeys(values))
    return CommandSet(
        language=language,
        network=union([template.network for template in templates]),
        intents=tuple(intents),
        slots={slot: tuple(values) for slot, values in slots.items()},
        source_hash=digest.hexdigest(),
        templates=tuple(templates),
        pronunciations=own,
    )


@dataclass(frozen=True)
class _Block:
    """An entry of an intent's `data`: sentences that share fixed slots."""

    fixed: Mapping[str, SlotValue]
    templates: tuple[CompiledTemplate, ...]


def _blocks(intent: str, body: Located, scope: Scope) -> Iterator[_Block]:
    data = body.mapping(f"intent '{intent}'", ("data",)).get("data")
    if data is None:
        raise body.error(f"intent '{intent}' has no sentences; add 'data: [{{sentences: [...]}}]'")
    for entry in data.sequence(f"'data' of intent '{intent}'"):
        what = f"an entry of intent '{intent}'"
        block = entry.mapping(what, _BLOCK_KEYS, _BLOCK_KEYS_REFUSED)
        if "sentences" not in block:
            raise entry.error(f"{what} has no sentences; add 'sentences: [...]'")
        fixed = {
            slot: value.slot_value(f"the value of slot '{slot}'")
            for slot, value in _mapping(block, "slots").items()
        }
        within = _scope(scope, _mapping(block, "lists"), _mapping(block, "expansion_rules"))
        templates = []
        for sentence in block["sentences"].sequence(f"'sentences' of intent '{intent}'"):
            expression = _parsed(sentence, "a sentence")
            with _written(sentence.where):
                template = compile_template(expression, within, intent, fixed)
            templates.append(replace(template, where=sentence.where))
        yield _Block(fixed, tuple(templates))


def _scope(outer: Scope, lists: Mapping[str, Located], rules: Mapping[str, Located]) -> Scope:
    """The names of `outer`, and these; rules are parsed first since values may refer to them."""
    parsed = {name: _parsed(body, f"rule '{name}'") for name, body in rules.items()}
    scope = Scope(outer.language, outer.lists, {**outer.rules, **parsed})
    values = {name: _list_values(name, body, scope) for name, body in lists.items()}
    return Scope(scope.language, {**outer.lists, **values}, scope.rules)


def _list_values(name: str, body: Located, scope: Scope) -> tuple[ListValue, ...]:
    what = f"list '{name}'"
    keys = body.mapping(what, ("values", "range", "wildcard"))
    if "wildcard" in keys:
        raise body.error(f"{what}: wildcards are not supported yet; write its values")
    if ("values" in keys) == ("range" in keys):
        raise body.error(f"{what} needs either 'values' or 'range'")
    if "range" in keys:
        return _range_values(what, keys["range"], scope)
    values = [_list_value(what, item) for item in keys["values"].sequence(f"'values' of {what}")]
    said: dict[tuple[str, ...], ListValue] = {}
    for value in values:
        with _written(value.where):
            network = compile_template(value.expression, scope, "", {}).network
        for words, _ in sentences_of(network, _FORMS_COMPARED):
            other = said.setdefault(words, value)
            if other.value != value.value:
                raise ConfigError(
                    f"{value.where}: '{' '.join(words)}' in {what} means {value.value!r} here and "
                    f"{other.value!r} at {other.where}; keep one"
                )
    return tuple(values)


def _list_value(what: str, item: Located) -> ListValue:
    entry = item
    out: Located | None = None
    if isinstance(item.value, dict):
        keys = item.mapping(f"a value of {what}", ("in", "out", "metadata"), _VALUE_KEYS_REFUSED)
        if "in" not in keys:
            raise item.error(f"a value of {what} needs 'in', the words said")
        entry, out = keys["in"], keys.get("out")
    text = entry.text(f"a value of {what}")
    if out is None and is_template(text):
        raise entry.error(
            f"'{text}' can be said in several ways; write {{in: \"{text}\", out: ...}} so that the "
            f"slot has one value"
        )
    expression = _parsed(entry, f"a value of {what}") if is_template(text) else TextChunk(text)
    value = entry.slot_value("a value") if out is None else out.slot_value("'out'")
    return ListValue(expression, value, entry.where)


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
    with _written(body.where):
        # hassil's last number has fractions too; here `to` is the last.
        within = (round(number, 1) for number in numbers if number <= last)
        return range_values(within, multiplier, scope.language, body.where)


def _check_unused(
    rules: Mapping[str, Located], scope: Scope, templates: Iterable[CompiledTemplate]
) -> None:
    """Rules no sentence refers to are read all the same, so that mistakes do not lie in wait."""
    used = {rule for template in templates for rule in template.rules}
    for name in rules.keys() - used:
        with _written(rules[name].where):
            check_expression(scope.rules[name], scope)


def _merged(sections: Iterable[Located], kind: str) -> dict[str, Located]:
    """Lists or rules of all files by name."""
    merged: dict[str, Located] = {}
    for section in sections:
        for name, body in section.mapping(f"{kind}s").items():
            first = merged.setdefault(name, body)
            if first.plain() != body.plain():
                raise body.error(
                    f"{kind} '{name}' is defined otherwise at {first.where}; rename one of them"
                )
    return merged


def _language(languages: Sequence[Located]) -> str:
    first = languages[0]
    for other in languages:
        if other.text("'language'") != first.text("'language'"):
            raise other.error(
                f"language '{other.value}' differs from '{first.value}' at {first.where}; command "
                f"files that are read together share one language"
            )
    return first.text("'language'")


def _mapping(block: Mapping[str, Located], key: str) -> dict[str, Located]:
    return block[key].mapping(f"'{key}'") if key in block else {}


def _parsed(source: Located, what: str) -> Expression:
    text = source.text(what)
    with _written(source.where):
        return parse_template(text)


@contextmanager
def _written(where: str) -> Iterator[None]:
    """Put file and line before the errors of what knows neither."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error
