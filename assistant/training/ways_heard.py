"""How often people say a word as a dictionary has it and not as espeak-ng does, to a bundle's ears.

A dictionary says that "get" is said ɡ ɛ t and ɡ ɪ t, not how often. A bundle has learnt from texts
as espeak-ng says them, and hears a word that it met often as espeak-ng says it, whoever speaks;
"almond", which it met once, it hears as it is said. So the odds of a further way are told by the
times that the word was met in training and by what the way changes, learnt from recordings of
people who were held out: a logistic regression on the likelihood of their sentences with the word
said one way and the other.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..bundle import Inventory
from ..errors import BundleError, ConfigError
from ..grammar.dictionary import Dictionary
from ..grammar.phonemes import Phonemizer, Pronunciation
from ..grammar.wording import split_words, spoken_text
from .logistic import logistic_regression, sigmoid

RIDGE = 1.0
"""Of what each change tells."""
LIKE_OTHERS = 2
"""Ways from which a change has odds of its own."""
COUNTS_AT_MOST = 8.0
"""Times that all occurrences of one word count together: of "to" there are hundreds."""
FOLDS = 10


@dataclass(frozen=True, slots=True)
class WaysHeard:
    """The log-odds, in nats, that a word is heard in a further way and not in espeak-ng's."""

    bias: float
    familiarity: float
    """For each doubling of one more than the times that the word was met in training."""
    changes: Mapping[str, float]
    """For each change of phonemes, as "æ>ɛ"."""
    times_met: Mapping[str, int] = field(repr=False)
    """Words of the dictionary that were met in training."""

    def odds(self, word: str, usual: Pronunciation, way: Pronunciation) -> float:
        """How much more often `way` is heard than `usual`, espeak-ng's."""
        log_odds = self.bias + self.familiarity * _familiar(self.times_met.get(word, 0))
        log_odds += sum(self.changes.get(change, 0.0) for change in changes(usual, way))
        return float(np.exp(np.clip(log_odds, -30, 30)))

    @classmethod
    def read(cls, path: Path) -> WaysHeard:
        """Read what `write` wrote.

        Raises:
            BundleError: it is damaged.
        """
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            return cls(
                bias=float(content["bias"]),
                familiarity=float(content["familiarity"]),
                changes={change: float(odds) for change, odds in content["changes"].items()},
                times_met={word: int(times) for word, times in content["times_met"].items()},
            )
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise BundleError(f"{path} is damaged: {error!r}; fetch the bundle again") from error

    def write(self, path: Path) -> None:
        """Write it as JSON, the same text for the same figures."""
        rounded = {change: round(weight, 3) for change, weight in sorted(self.changes.items())}
        content = {
            "bias": round(self.bias, 3),
            "familiarity": round(self.familiarity, 3),
            "changes": rounded,
            "times_met": dict(sorted(self.times_met.items())),
        }
        text = json.dumps(content, ensure_ascii=False, indent=0)
        path.write_text(text + "\n", encoding="utf-8")


def changes(usual: Pronunciation, way: Pronunciation) -> tuple[str, ...]:
    """What a way changes: "æ>ɛ" for each stretch of phonemes that is another, "t>" for none."""
    return tuple(
        f"{' '.join(usual[begin:end])}>{' '.join(way[first:last])}"
        for kind, begin, end, first, last in SequenceMatcher(
            None, usual, way, autojunk=False
        ).get_opcodes()
        if kind != "equal"
    )


def times_met(texts: Sequence[str], language: str, words: Collection[str]) -> dict[str, int]:
    """How often each of `words` is in texts."""
    said = chain.from_iterable(_words(text, language) for text in texts)
    return dict(Counter(word for word in said if word in words))


def _words(text: str, language: str) -> list[str]:
    """The words of a text; none of one that cannot be spoken as it is written ("2nd")."""
    try:
        return split_words(spoken_text(text.lower(), language))
    except ConfigError:
        return []


# ── listening ──────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Occurrence:
    """A word that someone said, a further way to say it, and how likely that was it."""

    word: str
    usual: Pronunciation
    """As espeak-ng says it in that sentence."""
    way: Pronunciation
    gain: float
    """Nats by which the sentence is likelier with `way`."""


