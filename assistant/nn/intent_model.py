"""The intent model: an LSTM over phone-synchronous posteriors, many to one.

It reads a row for each phoneme heard, so speaking rate is mostly gone. Every step is tagged with
the slot values being said; a tag speaks of the phoneme heard `delay` steps before, so that "thirty"
can wait for "five". Tags are pooled over the utterance into one decision a slot
(each value, or absent), and attention over all hidden states (Bahdanau et al. 2015) gives the
intent. `step` carries the state of the LSTM (Hochreiter & Schmidhuber 1997) and the pooled sums,
so that a decision may be read at any time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..config import IntentConfig

INITIAL_LOG_ODDS = -5.0
"""Of a tag, before training."""


@dataclass(frozen=True, slots=True)
class IntentState:
    """What a stream carries from step to step.

    hidden, cell: (layers, B, H). tags: (B, tags) log of the pooled sum, weight: (B,) log of the
    attention's sum, context: (B, H) attended sum over exp(weight).
    """

    hidden: Tensor
    cell: Tensor
    tags: Tensor
    weight: Tensor
    context: Tensor


@dataclass(frozen=True, slots=True)
class IntentScores:
    """intent: (B, 1 + intents) logits, column 0 is "none"; slots: one (B, 1 + values) each,
    column 0 is "absent"."""

    intent: Tensor
    slots: tuple[Tensor, ...]


class IntentModel(nn.Module):
    """(B, T, P) phoneme posteriors to `IntentScores`."""

    def __init__(
        self, config: IntentConfig, phonemes: int, intents: int, values: Sequence[int]
    ) -> None:
        """values: the number of values of every slot."""
        super().__init__()
        self.config = config
        self.values = tuple(values)
        self.embed = nn.Linear(phonemes, config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size)  # posteriors are small numbers
        self.recurrent = nn.LSTM(
            config.hidden_size,
            config.hidden_size,
            config.layers,
            batch_first=True,
            dropout=config.dropout if config.layers > 1 else 0.0,
        )
        self.dropout = nn.Dropout(config.dropout)
        self.tag = nn.Linear(config.hidden_size, sum(values))
        self.attend = nn.Linear(config.hidden_size, 1)
        self.intent = nn.Linear(config.hidden_size, 1 + intents)
        self.absent = nn.Parameter(torch.zeros(len(self.values)))
        # Nothing is said at first: else every value begins with the sum of all steps.
        nn.init.constant_(self.tag.bias, INITIAL_LOG_ODDS)

    def initial_state(self, batch: int = 1) -> IntentState:
        """The state before the first step of `batch` streams."""
        new = self.absent.new_zeros
        recurrent = (self.config.layers, batch, self.config.hidden_size)
        return IntentState(
            hidden=new(recurrent),
            cell=new(recurrent),
            tags=new(batch, sum(self.values)) - torch.inf,
            weight=new(batch) - torch.inf,
            context=new(batch, self.config.hidden_size),
        )

    def forward(self, posteriors: Tensor, lengths: Tensor) -> tuple[IntentScores, Tensor]:
        """Whole utterances.

        Args:
            posteriors: (B, T, P) probabilities of the phone-synchronous rows, `delay` rows of
                zeros after the last.
            lengths: (B,), those rows included.

        Returns:
            the scores, and the tags (B, T, values of all slots) for training.
        """
        hidden, tags, _ = self._run(posteriors, self.initial_state(len(posteriors)))
        inside = torch.arange(posteriors.shape[1], device=lengths.device) < lengths[:, None]
        pooled = tags.masked_fill(~inside[:, :, None], -torch.inf).logsumexp(dim=1)
        weight = self.attend(hidden)[:, :, 0].masked_fill(~inside, -torch.inf).softmax(dim=1)
        return self._scores(pooled, torch.einsum("bt,bth->bh", weight, hidden)), tags

    def step(self, posteriors: Tensor, state: IntentState) -> IntentState:
        """Take some rows (B, T, P), T > 0, of as many streams."""
        hidden, tags, (last, cell) = self._run(posteriors, state)
        energy = self.attend(hidden)[:, :, 0]
        weight = torch.logaddexp(state.weight, energy.logsumexp(dim=1))
        attended = torch.einsum("bt,bth->bh", (energy - weight[:, None]).exp(), hidden)
        return IntentState(
            hidden=last,
            cell=cell,
            tags=torch.logaddexp(state.tags, tags.logsumexp(dim=1)),
            weight=weight,
            context=state.context * (state.weight - weight).exp()[:, None] + attended,
        )

    def read(self, state: IntentState) -> IntentScores:
        """The decision so far."""
        return self._scores(state.tags, state.context)

    def _run(
        self, posteriors: Tensor, state: IntentState
    ) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
        embedded = nn.functional.gelu(self.norm(self.embed(posteriors)))
        hidden, following = self.recurrent(embedded, (state.hidden, state.cell))
        hidden = self.dropout(hidden)
        return hidden, self.tag(hidden), following

    def _scores(self, pooled: Tensor, context: Tensor) -> IntentScores:
        slots = [
            torch.cat([absent.expand(len(pooled), 1), values], dim=1)
            for absent, values in zip(
                self.absent, torch.split(pooled, list(self.values), dim=1), strict=True
            )
        ]
        return IntentScores(intent=self.intent(context), slots=tuple(slots))
