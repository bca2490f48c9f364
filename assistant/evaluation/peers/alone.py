"""The assistant's own halves as peers: what the LSTM and the command graph are worth alone.

Both read the posteriors of the full-context pass, as the joint decision does.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...acoustic import AcousticScorer
from ...engine import Engine
from ...intent import IntentDecoder
from ...types import Samples
from ..recogniser import Decision, decision_of

LSTM = "lstm-alone"
GRAPH = "graph-alone"
NOT_HEARD = Decision(None, {}, "", 0.0, None, "no phoneme was heard")


class Alone:
    """One half of the decision."""

    def __init__(self, name: str, engine: Engine) -> None:
        """name: `LSTM` or `GRAPH`."""
        self._features = engine.features()
        self._acoustic = AcousticScorer(engine.acoustic.model)
        self._decoder: IntentDecoder = engine.decoder(lstm_weight=0.0)
        self._decide = self._by_lstm if name == LSTM else self._by_graph

    def __call__(self, samples: Samples) -> Decision:
        """An utterance, mono, 16 kHz.

        Raises:
            UsageError: it is longer than the encoder has positions for.
        """
        self._features.refuse_longer(len(samples))
        rows = self._features.full_context(self._features.whole(samples))
        return self._decide(self._acoustic.full_context(rows))

    def _by_graph(self, log_probs: Tensor) -> Decision:
        return decision_of(self._decoder.decide(log_probs))

    def _by_lstm(self, log_probs: Tensor) -> Decision:
        """The most probable intent and values; refused where that is no intent at all."""
        scores = self._decoder.intent_scores(log_probs)
        if scores is None:
            return NOT_HEARD
        probabilities = scores.intent[0].softmax(0)
        named, place = torch.max(probabilities[1:], 0)
        intent = self._decoder.intents[int(place)]
        slots = {
            slot: values[int(logits[0].argmax()) - 1]
            for (slot, values), logits in zip(
                self._decoder.slots.items(), scores.slots, strict=True
            )
            if int(logits[0].argmax())
        }
        confidence = float(named)
        if probabilities[0] > named:
            return Decision(None, slots, "", confidence, intent, "the LSTM hears no command")
        return Decision(intent, slots, "", confidence)
