"""The doctor finds what is wrong, says how to mend it, and answers whatever is broken."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from test_audio import BUILT_IN, USB, FakeSoundDevice

from assistant.cli import main
from assistant.config import AssistantConfig, AudioConfig
from assistant.doctor import daemon, packages, permissions
from assistant.doctor.check import Check, Verdict
from assistant.doctor.desktop import check_desktop
from assistant.doctor.examination import TOPICS, Examined, examine
from assistant.doctor.microphone import check_microphone
from assistant.doctor.model import check_model
from assistant.errors import AudioFileError, ConfigError
from assistant.program import install_line

RATE = 44_100


def by_name(checks: Iterator[Check]) -> dict[str, Check]:
    return {check.name: check for check in checks}


def verdicts(checks: Iterator[Check]) -> dict[str, Verdict]:
    return {check.name: check.verdict for check in checks}


def spoken(seconds: float = 1.0, channels: int = 2) -> np.ndarray:
    """Noise that stands out of silence for a third of the time."""
    count = round(seconds * RATE)
    drawn = np.random.default_rng(0).standard_normal((count, 1)).repeat(channels, 1)
    drawn[: count // 3] *= 1e-3
    drawn[2 * count // 3 :] *= 1e-3
    return (0.1 * drawn).astype(np.float32)


# ── all topics ─────────────────────────────────────────────────────────────────────────────


def test_a_topic_that_breaks_does_not_stop_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Examined) -> Iterator[Check]:
        yield Check("first", Verdict.GOOD, "fine")
        raise RuntimeError("a library\nis broken")

    def wrong(_: Examined) -> Iterator[Check]:
        raise AudioFileError("door.wav: is empty; record it again")
        yield

    monkeypatch.setitem(TOPICS, "sound", broken)
    monkeypatch.setitem(TOPICS, "model", wrong)
    found = list(examine(Examined(), ["sound", "model", "packages"]))
    assert [topic for topic, _ in found][:3] == ["sound", "sound", "model"]
    assert "RuntimeError: a library is broken" in found[1][1].found
    assert (found[2][1].found, found[2][1].remedy) == ("door.wav: is empty", "record it again")
    assert len(found) > 3


def test_it_answers_with_a_broken_torch_and_without_portaudio(tmp_path: Path) -> None:
    for library in ("torch", "sounddevice"):
        (tmp_path / f"{library}.py").write_text("raise ImportError('libc10.so: cannot open')\n")
    result = subprocess.run(
        [sys.executable, "-m", "assistant", "doctor", "--json"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.returncode == 1
    assert {one["topic"] for one in found} == set(TOPICS)
    torch = next(one for one in found if one["name"] == "torch")
    assert torch["verdict"] == "fault"
    assert "libc10.so" in torch["found"]
    assert "pip install --force-reinstall torch" in torch["remedy"]
    hashes = next(one for one in found if one["name"] == "acoustic model")
    assert hashes["verdict"] == "good"  # needs no torch


def test_packages_that_are_missing_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    there = packages._version
    gone = {"hassil", "dbus-fast"}
    monkeypatch.setattr(packages, "_version", lambda n: None if n in gone else there(n))
    found = by_name(packages.check_packages())
    assert found["packages"].verdict is Verdict.FAULT
    assert found["packages"].remedy == "pip install hassil"
    assert found["extra desktop"].verdict is Verdict.WARNING
    assert install_line("desktop") in found["extra desktop"].remedy


# ── sound ──────────────────────────────────────────────────────────────────────────────────


def listened(backend: FakeSoundDevice, device: str | None = None) -> dict[str, Check]:
    asked: list[str] = []
    checks = by_name(check_microphone(AudioConfig(device), 1.0, asked.append, backend))
    assert bool(asked) == ("recording" in checks or "signal" in checks)
    return checks


def test_a_microphone_that_hears_well_is_good() -> None:
    backend = FakeSoundDevice(USB)
    backend.lives = [spoken()]
    found = listened(backend)
    assert {check.verdict for check in found.values()} == {Verdict.GOOD}
    assert "resampled to 16000 Hz" in found["sample rate"].found
    assert backend.closed == 1


def test_a_dead_channel_is_seen_before_channels_are_averaged() -> None:
    backend = FakeSoundDevice(USB)
    backend.lives = [spoken() * np.array([1, 0], np.float32)]
    found = listened(backend)
    assert found["channels"].verdict is Verdict.WARNING
    assert "loses 6 dB" in found["channels"].found


def test_a_muted_microphone_is_a_fault_and_no_more_is_said_of_it() -> None:
    backend = FakeSoundDevice(USB)
    backend.lives = [np.zeros((RATE, 2), np.float32)]
    found = listened(backend)
    assert found["signal"].verdict is Verdict.FAULT
    assert "unmute" in found["signal"].remedy
    assert "speech" not in found


def test_a_busy_microphone_is_a_fault() -> None:
    backend = FakeSoundDevice(BUILT_IN, USB)
    backend.busy = True
    found = listened(backend)
    assert found["microphones"].verdict is Verdict.GOOD
    assert found["microphone"].verdict is Verdict.FAULT
    assert found["microphone"].remedy.startswith("close what uses it")


def test_an_unknown_microphone_is_a_fault() -> None:
    assert listened(FakeSoundDevice(USB), "banjo")["microphone"].verdict is Verdict.FAULT


def test_a_device_that_ends_too_soon_is_a_fault() -> None:
    backend = FakeSoundDevice(USB)
    backend.lives = [spoken(0.5), np.zeros((0, 2), np.float32)]
    found = listened(backend)
    assert found["recording"].verdict is Verdict.FAULT
    assert "0.5 s of sound came" in found["recording"].found


def test_a_recording_is_judged_from_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "loud.wav"
    soundfile.write(path, np.clip(20 * spoken(), -1, 1), RATE)
    assert main(["doctor", "--only", "sound", "--file", str(path)]) == 1
    said = capsys.readouterr().out
    assert "✘ clipping" in said
    assert "→ turn the microphone down" in said


def test_a_good_recording_is_good(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = data / "recordings" / "home" / "word_yes.flac"
    assert main(["doctor", "--only", "sound", "--json", "--file", str(path)]) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {one["verdict"] for one in found} == {"good"}
    assert {"signal", "speech", "noise floor", "clipping"} <= {one["name"] for one in found}


def test_telephone_recordings_and_snippets_are_told(tmp_path: Path) -> None:
    telephone, snippet = tmp_path / "telephone.wav", tmp_path / "snippet.wav"
    soundfile.write(telephone, spoken()[:8_000], 8_000)
    soundfile.write(snippet, spoken()[:1_000], 16_000)
    found = {c.name: c.verdict for _, c in examine(Examined(recording=telephone), ["sound"])}
    assert found["sample rate"] is Verdict.WARNING
    (_, rate), (_, length) = examine(Examined(recording=snippet), ["sound"])
    assert (rate.verdict, length.verdict) == (Verdict.GOOD, Verdict.FAULT)
    ((_, missing),) = examine(Examined(recording=tmp_path / "none.wav"), ["sound"])
    assert missing.verdict is Verdict.FAULT


def test_an_unknown_topic_is_misuse(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--only", "health"]) == 2
    assert "one of: packages, sound" in capsys.readouterr().err


# ── permissions ────────────────────────────────────────────────────────────────────────────

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux's permissions")


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A runtime folder with a short name: names of sockets are limited."""
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        monkeypatch.delenv("PIPEWIRE_RUNTIME_DIR", raising=False)
        monkeypatch.delenv("ASSISTANT_SOCKET", raising=False)
        monkeypatch.setattr(permissions, "DEVICES", Path(folder) / "dev")
        yield Path(folder)


