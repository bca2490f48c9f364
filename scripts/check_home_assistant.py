"""Load Home Assistant's sentences of a language, and parse those of its own tests.

    git clone https://github.com/home-assistant/intents
    python scripts/check_home_assistant.py intents en
    python scripts/check_home_assistant.py intents pt-br --misses 40

Names, areas and floors are those of the tests' fixtures, written as a command file like one a user
would write. A test sentence counts as understood if it parses to the intent and to exactly the
slots that its test states. Sentences with free text (wildcards) cannot be heard by a recogniser
that searches a closed grammar; they are counted apart.
"""

from __future__ import annotations

import argparse
import re
import resource
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any

import yaml
from hassil import is_template, parse_sentence, sample_expression

from assistant.errors import ConfigError
from assistant.grammar.commands import CommandSet, load_commands
from assistant.grammar.network import Reading
from assistant.grammar.reading import TextReader
from assistant.types import SlotValue


@dataclass(frozen=True, slots=True)
class Test:
    """A sentence, where it is said, and what it should mean."""

    file: str
    sentence: str
    context: Mapping[str, Any]
    intent: str
    slots: Mapping[str, Any]

    def states(self, reading: Reading) -> bool:
        """Whether a reading is what the test states; a list of values means any of them."""
        intent, slots = reading
        return (
            intent == self.intent
            and slots.keys() == self.slots.keys()
            and all(_agree(slots[name], value) for name, value in self.slots.items())
        )


def _agree(read: SlotValue, stated: Any) -> bool:
    """Whether two values are the same, by the rules of Home Assistant's own tests.

    Of several values stated, one is enough; a block that fixes several has to have all of them.
    """
    several = stated if isinstance(stated, list) else [stated]
    fixed = str(read).split(", ")
    return read in several or (len(fixed) > 1 and {str(value) for value in several} <= set(fixed))


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("checkout", type=Path, help="a checkout of home-assistant/intents")
    parser.add_argument("language", help="en, pt-br, …: a folder of sentences/ and tests/")
    parser.add_argument("--misses", type=int, default=10, help="sentences of each kind to print")
    return parser.parse_args()


def main() -> None:
    """Load, parse, count, print."""
    arguments = parse_arguments()
    sentences = arguments.checkout / "sentences" / arguments.language
    folder_of_tests = arguments.checkout / "tests" / arguments.language
    tests = read_tests(folder_of_tests)
    files = sorted(sentences.rglob("*.yaml"))
    free = free_text_slots(files)
    kinds: dict[str, list[str]] = {}
    with tempfile.TemporaryDirectory() as folder:
        entities = Path(folder) / "entities.yaml"
        entities.write_text(
            yaml.safe_dump(entity_lists(arguments.language, folder_of_tests), allow_unicode=True),
            encoding="utf-8",
        )
        for context, said in grouped(tests):
            commands = load(sentences, entities, context)
            read = TextReader(commands.network, commands.language)
            for test in said:
                text = f"{test.sentence}  [{test.file}]"
                kinds.setdefault(judged(test, commands, read, free), []).append(text)
    report(len(files), len(tests), kinds, arguments.misses)


def read_tests(folder: Path) -> list[Test]:
    """The sentences of all test files of a language."""
    tests = []
    for path in sorted(folder.glob("[!_]*.yaml")):
        for entry in read_yaml(path)["tests"]:
            intent = entry["intent"]
            for sentence in entry["sentences"]:
                context, slots = intent.get("context") or {}, intent.get("slots") or {}
                tests.append(Test(path.name, sentence, context, intent["name"], slots))
    return tests


def grouped(tests: Iterable[Test]) -> list[tuple[Mapping[str, Any], list[Test]]]:
    """The tests of each context; a context with many tests first."""
    groups: dict[tuple[tuple[str, Any], ...], list[Test]] = {}
    for test in tests:
        groups.setdefault(tuple(sorted(test.context.items())), []).append(test)
    return [(group[0].context, group) for group in sorted(groups.values(), key=len, reverse=True)]


