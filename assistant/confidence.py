"""Confidence: how well a sentence fits what was heard, and how sure that makes us of it.

A sentence is compared with the free phoneme loop, as a likelihood ratio a phoneme: as a whole, and
in the word that fits worst. Noise over speech makes everything a little worse; another sentence
than was said is far off in a word or two; and where noise is all there is, most phonemes of any
sentence are likely enough, and none is heard. Logistic regression makes one probability of it,
fitted when the commands are compiled.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .grammar.graph import GraphPath, free_loop_score, greedy
from .grammar.layout import BLANK, Floats

WORST_LOG_RATIO = -6.0
"""Nats a phoneme; whatever fits worse is as bad as this, and does not bend the calibration."""
WORST_WORD_RATIO = -8.0
"""The same for a single word."""
EVIDENCE = 4
"""Numbers that a confidence is made from."""
SHORT_WORD = 2
"""Phonemes that a word counts as at least: "a" is easily swallowed."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Logistic regression from evidence to the probability that a hypothesis is right.

    threshold: the probability from which it is accepted, where the configuration says nothing else.
    """

    weights: tuple[float, ...]
    bias: float
    threshold: float = 0.5

    def confidence(self, evidence: Sequence[float]) -> float:
        """Probability in [0, 1]."""
        total = self.bias + sum(w * e for w, e in zip(self.weights, evidence, strict=True))
        return 1 / (1 + math.exp(-max(-50.0, min(50.0, total))))

    def threshold_unless(self, configured: float | None) -> float:
        """The configuration's threshold, or where it has none, the one that was compiled."""
        return self.threshold if configured is None else configured


@dataclass(frozen=True, slots=True)
class Fit:
    """How well a path fits an utterance.

    log_ratio: nats a phoneme against the free loop, of the whole utterance. phonemes: the path's
    length. word_ratios: the same nats a phoneme of each word. heard: phonemes that the network
    takes for the most probable from the path's first to its last, as a share of its length.
    """

    log_ratio: float
    phonemes: int
    word_ratios: tuple[float, ...]
    heard: float

    @classmethod
    def of(cls, path: GraphPath, scores: Floats, log_probs: Floats) -> Fit:
        """Measure it; scores: (T, P), what it was found in. log_probs: (T, P), the network's."""
        length = max(len(path.phonemes), 1)
        log_ratio = (path.log_prob - free_loop_score(scores)) / length
        spoken = log_probs[path.spans[0][0] : path.spans[-1][1]] if path.spans else log_probs[:0]
        return cls(log_ratio, length, word_ratios(path, scores), len(greedy(spoken)) / length)

    @property
    def evidence(self) -> tuple[float, ...]:
        """What a `Calibration` weighs, `EVIDENCE` numbers: the ratio, the logarithm of the length,
        the worst word, and the share of the phonemes that was heard.

        The length is there because a short command is easily found in what is none. The LSTM's
        "none" is not: it is surer of spliced sentences than of real ones.
        """
        worst = min(self.word_ratios, default=0.0)
        return (
            max(self.log_ratio, WORST_LOG_RATIO),
            math.log(self.phonemes),
            max(worst, WORST_WORD_RATIO),
            min(self.heard, 1.0),
        )


def word_ratios(path: GraphPath, scores: Floats) -> tuple[float, ...]:
    """Log-likelihood ratio a phoneme of each of a path's words, against the free loop.

    A word's rows go on to the next one's first, so that what was said between the two and is in no
    sentence counts against the first of them.
    """
    if not path.words:
        return ()
    labels = np.full(len(scores), BLANK)
    for phoneme, (start, end) in zip(path.phonemes, path.spans, strict=True):
        labels[start:end] = phoneme
    nats = scores[np.arange(len(scores)), labels] - scores.max(axis=1)
    starts = [word.start_row for word in path.words]
    sums = np.add.reduceat(nats[: path.spans[-1][1]], starts)
    edges = [*starts, len(scores)]
    counts, _ = np.histogram([start for start, _ in path.spans], edges)
    return tuple((sums / np.maximum(counts, SHORT_WORD)).tolist())
