"""A small report as `assistant evaluate --json` writes it, by hand; for tests of what reads one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from assistant.evaluation.detail import Detail, Posteriors

RIGHT = {"intent": "setLight", "slots": {"state": "on", "room": "kitchen"}}


def utterance(
    path: str,
    snr: str | float = "clean",
    *,
    expected: Mapping[str, Any] = RIGHT,
    got: Mapping[str, Any] | None = RIGHT,
    confidence: float = 0.9,
    exact: bool | None = None,
    strict: bool | None = None,
    errors: int = 0,
    speaker: str | None = None,
    **others: Any,
) -> dict[str, Any]:
    """One decision; `got` None: refused."""
    heard = got or {"intent": None, "slots": {}}
    right = dict(heard) == dict(expected) if exact is None else exact
    return {
        "path": path,
        "speaker": speaker,
        "snr": snr,
        "expected": dict(expected),
        "got": {**heard, "text": "" if got is None else "turn on the kitchen light"},
        "confidence": confidence,
        "reason": "" if got is not None else "confidence 0.20 is below 0.50",
        "exact": right,
        "strict": right if strict is None else strict,
        "phonemes": {"errors": errors, "length": 10},
        **others,
    }


def condition(snr: str | float, exact: float, n: int = 4) -> dict[str, Any]:
    rates = ("intent_accuracy", "exact", "strict", "slot_f1", "rejected")
    figures: dict[str, Any] = {key: exact if key != "rejected" else 1 - exact for key in rates}
    bounds = {f"{key}_interval": [figures[key] * 0.5, 0.5 + figures[key] * 0.5] for key in rates}
    return {
        "snr": snr,
        "n": n,
        **figures,
        **bounds,
        "phoneme_error": 0.1,
        "phoneme_error_interval": [0.05, 0.2],
    }


def report(*utterances: Mapping[str, Any], **others: Any) -> dict[str, Any]:
    """A whole report of these utterances."""
    snrs = list(dict.fromkeys(entry["snr"] for entry in utterances))
    return {
        "version": 1,
        "made_from": {
            "bundle": "en-us",
            "bundle_hash": "b" * 64,
            "commands": "home",
            "commands_hash": "c" * 64,
            "recogniser": "assistant",
            "manifest": "data/dev/manifest.jsonl",
            "manifest_hash": "d" * 64,
            "noise": "noise",
            "noise_hash": "e" * 64,
            "negatives": "talk",
            "snr": snrs,
            "mixing": "loudest-frame",
            "reverb": False,
            "cut": None,
            "whole": False,
            "early_commit": False,
            "threshold": 0.5,
            "seed": 0,
            "device": "cpu",
            "versions": {"assistant": "0.1.0", "python": "3.11", "torch": "2", "numpy": "2"},
        },
        "conditions": [condition(snr, 0.9 - 0.1 * i) for i, snr in enumerate(snrs)],
        "phoneme_error": 0.123,
        "phoneme_error_interval": [0.1, 0.2],
        "confusion": {
            "intents": [
                {"expected": "setLight", "got": "setLight", "count": 9},
                {"expected": "setLight", "got": None, "count": 1},
                {"expected": "setLight", "got": "setScene", "count": 3},
            ],
            "slots": {"room": [{"expected": "kitchen", "got": "chicken", "count": 2}]},
        },
        "negatives": {
            "hours": 0.5,
            "recordings": 3,
            "utterances": 40,
            "false_accepts": 1,
            "false_accepts_per_hour": 2.0,
            "interval": [0.05, 11.1],
            "examples": [
                {"path": "talk/1.flac", "intent": "setLight", "text": "it's on", "confidence": 0.6}
            ],
        },
        "det": [
            {"threshold": t / 10, "false_reject_rate": t / 20, "false_accepts_per_hour": 8 / 2**t}
            for t in range(10)
        ],
        "latency": {
            "endpoint_delay_ms": {"median": 700.0, "p95": 720.0, "n": 4},
            "end_of_speech_to_decision_ms": {"median": 705.0, "p95": 730.0, "n": 4},
            "early_decision_ms": None,
            "first_partial_ms": {"median": 900.0, "p95": 1500.0, "n": 4},
        },
        "utterances": [dict(entry) for entry in utterances],
        "problems": [{"line": 3, "path": "gone.flac", "what": "there is no such file"}],
        "compute": {
            "real_time_factor": 0.07,
            "decision_ms": {"median": 100.0, "p95": 200.0},
            "peak_memory_mb": 900.0,
            "audio_seconds": 123.4,
            "processes": 1,
            "machine": "two cores",
        },
        **others,
    }


def detail(
    path: str, snr: str | float | None = "clean", seconds: float = 1.0, said: str = ""
) -> Detail:
    """A tone in which three phonemes were heard."""
    time = np.arange(int(16_000 * seconds)) / 16_000
    samples = (0.1 * np.sin(2 * np.pi * 440 * time)).astype(np.float32)
    log_mel = np.full((len(samples) // 160, 80), -8.0, np.float32)
    log_mel[:, 20] = 1.0
    probabilities = np.full((len(samples) // 640, 5), 0.01, np.float32)
    third = max(1, len(probabilities) // 3)
    for phoneme in range(3):
        probabilities[phoneme * third : (phoneme + 1) * third, 3 - phoneme] = 0.9
    return Detail(
        path,
        snr,
        samples,
        log_mel,
        0.01,
        (Posteriors(0.0, 0.04, np.log(probabilities)),),
        ("", "k", "ɪ", "tʃ", "ə"),
        said,
    )
