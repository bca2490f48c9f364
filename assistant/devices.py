"""Input devices: which there are, and which one the user means; `audio` opens them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .errors import AudioDeviceError

_MME_NAME_LENGTH = 31
"""Windows' oldest host API cuts names to this length."""


@dataclass(frozen=True, slots=True)
class InputDevice:
    """A microphone as PortAudio lists it."""

    index: int
    name: str
    host_api: str
    """The sound system it is reached through: ALSA, Core Audio, Windows WASAPI, …"""
    channels: int
    """Most input channels; sound servers claim up to 128."""
    default_rate: int
    """Hz; what the hardware runs at, as a rule."""
    is_default: bool

    def __str__(self) -> str:
        return f"{self.index}: {self.name} ({self.host_api})"


def query_devices(backend: Any) -> list[InputDevice]:
    """All devices that can record, in PortAudio's order.

    Args:
        backend: the `sounddevice` module, or a stand-in.

    Raises:
        AudioDeviceError: there is none.
    """
    try:
        default = int(backend.default.device[0])
        host_apis = [host_api["name"] for host_api in backend.query_hostapis()]
        devices = [
            InputDevice(
                index=device["index"],
                name=device["name"],
                host_api=host_apis[device["hostapi"]],
                channels=device["max_input_channels"],
                default_rate=round(device["default_samplerate"]),
                is_default=device["index"] == default,
            )
            for device in backend.query_devices()
            if device["max_input_channels"] > 0
        ]
    except backend.PortAudioError as error:
        raise AudioDeviceError(f"PortAudio lists no microphones: {one_line(error)}") from error
    if not devices:
        raise AudioDeviceError(
            "no microphone found: plug one in, or check that this user may use the sound card"
        )
    return devices


def select_device(devices: list[InputDevice], wanted: str | None) -> InputDevice:
    """Find the device meant by an index, a name, part of a name, or nothing (the default).

    A microphone that is listed once per host API is taken from the default device's host API.

    Raises:
        AudioDeviceError: none or several fit; the message lists the candidates.
    """
    default = next((device for device in devices if device.is_default), None)
    if not wanted:
        if default is None:
            raise AudioDeviceError(f"no default microphone; choose one of: {listed(devices)}")
        return default
    if wanted.isdecimal():
        matches = [device for device in devices if device.index == int(wanted)]
    else:
        sought = wanted.casefold()
        matches = [device for device in devices if device.name.casefold() == sought] or [
            device for device in devices if sought in f"{device.name}, {device.host_api}".casefold()
        ]
    if not matches:
        raise AudioDeviceError(f"no microphone '{wanted}'; choose one of: {listed(devices)}")
    if len({device.name[:_MME_NAME_LENGTH] for device in matches}) == 1 and default is not None:
        preferred = [device for device in matches if device.host_api == default.host_api]
        matches = preferred if len(preferred) == 1 else matches
    if len(matches) > 1:
        raise AudioDeviceError(
            f"microphone '{wanted}' is ambiguous; give the index of one of: {listed(matches)}"
        )
    return matches[0]


def listed(devices: list[InputDevice]) -> str:
    """Devices on one line, for messages."""
    return "; ".join(map(str, devices))


def one_line(error: Exception) -> str:
    """The text of a driver's error, which may span lines."""
    return " ".join(str(error).split())
