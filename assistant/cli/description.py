"""What `show` knows about bundle, commands and delays."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn

from ..actions import ActionPolicy
from ..bundle_files import ACOUSTIC_WEIGHTS, ENCODER_FOLDER, ENCODER_WEIGHTS, INTENT_WEIGHTS
from ..config import FeatureConfig
from ..engine import Engine
from ..grammar.network import WordNetwork, count_sentences, slots_of
from ..grammar.sampling import sample_sentence
from ..resources import find_commands
from ..types import SlotValue, StageDelay

SENTENCES = 3
"""Example sentences of an intent."""
DRAWS = 60
"""Sentences drawn an intent to find that many different ones."""
PARTIAL_RESULT = ("features", "acoustic model", "intent")
"""Stages that a partial result waits for, from the sound to the screen."""
FINAL_DECISION = ("endpointer", "intent")
"""Stages that the decision waits for after the last word: the full-context pass then has all."""

EARLY_DECISION = ("pause", "intent")
"""Stages that an early decision waits for after the last word."""


@dataclass(frozen=True, slots=True)
class NetworkSize:
    """A network of the bundle."""

    name: str
    parameters: int
    bytes: int
    """Of its file."""


@dataclass(frozen=True, slots=True)
class IntentSummary:
    """An intent, the values of each of its slots, and sentences that mean it."""

    name: str
    slots: Mapping[str, tuple[SlotValue, ...]]
    examples: tuple[str, ...]
    actions: tuple[str, ...] = ()
    """What each of its rules does, in their order."""


@dataclass(frozen=True, slots=True)
class Delay:
    """A line of the latency ledger, and which of the answers it delays."""

    stage: str
    milliseconds: float
    because: str
    partial_result: bool
    final_decision: bool
    early_decision: bool


@dataclass(frozen=True, slots=True)
class Description:
    """All that `assistant show` shows."""

    bundle: str
    folder: str
    language: str
    features: FeatureConfig
    phonemes: tuple[str, ...]
    networks: tuple[NetworkSize, ...]
    acoustic_sha256: str
    commands: str
    source_sha256: str
    actions: str
    """The file that says what the intents do."""
    sentences: int
    words: int
    graph_states: int
    threshold: float
    """Confidence below which an utterance is refused."""
    false_alarms_per_hour: float | None
    """Of other people's talk at that threshold; None where it was not measured when compiling."""
    intents: tuple[IntentSummary, ...]
    delays: tuple[Delay, ...]
    partial_result_ms: float
    final_decision_ms: float
    early_decision_ms: float | None
    """None without early commit."""


def describe(engine: Engine, policy: ActionPolicy) -> Description:
    """Everything about what `engine` has loaded, and what its intents do by `policy`."""
    acoustic, compiled = engine.acoustic, engine.commands
    folder = find_commands(engine.config.commands, acoustic.folder)
    networks: list[tuple[str, nn.Module | None, Path]] = [
        ("encoder", acoustic.encoder, acoustic.folder.parent / ENCODER_FOLDER / ENCODER_WEIGHTS),
        ("acoustic model", acoustic.model, acoustic.folder / ACOUSTIC_WEIGHTS),
        ("intent model", compiled.model, folder / INTENT_WEIGHTS),
    ]
    alarms = compiled.false_alarms
    threshold = engine.threshold
    delays = tuple(_delay(delay) for delay in engine.pipeline().delays())
    return Description(
        bundle=acoustic.name,
        folder=str(acoustic.folder),
        language=acoustic.language,
        features=acoustic.features,
        phonemes=acoustic.phonemes,
        networks=tuple(
            NetworkSize(name, _parameters(network), path.stat().st_size)
            for name, network, path in networks
            if network is not None
        ),
        acoustic_sha256=acoustic.hash,
        commands=str(folder),
        source_sha256=compiled.source_hash,
        actions=policy.source,
        sentences=count_sentences(compiled.network),
        words=len(compiled.lexicon),
        graph_states=engine.graph.states,
        threshold=threshold,
        false_alarms_per_hour=alarms.per_hour(threshold) if alarms.is_measured else None,
        intents=tuple(
            replace(
                intent,
                actions=tuple(rule.summary() for rule in policy.rules.get(intent.name, ())),
            )
            for intent in summarise(compiled.network, compiled.intents)
        ),
        delays=delays,
        partial_result_ms=sum(d.milliseconds for d in delays if d.partial_result),
        final_decision_ms=sum(d.milliseconds for d in delays if d.final_decision),
        early_decision_ms=sum(d.milliseconds for d in delays if d.early_decision)
        if engine.config.early_commit
        else None,
    )


def summarise(network: WordNetwork, intents: Sequence[str]) -> tuple[IntentSummary, ...]:
    """Slots and a few sentences of each intent; the same ones every time."""
    rng = random.Random(0)  # noqa: S311 - nothing is secret here
    drawn: dict[str, dict[str, None]] = {name: {} for name in intents}
    for _ in range(DRAWS * len(intents)):
        if all(len(sentences) >= SENTENCES for sentences in drawn.values()):
            break
        sentence = sample_sentence(network, rng)
        drawn[sentence.intent][" ".join(sentence.words)] = None
    return tuple(
        IntentSummary(name, slots_of(network, name), tuple(drawn[name])[:SENTENCES])
        for name in intents
    )


def _parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def _delay(delay: StageDelay) -> Delay:
    return Delay(
        delay.stage,
        delay.milliseconds,
        delay.because,
        delay.stage in PARTIAL_RESULT,
        delay.stage in FINAL_DECISION,
        delay.stage in EARLY_DECISION,
    )
