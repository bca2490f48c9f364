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
from .sentence_source import IGNORED, SentenceSource, SplicedUtterance


@dataclass(frozen=True)
class IntentTrainingConfig:
    """How much is drawn and how long is learnt."""

    sentences: int = 3000
    """Sentences spliced."""
    negatives: float = 0.2
    """Share of them that are no command."""
    noisy: float = 0.5
    """Share spliced from augmented speech."""
    epochs: int = 8
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
    posteriors, heard = phone_synchronous(utterance.log_probs, config.blank_threshold)
    if not heard.any():
        return None
    pad = nn.functional.pad
    return _Prepared(
        posteriors=pad(posteriors, (0, 0, 0, config.delay)),
        tags=pad(utterance.tags[heard], (0, 0, config.delay, 0)),
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
    drawn = source.draw(
        config.sentences, config.negatives, config.noisy, config.seed, misheard=True
    )
    prepared = [p for u in drawn if (p := _prepare(u, model.config)) is not None]
    fresh = source.draw(
        config.validation, config.negatives, config.noisy, config.seed + 2, misheard=True
    )
    validation = [p for u in fresh if (p := _prepare(u, model.config)) is not None]
    stopping = EarlyStopping(config.patience)
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.learning_rate)
    rng = np.random.default_rng(config.seed)
    steps = config.epochs * -(-len(prepared) // config.batch_size)
    step = 0
    for _ in range(config.epochs):
        model.train()
        groups = _groups(prepared, rng.permutation(len(prepared)).tolist(), config.batch_size)
        for i in rng.permutation(len(groups)):
            for group in optimizer.param_groups:
                group["lr"] = config.learning_rate * min(1.0, 1.02 - step / steps)
            loss = _loss(model, groups[i])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(model.parameters(), config.gradient_norm)
            optimizer.step()
            step += 1
            progress(step / steps, f"loss {float(loss.detach()):.3f}")
        model.eval()
        if stopping.over(model, _mean_loss(model, validation, config.batch_size)):
            break
    if stopping.best:
        model.load_state_dict(stopping.best)
    return exact_match(model, source.draw(300, config.negatives, config.noisy, config.seed + 1))


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
    slots = torch.stack([p.slots for p in batch])
    entropy = nn.functional.cross_entropy
    loss: Tensor = entropy(scores.intent, intents)
    if not (slots != IGNORED).any():
        return loss
    for number, logits in enumerate(tag_logits.split(model.values, dim=2)):
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
