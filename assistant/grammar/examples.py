"""What must and must not be understood, as the author of a command file says: `examples`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ..types import SlotValue
from .reading import usual_words
from .yaml_source import Located, written_at


@dataclass(frozen=True, slots=True)
class Example:
    """A text, and as far as that is stated, what it must mean."""

    text: str
    words: tuple[str, ...]
    """The text as it is most usually said."""
    where: str
    """File and line."""
    intent: str | None = None
    slots: Mapping[str, SlotValue] | None = None
    """All the slots there must be."""


@dataclass(frozen=True, slots=True)
class Examples:
    """Those of one or several command files."""

    must: tuple[Example, ...] = ()
    """What must be understood."""
    must_not: tuple[Example, ...] = ()
    """What must be refused."""

    def __add__(self, other: Examples) -> Examples:
        return Examples(self.must + other.must, self.must_not + other.must_not)


def read_examples(section: Located, language: str, intent: str | None = None) -> Examples:
    """An `examples` section.

    Args:
        intent: whose body the section stands in; its examples must mean that intent.

    Raises:
        ConfigError: naming file and line, where the section has another form.
    """
    keys = section.mapping("'examples'", ("must", "must_not"))
    if not keys:
        raise section.error("'examples' is empty; write 'must: [...]' or 'must_not: [...]'")
    must = tuple(
        example for item in _items(keys, "must") for example in _must(item, language, intent)
    )
    return Examples(must, tuple(_example(item, language) for item in _items(keys, "must_not")))


def _items(keys: Mapping[str, Located], key: str) -> list[Located]:
    return keys[key].sequence(f"'{key}'") if key in keys else []


def _must(item: Located, language: str, intent: str | None) -> Iterator[Example]:
    """A text, or `say` (one or several texts) with what they mean."""
    if not isinstance(item.value, dict):
        yield _example(item, language, intent)
        return
    keys = item.mapping("an example", ("say", "slots") if intent else ("say", "intent", "slots"))
    if "say" not in keys:
        raise item.error("an example says nothing; add, for instance, say: turn on the light")
    if "intent" in keys:
        intent = keys["intent"].text("'intent'")
    slots = None
    if "slots" in keys:
        written = keys["slots"].mapping("'slots'")
        slots = {slot: v.slot_value(f"the value of slot '{slot}'") for slot, v in written.items()}
    say = keys["say"]
    for text in say.sequence("'say'") if isinstance(say.value, list) else [say]:
        yield _example(text, language, intent, slots)


def _example(
    written: Located,
    language: str,
    intent: str | None = None,
    slots: Mapping[str, SlotValue] | None = None,
) -> Example:
    text = written.text("an example")
    with written_at(written.where):
        words = usual_words(text, language)
    if not words:
        raise written.error(f"'{text}' has no words; remove it")
    return Example(text, words, written.where, intent, slots)
