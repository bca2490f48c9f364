"""The microphone, or a recording in its place."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..audio import Microphone, list_devices
from ..config import AudioConfig
from ..errors import AssistantError
from ..levels import Frames, measure
from ..recording import read_file
from ..types import SAMPLE_RATE
from .check import Check, fault, from_error, good, warning
from .sound import judge

LONGEST_S = 120.0
"""Seconds of a recording that are judged."""
SHORTEST_S = 0.3
"""Seconds below which there is nothing to judge."""
PATIENCE_S = 5.0
"""Seconds that a microphone may take longer than what is recorded."""
GOOD_SHARE = 0.9
"""Share of the wanted sound that must arrive in that time."""


def check_microphone(
    config: AudioConfig, seconds: float, say: Callable[[str], None], sounddevice: Any = None
) -> Iterator[Check]:
    """PortAudio, the device, its rate; then what it hears.

    Args:
        config: which device.
        seconds: how long it is listened to.
        say: asks the user to speak.
        sounddevice: the module, or a stand-in.
    """
    try:
        devices = list_devices(sounddevice)
    except AssistantError as error:
        yield from_error("microphones", error)
        return
    default = next((device.name for device in devices if device.is_default), "none")
    yield good("microphones", f"{len(devices)}; the default: {default}")
    try:
        microphone = Microphone(config, sounddevice=sounddevice, notify=lambda line: None)
        microphone.open()
    except AssistantError as error:
        yield from_error("microphone", error)
        return
    with contextlib.closing(microphone):
        yield good("microphone", f"{microphone.device} opens")
        yield _rate(microphone.rate, microphone.channels)
        say(f"listening for {seconds:g} s: say a command now, at your usual distance")
        frames = _record(microphone, seconds)
        lost = microphone.overruns
    length = len(frames) / microphone.rate
    if length < GOOD_SHARE * seconds:
        yield fault(
            "recording",
            f"{length:.1f} s of sound came in {seconds:g} s",
            "unplug the device and plug it in again; restart the sound server (systemctl --user "
            "restart pipewire wireplumber)",
        )
    if lost:
        remedy = "too busy a machine, or a hub that is shared: close programs, use another port"
        yield warning("dropped blocks", f"{lost} of {config.block_ms:g} ms", remedy)
    else:
        yield good("dropped blocks", "none")
    if length >= SHORTEST_S:
        yield from judge(measure(frames, microphone.rate))


def check_recording(path: Path) -> Iterator[Check]:
    """A recording: its rate, and what is in it; at most the first `LONGEST_S`.

    Raises:
        AudioFileError: it cannot be read.
    """
    file = read_file(path)
    parts, count = [], 0
    for frames in file.raw_blocks():
        parts.append(frames)
        count += len(frames)
        if count >= LONGEST_S * file.rate:
            break
    yield _rate(file.rate, file.channels)
    if file.truncated:
        yield warning("file", f"{path} ends sooner than its header says", "copy it again")
    if count < SHORTEST_S * file.rate:
        yield fault("length", f"{count / file.rate:.2f} s", "record at least a word")
        return
    yield from judge(measure(np.concatenate(parts), file.rate))


def _rate(rate: int, channels: int) -> Check:
    found = f"{rate} Hz, {channels} channel{'' if channels == 1 else 's'}"
    if rate < SAMPLE_RATE:
        return warning(
            "sample rate",
            f"{found}: nothing above {rate // 2} Hz is there",
            f"record with {SAMPLE_RATE} Hz or more; a Bluetooth headset in hands-free mode? "
            "use another microphone",
        )
    if rate == SAMPLE_RATE:
        return good("sample rate", f"{found}, as the models want it")
    return good("sample rate", f"{found}; resampled to {SAMPLE_RATE} Hz")


def _record(microphone: Microphone, seconds: float) -> Frames:
    """As many frames as fit into `seconds`; fewer if the device gives fewer."""
    wanted, count, parts = round(seconds * microphone.rate), 0, []
    deadline = time.monotonic() + seconds + PATIENCE_S
    for frames in microphone.raw_blocks():
        parts.append(frames)
        count += len(frames)
        if count >= wanted or time.monotonic() > deadline:
            break
    if not parts:
        return np.zeros((0, microphone.channels), np.float32)
    return np.concatenate(parts)[:wanted]
