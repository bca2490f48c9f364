"""`scripts/make_golden.py`: what it writes is what the bundle computes again, or one line."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest
import soundfile
import tiny_bundle
import torch
from script_support import SCRIPTS

from assistant.acoustic import AcousticScorer
from assistant.bundle import read_acoustic, read_weights
from assistant.types import SAMPLE_RATE


def test_the_tensors_are_those_of_the_bundle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle, recording = tiny_bundle.build(tmp_path), tmp_path / "noise.flac"
    noise = 0.1 * np.random.default_rng(0).standard_normal(3 * SAMPLE_RATE)
    soundfile.write(recording, noise, SAMPLE_RATE)
    arguments = ["make_golden.py", str(recording), "--bundle", str(bundle)]
    monkeypatch.setattr("sys.argv", arguments)
    runpy.run_path(str(SCRIPTS / "make_golden.py"), run_name="__main__")
    golden = read_weights(bundle / "golden.safetensors")
    assert len(golden["samples"]) == 2.5 * SAMPLE_RATE
    again = AcousticScorer(read_acoustic(bundle).model).full_context(golden["rows"].float())
    torch.testing.assert_close(again, golden["log_probs"].float(), atol=0.01, rtol=0.01)

    recording.write_bytes(recording.read_bytes()[:100])
    with pytest.raises(SystemExit, match=r"^error: .*none of its sound can be read"):
        runpy.run_path(str(SCRIPTS / "make_golden.py"), run_name="__main__")
