"""A bundle with random weights: everything but understanding works as in a real one.

`build` writes models/encoder, models/tiny and two compiled command sets inside it: `agreeable`
takes whatever it hears for a command, `strict` refuses everything.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from assistant.bundle import (
    CommandBundle,
    EncoderOrigin,
    file_hash,
    read_acoustic,
    read_inventory,
    write_acoustic,
    write_commands,
    write_encoder,
)
from assistant.confidence import Calibration
from assistant.config import AcousticConfig, FeatureConfig, IntentConfig
from assistant.grammar.commands import load_commands
from assistant.grammar.phonemes import Phonemizer
from assistant.nn.acoustic_model import AcousticModel
from assistant.nn.encoder import EncoderShape, StreamingEncoder
from assistant.nn.intent_model import IntentModel
from assistant.training.posterior_bank import TOP, PosteriorBank

BANKED = 300
"""Phonemes of a bank."""

COMMANDS = """
language: en
intents:
  setLight:
    data: [{sentences: ["turn the light {state}"]}]
  setBrightness:
    data: [{sentences: ["dim to {level}"], slots: {device: light}}]
lists:
  state: {values: ["on", "off"]}
  level: {range: {from: 1, to: 3}}
"""


def build(folder: Path) -> Path:
    """Write the bundle below `folder`; return the folder of the acoustic bundle."""
    torch.manual_seed(0)
    source = folder / "commands.yaml"
    source.write_text(COMMANDS, encoding="utf-8")
    commands = load_commands([source])
    words = sorted({arc.word for arc in commands.network.arcs if arc.word})
    said = Phonemizer("en-us").pronunciations(words)
    phonemes = ("", *sorted({p for variants in said.values() for v in variants for p in v}))

    encoder = StreamingEncoder(EncoderShape(width=64, heads=1, layers=1))
    write_encoder(folder / "models/encoder", encoder, "random", "0" * 64)
    shape = AcousticConfig(
        input_size=128,
        projection_size=16,
        hidden_size=16,
        layers=1,
        phonemes=len(phonemes),
    )
    bundle = folder / "models/tiny"
    write_acoustic(
        bundle,
        AcousticModel(shape),
        FeatureConfig(),
        phonemes,
        "en-us",
        EncoderOrigin(file_hash(folder / "models/encoder/encoder.safetensors")),
    )
    acoustic = read_acoustic(bundle)
    model = IntentModel(
        IntentConfig(hidden_size=8, layers=1),
        len(phonemes),
        len(commands.intents),
        [len(values) for values in commands.slots.values()],
    )
    for name, bias in (("agreeable", 5.0), ("strict", -5.0)):
        compiled = CommandBundle(
            language=commands.language,
            intents=commands.intents,
            slots=commands.slots,
            network=commands.network,
            lexicon={
                w: [acoustic.phoneme_ids(v) for v in variants] for w, variants in said.items()
            },
            model=model,
            calibration=Calibration((0.0, 0.0, 0.0, 0.0), bias),
            source_hash=commands.source_hash,
        )
        write_commands(bundle / "commands" / name, compiled, acoustic)
    return bundle


def write_bank(bundle: Path, noisy: npt.NDArray[np.bool_]) -> None:
    """Write a posterior bank of phonemes in a fixed round, ten utterances, nothing misheard.

    Args:
        noisy: (BANKED,) which phonemes are of augmented speech.
    """
    columns = len(read_inventory(bundle).phonemes)
    phonemes = 1 + np.arange(BANKED) % (columns - 1)
    others = np.arange(1, TOP)
    labels = np.column_stack([phonemes, (phonemes[:, None] + others) % columns]).astype(np.uint8)
    costs = np.full((BANKED, TOP), 200, np.uint8)
    costs[:, 0] = 0
    PosteriorBank(
        columns=columns,
        labels=labels,
        costs=costs,
        phonemes=phonemes,
        starts=np.arange(BANKED + 1),
        utterances=np.arange(BANKED) // 30,
        noisy=noisy,
    ).write(bundle / "posterior_bank.safetensors")