class Listener:
    """Compares the ways of words in recordings whose text is known."""

    def __init__(self, inventory: Inventory, dictionary: Dictionary) -> None:
        """dictionary: the further ways, in the bundle's phonemes."""
        self._inventory = inventory
        self._dictionary = dictionary
        self._phonemizer = Phonemizer(inventory.language)
        self._alone: dict[str, Pronunciation] = {}

    def occurrences(self, text: str, log_probs: Tensor) -> Iterator[Occurrence]:
        """Every further way of the words of a recording.

        Args:
            log_probs: (T, P), at full context.
        """
        words = _words(text, self._inventory.language)
        self._alone |= {w: self._phonemizer.phonemes(w) for w in words if w not in self._alone}
        parts = self._phonemizer.sentence(words, self._alone)
        columns = [self._inventory.phoneme_ids(part.phonemes) for part in parts]
        asked = [
            (place, way)
            for place, part in enumerate(parts)
            if len(part.words) == 1
            for way in self._dictionary.get(part.words[0], ())
            if way != part.phonemes
        ]
        if not asked:
            return
        sentences = [columns]
        for place, way in asked:
            there = self._inventory.phoneme_ids(way)
            sentences.append([*columns[:place], there, *columns[place + 1 :]])
        first, *others = sentence_scores(log_probs, [[*chain(*one)] for one in sentences])
        for (place, way), score in zip(asked, others, strict=True):
            if np.isfinite(score - first):
                yield Occurrence(parts[place].words[0], parts[place].phonemes, way, score - first)


def sentence_scores(log_probs: Tensor, sentences: Sequence[Sequence[int]]) -> list[float]:
    """Log-likelihood of each sequence of columns, over all alignments (Graves et al. 2006)."""
    lengths = torch.tensor([len(sentence) for sentence in sentences])
    rows = torch.full((len(sentences),), len(log_probs))
    expanded = log_probs[:, None].expand(-1, len(sentences), -1)
    flat = torch.tensor([column for sentence in sentences for column in sentence])
    losses = torch.nn.functional.ctc_loss(expanded, flat, rows, lengths, reduction="none")
    return [-float(loss) for loss in losses]


# ── learning ───────────────────────────────────────────────────────────────────────────────


def learn(heard: Sequence[Occurrence], met: Mapping[str, int]) -> WaysHeard:
    """Fit the log-odds to what was heard.

    Args:
        met: how often words were met in training.
    """
    ways_of: defaultdict[str, set[tuple[str, Pronunciation]]] = defaultdict(set)
    for one in heard:
        for change in changes(one.usual, one.way):
            ways_of[change].add((one.word, one.way))
    known = sorted(change for change, ways in ways_of.items() if len(ways) >= LIKE_OTHERS)
    place = {change: 2 + number for number, change in enumerate(known)}
    columns = np.zeros((len(heard), 2 + len(known)))
    columns[:, 0] = 1.0
    for row, one in enumerate(heard):
        columns[row, 1] = _familiar(met.get(one.word, 0))
        for change in changes(one.usual, one.way):
            if change in place:
                columns[row, place[change]] = 1.0
    ridge = np.array([1e-3, 1e-3, *[RIDGE] * len(known)])
    bias, familiarity, *weights = map(
        float, logistic_regression(columns, _right(heard), ridge, _counting(heard))
    )
    return WaysHeard(bias, familiarity, dict(zip(known, weights, strict=True)), met)


def cross_validated(heard: Sequence[Occurrence], met: Mapping[str, int]) -> tuple[float, float]:
    """Log loss a way, in nats, of words that were not learnt from: with one share for all ways,
    and as `learn` has it."""
    words = sorted({one.word for one in heard})
    fold = dict(zip(words, np.random.default_rng(0).permutation(len(words)) % FOLDS, strict=True))
    losses = np.zeros(2)
    for number in range(FOLDS):
        others = [one for one in heard if fold[one.word] != number]
        tested = [one for one in heard if fold[one.word] == number]
        if not tested or not others:
            continue
        known = learn(others, met)
        constant = float(np.average(_right(others), weights=_counting(others)))
        odds = np.array([known.odds(one.word, one.usual, one.way) for one in tested])
        right, times = _right(tested), _counting(tested)
        for model, said in enumerate((np.full(len(tested), constant), odds / (1 + odds))):
            losses[model] -= times @ (right * np.log(said) + (1 - right) * np.log(1 - said))
    total = _counting(heard).sum()
    return float(losses[0] / total), float(losses[1] / total)


def _familiar(times: int) -> float:
    return float(np.log2(1 + times))


def _right(heard: Sequence[Occurrence]) -> np.ndarray:
    return sigmoid(np.array([one.gain for one in heard]))


def _counting(heard: Sequence[Occurrence]) -> np.ndarray:
    """(N,) times that each occurrence counts."""
    said = Counter(one.word for one in heard)
    return np.array([min(1.0, COUNTS_AT_MOST / said[one.word]) for one in heard])
