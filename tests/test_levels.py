"""What is measured of sound that is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from assistant.doctor.check import Verdict
from assistant.doctor.sound import judge
from assistant.levels import SILENCE_DB, Frames, measure

RATE = 48_000


def amplitude(db: float) -> float:
    return float(10 ** (db / 20))


def noise(db: float, seconds: float = 3.0, channels: int = 1, rate: int = RATE) -> Frames:
    """White noise of that level within the band that is measured."""
    drawn = np.random.default_rng(0).standard_normal((round(seconds * rate), channels))
    share = min(rate / 2, 7_000) / (rate / 2)
    return (amplitude(db) / np.sqrt(share) * drawn).astype(np.float32)


def speech(db: float, seconds: float = 3.0, rate: int = RATE) -> Frames:
    """Syllables of a tone in the middle third of the time; their level while they last."""
    time = np.arange(round(seconds * rate)) / rate
    said = (time > seconds / 3) & (time < 2 * seconds / 3)
    tone = sum(np.sin(2 * np.pi * f * time + f) for f in (220, 700, 1_900, 5_300))
    return (amplitude(db) / np.sqrt(2) * tone * said).astype(np.float32)[:, None]


def verdicts(frames: Frames, rate: int = RATE) -> dict[str, Verdict]:
    return {check.name: check.verdict for check in judge(measure(frames, rate))}


# ── measures ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("db", [-20.0, -35.0, -50.0])
def test_the_speech_level_is_that_of_speech_and_not_of_pauses(db: float) -> None:
    measured = measure(speech(db) + noise(-80), RATE)
    # The hangover of 0.2 s counts as speech, which here lasts 1 s.
    assert measured.speech_db == pytest.approx(db - 0.9, abs=0.3)


@pytest.mark.parametrize("db", [-70.0, -55.0, -40.0])
def test_the_noise_floor_is_that_of_the_pauses(db: float) -> None:
    assert measure(speech(-20) + noise(db), RATE).noise_db == pytest.approx(db, abs=1.0)


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000])
def test_steady_noise_is_not_taken_for_speech(rate: int) -> None:
    assert measure(noise(-40, rate=rate), rate).signal_to_noise_db < 2


def test_hum_and_offset_do_not_count_as_noise() -> None:
    time = np.arange(3 * RATE) / RATE
    hum = (0.1 * np.sin(2 * np.pi * 50 * time) + 0.05).astype(np.float32)[:, None]
    measured = measure(speech(-20) + noise(-70) + hum, RATE)
    assert measured.noise_db == pytest.approx(-70, abs=1.5)
    assert measured.offset == pytest.approx(0.05, abs=0.002)


def test_samples_at_full_scale_are_counted() -> None:
    sound = noise(-40)
    sound[1_000:1_144] = 1.0
    assert measure(sound, RATE).clipped == pytest.approx(144 / len(sound))


def test_sound_that_was_clipped_and_then_turned_down_is_found() -> None:
    loud = np.clip(speech(0), -0.5, 0.5)
    assert measure(0.4 * loud, RATE).clipped > 0.05


def test_a_loud_sine_is_not_clipped() -> None:
    time = np.arange(RATE) / RATE
    sine = np.round(0.9 * 32_767 * np.sin(2 * np.pi * 440.3 * time)) / 32_768
    assert measure(sine.astype(np.float32)[:, None], RATE).clipped == 0


def test_silence_has_a_level_too() -> None:
    measured = measure(np.zeros((RATE, 2), np.float32), RATE)
    assert measured.peak_db == measured.speech_db == measured.noise_db == SILENCE_DB
    assert measured.clipped == 0


def test_what_is_no_number_counts_as_nothing() -> None:
    sound = noise(-40)
    sound[5] = np.nan
    sound[6] = np.inf
    assert measure(sound, RATE).noise_db == pytest.approx(-40, abs=1)


def test_too_little_is_not_measured() -> None:
    with pytest.raises(ValueError, match=r"0\.05 s"):
        measure(noise(-40, seconds=0.05), RATE)


# ── verdicts ───────────────────────────────────────────────────────────────────────────────


def test_good_sound_is_good() -> None:
    assert set(verdicts(speech(-24) + noise(-65)).values()) == {Verdict.GOOD}


def test_the_recordings_of_the_tests_are_good(data: Path) -> None:
    for path in sorted(data.glob("recordings/*/*.flac")):
        frames, rate = soundfile.read(path, dtype="float32", always_2d=True)
        found = {n: v for n, v in verdicts(frames, rate).items() if v is not Verdict.GOOD}
        assert not found, path.name


@pytest.mark.parametrize(
    ("frames", "name", "verdict"),
    [
        (np.zeros((RATE, 1), np.float32), "signal", Verdict.FAULT),
        (noise(-60), "speech", Verdict.WARNING),
        (speech(-47) + noise(-75), "speech", Verdict.WARNING),
        (speech(-62) + noise(-85), "speech", Verdict.FAULT),
        (speech(-9) + noise(-60), "speech", Verdict.WARNING),
        (speech(-24) + noise(-36), "noise floor", Verdict.WARNING),
        (speech(-24) + noise(-36), "signal to noise", Verdict.WARNING),
        (speech(-27) + noise(-36), "signal to noise", Verdict.FAULT),
        (np.clip(speech(-6), -0.7, 0.7) + noise(-90), "clipping", Verdict.GOOD),
        (np.clip(speech(3), -1, 1), "clipping", Verdict.FAULT),
        (speech(-24) + noise(-65) + np.float32(0.04), "offset", Verdict.WARNING),
        (
            speech(-24, rate=RATE) * [1, 0] + noise(-90, channels=2) * [1, 0],
            "channels",
            Verdict.WARNING,
        ),
        ((speech(-24) + noise(-65)) * [1, -1], "channels", Verdict.FAULT),
        ((speech(-24) + noise(-65)) * [1, 0.7], "channels", Verdict.GOOD),
    ],
)
def test_each_fault_is_found(frames: Frames, name: str, verdict: Verdict) -> None:
    assert verdicts(frames.astype(np.float32))[name] is verdict


def test_telephone_sound_is_found() -> None:
    spectrum = np.fft.rfft(speech(-24)[:, 0] + noise(-65)[:, 0])
    spectrum[np.fft.rfftfreq(3 * RATE, 1 / RATE) > 3_800] = 0
    telephone = np.fft.irfft(spectrum, 3 * RATE).astype(np.float32)[:, None]
    assert verdicts(telephone)["bandwidth"] is Verdict.WARNING


def test_every_fault_says_how_to_mend_it() -> None:
    for frames in (np.zeros((RATE, 1)), noise(-36), speech(3), speech(-62) * [1, -1]):
        for check in judge(measure(np.clip(frames, -1, 1).astype(np.float32), RATE)):
            assert bool(check.remedy) == (check.verdict in (Verdict.WARNING, Verdict.FAULT))
