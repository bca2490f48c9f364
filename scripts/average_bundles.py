"""Mix the acoustic weights of bundles of which each was trained on from the one before.

    python scripts/average_bundles.py models/pt-br runs/pt-br --weights 1 3 --output models/pt-br

What the last one has learnt is kept, and less of what the first one knew is forgotten (WiSE-FT,
Wortsman et al. 2022, arXiv 2109.01903). Low-rank updates, of any ranks, are mixed as the matrices
that they stand for, and kept in the largest rank. Held out of the mix is who is held out of every
bundle: its held_out_speakers.txt names those alone. The bank, the golden tensors and the commands
of the output are to be made anew.

    python scripts/average_bundles.py models/pt-br models/en-us before/en-us --weights 1 0.3 -0.3 \\
        --encoder-alone --output runs/pt-br

What one language has learnt, added to another: Portuguese was trained on from an English bundle,
which has learnt more since; a part of that comes to its encoder without any training (task
arithmetic, Ilharco et al. 2023, arXiv 2212.04089). The acoustic model, its phonemes and who is held
out are those of the first bundle.

    python scripts/average_bundles.py models/en-us runs/a runs/b --keep 0.4 0.5 0.6 0.7 0.8 0.9 \\
        --output models/en-us

What training has made of the shared encoder, taken back in part (WiSE-FT once more, with the
encoder as it was as one of the models): a small corpus is learnt by heart, and strangers are
understood better by an encoder that is nearer to what hundreds of thousands of hours made of it,
above all in its first blocks.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch

from assistant.bundle import (
    Weights,
    file_hash,
    read_acoustic_weights,
    read_encoder,
    write_acoustic_weights,
)
from assistant.bundle.acoustic import ENCODER
from assistant.bundle.storage import read_bundle_config, section
from assistant.bundle_files import CONFIG, ENCODER_WEIGHTS, HELD_OUT_SPEAKERS
from assistant.errors import AssistantError, UsageError
from assistant.nn.encoder import StreamingEncoder
from assistant.training.manifest import read_speakers, write_speakers

UP, DOWN = ".up", ".down"
"""What the names of a low-rank update's factors end with."""


