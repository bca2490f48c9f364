"""Layers over time that are compared: each of about the same size, trained on the same batches."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torchaudio.functional import forced_align

from ..config import AcousticConfig
from ..nn.acoustic_model import AcousticModel
from ..nn.encoded_model import EncodedAcousticModel
from ..nn.precision import fastest
from .batches import Example, batches, collate
from .feature_cache import CachedUtterance
from .losses import ctc_loss

LOG_MEL, ENCODER = "log-mel", "encoder"
BLOCK = (16, 8)
"""Centre and look-ahead rows of the latency-controlled networks."""

LASTING = 3
"""Rows of 40 ms that a phoneme may go on after CTC's label of it; beyond that it is silence."""


@dataclass(frozen=True)
class Variant:
    """One of those compared."""

    features: str
    """What the rows are: log-mel, or those of the frozen encoder."""
    cell: str
    """As in `AcousticConfig`."""
    bidirectional: bool = False
    """Whole in half of the updates, in blocks with look-ahead in the other half."""
    truncate: int = 0
    """Rows over which errors flow back; 0 for all."""
    clipped: bool = True
    """Whether the norm of the gradient is limited."""

    @property
    def name(self) -> str:
        """Its key among the results."""
        parts = [self.features, self.cell]
        parts += ["bidirectional"] if self.bidirectional else []
        parts += [f"truncated-{self.truncate}"] if self.truncate else []
        return "/".join([*parts, *([] if self.clipped else ["unclipped"])])


VARIANTS = (
    *(
        Variant(features, cell)
        for features in (LOG_MEL, ENCODER)
        for cell in ("rnn", "gru", "lstm")
    ),
    *(
        Variant(features, cell, bidirectional=True)
        for features in (LOG_MEL, ENCODER)
        for cell in ("rnn", "gru", "lstm", "transformer")
    ),
    *(Variant(LOG_MEL, "gru", truncate=rows) for rows in (10, 25)),
    *(Variant(LOG_MEL, cell, clipped=False) for cell in ("rnn", "gru")),
)
"""All there is; the last four show what truncation and clipping do."""


@dataclass(frozen=True)
class Budget:
    """The same for every variant."""

    updates: int = 500
    """Steps of the optimiser."""
    batch_rows: int = 1000
    """Rows a batch, padding included (25 rows are a second)."""
    training_seconds: float = 3000.0
    """Speech that the batches are drawn from."""
    held_out: int = 100
    """Utterances of held-out speakers measured on."""
    shortest_seconds: float = 2.0
    """Shorter utterances are left out."""
    longest_seconds: float = 6.0
    """Longer ones too."""
    parameters: int = 600_000
    """Weights in the layers over time, about."""
    projection_size: int = 128
    """Columns that those layers read; a Transformer's width."""
    layers: int = 2
    """Recurrent layers; of the Transformer, as many as give the parameters."""
    learning_rate: float = 2e-3
    """AdamW's peak, after a tenth of the updates; a cosine goes down from there."""
    gradient_norm: float = 1.0
    """What the norm is clipped to (Pascanu et al. 2013)."""
    frames_first: float = 0.5
    """Share of the updates that learn from a label a row alone, before CTC joins it."""
    seed: int = 1
    """Of weights, batches and blocks."""


@dataclass(frozen=True)
class Speech:
    """Rows of one kind, and what was said in them."""

    features: str
    training: list[Example]
    held_out: list[Example]
    columns: int
    phonemes: int
    """Outputs of a model, the blank included."""
    targets: Mapping[CachedUtterance, Tensor]
    """The label of every row (T,) of the training utterances."""


@dataclass(frozen=True)
class Trained:
    """A trained model, and how it went."""

    model: AcousticModel
    losses: list[float]
    """CTC loss a phoneme, an update; not a number before CTC joins."""
    norms: list[float]
    """Norm of the whole gradient before it is clipped, an update."""


class RowsInMemory:
    """Rows that were computed once, by utterance."""

    def __init__(self, rows: Mapping[CachedUtterance, npt.NDArray[np.float16]]) -> None:
        self._rows = rows

    def rows(self, utterance: CachedUtterance) -> npt.NDArray[np.float16]:
        """(T, D) rows of one utterance."""
        return self._rows[utterance]


@torch.inference_mode()
def encoded(
    examples: Sequence[Example], network: EncodedAcousticModel, advance: Callable[[int], None]
) -> list[Example]:
    """The same examples with the frozen encoder's rows (full context) in the place of log-mel.

    Args:
        advance: told how many more are done.
    """
    rows: dict[CachedUtterance, npt.NDArray[np.float16]] = {}
    ordered = sorted(examples, key=lambda e: e.length)
    for begin in range(0, len(ordered), 16):
        group = ordered[begin : begin + 16]
        batch = collate(group, None)
        with fastest():
            made = network.encode(batch.rows, batch.lengths).to(torch.float16)
        for example, one in zip(group, made, strict=True):
            rows[example.copies[0][1]] = one[: example.length].numpy()
        advance(len(group))
    memory = RowsInMemory(rows)
    return [replace(e, copies=((memory, e.copies[0][1]),)) for e in examples]


