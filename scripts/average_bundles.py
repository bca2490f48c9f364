"""Mix the acoustic weights of bundles of which each was trained on from the one before.

    python scripts/average_bundles.py models/pt-br runs/pt-br --weights 1 3 --output models/pt-br

What the last one has learnt is kept, and less of what the first one knew is forgotten (WiSE-FT,
Wortsman et al. 2022, arXiv 2109.01903). Low-rank updates, of any ranks, are mixed as the matrices
that they stand for, and kept in the largest rank. Held out of the mix is who is held out of every
bundle: its held_out_speakers.txt names those alone. The bank, the golden tensors and the commands
of the output are to be made anew.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch

from assistant.bundle import Weights, read_acoustic_weights, write_acoustic_weights
from assistant.errors import AssistantError, UsageError
from assistant.training.manifest import HELD_OUT_SPEAKERS, read_speakers, write_speakers

CONFIG = "config.yaml"
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
    parser.add_argument("--output", type=Path, required=True, help="folder of the bundle to write")
    arguments = parser.parse_args()
    shares = arguments.weights or [1.0] * len(arguments.bundles)
    weights = mixed(arguments.bundles, shares)
    speakers = held_out_of_all(arguments.bundles)
    write_acoustic_weights(arguments.output, weights)
    config = arguments.bundles[-1] / CONFIG
    if config.resolve() != (arguments.output / CONFIG).resolve():
        shutil.copyfile(config, arguments.output / CONFIG)
    write_speakers(arguments.output / HELD_OUT_SPEAKERS, speakers)
    print(
        f"{arguments.output}: {len(arguments.bundles)} bundles, as {shares}; "
        f"{len(speakers)} speakers are held out of all"
    )


def mixed(bundles: list[Path], shares: list[float]) -> Weights:
    """The mean of all weights, each bundle's by its share.

    Raises:
        UsageError: shares and bundles do not fit, or bundles do not fit one another.
        BundleError: one is missing or damaged.
    """
    if len(shares) != len(bundles) or min(shares) < 0 or not sum(shares):
        raise UsageError(f"--weights: write one number for each of the {len(bundles)} bundles")
    read = [read_acoustic_weights(bundle) for bundle in bundles]
    configs = [(bundle / CONFIG).read_bytes() for bundle in bundles]
    for bundle, config in zip(bundles, configs, strict=True):
        if config != configs[0]:
            raise UsageError(f"{bundle}: not trained on from {bundles[0]}: their {CONFIG} differ")
    for bundle, weights in zip(bundles, read, strict=True):
        if shapes(weights) != shapes(read[0]):
            raise UsageError(f"{bundle}: weights of other names or shapes than {bundles[0]}'s")

    def mean(parts: Iterable[torch.Tensor]) -> torch.Tensor:
        weighted = [part.double() * share for part, share in zip(parts, shares, strict=True)]
        return torch.stack(weighted).sum(0) / sum(shares)

    total: Weights = {}
    for name, last in read[-1].items():
        if name.endswith(UP):
            down = name.removesuffix(UP) + DOWN
            updates = [(w[name].double(), w[down].double()) for w in read]
            factors = mean_update(updates, shares)
            total[name], total[down] = (factor.to(last.dtype) for factor in factors)
        elif not name.endswith(DOWN):
            total[name] = mean(w[name] for w in read).to(last.dtype)
    return total


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
    listed = []
    for bundle in bundles:
        try:
            listed.append(read_speakers(bundle / HELD_OUT_SPEAKERS))
        except FileNotFoundError as error:
            raise UsageError(
                f"{bundle}: has no {HELD_OUT_SPEAKERS}, without which nobody knows on whom the mix "
                "may be tested; copy it from the cache that the bundle was trained from"
            ) from error
    return frozenset.intersection(*listed)


if __name__ == "__main__":
    try:
        main()
    except AssistantError as error:
        sys.exit(f"error: {error}")
