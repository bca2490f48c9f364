"""The networks that are trained, from a bundle or from nothing, and back into a bundle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from ..bundle import (
    EncoderOrigin,
    file_hash,
    read_acoustic_weights,
    read_encoder,
    read_inventory,
    write_acoustic,
)
from ..bundle.acoustic import ENCODER
from ..bundle_files import ENCODER_WEIGHTS
from ..config import AcousticConfig, FeatureConfig
from ..nn.acoustic_model import AcousticModel
from ..nn.encoded_model import EncodedAcousticModel
from ..nn.encoder import EncoderShape, StreamingEncoder
from ..nn.low_rank import adapt, update_of
from ..nn.precision import computes_bfloat16
from .batches import Draw, Example, collate
from .widening import widened, widened_update

HEAD = ("head.weight", "head.bias")
"""The acoustic model's parameters that have a row for every phoneme."""


@dataclass(frozen=True)
class NetworkConfig:
    """What is trained."""

    cell: str = "gru"
    """What the acoustic model's layers are made of: rnn, gru, lstm or transformer."""
    hidden_size: int = 384
    """Units a direction of them; a Transformer's width."""
    projection_size: int = 512
    """Width of their input."""
    layers: int = 2
    """Layers over time."""
    dropout: float = 0.15
    """Between them."""
    rank: int = 128
    """Of the low-rank update of every matrix of the shared encoder; 0 leaves it as it is."""
    update_dropout: float = 0.0
    """Probability that an utterance is learnt from without the update of a layer."""
    stem_width: int = 0
    """Width of a convolutional stem of the bundle's own in the place of the shared encoder."""


class Network:
    """Log-mel rows to phoneme posteriors: an encoder and the acoustic model over its rows."""

    def __init__(self, config: NetworkConfig, encoder: Path, phonemes: Sequence[str]) -> None:
        """encoder: folder of the shared one. phonemes: names of the columns, the blank first."""
        self.features = FeatureConfig()
        self.phonemes = tuple(phonemes)
        self._shared = encoder
        self._own = None
        if config.stem_width:
            self._own = EncoderShape(width=config.stem_width, layers=0, positions=0)
            front = StreamingEncoder(self._own)
        else:
            front = read_encoder(encoder)
            front.requires_grad_(False)
            if config.rank:
                device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
                fast = torch.bfloat16 if computes_bfloat16(device) else torch.float32
                adapt(front, config.rank, fast, config.update_dropout)
        self._update = tuple(update_of(front)) if self._own is None else ()
        shape = AcousticConfig(
            input_size=self.features.stack * front.shape.width,
            projection_size=config.projection_size,
            cell=config.cell,
            hidden_size=config.hidden_size,
            layers=config.layers,
            dropout=config.dropout,
            phonemes=len(self.phonemes),
        )
        self.module = EncodedAcousticModel(
            front, AcousticModel(shape), self.features.stack, self.features.left_context_rows
        )

    def freeze_encoder(self) -> None:
        """Let the acoustic model learn alone, over the encoder as it is."""
        self.module.encoder.requires_grad_(False)

    def start_from(self, bundle: Path) -> bool:
        """Take the weights of a bundle; what it lacks starts afresh.

        The bundle may be of another language: phonemes of one name are taken for the same, and the
        others start afresh. Its update may be of a smaller rank, and its recurrent layers may have
        fewer units: what they compute stays what it is.

        Returns:
            Whether its acoustic model was taken: one of another shape starts afresh.

        Raises:
            UsageError: the bundle's update is of a larger rank, or of another encoder.
        """
        weights = read_acoustic_weights(bundle)
        ours = {n: v.float() for n, v in weights.items() if not n.startswith(ENCODER)}
        update = {n.removeprefix(ENCODER): v for n, v in weights.items() if n.startswith(ENCODER)}
        fresh = self.module.acoustic.state_dict()
        theirs = {p: i for i, p in enumerate(read_inventory(bundle).phonemes)}
        if update:
            update = {n: v.float() for n, v in update.items()}
            wide = widened_update(update, self.module.encoder.state_dict())
            self.module.encoder.load_state_dict(wide, strict=False)
        heads = {n: fresh[n].new_zeros(len(theirs), *fresh[n].shape[1:]) for n in HEAD}
        taken = widened(ours, fresh | heads)
        if taken is None:
            return False
        for name in HEAD:
            kept = [
                taken[name][theirs[p]] if p in theirs else fresh[name][i]
                for i, p in enumerate(self.phonemes)
            ]
            taken[name] = torch.stack(kept)
        self.module.acoustic.load_state_dict(taken)
        return True

    @torch.inference_mode()
    def take_statistics(
        self, examples: Sequence[Example], draw: Draw = collate, at_most: int = 100
    ) -> None:
        """Set the normalisation of the acoustic model's input from a sample of the training."""
        sample = np.random.default_rng(0).permutation(len(examples))[:at_most]
        rows, device = [], self.module.acoustic.mean.device
        for i in sample:
            batch = draw([examples[i]], None)
            rows.append(self.module.encode(batch.rows.to(device), batch.lengths.to(device))[0])
        self.module.acoustic.normalise_as(torch.cat(rows))

    def write(self, folder: Path, language: str) -> None:
        """Write a bundle."""
        encoder = self.module.encoder
        if self._own is not None:
            origin = EncoderOrigin(own_shape=self._own, weights=encoder.state_dict())
        else:
            shared = file_hash(self._shared / ENCODER_WEIGHTS)
            update = {n: w for n, w in encoder.state_dict().items() if n in self._update}
            origin = EncoderOrigin(shared_sha256=shared, weights=update)
        write_acoustic(folder, self.module.acoustic, self.features, self.phonemes, language, origin)


def parameters_in_millions(module: nn.Module) -> float:
    """Of those that are trained."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad) / 1e6
