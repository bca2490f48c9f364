"""The user's takes as the acoustic model hears them, aligned with what they say."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..acoustic import AcousticScorer
from ..engine import Engine
from ..errors import AssistantError
from ..grammar.graph import GraphPath
from ..grammar.network import SlotAssignment
from ..intent import IntentDecoder, less_blank
from ..recording import read_file
from .posterior_bank import LogProbs
from .takes import Take

WORST_FIT = -3.0
"""Nats a phoneme below which a recording is not what its line says.

Of 80 real coffee orders none was worse than -1.2; against another order's label, none better
than -3.1.
"""
SAID_BONUS = 60.0
"""Nats that draw the search through the values that are said; no sound speaks louder."""
MARGIN_ROWS = 2
"""Rows at most before and after a word's phonemes that are still the word's."""


@dataclass(frozen=True, slots=True)
class HeardTake:
    """A take, its log-posteriors (T, P), and the path through the graph that it says."""

    take: Take
    log_probs: Tensor
    path: GraphPath

    def words(self) -> Iterator[tuple[str, LogProbs]]:
        """Each word that is said with its rows, up to the middle between it and its neighbours."""
        words = self.path.words
        rows = self.log_probs.numpy()
        for i, word in enumerate(words):
            begin = (words[i - 1].end_row + word.start_row) // 2 if i else 0
            after = (
                (word.end_row + words[i + 1].start_row) // 2 if i + 1 < len(words) else len(rows)
            )
            begin = max(begin, word.start_row - MARGIN_ROWS)
            yield word.word, rows[begin : min(after, word.end_row + MARGIN_ROWS)]


def hear_takes(
    takes: Sequence[Take], engine: Engine, progress: Callable[[float, str], None]
) -> tuple[list[HeardTake], list[str]]:
    """What can be used of the takes, and a line for each that cannot.

    A take goes through encoder and acoustic model at full context, as an utterance does when it
    is decided on.
    """
    features = engine.features()
    acoustic = AcousticScorer(engine.acoustic.model)
    decoder = engine.decoder()
    heard: list[HeardTake] = []
    problems: list[str] = []
    for number, take in enumerate(takes):
        progress(number / len(takes), f"hearing {take.path.name}")
        try:
            samples = read_file(take.path).whole()
            features.reset()
            log_mel = [chunk.log_mel for chunk in (*features.feed(samples), *features.flush())]
        except AssistantError as error:
            problems.append(f"{take.where}: {error}")
            continue
        log_probs = acoustic.full_context(features.full_context(torch.cat(log_mel)))
        path = said_path(decoder, log_probs, take)
        if path is None or decoder.weigh(path, log_probs).fit.log_ratio < WORST_FIT:
            problems.append(
                f"{take.where}: {take.path.name} does not sound like what the line says; "
                "listen to it, then correct the line or record it again"
            )
            continue
        heard.append(HeardTake(take, log_probs, path))
    return heard, problems


def said_path(decoder: IntentDecoder, log_probs: Tensor, take: Take) -> GraphPath | None:
    """The best of the sentences that mean what a take says, aligned; None where none fits in."""
    bonus = {
        SlotAssignment(slot, value): SAID_BONUS if take.slots.get(slot) == value else -np.inf
        for slot, values in decoder.slots.items()
        for value in values
    }
    intents = {name: 0.0 if name == take.intent else -np.inf for name in decoder.intents}
    penalty = decoder.config.filler_penalty
    scores = less_blank(log_probs).numpy()
    paths = decoder.graph.decode(scores, bonus, intents, filler_penalty=penalty)
    if not paths or (paths[0].intent, dict(paths[0].slots)) != take.reading:
        return None
    return paths[0]
