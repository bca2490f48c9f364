"""Bundles on disk: the encoder, an acoustic bundle, a compiled command set.

    models/encoder/            config.yaml  encoder.safetensors  LICENSE  CARD.md
    models/en-us/              config.yaml  acoustic.safetensors  golden.safetensors
                               posterior_bank.safetensors  ways_heard.json  CARD.md
    models/en-us/commands/X/   config.yaml  intent.safetensors  network.json
                               base/ (the same as compiled, where X is adapted to a user)

Weights are safetensors, everything else is text; nothing is pickled. Each file that depends on
another names it by hash, and what does not fit is one clear error.
"""

from .acoustic import (
    AcousticBundle,
    EncoderOrigin,
    Inventory,
    read_acoustic,
    read_acoustic_weights,
    read_encoder,
    read_inventory,
    write_acoustic,
    write_acoustic_weights,
    write_encoder,
)
from .commands import FORMAT, CommandBundle, Lexicon, read_commands, write_commands
from .storage import Weights, file_hash, read_weights, write_weights

__all__ = [
    "FORMAT",
    "AcousticBundle",
    "CommandBundle",
    "EncoderOrigin",
    "Inventory",
    "Lexicon",
    "Weights",
    "file_hash",
    "read_acoustic",
    "read_acoustic_weights",
    "read_commands",
    "read_encoder",
    "read_inventory",
    "read_weights",
    "write_acoustic",
    "write_acoustic_weights",
    "write_commands",
    "write_encoder",
    "write_weights",
]
