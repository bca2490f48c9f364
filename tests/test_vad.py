"""Endpointing: the state machine alone, the gate alone, and both behind the stage."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assistant.config import EndpointConfig
from assistant.errors import ConfigError
from assistant.noise_gate import NoiseGate, NoiseState, level_db
from assistant.types import (
    SAMPLE_RATE,
    EndReason,
    Samples,
    SpeechAudio,
    SpeechEnd,
    SpeechEvent,
    SpeechPaused,
    SpeechStart,
)
from assistant.vad import (
    Decision,
    Endpointer,
    EndpointState,
    EndpointTiming,
    Phase,
    VoiceActivityDetector,
    step,
)

CONFIG = EndpointConfig()
TIMING = EndpointTiming.of(CONFIG)
FRAME = CONFIG.frame_ms * SAMPLE_RATE // 1000
ENDS = (Decision.END_BY_SILENCE, Decision.END_BY_LENGTH)


class EverythingIsSpeech:
    """The worst detector there is."""

    def is_speech(self, frame: Samples) -> bool:
        return True

    def reset(self) -> None:
        pass


class LoudIsSpeech:
    """Hears a frame as speech when half of it or more is loud."""

    def is_speech(self, frame: Samples) -> bool:
        return bool(np.mean(np.abs(frame) > 0.01) > 0.25)

    def reset(self) -> None:
        pass


# ── signals ────────────────────────────────────────────────────────────────────────────────


def silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * SAMPLE_RATE), np.float32)


def noise(seconds: float, db: float, seed: int = 0) -> Samples:
    generator = np.random.default_rng(seed)
    white = generator.standard_normal(round(seconds * SAMPLE_RATE)) * 10 ** (db / 20)
    return np.asarray(white, np.float32)


def tone(seconds: float, db: float, hertz: float) -> Samples:
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return np.asarray(np.sqrt(2) * 10 ** (db / 20) * np.sin(2 * np.pi * hertz * time), np.float32)


def speech(seconds: float, db: float = -20.0) -> Samples:
    """Four voiced syllables a second: gliding harmonics under formants, a closure after each."""
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    pitch = 2 * np.pi * np.cumsum(130 + 25 * np.sin(2 * np.pi * 0.7 * time)) / SAMPLE_RATE
    voice = np.zeros_like(time)
    for harmonic in range(1, 28):
        hertz = 130 * harmonic
        formants = sum(1 / (1 + ((hertz - f) / 120) ** 2) for f in (500, 1500, 2500))
        voice += formants / harmonic**0.5 * np.sin(harmonic * pitch)
    syllables = np.maximum(np.sin(np.pi * ((4 * time) % 1) / 0.85), 0) * ((4 * time) % 1 < 0.85)
    wave = voice * syllables
    return np.asarray(wave * 10 ** (db / 20) / np.sqrt(np.mean(wave**2)), np.float32)


def join(*parts: Samples) -> Samples:
    return np.concatenate(parts)


# ── helpers ────────────────────────────────────────────────────────────────────────────────


def run(
    samples: Samples,
    config: EndpointConfig = CONFIG,
    detector: VoiceActivityDetector | None = None,
) -> list[SpeechEvent]:
    endpointer = Endpointer(config, detector)
    return endpointer.feed(samples) + endpointer.flush()


def utterances(events: Iterable[SpeechEvent]) -> list[tuple[int, int, EndReason, Samples]]:
    """Gather events into (start, end, reason, audio), asserting that they are well-ordered."""
    found: list[tuple[int, int, EndReason, Samples]] = []
    start: int | None = None
    audio: list[Samples] = []
    position = 0  # nothing may lie before it
    for event in events:
        if isinstance(event, SpeechStart):
            assert start is None
            assert event.start >= position
            start, position, audio = event.start, event.start, []
        elif isinstance(event, SpeechAudio):
            assert start is not None
            assert event.start == position
            audio.append(event.samples)
            position += event.samples.size
        elif isinstance(event, SpeechPaused):
            assert start is not None
            assert event.at == position
        else:
            assert start is not None
            assert event.end == position
            found.append((start, event.end, event.reason, np.concatenate(audio)))
            start = None
    assert start is None
    return found


def assert_same(left: list[SpeechEvent], right: list[SpeechEvent]) -> None:
    assert [type(event) for event in left] == [type(event) for event in right]
    for one, other in zip(left, right, strict=True):
        if isinstance(one, SpeechAudio) and isinstance(other, SpeechAudio):
            assert one.start == other.start
            np.testing.assert_array_equal(one.samples, other.samples)
        else:
            assert one == other


def walk(
    voiced: Iterable[bool], timing: EndpointTiming = TIMING
) -> list[tuple[EndpointState, Decision]]:
    state = EndpointState()
    path = []
    for frame in voiced:
        state, decision = step(state, frame, timing)
        path.append((state, decision))
    return path


def frames(pattern: str) -> list[bool]:
    """'12+ 3-' means twelve voiced frames, then three without voice."""
    return [part.endswith("+") for part in pattern.split() for _ in range(int(part.rstrip("+-")))]


# ── the state machine ──────────────────────────────────────────────────────────────────────


def test_every_phase_is_passed_on_the_way_through_an_utterance() -> None:
    path = walk(frames("5- 20+ 40-"))
    phases = [state.phase for state, _ in path]
    order = [phases[0], *(b for a, b in pairwise(phases) if a != b)]
    assert order == [Phase.SILENCE, Phase.STARTING, Phase.SPEECH, Phase.ENDING, Phase.SILENCE]
    decisions = [decision for _, decision in path if decision is not Decision.NONE]
    assert decisions == [Decision.START, Decision.END_BY_SILENCE]


def test_a_click_starts_nothing_and_is_forgotten() -> None:
    path = walk(frames(f"{TIMING.start_voiced - 1}+ 30-") * 5)
    assert all(decision is Decision.NONE for _, decision in path)
    assert path[-1][0].phase is Phase.SILENCE


def test_start_needs_its_share_of_the_window_but_not_in_a_row() -> None:
    gappy = [True, True, False] * 4
    assert Decision.START in [decision for _, decision in walk(gappy)]
    sparse = [True, False, False] * 40
    assert all(decision is Decision.NONE for _, decision in walk(sparse))


def test_a_start_window_that_is_no_whole_number_of_frames_can_still_be_filled() -> None:
    config = EndpointConfig(frame_ms=30, start_window_ms=100, minimum_speech_ms=100)
    timing = EndpointTiming.of(config)
    assert timing.start_voiced == timing.start_window == 3
    state, decisions = EndpointState(), []
    for _ in range(3):
        state, decision = step(state, True, timing)
        decisions.append(decision)
    assert decisions == [Decision.NONE, Decision.NONE, Decision.START]


def test_a_pause_shorter_than_the_hangover_does_not_end_an_utterance() -> None:
    pause = TIMING.hangover - TIMING.end_voiced - 1
    path = walk(frames(f"20+ {pause}- 20+ {TIMING.hangover}-"))
    assert [decision for _, decision in path if decision is not Decision.NONE] == [
        Decision.START,
        Decision.END_BY_SILENCE,
    ]


def test_a_stray_voiced_frame_does_not_keep_it_listening() -> None:
    stray = (frames("10- 1+") * 20)[: 3 * TIMING.hangover]
    path = walk(frames("20+") + stray)
    assert Decision.END_BY_SILENCE in [d for _, d in path[: 20 + TIMING.hangover]]


def test_speech_without_pause_is_cut_at_the_maximum_and_goes_on_at_once() -> None:
    path = walk([True] * (3 * TIMING.maximum))
    cuts = [state for state, decision in path if decision is Decision.END_BY_LENGTH]
    starts = [state for state, decision in path if decision is Decision.START]
    assert len(cuts) >= 2
    for cut, following in zip(cuts, starts[1:], strict=False):
        assert cut.end - cut.start == TIMING.maximum
        assert following.start == cut.end
        assert following.frames == cut.frames + 1


timings = st.builds(
    lambda window, share, roll, hangover, end, length, frame: EndpointTiming.of(
        EndpointConfig(
            frame_ms=frame,
            start_window_ms=window,
            start_ratio=share,
            minimum_speech_ms=window // 2,
            pre_roll_ms=roll,
            hangover_ms=hangover,
            end_ratio=end,
            maximum_utterance_ms=window + roll + length,
        )
    ),
    window=st.integers(30, 500),
    share=st.floats(0.05, 1.0),
    roll=st.integers(0, 500),
    hangover=st.integers(30, 1000),
    end=st.floats(0.0, 0.9),
    length=st.integers(100, 2000),
    frame=st.sampled_from([10, 20, 30]),
)
decisions_of_a_detector = st.lists(st.tuples(st.booleans(), st.integers(1, 60)), max_size=30).map(
    lambda runs: [voiced for voiced, count in runs for _ in range(count)]
)


@settings(deadline=None)
@given(timings, decisions_of_a_detector)
def test_utterances_are_ordered_and_never_overlap(
    timing: EndpointTiming, voiced: list[bool]
) -> None:
    speaking, last_end = False, 0
    for index, (state, decision) in enumerate(walk(voiced, timing)):
        assert state.frames == index + 1
        if decision is Decision.START:
            assert not speaking
            assert last_end <= state.start <= index
            assert state.frames - state.start <= timing.pre_roll
            recent = voiced[max(0, index + 1 - timing.start_window) : index + 1]
            assert sum(recent) >= timing.start_voiced
            speaking = True
        elif decision in ENDS:
            assert speaking
            assert state.end == index + 1
            assert state.end - state.start <= timing.maximum
            speaking, last_end = False, state.end
        assert speaking == (state.phase in (Phase.SPEECH, Phase.ENDING))


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"frame_ms": 25}, "frame_ms"),
        ({"aggressiveness": 4}, "aggressiveness"),
        ({"start_ratio": 1.5}, "start_ratio"),
        ({"end_ratio": 1.0}, "end_ratio"),
        ({"hangover_ms": 0}, "hangover_ms"),
        ({"pre_roll_ms": -1}, "pre_roll_ms"),
        ({"gate_window_ms": 0}, "gate_window_ms"),
        ({"gate_smoothing_ms": 0}, "gate_smoothing_ms"),
        ({"gate_rise_after_ms": -1}, "gate_rise_after_ms"),
        ({"gate_rise_db": -1.0}, "gate_rise_db"),
        ({"minimum_speech_ms": 300}, "minimum_speech_ms"),
        ({"maximum_utterance_ms": 400}, "maximum_utterance_ms"),
    ],
)
def test_a_configuration_that_cannot_be_is_refused_by_name(
    change: dict[str, float], names: str
) -> None:
    with pytest.raises(ConfigError, match=names):
        Endpointer(replace(CONFIG, **change))  # type: ignore[arg-type]


def test_quiet_counts_the_frames_since_the_last_voiced_one() -> None:
    path = walk(frames("20+ 4- 1+ 3-"))
    assert [state.quiet for state, _ in path[-10:]] == [0, 0, 1, 2, 3, 4, 0, 1, 2, 3]
    assert EndpointState().quiet == 0
    assert walk(frames("20+ 60-"))[-1][0].quiet == 0


# ── the gate ───────────────────────────────────────────────────────────────────────────────


def test_level_is_that_of_the_speech_band() -> None:
    assert level_db(tone(0.02, -30, 1000)) == pytest.approx(-30, abs=0.1)
    assert level_db(tone(0.02, -30, 50)) < -80
    assert level_db(np.full(FRAME, 0.5, np.float32)) < -80
    assert level_db(silence(0.02)) == -np.inf
    assert level_db(np.full(FRAME, np.nan, np.float32)) == -np.inf


def hear(gate: NoiseGate, level: float, seconds: float) -> NoiseState:
    """What the gate knows after a steady level."""
    state = gate.initial_state()
    for _ in range(round(seconds * 1000 / CONFIG.frame_ms)):
        state = gate.step(state, level)
    return state


def test_the_gate_closes_on_steady_noise_within_its_window_and_opens_for_what_is_louder() -> None:
    gate = NoiseGate.of(CONFIG)
    assert gate.passes(hear(gate, -40.0, 0.02), -40.0, 0)
    for seconds in (CONFIG.gate_window_ms / 1000 + 0.1, 8.0):
        state = hear(gate, -40.0, seconds)
        assert not gate.passes(state, -40.0, 0)
        assert gate.passes(state, -40.0 + CONFIG.gate_margin_db + 0.5, 0)


def test_nothing_passes_that_is_too_faint() -> None:
    gate = NoiseGate.of(CONFIG)
    assert not gate.passes(gate.initial_state(), CONFIG.gate_minimum_db - 0.1, 0)


def test_the_margin_rises_with_the_length_of_an_utterance() -> None:
    gate = NoiseGate.of(CONFIG)
    state = hear(gate, -40.0, 5.0)
    after = CONFIG.gate_rise_after_ms // CONFIG.frame_ms
    for seconds in (0, 1, 4):
        bar = state.floor + CONFIG.gate_margin_db + seconds * CONFIG.gate_rise_db
        duration = after + seconds * 1000 // CONFIG.frame_ms
        assert gate.passes(state, bar + 0.01, duration)
        assert not gate.passes(state, bar - 0.01, duration)
    assert gate.passes(state, state.floor + CONFIG.gate_margin_db, 0)


def test_digital_silence_leaves_the_gate_as_it_was() -> None:
    gate = NoiseGate.of(CONFIG)
    state = hear(gate, -40.0, 6.0)
    assert gate.step(state, -np.inf) == state
    assert not gate.passes(state, -np.inf, 0)


# ── the stage ──────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def recording() -> Samples:
    parts = (silence(0.3), speech(1.2), silence(1.1), speech(0.7), silence(1.0), speech(0.613))
    return join(*parts) + noise(sum(p.size for p in parts) / SAMPLE_RATE, -60)


@pytest.mark.parametrize("cut", [1, 7, 160, 311, 320, 321, 4999, 1_000_000])
def test_any_cut_gives_the_same_events(recording: Samples, cut: int) -> None:
    whole = run(recording)
    assert len(utterances(whole)) == 3
    endpointer = Endpointer(CONFIG)
    pieces: list[SpeechEvent] = []
    for start in range(0, recording.size, cut):
        buffer = recording[start : start + cut].copy()
        pieces += endpointer.feed(buffer)
        buffer[:] = np.nan  # a device reuses its buffer: nothing may refer to it
    assert_same(pieces + endpointer.flush(), whole)


def test_a_pause_is_told_once_and_between_speech_and_end() -> None:
    events = run(join(silence(0.5), speech(1.0), silence(0.45), speech(1.0), silence(1.5)))
    kinds = [type(event) for event in events if not isinstance(event, SpeechAudio)]
    assert kinds == [SpeechStart, SpeechPaused, SpeechPaused, SpeechEnd]
    *_, last = pauses = [event.at for event in events if isinstance(event, SpeechPaused)]
    (end,) = (event.end for event in events if isinstance(event, SpeechEnd))
    assert pauses[0] < 2.1 * SAMPLE_RATE
    # Speech has some silence of its own between syllables, so that the end may come a bit sooner.
    assert end - last <= (CONFIG.hangover_ms - CONFIG.pause_ms) * SAMPLE_RATE // 1000


def test_a_pause_longer_than_the_hangover_is_the_end() -> None:
    config = EndpointConfig(pause_ms=800)
    events = run(join(silence(0.5), speech(1.0), silence(1.5)), config)
    assert not any(isinstance(event, SpeechPaused) for event in events)


def test_utterances_hold_the_audio_of_the_stream(recording: Samples) -> None:
    for start, end, _, audio in utterances(run(recording)):
        np.testing.assert_array_equal(audio, recording[start:end])


def test_flush_and_reset_forget_everything(recording: Samples) -> None:
    endpointer = Endpointer(CONFIG)
    whole = endpointer.feed(recording) + endpointer.flush()
    assert endpointer.flush() == []
    endpointer.feed(recording[:30_001])
    endpointer.reset()
    assert_same(endpointer.feed(recording) + endpointer.flush(), whole)


def test_the_end_of_the_stream_ends_the_utterance_with_its_last_sample(recording: Samples) -> None:
    _, end, reason, _ = utterances(run(recording))[-1]
    assert reason is EndReason.END_OF_STREAM
    assert end == recording.size
    assert end % FRAME != 0


def test_the_first_word_is_kept_with_what_came_before_it() -> None:
    onset = SAMPLE_RATE
    samples = join(silence(1), tone(1, -20, 700), silence(1))
    [(start, _, _, _)] = utterances(run(samples, detector=LoudIsSpeech()))
    before = (onset - start) * 1000 / SAMPLE_RATE
    assert CONFIG.pre_roll_ms <= before <= CONFIG.pre_roll_ms + CONFIG.start_window_ms


def test_speech_may_begin_with_the_first_sample() -> None:
    [(start, end, reason, _)] = utterances(run(speech(0.8)))
    assert (start, end) == (0, round(0.8 * SAMPLE_RATE))
    assert reason is EndReason.END_OF_STREAM


def test_the_end_comes_within_the_stated_latency() -> None:
    samples = join(tone(1, -20, 700), silence(2))
    endpointer = Endpointer(CONFIG, LoudIsSpeech())
    [(_, end, reason, _)] = utterances(endpointer.feed(samples))
    assert reason is EndReason.SILENCE
    assert 0 < (end - SAMPLE_RATE) * 1000 / SAMPLE_RATE <= endpointer.latency_ms


def test_clicks_and_knocks_are_no_utterance() -> None:
    click = join(tone(0.06, -6, 900), silence(0.7))
    samples = join(silence(0.5), *[click] * 6)
    assert run(samples, detector=LoudIsSpeech()) == []


def test_a_long_speech_is_cut_without_losing_a_sample() -> None:
    config = replace(CONFIG, maximum_utterance_ms=3000)
    samples = join(silence(1), speech(8), silence(1)) + noise(10, -65)
    found = utterances(run(samples, config))
    reasons = [reason for _, _, reason, _ in found]
    assert reasons == [EndReason.MAXIMUM_LENGTH] * (len(found) - 1) + [EndReason.SILENCE]
    assert len(found) == 3
    for (_, end, _, _), (start, _, _, _) in pairwise(found):
        assert start == end


@pytest.mark.parametrize(
    "steady",
    [
        noise(20, -50),
        noise(20, -25),
        tone(20, -20, 440) + noise(20, -50),
        tone(20, -15, 100) + tone(20, -25, 300) + noise(20, -60),
    ],
    ids=["faint hiss", "loud hiss", "tone", "hum"],
)
def test_steady_noise_is_heard_once_at_most(steady: Samples) -> None:
    found = utterances(run(steady, detector=EverythingIsSpeech()))
    assert len(found) <= 1
    for _, end, _, _ in found:
        assert end * 1000 / SAMPLE_RATE <= CONFIG.gate_window_ms + 2 * CONFIG.hangover_ms


@pytest.mark.parametrize("detector", [None, EverythingIsSpeech()], ids=["webrtcvad", "worst"])
def test_noise_that_begins_in_the_middle_does_not_keep_it_listening(
    detector: VoiceActivityDetector | None,
) -> None:
    fan = join(silence(2), noise(15, -35))
    samples = join(silence(1), speech(2, -15), silence(14)) + fan + noise(17, -70, seed=1)
    found = utterances(run(samples, detector=detector))
    _, end, reason, _ = found[0]
    assert reason is EndReason.SILENCE
    allowed = CONFIG.gate_window_ms + CONFIG.hangover_ms + 200
    assert end * 1000 / SAMPLE_RATE <= 3000 + allowed
    assert all(later - end <= 3 * SAMPLE_RATE for _, later, _, _ in found[1:])


@pytest.mark.parametrize("ratio_db", [15, 10, 6])
def test_speech_in_steady_noise_begins_and_ends_where_it_should(ratio_db: int) -> None:
    samples = join(silence(6), speech(2, -25), silence(4)) + noise(12, -25 - ratio_db)
    spoken = [u for u in utterances(run(samples)) if u[1] > 6 * SAMPLE_RATE]
    assert len(spoken) == 1
    start, end, _, _ = spoken[0]
    assert start <= 6 * SAMPLE_RATE
    assert 8 * SAMPLE_RATE <= end <= 9 * SAMPLE_RATE


@pytest.mark.parametrize("seconds_of_swell", [0.2, 0.5])
def test_noise_that_swells_and_fades_does_not_last(seconds_of_swell: float) -> None:
    time = np.arange(60 * SAMPLE_RATE) / SAMPLE_RATE
    swell = 10 ** (4.5 * np.sin(2 * np.pi * time / seconds_of_swell) / 20)
    fluctuating = (noise(60, -40) * swell).astype(np.float32)
    rising = utterances(run(fluctuating, detector=EverythingIsSpeech()))
    steady = replace(CONFIG, gate_rise_db=0.0)
    assert any(
        reason is EndReason.MAXIMUM_LENGTH
        for _, _, reason, _ in utterances(run(fluctuating, steady, EverythingIsSpeech()))
    )
    assert all(end - start <= 12 * SAMPLE_RATE for start, end, _, _ in rising)


def test_speech_of_ten_seconds_is_not_taken_for_noise() -> None:
    samples = join(silence(1), speech(10), silence(2)) + noise(13, -60)
    [(start, end, _, _)] = utterances(run(samples))
    assert start <= SAMPLE_RATE
    assert end >= 11 * SAMPLE_RATE


@pytest.mark.parametrize("peak_db", [-45, -55])
def test_very_quiet_speech_in_a_quiet_room_is_heard(peak_db: int) -> None:
    voice = speech(2)
    voice *= np.float32(10 ** (peak_db / 20) / np.abs(voice).max())
    samples = join(silence(2), voice, silence(2)) + noise(6, -85)
    [(start, end, _, _)] = utterances(run(samples))
    assert start <= 2 * SAMPLE_RATE
    assert end >= 4 * SAMPLE_RATE


def test_digital_silence_and_what_is_no_number_are_silence() -> None:
    broken = np.full(SAMPLE_RATE, np.nan, np.float32)
    infinite = np.full(SAMPLE_RATE, np.inf, np.float32)
    samples = join(silence(2), broken, infinite, silence(2))
    assert run(samples, detector=EverythingIsSpeech()) == []


def test_hearing_goes_on_after_what_is_no_number() -> None:
    broken = np.full(SAMPLE_RATE, np.nan, np.float32)
    [(start, _, _, _)] = utterances(run(join(broken, silence(1), speech(1), silence(1))))
    assert SAMPLE_RATE < start <= 2 * SAMPLE_RATE


def test_a_room_that_comes_back_after_digital_silence_is_no_speech() -> None:
    samples = join(noise(6, -50), silence(10), noise(6, -50, seed=1))
    found = utterances(run(samples, detector=EverythingIsSpeech()))
    assert all(end <= 6 * SAMPLE_RATE for _, end, _, _ in found)


def test_samples_beyond_full_scale_are_clipped() -> None:
    loud = join(silence(1), speech(1) * np.float32(50), silence(1))
    [(start, end, _, audio)] = utterances(run(loud))
    np.testing.assert_array_equal(audio, loud[start:end])
