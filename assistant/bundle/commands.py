"""Compiled command sets: what can be said, how it is said, and the model that hears it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ..bundle_files import COMMAND_NETWORK, CONFIG, INTENT_WEIGHTS
from ..confidence import Calibration
from ..config import IntentConfig, from_mapping, to_mapping
from ..errors import BundleError
from ..false_alarms import FalseAlarms
from ..grammar.network import Arc, Final, SlotAssignment, WordNetwork
from ..nn.intent_model import IntentModel
from ..types import SlotValue
from .acoustic import AcousticBundle
from .storage import (
    file_hash,
    load_into,
    read_bundle_config,
    read_weights,
    section,
    write_config,
    write_weights,
)

FILES = (CONFIG, INTENT_WEIGHTS, COMMAND_NETWORK)
"""Of a set; when it is changed, in the order of writing: what says that there is something to undo
comes first."""
FORMAT = 2
"""Raised where what was compiled before would be heard wrongly."""

Lexicon = Mapping[str, Sequence[tuple[int, ...]]]
"""Words to their pronunciations, as columns of the posteriors."""


@dataclass(frozen=True)
class CommandBundle:
    """Compiled commands: the word network, how its words are said, and the intent model."""

    language: str
    intents: tuple[str, ...]
    slots: Mapping[str, tuple[SlotValue, ...]]
    network: WordNetwork
    lexicon: Lexicon
    model: IntentModel
    calibration: Calibration
    source_hash: str
    """SHA-256 of the command files."""
    false_alarms: FalseAlarms = field(default_factory=FalseAlarms)
    """What other people's talk was taken for when the commands were compiled."""
    refused: WordNetwork | None = None
    """The sentences that must not be understood; None where the command files name none."""
    actions: Mapping[str, Any] = field(default_factory=dict)
    """What the command files say each intent does, as `intents` of a policy file; not checked."""
    wake_phrases: tuple[str, ...] = ()
    """What may be said first to be listened to."""
    hash: str = ""
    """SHA-256 of the set's files, as they were read: adapting changes them, and not their source;
    empty where it was not read."""


def write_commands(folder: Path, bundle: CommandBundle, acoustic: AcousticBundle) -> None:
    """Write a compiled command set."""
    write_weights(folder / INTENT_WEIGHTS, bundle.model.state_dict(), torch.float16)
    networks = {"network": _network_facts(bundle.network)}
    if bundle.refused is not None:
        networks["refused"] = _network_facts(bundle.refused)
    text = json.dumps({**networks, "lexicon": bundle.lexicon}, ensure_ascii=False)
    (folder / COMMAND_NETWORK).write_text(text, encoding="utf-8")
    write_config(
        folder / CONFIG,
        {
            "format": FORMAT,
            "language": bundle.language,
            "source_sha256": bundle.source_hash,
            "acoustic_sha256": acoustic.hash,
            "intent": to_mapping(bundle.model.config),
            "calibration": {
                "weights": list(bundle.calibration.weights),
                "bias": bundle.calibration.bias,
                "threshold": bundle.calibration.threshold,
            },
            "false_alarms": {
                "hours": bundle.false_alarms.hours,
                "confidences": list(bundle.false_alarms.confidences),
            },
            "intents": list(bundle.intents),
            "slots": {slot: list(values) for slot, values in bundle.slots.items()},
            **({"actions": dict(bundle.actions)} if bundle.actions else {}),
            **({"wake_phrases": list(bundle.wake_phrases)} if bundle.wake_phrases else {}),
        },
    )


def read_commands(folder: Path, acoustic: AcousticBundle) -> CommandBundle:
    """Read a compiled command set made for `acoustic`.

    Raises:
        BundleError: something is missing, damaged, or made for another acoustic model.
    """
    config = read_bundle_config(folder)
    if section(config, "acoustic_sha256", folder) != acoustic.hash:
        raise BundleError(
            f"{folder}: was compiled for another acoustic model than {acoustic.folder}; "
            "compile the commands again (assistant train)"
        )
    if config.get("format", 1) != FORMAT:
        raise BundleError(
            f"{folder}: was compiled by another version of assistant; "
            "compile the commands again (assistant train)"
        )
    shape = from_mapping(IntentConfig, section(config, "intent", folder), str(folder))
    intents = tuple(section(config, "intents", folder))
    slots = {slot: tuple(values) for slot, values in section(config, "slots", folder).items()}
    model = IntentModel(
        shape, len(acoustic.phonemes), len(intents), [len(v) for v in slots.values()]
    )
    path = folder / INTENT_WEIGHTS
    load_into(model, read_weights(path), path)
    network, refused, lexicon = _read_networks(folder / COMMAND_NETWORK)
    hashes = "".join(file_hash(folder / name) for name in FILES)
    calibration = section(config, "calibration", folder)
    alarms = config.get("false_alarms", {"hours": 0.0, "confidences": []})
    return CommandBundle(
        language=section(config, "language", folder),
        intents=intents,
        slots=slots,
        network=network,
        lexicon=lexicon,
        model=model,
        calibration=Calibration(
            tuple(calibration["weights"]), float(calibration["bias"]), calibration["threshold"]
        ),
        source_hash=section(config, "source_sha256", folder),
        false_alarms=FalseAlarms(float(alarms["hours"]), tuple(alarms["confidences"])),
        refused=refused,
        actions=config.get("actions", {}),
        wake_phrases=tuple(config.get("wake_phrases", ())),
        hash=hashlib.sha256(hashes.encode()).hexdigest(),
    )


def _network_facts(network: WordNetwork) -> dict[str, Any]:
    arcs = [
        [
            a.source,
            a.target,
            a.word,
            *([a.assignment.slot, a.assignment.value] if a.assignment else []),
        ]
        for a in network.arcs
    ]
    finals = [[node, f.intent, dict(f.slots)] for node, f in network.finals.items()]
    return {"nodes": network.nodes, "start": network.start, "finals": finals, "arcs": arcs}


def _network_of(facts: Mapping[str, Any]) -> WordNetwork:
    arcs = tuple(
        Arc(source, target, word, SlotAssignment(*said) if said else None)
        for source, target, word, *said in facts["arcs"]
    )
    finals = {node: Final(intent, slots) for node, intent, slots in facts["finals"]}
    return WordNetwork(facts["nodes"], facts["start"], finals, arcs)


def _read_networks(path: Path) -> tuple[WordNetwork, WordNetwork | None, Lexicon]:
    """What can be said, what must not be understood, and how their words are said."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        lexicon = {w: [tuple(p) for p in said] for w, said in stored["lexicon"].items()}
        refused = _network_of(stored["refused"]) if "refused" in stored else None
        return _network_of(stored["network"]), refused, lexicon
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BundleError(f"{path}: missing or damaged; compile the commands again") from error
