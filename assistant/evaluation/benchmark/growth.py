"""Growth: what a longer utterance costs, and what more commands cost."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...acoustic import AcousticScorer
from ...bundle import AcousticBundle, CommandBundle, read_acoustic, read_commands, write_commands
from ...confidence import Calibration
from ...config import DecisionConfig, IntentConfig
from ...engine import Engine, choose_device
from ...features import FeatureExtractor
from ...grammar.commands import load_commands
from ...grammar.graph import PhonemeGraph
from ...intent import IntentDecoder
from ...recording import read_file
from ...resources import find_bundle
from ...training.intent_trainer import new_intent_model
from ...training.pronouncing import pronounce
from ...types import SAMPLE_RATE, PosteriorChunk, Samples
from .compute import FULL_CONTEXT, stream, watch
from .generated_commands import command_file
from .machine import forget_peak, peak_mb, resident_mb
from .stopwatch import percentiles


def with_length(
    engine: Engine, speech: Samples, lengths: Sequence[float], repeats: int
) -> list[dict[str, Any]]:
    """Utterances of so many seconds: the streaming pass by second, and the decision by stage.

    Args:
        speech: recordings in a row; utterances begin in it at places evenly apart, round and round.
    """
    pipeline = engine.pipeline(whole=True)
    stream(pipeline, speech[: 2 * SAMPLE_RATE])  # warm up
    stopwatch = watch(pipeline)
    found = []
    for length in lengths:
        count = round(length * SAMPLE_RATE)
        stopwatch.clear()
        streamed, decided = 0.0, []
        for number in range(repeats):
            begin = number * len(speech) // repeats
            calls, end = stream(pipeline, np.resize(np.roll(speech, -begin), count))
            streamed += sum(calls)
            decided.append(end)
        found.append(
            {
                "seconds": length,
                "streaming_per_second": round(streamed / repeats / length, 5),
                "decision_ms": percentiles(decided),
                "mean_ms_by_stage": {
                    stage: round(stopwatch.spent[stage] / repeats * 1000, 3)
                    for stage, *_ in FULL_CONTEXT
                },
            }
        )
    return found


def with_commands(
    bundle: str,
    sentences: int,
    files: Sequence[Path],
    repeats: int,
    threads: int = 1,
    device: str = "cpu",
) -> dict[str, Any]:
    """So many written-out sentences: compiling, reading, deciding, memory. For a fresh process.

    The LSTM has the size that the commands give it but is not trained, because training it takes
    a minute whatever their number is: it is timed, and what it says means nothing.

    Args:
        files: recordings, whose phonemes every decision is about.
    """
    torch.set_num_threads(threads)
    acoustic = read_acoustic(find_bundle(bundle))
    for network in (acoustic.model, acoustic.encoder):
        if network is not None:
            network.to(choose_device(device))
    posteriors = [_posteriors(acoustic, path, device) for path in files]
    before, peak_is_ours = resident_mb(), forget_peak()
    clock = _Clock()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "commands.yaml")
        path.write_text(command_file(sentences), encoding="utf-8")
        clock.begin()
        commands = load_commands([path])
        clock.end("read the command file")
        lexicon = pronounce(commands, acoustic.inventory)
        clock.end("pronunciations")
        torch.manual_seed(0)
        model = new_intent_model(commands, len(acoustic.phonemes), IntentConfig()).eval()
        compiled = CommandBundle(
            language=commands.language,
            intents=commands.intents,
            slots=commands.slots,
            network=commands.network,
            lexicon=lexicon,
            model=model,
            calibration=Calibration((1.0, 0.1, 0.0, 0.0), 2.0),
            source_hash=commands.source_hash,
        )
        write_commands(Path(folder, "compiled"), compiled, acoustic)
        size = sum(file.stat().st_size for file in Path(folder, "compiled").iterdir())
        clock.begin()
        compiled = read_commands(Path(folder, "compiled"), acoustic)
        clock.end("read the compiled set")
    graph = PhonemeGraph.compile(compiled.network, compiled.lexicon)
    clock.end("compile the graph")
    decoder = IntentDecoder(
        graph,
        compiled.model.to(choose_device(device)),
        compiled.intents,
        compiled.slots,
        compiled.calibration,
        DecisionConfig(),
        device,
    )
    compiled_mb = resident_mb()
    rows = acoustic.features.chunk_rows
    decoder.decide(posteriors[0])  # warm up
    decided = [_timed(decoder.decide, p) for p in posteriors * repeats]
    partial = []
    for log_probs in posteriors:
        decoder.reset()
        for at in range(0, len(log_probs), rows):
            partial.append(_timed(decoder.feed, PosteriorChunk(log_probs[at : at + rows])))
    return {
        "sentences": sentences,
        "intents": len(commands.intents),
        "words": len(lexicon),
        "graph_states": graph.states,
        "compiling_seconds": clock.found,
        "compiled_kb": round(size / 1000),
        "lstm": "of the size that belongs to the commands, not trained",
        "audio_seconds_per_decision": round(
            sum(map(len, posteriors)) / len(posteriors) * acoustic.features.row_ms / 1000, 2
        ),
        "decision_ms": percentiles(decided),
        "partial_ms": percentiles(partial),
        "memory_mb": _difference(compiled_mb, before),
        "peak_memory_mb": _difference(peak_mb(), before) if peak_is_ours else None,
    }


class _Clock:
    """Seconds of steps that follow one another."""

    def __init__(self) -> None:
        self.found: dict[str, float] = {}
        self.begin()

    def begin(self) -> None:
        self._since = time.perf_counter()

    def end(self, step: str) -> None:
        self.found[step] = round(time.perf_counter() - self._since, 4)
        self.begin()


def _timed(call: Callable[[Any], object], argument: object) -> float:
    begin = time.perf_counter()
    call(argument)
    return time.perf_counter() - begin


def _extractor(acoustic: AcousticBundle, device: str) -> FeatureExtractor:
    return FeatureExtractor(acoustic.features, acoustic.encoder, choose_device(device))


def _posteriors(acoustic: AcousticBundle, path: Path, device: str) -> torch.Tensor:
    features = _extractor(acoustic, device)
    rows = features.full_context(features.whole(read_file(path).whole()))
    return AcousticScorer(acoustic.model).full_context(rows)


def _difference(after: float | None, before: float | None) -> float | None:
    return None if after is None or before is None else round(after - before, 1)
