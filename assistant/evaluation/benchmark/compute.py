"""Compute by stage: seconds of work for a second of audio, while someone speaks and in silence."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...engine import Engine
from ...pipeline import Pipeline
from ...types import SAMPLE_RATE, Samples
from ...vad import Endpointer, WebRtcDetector
from .machine import peak_mb
from .stopwatch import Stopwatch, percentiles

BLOCK = 320
"""Samples fed at a time, as a microphone would: 20 ms."""
ROOM_LEVEL = 1e-3
"""RMS of a quiet room's noise, -60 dB of full scale."""
PAUSE_SECONDS = 1.0
"""Before and after a recording; beyond the hangover of 700 ms."""
STREAMING = (
    ("log-mel", "features.log_mel", ("frames",)),
    ("encoder, in chunks", "features", ("feed", "flush")),
    ("acoustic model, in blocks", "acoustic", ("feed",)),
    ("partial hypotheses", "intent", ("feed",)),
)
FULL_CONTEXT = (
    ("encoder, full context", "features", ("full_context",)),
    ("acoustic model, full context", "acoustic", ("full_context",)),
    ("decision: LSTM", "intent", ("intent_scores",)),
    ("decision: graph and confidence", "intent", ("decide",)),
)
"""A stage, the part of the pipeline and its methods that do it."""


def watch(pipeline: Pipeline) -> Stopwatch:
    """A stopwatch on every stage of a pipeline behind the endpointer."""
    stopwatch = Stopwatch()
    for stage, place, methods in (*STREAMING, *FULL_CONTEXT):
        owner: Any = pipeline
        for name in place.split("."):
            owner = getattr(owner, name)
        for method in methods:
            stopwatch.wrap(owner, method, stage)
    return stopwatch


def stream(pipeline: Pipeline, samples: Samples) -> tuple[list[float], float]:
    """Feed a stream block by block; seconds of each call, and of the flush at its end."""
    calls = []
    for begin in range(0, len(samples), BLOCK):
        start = time.perf_counter()
        pipeline.feed(samples[begin : begin + BLOCK])
        calls.append(time.perf_counter() - start)
    start = time.perf_counter()
    pipeline.flush()
    return calls, time.perf_counter() - start


def room(seconds: float) -> Samples:
    """A quiet room: white noise, the same every time."""
    noise = np.random.default_rng(0).standard_normal(round(seconds * SAMPLE_RATE))
    return (noise * ROOM_LEVEL).astype(np.float32)


def in_a_room(samples: Samples) -> Samples:
    """A recording in a quiet room, with a pause before it and one that ends the utterance after.

    The room is heard all the time: where it came only afterwards, it would be something new and not
    taken for silence at once.
    """
    pause = round(PAUSE_SECONDS * SAMPLE_RATE)
    return np.pad(samples, pause) + room((len(samples) + 2 * pause) / SAMPLE_RATE)


def measure(engine: Engine, speech: Sequence[Samples], silence_seconds: float) -> dict[str, Any]:
    """All stages, one by one, in one run.

    Args:
        speech: recordings, each taken as one utterance from end to end.
        silence_seconds: how long a quiet room is listened to.
    """
    pipeline = engine.pipeline(whole=True)
    for samples in speech[:2]:
        stream(pipeline, samples)  # warm up
    stopwatch = watch(pipeline)
    calls: list[float] = []
    ends = []
    for samples in speech:
        fed, ended = stream(pipeline, samples)
        calls += fed
        ends.append(ended)
    spoken = sum(map(len, speech)) / SAMPLE_RATE
    stages = {"endpointer": _endpointer(engine, speech) / spoken}
    stages |= {stage: stopwatch.spent[stage] / spoken for stage, *_ in (*STREAMING, *FULL_CONTEXT)}
    silence = _silence(engine, silence_seconds)
    peak = peak_mb()
    full_context = sum(stages[stage] for stage, *_ in FULL_CONTEXT)
    return {
        "audio_seconds": round(spoken, 1),
        "compute_per_second_of_speech": _rounded(stages),
        "streaming": round(sum(stages.values()) - full_context, 5),
        "full_context": round(full_context, 5),
        "total_speech": round(sum(stages.values()), 4),
        "silence_seconds": silence_seconds,
        "compute_per_second_of_silence": _rounded(silence),
        "total_silence": round(sum(silence.values()), 5),
        "feed_ms": percentiles(calls),
        "end_of_speech_to_decision_ms": percentiles(ends),
        "resident_mb": round(peak) if peak else None,
    }


def _endpointer(engine: Engine, speech: Sequence[Samples]) -> float:
    """Seconds that the endpointer takes for the recordings."""
    endpointer = Endpointer(engine.config.endpoint)
    begin = time.perf_counter()
    for samples in speech:
        for at in range(0, len(samples), BLOCK):
            endpointer.feed(samples[at : at + BLOCK])
        endpointer.flush()
    return time.perf_counter() - begin


def _silence(engine: Engine, seconds: float) -> dict[str, float]:
    """Share of real time of each stage that runs in a quiet room."""
    detector = WebRtcDetector(engine.config.endpoint.aggressiveness)
    pipeline = engine.pipeline()
    pipeline.endpointer = Endpointer(engine.config.endpoint, detector)
    stopwatch = watch(pipeline)
    stopwatch.wrap(detector, "is_speech", "endpointer: detector (webrtcvad)")
    stopwatch.wrap(pipeline.endpointer, "feed", "endpointer: level, noise gate, state")
    stopwatch.wrap(pipeline, "feed", "the pipeline around it")
    for samples in np.split(room(seconds), range(BLOCK, round(seconds * SAMPLE_RATE), BLOCK)):
        pipeline.feed(samples)
    return {stage: spent / seconds for stage, spent in stopwatch.spent.items()}


def _rounded(shares: dict[str, float]) -> dict[str, float]:
    return {stage: round(share, 6) for stage, share in shares.items()}
