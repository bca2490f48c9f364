"""Configuration files: what does not fit is refused with file, key and what would fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from assistant.config import AssistantConfig, load
from assistant.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("threads: 0", "threads: expected 1 to 1024, found 0"),
        ("audio: {device: 1}", "audio: device: expected str, found 1; put it in quotes"),
        ("audio: {device: [usb]}", "audio: device: expected str, found ['usb']"),
        ("audio: {block_ms: 0}", "audio: block_ms: expected 1 to 1000, found 0"),
        ("audio: {block_ms: .nan}", "audio: block_ms: expected 1 to 1000, found nan"),
        ("audio: {queue_ms: .inf}", "audio: queue_ms: expected 1 to 60000, found inf"),
        ("audio: {retry_initial_s: 0}", "retry_initial_s: expected 0.01 to 3600, found 0"),
        ("audio: {retry_maximum_s: -1}", "retry_maximum_s: expected 0.01 to 3600, found -1"),
        ("decision: {confidence_threshold: .nan}", "confidence_threshold: expected 0 to 1"),
        ("decision: {confidence_threshold: 80}", "confidence_threshold: expected 0 to 1, found 80"),
        ("decision: {confirmation_threshold: -0.1}", "confirmation_threshold: expected 0 to 1"),
        ("decision: {filler_penalty: -3}", "filler_penalty: expected 0 or more, found -3"),
        ("decision: {false_alarms_per_hour: -1}", "false_alarms_per_hour: expected 0 or more"),
        ("decision: {false_alarms_per_hour: .inf}", "false_alarms_per_hour: expected 0 or more"),
        ("decision: {lstm_weight: .nan}", "lstm_weight: expected 0 or more, found nan"),
        ("decision: {minimum_phonemes: -1}", "minimum_phonemes: expected 0 or more, found -1"),
        ("decision: {early_margin: -8}", "early_margin: expected 0 or more, found -8"),
        ("daemon: {contexts: {firefox: 5}}", "daemon: contexts: firefox: expected str, found 5"),
        ("daemon: {contexts: {1: web}}", "daemon: contexts: expected str, found 1"),
        ("daemon: {contexts: [web]}", "daemon: contexts: expected Mapping, found ['web']"),
    ],
)
def test_values_out_of_bounds_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as raised:
        load(path)
    assert str(raised.value).startswith(f"{path}: ")
    assert message in str(raised.value)


def test_values_within_bounds_are_taken(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(
        "threads: 2\naudio: {block_ms: 10}\ndaemon: {contexts: {firefox: web}}\n"
        "decision: {confidence_threshold: null, filler_penalty: null, confirmation_threshold: 1}\n"
    )
    config = load(path)
    assert config.audio.block_ms == 10
    assert config.daemon.contexts == {"firefox": "web"}
    assert config.decision.filler_penalty is None


def test_bounds_hold_for_what_a_command_line_changes() -> None:
    with pytest.raises(ConfigError, match="false_alarms_per_hour: expected 0 or more, found -1"):
        replace(AssistantConfig().decision, false_alarms_per_hour=-1.0)
