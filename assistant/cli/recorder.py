"""The loop behind `assistant record`: show a sentence, hear it, judge the sound, keep it."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from rich.text import Text

from .. import audio
from ..config import AssistantConfig
from ..errors import AudioDeviceError
from ..types import EndReason, Samples, SpeechAudio, SpeechEnd, SpeechStart
from ..vad import Endpointer
from .live import StatusLine
from .screen import Screen

if TYPE_CHECKING:
    from ..training.prompting import Prompt
    from ..training.takes import TakeFolder

QUIET_DB = -36.0
"""Peak, dB full scale, below which a take is too quiet: 16 bits leave little of such speech."""
FULL_SCALE = 0.99
CLIPPED = 4
"""Samples at full scale from which a take clips; one may be the loudest by chance."""
ASKED = 3
"""Times that a sentence is asked for at most; then even a faulty take is kept."""


@dataclass(frozen=True, slots=True)
class Heard:
    """An utterance at 16 kHz, and what is wrong with it: nothing, or a remedy for each fault."""

    samples: Samples
    faults: tuple[str, ...]


def record(
    prompt: Prompt, folder: TakeFolder, speaker: str, config: AssistantConfig, screen: Screen
) -> None:
    """Record a sentence and keep it.

    A faulty take is asked for again; if Ctrl-C or a lost microphone ends that, it is kept itself.

    Raises:
        AudioDeviceError: there is no microphone, or it has no more sound.
    """
    heard: Heard | None = None
    try:
        for asked in range(1, ASKED + 1):
            heard = hear(config, prompt.text, screen)
            for fault in heard.faults:
                screen.warning(fault)
            if not heard.faults or not _ask_again(screen, asked):
                break
    finally:
        if heard is not None:
            folder.add(heard.samples, prompt.text, prompt.reading, speaker)


def _ask_again(screen: Screen, asked: int) -> bool:
    """Whether the sentence is to be said again: as the user says, else a few times."""
    if asked == ASKED:
        screen.note("kept as it is")
        return False
    if not (sys.stdin.isatty() and screen.is_live):
        screen.note("once more, please")
        return True
    screen.note("Enter: say it again;  k, Enter: keep it as it is")
    return not sys.stdin.readline().strip().casefold().startswith("k")


def hear(config: AssistantConfig, text: str, screen: Screen) -> Heard:
    """One utterance from the microphone, which is open no longer than that.

    Raises:
        AudioDeviceError: no microphone, or it was closed before anyone spoke.
    """
    endpointer = Endpointer(config.endpoint)
    status = StatusLine(partial=Text(text))
    live = screen.live()
    parts: list[Samples] = []
    with audio.Microphone(config.audio, notify=screen.warning) as microphone:
        if screen.is_live:
            live.start()
        try:
            for samples in microphone:
                for event in endpointer.feed(samples):
                    match event:
                        case SpeechStart():
                            status.speaking = True
                        case SpeechAudio(said):
                            parts.append(said)
                        case SpeechEnd(_, reason):
                            whole = np.concatenate(parts)
                            return Heard(whole, faults(whole, reason, microphone.overruns))
                if status.hear(samples, microphone.overruns) and screen.is_live:
                    live.update(status.text(), refresh=True)
        finally:
            live.stop()
    raise AudioDeviceError("the microphone has no more sound; see that it is connected")


def faults(samples: Samples, reason: EndReason, lost: int) -> tuple[str, ...]:
    """What is wrong with a take, each with its remedy; nothing if it is good."""
    found = []
    peak = float(np.abs(samples).max(initial=0.0))
    if 20 * np.log10(peak + 1e-9) < QUIET_DB:
        found.append(
            f"too quiet (peak {20 * np.log10(peak + 1e-9):.0f} dB): come closer, or turn the "
            "microphone up"
        )
    if np.count_nonzero(np.abs(samples) >= FULL_SCALE) >= CLIPPED:
        found.append("too loud, it clips: keep more distance, or turn the microphone down")
    if reason is EndReason.MAXIMUM_LENGTH:
        found.append("no pause was heard at its end: say the sentence alone, in a quieter place")
    if lost:
        found.append(f"{lost} blocks of audio were lost: this machine was too slow or busy")
    return tuple(found)
