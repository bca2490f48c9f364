"""Sound comes in unchanged: any rate, any file, any cut of the stream, and a device that fails."""

from __future__ import annotations

import io
import logging
import os
import struct
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from assistant import audio
from assistant.audio import Microphone, list_devices, read_file, read_pcm, realtime, select_device
from assistant.config import AudioConfig
from assistant.errors import AudioDeviceError, AudioFileError, UsageError
from assistant.resampling import StreamingResampler, mix_down
from assistant.types import SAMPLE_RATE, Samples

RATES = (8_000, 11_025, 16_000, 22_050, 44_099, 44_100, 48_000, 96_000, 192_000)


def noise(count: int, seed: int = 0) -> Samples:
    return (0.1 * np.random.default_rng(seed).standard_normal(count)).astype(np.float32)


def sine(frequency: float, rate: int, seconds: float = 0.5) -> Samples:
    time = np.arange(round(rate * seconds)) / rate
    return (0.5 * np.sin(2 * np.pi * frequency * time)).astype(np.float32)


def joined(blocks: Iterable[Samples]) -> Samples:
    return np.concatenate([np.empty(0, np.float32), *blocks])


def resampled(samples: Samples, rate: int) -> Samples:
    resampler = StreamingResampler(rate)
    return joined([*resampler.feed(samples), *resampler.flush()])


def gain_db(frequency: float, rate: int) -> float:
    """Level of a sine after resampling, the ends left out."""
    output = resampled(sine(frequency, rate), rate)[800:-800]
    return float(20 * np.log10(np.sqrt(2 * np.mean(output.astype(np.float64) ** 2)) / 0.5 + 1e-12))


