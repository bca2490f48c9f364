"""Write a bundle's golden tensors: what it makes of a few seconds of real speech.

    python scripts/make_golden.py tests/data/recordings/coffee/3b1a9487.flac --bundle models/en-us

A test computes them again: a bundle on another machine, or after a change of code, must agree.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch

from assistant.acoustic import AcousticScorer
from assistant.bundle import read_acoustic, write_weights
from assistant.bundle_files import GOLDEN
from assistant.errors import AssistantError
from assistant.features import FeatureExtractor
from assistant.recording import read_file


def main() -> None:
    """Parse, compute, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("recording", type=Path)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=2.5)
    arguments = parser.parse_args()
    bundle = read_acoustic(arguments.bundle)
    samples = read_file(arguments.recording).whole()
    loudest = int(np.abs(samples).argmax())
    length = int(arguments.seconds * 16000)
    begin = max(0, min(loudest - length // 2, len(samples) - length))
    samples = samples[begin : begin + length]
    features = FeatureExtractor(bundle.features, bundle.encoder)
    acoustic = AcousticScorer(bundle.model)
    chunks = [*features.feed(samples), *features.flush()]
    rows = features.full_context(torch.cat([chunk.log_mel for chunk in chunks]))
    streamed = [p for chunk in chunks for p in acoustic.feed(chunk)] + acoustic.flush()
    write_weights(
        arguments.bundle / GOLDEN,
        {
            "samples": torch.from_numpy((samples * 32768).astype(np.int16)),
            "log_mel": torch.cat([chunk.log_mel for chunk in chunks]),
            "rows": rows,
            "log_probs": acoustic.full_context(rows),
            "streamed_log_probs": torch.cat([p.log_probs for p in streamed]),
        },
        torch.float16,
    )
    print(f"{arguments.bundle / 'golden.safetensors'}: {len(rows)} rows of {arguments.recording}")


if __name__ == "__main__":
    try:
        main()
    except AssistantError as error:
        sys.exit(f"error: {error}")
