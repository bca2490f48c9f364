"""The streaming encoder, shared by all languages, and acoustic bundles over it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from ..config import AcousticConfig, FeatureConfig, from_mapping, to_mapping
from ..errors import BundleError
from ..nn.acoustic_model import AcousticModel
from ..nn.encoder import EncoderShape, StreamingEncoder
from .storage import (
    file_hash,
    load_into,
    read_bundle_config,
    read_weights,
    section,
    write_config,
    write_weights,
)


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
    shape = from_mapping(EncoderShape, section(config, "shape", folder), where)
    encoder = StreamingEncoder(shape)
    path = folder / "encoder.safetensors"
    load_into(encoder, read_weights(path), path)
    return encoder


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
    features = from_mapping(FeatureConfig, section(config, "features", folder), where)
    shape = from_mapping(AcousticConfig, section(config, "acoustic", folder), where)
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
        language=section(config, "language", folder),
        features=features,
        phonemes=tuple(section(config, "phonemes", folder)),
        model=model,
        encoder=encoder,
        hash=file_hash(path),
    )
