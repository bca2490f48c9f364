"""From commands to a compiled command set: the LSTM learns from spliced posteriors.

Sentences are drawn from the command network, spliced from the bundle's posterior bank, and the
intent model learns their tags, slots and intent. Near misses, other people's talk and what the user
says must not be understood are its "none". Fresh splices, decoded with the graph, then calibrate
the confidence.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from ..bundle import Lexicon
from ..config import DecisionConfig, IntentConfig
from ..grammar.commands import CommandSet
from ..grammar.graph import PhonemeGraph
from ..grammar.network import SlotAssignment
from ..grammar.sampling import sample_negative, sample_sentence
from ..intent import Calibration, IntentDecoder, phone_synchronous
from ..nn.intent_model import IntentModel
from ..types import SlotValue
from .posterior_bank import PosteriorBank, Splicer

IGNORED = -100


@dataclass(frozen=True)
class IntentTrainingConfig:
    """How much is drawn and how long is learnt."""

    sentences: int = 3000
    """Sentences spliced."""
    negatives: float = 0.3
    """Share of them that are no command."""
    noisy: float = 0.5
    """Share spliced from augmented speech."""
    epochs: int = 8
    """Passes over them."""
    batch_size: int = 32
    learning_rate: float = 6e-3
    """AdamW's peak; it falls linearly."""
    gradient_norm: float = 1.0
    """Gradients are clipped to this norm."""
    calibration: int = 300
    """Sentences decoded to calibrate the confidence, as many negatives again."""
    seed: int = 1


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

    def __init__(self, commands: CommandSet, lexicon: Lexicon, bank: PosteriorBank) -> None:
        self.commands = commands
        self.lexicon = lexicon
        self.bank = bank
        self.splicer = Splicer(bank)
        self.value_index = {
            SlotAssignment(slot, value): (number, 1 + place)
            for number, (slot, values) in enumerate(commands.slots.items())
            for place, value in enumerate(values)
        }
        # A fifth of what is no command must not be one, where the user says what.
        usual = (self.near_miss, self.other_speech)
        self._negatives = (*usual, *usual, self.must_not) if commands.examples.must_not else usual

    def command(self, noisy: bool, seed: int) -> SplicedUtterance:
        """A sentence of the grammar."""
        sentence = sample_sentence(self.commands.network, random.Random(seed))
        said = [self.value_index.get(a) if a else None for a in sentence.assignments]
        log_probs, tags = self._splice(sentence.words, said, noisy, seed)
        slots = torch.zeros(len(self.commands.slots), dtype=torch.long)
        for slot, value in sentence.slots.items():
            number, place = self.value_index[SlotAssignment(slot, value)]
            slots[number] = place
        intent = 1 + self.commands.intents.index(sentence.intent)
        return SplicedUtterance(log_probs, intent, slots, tags, (sentence.intent, sentence.slots))

    def near_miss(self, noisy: bool, seed: int) -> SplicedUtterance:
        """Words of the grammar that make no sentence of it; its slots are anyone's guess."""
        words = sample_negative(self.commands.network, random.Random(seed))
        return self._no_command(words, noisy, seed)

    def must_not(self, noisy: bool, seed: int) -> SplicedUtterance:
        """A sentence that the user says must be refused."""
        example = random.Random(seed).choice(self.commands.examples.must_not)
        return self._no_command(example.words, noisy, seed)

    def other_speech(self, noisy: bool, seed: int) -> SplicedUtterance:
        """A stretch of real speech that has nothing to do with the commands."""
        rng = np.random.default_rng(seed)
        bank = self.bank
        chosen = np.flatnonzero(bank.noisy == noisy)
        begin = int(rng.choice(chosen))
        end = min(begin + int(rng.integers(4, 45)), len(bank.phonemes))
        same = bank.utterances[begin:end] == bank.utterances[begin]
        end = begin + int(same.sum())
        rows = np.arange(bank.starts[begin], bank.starts[end])
        tags = torch.zeros(len(rows), len(self.commands.slots), dtype=torch.long)
        slots = torch.zeros(len(self.commands.slots), dtype=torch.long)
        return SplicedUtterance(torch.from_numpy(bank.log_probs(rows)), 0, slots, tags, None)

    def draw(self, count: int, config: IntentTrainingConfig, seed: int) -> list[SplicedUtterance]:
        """Utterances in the proportions of `config`."""
        rng = random.Random(seed)
        drawn: list[SplicedUtterance] = []
        while len(drawn) < count:
            noisy = rng.random() < config.noisy
            kind: Callable[[bool, int], SplicedUtterance] = self.command
            if rng.random() < config.negatives:
                kind = rng.choice(self._negatives)
            utterance = kind(noisy, rng.randrange(2**60))
            if len(utterance.log_probs):
                drawn.append(utterance)
        return drawn

    def say(self, words: Sequence[str], noisy: bool, seed: int) -> Tensor:
        """(T, P) log-posteriors of words of the lexicon; no rows where the bank lacks them all."""
        return self._splice(words, [None] * len(words), noisy, seed)[0]

    def calibration_negative(self, number: int, noisy: bool, seed: int) -> SplicedUtterance:
        """The one to set beside a command: other speech twice as often as near misses."""
        if number % 5 == 1 and self.commands.examples.must_not:
            return self.must_not(noisy, seed)
        return (self.near_miss if number % 3 == 0 else self.other_speech)(noisy, seed)

    def _no_command(self, words: Sequence[str], noisy: bool, seed: int) -> SplicedUtterance:
        log_probs, tags = self._splice(words, [None] * len(words), noisy, seed)
        slots = torch.full((len(self.commands.slots),), IGNORED)
        return SplicedUtterance(log_probs, 0, slots, torch.full_like(tags, IGNORED), None)

    def _splice(
        self, words: Sequence[str], said: Sequence[tuple[int, int] | None], noisy: bool, seed: int
    ) -> tuple[Tensor, Tensor]:
        rng = np.random.default_rng(seed)
        phonemes: list[int] = []
        said_by_phoneme: list[tuple[int, int] | None] = []
        for word, value in zip(words, said, strict=True):
            variants = self.lexicon[word]
            chosen = variants[int(rng.integers(len(variants)))]
            phonemes += chosen
            said_by_phoneme += [value] * len(chosen)
        spliced = self.splicer.splice(tuple(phonemes), noisy, rng)
        tags = torch.zeros(len(spliced.places), len(self.commands.slots), dtype=torch.long)
        for row, place in enumerate(spliced.places):
            if (value := said_by_phoneme[place]) is not None:
                tags[row, value[0]] = value[1]
        return torch.from_numpy(spliced.log_probs), tags


