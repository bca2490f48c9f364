"""A report on command files before anyone speaks: `assistant lint`.

What is predicted comes from the bundle's own confusions of phonemes (`confusions`): a sentence is
taken for its nearest one of other meaning, at a distance of D nats, in about exp(-D) / 2 of its
utterances. The intent model that advises the search, pauses and noise are left out.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

from ..actions import read_actions
from ..bundle import read_inventory
from ..bundle_files import POSTERIOR_BANK
from ..grammar.commands import CommandSet, load_commands
from ..grammar.confusion import confusion_rate
from ..grammar.finding import Finding, Forecast, Gravity, LintReport
from ..grammar.sampling import SampledSentence, SentenceSampler
from .competitors import Competitor, Competitors
from .confusions import estimate_confusions
from .examples import find_alike_examples, find_broken
from .lint_sentences import find_overlaps, find_short, reading_text, where_said
from .lint_sounds import ALIKE, find_alike, find_unpronounceable
from .posterior_bank import PosteriorBank
from .pronouncing import check_language, pronounce

SENTENCES = 20
"""Sentences of each intent for which the nearest other one is sought."""
NEAREST = 10
"""Pairs of sentences shown."""


def lint(
    paths: Sequence[Path],
    bundle: Path,
    sentences: int = SENTENCES,
    seed: int = 0,
    progress: Callable[[float, str], None] = lambda share, state: None,
) -> LintReport:
    """Examine command files.

    Args:
        bundle: folder of an acoustic bundle with its posterior bank.
        sentences: how many of each intent are drawn for its predicted error.
        progress: called with the share done and a line for people.

    Raises:
        ConfigError: the files cannot be read as commands, or their language is not the bundle's.
        BundleError: the bundle is missing or damaged.
    """
    inventory = read_inventory(bundle)
    progress(0.0, "sentences")
    commands = load_commands(paths)
    check_language(commands, inventory, paths[0])
    read_actions(commands.actions, commands.slots_of)
    findings = [*find_overlaps(commands), *find_broken(commands)]
    progress(0.1, "pronunciations")
    unpronounceable = list(find_unpronounceable(commands, inventory))
    findings += unpronounceable
    forecasts: list[Forecast] = []
    if not any(finding.gravity is Gravity.ERROR for finding in unpronounceable):
        lexicon = pronounce(commands, inventory)
        findings += find_short(commands, lexicon)
        progress(0.2, "confusions")
        confusions = estimate_confusions(PosteriorBank.read(bundle / POSTERIOR_BANK))
        progress(0.4, "values")
        findings += find_alike(commands, lexicon, confusions)
        progress(0.5, "nearest sentences")
        competitors = Competitors(commands, lexicon, confusions)
        findings += find_alike_examples(commands, competitors, random.Random(seed))
        near = _nearest(commands, competitors, sentences, seed, progress)
        findings += _pairs(commands, near)
        forecasts = [_forecast(intent, pairs) for intent, pairs in near.items()]
    findings.sort(key=lambda finding: (finding.gravity, -(finding.rate or 0.0)))
    forecasts.sort(key=lambda forecast: -forecast.error)
    return LintReport(tuple(findings), tuple(forecasts))


_Pair = tuple[SampledSentence, Competitor | None, float]
"""A sentence, its nearest one of other meaning, and the predicted rate of hearing that one."""


def _nearest(
    commands: CommandSet,
    competitors: Competitors,
    sentences: int,
    seed: int,
    progress: Callable[[float, str], None],
) -> dict[str, list[_Pair]]:
    """Of each intent, sentences drawn with their nearest competitors."""
    rng = random.Random(seed)
    sampler = SentenceSampler(commands.network)
    drawn: defaultdict[str, dict[tuple[str, ...], SampledSentence]] = defaultdict(dict)
    for _ in range(4 * sentences * len(commands.intents)):
        sentence = sampler.sentence(rng)
        if len(drawn[sentence.intent]) < sentences:
            drawn[sentence.intent].setdefault(sentence.words, sentence)
    pairs: dict[str, list[_Pair]] = {}
    for number, intent in enumerate(drawn):
        progress(0.5 + 0.5 * number / len(drawn), intent)
        pairs[intent] = []
        for sentence in drawn[intent].values():
            nearest = competitors.nearest(sentence, rng)
            rate = confusion_rate(nearest.distance) if nearest else 0.0
            pairs[intent].append((sentence, nearest, rate))
    return pairs


def _forecast(intent: str, pairs: Sequence[_Pair]) -> Forecast:
    said, nearest, rate = max(pairs, key=lambda pair: pair[2])
    return Forecast(
        intent=intent,
        error=sum(pair[2] for pair in pairs) / len(pairs),
        sentences=len(pairs),
        said=" ".join(said.words),
        heard=" ".join(nearest.words) if nearest else "",
        heard_intent=nearest.reading[0] if nearest else "",
        rate=rate,
    )


def _pairs(commands: CommandSet, near: dict[str, list[_Pair]]) -> list[Finding]:
    """The likeliest confusions of sentences, one of each pair of readings' kinds."""
    found: dict[tuple[str, ...], Finding] = {}
    ranked = sorted((pair for of in near.values() for pair in of), key=lambda pair: -pair[2])
    for said, nearest, rate in ranked:
        if nearest is None or rate < ALIKE or len(found) == NEAREST:
            break
        intent, slots = nearest.reading
        differing = {
            s for s in said.slots.keys() | slots.keys() if said.slots.get(s) != slots.get(s)
        }
        kind = (said.intent, intent, *sorted(differing))
        reading = (said.intent, dict(said.slots))
        found.setdefault(
            kind,
            Finding(
                Gravity.WARNING,
                "near",
                where_said(commands, said.words),
                f"'{' '.join(said.words)}' may be heard as '{' '.join(nearest.words)}', "
                f"{reading_text(nearest.reading)} instead of {reading_text(reading)}: "
                f"predicted {rate:.1%}",
                rate,
            ),
        )
    return list(found.values())
