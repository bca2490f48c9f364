"""Command files: YAML in Home Assistant's hassil form, merged and compiled to a word network.

`docs/commands.md` tells their form. Files are read with their lines (`yaml_source`), what they
define is merged, and each sentence of an intent's `data` becomes templates (`blocks`), one for each
way to meet its context. The network is the union of all of them, with skip words and wake phrases
around it (`phrases`). What must not be understood is a network of its own.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from ..errors import ConfigError
from ..resources import command_files
from ..types import SlotValue
from .blocks import Block, read_blocks
from .builder import NetworkBuilder, union
from .contexts import Context
from .examples import Examples, read_examples
from .network import Final, WordNetwork, slots_of
from .phrases import with_skip_words, with_wake_phrases
from .pronunciations import OwnPronunciation, own_pronunciations
from .scopes import inner_scope
from .templates import CompiledTemplate, Scope, check_expression
from .wording import split_words, spoken_text
from .yaml_source import Located, read_located, written_at

_FILE_KEYS = (
    *("language", "intents", "data", "lists", "expansion_rules", "skip_words", "context"),
    *("wake_phrases", "pronunciations", "examples", "actions", "settings", "responses"),
)


WAKE = "wake"
"""The intent of a wake phrase that is said alone."""


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
    left_out: Mapping[str, int] = field(default_factory=dict)
    """How many sentences of the files cannot be said, by reason, the most frequent first."""
    examples: Examples = field(default_factory=Examples)
    """What the files say must and must not be understood."""
    refused: WordNetwork | None = None
    """The sentences of `examples` that must not be understood; None where there are none."""
    actions: Mapping[str, Located] = field(default_factory=dict)
    """What the files say each intent does, as it is written; `assistant.actions` reads it."""
    wake_phrases: tuple[str, ...] = ()
    """What may be said first to be listened to."""

    @property
    def slots_of(self) -> dict[str, dict[str, tuple[SlotValue, ...]]]:
        """By intent, the values that its sentences can give each slot."""
        return {intent: slots_of(self.network, intent) for intent in self.intents}


def load_commands(paths: Sequence[Path], context: Context = MappingProxyType({})) -> CommandSet:
    """Read command files as one command set.

    Intents of the same name are joined; lists and rules of the same name must be the same.

    Args:
        paths: files, and folders for all *.yaml below them.
        context: what is so wherever this is said, as `{"area": "kitchen"}`; the files' `context`
            is added to it.

    Raises:
        ConfigError: naming file and line, for whatever is wrong in the files.
    """
    files = [file for path in paths for file in _read(path)]
    if not files:
        raise ConfigError("no command file given; name at least one")
    language = _language([file.keys["language"] for file in files])
    rules = _merged(files, "expansion_rules", "rule")
    scope = inner_scope(Scope(language, {}, {}), _merged(files, "lists", "list"), rules)
    surroundings = dict(context)
    for name, written in _merged(files, "context", "context").items():
        surroundings[name] = written.slot_value(f"the value of '{name}' in 'context'")
    own = own_pronunciations(_merged(files, "pronunciations", "pronunciation"), language)

    intents: dict[str, list[Block]] = {}
    blocks_of: dict[Path, list[Block]] = {}
    for file in files:
        for name, data, tolerant in file.intents():
            blocks = list(read_blocks(name, data, scope, surroundings, tolerant))
            intents.setdefault(name, []).extend(blocks)
            blocks_of.setdefault(file.given, []).extend(blocks)
    if not intents:
        raise ConfigError(f"{paths[0]}: no intents; write at least one under 'intents:'")
    for given, blocks in blocks_of.items():
        if not any(block.templates for block in blocks):
            raise ConfigError(f"{given}: no sentence can be said: {_reasons(blocks)}")
    blocks = [block for of_intent in intents.values() for block in of_intent]
    _check_unused(rules, scope, blocks)
    templates = [template for block in blocks for template in block.templates]
    actions = _actions(files, intents)

    slots: dict[str, dict[SlotValue, None]] = {}
    for template in templates:
        for final in template.network.finals.values():
            for slot, value in final.slots.items():
                slots.setdefault(slot, {})[value] = None
        for slot, values in template.slots.items():
            slots.setdefault(slot, {}).update(dict.fromkeys(values))
    network = union([template.network for template in templates])
    phrases = _phrases(files, "skip_words", language)
    wake_phrases = _phrases(files, "wake_phrases", language)
    if wake_phrases and WAKE in intents:
        raise ConfigError(
            f"{paths[0]}: the intent '{WAKE}' is that of the 'wake_phrases' themselves; "
            "rename yours"
        )
    names = [name for name, of in intents.items() if any(b.templates for b in of)]
    examples = sum((e for file in files for e in file.examples(language)), Examples())
    return CommandSet(
        language=language,
        network=with_wake_phrases(with_skip_words(network, phrases), wake_phrases, WAKE),
        intents=(*names, WAKE) if wake_phrases else tuple(names),
        slots={slot: tuple(values) for slot, values in slots.items()},
        source_hash=hashlib.sha256("".join(file.text for file in files).encode()).hexdigest(),
        templates=tuple(templates),
        pronunciations=own,
        left_out=_left_out(blocks),
        examples=examples,
        refused=_refused(examples, phrases, wake_phrases),
        actions=actions,
        wake_phrases=tuple(" ".join(phrase) for phrase in wake_phrases),
    )


@dataclass(frozen=True)
class _File:
    """A command file, and the path given by which it was found."""

    keys: Mapping[str, Located]
    text: str
    path: Path
    given: Path

    def intents(self) -> Iterator[tuple[str, Located, bool]]:
        """Names and `data`, and whether what they refer to may be missing.

        Home Assistant keeps the rules of files in the newer form in another folder.
        """
        if "data" in self.keys:
            yield self.path.resolve().parent.name, self.keys["data"], True
        for name, body in self._bodies():
            keys = body.mapping(f"intent '{name}'", ("data", "examples"))
            if "data" not in keys:
                raise body.error(
                    f"intent '{name}' has no sentences; add 'data: [{{sentences: [...]}}]'"
                )
            yield name, keys["data"], False

    def examples(self, language: str) -> Iterator[Examples]:
        """Those of the file, and those of each of its intents."""
        if "examples" in self.keys:
            yield read_examples(self.keys["examples"], language)
        for name, body in self._bodies():
            if "examples" in body.value:
                yield read_examples(body.value["examples"], language, name)

    def _bodies(self) -> Iterable[tuple[str, Located]]:
        return self.keys["intents"].mapping("'intents'").items() if "intents" in self.keys else ()


def _read(given: Path) -> Iterator[_File]:
    paths = command_files(given) if given.is_dir() else (given,)
    if not paths:
        raise ConfigError(f"{given}: no command files; put at least one *.yaml into the folder")
    for path in paths:
        root, text = read_located(path)
        keys = root.mapping("a command file", _FILE_KEYS)
        if "language" not in keys:
            raise root.error("'language' is missing; write, for example, language: en")
        yield _File(keys, text, path, given)


def _actions(files: Iterable[_File], intents: Collection[str]) -> dict[str, Located]:
    """By intent; one intent acts as one file says."""
    actions: dict[str, Located] = {}
    for section in (file.keys["actions"] for file in files if "actions" in file.keys):
        for intent, rules in section.mapping("'actions'").items():
            if intent not in intents:
                raise rules.error(f"no intent is called '{intent}'; one of: {', '.join(intents)}")
            if intent in actions:
                first = actions[intent].where
                raise rules.error(f"'{intent}' has its action at {first} already; keep one of them")
            actions[intent] = rules
    return actions


def _left_out(blocks: Iterable[Block]) -> dict[str, int]:
    return dict(sum((block.left_out for block in blocks), Counter[str]()).most_common())


def _refused(
    examples: Examples, phrases: Sequence[Sequence[str]], wake_phrases: Sequence[Sequence[str]]
) -> WordNetwork | None:
    """What must not be understood, with phrases before and after it, as around a sentence."""
    networks = []
    for example in examples.must_not:
        builder = NetworkBuilder()
        end = builder.text(builder.start, " ".join(example.words))
        networks.append(builder.network(end, Final("", {})))
    if not networks:
        return None
    return with_wake_phrases(with_skip_words(union(networks), phrases), wake_phrases)


def _reasons(blocks: Iterable[Block]) -> str:
    return "; ".join(f"{reason} ({count})" for reason, count in _left_out(blocks).items())


def _phrases(files: Iterable[_File], key: str, language: str) -> list[list[str]]:
    """Each phrase of a list of them, as its words."""
    phrases: dict[tuple[str, ...], None] = {}
    for file in files:
        if key not in file.keys:
            continue
        for phrase in file.keys[key].sequence(f"'{key}'"):
            text = phrase.text(f"one of '{key}'")
            with written_at(phrase.where):
                words = tuple(split_words(spoken_text(text, language)))
            if not words:
                raise phrase.error(f"'{text}' has no words; remove it")
            phrases[words] = None
    return [list(phrase) for phrase in phrases]


def _check_unused(rules: Mapping[str, Located], scope: Scope, blocks: Iterable[Block]) -> None:
    """Rules no sentence refers to are read all the same, so that mistakes do not lie in wait."""
    used = {rule for block in blocks for rule in block.rules}
    for name in rules.keys() - used:
        with written_at(rules[name].where):
            check_expression(scope.rules[name], scope)


def _merged(files: Iterable[_File], key: str, kind: str) -> dict[str, Located]:
    """Lists, rules or contexts of all files by name."""
    merged: dict[str, Located] = {}
    for section in (file.keys[key] for file in files if key in file.keys):
        for name, body in section.mapping(f"'{key}'").items():
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
