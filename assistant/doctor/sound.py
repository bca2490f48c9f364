"""Whether sound is good enough to be understood: judges what `levels` measured.

The nominal level of recorded speech is -26 dB (ITU-T P.830, 7.2.2); the limits leave room around
it. The endpointer asks for 5 dB above the noise.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from ..config import EndpointConfig
from ..levels import SILENCE_DB, SoundLevels
from .check import Check, fault, good, skipped, warning

MUTED_DB = -90.0
"""Peak up to which a device is muted: one step of 16 bits."""
SPEECH_STANDS_OUT_DB = 4.0
"""Active level above the noise floor from which somebody spoke; steady noise has 1 dB."""
QUIET_DB, INAUDIBLE_DB = -42.0, -58.0
"""Speech level below which it is quiet, and next to nothing."""
LOUD_DB = -12.0
"""Speech level above which peaks, 15 dB above it, are cut off."""
NOISY_DB = -45.0
"""Noise floor above which it is noticed."""
POOR_RATIO_DB = 15.0
"""Signal-to-noise ratio below which more is misunderstood."""
BAD_RATIO_DB = EndpointConfig.gate_margin_db + 3
"""Ratio below which words go under: the endpointer's margin, and 3 dB for the quieter sounds."""
CLIPPED_BADLY = 1e-3
"""Share of clipped samples from which words are distorted."""
CLIPPED = 1e-5
"""Share that a single loud syllable stays below."""
OFFSET = 0.01
"""Mean of a channel from which there is an offset worth mending."""
DEAD_DB = -40.0
"""Level of a channel, relative to the loudest, up to which it is dead."""
CANCELLED_DB = 10.0
"""Loss in averaging the channels from which one is upside down."""
TELEPHONE_DB = -50.0
"""Level above 4 kHz up to which there is none."""


def judge(levels: SoundLevels) -> Iterator[Check]:
    """Each property of the sound, and how to mend it."""
    yield _peak(levels)
    if levels.peak_db <= MUTED_DB:
        return
    yield from _speech(levels)
    yield _clipping(levels)
    if levels.offset > OFFSET:
        yield warning(
            "offset",
            f"the signal's mean is {levels.offset:.1%} of full scale",
            "a faulty sound card or cable: try another input, or a USB microphone",
        )
    else:
        yield good("offset", f"{levels.offset:.2%} of full scale")
    yield from _channels(levels)
    if levels.treble_db and levels.treble_db < TELEPHONE_DB:
        yield warning(
            "bandwidth",
            "nothing above 4 kHz: telephone sound",
            "a Bluetooth headset in hands-free mode? use another microphone, or its mSBC profile",
        )


def _peak(levels: SoundLevels) -> Check:
    found = f"peak {levels.peak_db:.0f} dB in {levels.seconds:.1f} s"
    if levels.peak_db <= SILENCE_DB:
        found = f"{levels.seconds:.1f} s of digital silence"
    if levels.peak_db <= MUTED_DB:
        return fault(
            "signal",
            found,
            "muted, or the wrong input: look for a switch at the microphone, unmute it (wpctl "
            "set-mute @DEFAULT_AUDIO_SOURCE@ 0; alsamixer), or choose another (assistant devices)",
        )
    return good("signal", found)


def _speech(levels: SoundLevels) -> Iterator[Check]:
    noise = f"{levels.noise_db:.0f} dB"
    if levels.noise_db > NOISY_DB:
        remedy = "a fan, music, a window? move the microphone closer to you and away from it"
        yield warning("noise floor", noise, remedy)
    else:
        yield good("noise floor", noise)
    ratio = levels.signal_to_noise_db
    if ratio < SPEECH_STANDS_OUT_DB:
        yield warning(
            "speech",
            f"none that stands out of the noise ({ratio:.0f} dB above it)",
            "say something while it listens (--seconds 6 gives more time), or come closer",
        )
        yield skipped("signal to noise", "nobody spoke")
        return
    found = f"{levels.speech_db:.0f} dB while it lasts"
    if levels.speech_db < INAUDIBLE_DB:
        yield fault("speech", found, "much too quiet: turn the microphone up, come closer")
    elif levels.speech_db < QUIET_DB:
        yield warning("speech", found, "quiet: turn the microphone up, or come closer")
    elif levels.speech_db > LOUD_DB:
        yield warning("speech", found, "loud: turn the microphone down, or keep more distance")
    else:
        yield good("speech", found)
    found = f"{ratio:.0f} dB"
    remedy = "come closer, or quieten what makes the noise; a headset helps most"
    if ratio < BAD_RATIO_DB:
        yield fault("signal to noise", found, remedy)
    elif ratio < POOR_RATIO_DB:
        yield warning("signal to noise", found, remedy)
    else:
        yield good("signal to noise", found)


def _clipping(levels: SoundLevels) -> Check:
    found = f"{levels.clipped:.2%} of the samples are cut off"
    remedy = "turn the microphone down (wpctl set-volume @DEFAULT_AUDIO_SOURCE@ 50%; alsamixer)"
    if levels.clipped > CLIPPED_BADLY:
        return fault("clipping", found, f"{remedy}, its boost off, or keep more distance")
    if levels.clipped > CLIPPED:
        return warning("clipping", found, f"{remedy}, or keep more distance")
    return good("clipping", "none")


def _channels(levels: SoundLevels) -> Iterator[Check]:
    loudest = max(levels.channels_db)
    dead = [n for n, db in enumerate(levels.channels_db, 1) if db - loudest <= DEAD_DB]
    count = len(levels.channels_db)
    if dead:
        lost = 20 * math.log10(count / (count - len(dead)))
        yield warning(
            "channels",
            f"{', '.join(map(str, dead))} of {count} without sound; averaging loses {lost:.0f} dB",
            "choose the mono profile of the device, or turn the microphone up by as much",
        )
    elif levels.cancelled_db > CANCELLED_DB:
        yield fault(
            "channels",
            f"they cancel each other: averaging loses {levels.cancelled_db:.0f} dB",
            "one is wired upside down: choose the mono profile of the device, or another input",
        )
    else:
        yield good("channels", f"{count}, all with sound")