# ── resampling ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("cut", [1, 7, 441, 997])
def test_resampling_does_not_depend_on_the_cuts(rate: int, cut: int) -> None:
    samples = noise(min(5_003, rate // 2 + 3))
    resampler = StreamingResampler(rate)
    blocks = [b for i in range(0, samples.size, cut) for b in resampler.feed(samples[i : i + cut])]
    np.testing.assert_array_equal(joined([*blocks, *resampler.flush()]), resampled(samples, rate))


@settings(max_examples=30, deadline=None)
@given(cuts=st.lists(st.integers(0, 3_000), max_size=8), rate=st.sampled_from((8_000, 44_100)))
def test_resampling_does_not_depend_on_random_cuts(cuts: list[int], rate: int) -> None:
    samples = noise(3_000)
    resampler = StreamingResampler(rate)
    blocks = [b for part in np.split(samples, sorted(cuts)) for b in resampler.feed(part)]
    np.testing.assert_array_equal(joined([*blocks, *resampler.flush()]), resampled(samples, rate))


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("count", [0, 1, 2, 440, 441, 442, 4_801])
def test_resampled_length(rate: int, count: int) -> None:
    assert resampled(noise(count), rate).size == -(-count * SAMPLE_RATE // rate)


@pytest.mark.parametrize("rate", [44_100, 48_000, 96_000])
@pytest.mark.parametrize("frequency", [50, 1_000, 4_000, 6_000, 7_000])
def test_speech_band_passes(rate: int, frequency: float) -> None:
    assert abs(gain_db(frequency, rate)) < 0.1


@pytest.mark.parametrize("rate", [44_100, 48_000, 96_000])
@pytest.mark.parametrize("frequency", [8_050, 9_000, 12_000, 15_950, 17_000, 20_000])
def test_aliases_are_gone(rate: int, frequency: float) -> None:
    assert gain_db(frequency, rate) < -60


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 48_000])
def test_output_is_the_same_sound_at_the_same_time(rate: int) -> None:
    output = resampled(sine(1_000, rate), rate)
    np.testing.assert_allclose(output[800:-800], sine(1_000, SAMPLE_RATE)[800:-800], atol=2e-4)


def test_upsampling_makes_no_images() -> None:
    spectrum = np.abs(
        np.fft.rfft(resampled(sine(3_000, 8_000), 8_000)[800:-800] * np.hanning(6_400))
    )
    frequencies = np.fft.rfftfreq(6_400, 1 / SAMPLE_RATE)
    image = spectrum[np.abs(frequencies - 5_000) < 100].max()
    assert 20 * np.log10(image / spectrum.max()) < -60


def test_own_rate_is_untouched() -> None:
    samples = noise(1_000)
    np.testing.assert_array_equal(resampled(samples, SAMPLE_RATE), samples)
    assert StreamingResampler(SAMPLE_RATE).latency_ms == 0


@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000])
def test_latency_is_what_the_stage_says(rate: int) -> None:
    resampler = StreamingResampler(rate)
    produced, waited = 0, []
    for received, sample in enumerate(noise(rate // 4), start=1):
        for block in resampler.feed(sample[None]):
            waited.append(1000 * (received / rate - produced / SAMPLE_RATE))
            produced += block.size
    assert resampler.latency_ms - 2000 / rate < max(waited) <= resampler.latency_ms + 1e-9


def test_flush_resets() -> None:
    samples, resampler = noise(5_000), StreamingResampler(44_100)
    first = joined([*resampler.feed(samples), *resampler.flush()])
    again = joined([*resampler.feed(samples), *resampler.flush()])
    np.testing.assert_array_equal(first, again)


def test_resampler_keeps_no_hold_of_the_callers_memory() -> None:
    samples = noise(300)
    buffer, resampler = samples.copy(), StreamingResampler(44_100)
    blocks = resampler.feed(buffer)
    buffer[:] = 1
    np.testing.assert_array_equal(joined([*blocks, *resampler.flush()]), resampled(samples, 44_100))


@pytest.mark.parametrize("rate", [0, -1, 999, 4_000_000])
def test_implausible_rate(rate: int) -> None:
    with pytest.raises(UsageError, match=f"sample rate of {rate} Hz"):
        StreamingResampler(rate)


def test_resampler_wants_mono() -> None:
    with pytest.raises(ValueError, match="mono"):
        StreamingResampler(48_000).feed(np.zeros((10, 2), np.float32))


def test_mix_down_replaces_what_is_no_sample() -> None:
    frames = np.array([[0.5, 1.5], [np.nan, 1.0], [np.inf, -np.inf], [3e38, 2.0]], np.float32)
    samples, invalid = mix_down(frames)
    assert samples.tolist() == [1.0, 0.5, 0.0, 1.0]
    assert invalid == 4


# ── files ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "subtype", "tolerance"),
    [
        ("a.wav", "PCM_U8", 1 / 128),
        ("a.wav", "PCM_16", 1 / 2**15),
        ("a.wav", "PCM_24", 1e-6),
        ("a.wav", "PCM_32", 1e-6),
        ("a.wav", "FLOAT", 0),
        ("a.wav", "DOUBLE", 0),
        ("a.flac", "PCM_16", 1 / 2**15),
        ("a.aiff", "PCM_16", 1 / 2**15),
        ("a.w64", "PCM_16", 1 / 2**15),
        ("a.ogg", "VORBIS", 0.1),
        ("a.ogg", "OPUS", 0.1),
        ("a.mp3", None, 0.1),
    ],
)
def test_formats(tmp_path: Path, name: str, subtype: str | None, tolerance: float) -> None:
    samples = sine(440, SAMPLE_RATE)
    soundfile.write(tmp_path / name, samples, SAMPLE_RATE, subtype=subtype)
    file = read_file(tmp_path / name)
    blocks = list(file)
    assert not file.truncated
    assert all(block.dtype == np.float32 and block.ndim == 1 for block in blocks)
    assert max(block.size for block in blocks) < samples.size
    body = slice(0, samples.size - 400)  # lossy codecs blur the end
    np.testing.assert_allclose(joined(blocks)[body], samples[body], atol=tolerance)


def test_file_in_blocks_equals_the_file_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "speech.mp3"
    soundfile.write(path, sine(300, 44_100, 3) + noise(132_300), 44_100)
    whole, rate = soundfile.read(path, dtype="float32")
    np.testing.assert_array_equal(joined(read_file(path)), resampled(whole, rate))


def test_channels_are_averaged_and_the_rate_is_changed(tmp_path: Path) -> None:
    channels = np.stack([sine(440, 44_100), noise(22_050), noise(22_050, 1)], axis=1)
    path = tmp_path / "three.wav"
    soundfile.write(path, channels, 44_100, subtype="FLOAT")
    file = read_file(path)
    assert (file.rate, file.channels, file.frames, file.seconds) == (44_100, 3, 22_050, 0.5)
    expected = resampled(channels.mean(axis=1, dtype=np.float32), 44_100)
    np.testing.assert_array_equal(joined(file), expected)
    np.testing.assert_array_equal(joined(file), expected)  # from the start each time


def test_float_files_may_be_louder_than_full_scale_but_not_infinite(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "loud.wav"
    values = np.array([2.5, np.nan, np.inf, -np.inf, -3.0], np.float32)
    soundfile.write(path, values, SAMPLE_RATE, subtype="FLOAT")
    file = read_file(path)
    for _ in range(2):
        caplog.clear()
        assert joined(file).tolist() == [2.5, 0, 0, 0, -3.0]
        assert file.invalid_samples == 3
        assert [record.levelno for record in caplog.records] == [logging.WARNING]
        assert "3 samples" in caplog.text


@pytest.mark.parametrize("name", ["cut.wav", "cut.aiff", "cut.au", "cut.flac", "cut.mp3"])
def test_truncated_file_is_read_as_far_as_it_goes(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / name
    soundfile.write(path, noise(32_000), SAMPLE_RATE)
    whole = joined(read_file(path))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    file = read_file(path)
    part = joined(file)
    assert 0.3 * whole.size < part.size < 0.6 * whole.size
    np.testing.assert_array_equal(part[:-1_600], whole[: part.size - 1_600])
    assert file.truncated
    assert "ends sooner" in caplog.text


@pytest.mark.parametrize("size", [0xFFFF_FFFF, 0x7FFF_FFFF, 0x8000_0000])
def test_wav_of_unknown_length_is_not_truncated(tmp_path: Path, size: int) -> None:
    path = tmp_path / "pipe.wav"
    soundfile.write(path, noise(1_000), SAMPLE_RATE)
    data = path.read_bytes()
    at = data.index(b"data") + 4
    path.write_bytes(data[:at] + struct.pack("<I", size) + data[at + 4 :])
    file = read_file(path)
    assert joined(file).size == 1_000
    assert not file.truncated


def test_flac_of_unknown_length_is_not_truncated(tmp_path: Path) -> None:
    path = tmp_path / "pipe.flac"
    soundfile.write(path, noise(1_000), SAMPLE_RATE)
    data = bytearray(path.read_bytes())
    data[21] &= 0xF0  # STREAMINFO's 36 bits of total samples
    data[22:26] = bytes(4)
    path.write_bytes(data)
    file = read_file(path)
    assert (file.frames, file.seconds) == (None, None)
    assert joined(file).size == 1_000
    assert not file.truncated


def test_whole_file_is_not_truncated(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    soundfile.write(tmp_path / "whole.wav", noise(1_600), SAMPLE_RATE)
    file = read_file(tmp_path / "whole.wav")
    assert joined(file).size == 1_600
    assert not file.truncated
    assert not caplog.records


def _nothing(path: Path) -> None:
    pass


def _header_only(path: Path) -> None:
    soundfile.write(path, np.empty(0), SAMPLE_RATE)


def _absurd_rate(path: Path) -> None:
    soundfile.write(path, noise(100), 10)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_nothing, "there is no such file"),
        (Path.mkdir, "is a folder"),
        (Path.touch, "0 bytes"),
        (lambda path: path.write_text("no audio\n" * 99), "no audio that libsndfile can read"),
        (lambda path: path.write_bytes(b"RIFF\x24\x00\x00\x00WAVE"), "can read"),
        (_header_only, "holds no samples"),
        (_absurd_rate, "sample rate of 10 Hz"),
        (os.mkfifo if hasattr(os, "mkfifo") else Path.mkdir, "no regular file|is a folder"),
    ],
)
def test_what_is_no_recording(tmp_path: Path, make: Callable[[Path], Any], message: str) -> None:
    path = tmp_path / "recording.wav"
    make(path)
    with pytest.raises(AudioFileError, match=message) as caught:
        read_file(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_raw_pcm_in_a_file_tells_no_rate(tmp_path: Path) -> None:
    path = tmp_path / "recording.RAW"
    path.write_bytes(bytes(2_000))
    with pytest.raises(AudioFileError, match="raw PCM does not tell its rate; pipe it"):
        read_file(path)


def test_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "private.wav"
    soundfile.write(path, noise(100), SAMPLE_RATE)

    def refuse(*_: Any) -> None:  # chmod would not stop root
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(AudioFileError, match="may not be read"):
        read_file(path)


# ── raw PCM ────────────────────────────────────────────────────────────────────────────────


class Pipe(io.BytesIO):
    """Hands over the given bytes in pieces of `size`."""

    def __init__(self, data: bytes, size: int) -> None:
        super().__init__(data)
        self.size = size

    def read1(self, _: int | None = -1, /) -> bytes:
        return self.read(self.size)


def pcm(samples: npt.NDArray[np.floating]) -> bytes:
    return np.round(samples * 2**15).astype("<i2").tobytes()


@pytest.mark.parametrize("size", [1, 2, 3, 7, 640, 65_536])
def test_pcm_does_not_depend_on_how_the_bytes_come(size: int) -> None:
    samples = np.round(noise(1_001) * 2**15) / 2**15
    np.testing.assert_array_equal(joined(read_pcm(Pipe(pcm(samples), size))), samples)


def test_pcm_full_scale() -> None:
    data = np.array([-32768, 0, 16384, 32767], "<i2").tobytes()
    assert joined(read_pcm(io.BytesIO(data))).tolist() == [-1, 0, 0.5, 32767 / 32768]


@pytest.mark.parametrize("buffering", [0, -1])
def test_pcm_comes_as_soon_as_it_is_there(buffering: int) -> None:
    receiver, sender = os.pipe()
    with os.fdopen(receiver, "rb", buffering) as stream, os.fdopen(sender, "wb", 0) as other_end:
        blocks = read_pcm(stream)
        for count in (32, 5):
            other_end.write(pcm(noise(count)))
            assert next(blocks).size == count


def test_pcm_odd_byte_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    assert joined(read_pcm(io.BytesIO(pcm(noise(10)) + b"x"))).size == 10
    assert "1 bytes dropped" in caplog.text


def test_pcm_of_another_rate_in_stereo() -> None:
    left, right = (np.round(noise(4_800, seed) * 2**15) / 2**15 for seed in (0, 1))
    output = joined(read_pcm(Pipe(pcm(np.stack([left, right], 1)), 101), 48_000, channels=2))
    np.testing.assert_array_equal(
        output, resampled(((left + right) / 2).astype(np.float32), 48_000)
    )


# ── real time ──────────────────────────────────────────────────────────────────────────────


class Clock:
    """Seconds that pass only while something sleeps."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_realtime_passes_a_block_on_when_it_would_have_been_spoken() -> None:
    clock, passed = Clock(), []
    for index, _ in enumerate(realtime([noise(1_600)] * 4, clock, clock.sleep)):
        passed.append(clock.now - 100)
        if index == 1:
            clock.sleep(0.15)  # the consumer is slow once, and catches up
    assert passed == pytest.approx([0.1, 0.2, 0.35, 0.4])


# ── microphone ─────────────────────────────────────────────────────────────────────────────


class FakePortAudioError(Exception):
    pass


class FakeStream:
    def __init__(self, backend: FakeSoundDevice, **settings: Any) -> None:
        self.backend = backend
        self.settings = settings
        self.callback = settings["callback"]
        self.active = False
        self.latency = 0.05

    def start(self) -> None:
        if self.backend.busy:
            raise FakePortAudioError("Device\nunavailable")
        self.active = True
        self.backend.streams.append(self)
        if self.backend.lives:
            self.deliver(self.backend.lives.pop(0))
            self.active = not self.backend.lives or self.backend.stalls

    def close(self) -> None:
        self.active = False
        self.backend.closed += 1

    def deliver(self, frames: npt.NDArray[np.float32], overflow: bool = False) -> None:
        """Call back as PortAudio does, from memory that it uses again."""
        for begin in range(0, len(frames), self.settings["blocksize"]):
            block = frames[begin : begin + self.settings["blocksize"]].copy()
            self.callback(block, len(block), None, SimpleNamespace(input_overflow=overflow))
            block[:] = np.nan


class FakeSoundDevice:
    """Stands in for the module `sounddevice`."""

    PortAudioError = FakePortAudioError

    def __init__(self, *devices: tuple[str, int, int, float], default: int = 0) -> None:
        """Devices as (name, host API, channels, rate)."""
        self.devices = devices
        self.default = SimpleNamespace(device=[default, -1])
        self.streams: list[FakeStream] = []
        self.busy = False
        self.closed = 0
        self.scans = 0
        self.supported: set[tuple[int, int]] | None = None
        self.lives: list[npt.NDArray[np.float32]] = []
        """What each stream delivers on starting; it dies after that if there is a next one."""
        self.stalls = False
        """A stream dies without saying so."""

    def query_hostapis(self) -> list[dict[str, Any]]:
        return [{"name": "ALSA"}, {"name": "JACK"}]

    def query_devices(self) -> list[dict[str, Any]]:
        return [
            {
                "index": index,
                "name": name,
                "hostapi": host_api,
                "max_input_channels": channels,
                "default_samplerate": rate,
            }
            for index, (name, host_api, channels, rate) in enumerate(self.devices)
        ]

    def check_input_settings(self, samplerate: int, channels: int, **_: Any) -> None:
        if self.supported is not None and (samplerate, channels) not in self.supported:
            raise FakePortAudioError("Invalid sample rate")

    def InputStream(self, **settings: Any) -> FakeStream:
        return FakeStream(self, **settings)

    def _terminate(self) -> None:
        self.scans += 1

    def _initialize(self) -> None:
        pass


USB = ("USB Mic: Audio (hw:1,0)", 0, 2, 44_100.0)
BUILT_IN = ("HDA Intel: ALC257 Analog (hw:0,0)", 0, 2, 48_000.0)
SPEAKER = ("HDMI 0", 0, 0, 44_100.0)


def take(microphone: Microphone, count: int) -> Samples:
    """At least `count` samples, then close."""
    blocks, size = [], 0
    for samples in microphone:
        blocks.append(samples)
        size += samples.size
        if size >= count:
            microphone.close()
    return joined(blocks)


def test_devices_are_those_that_record() -> None:
    devices = list_devices(FakeSoundDevice(SPEAKER, BUILT_IN, USB, default=2))
    assert [device.index for device in devices] == [1, 2]
    assert [device.is_default for device in devices] == [False, True]
    assert (devices[0].host_api, devices[0].channels, devices[0].default_rate) == (
        "ALSA",
        2,
        48_000,
    )


def test_no_device() -> None:
    with pytest.raises(AudioDeviceError, match="no microphone found"):
        list_devices(FakeSoundDevice(SPEAKER, default=-1))


def test_no_portaudio() -> None:
    try:
        import sounddevice  # noqa: F401, PLC0415
    except OSError:
        pass
    else:
        pytest.skip("PortAudio is installed here")
    with pytest.raises(AudioDeviceError) as caught:
        list_devices()
    assert "\n" not in str(caught.value)
    with pytest.raises(AudioDeviceError, match="PortAudio was not found"), Microphone():
        pass


def test_how_to_install_portaudio(monkeypatch: pytest.MonkeyPatch) -> None:
    class Missing:
        def find_spec(self, name: str, *_: Any) -> None:
            if name == "sounddevice":
                raise OSError("PortAudio library not found")

    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Missing(), *sys.meta_path])
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(AudioDeviceError, match="sudo apt install libportaudio2"):
        list_devices()


@pytest.mark.parametrize(
    ("wanted", "index"),
    [(None, 0), ("", 0), ("1", 1), ("usb mic", 1), ("USB Mic: Audio (hw:1,0)", 1), ("alc257", 0)],
)
def test_device_by_index_name_or_default(wanted: str | None, index: int) -> None:
    assert select_device(list_devices(FakeSoundDevice(BUILT_IN, USB)), wanted).index == index


@pytest.mark.parametrize("wanted", ["7", "bluetooth"])
def test_unknown_device_lists_the_candidates(wanted: str) -> None:
    devices = list_devices(FakeSoundDevice(BUILT_IN, USB))
    with pytest.raises(AudioDeviceError, match=f"no microphone '{wanted}'.*0: HDA.*1: USB"):
        select_device(devices, wanted)


def test_ambiguous_name_lists_the_candidates() -> None:
    other = ("USB Mic: second (hw:2,0)", 0, 1, 16_000.0)
    devices = list_devices(FakeSoundDevice(BUILT_IN, USB, other))
    with pytest.raises(AudioDeviceError, match=r"ambiguous.*1: USB.*2: USB") as caught:
        select_device(devices, "usb")
    assert "HDA" not in str(caught.value)


def test_no_default_device_lists_the_candidates() -> None:
    with pytest.raises(AudioDeviceError, match=r"no default microphone.*0: USB"):
        select_device(list_devices(FakeSoundDevice(USB, default=-1)), None)


def test_device_listed_by_two_host_apis_is_taken_from_the_default_one() -> None:
    devices = list_devices(FakeSoundDevice((USB[0], 1, 2, 48_000.0), USB, BUILT_IN, default=2))
    assert select_device(devices, "usb").index == 1


def test_device_is_opened_at_its_own_rate_and_comes_out_at_16_khz() -> None:
    backend = FakeSoundDevice(BUILT_IN, USB)
    stereo = np.stack([sine(440, 44_100, 1), noise(44_100)], axis=1)
    with Microphone(AudioConfig(device="usb"), sounddevice=backend) as microphone:
        stream = backend.streams[0]
        assert stream.settings["device"] == 1
        assert (stream.settings["samplerate"], stream.settings["channels"]) == (44_100, 2)
        assert stream.settings["blocksize"] == 882
        stream.deliver(stereo)
        output = take(microphone, 15_500)
    assert output.dtype == np.float32
    expected = resampled(stereo.mean(axis=1, dtype=np.float32), 44_100)
    np.testing.assert_array_equal(output[:15_500], expected[:15_500])
    assert microphone.overruns == 0
    assert backend.closed == 1


def test_microphone_latency_adds_up() -> None:
    microphone = Microphone(AudioConfig(block_ms=20), sounddevice=FakeSoundDevice(USB))
    with pytest.raises(AudioDeviceError, match="not open"):
        _ = microphone.latency_ms
    with microphone:
        resampler = StreamingResampler(44_100).latency_ms
        assert microphone.latency_ms == pytest.approx(50 + 20 + resampler)


def test_sound_server_with_a_hundred_channels_is_opened_in_stereo() -> None:
    with Microphone(sounddevice=FakeSoundDevice(("pulse", 0, 128, 48_000.0))) as microphone:
        assert microphone.channels == 2


@pytest.mark.parametrize("supported", [(48_000, 6), (16_000, 1)])
def test_what_the_device_refuses_is_not_insisted_on(supported: tuple[int, int]) -> None:
    backend = FakeSoundDevice(("Array", 0, 6, 48_000.0))
    backend.supported = {supported}
    with Microphone(sounddevice=backend) as microphone:
        assert (microphone.rate, microphone.channels) == supported


def test_device_that_supports_nothing() -> None:
    backend = FakeSoundDevice(USB)
    backend.supported = set()
    with pytest.raises(AudioDeviceError, match="cannot be opened: Invalid sample rate"):
        Microphone(sounddevice=backend).open()


def test_busy_device_is_one_clear_line() -> None:
    backend = FakeSoundDevice(USB)
    backend.busy = True
    with pytest.raises(AudioDeviceError, match="cannot be opened: Device unavailable"):
        Microphone(sounddevice=backend).open()
    assert backend.closed == 1


def test_microphone_must_be_opened_first() -> None:
    with pytest.raises(AudioDeviceError, match="with statement"):
        next(iter(Microphone(sounddevice=FakeSoundDevice(USB))))


def test_full_queue_drops_the_oldest_and_tells_now_and_then() -> None:
    backend = FakeSoundDevice(("Mic", 0, 1, 16_000.0))
    messages: list[str] = []
    now = 0.0
    config = AudioConfig(block_ms=20, queue_ms=100)
    samples = noise(10 * 320)[:, None]
    microphone = Microphone(config, sounddevice=backend, notify=messages.append, clock=lambda: now)
    with microphone:
        blocks = iter(microphone)
        backend.streams[0].deliver(samples)
        kept = [next(blocks) for _ in range(5)]
        np.testing.assert_array_equal(joined(kept), samples[5 * 320 :, 0])
        assert microphone.overruns == 5
        assert len(messages) == 1
        assert "5 blocks dropped" in messages[0]

        backend.streams[0].deliver(samples[:640], overflow=True)  # PortAudio's own count
        assert next(blocks).size == 320
        assert (microphone.overruns, len(messages)) == (7, 1)
        now = audio.WARN_EVERY_S
        assert next(blocks).size == 320
        assert "2 blocks dropped" in messages[1]


def test_lost_device_is_reopened_when_it_is_back() -> None:
    backend = FakeSoundDevice(BUILT_IN, USB)
    before, after = sine(440, 44_100, 0.2), sine(880, 48_000, 0.2)
    backend.lives = [np.stack([before, before], axis=1), after[:, None]]
    waits: list[float] = []
    messages: list[str] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) < 5:
            backend.devices = (BUILT_IN,)
        else:  # at another place in the list, and as another device
            backend.devices = (SPEAKER, BUILT_IN, ("USB Mic: Audio (hw:2,0)", 0, 1, 48_000.0))

    config = AudioConfig(device="1", retry_initial_s=0.5, retry_maximum_s=3)
    with Microphone(config, sounddevice=backend, notify=messages.append, wait=wait) as microphone:
        output = take(microphone, 3_200 + 2_800)
    expected = joined([resampled(before, 44_100), resampled(after, 48_000)])
    np.testing.assert_array_equal(output[:6_000], expected[:6_000])
    assert waits == [0.5, 1, 2, 3, 3]
    assert backend.scans == 5
    assert [stream.settings["device"] for stream in backend.streams] == [1, 2]
    assert microphone.reconnects == 1
    assert ["lost" in messages[0], "is back" in messages[1]] == [True, True]
    assert len(messages) == 2
    assert backend.closed == 2


def test_device_that_falls_silent_for_two_seconds_is_reopened() -> None:
    backend = FakeSoundDevice(("Mic", 0, 1, 16_000.0))
    backend.lives = [noise(320)[:, None], noise(320, 1)[:, None]]
    backend.stalls = True
    ticks = iter(np.arange(0, 1_000, 0.9))
    messages: list[str] = []
    microphone = Microphone(
        sounddevice=backend,
        notify=messages.append,
        clock=lambda: float(next(ticks)),
        wait=lambda _: None,
    )
    with microphone:
        output = take(microphone, 640)
    np.testing.assert_array_equal(output, joined([noise(320), noise(320, 1)]))
    assert microphone.reconnects == 1


def test_close_ends_the_waiting_for_a_lost_device() -> None:
    backend = FakeSoundDevice(("Mic", 0, 1, 16_000.0))
    backend.lives = [noise(320)[:, None], noise(320)[:, None]]
    microphone = Microphone(
        sounddevice=backend, notify=lambda _: None, wait=lambda _: microphone.close()
    )
    with microphone:
        assert joined(microphone).size == 320
    assert len(backend.streams) == 1
    assert microphone.reconnects == 0


def test_microphone_can_be_opened_again() -> None:
    backend = FakeSoundDevice(("Mic", 0, 1, 16_000.0))
    backend.lives = [noise(320)[:, None]]
    microphone = Microphone(sounddevice=backend)
    with microphone:
        assert take(microphone, 320).size == 320
    backend.lives = [noise(640)[:, None]]
    with microphone:
        assert take(microphone, 640).size == 640