@dataclass(frozen=True, slots=True)
class _Prepared:
    """What the LSTM reads of an utterance, and its targets, both with the tags' delay."""

    posteriors: Tensor
    tags: Tensor
    intent: int
    slots: Tensor


def _prepare(utterance: SplicedUtterance, config: IntentConfig) -> _Prepared | None:
    kept = utterance.log_probs[:, 0].exp() < config.blank_threshold
    if not kept.any():
        return None
    pad = nn.functional.pad
    posteriors = phone_synchronous(utterance.log_probs, config.blank_threshold)
    return _Prepared(
        posteriors=pad(posteriors, (0, 0, 0, config.delay)),
        tags=pad(utterance.tags[kept], (0, 0, config.delay, 0)),
        intent=utterance.intent,
        slots=utterance.slots,
    )


def train_intent_model(
    source: SentenceSource,
    model: IntentModel,
    config: IntentTrainingConfig,
    progress: Callable[[float, str], None] = lambda share, state: None,
) -> float:
    """Train in place; returns the exact-match rate on fresh splices (commands alone).

    Args:
        progress: called with the share done and a line for people.
    """
    torch.manual_seed(config.seed)
    drawn = source.draw(config.sentences, config, config.seed)
    prepared = [p for u in drawn if (p := _prepare(u, model.config)) is not None]
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.learning_rate)
    rng = np.random.default_rng(config.seed)
    steps = config.epochs * -(-len(prepared) // config.batch_size)
    step = 0
    model.train()
    for _ in range(config.epochs):
        order = sorted(
            rng.permutation(len(prepared)), key=lambda i: len(prepared[i].posteriors) // 8
        )
        groups = [order[i : i + config.batch_size] for i in range(0, len(order), config.batch_size)]
        for i in rng.permutation(len(groups)):
            for group in optimizer.param_groups:
                group["lr"] = config.learning_rate * min(1.0, 1.02 - step / steps)
            loss = _loss(model, [prepared[j] for j in groups[i]])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(model.parameters(), config.gradient_norm)
            optimizer.step()
            step += 1
            progress(step / steps, f"loss {float(loss.detach()):.3f}")
    model.eval()
    return exact_match(model, source.draw(300, config, config.seed + 1))


def _loss(model: IntentModel, batch: Sequence[_Prepared]) -> Tensor:
    """Cross-entropy of the tags, of the pooled slots and of the intent."""
    pad = nn.utils.rnn.pad_sequence
    posteriors = pad([p.posteriors for p in batch], batch_first=True)
    tags = pad([p.tags for p in batch], batch_first=True, padding_value=IGNORED)
    lengths = torch.tensor([len(p.posteriors) for p in batch])
    scores, tag_logits = model(posteriors, lengths)
    intents = torch.tensor([p.intent for p in batch])
    slots = torch.stack([p.slots for p in batch])
    entropy = nn.functional.cross_entropy
    loss: Tensor = entropy(scores.intent, intents)
    known = (slots != IGNORED).any()
    for number, logits in enumerate(tag_logits.split(model.values, dim=2)):
        if not known:
            break
        loss = loss + entropy(scores.slots[number], slots[:, number], ignore_index=IGNORED)
        # "Not being said" is the zero of the log-odds.
        full = nn.functional.pad(logits, (1, 0))
        target = tags[:, :, number]
        loss = loss + entropy(full.flatten(0, 1), target.flatten(), ignore_index=IGNORED)
    return loss


@torch.inference_mode()
def exact_match(model: IntentModel, utterances: Sequence[SplicedUtterance]) -> float:
    """Share of the commands whose intent and slots the LSTM alone gets right."""
    right = total = 0
    for utterance in utterances:
        prepared = _prepare(utterance, model.config)
        if prepared is None or utterance.reading is None:
            continue
        scores, _ = model(prepared.posteriors[None], torch.tensor([len(prepared.posteriors)]))
        slots = torch.tensor([int(s.argmax()) for s in scores.slots])
        right += int(scores.intent.argmax()) == utterance.intent and bool(
            (slots == utterance.slots).all()
        )
        total += 1
    return right / max(1, total)


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


def new_intent_model(commands: CommandSet, columns: int, config: IntentConfig) -> IntentModel:
    """An untrained model of the right size."""
    values = [len(v) for v in commands.slots.values()]
    return IntentModel(config, columns, len(commands.intents), values)


def new_decoder(
    commands: CommandSet, lexicon: Lexicon, model: IntentModel, decision: DecisionConfig
) -> IntentDecoder:
    """A decoder whose confidence is not yet calibrated."""
    graph = PhonemeGraph.compile(commands.network, lexicon)
    calibration = Calibration((1.0, 0.1), 2.0)
    return IntentDecoder(graph, model, commands.intents, commands.slots, calibration, decision)
