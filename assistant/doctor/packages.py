"""Python, the packages the assistant needs, and those that some of it wants."""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Iterator
from importlib import metadata

from ..program import install_line
from .check import Check, fault, good, skipped, warning

OLDEST_PYTHON = (3, 11)

EXTRAS = {
    "daemon": "Wyoming (Home Assistant), metrics, and reading changed files again",
    "desktop": "notifications, players, shortcuts and MQTT in actions",
}
"""Extras that users of a desktop or a house want, and what for."""


def check_packages() -> Iterator[Check]:
    """Versions of what is there, and what is missing."""
    version = f"Python {platform.python_version()} ({sys.executable})"
    if sys.version_info < OLDEST_PYTHON:
        wanted = ".".join(map(str, OLDEST_PYTHON))
        yield fault("Python", version, f"install Python {wanted} or newer, and assistant with it")
    else:
        yield good("Python", version)
    try:
        distribution = metadata.distribution("assistant")
    except metadata.PackageNotFoundError:
        yield warning("assistant", "not installed, only found", install_line())
        return
    needed = [_name(text) for text in distribution.requires or () if "extra ==" not in text]
    yield _present("packages", f"assistant {distribution.version}", needed)
    for extra, purpose in EXTRAS.items():
        named = [
            _name(text)
            for text in distribution.requires or ()
            if re.search(rf"extra == ['\"]{extra}['\"]", text)
        ]
        missing = [name for name in named if _version(name) is None]
        if not named:
            yield skipped(f"extra {extra}", "this version has none")
        elif missing:
            remedy = f"{install_line(extra)} if you want {purpose}"
            yield warning(f"extra {extra}", f"{', '.join(missing)} missing", remedy)
        else:
            yield good(f"extra {extra}", ", ".join(f"{n} {_version(n)}" for n in named))
    yield from _torch()


def _present(name: str, title: str, needed: list[str]) -> Check:
    missing = [package for package in needed if _version(package) is None]
    if missing:
        return fault(name, f"missing: {', '.join(missing)}", f"pip install {' '.join(missing)}")
    return good(name, f"{title} and the {len(needed)} packages it needs")


def _torch() -> Iterator[Check]:
    """Whether torch, the one with much native code, can be loaded at all."""
    try:
        import torch  # noqa: PLC0415 - it may be broken
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        remedy = f"{sys.executable} -m pip install --force-reinstall torch torchaudio"
        yield fault("torch", f"cannot be loaded: {reason}", remedy)
        return
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    yield good("torch", f"{torch.__version__} on {device}")


def _name(requirement: str) -> str:
    """The project's name in a requirement such as `numpy>=1.26; extra == "x"` (PEP 508)."""
    return re.split(r"[^A-Za-z0-9._-]", requirement.strip(), maxsplit=1)[0]


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