def model_for(variant: Variant, speech: Speech, budget: Budget) -> AcousticModel:
    """An untrained model whose layers over time have about the budget's parameters."""
    config = AcousticConfig(
        input_size=speech.columns,
        projection_size=budget.projection_size,
        cell=variant.cell,
        bidirectional=variant.bidirectional,
        hidden_size=budget.projection_size,
        layers=budget.layers,
        phonemes=speech.phonemes,
    )
    if variant.cell == "transformer":
        options = [replace(config, layers=n) for n in range(1, 13)]
    else:
        options = [replace(config, hidden_size=n) for n in range(8, 1025, 8)]
    at = bisect_left(options, budget.parameters, key=_layers_size)
    nearest = min(
        options[max(0, at - 1) : at + 1], key=lambda o: abs(_layers_size(o) - budget.parameters)
    )
    torch.manual_seed(budget.seed)
    model = AcousticModel(nearest)
    sample = collate(speech.training[:100], None)
    inside = torch.arange(sample.rows.shape[1]) < sample.lengths[:, None]
    model.normalise_as(sample.rows[inside])
    return model


def _layers_size(config: AcousticConfig) -> int:
    with torch.device("meta"):
        return parameters(AcousticModel(config).recurrent)


def train(variant: Variant, speech: Speech, budget: Budget, advance: Callable[[], None]) -> Trained:
    """Train a variant on the budget; the batches are the same for all variants of these features.

    Args:
        advance: called after every update.
    """
    model = model_for(variant, speech, budget)
    optimizer = torch.optim.AdamW(model.parameters(), lr=budget.learning_rate)
    rng, order = np.random.default_rng(budget.seed), np.random.default_rng(budget.seed)
    source = batches(speech.training, budget.batch_rows, rng, order)
    first = int(budget.frames_first * budget.updates)
    losses, norms = [], []
    for update in range(budget.updates):
        warm = min(1.0, (update + 1) / max(1, budget.updates // 10))
        cosine = 0.5 * (1 + math.cos(math.pi * update / budget.updates))
        optimizer.param_groups[0]["lr"] = budget.learning_rate * warm * max(cosine, 0.01)
        group = next(source)
        batch = collate(group, None)
        whole = not variant.bidirectional or update % 2 == 0
        centre, lookahead = (None, 0) if whole else BLOCK
        model.train()
        with fastest():
            log_probs = model(
                batch.rows, batch.lengths, centre, lookahead, variant.truncate or None
            )
        ctc = ctc_loss(log_probs, batch) if update >= first else None
        loss = frame_loss(log_probs, group, speech.targets) + (0.0 if ctc is None else ctc)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        limit = budget.gradient_norm if variant.clipped else math.inf
        norms.append(float(nn.utils.clip_grad_norm_(model.parameters(), limit)))
        optimizer.step()
        losses.append(math.nan if ctc is None else float(ctc.detach()))
        advance()
    return Trained(model.eval(), losses, norms)


@torch.inference_mode()
def aligned(
    model: nn.Module, examples: Sequence[Example], advance: Callable[[int], None]
) -> dict[CachedUtterance, Tensor]:
    """The label of every row (T,), from the best path through a trained model's output.

    CTC says a phoneme in a row or two and is blank until the next; here phonemes last until then.
    An utterance that has too few rows for such a path is left out.

    Args:
        model: the examples' rows and their lengths to log-posteriors.
        advance: told how many more are done.
    """
    model.eval()
    targets = {}
    for example in examples:
        advance(1)
        batch = collate([example], None)
        repeats = sum(a == b for a, b in pairwise(example.phonemes))
        if example.length < len(example.phonemes) + repeats:
            continue
        with fastest():
            log_probs = model(batch.rows, batch.lengths)
        labels, _ = forced_align(log_probs, batch.phonemes.int())
        targets[example.copies[0][1]] = lasting(labels[0].long())
    return targets


def lasting(labels: Tensor) -> Tensor:
    """Labels (T,) in which phonemes go on over the blanks after them, up to `LASTING` rows.

    The last blank before the same phoneme stays, or the two would be one.
    """
    made, blanks = labels.tolist(), 0
    for t in range(1, len(made)):
        blanks = blanks + 1 if labels[t] == 0 else 0
        same_follows = t + 1 < len(made) and made[t + 1] == made[t - 1]
        if 0 < blanks <= LASTING and not same_follows:
            made[t] = made[t - 1]
    return torch.tensor(made)


def frame_loss(
    log_probs: Tensor, group: Sequence[Example], targets: Mapping[CachedUtterance, Tensor]
) -> Tensor:
    """Mean cross-entropy (B, T, P) against the label of every row that has one."""
    labels = torch.full(log_probs.shape[:2], -100)
    for row, example in zip(labels, group, strict=True):
        known = targets.get(example.copies[0][1])
        if known is not None:
            row[: len(known)] = known
    return nn.functional.nll_loss(log_probs.flatten(0, 1), labels.flatten())


def parameters(module: nn.Module) -> int:
    """Weights and biases of a network."""
    return sum(p.numel() for p in module.parameters())
