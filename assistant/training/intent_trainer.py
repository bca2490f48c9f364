"""The intent model learns from spliced utterances: their tags, their slots and their intent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from ..config import IntentConfig
from ..grammar.commands import CommandSet
from ..intent import phone_synchronous
from ..nn.intent_model import IntentModel
from .forked import Together
from .sentence_source import IGNORED, SentenceSource, SplicedUtterance
from .shared_words import shared_words


@dataclass(frozen=True)
class IntentTrainingConfig:
    """How much is drawn and how long is learnt."""

    sentences: int = 3000
    """Sentences spliced."""
    negatives: float = 0.2
    """Share of them that are no command."""
    noisy: float = 0.5
    """Share spliced from augmented speech."""
    epochs: int = 6
    """Passes over them at most."""
    validation: int = 150
    """Further sentences on which the loss is measured after every pass."""
    patience: int = 2
    """Passes without a lower loss on them after which learning ends; the best weights are kept."""
    batch_size: int = 32
    learning_rate: float = 6e-3
    """AdamW's peak; it falls linearly."""
    gradient_norm: float = 1.0
    """Gradients are clipped to this norm."""
    calibration: int = 300
    """Sentences decoded to calibrate the confidence, as many negatives again."""
    other_speech_s: float = 2400.0
    """Seconds of other people's speech on which false alarms are counted, at most."""
    seed: int = 1


def new_intent_model(commands: CommandSet, columns: int, config: IntentConfig) -> IntentModel:
    """An untrained model of the right size."""
    values = [len(v) for v in commands.slots.values()]
    return IntentModel(config, columns, len(commands.intents), values)


@dataclass(frozen=True, slots=True)
class _Prepared:
    """What the LSTM reads of an utterance, and its targets, both with the tags' delay."""

    posteriors: Tensor
    tags: Tensor
    intent: int
    slots: Tensor