def read_yaml(path: Path) -> Any:
    """A file of the checkout; libyaml is ten times as fast where PyYAML has it."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return yaml.load(path.read_text(encoding="utf-8"), loader)


def entity_lists(language: str, folder_of_tests: Path) -> dict[str, Any]:
    """The fixtures as a command file; a domain is the beginning of an entity's id."""
    fixtures = read_yaml(folder_of_tests / "_fixtures.yaml")
    names = []
    for entity in fixtures["entities"]:
        domain = entity["id"].split(".", maxsplit=1)[0]
        attributes = {
            key: value
            for key, value in (entity.get("attributes") or {}).items()
            if isinstance(value, str | int | float) and not isinstance(value, bool)
        }
        for name in forms(entity["name"]):
            names.append({"in": name, "context": {"domain": domain, **attributes}})
    lists: dict[str, Any] = {"name": {"values": names}}
    for kind in ("area", "floor"):
        places = [name for place in fixtures.get(f"{kind}s") or [] for name in forms(place["name"])]
        if places:
            lists[kind] = {"values": places}
    return {"language": language, "lists": lists}


def forms(name: str) -> list[str]:
    """A name's spellings: fixtures may write names as templates."""
    if not is_template(name):
        return [name.strip()]
    return [form.strip() for form in sample_expression(parse_sentence(name).expression)]


def free_text_slots(files: Iterable[Path]) -> set[str]:
    """Slots that some sentence fills from a wildcard list."""
    texts = [path.read_text(encoding="utf-8") for path in files]
    wildcards = {
        name for text in texts for name in re.findall(r"(\w+):\s*\n\s+wildcard: true", text)
    }
    references = {pair for text in texts for pair in re.findall(r"\{(\w+)(?::(\w+))?\}", text)}
    return {slot or name for name, slot in references if name in wildcards}


def load(sentences: Path, entities: Path, context: Mapping[str, Any]) -> CommandSet:
    """Load all, and say how large it is, how long it took, and what was left out."""
    begin = time.process_time()
    commands = load_commands([sentences, entities], context)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(
        f"context {dict(context)}: {commands.network.nodes:,} nodes, "
        f"{len(commands.network.arcs):,} arcs, {time.process_time() - begin:.1f} s of computing, "
        f"{memory:,} MiB in all; templates left out: {sum(commands.left_out.values())}",
        flush=True,
    )
    for reason, count in commands.left_out.items():
        print(f"    {count:4} {reason}")
    return commands


FIRST = "understood, as the first reading"
LATER = "understood, as a later reading"
FREE = "free text, which a closed grammar has not"


def judged(test: Test, commands: CommandSet, read: TextReader, free: set[str]) -> str:
    """Which kind of success or miss a test is."""
    try:
        readings = read(test.sentence)
    except ConfigError as error:
        return f"cannot be read: {error}"
    if readings and test.states(readings[0]):
        return FIRST
    if any(test.states(reading) for reading in readings):
        return LATER
    for slot, value in test.slots.items():
        stated = value if isinstance(value, list) else [value]
        if slot in free and not set(stated) & set(commands.slots.get(slot, ())):
            return FREE
    return missed(test, readings)


def missed(test: Test, readings: Sequence[Reading]) -> str:
    """In what the first reading is another than what the test states."""
    if not readings:
        return "not understood at all"
    intent, slots = readings[0]
    if intent != test.intent:
        return "another intent"
    if slots.keys() != test.slots.keys():
        return "other slots"
    return "other values of the slots"


def report(files: int, tests: int, kinds: Mapping[str, list[str]], shown: int) -> None:
    """Print the counts, and some of the misses."""
    counts = {kind: len(sentences) for kind, sentences in kinds.items()}
    first, later, free = (counts.get(kind, 0) for kind in (FIRST, LATER, FREE))
    supported = tests - free
    print(f"files: all {files} load")
    print(f"sentences of the tests: {tests}; without free text: {supported}")
    print(f"to the intent and slots stated: {first} first ({first / supported:.1%}), ", end="")
    print(f"{first + later} among the readings ({(first + later) / supported:.1%})")
    for kind, count in sorted(counts.items(), key=itemgetter(1), reverse=True):
        if kind != FIRST:
            print(f"{kind}: {count}")
            for sentence in kinds[kind][:shown]:
                print(f"    {sentence}")


if __name__ == "__main__":
    main()
