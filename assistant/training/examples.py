"""Whether the examples of command files are kept: as texts, and as they sound."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from ..actions.text import slot_text
from ..errors import ConfigError
from ..grammar.commands import CommandSet
from ..grammar.confusion import confusion_rate
from ..grammar.examples import Example
from ..grammar.finding import Finding, Gravity
from ..grammar.network import Reading, SlotAssignment
from ..grammar.reading import TextReader
from ..grammar.sampling import SampledSentence
from ..intent import IntentDecoder
from ..types import Hypothesis, SlotValue
from .competitors import Competitor, Competitors
from .lint_sentences import reading_text, where_said
from .lint_sounds import ALIKE
from .sentence_source import SentenceSource

SPLICES = 3
"""Times an example is spliced; what most of them are heard as counts."""
WORDS = 3
"""Words that are proposed where a sentence does not go on."""


# ── as texts ───────────────────────────────────────────────────────────────────────────────


def find_broken(commands: CommandSet) -> Iterator[Finding]:
    """What must be understood and cannot be said, or means something else; and what must not."""
    reader = TextReader(commands.network, commands.language)
    for example in commands.examples.must:
        words, readings = reader.read(example.text)
        if example.intent is not None and example.intent not in commands.intents:
            known = ", ".join(commands.intents)
            message = f"no intent is called '{example.intent}'; one of: {known}"
        elif not readings:
            message = _where_it_ends(example, reader)
        elif not any(_as_stated(reading, example) for reading in readings):
            message = (
                f"'{example.text}' must mean {_stated_text(example)}, but means "
                f"{reading_text(readings[0])}{_said_at(commands, words)}; correct the example, or "
                f"let no other sentence say it"
            )
        else:
            continue
        yield Finding(Gravity.ERROR, "example", example.where, message)
    for example in commands.examples.must_not:
        words, readings = reader.read(example.text)
        if readings:
            yield Finding(
                Gravity.ERROR,
                "example",
                example.where,
                f"'{example.text}' must not be understood, but means "
                f"{reading_text(readings[0])}{_said_at(commands, words)}; narrow that sentence, or "
                f"remove the example",
            )


def check_examples(commands: CommandSet) -> None:
    """Raise ConfigError for the first of `find_broken`, with the number of the others."""
    broken = list(find_broken(commands))
    if broken:
        more = f" ({len(broken) - 1} more: assistant lint names them)" if broken[1:] else ""
        raise ConfigError(f"{broken[0].where}: {broken[0].message}{more}")


def _where_it_ends(example: Example, reader: TextReader) -> str:
    """Up to which word an example that has no reading is a sentence, and what could come next."""
    reached = reader.furthest(example.text)
    said = " ".join(reached.words[: reached.count])
    after = f"after '{said}'" if said else "at the start"
    stuck = reached.words[reached.count] if reached.count < len(reached.words) else ""
    near = get_close_matches(stuck, reached.following, WORDS) or reached.following[:WORDS]
    proposed = " or ".join(f"'{word}'" for word in near)
    cannot = f"no sentence has '{stuck}' {after}" if stuck else f"no sentence ends {after}"
    mend = f"say {proposed} there, or add" if proposed else "leave the rest out, or add"
    return f"'{example.text}' must be understood, but {cannot}; {mend} a sentence that says it"


def _as_stated(reading: Reading, example: Example) -> bool:
    intent, slots = reading
    return example.intent in (None, intent) and (
        example.slots is None or _texts(slots) == _texts(example.slots)
    )


def _texts(slots: Mapping[str, SlotValue]) -> dict[str, str]:
    """Values as texts: who writes 5 means five, whether the list has it as a number or a text."""
    return {slot: slot_text(value) for slot, value in slots.items()}


def _stated_text(example: Example) -> str:
    if example.slots is None:
        return str(example.intent)
    return (example.intent or "an intent with ") + reading_text(("", dict(example.slots)))


def _said_at(commands: CommandSet, words: Sequence[str]) -> str:
    """Where the first sentence with these words is written, in brackets."""
    where = where_said(commands, words)
    return f" ({where})" if where else ""


# ── as they sound, spliced and decoded ─────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class HeardExamples:
    """How many examples there are, how many were heard as they must be, and a line for others."""

    must: int
    understood: int
    must_not: int
    refused: int
    warnings: tuple[str, ...]


def hear_examples(source: SentenceSource, decoder: IntentDecoder, seed: int) -> HeardExamples:
    """Splice every example from clean speech `SPLICES` times and decide as for an utterance."""
    commands = source.commands
    reader = TextReader(commands.network, commands.language)
    warnings: list[str] = []
    for example in commands.examples.must:
        words, readings = reader.read(example.text)
        heard = _heard(source, decoder, words, seed)
        wrong = [h for h in heard if h is None or (h.intent, dict(h.slots)) not in readings]
        if 2 * len(wrong) > SPLICES:
            warnings.append(
                f"{example.where}: '{example.text}' sounds like {_heard_text(wrong)} in "
                f"{len(wrong)} of {SPLICES} splices; say it in more or other words"
            )
    misheard = len(warnings)
    for example in commands.examples.must_not:
        taken = [h for h in _heard(source, decoder, example.words, seed) if h is not None]
        if 2 * len(taken) > SPLICES:
            warnings.append(
                f"{example.where}: '{example.text}' is taken for {_heard_text(taken)} in "
                f"{len(taken)} of {SPLICES} splices; let that sentence sound otherwise"
            )
    must, must_not = len(commands.examples.must), len(commands.examples.must_not)
    accepted = len(warnings) - misheard
    return HeardExamples(must, must - misheard, must_not, must_not - accepted, tuple(warnings))


def _heard(
    source: SentenceSource, decoder: IntentDecoder, words: Sequence[str], seed: int
) -> list[Hypothesis | None]:
    """What is accepted of each splice; None where it is refused."""
    spliced = [source.say(words, False, seed + number) for number in range(SPLICES)]
    decided = [decoder.decide(log_probs) if len(log_probs) else None for log_probs in spliced]
    return [decision if isinstance(decision, Hypothesis) else None for decision in decided]


def _heard_text(heard: Sequence[Hypothesis | None]) -> str:
    first = next((hypothesis for hypothesis in heard if hypothesis is not None), None)
    if first is None:
        return "no command"
    return f"'{first.text}', {reading_text((first.intent, dict(first.slots)))},"


# ── as they sound, predicted ───────────────────────────────────────────────────────────────


def find_alike_examples(
    commands: CommandSet, competitors: Competitors, rng: random.Random
) -> Iterator[Finding]:
    """Examples that are likely heard as a sentence of another meaning."""
    reader = TextReader(commands.network, commands.language)
    for example in commands.examples.must:
        words, readings = reader.read(example.text)
        if readings:
            intent, slots = readings[0]
            said = tuple(SlotAssignment(slot, value) for slot, value in slots.items())
            sentence = SampledSentence(intent, words, said, slots)
            nearest = competitors.nearest(sentence, rng)
            yield from _alike(example, "must be understood, but may be heard as", nearest)
    for example in commands.examples.must_not:
        # Of no intent and no slots: every sentence is one of other meaning.
        nearest = competitors.nearest(SampledSentence("", example.words, (), {}), rng)
        yield from _alike(example, "must not be understood, but sounds like", nearest)


def _alike(example: Example, fate: str, nearest: Competitor | None) -> Iterator[Finding]:
    rate = confusion_rate(nearest.distance) if nearest else 0.0
    if nearest is not None and rate >= ALIKE:
        yield Finding(
            Gravity.WARNING,
            "example",
            example.where,
            f"'{example.text}' {fate} '{' '.join(nearest.words)}', "
            f"{reading_text(nearest.reading)}: predicted {rate:.1%}; say one otherwise",
            rate,
        )
