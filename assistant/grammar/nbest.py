"""The n best readings of an utterance: what else the commands could have heard in it.

The search of `graph` keeps one path for each end. For the next best, the space of readings is cut
around the best one (Lawler 1972): without one of the slot values it says, or with a slot that it
leaves open. Each part is searched anew, so a reading costs a few searches; the decision needs none.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import count

import numpy as np

from .graph import GraphPath, PhonemeGraph
from .layout import Floats, GraphLayout
from .network import SlotAssignment

REQUIRED = 1000.0
"""Nats that saying a slot earns where it must be said; no sentence left without it is as good."""


@dataclass(frozen=True, slots=True)
class _Part:
    """Readings that end at `end` (None: anywhere), without `forbidden`, with all of `required`."""

    end: int | None
    forbidden: frozenset[SlotAssignment]
    required: frozenset[str]


def best_readings(
    graph: PhonemeGraph,
    log_probs: Floats,
    bonus: Mapping[SlotAssignment, float] | None = None,
    intent_bonus: Mapping[str, float] | None = None,
    best: int = 5,
    filler_penalty: float | None = None,
) -> list[GraphPath]:
    """The best path of each of the `best` best readings, highest score first.

    A reading is an intent with its slots. The list is complete where no sentence sets one slot
    twice and none lies `REQUIRED` nats behind. Arguments as for `PhonemeGraph.decode`.

    Raises:
        BundleError: `log_probs` has too few columns or is not finite.
    """
    order = count()
    whole = _Part(None, frozenset(), frozenset())
    queue: list[tuple[float, int, GraphPath, _Part]] = []
    searched = {whole}

    def search(part: _Part) -> None:
        state = graph.step(
            graph.initial_state(
                _biased(graph.layout, bonus or {}, part), intent_bonus, filler_penalty
            ),
            log_probs,
        )
        ends = range(len(graph.layout.ends)) if part.end is None else (part.end,)
        for end in ends:
            alone = np.full_like(state.end_bonus, -np.inf)
            alone[end] = state.end_bonus[end]
            for path in graph.best_paths(replace(state, end_bonus=alone)):
                if part.required <= {value.slot for value in path.said}:
                    score = path.score - REQUIRED * len(part.required)
                    found = replace(path, score=score)
                    heapq.heappush(queue, (-score, next(order), found, replace(part, end=end)))

    search(whole)
    readings: list[GraphPath] = []
    while queue:
        _, _, path, part = heapq.heappop(queue)
        if all((path.intent, path.slots) != (other.intent, other.slots) for other in readings):
            readings.append(path)
        if len(readings) == best:
            break
        for rest in _without(path, part, graph.layout):
            if rest not in searched:
                searched.add(rest)
                search(rest)
    return readings


def _biased(
    layout: GraphLayout, bonus: Mapping[SlotAssignment, float], part: _Part
) -> dict[SlotAssignment, float]:
    biased = dict(bonus)
    for value in layout.values:
        if value in part.forbidden:
            biased[value] = -np.inf
        elif value.slot in part.required:
            biased[value] = biased.get(value, 0.0) + REQUIRED
    return biased


def _without(path: GraphPath, part: _Part, layout: GraphLayout) -> Iterator[_Part]:
    """Parts that together hold every reading of `part` but that of `path`."""
    for value in path.said:
        yield replace(part, forbidden=part.forbidden | {value})
    said = {value.slot for value in path.said}
    for slot in sorted(_slots_before(layout, layout.ends[part.end or 0][0]) - said - part.required):
        yield replace(part, required=part.required | {slot})


def _slots_before(layout: GraphLayout, end: int) -> set[str]:
    """Slots that are said on some way to the junction `end`."""
    slots: set[str] = set()
    reached, pending = {end}, [end]
    while pending:
        junction = pending.pop()
        sources = {int(source) for source in layout.sources(junction)}
        chains = layout.chains_into(junction)
        for chain in range(chains.start or 0, chains.stop):
            sources.add(int(layout.chain_source[chain]))
            if layout.chain_value[chain] >= 0:
                slots.add(layout.values[layout.chain_value[chain]].slot)
        pending += sources - reached
        reached |= sources
    return slots
