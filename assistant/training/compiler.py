"""Command files to a compiled command set: `assistant train`."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from ..actions import read_actions
from ..bundle import CommandBundle, read_acoustic, write_commands
from ..bundle_files import POSTERIOR_BANK
from ..config import DecisionConfig, IntentConfig
from ..grammar.commands import load_commands
from ..grammar.network import count_sentences
from .calibration import calibrate, measure_false_alarms, new_decoder, with_threshold
from .examples import HeardExamples, check_examples, hear_examples
from .intent_trainer import IntentTrainingConfig, new_intent_model, train_intent_model
from .posterior_bank import PosteriorBank
from .pronouncing import check_language, lexicon_of, warn_of_unused, ways_of
from .sentence_source import SentenceSource


@dataclass(frozen=True, slots=True)
class CompileReport:
    """What was compiled. `exact_lstm` and `exact` are measured on spliced sentences.

    `left_out` counts the templates that cannot be said, by reason. `examples`: None where the files
    have none.
    """

    sentences: int
    intents: int
    slots: int
    exact_lstm: float
    exact: float
    seconds: float
    left_out: Mapping[str, int]
    examples: HeardExamples | None = None


def compile_commands(
    paths: Sequence[Path],
    bundle: Path,
    output: Path,
    config: IntentTrainingConfig | None = None,
    progress: Callable[[float, str], None] = lambda share, state: None,
) -> CompileReport:
    """Compile command files for an acoustic bundle.

    Args:
        progress: called with the share done and a line for people.

    Raises:
        ConfigError: the files are wrong, break their own examples, or have another language than
            the bundle; then nothing is written.
    """
    begin = time.perf_counter()
    config = config or IntentTrainingConfig()
    acoustic = read_acoustic(bundle)
    commands = load_commands(paths)
    check_language(commands, acoustic.inventory, paths[0])
    read_actions(commands.actions, commands.slots_of)
    check_examples(commands)
    progress(0.01, "pronunciations")
    warn_of_unused(commands)
    ways = ways_of(commands, acoustic.inventory)
    lexicon = lexicon_of(ways)
    progress(0.03, "splicing")
    bank = PosteriorBank.read(bundle / POSTERIOR_BANK)
    source = SentenceSource(commands, ways, bank)
    torch.manual_seed(config.seed)
    model = new_intent_model(commands, len(acoustic.phonemes), IntentConfig())
    exact_lstm = train_intent_model(
        source, model, config, lambda share, state: progress(0.05 + 0.75 * share, state)
    )
    progress(0.8, "calibration")
    decoder = new_decoder(commands, lexicon, model, DecisionConfig())
    decoder.calibration, exact = calibrate(source, decoder, config)
    progress(0.9, "false alarms")
    alarms = measure_false_alarms(decoder, bank, config.other_speech_s, config.seed)
    decoder.calibration = with_threshold(decoder.calibration, alarms)
    heard = None
    if commands.examples.must or commands.examples.must_not:
        progress(0.95, "examples")
        heard = hear_examples(source, decoder, config.seed)
    networks = (commands.network, commands.refused)
    said = {arc.word for network in networks if network for arc in network.arcs}
    compiled = CommandBundle(
        language=commands.language,
        intents=commands.intents,
        slots=commands.slots,
        network=commands.network,
        lexicon={word: ways for word, ways in lexicon.items() if word in said},
        model=model,
        calibration=decoder.calibration,
        source_hash=commands.source_hash,
        false_alarms=alarms,
        refused=commands.refused,
        actions={intent: written.plain() for intent, written in commands.actions.items()},
        wake_phrases=commands.wake_phrases,
    )
    write_commands(output, compiled, acoustic)
    progress(1.0, "done")
    return CompileReport(
        sentences=count_sentences(commands.network),
        intents=len(commands.intents),
        slots=len(commands.slots),
        exact_lstm=exact_lstm,
        exact=exact,
        seconds=time.perf_counter() - begin,
        left_out=commands.left_out,
        examples=heard,
    )
