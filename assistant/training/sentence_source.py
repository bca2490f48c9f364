"""Spliced utterances: the sentences of a command set, and what is none of them.

Sentences are drawn from the command network, misheard as strangers are (see `mishearing`), and
spliced from the bundle's posterior bank. Near misses, other people's talk and what the user says
must not be understood are the "none".
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from ..grammar.commands import CommandSet
from ..grammar.network import SlotAssignment
from ..grammar.sampling import sample_negative, sample_sentence
from ..types import SlotValue
from .mishearing import Mishearing
from .posterior_bank import PosteriorBank, Splicer
from .pronouncing import SpokenWays, lexicon_of

IGNORED = -100
"""A target that is not known, and costs nothing."""


@dataclass(frozen=True, slots=True)
class SplicedUtterance:
    """A training utterance.

    log_probs: (T, P). intent: 0 is "none". slots: (S,), 0 is absent, -100 not known.
    tags: (T, S), 0 where no value of the slot is being said.
    """

    log_probs: Tensor
    intent: int
    slots: Tensor
    tags: Tensor
    reading: tuple[str, Mapping[str, SlotValue]] | None


class SentenceSource:
    """Draws spliced utterances of a command set, commands and negatives."""

    def __init__(self, commands: CommandSet, ways: SpokenWays, bank: PosteriorBank) -> None:
        """ways: how the words of the sentences are said; each is drawn as often as it is."""
        self.commands = commands
        self.bank = bank
        self._ways = lexicon_of(ways)
        self._shares = {word: [way.share for way in listed] for word, listed in ways.items()}
        self.splicer = Splicer(bank)
        self.value_index = {
            SlotAssignment(slot, value): (number, 1 + place)
            for number, (slot, values) in enumerate(commands.slots.items())
            for place, value in enumerate(values)
        }
        # A fifth of what is no command must not be one, where the user says what.
        usual = (self.near_miss, self.other_speech)
        self._negatives = (*usual, *usual, self.must_not) if commands.examples.must_not else usual

    @cached_property
    def mishearing(self) -> Mishearing:
        """Made when it is first asked for: who only calibrates or adapts mishears nothing."""
        return Mishearing(self.bank)

    def command(self, noisy: bool, seed: int, misheard: bool = False) -> SplicedUtterance:
        """A sentence of the grammar, heard well or misheard as a stranger's may be."""
        sentence = sample_sentence(self.commands.network, random.Random(seed))
        said = [self.value_index.get(a) if a else None for a in sentence.assignments]
        log_probs, tags = self._splice(sentence.words, said, noisy, seed, misheard)
        slots = torch.zeros(len(self.commands.slots), dtype=torch.long)
        for slot, value in sentence.slots.items():
            number, place = self.value_index[SlotAssignment(slot, value)]
            slots[number] = place
        intent = 1 + self.commands.intents.index(sentence.intent)
        return SplicedUtterance(log_probs, intent, slots, tags, (sentence.intent, sentence.slots))

    def near_miss(self, noisy: bool, seed: int, misheard: bool = False) -> SplicedUtterance:
        """Words of the grammar that make no sentence of it; its slots are anyone's guess."""
        words = sample_negative(self.commands.network, random.Random(seed))
        return self._no_command(words, noisy, seed, misheard)

    def must_not(self, noisy: bool, seed: int, misheard: bool = False) -> SplicedUtterance:
        """A sentence that the user says must be refused."""
        example = random.Random(seed).choice(self.commands.examples.must_not)
        return self._no_command(example.words, noisy, seed, misheard)

    def other_speech(self, noisy: bool, seed: int, misheard: bool = False) -> SplicedUtterance:
        """What someone else said that has nothing to do with the commands.

        It is spliced like a command, from other people's speech: a stretch of real speech as it is
        would be told from a command by having no joins, and so would every real command.
        """
        rng = np.random.default_rng(seed)
        bank = self.bank
        begin = int(rng.choice(bank.places(noisy)))
        end = min(begin + int(rng.integers(4, 45)), len(bank.phonemes))
        utterance = bank.utterances[begin]
        said = bank.phonemes[begin:end][bank.utterances[begin:end] == utterance]
        phonemes = said.tolist()
        if misheard:
            phonemes, _ = self.mishearing.mishear(phonemes, rng)
        spliced = self.splicer.splice(tuple(phonemes), noisy, rng, int(utterance))
        slots = torch.zeros(len(self.commands.slots), dtype=torch.long)
        tags = torch.zeros(len(spliced.places), len(slots), dtype=torch.long)
        return SplicedUtterance(torch.from_numpy(spliced.log_probs), 0, slots, tags, None)

    def draw(
        self, count: int, negatives: float, noisy_share: float, seed: int, misheard: bool = False
    ) -> list[SplicedUtterance]:
        """Utterances, of which a share of `negatives` are no commands."""
        rng = random.Random(seed)
        drawn: list[SplicedUtterance] = []
        while len(drawn) < count:
            noisy = rng.random() < noisy_share
            kind: Callable[[bool, int, bool], SplicedUtterance] = self.command
            if rng.random() < negatives:
                kind = rng.choice(self._negatives)
            utterance = kind(noisy, rng.randrange(2**60), misheard)
            if len(utterance.log_probs):
                drawn.append(utterance)
        return drawn

    def say(self, words: Sequence[str], noisy: bool, seed: int) -> Tensor:
        """(T, P) log-posteriors of words; no rows where the bank lacks all of their phonemes."""
        return self._splice(words, [None] * len(words), noisy, seed, misheard=False)[0]

    def calibration_negative(self, number: int, noisy: bool, seed: int) -> SplicedUtterance:
        """The one to set beside a command: other speech twice as often as near misses."""
        if number % 5 == 1 and self.commands.examples.must_not:
            return self.must_not(noisy, seed)
        return (self.near_miss if number % 3 == 0 else self.other_speech)(noisy, seed)

    def _no_command(
        self, words: Sequence[str], noisy: bool, seed: int, misheard: bool = False
    ) -> SplicedUtterance:
        log_probs, tags = self._splice(words, [None] * len(words), noisy, seed, misheard)
        slots = torch.full((len(self.commands.slots),), IGNORED)
        return SplicedUtterance(log_probs, 0, slots, torch.full_like(tags, IGNORED), None)

    def _splice(
        self,
        words: Sequence[str],
        said: Sequence[tuple[int, int] | None],
        noisy: bool,
        seed: int,
        misheard: bool,
    ) -> tuple[Tensor, Tensor]:
        rng = np.random.default_rng(seed)
        phonemes: list[int] = []
        said_by_phoneme: list[tuple[int, int] | None] = []
        for word, value in zip(words, said, strict=True):
            ways = self._ways[word]
            chosen = ways[int(rng.choice(len(ways), p=self._shares[word]))]
            phonemes += chosen
            said_by_phoneme += [value] * len(chosen)
        if misheard:
            phonemes, stands_for = self.mishearing.mishear(phonemes, rng)
            said_by_phoneme = [said_by_phoneme[place] for place in stands_for]
        spliced = self.splicer.splice(tuple(phonemes), noisy, rng)
        tags = torch.zeros(len(spliced.places), len(self.commands.slots), dtype=torch.long)
        for row, place in enumerate(spliced.places):
            if (value := said_by_phoneme[place]) is not None:
                tags[row, value[0]] = value[1]
        return torch.from_numpy(spliced.log_probs), tags
