"""Bundles on disk: the encoder, an acoustic bundle, a compiled command set.

    models/encoder/            config.yaml  encoder.safetensors  LICENSE  CARD.md
    models/en-us/              config.yaml  acoustic.safetensors  golden.safetensors
                               posterior_bank.safetensors  CARD.md
    models/en-us/commands/X/   config.yaml  intent.safetensors  network.json

Weights are safetensors, everything else is text; nothing is pickled. Each file that depends on
another names it by hash, and what does not fit is one clear error.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from .config import (
    AcousticConfig,
    FeatureConfig,
    IntentConfig,
    from_mapping,
    read_yaml,
    to_mapping,
)
from .errors import BundleError, ConfigError
from .grammar.network import Arc, Final, SlotAssignment, WordNetwork
from .nn.acoustic_model import AcousticModel
from .nn.encoder import EncoderShape, StreamingEncoder
from .nn.intent_model import IntentModel
from .types import SlotValue

Weights = dict[str, Tensor]


def write_weights(path: Path, weights: Weights, dtype: torch.dtype | None = None) -> None:
    """Write tensors as safetensors, floating-point ones as `dtype` where one is given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(
        {
            name: (value.to(dtype) if dtype and value.is_floating_point() else value)
            .detach()
            .cpu()
            .contiguous()
            for name, value in weights.items()
        },
        path,
    )


def read_weights(path: Path) -> Weights:
    """Read a safetensors file.

    Raises:
        BundleError: it is missing or damaged.
    """
    if not path.is_file():
        raise BundleError(f"{path}: missing; is this the folder of a bundle?")
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise BundleError(f"{path}: damaged ({error}); fetch or train the bundle again") from error


def load_into(network: nn.Module, weights: Weights, path: Path) -> None:
    """Load weights into a network, as float32.

    Raises:
        BundleError: a name or a shape does not fit, naming the first that does not.
    """
    expected = network.state_dict()
    for name, value in expected.items():
        if name not in weights:
            raise BundleError(f"{path}: has no '{name}'; it belongs to another configuration")
        if weights[name].shape != value.shape:
            found, wanted = tuple(weights[name].shape), tuple(value.shape)
            raise BundleError(f"{path}: '{name}' has shape {found}, the configuration says {wanted}")
    network.load_state_dict({name: weights[name].to(v.dtype) for name, v in expected.items()})
    network.eval()


