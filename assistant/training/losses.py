"""What the acoustic model's training makes small."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .batches import Batch


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
    return losses.sum() / int(batch.phoneme_lengths.sum())


def distillation_loss(log_probs: Tensor, teacher: Tensor, batch: Batch) -> Tensor:
    """Cross-entropy against a teacher's posteriors, row by row (Hinton et al. 2015), a phoneme.

    Padding adds nothing: there the teacher's log-posteriors are 0 and are left out.
    """
    rows = torch.arange(teacher.shape[1], device=teacher.device)
    inside = rows < batch.lengths.to(teacher.device)[:, None]
    crossed = -(teacher.exp() * log_probs.float()).sum(dim=-1)
    return (crossed * inside).sum() / int(batch.phoneme_lengths.sum())
