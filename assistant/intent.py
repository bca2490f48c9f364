"""Intent stage: phoneme posteriors to a hypothesis, and to a decision at the end.

The LSTM says which slot values and which intent it heard; its log-odds are added to the arcs of the
command graph that speak of them, and the graph's best path decides. That path is compared with the
free phoneme loop: a likelihood ratio a phoneme, which gives a confidence, calibrated when the
commands were compiled. What stays below the threshold is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from .confidence import Calibration, Fit
from .config import DecisionConfig
from .grammar.agreement import Agreement
from .grammar.graph import GraphPath, GraphState, PhonemeGraph, greedy
from .grammar.layout import BLANK
from .grammar.network import SlotAssignment
from .nn.intent_model import IntentModel, IntentScores
from .types import Hypothesis, PosteriorChunk, Rejection, SlotValue

LOG_ODDS_LIMIT = 12.0
"""Nats at most that the LSTM may add to or take from a path: it advises, it does not forbid."""

BLANK_PENALTY = 3.0
"""Nats by which the blank is taken for less probable than the network says. CTC learns that three
rows in four are blank, and falls back on that where it hears badly; so the posteriors are divided
by a part of that prior (EESEN, Miao et al. 2015, divides by priors of all labels: arXiv 1507.08240;
those of the phonemes made no difference here)."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """A graph path and how well it fits, see `IntentDecoder.judge`."""

    path: GraphPath
    fit: Fit


class IntentDecoder:
    """The commands of one command set, ready to be heard.

    Partial hypotheses come from the graph alone, while rows arrive (`feed`); the decision takes
    the whole utterance's posteriors (`decide`).
    """

    def __init__(
        self,
        graph: PhonemeGraph,
        model: IntentModel,
        intents: Sequence[str],
        slots: Mapping[str, Sequence[SlotValue]],
        calibration: Calibration,
        config: DecisionConfig,
        device: torch.device | str = "cpu",
        refused: PhonemeGraph | None = None,
    ) -> None:
        """intents, slots: in the order of the model's outputs. refused: what must not be
        understood; None where nothing was named."""
        self.graph = graph
        self.model = model
        self.intents = tuple(intents)
        self.slots = {slot: tuple(values) for slot, values in slots.items()}
        self.calibration = calibration
        self.config = config
        self.device = torch.device(device)
        self.refused = refused
        self.reset()

    @property
    def threshold(self) -> float:
        """The confidence from which a reading is accepted."""
        return self.calibration.threshold_unless(self.config.confidence_threshold)

    @property
    def latency_ms(self) -> float:
        """Nothing is waited for: the decision follows the last row at once."""
        return 0.0

    def reset(self) -> None:
        """Forget the utterance."""
        self._state: GraphState = self.graph.initial_state(
            filler_penalty=self.config.filler_penalty
        )

    def feed(self, item: PosteriorChunk) -> list[Hypothesis]:
        """Take rows of the streaming pass; return the best reading so far, where there is one."""
        self._state = self.graph.step(self._state, less_blank(item.log_probs).numpy())
        found = self.graph.best_paths(self._state, final=False)
        return [self._hypothesis(path, 0.0, 0.0) for path in found if path.words]

    def flush(self) -> list[Hypothesis]:
        """The stream is over; nothing is left to say that `decide` would not say better."""
        self.reset()
        return []

    def decide(self, log_probs: Tensor) -> Hypothesis | Rejection:
        """Accept or refuse a whole utterance's log-posteriors (T, P)."""
        rows = log_probs.numpy()
        heard = greedy(rows)
        if len(heard) < self.config.minimum_phonemes:
            return Rejection("no speech: hardly a phoneme was heard")
        judged = self.judge(log_probs)
        if judged is None:
            return Rejection("too short for any command")
        best = self.hypothesis(judged)
        if best.confidence < self.threshold:
            return Rejection(
                f"not a command: nearest is '{best.text}', confidence {best.confidence:.2f} "
                f"is below {self.threshold:.2f}",
                best,
            )
        refused = self._refused(judged.path, log_probs)
        if refused is not None:
            return Rejection(f"must not be understood: '{refused}' fits better", best)
        return best

    def decide_early(self, log_probs: Tensor) -> Hypothesis | None:
        """What `decide` accepts of log-posteriors (T, P) up to a pause, if waiting is needless.

        That is, if no reading but one is left (`Agreement`), nothing was heard after its last word,
        and no sentence that must not be understood may come of it. None: the end must be waited
        for.
        """
        rows = log_probs.numpy()
        if len(greedy(rows)) < self.config.minimum_phonemes:
            return None
        path = self._agreement.path(self._search(log_probs), self.config.early_margin)
        if path is None or greedy(rows[path.spans[-1][1] :]):
            return None
        if self._may_be_refused(path, log_probs):
            return None
        best = self.hypothesis(self.weigh(path, log_probs))
        return best if best.confidence >= self.threshold else None

    def judge(self, log_probs: Tensor) -> Judgement | None:
        """The best path of LSTM and graph together, and the evidence for it; see `weigh`."""
        paths = self.graph.best_paths(self._search(log_probs))
        return self.weigh(paths[0], log_probs) if paths else None

    def weigh(self, path: GraphPath, log_probs: Tensor) -> Judgement:
        """How well a path fits (T, P) log-posteriors."""
        scores = less_blank(log_probs).numpy()
        return Judgement(path, Fit.of(path, scores, log_probs.numpy()))

    @torch.inference_mode()
    def intent_scores(self, log_probs: Tensor) -> IntentScores | None:
        """What the LSTM alone says of (T, P) log-posteriors; None where every row is blank."""
        posteriors, _ = phone_synchronous(log_probs, self.model.config.blank_threshold)
        if not len(posteriors):
            return None
        padded = torch.nn.functional.pad(posteriors, (0, 0, 0, self.model.config.delay))
        batch = padded[None].to(self.device)
        scores, _ = self.model(batch, torch.tensor([len(padded)], device=self.device))
        return IntentScores(scores.intent.cpu(), tuple(s.cpu() for s in scores.slots))

    def bonuses(
        self, scores: IntentScores | None, weight: float
    ) -> tuple[dict[SlotAssignment, float], dict[str, float]]:
        """What the LSTM adds to slot values and intents in the graph, in nats; `weight` scales."""
        if scores is None or not weight:
            return {}, {}
        return self._slot_bonus(scores, weight), self._intent_bonus(scores, weight)

    def hypothesis(self, judged: Judgement) -> Hypothesis:
        """A path as a reading, with the confidence that its evidence gives."""
        confidence = self.calibration.confidence(judged.fit.evidence)
        return self._hypothesis(judged.path, judged.fit.log_ratio, confidence)

    @cached_property
    def _agreement(self) -> Agreement:
        return Agreement.of(self.graph)

    @cached_property
    def _refused_agreement(self) -> Agreement | None:
        return None if self.refused is None else Agreement.of(self.refused)

    def _search(self, log_probs: Tensor) -> GraphState:
        """LSTM and graph together over whole (T, P) log-posteriors."""
        weight = self.config.lstm_weight
        scores = self.intent_scores(log_probs) if weight else None
        bonus, intent_bonus = self.bonuses(scores, weight)
        state = self.graph.initial_state(bonus, intent_bonus, self.config.filler_penalty)
        return self.graph.step(state, less_blank(log_probs).numpy())

    def _may_be_refused(self, path: GraphPath, log_probs: Tensor) -> bool:
        """Whether (T, P) may begin, or be, a sentence that must not be understood."""
        agreement = self._refused_agreement
        if agreement is None:
            return False
        begun = agreement.graph.initial_state(filler_penalty=self.config.filler_penalty)
        state = agreement.graph.step(begun, less_blank(log_probs).numpy())
        return agreement.best_log_prob(state) > path.log_prob - self.config.early_margin

    def _refused(self, path: GraphPath, log_probs: Tensor) -> str | None:
        """The sentence that must not be understood and fits (T, P) better than a path, if any."""
        if self.refused is None:
            return None
        scores, penalty = less_blank(log_probs).numpy(), self.config.filler_penalty
        found = self.refused.decode(scores, filler_penalty=penalty)
        if not found or found[0].log_prob <= path.log_prob:
            return None
        return " ".join(word.word for word in found[0].words)

    def _slot_bonus(self, scores: IntentScores, weight: float) -> dict[SlotAssignment, float]:
        bonus: dict[SlotAssignment, float] = {}
        for (slot, values), logits in zip(self.slots.items(), scores.slots, strict=True):
            log_odds = logits[0, 1:] - logits[0, 0]
            limited = log_odds.clamp(-LOG_ODDS_LIMIT, LOG_ODDS_LIMIT).tolist()
            bonus |= {
                SlotAssignment(slot, value): weight * odds
                for value, odds in zip(values, limited, strict=True)
            }
        return bonus

    def _intent_bonus(self, scores: IntentScores, weight: float) -> dict[str, float]:
        logits = scores.intent[0].log_softmax(0)[1:]
        limited = logits.clamp(min=-LOG_ODDS_LIMIT).tolist()
        return {name: weight * value for name, value in zip(self.intents, limited, strict=True)}

    def _hypothesis(self, path: GraphPath, log_ratio: float, confidence: float) -> Hypothesis:
        return Hypothesis(
            intent=path.intent,
            slots=path.slots,
            text=" ".join(word.word for word in path.words),
            confidence=confidence,
            log_ratio=log_ratio,
            words=path.words,
        )