def file_hash(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_config(path: Path, values: dict[str, Any]) -> None:
    """Write plain values as YAML, in the order given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(values, sort_keys=False, allow_unicode=True), encoding="utf-8")


def read_bundle_config(folder: Path) -> dict[str, Any]:
    """The `config.yaml` of a bundle.

    Raises:
        BundleError: the folder or the file is not there, or is no mapping.
    """
    path = folder / "config.yaml"
    if not path.is_file():
        raise BundleError(f"{folder}: not a bundle (it has no config.yaml)")
    try:
        values = read_yaml(path)
    except ConfigError as error:
        raise BundleError(str(error)) from error
    if not isinstance(values, dict):
        raise BundleError(f"{path}: expected keys and values")
    return values


def _section(config: Mapping[str, Any], key: str, path: Path) -> Any:
    if key not in config:
        raise BundleError(f"{path / 'config.yaml'}: '{key}' is missing")
    return config[key]


# ── encoder ────────────────────────────────────────────────────────────────────────────────


def write_encoder(folder: Path, encoder: StreamingEncoder, origin: str, source_hash: str) -> None:
    """Write the encoder, halved to float16, with where it came from."""
    write_weights(folder / "encoder.safetensors", encoder.state_dict(), torch.float16)
    write_config(
        folder / "config.yaml",
        {"shape": to_mapping(encoder.shape), "origin": origin, "source_sha256": source_hash},
    )


def read_encoder(folder: Path) -> StreamingEncoder:
    """Read the encoder, in float32, ready for inference."""
    config = read_bundle_config(folder)
    where = str(folder / "config.yaml")
    shape = from_mapping(EncoderShape, _section(config, "shape", folder), where)
    encoder = StreamingEncoder(shape)
    path = folder / "encoder.safetensors"
    load_into(encoder, read_weights(path), path)
    return encoder


# ── acoustic bundle ────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class AcousticBundle:
    """An acoustic model with all that must fit it."""

    folder: Path
    language: str
    """espeak-ng's name of it, such as en-us."""
    features: FeatureConfig
    phonemes: tuple[str, ...]
    """Names of the posteriors' columns; the first is the CTC blank."""
    model: AcousticModel
    encoder: StreamingEncoder | None
    hash: str
    """SHA-256 of the weights; compiled commands carry it."""

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.name

    def phoneme_ids(self, pronunciation: Sequence[str]) -> tuple[int, ...]:
        """Columns of a pronunciation; a phoneme that was never heard is said by its letters."""
        column = {phoneme: i for i, phoneme in enumerate(self.phonemes) if i}
        ids: list[int] = []
        for phoneme in pronunciation:
            parts = (phoneme,) if phoneme in column else tuple(phoneme)
            ids += [column[part] for part in parts if part in column]
        return tuple(ids)


def write_acoustic(
    folder: Path,
    model: AcousticModel,
    features: FeatureConfig,
    phonemes: Sequence[str],
    language: str,
    encoder_hash: str,
) -> None:
    """Write an acoustic bundle over the shared encoder; `phonemes[0]` is the blank."""
    write_weights(folder / "acoustic.safetensors", model.state_dict(), torch.float16)
    write_config(
        folder / "config.yaml",
        {
            "language": language,
            "encoder_sha256": encoder_hash,
            "features": to_mapping(features),
            "acoustic": to_mapping(model.config),
            "phonemes": list(phonemes),
        },
    )


def read_acoustic(folder: Path) -> AcousticBundle:
    """Read an acoustic bundle, and the encoder beside it where its features need one.

    Raises:
        BundleError: something is missing, damaged or does not fit.
    """
    config = read_bundle_config(folder)
    where = str(folder / "config.yaml")
    features = from_mapping(FeatureConfig, _section(config, "features", folder), where)
    shape = from_mapping(AcousticConfig, _section(config, "acoustic", folder), where)
    model = AcousticModel(shape)
    path = folder / "acoustic.safetensors"
    load_into(model, read_weights(path), path)
    encoder = None
    if features.encoder:
        encoder_folder = folder.parent / "encoder"
        encoder = read_encoder(encoder_folder)
        if file_hash(encoder_folder / "encoder.safetensors") != config.get("encoder_sha256"):
            raise BundleError(f"{folder}: was trained on another encoder than {encoder_folder}")
    return AcousticBundle(
        folder=folder,
        language=_section(config, "language", folder),
        features=features,
        phonemes=tuple(_section(config, "phonemes", folder)),
        model=model,
        encoder=encoder,
        hash=file_hash(path),
    )


# ── compiled command set ───────────────────────────────────────────────────────────────────

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
    calibration_weights: tuple[float, ...]
    calibration_bias: float
    source_hash: str
    """SHA-256 of the command files."""


def write_commands(folder: Path, bundle: CommandBundle, acoustic: AcousticBundle) -> None:
    """Write a compiled command set."""
    write_weights(folder / "intent.safetensors", bundle.model.state_dict(), torch.float16)
    network = bundle.network
    arcs = [
        [a.source, a.target, a.word, *([a.assignment.slot, a.assignment.value] if a.assignment else [])]
        for a in network.arcs
    ]
    finals = [[node, f.intent, dict(f.slots)] for node, f in network.finals.items()]
    graph = {"nodes": network.nodes, "start": network.start, "finals": finals, "arcs": arcs}
    text = json.dumps({"network": graph, "lexicon": bundle.lexicon}, ensure_ascii=False)
    (folder / "network.json").write_text(text, encoding="utf-8")
    write_config(
        folder / "config.yaml",
        {
            "language": bundle.language,
            "source_sha256": bundle.source_hash,
            "acoustic_sha256": acoustic.hash,
            "intent": to_mapping(bundle.model.config),
            "calibration": {
                "weights": list(bundle.calibration_weights),
                "bias": bundle.calibration_bias,
            },
            "intents": list(bundle.intents),
            "slots": {slot: list(values) for slot, values in bundle.slots.items()},
        },
    )


def read_commands(folder: Path, acoustic: AcousticBundle) -> CommandBundle:
    """Read a compiled command set made for `acoustic`.

    Raises:
        BundleError: something is missing, damaged, or made for another acoustic model.
    """
    config = read_bundle_config(folder)
    if _section(config, "acoustic_sha256", folder) != acoustic.hash:
        raise BundleError(
            f"{folder}: was compiled for another acoustic model than {acoustic.folder}; "
            "compile the commands again (assistant train)"
        )
    shape = from_mapping(IntentConfig, _section(config, "intent", folder), str(folder))
    intents = tuple(_section(config, "intents", folder))
    slots = {slot: tuple(values) for slot, values in _section(config, "slots", folder).items()}
    model = IntentModel(
        shape, len(acoustic.phonemes), len(intents), [len(v) for v in slots.values()]
    )
    path = folder / "intent.safetensors"
    load_into(model, read_weights(path), path)
    network, lexicon = _read_network(folder / "network.json")
    calibration = _section(config, "calibration", folder)
    return CommandBundle(
        language=_section(config, "language", folder),
        intents=intents,
        slots=slots,
        network=network,
        lexicon=lexicon,
        model=model,
        calibration_weights=tuple(calibration["weights"]),
        calibration_bias=float(calibration["bias"]),
        source_hash=_section(config, "source_sha256", folder),
    )


def _read_network(path: Path) -> tuple[WordNetwork, Lexicon]:
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        graph = stored["network"]
        arcs = tuple(
            Arc(source, target, word, SlotAssignment(*said) if said else None)
            for source, target, word, *said in graph["arcs"]
        )
        finals = {node: Final(intent, slots) for node, intent, slots in graph["finals"]}
        lexicon = {w: [tuple(p) for p in said] for w, said in stored["lexicon"].items()}
        return WordNetwork(graph["nodes"], graph["start"], finals, arcs), lexicon
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BundleError(f"{path}: missing or damaged; compile the commands again") from error
