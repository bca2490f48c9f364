"""What is measured of a layer over time: errors, size, delay, compute, how far gradients reach."""

from __future__ import annotations

import math
import statistics
import time
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from ..nn.acoustic_model import AcousticModel
from .acoustic_trainer import evaluate
from .batches import Example, collate
from .cells import BLOCK, Budget, Speech, Trained, Variant, model_for, parameters
from .rows import ROWS_PER_SECOND

REACH = 100
"""Rows over which gradients are followed back; also the length of what compute is measured on."""
UTTERANCES = 16
"""Held-out utterances over which gradients are averaged."""
REPEATS = 7
"""Timings of which the median counts."""


@dataclass(frozen=True)
class Operation:
    """A trained variant run in one way."""

    context: str
    """past, block or utterance: what a row's posteriors may depend on."""
    errors: int
    """Phonemes wrong on the held-out utterances."""
    reference: int
    """Phonemes said in them."""
    delay_ms: float | None
    """From a row's last sample to its posteriors, compute aside; None for the whole utterance."""
    compute_ms: float
    """Processor time of one thread for a second of audio, the rows given."""


@dataclass(frozen=True)
class Result:
    """All that is kept of a variant."""

    parameters: int
    """Of the whole model."""
    layers_parameters: int
    """Of the layers over time."""
    training_s: float
    """Seconds that training took."""
    losses: list[float | None]
    """CTC loss a phoneme, an update; None before CTC joins."""
    norms: list[float]
    """Norm of the gradient before clipping, an update."""
    operations: list[Operation]
    gradient_at_birth: list[float] | None
    """Of the causal networks, before training: see `gradient_by_distance`."""
    gradient: list[float] | None
    """The same after training."""

    def to_json(self) -> dict[str, object]:
        """Plain keys and values, five digits each."""
        return {key: _rounded(value) for key, value in asdict(self).items()}


def measure(
    variant: Variant, trained: Trained, training_s: float, speech: Speech, budget: Budget
) -> Result:
    """Everything about a trained variant."""
    model = trained.model
    at_birth = after = None
    long = [e for e in speech.held_out if e.length >= REACH][:UTTERANCES]
    if not variant.bidirectional and long:
        truncate = variant.truncate or None
        at_birth = gradient_by_distance(model_for(variant, speech, budget), long, truncate)
        after = gradient_by_distance(model, long, truncate)
    ways = [("past", 1, 0)]
    if variant.bidirectional:
        ways = [("block", *BLOCK), ("utterance", 0, 0)]
    return Result(
        parameters=parameters(model),
        layers_parameters=parameters(model.recurrent),
        training_s=training_s,
        losses=[None if math.isnan(loss) else loss for loss in trained.losses],
        norms=trained.norms,
        operations=[_operation(model, speech.held_out, *way) for way in ways],
        gradient_at_birth=at_birth,
        gradient=after,
    )


def _operation(
    model: AcousticModel, held_out: list[Example], context: str, centre: int, lookahead: int
) -> Operation:
    cpu = torch.device("cpu")
    blocked = (centre, lookahead) if context == "block" else (None, 0)
    error = evaluate(model, held_out, cpu, *blocked)
    row_ms = 1000 / ROWS_PER_SECOND
    return Operation(
        context=context,
        errors=error.errors,
        reference=error.length,
        delay_ms=(centre + lookahead) * row_ms if centre else None,
        compute_ms=compute_ms(model, centre, lookahead),
    )


@torch.inference_mode()
def compute_ms(model: AcousticModel, centre: int, lookahead: int) -> float:
    """Median processor time for a second of audio, in blocks of a stream or (centre 0) whole."""
    rows = torch.randn(1, REACH, model.config.input_size)
    lengths = torch.tensor([REACH])
    model.eval()
    taken = []
    for _ in range(REPEATS):
        begin = time.process_time()
        if centre:
            state = model.initial_state()
            for at in range(0, REACH, centre):
                block = rows[:, at : at + centre + lookahead]
                _, state = model.step(block, state, min(centre, REACH - at))
        else:
            model(rows, lengths)
        taken.append(time.process_time() - begin)
    return 1000 * statistics.median(taken) * ROWS_PER_SECOND / REACH


def gradient_by_distance(
    model: AcousticModel, examples: list[Example], truncate: int | None
) -> list[float]:
    """How strongly the last row's loss depends on the input rows before it.

    The loss is the negative log-probability of the phoneme most probable in the last of `REACH`
    rows (dropout off). Its gradient's norm at the row `d` rows earlier, divided by the norm at the
    last row itself, is averaged over the examples (Bengio et al. 1994 follow the same quantity).

    Returns:
        One ratio a distance, `REACH` of them; the first is 1.
    """
    model.eval()
    rows = collate(examples, None).rows[:, :REACH].clone().requires_grad_()
    lengths = torch.full((len(rows),), REACH)
    with torch.enable_grad():
        last: Tensor = model(rows, lengths, truncate=truncate)[:, -1, 1:]
        (gradient,) = torch.autograd.grad(-last.max(dim=1).values.sum(), rows)
    norms = gradient.double().norm(dim=2).flip(1)
    return [float(ratio) for ratio in (norms / norms[:, :1]).mean(dim=0)]


def _rounded(value: object) -> object:
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, list):
        return [_rounded(one) for one in value]
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    return value
