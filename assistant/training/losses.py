"""What the acoustic model's training makes small."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .batches import Batch


def training_loss(
    log_probs: Tensor, batch: Batch, teacher_weight: float = 0.0, consistency: float = 0.0
) -> Tensor:
    """CTC's loss, in part a teacher's where there is one, and what two views differ by.

    Args:
        log_probs: (B, T, P), on the device that the loss shall be on.
        teacher_weight: share of the teacher's in the place of CTC's.
        consistency: weight of `consistency_loss`; above 0, the batch is two views of everything.
    """
    loss = ctc_loss(log_probs, batch)
    if batch.teacher is not None:
        taught = distillation_loss(log_probs, batch.teacher.to(log_probs.device), batch)
        loss = loss + teacher_weight * (taught - loss)
    if consistency:
        loss = loss + consistency * consistency_loss(log_probs, batch)
    return loss


def ctc_loss(log_probs: Tensor, batch: Batch) -> Tensor:
    """Connectionist temporal classification (Graves et al. 2006), mean a phoneme of the batch."""
    losses = nn.functional.ctc_loss(
        log_probs.transpose(0, 1).float(),
        batch.phonemes.to(log_probs.device),
        batch.lengths,
        batch.phoneme_lengths,
        reduction="none",
        zero_infinity=True,
    )
    return losses.sum() / _phonemes(batch)


def consistency_loss(log_probs: Tensor, batch: Batch) -> Tensor:
    """How much two views of an utterance differ, a phoneme (CR-CTC, Yao et al. 2025).

    The first half of the batch is one view, the second the other: the Kullback–Leibler divergence
    of each from the other, row by row, where the one that is learnt from counts as given.
    """
    both = log_probs.float()
    other = both.detach().roll(len(both) // 2, 0)
    return _a_phoneme((other.exp() * (other - both)).sum(dim=-1), batch)


def distillation_loss(log_probs: Tensor, teacher: Tensor, batch: Batch) -> Tensor:
    """Cross-entropy against a teacher's posteriors, row by row (Hinton et al. 2015), a phoneme.

    Padding adds nothing: there the teacher's log-posteriors are 0 and are left out.
    """
    return _a_phoneme(-(teacher.exp() * log_probs.float()).sum(dim=-1), batch)


def _a_phoneme(losses: Tensor, batch: Batch) -> Tensor:
    """The sum of the losses (B, T) of all rows that are no padding, by the batch's phonemes."""
    rows = torch.arange(losses.shape[1], device=losses.device)
    inside = rows < batch.lengths.to(losses.device)[:, None]
    return (losses * inside).sum() / _phonemes(batch)


def _phonemes(batch: Batch) -> int:
    """How many there are in a batch; at least 1, since nothing may be heard in what has no text."""
    return max(1, int(batch.phoneme_lengths.sum()))
