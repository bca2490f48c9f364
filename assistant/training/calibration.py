"""The confidence, calibrated on spliced utterances: how good the evidence of a right reading is."""

from __future__ import annotations

import numpy as np

from ..bundle import Lexicon
from ..config import DecisionConfig
from ..grammar.commands import CommandSet
from ..grammar.graph import PhonemeGraph
from ..intent import Calibration, IntentDecoder
from ..nn.intent_model import IntentModel
from .intent_trainer import IntentTrainingConfig
from .sentence_source import SentenceSource


def new_decoder(
    commands: CommandSet, lexicon: Lexicon, model: IntentModel, decision: DecisionConfig
) -> IntentDecoder:
    """A decoder whose confidence is not yet calibrated."""
    graph = PhonemeGraph.compile(commands.network, lexicon)
    calibration = Calibration((1.0, 0.1), 2.0)
    return IntentDecoder(graph, model, commands.intents, commands.slots, calibration, decision)


def calibrate(
    source: SentenceSource, decoder: IntentDecoder, config: IntentTrainingConfig
) -> tuple[Calibration, float]:
    """Fit the confidence on fresh splices; returns it with the decoder's exact-match rate."""
    seed = 10_000_019 * (config.seed + 2)
    evidence, right = [], []
    for i in range(config.calibration):
        commands = source.command(i % 2 == 1, seed + 2 * i)
        negative = source.calibration_negative(i, i % 2 == 1, seed + 2 * i + 1)
        for utterance in (commands, negative):
            judged = decoder.judge(utterance.log_probs) if len(utterance.log_probs) else None
            if judged is None:
                continue
            reading = (judged.path.intent, dict(judged.path.slots))
            truth = (
                (utterance.reading[0], dict(utterance.reading[1])) if utterance.reading else None
            )
            evidence.append(judged.evidence)
            right.append((reading == truth, truth is not None))
    matrix = np.array(evidence)
    is_right = np.array([r for r, _ in right])
    is_command = np.array([c for _, c in right])
    rate = float(is_right[is_command].mean())
    # A command misread as another is no reason to refuse it less: it is left out.
    used = is_right | ~is_command
    return _logistic_regression(matrix[used], is_right[used]), rate


def _logistic_regression(evidence: np.ndarray, right: np.ndarray) -> Calibration:
    """Regularised logistic regression by Newton's method (Hastie et al. 2009, 4.4.1)."""
    scale = evidence.std(axis=0) + 1e-6
    x = np.column_stack([evidence / scale, np.ones(len(evidence))])
    weights = np.zeros(x.shape[1])
    ridge = np.diag([1.0] * evidence.shape[1] + [1e-3])
    for _ in range(30):
        probability = 1 / (1 + np.exp(-np.clip(x @ weights, -30, 30)))
        gradient = x.T @ (probability - right) + ridge @ weights
        hessian = (x * (probability * (1 - probability))[:, None]).T @ x + ridge
        weights -= np.linalg.solve(hessian, gradient)
    return Calibration(tuple(float(w) for w in weights[:-1] / scale), float(weights[-1]))
