"""What bundles are made of: safetensors, YAML, hashes; what is wrong is one clear error."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ..bundle_files import CONFIG
from ..errors import BundleError, ConfigError
from ..yaml_loader import read_yaml

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
    path.chmod(0o644)  # safetensors lets only the owner read


def quantise(weights: Weights) -> Weights:
    """Layers' matrices as int8 with a scale a row (`<name>.scale`); the rest is left as it is.

    Symmetric rounding to 255 levels a row; `dequantise` gives the matrices back. Matrices are what
    is called `weight`, or `weight_…` as in torch's recurrent layers: not the low-rank updates.
    """
    packed: Weights = {}
    for name, value in weights.items():
        if value.ndim < 2 or not name.rpartition(".")[2].startswith("weight"):
            packed[name] = value
            continue
        scale = value.flatten(1).abs().amax(dim=1).clamp(min=1e-12).float() / 127
        by_row = scale.view(-1, *[1] * (value.ndim - 1))
        packed[name] = (value.float() / by_row).round().to(torch.int8)
        packed[f"{name}.scale"] = scale
    return packed


def dequantise(weights: Weights) -> Weights:
    """Undo `quantise`; weights that never were quantised are returned as they are."""
    scales = {n.removesuffix(".scale"): v for n, v in weights.items() if n.endswith(".scale")}
    return {
        name: value.float() * scales[name].view(-1, *[1] * (value.ndim - 1))
        if name in scales and value.dtype == torch.int8
        else value
        for name, value in weights.items()
        if not name.endswith(".scale") or name.removesuffix(".scale") not in weights
    }


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
            raise BundleError(
                f"{path}: '{name}' has shape {found}, the configuration says {wanted}"
            )
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
    path = folder / CONFIG
    if not path.is_file():
        raise BundleError(f"{folder}: not a bundle (it has no {CONFIG})")
    try:
        values = read_yaml(path)
    except ConfigError as error:
        raise BundleError(str(error)) from error
    if not isinstance(values, dict):
        raise BundleError(f"{path}: expected keys and values")
    return values


def section(config: Mapping[str, Any], key: str, path: Path) -> Any:
    """A key of a bundle's configuration that must be there."""
    if key not in config:
        raise BundleError(f"{path / CONFIG}: '{key}' is missing")
    return config[key]
