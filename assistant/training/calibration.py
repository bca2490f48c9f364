"""The confidence: calibrated on spliced utterances, then tried on what other people say.

Spliced commands, what is none and noise teach it how good the evidence of a right reading is;
stretches of real speech, which nobody meant for a command, tell how often it would be wrong
(`FalseAlarms`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ..bundle import Lexicon
from ..confidence import Calibration
from ..config import DecisionConfig
from ..false_alarms import TAIL, FalseAlarms
from ..grammar.commands import CommandSet
from ..grammar.graph import PhonemeGraph
from ..intent import IntentDecoder
from ..nn.intent_model import IntentModel
from ..types import SlotValue
from .forked import spread
from .intent_trainer import IntentTrainingConfig
from .logistic import logistic_regression
from .metrics import phoneme_error
from .posterior_bank import PosteriorBank
from .rows import ROWS_PER_SECOND
from .sentence_source import SentenceSource

Judged = tuple[tuple[float, ...], tuple[bool, bool]]
"""The evidence of a reading, whether it is right, and whether a command was said."""

FALSE_ALARMS = 0.5
"""An hour of other people's talk, at the threshold that is compiled."""
THRESHOLDS = (0.15, 0.5)
"""The lowest, below which too much that is nearly a command would be taken for it, and the highest,
from which on a reading is more probably right than not."""
STRETCH = (2.0, 6.0)
"""Seconds between two pauses of someone who talks: the shortest and the longest. What is shorter is
left out: the bank has single words, and "stop" may well be a command."""
SAID_OTHERWISE = 0.1
"""Share of its phonemes by which an utterance may differ from a command that it says: within
sentences espeak-ng says some words otherwise."""


def new_decoder(
    commands: CommandSet, lexicon: Lexicon, model: IntentModel, decision: DecisionConfig
) -> IntentDecoder:
    """A decoder whose confidence is not yet calibrated."""
    graph = PhonemeGraph.compile(commands.network, lexicon)
    calibration = Calibration((1.0, 0.1, 0.0, 0.0), 2.0)
    refused = PhonemeGraph.compile_any(commands.refused, lexicon)
    return IntentDecoder(
        graph, model, commands.intents, commands.slots, calibration, decision, refused=refused
    )


def calibrate(
    source: SentenceSource, decoder: IntentDecoder, config: IntentTrainingConfig
) -> tuple[Calibration, float]:
    """Fit the confidence on fresh splices and on noise; returns it with the exact-match rate.

    Of all that is spliced most phonemes are heard; noise alone tells what it means if they are not.
    """
    bank = source.splicer.bank
    seed = 10_000_019 * (config.seed + 2)

    def judged(log_probs: Tensor, said: tuple[str, Mapping[str, SlotValue]] | None) -> list[Judged]:
        best = decoder.judge(log_probs) if len(log_probs) else None
        if best is None:
            return []
        reading = (best.path.intent, dict(best.path.slots))
        truth = (said[0], dict(said[1])) if said else None
        return [(best.fit.evidence, (reading == truth, truth is not None))]

    def of_splices(i: int) -> list[Judged]:
        """A command and what is none."""
        noisy = i % 2 == 1
        command = source.command(noisy, seed + 2 * i)
        other = source.calibration_negative(i, noisy, seed + 2 * i + 1)
        return [one for u in (command, other) for one in judged(u.log_probs, u.reading)]

    def of_noise(i: int) -> list[Judged]:
        return judged(torch.from_numpy(bank.noise[i].log_probs(bank.columns)), None)

    parts = spread(of_splices, config.calibration), spread(of_noise, len(bank.noise))
    found = [one for part in parts for several in part for one in several]
    evidence, right = zip(*found, strict=True)
    matrix = np.array(evidence)
    is_right = np.array([r for r, _ in right])
    is_command = np.array([c for _, c in right])
    rate = float(is_right[is_command].mean())
    # A command misread as another is no reason to refuse it less: it is left out.
    used = is_right | ~is_command
    return _fitted(matrix[used], is_right[used]), rate