def less_blank(log_probs: Tensor) -> Tensor:
    """Log-posteriors (T, P) with the blank `BLANK_PENALTY` less: what the graph is searched with.

    They are not normalised again: what a row lacks, all paths lack, the free loop as well.
    """
    scores = log_probs.clone()
    scores[:, BLANK] -= BLANK_PENALTY
    return scores


def phone_synchronous(log_probs: Tensor, blank_threshold: float) -> tuple[Tensor, Tensor]:
    """One row for each phoneme heard: the mean of neighbours that agree on the best phoneme.

    Rows where the blank, as `less_blank` has it, wins are left out, as Chen et al. (2016) do; they
    part two phonemes of a kind.

    Returns:
        Their probabilities (T', P), and the last of the T rows that each stands for: (T',).
    """
    probabilities = less_blank(log_probs).softmax(dim=1)
    heard = probabilities[:, BLANK] < blank_threshold
    best = torch.where(heard, probabilities[:, BLANK + 1 :].argmax(dim=1) + 1, BLANK)
    _, segments, lengths = torch.unique_consecutive(best, return_inverse=True, return_counts=True)
    sums = probabilities.new_zeros(len(lengths), probabilities.shape[1])
    sums.index_add_(0, segments, probabilities)
    last = lengths.cumsum(0) - 1
    kept = best[last] != BLANK
    return (sums / lengths[:, None])[kept], last[kept]
