"""The command graph: all sentences of a command set, searched with CTC posteriors.

The search is exact Viterbi over the states of `layout`, without a beam: a row of posteriors costs
a dozen vector operations whatever the sentences are. All rows of scores are kept, and the way back
finds each best predecessor in them again; that is faster than storing back-pointers and takes
4 bytes a state and row (6 MB for 10,000 states and 6 s of speech).

This module does not know how posteriors are made, nor whether the best sentence is good enough.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from ..errors import BundleError
from ..types import SlotValue, WordTime
from .layout import BLANK, START, Floats, GraphLayout, Pronunciations
from .network import Final, SlotAssignment, WordNetwork


def free_loop_score(log_probs: Floats) -> float:
    """Log probability of the best path of the free phoneme loop through `log_probs` (T, P)."""
    return float(log_probs.max(axis=1).sum(dtype=np.float64)) if len(log_probs) else 0.0


def greedy(log_probs: Floats) -> list[int]:
    """Phoneme ids of the free loop's best path: repeats joined, blanks dropped."""
    if not len(log_probs):
        return []
    ids = log_probs.argmax(axis=1)
    changes = np.append(True, ids[1:] != ids[:-1])
    return [int(i) for i in ids[changes] if i != BLANK]


@dataclass(frozen=True, slots=True)
class GraphPath:
    """One way through the graph.

    `words` carry the rows [start_row, end_row) from their first to their last phoneme, `spans`
    those of each phoneme; `said` are the slot values that the words set. `log_prob` is the log
    probability of the path (the filler's penalties included), `score` adds the bonuses.
    A partial path holds the words completed so far and their slots; its `intent` is empty until
    all its continuations have the same.
    """

    intent: str
    slots: Mapping[str, SlotValue]
    words: tuple[WordTime, ...]
    phonemes: tuple[int, ...]
    spans: tuple[tuple[int, int], ...]
    said: tuple[SlotAssignment, ...]
    log_prob: float
    score: float


@dataclass(frozen=True, slots=True, eq=False)
class GraphState:
    """The search after some rows.

    `history` holds the scores of all positions, (rows, positions) a chunk, relative to the free
    loop; its first chunk is the single row before speech. `free_score` is the free loop's score.
    Bonuses and penalty stay as `initial_state` was given them, laid out for the chains and ends.
    """

    history: tuple[Floats, ...]
    free_score: float
    chain_bonus: Floats
    end_bonus: Floats
    filler_penalty: float | None

    @property
    def rows(self) -> int:
        """Rows of posteriors heard so far."""
        return sum(map(len, self.history)) - 1


