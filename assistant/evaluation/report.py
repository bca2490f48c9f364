"""The report: one JSON object with every figure, and with what it was made from.

Everything but `compute` is the same, bit for bit, however many processes made it and however often
they were interrupted.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UsageError
from ..training.machine import processor
from ..types import SAMPLE_RATE
from . import detection, latency, metrics
from .items import Problem
from .metrics import Result
from .mixing import snr_name
from .outcome import Outcome
from .runner import Evaluation
from .wording import VERSION


def build(
    evaluation: Evaluation, outcomes: Mapping[str, Outcome], processes: int
) -> dict[str, Any]:
    """The report of an evaluation, from the outcomes of all its tasks by key.

    `conditions` are in the order asked for. `phoneme_error`, `latency` and `det` are of the first
    of them; `confusion` is of all together, and `utterances` lists all.
    """
    settings = evaluation.settings
    found = [(t, Result(t.item, t.snr, outcomes[t.key])) for t in evaluation.tasks]
    positives = [r for t, r in found if not t.negative and r.outcome.evaluated]
    negatives = [r for t, r in found if t.negative]
    by_condition = [[r for r in positives if r.snr == snr] for snr in settings.snrs]
    conditions = [
        metrics.condition(results, snr, settings.seed)
        for results, snr in zip(by_condition, settings.snrs, strict=True)
    ]
    first = by_condition[0]
    return {
        "version": VERSION,
        "made_from": evaluation.made_from,
        "conditions": conditions,
        "phoneme_error": conditions[0]["phoneme_error"],
        "phoneme_error_interval": conditions[0]["phoneme_error_interval"],
        "confusion": metrics.confusion(positives),
        "negatives": detection.false_accepts(negatives),
        "det": detection.det(first, negatives, evaluation.made_from["threshold"]),
        "latency": latency.summary(first),
        "utterances": [_utterance(r) for r in positives],
        "problems": [
            {"line": p.line, "path": p.path, "what": p.what}
            for p in [*evaluation.problems, *_faults([(t.negative, r) for t, r in found])]
        ],
        "compute": _compute([r.outcome for _, r in found], processes),
    }


def refuse_unwritable(path: Path) -> None:
    """Refuse to begin what could not be written in the end.

    Raises:
        UsageError: it is a folder, or nothing can be written where it would be.
    """
    try:
        if path.is_dir():
            raise UsageError(f"{path}: is a folder; name a file, such as {path / 'report'}")
        # Folders that are missing are made when the file is written.
        folder = next(parent for parent in path.absolute().parents if parent.exists())
    except PermissionError as error:  # a folder on the way may not be entered
        raise UsageError(f"{path}: cannot be written: {error.strerror}") from error
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(f"{path}: cannot be written: {folder} is no folder that may be written to")


def write(report: Mapping[str, Any], path: Path) -> None:
    """Write it where it was not before, or in one step in the place of another.

    Raises:
        UsageError: it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.part")
    text = json.dumps(report, indent=1, ensure_ascii=False, allow_nan=False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.write_text(text + "\n", encoding="utf-8")
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror or error}") from error


def _utterance(result: Result) -> dict[str, Any]:
    item, outcome, decision = result.item, result.outcome, result.outcome.decision
    phonemes = outcome.phonemes
    return {
        "path": item.path,
        "speaker": item.speaker,
        "snr": snr_name(result.snr),
        "expected": {"intent": item.intent, "slots": item.slots},
        "got": {"intent": decision.intent, "slots": dict(result.got), "text": decision.text},
        "confidence": decision.confidence,
        "reason": decision.reason,
        "exact": result.exact if item.labelled else None,
        "strict": result.strict if item.labelled else None,
        "phonemes": phonemes and {"errors": phonemes.errors, "length": phonemes.length},
        "latency_ms": latency.latencies(result),
    }


def _faults(found: Sequence[tuple[bool, Result]]) -> list[Problem]:
    """What was wrong with recordings when they were read, each once, whatever the condition."""
    faults = [
        Problem(r.item.line, r.item.path, f"negatives: {r.outcome.fault}" if negative else fault)
        for negative, r in found
        if (fault := r.outcome.fault) is not None
    ]
    return list(dict.fromkeys(faults))


def _compute(outcomes: Sequence[Outcome], processes: int) -> dict[str, Any]:
    """What it took on this machine: of the recordings alone, without starting up."""
    audio = sum(o.samples for o in outcomes) / SAMPLE_RATE
    decisions = [ms for o in outcomes for ms in o.cost.decision_ms]
    peaks = [o.cost.peak_mb for o in outcomes if o.cost.peak_mb is not None]
    median, high = np.percentile(decisions, [50, 95]) if decisions else (None, None)
    return {
        "real_time_factor": round(sum(o.cost.seconds for o in outcomes) / max(audio, 1e-9), 4),
        "decision_ms": {
            "median": None if median is None else round(float(median), 1),
            "p95": None if high is None else round(float(high), 1),
        },
        "peak_memory_mb": max(peaks, default=None),
        "audio_seconds": round(audio, 1),
        "processes": processes,
        "machine": processor(),
    }