@contextlib.contextmanager
def server(path: Path, answer: Callable[[socket.socket], None]) -> Iterator[None]:
    """A unix socket that takes one connection, and answers it on a thread."""
    path.parent.mkdir(exist_ok=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        listener.settimeout(5)

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                answer(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        yield
        thread.join()


@linux
def test_a_private_runtime_folder_with_a_sound_server_is_good(runtime: Path) -> None:
    with server(runtime / "pipewire-0", lambda _: None):
        found = by_name(permissions.check_permissions())
    assert found["runtime folder"].verdict is Verdict.GOOD
    assert found["sound server"].verdict is Verdict.GOOD
    assert "PipeWire" in found["sound server"].found


@linux
def test_a_runtime_folder_open_to_others_is_a_fault(runtime: Path) -> None:
    runtime.chmod(0o755)
    found = by_name(permissions.check_permissions())["runtime folder"]
    assert (found.verdict, found.remedy) == (Verdict.FAULT, f"chmod 700 {runtime}")


@linux
def test_a_sound_server_that_is_gone_is_a_fault(runtime: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(runtime / "pipewire-0"))
    found = by_name(permissions.check_permissions())["sound server"]
    assert found.verdict is Verdict.FAULT
    assert "restart pipewire" in found.remedy


@linux
def test_without_a_sound_server_the_device_must_be_open_to_the_user(
    runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert by_name(permissions.check_permissions())["sound server"].verdict is Verdict.WARNING
    device = runtime / "dev" / "snd" / "pcmC0D0c"
    device.parent.mkdir(parents=True)
    device.touch()
    assert by_name(permissions.check_permissions())["sound server"].verdict is Verdict.GOOD
    monkeypatch.setattr(os, "access", lambda *_: False)
    found = by_name(permissions.check_permissions())["sound server"]
    assert found.verdict is Verdict.FAULT
    assert "usermod -aG audio" in found.remedy


# ── desktop ────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def session_bus(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A session bus of its own on which nobody offers anything."""
    pytest.importorskip("dbus_fast")
    program = shutil.which("dbus-daemon")
    if program is None:
        pytest.skip("dbus-daemon is not installed")
    config = runtime / "bus.conf"
    config.write_text(
        f"<busconfig><type>session</type><listen>unix:path={runtime}/bus</listen>"
        '<policy context="default"><allow send_destination="*" eavesdrop="true"/>'
        '<allow eavesdrop="true"/><allow own="*"/></policy></busconfig>'
    )
    arguments = ["--nofork", "--nopidfile", f"--config-file={config}", "--print-address"]
    with subprocess.Popen([program, *arguments], stdout=subprocess.PIPE) as bus:
        assert bus.stdout is not None
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", bus.stdout.readline().decode().strip())
        yield
        bus.terminate()


def test_a_bare_desktop_is_told_what_it_lacks(
    session_bus: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("WAYLAND_DISPLAY", "SWAYSOCK", "HYPRLAND_INSTANCE_SIGNATURE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DISPLAY", ":7")
    monkeypatch.setenv("PATH", "/nowhere")
    found = by_name(check_desktop())
    assert found.pop("session").found == "X11"
    assert found.pop("D-Bus").verdict is Verdict.GOOD
    assert {check.verdict for check in found.values()} == {Verdict.WARNING}
    assert "xdotool" in found["typing"].remedy
    assert "notification daemon" in found["notifications"].remedy
    assert "portal" in found["shortcuts"].remedy


def test_without_a_session_the_desktop_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WAYLAND_DISPLAY", "DISPLAY", "SWAYSOCK", "HYPRLAND_INSTANCE_SIGNATURE"):
        monkeypatch.delenv(name, raising=False)
    assert verdicts(check_desktop()) == {"session": Verdict.SKIPPED}


# ── model ──────────────────────────────────────────────────────────────────────────────────


def bundle_in(folder: Path, weights: bytes = b"weights") -> Path:
    """Files whose hashes are right; no model is in them."""
    recorded = hashlib.sha256(b"weights").hexdigest()
    encoder = hashlib.sha256(b"encoder").hexdigest()
    for name, text, content in (
        ("encoder/encoder", "shape: {}", b"encoder"),
        ("tiny/acoustic", f"encoder_sha256: {encoder}", weights),
        ("tiny/commands/home/intent", f"acoustic_sha256: {recorded}", b""),
    ):
        path = folder / f"{name}.safetensors"
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
        (path.parent / "config.yaml").write_text(text)
    return folder / "tiny"


@pytest.mark.parametrize(("damaged", "name"), [("encoder", "encoder"), ("tiny", "acoustic model")])
def test_a_file_that_is_not_the_one_recorded_is_a_fault(
    tmp_path: Path, damaged: str, name: str
) -> None:
    bundle = bundle_in(tmp_path)
    (path,) = (tmp_path / damaged).glob("*.safetensors")
    path.write_bytes(b"other")
    found = by_name(check_model(AssistantConfig(str(bundle)), None, None))
    assert found[name].verdict is Verdict.FAULT
    assert "fetch or train the bundle again" in found[name].remedy
    assert "loading" not in found
    path.unlink()
    assert (
        "is missing" in by_name(check_model(AssistantConfig(str(bundle)), None, None))[name].found
    )


def test_a_damaged_model_with_the_right_hash_is_a_fault(tmp_path: Path) -> None:
    found = by_name(check_model(AssistantConfig(str(bundle_in(tmp_path))), None, None))
    assert found["acoustic model"].verdict is Verdict.GOOD
    assert found["loading"].verdict is Verdict.FAULT


def test_a_folder_that_is_called_like_the_set_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = bundle_in(tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "home").mkdir()
    found = by_name(check_model(AssistantConfig(str(bundle), "home"), None, None))
    assert found["acoustic model"].verdict is Verdict.GOOD
    with pytest.raises(ConfigError, match="neither compiled commands nor command files"):
        list(check_model(AssistantConfig(str(bundle), "./home"), None, None))


def test_a_recording_without_any_sound_in_it_is_told(tmp_path: Path) -> None:
    path = tmp_path / "cut.flac"
    soundfile.write(path, spoken(0.5), RATE)
    path.write_bytes(path.read_bytes()[:100])
    examined = Examined(AssistantConfig("en-us-small"), recording=path)
    found = [check for _, check in examine(examined, ["model"])]
    assert "none of its sound can be read" in found[-1].found
    assert found[-1].remedy == "record it again"


def test_the_bundled_model_understands_the_bundled_recording(tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text("intents: {openSite: {run: [no-such-browser, '{site}']}}")
    config = AssistantConfig("en-us-small")
    found = by_name(check_model(config, str(policy), None))
    assert found["recognition"].verdict is Verdict.GOOD
    assert found["speed"].verdict is not Verdict.SKIPPED
    assert found["policy"].verdict is Verdict.WARNING
    assert "no-such-browser" in found["policy"].found


def test_a_policy_with_a_mistake_is_a_fault(tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text("intents: {openSite: {sing: loudly}}")
    recording = tmp_path / "noise.wav"
    soundfile.write(recording, spoken(0.5), RATE)
    found = by_name(check_model(AssistantConfig("en-us-small"), str(policy), recording))
    assert found["policy"].verdict is Verdict.FAULT
    assert found["recognition"].verdict is Verdict.WARNING  # nobody knows what was said in it


# ── the daemon ─────────────────────────────────────────────────────────────────────────────


def control_check(runtime: Path, answer: Callable[[socket.socket], None] | None) -> Check:
    if answer is None:
        return by_name(daemon.check_daemon())["control socket"]
    with server(runtime / "assistant" / "control.sock", answer):
        return by_name(daemon.check_daemon())["control socket"]


def test_a_daemon_that_answers_is_good(runtime: Path) -> None:
    def answer(connection: socket.socket) -> None:
        assert json.loads(connection.recv(4096)) == {"type": "status"}
        status = {"ok": True, "stage": "ready", "version": "1", "microphone": "USB mic"}
        connection.sendall(json.dumps(status).encode() + b"\n")

    found = control_check(runtime, answer)
    assert (found.verdict, found.found) == (
        Verdict.GOOD,
        "stage ready, version 1, microphone USB mic",
    )


def test_a_daemon_that_does_not_answer_is_a_fault(
    runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemon, "TIMEOUT_S", 0.1)
    found = control_check(runtime, lambda connection: connection.recv(4096) and connection.recv(1))
    assert found.verdict is Verdict.FAULT
    assert "does not answer within 0.1 s" in found.found


@pytest.mark.parametrize("said", [b"HTTP/1.1 400\n", b"[]\n", b"{}\n", b""])
def test_another_program_at_the_socket_is_a_fault(runtime: Path, said: bytes) -> None:
    def answer(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(said)

    assert control_check(runtime, answer).verdict is Verdict.FAULT


def test_no_daemon_is_worth_a_hint_and_no_fault(runtime: Path) -> None:
    found = control_check(runtime, None)
    assert found.verdict is Verdict.WARNING
    assert "assistant serve" in found.remedy
