"""Latency by chunk: how long each call of `feed` takes, by what happened in it.

Blocks of 20 ms go through the whole pipeline, endpointer and early commit included, with a pause
after every recording, long enough to end the utterance. Beside a call's own time stands how late it
comes when blocks arrive every 20 ms as from a microphone: what is long holds up those after it.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ...engine import Engine
from ...types import SAMPLE_RATE, Samples, SpeechStarted, Utterance
from .compute import BLOCK, in_a_room
from .stopwatch import Stopwatch, percentiles

BLOCK_SECONDS = BLOCK / SAMPLE_RATE
KINDS = (
    "no speech",
    "an utterance begins",
    "speech, between chunks",
    "a chunk: encoder and acoustic model",
    "a pause: an early decision tried",
    "the end: decision at full context",
)
"""What happens in a call, from the least to the most; a call counts as the last that fits."""


def measure(engine: Engine, speech: Sequence[Samples]) -> dict[str, Any]:
    """Percentiles of all calls, and by what happened in them."""
    ended: list[Utterance] = []
    config = replace(engine.config, early_commit=True)
    pipeline = replace(engine, config=config).pipeline(observe=ended.append)
    stopwatch = Stopwatch()
    stopwatch.wrap(pipeline.acoustic, "feed", "chunk")
    stopwatch.wrap(pipeline.intent, "decide_early", "early")
    taken: dict[str, list[float]] = defaultdict(list)
    late: dict[str, list[float]] = defaultdict(list)
    for number, samples in enumerate([speech[0], *speech]):  # the first time warms up
        speaking, behind = False, 0.0
        whole = in_a_room(samples)
        for at in range(0, len(whole), BLOCK):
            stopwatch.clear()
            ended.clear()
            start = time.perf_counter()
            events = pipeline.feed(whole[at : at + BLOCK])
            seconds = time.perf_counter() - start
            began = any(isinstance(event, SpeechStarted) for event in events)
            speaking = (speaking or began) and not ended
            happened = (
                True,
                began,
                speaking and not began,
                stopwatch.calls["chunk"] > 0,
                stopwatch.calls["early"] > 0,
                bool(ended),
            )
            kind = [name for name, so in zip(KINDS, happened, strict=True) if so][-1]
            behind += seconds  # so long after the block was there, what it brought is done
            if number:
                taken[kind].append(seconds)
                late[kind].append(behind)
            behind = max(0.0, behind - BLOCK_SECONDS)  # by then the next block is there
        pipeline.flush()
    calls = [seconds for of_kind in taken.values() for seconds in of_kind]
    return {
        "block_ms": BLOCK_SECONDS * 1000,
        "chunk_ms": engine.acoustic.features.chunk_rows * engine.acoustic.features.row_ms,
        "all": percentiles(calls),
        "share_beyond_a_block": round(float(np.mean(np.array(calls) > BLOCK_SECONDS)), 5),
        "by_what_happened": {
            kind: {"call_ms": percentiles(taken[kind]), "late_ms": percentiles(late[kind])}
            for kind in KINDS
            if taken[kind]
        },
    }