def main() -> None:
    """Parse, mix, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("bundles", type=Path, nargs="+")
    parser.add_argument(
        "--weights", type=float, nargs="+", help="how much of each; alike, if not given"
    )
    parser.add_argument(
        "--encoder-alone",
        action="store_true",
        help="mix the updates of the encoder, and take the rest from the first bundle;\n"
        "bundles may be of several languages, and weights below 0",
    )
    parser.add_argument(
        "--keep",
        type=float,
        nargs="+",
        metavar="SHARE",
        help="how much of what they have learnt the encoder's blocks keep, 0 to 1, one for each\n"
        "or one for all; the rest of them is the shared encoder again",
    )
    parser.add_argument("--encoder", type=Path, default=Path("models/encoder"))
    parser.add_argument("--output", type=Path, required=True, help="folder of the bundle to write")
    arguments = parser.parse_args()
    shares = arguments.weights or [1.0] * len(arguments.bundles)
    weights = mixed(arguments.bundles, shares, arguments.encoder_alone)
    if arguments.keep:
        encoder = read_encoder(arguments.encoder)
        recorded = read_bundle_config(arguments.bundles[0]).get("encoder_sha256")
        if recorded != file_hash(arguments.encoder / ENCODER_WEIGHTS):
            raise UsageError(
                f"--keep: {arguments.bundles[0]} has no update of the encoder in "
                f"{arguments.encoder}; give the encoder that it was trained from with --encoder"
            )
        weights = drawn_back(weights, arguments.keep, encoder)
    # The people whom the bundle of another language was trained on do not speak this one.
    same_language = arguments.bundles[:1] if arguments.encoder_alone else arguments.bundles
    speakers = held_out_of_all(same_language)
    write_acoustic_weights(arguments.output, weights)
    config = arguments.bundles[0] / CONFIG
    if config.resolve() != (arguments.output / CONFIG).resolve():
        shutil.copyfile(config, arguments.output / CONFIG)
    write_speakers(arguments.output / HELD_OUT_SPEAKERS, speakers)
    print(
        f"{arguments.output}: {len(arguments.bundles)} bundles, as {shares}; "
        f"{len(speakers)} speakers are held out of all"
    )


def mixed(bundles: list[Path], shares: list[float], encoder_alone: bool = False) -> Weights:
    """The mean of all weights, or of the encoders' alone, each bundle's by its share.

    Raises:
        UsageError: shares and bundles do not fit, or bundles do not fit one another.
        BundleError: one is missing or damaged.
    """
    if len(shares) != len(bundles):
        raise UsageError(f"--weights: write one number for each of the {len(bundles)} bundles")
    if sum(shares) <= 0 or (min(shares) < 0 and not encoder_alone):
        raise UsageError(
            "--weights: their sum must be above 0, and none may be below it but with "
            "--encoder-alone"
        )
    read = [read_acoustic_weights(bundle) for bundle in bundles]
    configs = [what_weights_are_of(bundle) for bundle in bundles]
    alike = {"encoder_sha256"} if encoder_alone else {k for c in configs for k in c}
    total = dict(read[0])  # what is not mixed stays the first one's
    if encoder_alone:
        read = [{n: w for n, w in weights.items() if n.startswith(ENCODER)} for weights in read]
    for bundle, weights, config in zip(bundles, read, configs, strict=True):
        for key in sorted(alike):
            if config.get(key) != configs[0].get(key):
                raise UsageError(
                    f"{bundle}: not trained on from what {bundles[0]} was: '{key}' in their "
                    f"{CONFIG} differs"
                )
        if shapes(weights) != shapes(read[0]):
            raise UsageError(f"{bundle}: weights of other names or shapes than {bundles[0]}'s")

    def mean(parts: Iterable[torch.Tensor]) -> torch.Tensor:
        weighted = [part.double() * share for part, share in zip(parts, shares, strict=True)]
        return torch.stack(weighted).sum(0) / sum(shares)

    for name, first in read[0].items():
        if name.endswith(UP):
            down = name.removesuffix(UP) + DOWN
            updates = [(w[name].double(), w[down].double()) for w in read]
            factors = mean_update(updates, shares)
            total[name], total[down] = (factor.to(first.dtype) for factor in factors)
        elif not name.endswith(DOWN):
            total[name] = mean(w[name] for w in read).to(first.dtype)
    return total


def what_weights_are_of(bundle: Path) -> dict[str, object]:
    """The configuration of a bundle, but for the dropout: its weights are none the less alike."""
    config = read_bundle_config(bundle)
    acoustic = section(config, "acoustic", bundle)
    return config | {"acoustic": {k: v for k, v in acoustic.items() if k != "dropout"}}


def drawn_back(weights: Weights, keep: Sequence[float], encoder: StreamingEncoder) -> Weights:
    """Weights whose encoder has been taken back towards what it was before any training.

    Args:
        weights: a bundle's, with an update of the shared encoder.
        keep: how much of what it has learnt each block keeps, from the input on; one for all.
        encoder: the shared one.

    Raises:
        UsageError: there are more or fewer shares than blocks, or they are not from 0 to 1.
    """
    blocks = encoder.shape.layers
    shares = list(keep) * blocks if len(keep) == 1 else list(keep)
    if len(shares) != blocks or not all(0 <= share <= 1 for share in shares):
        raise UsageError(f"--keep: write one number from 0 to 1, or one for each of {blocks}")
    before = encoder.state_dict()
    kept = dict(weights)
    for block, share in enumerate(shares):
        for name in weights:
            if not name.startswith(f"{ENCODER}blocks.{block}.") or name.endswith(DOWN):
                continue
            kept[name] = weights[name].double() * share
            if not name.endswith(UP):  # an update is what there is beside the encoder's own matrix
                kept[name] += (1 - share) * before[name.removeprefix(ENCODER)].double()
            kept[name] = kept[name].to(weights[name].dtype)
    return kept


def shapes(weights: Weights) -> dict[str, tuple[int, ...]]:
    """The shape of every tensor, but for the rank of low-rank updates."""
    found = {name: tuple(weight.shape) for name, weight in weights.items()}
    found |= {name: shape[:1] for name, shape in found.items() if name.endswith(UP)}
    return found | {name: shape[1:] for name, shape in found.items() if name.endswith(DOWN)}


def mean_update(
    updates: Sequence[tuple[torch.Tensor, torch.Tensor]], shares: Sequence[float]
) -> tuple[torch.Tensor, torch.Tensor]:
    """The best update (O, R), (R, I) of the largest rank for the mean of products `up · down`.

    Singular values (Eckart & Young 1936) of the mean, which is never formed: it is the product of
    all factors side by side.
    """
    rank = max(up.shape[1] for up, _ in updates)
    every_up = torch.cat([u * share for (u, _), share in zip(updates, shares, strict=True)], dim=1)
    left, tall = torch.linalg.qr(every_up / sum(shares))
    right, wide = torch.linalg.qr(torch.cat([down for _, down in updates]).T)
    inner, scales, outer = torch.linalg.svd(tall @ wide.T)
    root = scales[:rank].sqrt()
    return left @ inner[:, :rank] * root, root[:, None] * outer[:rank] @ right.T


def held_out_of_all(bundles: list[Path]) -> frozenset[str]:
    """The speakers on whom none of the bundles was trained.

    Raises:
        UsageError: a bundle does not say whom it was not trained on.
    """
    return frozenset.intersection(*(read_speakers(b / HELD_OUT_SPEAKERS) for b in bundles))


if __name__ == "__main__":
    try:
        main()
    except AssistantError as error:
        sys.exit(f"error: {error}")
