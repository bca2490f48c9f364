"""The streaming encoder, shared by all languages, and acoustic bundles over it.

A bundle's encoder is the shared one, changed by the bundle's low-rank update where it has one, or a
small one of its own. Update and own encoder are kept in `acoustic.safetensors` below `encoder.`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ..bundle_files import ACOUSTIC_WEIGHTS, CONFIG, ENCODER_FOLDER, ENCODER_WEIGHTS
from ..config import AcousticConfig, FeatureConfig, from_mapping, to_mapping
from ..errors import BundleError
from ..nn.acoustic_model import AcousticModel
from ..nn.encoder import EncoderShape, StreamingEncoder
from ..nn.low_rank import merge
from .storage import (
    Weights,
    dequantise,
    file_hash,
    load_into,
    quantise,
    read_bundle_config,
    read_weights,
    section,
    write_config,
    write_weights,
)

ENCODER = "encoder."
"""What the names of an encoder's weights begin with in a bundle's file."""


def write_encoder(folder: Path, encoder: StreamingEncoder, origin: str, source_hash: str) -> None:
    """Write the encoder, its matrices as int8, the rest as float16, with where it came from."""
    weights = quantise(encoder.state_dict())
    write_weights(folder / ENCODER_WEIGHTS, weights, torch.float16)
    write_config(
        folder / CONFIG,
        {"shape": to_mapping(encoder.shape), "origin": origin, "source_sha256": source_hash},
    )


def read_encoder(folder: Path) -> StreamingEncoder:
    """Read the encoder, in float32, ready for inference."""
    config = read_bundle_config(folder)
    where = str(folder / CONFIG)
    shape = from_mapping(EncoderShape, section(config, "shape", folder), where)
    encoder = StreamingEncoder(shape)
    path = folder / ENCODER_WEIGHTS
    load_into(encoder, dequantise(read_weights(path)), path)
    return encoder


@dataclass(frozen=True)
class EncoderOrigin:
    """Where the encoder of a bundle comes from."""

    shared_sha256: str = ""
    """Hash of the shared encoder that `weights` update."""
    own_shape: EncoderShape | None = None
    """Shape of the bundle's own encoder, whose weights are `weights`."""
    weights: Weights = field(default_factory=dict)
    """A low-rank update (none: the shared encoder as it is), or a whole encoder."""


@dataclass(frozen=True)
class Inventory:
    """The phonemes of a bundle: all that pronunciations need of it."""

    folder: Path
    language: str
    """espeak-ng's name of it, such as en-us."""
    phonemes: tuple[str, ...]
    """Names of the posteriors' columns; the first is the CTC blank."""

    def phoneme_ids(self, pronunciation: Sequence[str]) -> tuple[int, ...]:
        """Columns of a pronunciation; a phoneme that was never heard is said by its letters."""
        column = {phoneme: i for i, phoneme in enumerate(self.phonemes) if i}
        ids: list[int] = []
        for phoneme in pronunciation:
            parts = (phoneme,) if phoneme in column else tuple(phoneme)
            ids += [column[part] for part in parts if part in column]
        return tuple(ids)


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

    @property
    def inventory(self) -> Inventory:
        """Its phonemes."""
        return Inventory(self.folder, self.language, self.phonemes)

    def phoneme_ids(self, pronunciation: Sequence[str]) -> tuple[int, ...]:
        """See `Inventory.phoneme_ids`."""
        return self.inventory.phoneme_ids(pronunciation)


def write_acoustic(
    folder: Path,
    model: AcousticModel,
    features: FeatureConfig,
    phonemes: Sequence[str],
    language: str,
    encoder: EncoderOrigin,
) -> None:
    """Write an acoustic bundle; `phonemes[0]` is the blank."""
    weights = dict(model.state_dict())
    weights |= {f"{ENCODER}{name}": value for name, value in encoder.weights.items()}
    write_acoustic_weights(folder, weights)
    origin: dict[str, object] = {"encoder_sha256": encoder.shared_sha256}
    if encoder.own_shape is not None:
        origin = {"encoder_shape": to_mapping(encoder.own_shape)}
    write_config(
        folder / CONFIG,
        {
            "language": language,
            **origin,
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
    where = str(folder / CONFIG)
    features = from_mapping(FeatureConfig, section(config, "features", folder), where)
    shape = from_mapping(AcousticConfig, section(config, "acoustic", folder), where)
    model = AcousticModel(shape)
    path = folder / ACOUSTIC_WEIGHTS
    weights = read_acoustic_weights(folder)
    load_into(model, weights, path)
    encoder = _encoder_of(folder, config, weights) if features.encoder else None
    return AcousticBundle(
        folder=folder,
        language=section(config, "language", folder),
        features=features,
        phonemes=tuple(section(config, "phonemes", folder)),
        model=model,
        encoder=encoder,
        hash=file_hash(path),
    )


def write_acoustic_weights(folder: Path, weights: Weights) -> None:
    """Write a bundle's weights: the matrices of its layers as int8, the rest as float16."""
    write_weights(folder / ACOUSTIC_WEIGHTS, quantise(weights), torch.float16)


def read_acoustic_weights(folder: Path) -> Weights:
    """Read a bundle's weights; those that were int8 in float32, others as they are kept.

    Raises:
        BundleError: they are missing or damaged.
    """
    return dequantise(read_weights(folder / ACOUSTIC_WEIGHTS))


def read_inventory(folder: Path) -> Inventory:
    """Read the phonemes of a bundle without its weights.

    Raises:
        BundleError: the bundle is missing or damaged.
    """
    config = read_bundle_config(folder)
    return Inventory(
        folder, section(config, "language", folder), tuple(section(config, "phonemes", folder))
    )


def _encoder_of(folder: Path, config: dict[str, Any], weights: Weights) -> StreamingEncoder:
    path = folder / ACOUSTIC_WEIGHTS
    kept = {n.removeprefix(ENCODER): v for n, v in weights.items() if n.startswith(ENCODER)}
    if "encoder_shape" in config:
        where = str(folder / CONFIG)
        encoder = StreamingEncoder(from_mapping(EncoderShape, config["encoder_shape"], where))
        load_into(encoder, kept, path)
        return encoder
    shared = folder.parent / ENCODER_FOLDER
    encoder = read_encoder(shared)
    if file_hash(shared / ENCODER_WEIGHTS) != config.get("encoder_sha256"):
        raise BundleError(f"{folder}: was trained on another encoder than {shared}")
    try:
        merge(encoder, kept)
    except (KeyError, RuntimeError) as error:
        raise BundleError(f"{path}: its update does not fit the encoder: {error}") from error
    return encoder