def measure_false_alarms(
    decoder: IntentDecoder, bank: PosteriorBank, seconds: float, seed: int
) -> FalseAlarms:
    """What a calibrated decoder takes the bank's speech for, of which nobody meant a command.

    An utterance that does say one, phoneme by phoneme, is left out: in some languages the bank's
    speech is synthetic, and of command files in part.

    Args:
        seconds: how much of it is heard at most, pauses not counted.
    """
    heard: list[tuple[int, int]] = []
    rows = 0
    for begin, end in _stretches(bank, np.random.default_rng(seed)):
        if rows >= seconds * ROWS_PER_SECOND:
            break
        rows += end - begin
        heard.append((begin, end))

    def confidence(number: int) -> float | None:
        judged = decoder.judge(torch.from_numpy(bank.log_probs(np.arange(*heard[number]))))
        if judged is None or len(judged.path.phonemes) < decoder.config.minimum_phonemes:
            return None
        return decoder.calibration.confidence(judged.fit.evidence)

    confidences = enumerate(spread(confidence, len(heard)))
    found = [(one, number) for number, one in confidences if one is not None]
    nearest: list[float] = []
    for one, number in sorted(found, reverse=True):
        if len(nearest) == TAIL:
            break
        begin, end = heard[number]
        if _says_command(decoder, bank, begin):
            rows -= end - begin
        else:
            nearest.append(one)
    return FalseAlarms(rows / ROWS_PER_SECOND / 3600, tuple(round(c, 6) for c in nearest))


def with_threshold(calibration: Calibration, alarms: FalseAlarms) -> Calibration:
    """The calibration with the lowest threshold that other people's talk allows.

    Commands that sound like nothing else need not be heard well to be told from talk; it is asked
    for no more confidence than keeps the talk out, within `THRESHOLDS`.
    """
    lowest, highest = THRESHOLDS
    wanted = alarms.threshold(FALSE_ALARMS) if alarms.is_measured else highest
    return replace(calibration, threshold=round(min(max(wanted, lowest), highest), 4))


def _stretches(bank: PosteriorBank, rng: np.random.Generator) -> Iterator[tuple[int, int]]:
    """First row and end of stretches: the bank's utterances in random order, cut as by pauses."""
    first = np.flatnonzero(np.diff(bank.utterances, prepend=-1))
    ends = np.append(first[1:], len(bank.phonemes))
    for number in rng.permutation(len(first)):
        begin, end = int(bank.starts[first[number]]), int(bank.starts[ends[number]])
        while end - begin >= STRETCH[0] * ROWS_PER_SECOND:
            length = int(rng.uniform(*STRETCH) * ROWS_PER_SECOND)
            yield begin, min(begin + length, end)
            begin += length


def _says_command(decoder: IntentDecoder, bank: PosteriorBank, row: int) -> bool:
    """Whether a whole utterance of the bank, one of whose rows this is, is a command."""
    place = np.searchsorted(bank.starts, row, side="right") - 1
    first, last = np.searchsorted(bank.utterances, bank.utterances[place] + np.arange(2))
    rows = np.arange(bank.starts[first], bank.starts[last])
    judged = decoder.judge(torch.from_numpy(bank.log_probs(rows)))
    said = bank.phonemes[first:last].tolist()
    return judged is not None and phoneme_error(judged.path.phonemes, said).rate <= SAID_OTHERWISE


def _fitted(evidence: np.ndarray, right: np.ndarray) -> Calibration:
    """The confidence that tells right readings by their evidence."""
    scale = evidence.std(axis=0) + 1e-6
    columns = np.column_stack([evidence / scale, np.ones(len(evidence))])
    ridge = np.array([1.0] * evidence.shape[1] + [1e-3])
    weights = logistic_regression(columns, right.astype(float), ridge)
    return Calibration(tuple(float(w) for w in weights[:-1] / scale), float(weights[-1]))
