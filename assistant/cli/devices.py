"""`assistant devices`: which microphones there are."""

# ruff: noqa: PLC0415 - what is slow to load waits until the command runs

from __future__ import annotations

from rich.table import Table

from . import options
from .screen import Screen

EXAMPLES = options.examples(
    "assistant devices",
    "assistant listen --input-device USB: the microphone whose name contains USB",
)


def command(json: options.Json = False) -> None:
    """List the microphones with their rates; the default is marked."""
    screen = Screen()

    from ..audio import list_devices
    from .render import write_json

    devices = list_devices()
    if json:
        for device in devices:
            write_json(
                screen,
                {
                    "index": device.index,
                    "name": device.name,
                    "host_api": device.host_api,
                    "channels": device.channels,
                    "rate": device.default_rate,
                    "default": device.is_default,
                },
            )
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("", "index", "name", "through", "channels", "rate"):
        is_number = heading in ("index", "channels", "rate")
        table.add_column(heading, justify="right" if is_number else "left", no_wrap=True)
    for device in devices:
        table.add_row(
            "*" if device.is_default else "",
            str(device.index),
            device.name,
            device.host_api,
            str(device.channels),
            f"{device.default_rate} Hz",
        )
    screen.output.print(table)
    screen.result("* the default; choose another with --input-device INDEX|NAME")