def _prepare(utterance: SplicedUtterance, config: IntentConfig) -> _Prepared | None:
    posteriors, places = phone_synchronous(utterance.log_probs, config.blank_threshold)
    if not len(places):
        return None
    pad = nn.functional.pad
    return _Prepared(
        posteriors=pad(posteriors, (0, 0, 0, config.delay)),
        tags=pad(utterance.tags[places], (0, 0, config.delay, 0)),
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

    Every process splices its own share of the sentences and learns half of each batch.

    Args:
        progress: called with the share done and a line for people.
    """
    with shared_words(model, source.commands):
        together = Together(sum(p.numel() for p in model.parameters()))
        return together.run(lambda shared: _learn(source, model, config, shared, progress))


def _learn(
    source: SentenceSource,
    model: IntentModel,
    config: IntentTrainingConfig,
    together: Together,
    progress: Callable[[float, str], None],
) -> float:
    """What each of the processes does; their weights stay the same in every step."""

    def draw(count: int, kind: int, misheard: bool) -> list[SplicedUtterance]:
        seed = 1_000_003 * config.seed + 3 * together.rank + kind
        share = -(-count // together.processes)
        return source.draw(share, config.negatives, config.noisy, seed, misheard)

    def prepared(utterances: Sequence[SplicedUtterance]) -> list[_Prepared]:
        return [p for u in utterances if (p := _prepare(u, model.config)) is not None]

    torch.manual_seed(config.seed + together.rank)
    learning = prepared(draw(config.sentences, 0, True))
    validation = prepared(draw(config.validation, 1, True))
    size = max(1, config.batch_size // together.processes)
    batches = -(-config.sentences // config.batch_size)
    stopping = EarlyStopping(config.patience)
    optimizer = _AdamW(model, together)
    rng = np.random.default_rng(config.seed)
    steps = config.epochs * batches
    step = 0
    for _ in range(config.epochs):
        model.train()
        groups = _groups(learning, rng.permutation(len(learning)).tolist(), size)
        for i in rng.permutation(batches):
            loss = _loss(model, groups[min(i, len(groups) - 1)])
            loss.backward()  # type: ignore[no-untyped-call]
            rate = config.learning_rate * min(1.0, 1.02 - step / steps)
            optimizer.step(rate, config.gradient_norm)
            step += 1
            if together.rank == 0:
                progress(step / steps, f"loss {float(loss.detach()):.3f}")
        model.eval()
        measured = torch.tensor([_mean_loss(model, validation, size)])
        if stopping.over(model, float(together.mean(measured))):
            break
    if stopping.best:
        model.load_state_dict(stopping.best)
    right = torch.tensor([exact_match(model, draw(300, 2, False))])
    return float(together.mean(right))


class _AdamW:
    """AdamW (Loshchilov & Hutter 2019) over all parameters as one vector.

    torch's own loads its compiler first, which takes longer than many an epoch here.
    """

    DECAY = 0.01
    BETAS = (0.9, 0.999)
    EPSILON = 1e-8

    def __init__(self, model: nn.Module, together: Together) -> None:
        self._together = together
        self._parameters = list(model.parameters())
        self._sizes = [p.numel() for p in self._parameters]
        self._mean = torch.zeros(sum(self._sizes))
        self._square = torch.zeros_like(self._mean)
        self._steps = 0

    @torch.no_grad()
    def step(self, rate: float, norm: float) -> None:
        """Follow the mean gradient of all processes, clipped to `norm`; forget the gradients."""
        own = [torch.zeros_like(p) if p.grad is None else p.grad for p in self._parameters]
        gradient = self._together.mean(torch.cat([part.flatten() for part in own]))
        gradient = gradient * min(1.0, norm / (float(gradient.norm()) + 1e-6))
        self._steps += 1
        first, second = self.BETAS
        self._mean.lerp_(gradient, 1 - first)
        self._square.mul_(second).addcmul_(gradient, gradient, value=1 - second)
        scale = (self._square / (1 - second**self._steps)).sqrt_().add_(self.EPSILON)
        change = self._mean / scale * (-rate / (1 - first**self._steps))
        for parameter, part in zip(self._parameters, torch.split(change, self._sizes), strict=True):
            parameter.mul_(1 - rate * self.DECAY).add_(part.view_as(parameter))
            parameter.grad = None


class EarlyStopping:
    """Ends the training when a validation loss no longer falls (Prechelt 1998)."""

    def __init__(self, patience: int) -> None:
        """patience: measurements that may pass without a lower loss."""
        self.patience = patience
        self.best: dict[str, Tensor] = {}
        self._lowest = float("inf")
        self._since = 0

    def over(self, model: nn.Module, loss: float) -> bool:
        """Take a measurement; keep the weights if it is the best one."""
        if loss < self._lowest:
            self._lowest, self._since = loss, 0
            self.best = {name: value.clone() for name, value in model.state_dict().items()}
        else:
            self._since += 1
        return self._since >= self.patience


def _groups(
    prepared: Sequence[_Prepared], order: Sequence[int], size: int
) -> list[list[_Prepared]]:
    """Batches of about one length."""
    alike = [prepared[i] for i in sorted(order, key=lambda i: len(prepared[i].posteriors) // 8)]
    return [alike[i : i + size] for i in range(0, len(alike), size)]


@torch.inference_mode()
def _mean_loss(model: IntentModel, prepared: Sequence[_Prepared], size: int) -> float:
    groups = _groups(prepared, range(len(prepared)), size)
    return float(np.mean([float(_loss(model, group)) for group in groups]))


def _loss(model: IntentModel, batch: Sequence[_Prepared]) -> Tensor:
    """Cross-entropy of the tags, of the pooled slots and of the intent."""
    pad = nn.utils.rnn.pad_sequence
    posteriors = pad([p.posteriors for p in batch], batch_first=True)
    tags = pad([p.tags for p in batch], batch_first=True, padding_value=IGNORED)
    lengths = torch.tensor([len(p.posteriors) for p in batch])
    scores, tag_logits = model(posteriors, lengths)
    intents = torch.tensor([p.intent for p in batch])
    loss: Tensor = nn.functional.cross_entropy(scores.intent, intents)
    if not model.values:
        return loss
    slots = torch.stack([p.slots for p in batch])
    pooled = torch.cat([logits[:, 1:] for logits in scores.slots], dim=1)
    # "Not being said" is the zero of the tags' log-odds.
    said = _slot_entropy(tag_logits, torch.zeros_like(model.absent), tags, model.values)
    return loss + said + _slot_entropy(pooled, model.absent, slots, model.values)


def _slot_entropy(values: Tensor, absent: Tensor, targets: Tensor, sizes: Sequence[int]) -> Tensor:
    """Cross-entropy of every slot, the sum of their means; all slots at once, as there are many.

    Args:
        values: (…, values of all slots) logits.
        absent: (S,) logits.
        targets: (…, S), 0 is absent, -100 costs nothing.
    """
    counts = torch.tensor(sizes)
    first = counts.cumsum(0) - counts
    of_slot = nn.functional.one_hot(torch.arange(len(sizes)).repeat_interleave(counts)).float()
    highest = values.detach().amax(dim=-1, keepdim=True).clamp(min=0)
    summed = (values - highest).exp() @ of_slot + (absent - highest).exp()
    chosen = values.gather(-1, (targets - 1).clamp(min=0) + first)
    entropy = highest + summed.log() - torch.where(targets > 0, chosen, absent)
    known = targets != IGNORED
    rest = tuple(range(targets.dim() - 1))
    means = (entropy * known).sum(dim=rest) / known.sum(dim=rest).clamp(min=1)
    return means.sum()


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
