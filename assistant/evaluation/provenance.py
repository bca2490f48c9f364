"""What a report was made from: models, commands, recordings, seed and versions."""

from __future__ import annotations

import hashlib
import json
import platform
from typing import Any

import numpy as np
import torch

from .. import __version__
from ..bundle import file_hash
from ..config import to_mapping
from ..engine import Engine
from .items import Item
from .mixing import Mixer, Snr, snr_name
from .peers.registry import peer_threshold, peer_versions
from .phonemes_alone import PhonemeEngine
from .settings import Settings


def made_from(settings: Settings, engine: Engine | PhonemeEngine, mixer: Mixer) -> dict[str, Any]:
    """The report's `made_from`; hashes are SHA-256.

    bundle_hash: of the acoustic model's weights. commands_hash: of all files of the compiled set.
    manifest_hash: of the manifest's own bytes. noise_hash: of all noise. config_hash: of the
    endpointer's configuration, of the decision's, and of the number of threads. threshold: of the
    confidence, as the recogniser uses it; None where it has none.
    """
    config = engine.config
    commands, commands_hash, threshold = None, None, None
    if isinstance(engine, Engine):
        commands, peer = config.commands, settings.peer
        threshold = engine.threshold if peer is None else peer_threshold(peer, engine)
        commands_hash = engine.commands.hash
    return {
        "bundle": config.bundle,
        "bundle_hash": engine.acoustic.hash,
        "commands": commands,
        "commands_hash": commands_hash,
        "recogniser": settings.peer or "assistant",
        "manifest": str(settings.manifest),
        "manifest_hash": file_hash(settings.manifest),
        "noise": [str(path) for path in settings.noise] or None,
        "noise_hash": mixer.noise_hash,
        "negatives": None if settings.negatives is None else str(settings.negatives),
        "speakers": None if settings.speakers is None else str(settings.speakers),
        "negatives_minutes": settings.negatives_minutes,
        "snr": [snr_name(snr) for snr in settings.snrs],
        "mixing": settings.mixing.value,
        "reverb": settings.reverb,
        "cut": settings.cut,
        "whole": settings.whole,
        "early_commit": config.early_commit,
        "threshold": threshold,
        "config_hash": _digest(
            [to_mapping(config.endpoint), to_mapping(config.decision), config.threads]
        ),
        "seed": settings.seed,
        "device": engine.device.type,
        "versions": {
            "assistant": __version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
            **(peer_versions(settings.peer) if settings.peer else {}),
        },
    }


IN_KEY = (
    *("bundle_hash", "commands_hash", "recogniser", "noise_hash", "mixing", "reverb", "cut"),
    *("whole", "early_commit", "config_hash", "seed", "device", "versions"),
)
"""What the outcome of one recording depends on; the rest only says which recordings there are."""


def key(facts: dict[str, Any], item: Item, snr: Snr, negative: bool) -> str:
    """SHA-256 of all that one outcome depends on: `facts` (see `made_from`), recording, condition.

    A recording's content is known by its size and the time of its last change.
    """
    status = item.file.stat()
    content = [str(item.file), status.st_size, status.st_mtime_ns]
    labels = [item.line, item.path, item.text]
    made = {name: facts[name] for name in IN_KEY}
    return _digest([made, content, labels, snr_name(snr), negative])


def _digest(values: Any) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