@dataclass(frozen=True, eq=False)
class PhonemeGraph:
    """A compiled command set, ready to be searched; build it with `compile`."""

    layout: GraphLayout

    @classmethod
    def compile(cls, network: WordNetwork, pronunciations: Pronunciations) -> PhonemeGraph:
        """Lay out a word network with a lexicon; all ways to say a word weigh the same.

        Raises:
            ConfigError: a word without a usable pronunciation, or no sentence at all.
        """
        return cls(GraphLayout.of(network, pronunciations))

    @classmethod
    def compile_any(
        cls, network: WordNetwork | None, pronunciations: Pronunciations
    ) -> PhonemeGraph | None:
        """`compile`, where there is a network at all."""
        return None if network is None else cls.compile(network, pronunciations)

    @property
    def states(self) -> int:
        """Label and blank states, those of the junctions included."""
        return self.layout.positions - len(self.layout.chain_first)

    # ── the search ─────────────────────────────────────────────────────────────────────────

    def decode(
        self,
        log_probs: Floats,
        bonus: Mapping[SlotAssignment, float] | None = None,
        intent_bonus: Mapping[str, float] | None = None,
        best: int = 1,
        filler_penalty: float | None = None,
    ) -> list[GraphPath]:
        """Search whole utterances: `initial_state`, `step` and `best_paths` in one.

        Args:
            log_probs: phoneme log-posteriors (T, P), column 0 the CTC blank.
            bonus: added on entering the first word of a slot value; -inf forbids the value.
            intent_bonus: added at the end of a sentence of that intent.
            best: readings wanted, see `best_paths`.
            filler_penalty: where given, rows before and after the sentence may be anything, at
                their best log probability minus this, so that hesitation and noise are absorbed.

        Returns:
            The best paths, best first; none where T rows are too few for any sentence.

        Raises:
            BundleError: `log_probs` has too few columns or is not finite.
        """
        state = self.initial_state(bonus, intent_bonus, filler_penalty)
        return self.best_paths(self.step(state, log_probs), best=best)

    def initial_state(
        self,
        bonus: Mapping[SlotAssignment, float] | None = None,
        intent_bonus: Mapping[str, float] | None = None,
        filler_penalty: float | None = None,
    ) -> GraphState:
        """The search before the first row; arguments as for `decode`."""
        layout = self.layout
        value_bonus = [(bonus or {}).get(value, 0.0) for value in layout.values]
        end_bonus = [(intent_bonus or {}).get(final.intent, 0.0) for _, final in layout.ends]
        chain_bonus = np.array([*value_bonus, 0.0], np.float32)[layout.chain_value]
        scores = np.full((1, layout.positions), -np.inf, np.float32)
        junctions, _, blanks = layout.parts(scores[0])
        junctions[START] = 0.0
        blanks[layout.chain_first] = layout.close(junctions)[layout.chain_source] + chain_bonus
        return GraphState(
            history=(scores,),
            free_score=0.0,
            chain_bonus=chain_bonus,
            end_bonus=np.array(end_bonus, np.float32),
            filler_penalty=filler_penalty,
        )

    def step(self, state: GraphState, log_probs: Floats) -> GraphState:
        """Go on by the rows of `log_probs` (T, P); any cut of the rows gives the same state.

        Raises:
            BundleError: `log_probs` has too few columns or is not finite.
        """
        if not len(log_probs):
            return state
        layout = self.layout
        log_probs = np.asarray(log_probs, np.float32)
        peaks = _checked_peaks(log_probs, int(layout.labels.max()) + 1)
        scores = np.empty((len(log_probs), layout.positions), np.float32)
        reach = np.empty(len(layout.labels), np.float32)
        penalty = np.inf if state.filler_penalty is None else state.filler_penalty
        sentence_edges = np.array([START, *(end for end, _ in layout.ends)])
        free_score = state.free_score
        junctions, labels, blanks = layout.parts(state.history[-1][-1])
        closed = layout.close(junctions)
        for row, peak, now in zip(log_probs - peaks[:, None], peaks, scores, strict=True):
            new_junctions, new_labels, new_blanks = layout.parts(now)
            # A label goes on, or follows its blank (first in the chain: is entered), or skips it.
            reach[0] = -np.inf
            np.add(labels[:-1], layout.skip[1:], out=reach[1:])
            np.maximum(reach, blanks, out=reach)
            np.maximum(reach, labels, out=reach)
            np.take(row, layout.labels, out=new_labels, mode="clip")  # "clip" writes into `out`
            new_labels += reach
            # A blank goes on, or follows the label before it.
            np.maximum(blanks[1:], labels[:-1], out=new_blanks[1:])
            new_blanks[1:] += row[BLANK]
            # A junction goes on with a blank (or filler), or a chain ends in it.
            np.add(closed, row[BLANK], out=new_junctions)
            new_junctions[sentence_edges] = closed[sentence_edges] + max(row[BLANK], -penalty)
            ended = np.maximum.reduceat(new_labels[layout.chain_last], layout.entered_from)
            new_junctions[layout.entered] = np.maximum(new_junctions[layout.entered], ended)
            closed = layout.close(new_junctions)
            new_blanks[layout.chain_first] = closed[layout.chain_source] + state.chain_bonus
            junctions, labels, blanks = new_junctions, new_labels, new_blanks
            free_score += float(peak)
        return replace(state, history=(*state.history, scores), free_score=free_score)

    # ── its results ────────────────────────────────────────────────────────────────────────

    def best_paths(self, state: GraphState, final: bool = True, best: int = 1) -> list[GraphPath]:
        """What the rows so far say.

        Args:
            state: the search so far.
            final: whether the sentence must be over; else the one most probable partial path.
            best: most readings wanted. Each is the best path into another end of the graph, and
                no two agree in intent and slots; it is not a complete n-best list, which is
                `nbest.best_readings`.

        Returns:
            Paths with the highest `score` first; empty where no sentence fits into the rows.
        """
        layout = self.layout
        paths: list[GraphPath] = []
        if not final:
            standing = self.standing(state)
            position = int(standing.argmax())  # on a tie the junction: the word is complete
            if standing[position] > -np.inf:
                paths.append(self.path_to(state, position))
            return paths
        closed = layout.close(layout.parts(state.history[-1][-1])[0])
        scores = closed[[junction for junction, _ in layout.ends]] + state.end_bonus
        for index in np.argsort(-scores, kind="stable"):
            if len(paths) == best or scores[index] == -np.inf:
                break
            junction, end = layout.ends[index]
            path = self._path(state, junction, end, scores[index], state.end_bonus[index])
            if all((path.intent, path.slots) != (other.intent, other.slots) for other in paths):
                paths.append(path)
        return paths

    def path_to(self, state: GraphState, position: int) -> GraphPath:
        """The best partial path to a position in the row of scores that is last."""
        only = int(self.layout.intent_of[position])
        so_far = Final(self.layout.intents[only] if only >= 0 else "", {})
        return self._path(state, position, so_far, state.history[-1][-1][position])

    def standing(self, state: GraphState) -> Floats:
        """Scores after the last row (positions,), without those of chains not yet entered."""
        standing: Floats = state.history[-1][-1].copy()
        self.layout.parts(standing)[2][self.layout.chain_first] = -np.inf
        return standing

    def _path(
        self,
        state: GraphState,
        position: int,
        end: Final,
        score: np.float32,
        end_bonus: np.float32 = np.float32(0.0),  # noqa: B008
    ) -> GraphPath:
        """The best path to `position`; its `score`, relative to the free loop, has all bonuses."""
        layout = self.layout
        spans: dict[int, tuple[int, int]] = {}  # label state: first row, one past the last
        for label, row in self._trace(state, position):
            spans[label] = (row, spans[label][1] if label in spans else row + 1)
        said = list(reversed(spans))
        words = [layout.words[layout.word_of[label]] for label in said]
        completed = [word for label, word in zip(said, words, strict=True) if label == word.last]
        assigned = [word.assignment for word in completed if word.assignment]
        chain_bonus = state.chain_bonus[np.isin(layout.chain_first, said)].sum()
        return GraphPath(
            intent=end.intent,
            slots={**end.slots, **{value.slot: value.value for value in assigned}},
            words=tuple(WordTime(w.word, spans[w.first][0], spans[w.last][1]) for w in completed),
            phonemes=tuple(int(layout.labels[label]) for label in said),
            spans=tuple(spans[label] for label in said),
            said=tuple(dict.fromkeys(assigned)),
            log_prob=state.free_score + float(score - chain_bonus - end_bonus),
            score=state.free_score + float(score),
        )

    def _trace(self, state: GraphState, position: int) -> Iterator[tuple[int, int]]:
        """Label states of the best path to `position` with their rows, last row first."""
        layout = self.layout
        count = len(layout.labels)
        rows = [row for chunk in state.history for row in chunk]
        time = len(rows) - 1  # `rows[time]` is after row `time - 1` of the posteriors
        while time > 0:
            now, before = rows[time], rows[time - 1]
            if position < layout.junctions:
                sources = layout.sources(position)
                position = int(sources[now[sources].argmax()])
                ended = layout.last_labels(position) + layout.junctions
                if len(ended) and now[ended].max() == now[position]:
                    position = int(ended[now[ended].argmax()])
                    continue
            elif position < layout.junctions + count:
                label = position - layout.junctions
                yield label, time - 1
                blank, skip = before[position + count], before[position - 1] + layout.skip[label]
                if before[position] < max(blank, skip):
                    entry = layout.entry(label)
                    if entry is not None:
                        position = entry
                    else:
                        position = position + count if blank >= skip else position - 1
            elif before[position] < before[position - count - 1]:
                position -= count + 1
            time -= 1


def _checked_peaks(log_probs: Floats, columns: int) -> Floats:
    """The best log probability of each row."""
    if log_probs.ndim != 2 or log_probs.shape[1] < columns:
        raise BundleError(
            f"posteriors of shape {log_probs.shape} do not fit commands that use {columns} "
            "columns: compile the commands for this acoustic model"
        )
    peaks: Floats = log_probs.max(axis=1)
    if not np.isfinite(peaks).all():
        raise BundleError("posteriors are not finite: verify the acoustic bundle, or fetch it anew")
    return peaks
